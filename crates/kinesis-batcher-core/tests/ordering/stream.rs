//! A batcher, a stream that remembers in which order it stored what, and a clock that jumps.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use kinesis_aggregation::{Decoded, decode};
use kinesis_batcher_core::{
    Batcher, Config, ConfigBuilder, Event, Failure, HashKey, Ordering, PushErrorReason, Record,
    RecordOutcome, Request, RequestError, Response, ServiceError, Shard, ShardMap, Timestamp,
};

/// A Kinesis record as the service sees it.
#[derive(Clone, Debug)]
pub(crate) struct Arrived {
    /// Of its user records.
    pub(crate) tags: Vec<u64>,
    pub(crate) hash_key: HashKey,
}

/// What the service does with a request.
pub(crate) enum Reply {
    /// Stores each record, or fails it with this code.
    Each(Vec<Option<&'static str>>),
    /// Stores nothing.
    Refused(RequestError),
    /// Stores all of it, and the reply is lost.
    Lost,
}

pub(crate) type Service = Box<dyn FnMut(usize, &[Arrived]) -> (Reply, Duration)>;

/// A request on its way.
pub(crate) struct Flight {
    back_at: Timestamp,
    request: Request<u64>,
    reply: Reply,
    is_stored: bool,
}

/// A batcher, a stream that remembers in which order it stored what, and a clock that jumps.
pub(crate) struct Stream {
    pub(crate) batcher: Batcher<u64>,
    pub(crate) now: Timestamp,
    /// How the service routes.
    pub(crate) map: ShardMap,
    pub(crate) service: Service,
    pub(crate) in_flight: Vec<Flight>,
    pub(crate) requests: usize,
    pub(crate) keys: BTreeMap<u64, HashKey>,
    /// First copies, in the order in which they were stored.
    pub(crate) stored: Vec<u64>,
    pub(crate) copies: BTreeMap<u64, u32>,
    pub(crate) delivered: BTreeMap<u64, Timestamp>,
    pub(crate) failed: Vec<(u64, Timestamp, Failure)>,
    pub(crate) drained: bool,
}

impl Stream {
    pub(crate) fn new(config: &ConfigBuilder, shards: u32) -> Self {
        Self::with_map(config, ShardMap::uniform(NonZeroU32::new(shards).expect("a test has a shard")))
    }

    pub(crate) fn with_map(config: &ConfigBuilder, map: ShardMap) -> Self {
        let now = Timestamp::from_millis(1_000);
        Self {
            batcher: Batcher::new(config.clone().build().expect("valid settings"), map.clone(), 11, now),
            now,
            map,
            service: Box::new(|_, records| (Reply::Each(vec![None; records.len()]), RTT)),
            in_flight: vec![],
            requests: 0,
            keys: BTreeMap::new(),
            stored: vec![],
            copies: BTreeMap::new(),
            delivered: BTreeMap::new(),
            failed: vec![],
            drained: false,
        }
    }

    /// Answers each request after a round trip.
    pub(crate) fn service(&mut self, mut service: impl FnMut(usize, &[Arrived]) -> Reply + 'static) {
        self.service = Box::new(move |number, records| (service(number, records), RTT));
    }

    pub(crate) fn push(&mut self, tag: u64, key: &str) {
        self.try_push(tag, key, 100).expect("the batcher takes it");
    }

    pub(crate) fn try_push(&mut self, tag: u64, key: &str, bytes: usize) -> Result<(), PushErrorReason> {
        let mut data = tag.to_be_bytes().to_vec();
        data.resize(bytes, b'x');
        self.push_record(tag, Record::new(key, data).expect("a valid record"))
    }

    pub(crate) fn push_record(&mut self, tag: u64, record: Record) -> Result<(), PushErrorReason> {
        let key = record.hash_key();
        self.batcher.push(self.now, record, tag).map_err(|refused| refused.reason)?;
        self.keys.insert(tag, key);
        Ok(())
    }

    pub(crate) fn reshard(&mut self, map: ShardMap) {
        self.map = map.clone();
        self.batcher.handle_shard_map(self.now, map);
        self.settle();
    }

    pub(crate) fn settle(&mut self) {
        self.events();
        while let Some(request) = self.batcher.poll_request() {
            let records: Vec<Arrived> = arrived(&request).collect();
            let (reply, latency) = (self.service)(self.requests, &records);
            // The service may store at any moment of the round trip.
            let is_stored = self.requests.is_multiple_of(2);
            if is_stored {
                self.store(&records, &reply);
            }
            self.requests += 1;
            self.in_flight.push(Flight { back_at: self.now.after(latency), request, reply, is_stored });
        }
        self.events();
    }

    pub(crate) fn store(&mut self, records: &[Arrived], reply: &Reply) {
        for (index, record) in records.iter().enumerate() {
            let is_stored = match reply {
                Reply::Each(codes) => codes[index].is_none(),
                Reply::Refused(_) => false,
                Reply::Lost => true,
            };
            for &tag in record.tags.iter().filter(|_| is_stored) {
                let copies = self.copies.entry(tag).or_default();
                *copies += 1;
                if *copies == 1 {
                    self.stored.push(tag);
                }
            }
        }
    }

    pub(crate) fn events(&mut self) {
        while let Some(event) = self.batcher.poll_event() {
            match event {
                Event::Delivered { tag, .. } => assert!(self.delivered.insert(tag, self.now).is_none()),
                Event::Failed { tag, failure, .. } => self.failed.push((tag, self.now, failure)),
                Event::Drained => self.drained = true,
                _ => {}
            }
        }
    }

    /// Jumps to whatever comes first; `false` if nothing comes by then.
    pub(crate) fn step(&mut self, until: Timestamp) -> bool {
        self.settle();
        let first = self.in_flight.iter().enumerate().min_by_key(|(_, flight)| flight.back_at);
        let response = first.map(|(index, flight)| (index, flight.back_at));
        let deadline = self.batcher.poll_timeout().map(|deadline| deadline.at);
        match (response, deadline) {
            (Some((index, at)), deadline)
                if at <= until && deadline.is_none_or(|deadline| at <= deadline) =>
            {
                self.now = self.now.max(at);
                self.answer(index);
            }
            (_, Some(at)) if at <= until => {
                self.now = self.now.max(at);
                self.batcher.handle_timeout(self.now);
            }
            _ => return false,
        }
        self.settle();
        true
    }

    pub(crate) fn answer(&mut self, index: usize) {
        let Flight { request, reply, is_stored, .. } = self.in_flight.remove(index);
        let records: Vec<Arrived> = arrived(&request).collect();
        if !is_stored {
            self.store(&records, &reply);
        }
        let outcome = match reply {
            Reply::Each(codes) => {
                let outcomes = records.iter().zip(codes).map(|(record, code)| match code {
                    Some(code) => RecordOutcome::Failed(ServiceError::from_code(code)),
                    None => self.stored_at(record),
                });
                Ok(Response::new(outcomes.collect()))
            }
            Reply::Refused(error) => Err(error),
            Reply::Lost => Err(RequestError::outcome_unknown("reset")),
        };
        self.batcher.handle_response(self.now, request, outcome);
    }

    pub(crate) fn stored_at(&self, record: &Arrived) -> RecordOutcome {
        let owner = self.map.shards().get(self.map.index_of(record.hash_key));
        RecordOutcome::Stored {
            shard_id: owner.map_or("shardId-000000000000".into(), |owner| owner.id.clone()),
            sequence_number: "1".into(),
        }
    }

    pub(crate) fn run_for(&mut self, duration: Duration) {
        let until = self.now.after(duration);
        while self.step(until) {}
        self.now = until;
    }

    pub(crate) fn run_until_done(&mut self) {
        let until = self.now.after(Duration::from_secs(3_600));
        while self.held() > 0 {
            assert!(self.step(until), "{} records are still held after an hour", self.held());
        }
        self.settle();
    }

    pub(crate) fn held(&self) -> u64 {
        let stats = self.batcher.stats();
        stats.records_queued + stats.records_in_flight
    }

    /// How many delivered records were stored before an earlier one of their key.
    pub(crate) fn overtakes(&self) -> usize {
        let mut latest: BTreeMap<HashKey, u64> = BTreeMap::new();
        let delivered = self.stored.iter().filter(|tag| self.delivered.contains_key(tag));
        delivered
            .filter(|tag| {
                let latest = latest.entry(self.keys[tag]).or_insert(**tag);
                let overtaken = *latest > **tag;
                *latest = (*latest).max(**tag);
                overtaken
            })
            .count()
    }

    pub(crate) fn assert_all_in_order(&self) {
        assert_eq!(self.delivered.len(), self.keys.len(), "all were delivered: {:?} failed", self.failed);
        assert_eq!(self.overtakes(), 0, "stored as {:?}", self.stored);
    }
}

pub(crate) fn arrived(request: &Request<u64>) -> impl Iterator<Item = Arrived> {
    request.records().map(|record| {
        let tags = match decode(record.data()) {
            Decoded::Aggregate(aggregate) => aggregate.iter().map(|member| tag_of(member.data)).collect(),
            _ => vec![tag_of(record.data())],
        };
        let key = record.explicit_hash_key().or(record.partition_key().map(HashKey::of_partition_key));
        Arrived { tags, hash_key: key.expect("records have keys") }
    })
}

pub(crate) fn tag_of(data: &[u8]) -> u64 {
    u64::from_be_bytes(data[..8].try_into().expect("data starts with the tag"))
}

pub(crate) fn ordered() -> ConfigBuilder {
    Config::builder().ordering(Ordering::PartitionKey).linger(millis(10))
}

pub(crate) fn aggregated() -> ConfigBuilder {
    ordered().aggregation(true)
}

pub(crate) fn both_units() -> [ConfigBuilder; 2] {
    [ordered(), aggregated()]
}

pub(crate) fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) fn stores(records: &[Arrived]) -> Reply {
    Reply::Each(vec![None; records.len()])
}

pub(crate) fn shard(id: u32, first: u128, last: u128) -> Shard {
    Shard::new(format!("shardId-{id:012}").as_str(), HashKey::new(first), HashKey::new(last))
}

pub(crate) const RTT: Duration = Duration::from_millis(20);
pub(crate) const HALF: u128 = u128::MAX / 2;
pub(crate) const QUARTER: u128 = HALF / 2;

/// Shard 0 of one, split into 1 and 2.
pub(crate) fn split() -> ShardMap {
    ShardMap::known(vec![shard(1, 0, HALF), shard(2, HALF + 1, u128::MAX)])
        .expect("halves tile the key space")
}

pub(crate) fn merged() -> ShardMap {
    ShardMap::known(vec![shard(3, 0, u128::MAX)]).expect("one shard owns all keys")
}

pub(crate) const THROTTLED: &str = "ProvisionedThroughputExceededException";
