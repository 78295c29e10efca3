//! The reference model: what must be true of a batcher after each operation.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::time::Duration;

use kinesis_aggregation::{Decoded, decode};
use kinesis_batcher_core::{
    Batcher, Config, ErrorClass, Event, HashKey, Ordering, Record, RecordOutcome, Request, RequestError,
    Response, SequenceNumber, ServiceError, Shard, ShardId, ShardMap, Timestamp,
};

use super::op::{Answer, Op};

/// Runs the operations, lets everything end, and does it all again to see the same.
pub fn the_promises_hold(config: &Config, ops: &[Op], aborts: bool) {
    let run = || {
        let mut model = Model::new(config.clone());
        for op in ops {
            model.run(op);
        }
        model.finish(aborts);
        model.log
    };
    assert_eq!(run(), run(), "I9: the same inputs give the same outputs");
}

/// The same, and a failure says what was done: the input, being bytes, does not.
pub fn the_promises_hold_or_it_shows(config: &Config, ops: &[Op], aborts: bool) {
    let shown = ShownOnPanic(config, ops);
    the_promises_hold(config, ops, aborts);
    drop(shown);
}

struct ShownOnPanic<'a>(&'a Config, &'a [Op]);

impl Drop for ShownOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self(config, ops) = self;
            eprintln!("{config:?}\n{} operations: {ops:#?}", ops.len());
        }
    }
}

/// Drives a batcher and knows what must be true of it.
pub struct Model {
    batcher: Batcher<u64>,
    config: Config,
    now: Timestamp,
    in_flight: Vec<(Timestamp, Request<u64>)>,
    next_tag: u64,
    held: BTreeMap<u64, (Timestamp, Record)>,
    ended: BTreeSet<u64>,
    attempts: BTreeMap<u64, u32>,
    uncounted: BTreeMap<u64, u32>,
    /// Each tag's hash key.
    keys: BTreeMap<u64, HashKey>,
    /// What the service has stored, in the order of its first copies.
    stored: Vec<u64>,
    copies: BTreeMap<u64, u32>,
    /// Where the last reply says that a record is.
    places: BTreeMap<u64, (ShardId, SequenceNumber)>,
    delivered: BTreeSet<u64>,
    drained: bool,
    /// All that came out, to compare two runs.
    log: String,
    generation: u32,
}

impl Model {
    pub fn new(config: Config) -> Self {
        let now = Timestamp::from_millis(10);
        let map = ShardMap::uniform(NonZeroU32::new(3).expect("not zero"));
        Self {
            batcher: Batcher::new(config.clone(), map, 5, now),
            config,
            now,
            in_flight: vec![],
            next_tag: 0,
            held: BTreeMap::new(),
            ended: BTreeSet::new(),
            attempts: BTreeMap::new(),
            uncounted: BTreeMap::new(),
            keys: BTreeMap::new(),
            stored: vec![],
            copies: BTreeMap::new(),
            places: BTreeMap::new(),
            delivered: BTreeSet::new(),
            drained: false,
            log: String::new(),
            generation: 0,
        }
    }

    pub fn run(&mut self, op: &Op) {
        match op {
            Op::Push { key, explicit, bytes } => self.push(*key, *explicit, *bytes as usize),
            Op::Wait { micros } => self.wait(Duration::from_micros(u64::from(*micros))),
            Op::WaitForDeadline => self.wait_for_deadline(),
            Op::StepBack { micros } => {
                let before = self.batcher.poll_timeout();
                let earlier = self.now.as_nanos().saturating_sub(u64::from(*micros) * 1_000);
                self.batcher.handle_timeout(Timestamp::from_nanos(earlier));
                assert_eq!(self.batcher.poll_timeout(), before, "I7: a backward step changes nothing");
            }
            Op::Answer { which, answer } => self.answer(*which, answer),
            Op::Flush => self.batcher.flush(self.now),
            Op::Reshard { cuts } => self.reshard(cuts),
            Op::Map(map) => self.map(map.clone()),
        }
        self.poll();
    }

    fn push(&mut self, key: Option<u16>, explicit: Option<u128>, bytes: usize) {
        let tag = self.next_tag;
        let mut data = tag.to_be_bytes().to_vec();
        data.resize(bytes, 0);
        let record = match key {
            Some(key) => Record::new(format!("{key}").as_str(), data),
            None => Record::without_partition_key(data),
        };
        let mut record = record.expect("a valid record");
        if let Some(key) = explicit {
            record = record.with_explicit_hash_key(HashKey::new(key));
        }
        match self.batcher.push(self.now, record.clone(), tag) {
            Ok(()) => {
                self.next_tag += 1;
                self.keys.insert(tag, record.hash_key());
                self.held.insert(tag, (self.now, record));
            }
            Err(refused) => {
                assert_eq!((refused.tag, refused.record), (tag, record), "the goods come back as they were");
            }
        }
    }

    fn wait(&mut self, duration: Duration) {
        let until = self.now.after(duration);
        for _ in 0..10_000 {
            let Some(deadline) = self.batcher.poll_timeout().filter(|deadline| deadline.at <= until) else {
                self.now = until;
                return;
            };
            assert!(
                deadline.at > self.now,
                "I6: {deadline:?} is not after {:?}, when all was polled",
                self.now
            );
            self.now = deadline.at;
            self.batcher.handle_timeout(self.now);
            self.poll();
        }
        panic!("I6: ten thousand deadlines within {duration:?}");
    }

    fn wait_for_deadline(&mut self) {
        if let Some(deadline) = self.batcher.poll_timeout() {
            self.wait(deadline.at.since(self.now).min(Duration::from_secs(60)));
        }
    }

    fn answer(&mut self, which: usize, answer: &Answer) {
        if self.in_flight.is_empty() {
            return;
        }
        let (_, request) = self.in_flight.remove(which % self.in_flight.len());
        let first_tags: Vec<u64> = request.records().map(|record| tags_of(record.data())[0]).collect();
        let tags: Vec<u64> = request.records().flat_map(|record| tags_of(record.data())).collect();
        let outcome = match answer {
            Answer::Each(seed) => {
                Ok(Response::new(first_tags.iter().map(|&tag| self.outcome(tag, *seed)).collect()))
            }
            Answer::WrongLength(length) => {
                let length = if *length == request.len() { length + 1 } else { *length };
                Ok(Response::new(vec![self.outcome(0, 0); length]))
            }
            Answer::Cycled(outcomes) => {
                Ok(Response::new(outcomes.iter().cycle().take(request.len()).cloned().collect()))
            }
            Answer::Exactly(outcomes) => Ok(Response::new(outcomes.clone())),
            Answer::Error(error) => Err(error.clone()),
        };
        if outcome.as_ref().is_err_and(|error| !is_attempt(error)) {
            for tag in tags {
                *self.uncounted.entry(tag).or_default() += 1;
            }
        } else if let Ok(response) = &outcome
            && response.outcomes.len() == request.len()
        {
            for (record, outcome) in request.records().zip(&response.outcomes) {
                if matches!(outcome, RecordOutcome::Failed(error) if is_of_the_account(error.code().class()))
                {
                    for tag in tags_of(record.data()) {
                        *self.uncounted.entry(tag).or_default() += 1;
                    }
                }
            }
        }
        self.store(&request, &outcome, which as u64);
        self.batcher.handle_response(self.now, request, outcome);
    }

    /// What the service has stored of the request. Where the reply does not tell, anything may be.
    fn store(&mut self, request: &Request<u64>, outcome: &Result<Response, RequestError>, seed: u64) {
        for (index, record) in request.records().enumerate() {
            let tags = tags_of(record.data());
            let told = match outcome {
                Ok(response) if response.outcomes.len() == request.len() => match &response.outcomes[index] {
                    RecordOutcome::Stored { shard_id, sequence_number } => {
                        for &tag in &tags {
                            self.places.insert(tag, (shard_id.clone(), sequence_number.clone()));
                        }
                        Some(true)
                    }
                    RecordOutcome::Unknown => None,
                    _ => Some(false),
                },
                Err(error) if !error.is_outcome_unknown() => Some(false),
                _ => None,
            };
            if told.unwrap_or((tags[0] ^ seed).is_multiple_of(2)) {
                for tag in tags {
                    let copies = self.copies.entry(tag).or_default();
                    *copies += 1;
                    if *copies == 1 {
                        self.stored.push(tag);
                    }
                }
            }
        }
    }

    fn outcome(&self, tag: u64, seed: u64) -> RecordOutcome {
        match (tag ^ seed) % 16 {
            0 | 1 => RecordOutcome::Failed(ServiceError::from_code("ProvisionedThroughputExceededException")),
            2 => RecordOutcome::Failed(ServiceError::from_code("InternalFailure")),
            3 => RecordOutcome::Unknown,
            4 => RecordOutcome::Failed(ServiceError::from_code("KMSDisabledException")),
            n => RecordOutcome::Stored {
                shard_id: format!("shardId-{:012}", n % 4).as_str().into(),
                sequence_number: "7".into(),
            },
        }
    }

    fn stored_where_it_belongs(&self, request: &Request<u64>) -> Response {
        let map = self.batcher.shard_map();
        let outcomes = request.records().map(|record| {
            let key =
                record.explicit_hash_key().or_else(|| record.partition_key().map(HashKey::of_partition_key));
            let owner = map.shards().get(map.index_of(key.unwrap_or(HashKey::MIN)));
            let shard_id = owner.map_or("shardId-000000000000".into(), |owner| owner.id.clone());
            RecordOutcome::Stored { shard_id, sequence_number: "7".into() }
        });
        Response::new(outcomes.collect())
    }

    fn reshard(&mut self, cuts: &[u128]) {
        self.generation += 1;
        let mut shards = vec![];
        let mut first = 0;
        for cut in cuts.iter().copied().collect::<BTreeSet<_>>() {
            shards.push((first, cut - 1));
            first = cut;
        }
        shards.push((first, u128::MAX));
        let named = shards.into_iter().enumerate().map(|(index, (first, last))| {
            // Some names stay from one map to the next, some with other ranges.
            let id = if index % 2 == 0 {
                format!("stays-{index}")
            } else {
                format!("new-{}-{index}", self.generation)
            };
            Shard::new(id.as_str(), HashKey::new(first), HashKey::new(last))
        });
        let map = ShardMap::known(named.collect()).expect("cuts tile the key space");
        self.map(map);
    }

    fn map(&mut self, map: ShardMap) {
        self.batcher.handle_shard_map(self.now, map);
    }

    fn poll(&mut self) {
        self.poll_events();
        while let Some(request) = self.batcher.poll_request() {
            self.poll_events();
            self.check_request(&request);
            self.in_flight.push((self.now, request));
        }
        self.poll_events();
        let stats = self.batcher.stats();
        let held_bytes: usize = self.held.values().map(|(_, record)| record.bytes()).sum();
        assert_eq!(
            stats.buffered_bytes, held_bytes as u64,
            "I4: the buffer holds what was accepted and not ended"
        );
        assert!(
            held_bytes <= self.config.buffer_bytes_max()
                && self.held.len() <= self.config.buffer_records_max()
        );
        let in_flight: usize = self
            .in_flight
            .iter()
            .flat_map(|(_, request)| request.records())
            .map(|record| tags_of(record.data()).len())
            .sum();
        assert_eq!(stats.records_in_flight, in_flight as u64);
        assert_eq!(stats.records_queued + stats.records_in_flight, self.held.len() as u64, "I12");
        assert!(
            stats.records_queued == 0 || !self.in_flight.is_empty() || self.batcher.poll_timeout().is_some(),
            "I5: something is queued and nothing will ever happen"
        );
        let of_shards: u64 = self.batcher.shard_stats().map(|shard| shard.records_queued).sum();
        assert!(of_shards <= stats.records_queued, "shards hold no more than all of it");
        if let Some(time_to_live) = self.config.time_to_live()
            && self.in_flight.is_empty()
        {
            for (tag, (accepted_at, _)) in &self.held {
                let due = accepted_at.after(time_to_live);
                let deadline = self.batcher.poll_timeout().map(|deadline| deadline.at);
                assert!(
                    due > self.now || deadline.is_some_and(|at| at <= self.now.max(due)),
                    "I8: record {tag} outlives its time to live"
                );
            }
        }
    }

    /// Before requests too: a record that has ended lets the next of its key go.
    fn poll_events(&mut self) {
        while let Some(event) = self.batcher.poll_event() {
            self.check_event(event);
        }
    }

    fn check_request(&mut self, request: &Request<u64>) {
        assert!(
            self.in_flight.len() < self.config.in_flight_requests_max(),
            "requests in flight are bounded"
        );
        assert!((1..=self.config.request_records_max()).contains(&request.len()), "I2");
        let bytes: usize = request
            .records()
            .map(|record| record.data().len() + record.partition_key().map_or(0, str::len))
            .sum();
        assert_eq!(bytes, request.bytes());
        assert!(bytes <= self.config.request_bytes_max() || request.len() == 1, "I2");
        for record in request.records() {
            assert!(
                record.partition_key().is_some() || self.batcher.shard_map().is_auto(),
                "only a stream that spreads records itself is sent one without a partition key"
            );
            if let (Decoded::Aggregate(aggregate), Some(outer)) =
                (decode(record.data()), record.explicit_hash_key())
            {
                let map = self.batcher.shard_map();
                let shard =
                    map.shards().get(map.index_of(outer)).expect("aggregates are routed by known shards");
                let range = shard.first.value()..=shard.last.value();
                assert!(
                    aggregate.is_kept_by_kcl(&range),
                    "each member belongs to the shard that it is sent to"
                );
            }
        }
        if self.config.ordering() == Ordering::PartitionKey {
            self.check_order(request);
        }
        for tag in request.records().flat_map(|record| tags_of(record.data())) {
            let (accepted_at, _) = self.held[&tag];
            if let Some(time_to_live) = self.config.time_to_live() {
                assert!(
                    accepted_at.after(time_to_live) > self.now,
                    "I8: record {tag} was sent after its time"
                );
            }
            let sent = self.attempts.entry(tag).or_default();
            *sent += 1;
            let counted = *sent - self.uncounted.get(&tag).copied().unwrap_or_default();
            assert!(
                self.config.attempts_max().is_none_or(|max| counted <= max),
                "I8: record {tag} went {counted} times"
            );
        }
        self.log.push_str(&format!("{:?} {request:?}\n", self.now));
    }

    /// I11 at its root: whatever is sent of a key are the oldest that are held of it, all in one Kinesis record.
    fn check_order(&self, request: &Request<u64>) {
        for record in request.records() {
            let tags = tags_of(record.data());
            for (position, tag) in tags.iter().enumerate() {
                let earlier =
                    self.held.keys().filter(|held| *held < tag && self.keys[*held] == self.keys[tag]);
                let missing = earlier.copied().find(|earlier| !tags[..position].contains(earlier));
                assert_eq!(
                    missing, None,
                    "I11: record {tag} is sent while an earlier one of its key is held"
                );
            }
        }
    }

    /// I11 as the service sees it.
    fn check_storage(&self) {
        let mut last_of_key = BTreeMap::new();
        for tag in self.stored.iter().filter(|tag| self.delivered.contains(tag)) {
            let last = last_of_key.insert(self.keys[tag], *tag);
            assert!(last < Some(*tag), "I11: record {tag} is stored after {last:?} of the same key");
        }
    }

    fn check_event(&mut self, event: Event<u64>) {
        assert!(!self.drained, "nothing follows Drained");
        self.log.push_str(&format!("{:?} {event:?}\n", self.now));
        match event {
            Event::Delivered { tag, receipt } => {
                let copies = self.copies.get(&tag).copied().unwrap_or_default();
                assert!(copies > 0, "what is delivered is stored");
                assert!(copies == 1 || receipt.possible_duplicate, "what may be stored twice is called so");
                assert_eq!(
                    self.places.get(&tag),
                    Some(&(receipt.shard_id, receipt.sequence_number)),
                    "a receipt says what the reply said"
                );
                self.delivered.insert(tag);
                self.end(tag);
            }
            Event::Failed { tag, record, failure } => {
                let pushed = self.held.get(&tag).map(|(_, record)| record);
                assert_eq!(Some(&record), pushed, "a record comes back as it was pushed, with its own tag");
                assert!(
                    failure.possibly_stored || !self.copies.contains_key(&tag),
                    "what failed and may be stored is called so"
                );
                self.end(tag);
            }
            Event::Drained => {
                self.drained = true;
                assert!(self.held.is_empty(), "Drained comes last");
            }
            _ => {}
        }
    }

    fn end(&mut self, tag: u64) {
        assert!(self.held.remove(&tag).is_some(), "I1: tag {tag} was accepted and has not ended");
        assert!(self.ended.insert(tag), "I1: tag {tag} ends once");
    }

    /// Faults stop: everything must drain.
    pub fn finish(&mut self, abort: bool) {
        if abort {
            self.batcher.abort(self.now);
        } else {
            self.batcher.close(self.now);
        }
        self.poll();
        let mut steps = 0;
        while !self.drained {
            steps += 1;
            assert!(steps < 200_000, "it drains within a bounded number of steps: {:?}", self.batcher);
            if self.in_flight.is_empty() {
                self.wait_for_deadline();
            } else {
                let (_, request) = self.in_flight.remove(0);
                let outcome = Ok(self.stored_where_it_belongs(&request));
                self.store(&request, &outcome, 0);
                self.batcher.handle_response(self.now, request, outcome);
                self.poll();
            }
        }
        assert_eq!(self.ended.len() as u64, self.next_tag, "I1: every accepted tag came back");
        assert!(self.batcher.poll_timeout().is_none());
        if self.config.ordering() == Ordering::PartitionKey {
            self.check_storage();
        }
    }
}

fn tags_of(data: &[u8]) -> Vec<u64> {
    match decode(data) {
        Decoded::Aggregate(aggregate) => aggregate.iter().map(|member| tag_of(member.data)).collect(),
        _ => vec![tag_of(data)],
    }
}

fn tag_of(data: &[u8]) -> u64 {
    u64::from_be_bytes(data[..8].try_into().expect("data starts with the tag"))
}

/// Whether a request may have reached a shard.
fn is_attempt(error: &RequestError) -> bool {
    let class = error.class();
    let never_sent = ["NotSent", "NoCredentials"].contains(&error.error().code().as_str());
    !never_sent && !is_of_the_account(class) && class != ErrorClass::Rejected && class != ErrorClass::TooLarge
}

fn is_of_the_account(class: ErrorClass) -> bool {
    matches!(class, ErrorClass::Account | ErrorClass::Credentials)
}
