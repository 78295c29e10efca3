//! I8: no record is sent more often than allowed, nor after its time to live, nor kept longer than that.
//!
//! A record that waits for an earlier one of its key is kept until that one is back from its flight.

use std::collections::VecDeque;
use std::time::Duration;

use kinesis_batcher_core::{Event, FailureReason, Ordering, RecordOutcome, Timestamp};
use kinesis_model::{Cause as Failure, Meaning, NOT_SENT};

use super::{Breach, Checker, Invariant, Observation, RequestView, Scene, entry_failure};
use crate::ledger::RecordFacts;
use crate::window::Window;

#[derive(Clone, Copy, Debug)]
struct State {
    expires_at: Timestamp,
    attempts: u32,
    in_flight: bool,
}

/// Counts the attempts of each record and knows when it expires.
#[derive(Debug, Default)]
pub(super) struct AttemptsAndAge {
    records: Window<State>,
    time_to_live: Option<Duration>,
    attempts_max: Option<u32>,
    /// Accepted records in the order in which they expire.
    by_age: VecDeque<u64>,
    /// Those that expired while they, or one of their key, were on their way.
    late: Vec<u64>,
    /// Records of a key wait for each other.
    is_by_key: bool,
}

impl Checker for AttemptsAndAge {
    fn invariant(&self) -> Invariant {
        Invariant::I8
    }

    fn observe(&mut self, scene: &Scene<'_>, observation: &Observation<'_>) -> Result<(), Breach> {
        match *observation {
            Observation::Began { batcher, .. } => {
                self.time_to_live = batcher.config().time_to_live();
                self.attempts_max = batcher.config().attempts_max();
                let config = batcher.config();
                self.is_by_key = config.ordering() != Ordering::None && !config.aggregation();
                Ok(())
            }
            Observation::Accepted { record, .. } => {
                self.accepted(scene, record);
                Ok(())
            }
            Observation::Requested { request, .. } => self.requested(scene, request),
            Observation::Answered { request, outcome, meaning, .. } => {
                if let (Ok(response), None) = (outcome, meaning) {
                    for (index, outcome) in response.outcomes.iter().enumerate() {
                        for &number in
                            request.records.of_entry(index).iter().filter(|_| is_of_the_account(outcome))
                        {
                            if let Some(state) = self.records.get_mut(number) {
                                state.attempts -= 1;
                            }
                        }
                    }
                }
                // A request of one record that was rejected is about that record.
                let alone = request.request.len() == 1;
                let uncounted = meaning.is_some_and(|meaning| {
                    !(is_attempt(meaning) || alone && meaning.cause == Failure::Rejected)
                });
                for &number in request.records.all() {
                    if let Some(state) = self.records.get_mut(number) {
                        state.in_flight = false;
                        state.attempts -= u32::from(uncounted);
                    }
                }
                Ok(())
            }
            Observation::Event { event, .. } => self.event(scene, event),
            Observation::Settled { .. } => self.settled(scene),
            Observation::Crashed { held, .. } => {
                held.iter().for_each(|&number| _ = self.records.remove(number));
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl AttemptsAndAge {
    fn accepted(&mut self, scene: &Scene<'_>, number: u64) {
        let at = scene
            .ledger
            .record(number)
            .and_then(|facts| facts.accepted)
            .map_or(scene.clock, |accepted| accepted.at);
        let expires_at = self.time_to_live.map_or(Timestamp::MAX, |time_to_live| at.after(time_to_live));
        self.records.insert(number, State { expires_at, attempts: 0, in_flight: false });
        if expires_at < Timestamp::MAX {
            self.by_age.push_back(number);
        }
    }

    fn requested(&mut self, scene: &Scene<'_>, request: RequestView<'_>) -> Result<(), Breach> {
        let attempts_max = self.attempts_max;
        for &number in request.records.all() {
            let Some(state) = self.records.get_mut(number) else { continue };
            if state.in_flight {
                return Err(Breach::of_record(number, "it is sent while an earlier attempt is on its way"));
            }
            state.in_flight = true;
            state.attempts += 1;
            if attempts_max.is_some_and(|max| state.attempts > max) {
                return Err(Breach::of_record(
                    number,
                    format!("it is sent for the {}th time", state.attempts),
                ));
            }
            if state.expires_at <= scene.clock && state.expires_at < Timestamp::MAX {
                return Err(Breach::of_record(
                    number,
                    format!("it is sent at {:?} and expired at {:?}", scene.clock, state.expires_at),
                ));
            }
        }
        Ok(())
    }

    fn event(&mut self, scene: &Scene<'_>, event: &Event<u64>) -> Result<(), Breach> {
        let (number, told, reason) = match event {
            Event::Delivered { tag, receipt } => (*tag, receipt.attempts, None),
            Event::Failed { tag, failure, .. } => (*tag, failure.attempts, Some(&failure.reason)),
            _ => return Ok(()),
        };
        let Some(state) = self.records.remove(number) else { return Ok(()) };
        if told != state.attempts {
            let what = format!("it was sent {} times, and {told} times are told", state.attempts);
            return Err(Breach::of_record(number, what));
        }
        match reason {
            Some(FailureReason::Expired { .. }) if state.expires_at > scene.clock => Err(Breach::of_record(
                number,
                format!(
                    "it is said to be expired at {:?} and expires at {:?}",
                    scene.clock, state.expires_at
                ),
            )),
            Some(FailureReason::AttemptsExhausted(_)) if self.attempts_max.is_none_or(|max| told < max) => {
                Err(Breach::of_record(
                    number,
                    format!("it was given up after {told} attempts; more were allowed"),
                ))
            }
            _ => Ok(()),
        }
    }

    /// Whatever has expired has ended, or is on its way.
    fn settled(&mut self, scene: &Scene<'_>) -> Result<(), Breach> {
        while let Some(&number) = self.by_age.front() {
            match self.records.get(number) {
                Some(state) if state.expires_at > scene.clock => break,
                Some(_) => self.late.push(number),
                None => {}
            }
            self.by_age.pop_front();
        }
        for number in std::mem::take(&mut self.late) {
            let Some(state) = self.records.get(number) else { continue };
            if !(state.in_flight || self.is_by_key && key_is_in_flight(scene, number)) {
                return Err(outlived(number, scene.clock, state));
            }
            self.late.push(number);
        }
        Ok(())
    }
}

/// Whether a record of its producer and key is on its way.
fn key_is_in_flight(scene: &Scene<'_>, number: u64) -> bool {
    let Some(late) = scene.ledger.record(number) else { return false };
    let is_ahead = |facts: &RecordFacts| {
        facts.in_flight && (facts.producer, facts.hash_key) == (late.producer, late.hash_key)
    };
    scene.ledger.iter().any(|(_, facts)| is_ahead(facts))
}

fn outlived(number: u64, now: Timestamp, state: &State) -> Breach {
    Breach::of_record(number, format!("it expired at {:?} and is still held at {now:?}", state.expires_at))
}

/// Whether a request that was refused may have reached a shard.
fn is_attempt(meaning: Meaning) -> bool {
    matches!(meaning.cause, Failure::Throttled | Failure::Failure) && meaning != NOT_SENT
}

fn is_of_the_account(outcome: &RecordOutcome) -> bool {
    entry_failure(outcome).is_some_and(Meaning::is_about_the_account)
}
