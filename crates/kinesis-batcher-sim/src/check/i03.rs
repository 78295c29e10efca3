//! I3: in any window a shard is sent at most its burst, plus its rate times the window, plus one record.
//!
//! For a burst of `b` and a rate of `r`, "at most `b + r × window` in every window" holds exactly if a bucket that
//! leaks at `r` never holds more than `b` when a record is added. The checker keeps that bucket, in the time it takes to leak. What the
//! service is known not to have stored is taken off by leaking the rest of the history anew.

use std::collections::VecDeque;
use std::time::Duration;

use kinesis_batcher_core::{Config, ShardLimit, ShardMap};
use kinesis_model::limits::{SHARD_BYTES_PER_SECOND, SHARD_RECORDS_PER_SECOND};

use super::by_shard::ByShard;
use super::{Breach, Checker, Invariant, Observation, RequestView, Scene};
use crate::window::Window;

/// Keeps the account of each shard for each producer.
#[derive(Debug, Default)]
pub(super) struct ShardWindows {
    shards: ByShard<Lane>,
    /// The lanes that each request on its way draws on.
    on_their_way: Window<Vec<u32>>,
}

/// What a shard may be sent a second: the producer's share of its limits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rates {
    records: u64,
    bytes: u64,
}

#[derive(Clone, Debug)]
struct Lane {
    /// What was sent before `sent`, and is settled.
    settled: Leak,
    /// What was sent since the oldest request that may still turn out not to be stored, oldest first.
    sent: VecDeque<Sent>,
    now: Leak,
}

/// A run of records of one request.
#[derive(Clone, Debug)]
struct Sent {
    request: u64,
    at: u64,
    records_cost: u64,
    bytes_cost: u64,
    is_settled: bool,
}

/// When each bucket will have leaked empty, in nanoseconds.
#[derive(Clone, Copy, Debug)]
struct Leak {
    records_until: u64,
    bytes_until: u64,
}

impl Checker for ShardWindows {
    fn invariant(&self) -> Invariant {
        Invariant::I3
    }

    fn observe(&mut self, scene: &Scene<'_>, observation: &Observation<'_>) -> Result<(), Breach> {
        match *observation {
            Observation::Began { batcher, .. } => {
                self.shards.refresh(batcher.shard_map(), || Lane::new(0));
                Ok(())
            }
            Observation::Requested { request, batcher, .. } => {
                let Some(rates) = Rates::of(batcher.config(), batcher.shard_map()) else { return Ok(()) };
                let mut places = Vec::new();
                let sent = sent(&mut self.shards, rates, scene, request, &mut places);
                self.on_their_way.insert(request.number, places);
                sent
            }
            Observation::Answered { request, meaning, .. } => {
                let not_stored = meaning.is_some_and(|meaning| !meaning.leaves_doubt());
                let lanes = &mut self.shards;
                for place in self.on_their_way.remove(request.number).unwrap_or_default() {
                    lanes.at(place).settle(request.number, not_stored);
                }
                Ok(())
            }
            Observation::MapGiven { map, .. } => {
                let now = scene.clock.as_nanos();
                self.shards.refresh(map, || Lane::new(now + BURST_NANOS));
                Ok(())
            }
            Observation::Crashed { requests, .. } => {
                requests.iter().for_each(|&number| _ = self.on_their_way.remove(number));
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// Counts a request, run by run.
fn sent(
    lanes: &mut ByShard<Lane>,
    rates: Rates,
    scene: &Scene<'_>,
    request: RequestView<'_>,
    places: &mut Vec<u32>,
) -> Result<(), Breach> {
    let now = scene.clock.as_nanos();
    for entry in request.sent() {
        let Some(&number) = entry.numbers.first() else { continue };
        let known =
            entry.explicit_hash_key.or_else(|| scene.ledger.record(number).map(|facts| facts.hash_key));
        let Some(key) = known else { continue };
        let place = lanes.place_of(key);
        if !places.contains(&place) {
            places.push(place);
        }
        let bytes = entry.bytes() as u64;
        let [records_cost, bytes_cost] = rates.costs(bytes);
        let lane = lanes.at(place);
        let before = lane.now;
        lane.take(request.number, now, records_cost, bytes_cost);
        check(before.records_until, now).map_err(|over| over.breach(number, "records", rates.records))?;
        check(before.bytes_until, now).map_err(|over| over.breach(number, "bytes", rates.bytes))?;
    }
    Ok(())
}

/// How far a bucket is above what it may hold.
struct Over(Duration);

impl Over {
    fn breach(&self, number: u64, unit: &str, rate: u64) -> Breach {
        let Self(over) = self;
        Breach::of_record(
            number,
            format!("its shard is sent {over:?} more of {unit} than {rate}/s and a burst allow"),
        )
    }
}

fn check(before: u64, now: u64) -> Result<(), Over> {
    let over = before.saturating_sub(now + BURST_NANOS);
    if over == 0 { Ok(()) } else { Err(Over(Duration::from_nanos(over))) }
}

impl Lane {
    fn new(until: u64) -> Self {
        let leak = Leak { records_until: until, bytes_until: until };
        Self { settled: leak, sent: VecDeque::new(), now: leak }
    }

    fn take(&mut self, request: u64, at: u64, records_cost: u64, bytes_cost: u64) {
        self.now.take(at, records_cost, bytes_cost);
        match self.sent.back_mut() {
            Some(last) if last.request == request => {
                last.records_cost += records_cost;
                last.bytes_cost += bytes_cost;
            }
            _ => self.sent.push_back(Sent { request, at, records_cost, bytes_cost, is_settled: false }),
        }
    }

    fn settle(&mut self, request: u64, not_stored: bool) {
        for sent in self.sent.iter_mut().filter(|sent| sent.request == request) {
            sent.is_settled = true;
            if not_stored {
                (sent.records_cost, sent.bytes_cost) = (0, 0);
            }
        }
        if not_stored {
            self.now = self.settled;
            for sent in &self.sent {
                self.now.take_again(sent);
            }
        }
        while self.sent.front().is_some_and(|sent| sent.is_settled) {
            let Some(sent) = self.sent.pop_front() else { break };
            self.settled.take_again(&sent);
        }
    }
}

impl Leak {
    fn take(&mut self, at: u64, records_cost: u64, bytes_cost: u64) {
        self.records_until = self.records_until.max(at) + records_cost;
        self.bytes_until = self.bytes_until.max(at) + bytes_cost;
    }

    fn take_again(&mut self, sent: &Sent) {
        // What was taken off does not even lift an empty bucket to its time.
        if sent.records_cost > 0 {
            self.take(sent.at, sent.records_cost, sent.bytes_cost);
        }
    }
}

impl Rates {
    /// The configured share of the service's limits. A batcher that adapts may stay below it, never above.
    pub(super) fn of(config: &Config, map: &ShardMap) -> Option<Self> {
        let shards = if map.shards().is_empty() { u64::from(map.open_shards()) } else { 1 };
        let ShardLimit::Percent(share) = config.shard_limit() else { return None };
        let share = u64::from(share);
        let of = |limit: u32| (u64::from(limit) * shards * share / 100).max(1);
        Some(Self { records: of(SHARD_RECORDS_PER_SECOND), bytes: of(SHARD_BYTES_PER_SECOND) })
    }

    /// What a Kinesis record takes of both, in nanoseconds.
    pub(super) fn costs(self, bytes: u64) -> [u64; 2] {
        [NANOS_PER_SECOND / self.records, bytes * NANOS_PER_SECOND / self.bytes]
    }
}

/// What may be sent at once, by the core's documentation of I3: a fifth of a second's worth.
pub(super) const BURST_NANOS: u64 = NANOS_PER_SECOND / 5;
const NANOS_PER_SECOND: u64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use kinesis_batcher_core::Timestamp;

    use super::*;

    fn ms(millis: u64) -> u64 {
        Timestamp::from_millis(millis).as_nanos()
    }

    #[test]
    fn a_burst_and_one_record_pass_and_one_more_does_not() {
        let mut lane = Lane::new(0);
        for _ in 0..=200 {
            assert!(check(lane.now.records_until, ms(1_000)).is_ok());
            lane.take(0, ms(1_000), ms(1), 0);
        }
        assert!(check(lane.now.records_until, ms(1_000)).is_err(), "202 of 1,000/s at once");
        assert!(check(lane.now.records_until, ms(1_001)).is_ok(), "a millisecond later they are well");
    }

    #[test]
    fn what_was_not_stored_is_taken_off_exactly_once() {
        let mut lane = Lane::new(0);
        lane.take(0, ms(0), ms(100), 0);
        lane.take(1, ms(50), ms(100), 0);
        lane.take(2, ms(60), ms(50), 0);
        assert_eq!(lane.now.records_until, ms(250));
        lane.settle(1, true);
        assert_eq!(lane.now.records_until, ms(150), "the middle one is gone");
        lane.settle(0, true);
        assert_eq!(lane.now.records_until, ms(110), "the last one alone, from its own time on");
        lane.settle(2, false);
        assert!(lane.sent.is_empty() && lane.settled.records_until == ms(110));
    }
}
