//! After failures in a row, waits grow: an outage or a hot shard is not hammered.
//!
//! A single wait may be drawn from zero up, so it says nothing. Of a shard that refuses everything the sum of many is
//! bounded: after the first few, it is tried no more than about ten times a second.

use kinesis_batcher_core::{RequestError, Response, Timestamp};
use kinesis_model::{Cause as Failure, Meaning};

use super::by_shard::ByShard;
use super::{Breach, Checker, Invariant, Observation, RequestView, Scene, entry_failure, is_of_account};

/// Adds up waits after failures, of requests as a whole and of each shard.
#[derive(Debug, Default)]
pub(super) struct WaitsGrow {
    lanes: ByShard<Streak>,
    requests: Streak,
    in_flight: u64,
    /// Records fail at once for an error of the account, so that nothing waits for the next attempt.
    fails_fast: bool,
}

/// Failures in a row, and the waits between them.
#[derive(Clone, Debug, Default)]
struct Streak {
    failures: u32,
    waits: u32,
    waited_nanos: u64,
    /// Of those from the [`CEILING_AFTER`]th on.
    waited_late_nanos: u64,
    failed_at: Timestamp,
    /// Nothing was sent since the last failure.
    waiting: bool,
}

/// Waits in a row, and what they add up to at the least.
#[derive(Clone, Copy, Debug)]
struct Late {
    waits: u32,
    nanos_min: u64,
}

impl Checker for WaitsGrow {
    fn invariant(&self) -> Invariant {
        Invariant::Restraint
    }

    fn observe(&mut self, scene: &Scene<'_>, observation: &Observation<'_>) -> Result<(), Breach> {
        match *observation {
            Observation::Began { batcher, .. } => {
                self.lanes.refresh(batcher.shard_map(), Streak::default);
                self.fails_fast = batcher.config().fail_fast();
            }
            Observation::MapGiven { map, .. } => {
                self.lanes.refresh(map, Streak::default);
            }
            Observation::Requested { request, batcher, .. } => {
                let in_flight_max = batcher.config().in_flight_requests_max() as u64;
                return self.requested(scene, request, in_flight_max);
            }
            Observation::Answered { request, outcome, meaning, .. } => {
                self.answered(scene, request, outcome, meaning);
            }
            _ => {}
        }
        Ok(())
    }
}

impl WaitsGrow {
    fn requested(
        &mut self,
        scene: &Scene<'_>,
        request: RequestView<'_>,
        in_flight_max: u64,
    ) -> Result<(), Breach> {
        self.in_flight += 1;
        let allowed = in_flight_max.checked_shr(self.requests.failures).unwrap_or(0).max(1);
        if self.requests.failures > 0 && self.in_flight > allowed {
            let failures = self.requests.failures;
            let in_flight = self.in_flight;
            return Err(Breach::new(format!(
                "after {failures} failed requests in a row {in_flight} are on their way"
            )));
        }
        if let Some(waited) = self.requests.goes_on(scene.clock, REQUESTS_LATE) {
            return Err(Breach::new(format!(
                "{WAITS_MIN} failed requests in a row were followed in {waited} ms"
            )));
        }
        let mut before = None;
        for entry in request.sent() {
            let facts = entry.numbers.first().and_then(|&number| scene.ledger.record(number));
            let Some(facts) = facts else { continue };
            let place = self.lanes.place_of(facts.hash_key);
            if before.replace(place) == Some(place) {
                continue;
            }
            if let Some(waited) = self.lanes.at(place).goes_on(scene.clock, SHARD_LATE) {
                let what = format!(
                    "its shard refused {} times in a row, and was tried again in {waited} ms",
                    self.lanes.at(place).waits
                );
                return Err(Breach::of_record(entry.numbers[0], what));
            }
        }
        Ok(())
    }

    fn answered(
        &mut self,
        scene: &Scene<'_>,
        request: RequestView<'_>,
        outcome: &Result<Response, RequestError>,
        meaning: Option<Meaning>,
    ) {
        self.in_flight -= 1;
        match (outcome, meaning) {
            (Ok(response), None) => {
                if is_of_account(response) {
                    self.requests.fails(scene.clock, request.sent_at);
                } else {
                    self.requests = Streak::default();
                }
                self.each_answered(scene, request, response);
            }
            (_, Some(meaning)) if meaning.is_about_records() => {
                self.requests = Streak::default();
            }
            _ => {
                self.requests.fails(scene.clock, request.sent_at);
            }
        }
    }

    /// Each shard's records are neighbours in a request.
    fn each_answered(&mut self, scene: &Scene<'_>, request: RequestView<'_>, response: &Response) {
        let mut verdicts: Vec<(u32, bool, bool)> = Vec::new();
        for (entry, outcome) in request.sent().zip(&response.outcomes) {
            let facts = entry.numbers.first().and_then(|&number| scene.ledger.record(number));
            let Some(facts) = facts else { continue };
            let place = self.lanes.place_of(facts.hash_key);
            if verdicts.last().is_none_or(|&(last, ..)| last != place) {
                verdicts.push((place, false, false));
            }
            let Some((_, stored, failed)) = verdicts.last_mut() else { continue };
            match entry_failure(outcome) {
                None => *stored = true,
                Some(meaning) if meaning.cause == Failure::Rejected => {}
                Some(meaning) if self.fails_fast && meaning.is_about_the_account() => {}
                Some(_) => *failed = true,
            }
        }
        for (place, stored, failed) in verdicts {
            let lane = self.lanes.at(place);
            if stored {
                *lane = Streak::default();
            }
            if failed {
                lane.fails(scene.clock, request.sent_at);
            }
        }
    }
}

impl Streak {
    /// A failure counts once for all requests that were on their way when it was seen.
    fn fails(&mut self, clock: Timestamp, sent_at: Timestamp) {
        if self.failures > 0 && sent_at < self.failed_at {
            return;
        }
        self.failures += 1;
        self.failed_at = clock;
        self.waiting = true;
    }

    /// Something goes: gives the milliseconds waited so far if that is too little.
    fn goes_on(&mut self, clock: Timestamp, late: Late) -> Option<u64> {
        if !std::mem::take(&mut self.waiting) {
            return None;
        }
        self.waits += 1;
        let waited = clock.since(self.failed_at).as_nanos() as u64;
        self.waited_nanos += waited;
        if self.waits > CEILING_AFTER {
            self.waited_late_nanos += waited;
        }
        let is_short = self.waits >= WAITS_MIN && self.waited_nanos < WAITED_NANOS_MIN
            || self.waits == CEILING_AFTER + late.waits && self.waited_late_nanos < late.nanos_min;
        is_short.then_some(self.waited_nanos / 1_000_000)
    }
}

const WAITS_MIN: u32 = 8;
/// The volume of the corner in which eight such waits add up to less, by their ceilings: 8 × 10^-10.
const WAITED_NANOS_MIN: u64 = 100_000_000;
/// So many failures take the ceiling of a wait from 50 ms to 1 s.
const CEILING_AFTER: u32 = 5;
/// Twelve waits of up to a second add up to less in 6 × 10^-10 of all cases.
const REQUESTS_LATE: Late = Late { waits: 12, nanos_min: 900_000_000 };
/// So do as many of up to 300 ms.
const SHARD_LATE: Late = Late { waits: 48, nanos_min: 3_700_000_000 };

#[cfg(test)]
mod tests {
    use super::*;

    fn run(wait_millis: u64) -> bool {
        let mut streak = Streak::default();
        (0..12u64).any(|n| {
            let sent_at = Timestamp::from_millis(1_000 * n);
            streak.fails(Timestamp::from_millis(1_000 * n + 10), sent_at);
            streak.goes_on(Timestamp::from_millis(1_000 * n + 10 + wait_millis), SHARD_LATE).is_some()
        })
    }

    #[test]
    fn eight_failures_followed_at_once_are_found_and_waits_are_not() {
        assert!(run(0) && run(12), "eight waits of 12 ms are less than 100 ms");
        assert!(!run(13) && !run(500));
    }
}
