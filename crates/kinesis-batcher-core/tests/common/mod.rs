//! A batcher, a service that does what a test tells it, and a clock that jumps from one event to the next.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part")]

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use kinesis_batcher_core::{
    Batcher, Config, ErrorCode, Event, Failure, HashKey, PushError, Receipt, Record, RecordOutcome, Request,
    RequestError, Response, ServiceError, ShardMap, Stats, Timestamp,
};

/// What a test's service says to a request.
pub type Reply = Result<Response, RequestError>;

/// A request as the service sees it.
pub struct Arrival {
    pub at: Timestamp,
    /// Counts requests from 0.
    pub number: usize,
    pub records: Vec<Arrived>,
    pub bytes: usize,
}

/// A record as the service sees it.
#[derive(Clone)]
pub struct Arrived {
    /// The tag, which tests write into the data.
    pub tag: u64,
    pub bytes: usize,
    pub hash_key: HashKey,
}

pub struct World {
    pub batcher: Batcher<u64>,
    pub now: Timestamp,
    /// How long the service takes.
    pub latency: Duration,
    /// How the service routes, which may differ from what the batcher believes.
    pub map: ShardMap,
    pub arrivals: Vec<Arrival>,
    pub delivered: BTreeMap<u64, (Timestamp, Receipt)>,
    pub failed: BTreeMap<u64, (Timestamp, Failure)>,
    /// Tags in the order of their receipts.
    pub order: Vec<u64>,
    pub stale_events: usize,
    pub unblocked_events: usize,
    pub drained: bool,
    pub timeouts: usize,
    accepted: BTreeMap<u64, Timestamp>,
    in_flight: Vec<(Timestamp, Request<u64>, Reply)>,
    service: Service,
}

type Service = Box<dyn FnMut(&Arrival, &ShardMap) -> Reply>;

impl World {
    pub fn new(config: Config, shards: u32) -> Self {
        let map = ShardMap::uniform(NonZeroU32::new(shards).expect("a test has a shard"));
        Self::with_map(config, map)
    }

    pub fn with_map(config: Config, map: ShardMap) -> Self {
        let now = Timestamp::from_millis(1_000);
        Self {
            batcher: Batcher::new(config, map.clone(), 7, now),
            now,
            latency: Duration::from_millis(20),
            map,
            arrivals: vec![],
            delivered: BTreeMap::new(),
            failed: BTreeMap::new(),
            order: vec![],
            stale_events: 0,
            unblocked_events: 0,
            drained: false,
            timeouts: 0,
            accepted: BTreeMap::new(),
            in_flight: vec![],
            service: Box::new(store_all),
        }
    }

    /// Replaces the service.
    pub fn service(&mut self, service: impl FnMut(&Arrival, &ShardMap) -> Reply + 'static) {
        self.service = Box::new(service);
    }

    /// Pushes a record whose data starts with its tag; the key decides the shard.
    pub fn push(&mut self, tag: u64, key: &str, bytes: usize) -> Result<(), PushError<u64>> {
        self.push_record(tag, record(tag, key, bytes))
    }

    pub fn push_record(&mut self, tag: u64, record: Record) -> Result<(), PushError<u64>> {
        self.batcher.push(self.now, record, tag)?;
        assert!(self.accepted.insert(tag, self.now).is_none(), "a test uses each tag once");
        Ok(())
    }

    /// Runs the loop around the batcher until nothing is left to do at this moment.
    pub fn settle(&mut self) {
        while let Some(request) = self.batcher.poll_request() {
            let arrival = self.arrive(&request);
            let reply = (self.service)(&arrival, &self.map);
            self.arrivals.push(arrival);
            self.in_flight.push((self.now.after(self.latency), request, reply));
        }
        while let Some(event) = self.batcher.poll_event() {
            self.note(event);
        }
    }

    /// Like [`settle`](Self::settle), with a service that looks at requests itself and answers at once.
    pub fn settle_with(&mut self, mut service: impl FnMut(Timestamp, &Request<u64>) -> Response) {
        while let Some(request) = self.batcher.poll_request() {
            let response = service(self.now, &request);
            self.batcher.handle_response(self.now, request, Ok(response));
        }
        self.settle();
    }

    /// Lets time pass until a request goes, and keeps it.
    pub fn run_to_request(&mut self, look: impl FnOnce(&Request<u64>)) {
        for _ in 0..1_000 {
            if let Some(request) = self.batcher.poll_request() {
                look(&request);
                self.in_flight.push((self.now, request, Ok(Response::new(vec![]))));
                return;
            }
            self.now = self.batcher.poll_timeout().expect("something waits").at;
            self.batcher.handle_timeout(self.now);
        }
        panic!("no request goes");
    }

    /// Answers the request that [`run_to_request`](Self::run_to_request) kept.
    pub fn answer(&mut self, reply: Reply) {
        let (_, request, _) = self.in_flight.pop().expect("a request was kept");
        self.batcher.handle_response(self.now, request, reply);
        while let Some(event) = self.batcher.poll_event() {
            self.note(event);
        }
    }

    /// Lets time pass without asking for requests.
    pub fn run_quietly_for(&mut self, duration: Duration) {
        self.now = self.now.after(duration);
        self.batcher.handle_timeout(self.now);
    }

    /// Jumps to the next thing that happens, if it happens by `until`; to `until` otherwise. Says which.
    pub fn step(&mut self, until: Timestamp) -> bool {
        self.settle();
        let arrival = self.in_flight.iter().map(|(at, ..)| *at).min();
        let deadline = self.batcher.poll_timeout().map(|deadline| deadline.at);
        let queued = self.batcher.stats().records_queued;
        let in_flight = self.batcher.stats().requests_in_flight;
        assert!(
            queued == 0 || deadline.is_some() || in_flight > 0,
            "I5: {queued} records are queued, nothing is in flight and there is no deadline"
        );
        let Some(next) = arrival.into_iter().chain(deadline).min().filter(|&next| next <= until) else {
            self.now = self.now.max(until);
            return false;
        };
        self.now = self.now.max(next);
        if let Some(index) = self.in_flight.iter().position(|(at, ..)| *at <= self.now) {
            let (_, request, reply) = self.in_flight.remove(index);
            self.batcher.handle_response(self.now, request, reply);
        } else {
            self.timeouts += 1;
            self.batcher.handle_timeout(self.now);
        }
        self.settle();
        true
    }

    /// Lets so much time pass.
    pub fn run_for(&mut self, duration: Duration) {
        let until = self.now.after(duration);
        let mut steps = 0;
        while self.step(until) {
            steps += 1;
            assert!(steps < 1_000_000, "a million steps pass and time does not: a busy loop");
        }
        self.settle();
    }

    /// Runs until every accepted record has come back; fails after an hour.
    pub fn run_until_done(&mut self) {
        let until = self.now.after(Duration::from_secs(3_600));
        while self.held() > 0 {
            assert!(self.step(until), "{} records are still held after an hour", self.held());
        }
        self.settle();
    }

    pub fn held(&self) -> u64 {
        let stats = self.batcher.stats();
        stats.records_queued + stats.records_in_flight
    }

    pub fn stats(&self) -> Stats {
        self.batcher.stats()
    }

    /// From push to receipt.
    pub fn delay(&self, tag: u64) -> Duration {
        self.delivered[&tag].0.since(self.accepted[&tag])
    }

    /// How many records of each request arrived.
    pub fn request_sizes(&self) -> Vec<usize> {
        self.arrivals.iter().map(|arrival| arrival.records.len()).collect()
    }

    /// Which shard the service files a key under.
    pub fn shard_of(&self, key: &str) -> usize {
        self.map.index_of(HashKey::of_partition_key(key))
    }

    fn arrive(&self, request: &Request<u64>) -> Arrival {
        let records: Vec<Arrived> = request
            .records()
            .map(|record| {
                let bytes = record.data().len() + record.partition_key().map_or(0, str::len);
                let tag = u64::from_be_bytes(
                    record.data()[..8].try_into().expect("a test's data starts with its tag"),
                );
                let hash_key = record
                    .explicit_hash_key()
                    .or_else(|| record.partition_key().map(HashKey::of_partition_key))
                    .unwrap_or(HashKey::MIN);
                Arrived { tag, bytes, hash_key }
            })
            .collect();
        let bytes = records.iter().map(|record| record.bytes).sum();
        assert_eq!(bytes, request.bytes(), "a request knows its size");
        assert!(records.len() <= 500 && !records.is_empty(), "I2: a request has 1 to 500 records");
        assert!(bytes <= 10 << 20, "I2: a request has at most 10 MiB");
        Arrival { at: self.now, number: self.arrivals.len(), records, bytes }
    }

    fn note(&mut self, event: Event<u64>) {
        assert!(!self.drained, "nothing follows Drained, but {event:?} did");
        match event {
            Event::Delivered { tag, receipt } => {
                assert!(!self.failed.contains_key(&tag), "I1: tag {tag} failed and was delivered");
                let earlier = self.delivered.insert(tag, (self.now, receipt));
                assert!(earlier.is_none(), "I1: tag {tag} was delivered twice");
                self.order.push(tag);
            }
            Event::Failed { tag, record, failure } => {
                assert_eq!(record.data()[..8], tag.to_be_bytes(), "a record comes back with its own tag");
                assert!(!self.delivered.contains_key(&tag), "I1: tag {tag} was delivered and failed");
                assert!(self.failed.insert(tag, (self.now, failure)).is_none(), "I1: tag {tag} failed twice");
            }
            Event::ShardMapStale => self.stale_events += 1,
            Event::Unblocked => self.unblocked_events += 1,
            Event::Drained => self.drained = true,
            other => panic!("an event that tests do not know: {other:?}"),
        }
    }
}

/// A record whose data starts with its tag and has `bytes` bytes in all, but at least eight.
pub fn record(tag: u64, key: &str, bytes: usize) -> Record {
    let mut data = tag.to_be_bytes().to_vec();
    data.resize(bytes.max(8), b'x');
    Record::new(key, data).expect("a test's record is valid")
}

/// A key that the map files under the shard of this index.
pub fn key_for(map: &ShardMap, shard: usize) -> String {
    (0..)
        .map(|n| format!("key-{n}"))
        .find(|key| map.index_of(HashKey::of_partition_key(key)) == shard)
        .expect("endless")
}

/// A service that stores everything where it belongs.
pub fn store_all(arrival: &Arrival, map: &ShardMap) -> Reply {
    Ok(Response::new(arrival.records.iter().map(|record| stored(record, map)).collect()))
}

pub fn stored(record: &Arrived, map: &ShardMap) -> RecordOutcome {
    let shard_id = match map.shards().get(map.index_of(record.hash_key)) {
        Some(shard) => shard.id.clone(),
        None => "shardId-000000000000".into(),
    };
    RecordOutcome::Stored { shard_id, sequence_number: "1".into() }
}

pub fn throttled() -> RecordOutcome {
    failed_with("ProvisionedThroughputExceededException")
}

pub fn failed_with(code: &str) -> RecordOutcome {
    RecordOutcome::Failed(ServiceError::from_code(code))
}

pub fn refused(code: &str) -> Reply {
    Err(RequestError::refused(400, ServiceError::from_code(code)))
}

pub fn is_code(error: &ServiceError, code: &str) -> bool {
    *error.code() == ErrorCode::new(code)
}

pub fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
