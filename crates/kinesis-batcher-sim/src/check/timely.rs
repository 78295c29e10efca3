//! A request takes all that may go with it, an aggregate all that fits into it, and a record goes when it is due.
//!
//! Only an undisturbed producer without limits of its own on shards is judged: none of its requests failed, no shard
//! changed, no order of keys is kept, and nothing expires. Then only linger, the number of requests in flight and their
//! steps delay a record. The steps are at most 10 ms (docs/DESIGN.md).

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use kinesis_batcher_core::{Batcher, Config, Deadline, Event, Ordering, ShardLimit, ShardMap, Timestamp};

use super::{Breach, Cause, Checker, Invariant, Observation, RequestView, Scene, is_stored_as_predicted};
use crate::ledger::Ledger;

/// Watches undisturbed producers.
#[derive(Debug, Default)]
pub(super) struct NothingGoesLate {
    map: Option<ShardMap>,
    is_judged: bool,
    /// Buffered records in the order of their acceptance; some have ended or are in flight.
    by_age: VecDeque<u64>,
    /// Records accepted before this one were flushed.
    flushed_before: u64,
    accepted: u64,
    requests_in_flight: usize,
    /// Bytes of the largest record so far.
    largest: usize,
    /// No request was full, and nothing was flushed, so that no closed aggregate was left behind.
    closes_all: bool,
}

impl Checker for NothingGoesLate {
    fn invariant(&self) -> Invariant {
        Invariant::Batching
    }

    fn observe(&mut self, scene: &Scene<'_>, observation: &Observation<'_>) -> Result<(), Breach> {
        match *observation {
            Observation::Began { batcher, .. } => {
                let config = batcher.config();
                self.map = Some(batcher.shard_map().clone());
                self.closes_all = true;
                self.is_judged = config.shard_limit() == ShardLimit::Off
                    && config.ordering() == Ordering::None
                    && config.time_to_live().is_none_or(|time_to_live| time_to_live > TIME_TO_LIVE_MIN)
                    && !batcher.shard_map().is_unknown();
            }
            Observation::Accepted { record, .. } => {
                let facts = scene.ledger.record(record);
                self.accepted += 1;
                self.forget_ended(scene.ledger);
                self.by_age.push_back(record);
                self.largest = self.largest.max(facts.map_or(0, |facts| facts.bytes as usize));
                // It goes by itself, and ends the aggregate before it.
                self.is_judged &= facts.is_none_or(|facts| !facts.is_aggregate);
            }
            Observation::Requested { request, batcher, .. } => {
                return self.requested(scene, request, batcher.config());
            }
            Observation::Answered { request, outcome, .. } => {
                self.requests_in_flight -= 1;
                // Otherwise all of its records are delivered in this call.
                self.is_judged &=
                    self.map.as_ref().is_some_and(|map| is_stored_as_predicted(map, scene, request, outcome));
            }
            Observation::MapGiven { map, .. } => {
                self.is_judged &= self.map.as_ref() == Some(map);
            }
            Observation::Event { event, .. } => {
                self.is_judged &= !matches!(event, Event::Failed { .. });
            }
            Observation::Settled { cause, batcher, deadline, .. } => {
                return self.settled(scene, cause, batcher, deadline);
            }
            _ => {}
        }
        Ok(())
    }
}

impl NothingGoesLate {
    fn requested(
        &mut self,
        scene: &Scene<'_>,
        request: RequestView<'_>,
        config: &Config,
    ) -> Result<(), Breach> {
        self.requests_in_flight += 1;
        if !self.is_judged {
            return Ok(());
        }
        if config.aggregation() && self.closes_all {
            self.judge_aggregates(scene, request, config)?;
        }
        // What comes next is at most an aggregate, or the largest record there is.
        let next = self.largest.max(if config.aggregation() { config.aggregate_bytes_max() } else { 0 });
        let has_room = request.request.len() < config.request_records_max()
            && request.request.bytes() + next + FRAME_BYTES <= config.request_bytes_max();
        if !has_room {
            self.closes_all = false;
            return Ok(());
        }
        let shards: BTreeSet<usize> =
            request.sent().filter_map(|sent| self.shard_of(scene, sent.numbers)).collect();
        self.forget_ended(scene.ledger);
        for &number in self.by_age.iter().filter(|&&number| waits(scene.ledger, number)) {
            let is_of_these = self.shard_of(scene, &[number]).is_some_and(|shard| shards.contains(&shard));
            // Records that share an aggregate may wait for others, each for as long as it lingers.
            let may_wait = config.aggregation()
                && self.due_at(scene, number, config.linger()).is_none_or(|due_at| due_at > scene.clock);
            if is_of_these && !may_wait {
                let what =
                    format!("it stays behind when a request of {} records goes", request.request.len());
                return Err(Breach::of_record(number, what));
            }
        }
        Ok(())
    }

    fn settled(
        &mut self,
        scene: &Scene<'_>,
        cause: Cause,
        batcher: &Batcher<u64>,
        deadline: Option<Deadline>,
    ) -> Result<(), Breach> {
        if matches!(cause, Cause::Flush | Cause::Close | Cause::Abort) {
            self.flushed_before = self.accepted;
            self.closes_all = false;
        }
        let config = batcher.config();
        if !self.is_judged || self.requests_in_flight >= config.in_flight_requests_max() {
            return Ok(());
        }
        self.forget_ended(scene.ledger);
        let oldest = self.by_age.iter().copied().find(|&number| waits(scene.ledger, number));
        let Some(oldest) = oldest else { return Ok(()) };
        let Some(due_at) = self.due_at(scene, oldest, config.linger()) else { return Ok(()) };
        let latest = due_at.max(scene.clock).after(STEP_MAX);
        match deadline {
            Some(deadline) if deadline.at <= latest => Ok(()),
            Some(deadline) => {
                let what =
                    format!("it is due at {due_at:?}, and nothing is to be done before {:?}", deadline.at);
                Err(Breach::of_record(oldest, what))
            }
            None => Err(Breach::of_record(oldest, "it waits, and there is no deadline")),
        }
    }
}

impl NothingGoesLate {
    fn forget_ended(&mut self, ledger: &Ledger) {
        while self.by_age.front().is_some_and(|&number| ledger.record(number).is_none()) {
            self.by_age.pop_front();
        }
    }

    /// When the record has lingered, or was flushed.
    fn due_at(&self, scene: &Scene<'_>, number: u64, linger: Duration) -> Option<Timestamp> {
        let accepted = scene.ledger.record(number)?.accepted?;
        let is_flushed = accepted.order < self.flushed_before;
        Some(if is_flushed { accepted.at } else { accepted.at.after(linger) })
    }

    /// The index of the shard that these records belong to; 0 where shards are not known.
    fn shard_of(&self, scene: &Scene<'_>, numbers: &[u64]) -> Option<usize> {
        let facts = numbers.first().and_then(|&number| scene.ledger.record(number))?;
        Some(self.map.as_ref()?.index_of(facts.hash_key))
    }

    /// Of two aggregates of a shard that follow each other, the second begins because the first is full.
    fn judge_aggregates(
        &self,
        scene: &Scene<'_>,
        request: RequestView<'_>,
        config: &Config,
    ) -> Result<(), Breach> {
        let Some(map) = self.map.as_ref().filter(|map| !map.shards().is_empty()) else { return Ok(()) };
        let bytes_max =
            config.aggregate_bytes_max().min(map.record_bytes_max()).min(config.request_bytes_max());
        let mut before: Option<Neighbour> = None;
        for sent in request.sent() {
            let Some(shard) = self.shard_of(scene, sent.numbers) else { return Ok(()) };
            let Some(oldest) = scene.ledger.record(sent.numbers[0]).and_then(|facts| facts.accepted) else {
                return Ok(());
            };
            let entry = Neighbour {
                shard,
                records: sent.numbers.len(),
                bytes: sent.bytes() + sent.numbers.len() * FRAME_BYTES,
                accepted_at: oldest.at,
            };
            if let Some(last) = &before
                && last.shard == shard
                && last.records + entry.records <= config.aggregate_records_max()
                && last.bytes + entry.bytes <= bytes_max
                && entry.accepted_at < last.accepted_at.after(config.linger().max(SPAN_MIN))
            {
                let what =
                    format!("it begins an aggregate where the one before has only {} records", last.records);
                return Err(Breach::of_record(sent.numbers[0], what));
            }
            before = Some(entry);
        }
        Ok(())
    }
}

/// Of an undisturbed producer, what is stored has come back, and its end may be told after the next requests.
fn waits(ledger: &Ledger, number: u64) -> bool {
    ledger.record(number).is_some_and(|facts| !facts.in_flight) && !ledger.is_stored(number)
}

/// A Kinesis record and what decides whether the next one could have joined it.
struct Neighbour {
    shard: usize,
    records: usize,
    bytes: usize,
    accepted_at: Timestamp,
}

/// More than the steps between requests that are not full.
const STEP_MAX: Duration = Duration::from_millis(12);
/// More than what aggregation adds to a record.
const FRAME_BYTES: usize = 64;
/// Records that are accepted within this time may share an aggregate, however short the linger.
const SPAN_MIN: Duration = Duration::from_millis(100);
/// Longer than an undisturbed run.
const TIME_TO_LIVE_MIN: Duration = Duration::from_secs(60);
