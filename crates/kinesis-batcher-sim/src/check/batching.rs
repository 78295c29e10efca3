//! A request goes when it is full or when a record in it is due, not before.

use std::collections::VecDeque;
use std::time::Duration;

use kinesis_batcher_core::{Batcher, Ordering, Timestamp};

use kinesis_model::Meaning;

use super::{Breach, Cause, Checker, Invariant, Observation, RequestView, Scene, tag_of};

/// Looks for requests that nothing called for.
///
/// Only the plain case is judged: that nothing queued has lingered, nor was flushed, nor is there enough for a full
/// request. Lanes that wait for limits, and the search for a record at fault, have other reasons.
#[derive(Debug, Default)]
pub(super) struct NothingGoesEarly {
    linger: Duration,
    queued: u64,
    queued_bytes: u64,
    /// Accepted records in order.
    by_age: VecDeque<u64>,
    /// Records accepted before this one were flushed.
    flushed_before: u64,
    /// Records accepted before this time may share an aggregate with one that was flushed: where order is kept, an
    /// aggregate grows while its shard waits.
    shares_until: Timestamp,
    keeps_order: bool,
    time_to_live: Option<Duration>,
    accepted: u64,
    /// A request went early, unless the call at hand turns out to be a flush: one of its records.
    early: Option<u64>,
    /// A request was rejected, or too large.
    searches: bool,
}

impl Checker for NothingGoesEarly {
    fn invariant(&self) -> Invariant {
        Invariant::Batching
    }

    fn observe(&mut self, scene: &Scene<'_>, observation: &Observation<'_>) -> Result<(), Breach> {
        match *observation {
            Observation::Began { batcher, .. } => {
                let config = batcher.config();
                self.linger = config.linger();
                self.keeps_order = config.ordering() != Ordering::None;
                self.time_to_live = config.time_to_live();
            }
            Observation::Accepted { record, .. } => {
                self.accepted += 1;
                self.add(bytes_of(scene, record));
                self.by_age.push_back(record);
            }
            Observation::Requested { request, batcher, .. } => {
                self.requested(scene, request, batcher);
            }
            Observation::Answered { request, meaning, .. } => {
                // Requests are smaller after one that was too large, and how small is not for this to know.
                self.searches |= meaning.is_some_and(Meaning::is_about_records);
                for facts in request.records.all().iter().filter_map(|&number| scene.ledger.record(number)) {
                    self.add(u64::from(facts.bytes));
                }
            }
            Observation::Event { event, .. } => {
                let facts = tag_of(event).and_then(|number| scene.ledger.record(number));
                if let Some(facts) = facts.filter(|facts| !facts.in_flight) {
                    self.take(u64::from(facts.bytes));
                }
            }
            Observation::Settled { cause, .. } => {
                let early = self.early.take();
                if matches!(cause, Cause::Flush | Cause::Close | Cause::Abort) {
                    self.flushed_before = self.accepted;
                    if self.keeps_order {
                        let time_to_live = self.time_to_live.unwrap_or(Duration::MAX);
                        self.shares_until = scene.clock.after(time_to_live);
                    }
                } else if let Some(number) = early {
                    let what = "it goes in a request that is neither full nor due";
                    return Err(Breach::of_record(number, what));
                }
            }
            _ => {}
        }
        Ok(())
    }
}

impl NothingGoesEarly {
    fn requested(&mut self, scene: &Scene<'_>, request: RequestView<'_>, batcher: &Batcher<u64>) {
        let config = batcher.config();
        let enough = self.queued >= config.request_records_max() as u64
            // What comes next may be too large for the rest, and aggregates have a frame.
            || self.queued_bytes * 2 >= config.request_bytes_max() as u64
            || config.aggregation()
                && self.queued_bytes + self.queued * FRAME_BYTES >= config.request_bytes_max() as u64
            || request.request.bytes() * 4 >= config.request_bytes_max();
        if !enough && !self.searches && self.early.is_none() {
            let is_due = |number: u64| {
                let facts = scene.ledger.record(number).and_then(|facts| facts.accepted);
                facts.is_none_or(|accepted| {
                    accepted.at.after(self.linger) <= scene.clock
                        || accepted.order < self.flushed_before
                        || accepted.at < self.shares_until
                })
            };
            while self.by_age.front().is_some_and(|&number| scene.ledger.record(number).is_none()) {
                self.by_age.pop_front();
            }
            let order = |number: &u64| scene.ledger.record(*number)?.accepted.map(|accepted| accepted.order);
            let waits = |number: &&u64| scene.ledger.record(**number).is_some_and(|facts| !facts.in_flight);
            // The oldest comes first, so that it decides for all.
            let others = self.by_age.iter().find(waits);
            let oldest = request.records.all().iter().chain(others).copied().min_by_key(order);
            self.early = oldest.filter(|&number| !is_due(number));
        }
        for facts in request.records.all().iter().filter_map(|&number| scene.ledger.record(number)) {
            self.take(u64::from(facts.bytes));
        }
    }
}

impl NothingGoesEarly {
    fn add(&mut self, bytes: u64) {
        self.queued += 1;
        self.queued_bytes += bytes;
    }

    fn take(&mut self, bytes: u64) {
        self.queued -= 1;
        self.queued_bytes -= bytes;
    }
}

fn bytes_of(scene: &Scene<'_>, number: u64) -> u64 {
    scene.ledger.record(number).map_or(0, |facts| u64::from(facts.bytes))
}

/// What aggregation adds to a record, at most: its share of magic number and checksum where two share an aggregate, and
/// the fields of its own.
const FRAME_BYTES: u64 = 32;
