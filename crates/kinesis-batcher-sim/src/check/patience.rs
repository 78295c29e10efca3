//! What is repeated waits: requests for a map, retries after failures, aggregates whose place only a map explains.

use std::time::Duration;

use kinesis_batcher_core::{
    Batcher, Deadline, DeadlineReason, Event, Ordering, RecordOutcome, RequestError, Response, ShardMap,
    Timestamp,
};

use super::{Breach, Cause, Checker, Invariant, Observation, RequestView, Scene};
use crate::window::Window;

/// Watches the time between what a producer repeats.
#[derive(Debug, Default)]
pub(super) struct RepetitionsWait {
    map: Option<ShardMap>,
    keeps_order: bool,
    /// When a map was first asked for since the last one that differed, and how often since.
    map_asked: Option<(Timestamp, u32)>,
    /// When aggregates were stored by a shard that the present map does not have, by the number of their first record.
    unexplained: Window<Timestamp>,
    /// The waits after the last failures in a row, in nanoseconds.
    waits: Vec<u64>,
    /// A request failed in the call at hand.
    failed: bool,
    requests_in_flight: usize,
}

impl Checker for RepetitionsWait {
    fn invariant(&self) -> Invariant {
        Invariant::Restraint
    }

    fn observe(&mut self, scene: &Scene<'_>, observation: &Observation<'_>) -> Result<(), Breach> {
        match *observation {
            Observation::Began { batcher, .. } => {
                self.map = Some(batcher.shard_map().clone());
                self.keeps_order = batcher.config().ordering() != Ordering::None;
            }
            Observation::MapGiven { map, .. } => {
                if self.map.as_ref() != Some(map) {
                    self.map_asked = None;
                }
                self.map = Some(map.clone());
                self.unexplained = Window::default();
            }
            Observation::Requested { request, batcher, .. } => {
                self.requests_in_flight += 1;
                return self.requested(scene, request, batcher);
            }
            Observation::Answered { request, outcome, .. } => {
                self.requests_in_flight -= 1;
                self.answered(scene, request, outcome);
            }
            Observation::Event { event: Event::ShardMapStale, .. } => return self.asks(scene),
            Observation::Settled { cause: Cause::Response, deadline, .. } => {
                return self.settled(scene, deadline);
            }
            _ => {}
        }
        Ok(())
    }
}

impl RepetitionsWait {
    /// Two may come at once: the second is urged by many misrouted records.
    fn asks(&mut self, scene: &Scene<'_>) -> Result<(), Breach> {
        let (first_at, times) = self.map_asked.get_or_insert((scene.clock, 0));
        *times += 1;
        let since = scene.clock.since(*first_at);
        if since < MAP_ASKED_EVERY * times.saturating_sub(2) {
            return Err(Breach::new(format!("a map is asked for {times} times in {since:?}, and none came")));
        }
        Ok(())
    }

    fn requested(
        &self,
        scene: &Scene<'_>,
        request: RequestView<'_>,
        batcher: &Batcher<u64>,
    ) -> Result<(), Breach> {
        if self.keeps_order || batcher.is_closed() {
            return Ok(());
        }
        for sent in request.sent() {
            let Some(&stored_at) = sent.numbers.first().and_then(|&number| self.unexplained.get(number))
            else {
                continue;
            };
            let waited = scene.clock.since(stored_at);
            if waited < MAP_AWAITED_MIN {
                let what =
                    format!("an unknown shard stored it, and it goes again after {waited:?} without a map");
                return Err(Breach::of_record(sent.numbers[0], what));
            }
        }
        Ok(())
    }

    fn answered(
        &mut self,
        scene: &Scene<'_>,
        request: RequestView<'_>,
        outcome: &Result<Response, RequestError>,
    ) {
        match outcome {
            Err(_) => self.failed = true,
            Ok(response) => {
                self.waits.clear();
                let Some(map) = self.map.as_ref().filter(|map| !map.shards().is_empty()) else { return };
                if response.outcomes.len() != request.request.len() {
                    return;
                }
                for (sent, outcome) in request.sent().zip(&response.outcomes) {
                    if let RecordOutcome::Stored { shard_id, .. } = outcome
                        && sent.numbers.len() > 1
                        && !map.shards().iter().any(|shard| shard.id == *shard_id)
                    {
                        self.unexplained.insert(sent.numbers[0], scene.clock);
                    }
                }
            }
        }
    }

    /// Full jitter draws each wait anew: waits in a row that repeat or double to the nanosecond were not drawn.
    fn settled(&mut self, scene: &Scene<'_>, deadline: Option<Deadline>) -> Result<(), Breach> {
        if !std::mem::take(&mut self.failed) || self.requests_in_flight > 0 {
            return Ok(());
        }
        let is_wait =
            |deadline: &Deadline| deadline.reason == DeadlineReason::Backoff && deadline.at > scene.clock;
        let Some(deadline) = deadline.filter(is_wait) else { return Ok(()) };
        self.waits.push(deadline.at.since(scene.clock).as_nanos() as u64);
        self.waits.drain(..self.waits.len().saturating_sub(WAITS));
        let follows = |pair: &[u64]| pair[1] == pair[0] || pair[1] == 2 * pair[0];
        if self.waits.len() == WAITS && self.waits.windows(2).all(follows) {
            return Err(Breach::new(format!("the waits after failures are not drawn: {:?} ns", self.waits)));
        }
        Ok(())
    }
}

/// Waits in a row that are compared.
const WAITS: usize = 4;
/// Longer than it takes to list the shards of most streams.
const MAP_ASKED_EVERY: Duration = Duration::from_secs(1);
/// Much less than the time a listing takes to show a reshard, and more than what passes between two steps.
const MAP_AWAITED_MIN: Duration = Duration::from_secs(1);
