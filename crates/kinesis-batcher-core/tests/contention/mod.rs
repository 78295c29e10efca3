//! Producers that know nothing of each other, and the shards they share, in virtual time.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part")]

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::num::NonZeroU32;
use std::time::Duration;

use kinesis_batcher_core::{
    Batcher, Config, Event, HashKey, Record, RecordOutcome, Request, Response, ServiceError, ShardMap,
    Timestamp,
};
use kinesis_model::limits::{SHARD_BYTES_PER_SECOND, SHARD_RECORDS_PER_SECOND};
use kinesis_model::{Accounting, ShardLimits, ShardMeter, Time};

/// What many producers do to one stream.
pub struct Contention {
    pub producers: usize,
    pub shards: u32,
    /// Of each producer.
    pub records_per_second: u64,
    pub record_bytes: usize,
    pub config: Config,
    pub round_trip: Duration,
    /// How a shard counts its second (S-08).
    pub accounting: Accounting,
    /// So many of a hundred records are throttled at random.
    pub throttled_percent: u64,
}

/// What came of it between two moments.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Kinesis records stored, by producer.
    pub stored: Vec<u64>,
    pub attempts: u64,
    pub throttled: u64,
    pub bytes: u64,
}

impl Outcome {
    pub fn delivered(&self) -> u64 {
        self.stored.iter().sum()
    }

    pub fn throttled_share(&self) -> f64 {
        self.throttled as f64 / self.attempts.max(1) as f64
    }

    /// Jain's index: 1 when all producers got the same, 1/n when one got all.
    pub fn fairness(&self) -> f64 {
        let sum: f64 = self.stored.iter().map(|&n| n as f64).sum();
        let squares: f64 = self.stored.iter().map(|&n| (n as f64).powi(2)).sum();
        sum * sum / (self.stored.len() as f64 * squares.max(1.0))
    }
}

pub struct Race {
    pub setup: Contention,
    pub now: Timestamp,
    pub batchers: Vec<Batcher<u64>>,
    /// Pushing stops for producers past this number.
    pub active: usize,
    /// The shards throttle everything.
    pub is_away: bool,
    pub outcome: Outcome,
    map: ShardMap,
    meters: Vec<ShardMeter>,
    events: BinaryHeap<Reverse<(u64, u64, usize, Kind)>>,
    wakes: Vec<u64>,
    in_flight: Vec<Option<(Request<u64>, Vec<RecordOutcome>)>>,
    order: u64,
    keys: u64,
    noise: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Push,
    Timeout,
    Arrive(usize),
    Reply(usize),
}

const TICK: u64 = 10_000_000;

fn model_time(now: Timestamp) -> Time {
    Time::from_nanos(now.as_nanos())
}

impl Race {
    pub fn new(setup: Contention) -> Self {
        let map = ShardMap::uniform(NonZeroU32::new(setup.shards).expect("a shard"));
        let now = Timestamp::from_millis(10_000);
        let batchers = (0..setup.producers)
            .map(|index| Batcher::new(setup.config.clone(), map.clone(), 1 + index as u64, now))
            .collect();
        let meter = ShardMeter::new(ShardLimits::of_the_service(setup.accounting), model_time(now));
        let mut race = Self {
            now,
            batchers,
            active: setup.producers,
            is_away: false,
            outcome: Outcome { stored: vec![0; setup.producers], ..Outcome::default() },
            meters: vec![meter; setup.shards as usize],
            map,
            events: BinaryHeap::new(),
            wakes: vec![u64::MAX; setup.producers],
            in_flight: Vec::new(),
            order: 0,
            keys: 0,
            noise: 1,
            setup,
        };
        for producer in 0..race.setup.producers {
            // Producers do not tick together.
            let at = now.as_nanos() + TICK * producer as u64 / race.setup.producers as u64;
            race.at(at, producer, Kind::Push);
        }
        race
    }

    /// Changes what a shard takes.
    pub fn scale_shard(&mut self, shard: usize, percent: u64) {
        let scaled = |limit: u32| (u64::from(limit) * percent / 100) as u32;
        self.meters[shard].set_rates(scaled(SHARD_RECORDS_PER_SECOND), scaled(SHARD_BYTES_PER_SECOND));
    }

    /// From now on, shards count in this way.
    pub fn set_accounting(&mut self, accounting: Accounting) {
        let meter = ShardMeter::new(ShardLimits::of_the_service(accounting), model_time(self.now));
        self.meters.fill(meter);
    }

    /// Lets so much time pass, and tells what happened in it.
    pub fn run(&mut self, time: Duration) -> Outcome {
        self.outcome = Outcome { stored: vec![0; self.setup.producers], ..Outcome::default() };
        let until = self.now.after(time).as_nanos();
        while let Some(&Reverse((at, _, producer, kind))) = self.events.peek() {
            if at > until {
                break;
            }
            self.events.pop();
            self.now = Timestamp::from_nanos(at);
            match kind {
                Kind::Push => self.push(producer),
                Kind::Timeout => {
                    if self.wakes[producer] != at {
                        continue;
                    }
                    self.wakes[producer] = u64::MAX;
                    self.batchers[producer].handle_timeout(self.now);
                }
                Kind::Arrive(slot) => self.arrive(producer, slot),
                Kind::Reply(slot) => {
                    let (request, outcomes) = self.in_flight[slot].take().expect("on its way");
                    self.batchers[producer].handle_response(self.now, request, Ok(Response::new(outcomes)));
                }
            }
            self.settle(producer);
        }
        self.now = Timestamp::from_nanos(until);
        self.outcome.clone()
    }

    /// One way: from half to one and a half times the mean.
    fn latency(&mut self) -> u64 {
        self.noise =
            self.noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mean = self.setup.round_trip.as_nanos() as u64 / 2;
        mean / 2 + (self.noise >> 33) % mean
    }

    fn at(&mut self, at: u64, producer: usize, kind: Kind) {
        self.order += 1;
        self.events.push(Reverse((at, self.order, producer, kind)));
    }

    fn push(&mut self, producer: usize) {
        if producer < self.active {
            let nanos = self.now.as_nanos();
            let due = |at: u64| u128::from(at) * u128::from(self.setup.records_per_second) / 1_000_000_000;
            let count = due(nanos) - due(nanos - TICK);
            for _ in 0..count {
                self.keys = self.keys.wrapping_add(0x9E37_79B9_7F4A_7C15);
                let key = (u128::from(self.keys) << 64) | u128::from(self.keys);
                let record = Record::new("k", vec![0; self.setup.record_bytes - 1])
                    .expect("valid")
                    .with_explicit_hash_key(HashKey::new(key));
                // A full buffer turns the rest away.
                let _ = self.batchers[producer].push(self.now, record, 0);
            }
        }
        self.at(self.now.as_nanos() + TICK, producer, Kind::Push);
    }

    fn settle(&mut self, producer: usize) {
        while let Some(request) = self.batchers[producer].poll_request() {
            let slot = self.in_flight.iter().position(Option::is_none).unwrap_or(self.in_flight.len());
            if slot == self.in_flight.len() {
                self.in_flight.push(None);
            }
            self.in_flight[slot] = Some((request, Vec::new()));
            let there = self.now.as_nanos() + self.latency();
            self.at(there, producer, Kind::Arrive(slot));
        }
        while let Some(event) = self.batchers[producer].poll_event() {
            assert!(!matches!(event, Event::Failed { .. }), "nothing fails here: {event:?}");
        }
        if let Some(deadline) = self.batchers[producer].poll_timeout() {
            let at = deadline.at.as_nanos().max(self.now.as_nanos() + 1);
            if at != self.wakes[producer] {
                self.wakes[producer] = at;
                self.at(at, producer, Kind::Timeout);
            }
        }
    }

    fn arrive(&mut self, producer: usize, slot: usize) {
        let now = self.now.as_nanos();
        let (request, outcomes) = self.in_flight[slot].as_mut().expect("on its way");
        for record in request.records() {
            let shard = self.map.index_of(record.explicit_hash_key().expect("given"));
            let bytes = record.data().len() as u64 + 1;
            self.outcome.attempts += 1;
            self.noise =
                self.noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let at_random = (self.noise >> 33) % 100 < self.setup.throttled_percent;
            if at_random || self.is_away || !self.meters[shard].admit(model_time(self.now), bytes as usize) {
                self.outcome.throttled += 1;
                outcomes.push(RecordOutcome::Failed(ServiceError::from_code(
                    "ProvisionedThroughputExceededException",
                )));
                continue;
            }
            self.outcome.stored[producer] += 1;
            self.outcome.bytes += bytes;
            outcomes.push(RecordOutcome::Stored {
                shard_id: self.map.shards()[shard].id.clone(),
                sequence_number: "1".into(),
            });
        }
        let back = now + self.latency();
        self.at(back, producer, Kind::Reply(slot));
    }
}
