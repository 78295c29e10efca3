//! I8: no record is sent more often than allowed, nor after its time to live, nor kept longer than that.
//!
//! A record that waits for an earlier one of its key is kept until that one is back from its flight.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use kinesis_batcher_core::{Event, FailureReason, HashKey, Ordering, RecordOutcome, Timestamp};
use kinesis_model::{Cause as Failure, Meaning, NOT_SENT};

use super::per_producer::PerProducer;
use super::{Breach, Checker, Invariant, Observation, RequestView, Scene, entry_failure};
use crate::window::Window;

/// Counts the attempts of each record and knows when it expires.
#[derive(Debug, Default)]
pub(super) struct AttemptsAndAge {
    records: Window<State>,
    producers: PerProducer<Producer>,
}

#[derive(Clone, Copy, Debug)]
struct State {
    expires_at: Timestamp,
    attempts: u32,
    in_flight: bool,
    /// It expired in flight.
    overdue: bool,
}

#[derive(Debug, Default)]
struct Producer {
    time_to_live: Option<Duration>,
    attempts_max: Option<u32>,
    /// Accepted records in the order in which they expire.
    by_age: VecDeque<u64>,
    /// Those that expired in flight and have come back.
    back: Vec<u64>,
    /// Those that expired behind one of their key that is on its way.
    parked: Vec<u64>,
    /// Where records of a key wait for each other: how many are on their way of each.
    keys_in_flight: Option<BTreeMap<HashKey, u32>>,
}

impl Checker for AttemptsAndAge {
    fn invariant(&self) -> Invariant {
        Invariant::I8
    }

    fn observe(&mut self, scene: &Scene<'_>, observation: &Observation<'_>) -> Result<(), Breach> {
        match *observation {
            Observation::Began { producer, batcher } => {
                let producer = self.producers.of(producer);
                producer.time_to_live = batcher.config().time_to_live();
                producer.attempts_max = batcher.config().attempts_max();
                let config = batcher.config();
                let is_by_key = config.ordering() != Ordering::None && !config.aggregation();
                producer.keys_in_flight = is_by_key.then(BTreeMap::new);
                Ok(())
            }
            Observation::Accepted { producer, record } => {
                self.accepted(scene, producer, record);
                Ok(())
            }
            Observation::Requested { producer, request, .. } => {
                self.producers.of(producer).key_leaves(scene, request.records.all());
                self.requested(scene, producer, request)
            }
            Observation::Answered { producer, request, outcome, meaning } => {
                self.producers.of(producer).key_comes_back(scene, request.records.all());
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
                        if state.overdue {
                            self.producers.of(producer).back.push(number);
                        }
                    }
                }
                Ok(())
            }
            Observation::Event { producer, event } => self.event(scene, producer, event),
            Observation::Settled { producer, .. } => self.settled(scene, producer),
            Observation::Crashed { held, .. } => {
                held.iter().for_each(|&number| _ = self.records.remove(number));
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl AttemptsAndAge {
    fn accepted(&mut self, scene: &Scene<'_>, producer: u32, number: u64) {
        let producer = self.producers.of(producer);
        let at = scene
            .ledger
            .record(number)
            .and_then(|facts| facts.accepted)
            .map_or(scene.clock, |accepted| accepted.at);
        let expires_at = producer.time_to_live.map_or(Timestamp::MAX, |time_to_live| at.after(time_to_live));
        self.records.insert(number, State { expires_at, attempts: 0, in_flight: false, overdue: false });
        if expires_at < Timestamp::MAX {
            producer.by_age.push_back(number);
        }
    }

    fn requested(
        &mut self,
        scene: &Scene<'_>,
        producer: u32,
        request: RequestView<'_>,
    ) -> Result<(), Breach> {
        let attempts_max = self.producers.of(producer).attempts_max;
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

    fn event(&mut self, scene: &Scene<'_>, producer: u32, event: &Event<u64>) -> Result<(), Breach> {
        let (number, told, reason) = match event {
            Event::Delivered { tag, receipt } => (*tag, receipt.attempts, None),
            Event::Failed { tag, failure, .. } => (*tag, failure.attempts, Some(&failure.reason)),
            _ => return Ok(()),
        };
        let Some(state) = self.records.remove(number) else { return Ok(()) };
        if state.in_flight {
            self.producers.of(producer).key_comes_back(scene, &[number]);
        }
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
            Some(FailureReason::AttemptsExhausted(_))
                if self.producers.of(producer).attempts_max.is_none_or(|max| told < max) =>
            {
                Err(Breach::of_record(
                    number,
                    format!("it was given up after {told} attempts; more were allowed"),
                ))
            }
            _ => Ok(()),
        }
    }

    /// Whatever has expired has ended, or is on its way.
    fn settled(&mut self, scene: &Scene<'_>, producer: u32) -> Result<(), Breach> {
        let producer = self.producers.of(producer);
        while let Some(&number) = producer.by_age.front() {
            match self.records.get_mut(number) {
                Some(state) if state.expires_at > scene.clock => break,
                Some(state) if state.in_flight => state.overdue = true,
                Some(_) if producer.waits(scene, number) => producer.parked.push(number),
                Some(state) => return Err(outlived(number, scene.clock, state)),
                None => {}
            }
            producer.by_age.pop_front();
        }
        for number in std::mem::take(&mut producer.parked) {
            if producer.waits(scene, number) {
                producer.parked.push(number);
            } else if self.records.get(number).is_some() {
                producer.back.push(number);
            }
        }
        for number in producer.back.drain(..) {
            if let Some(state) = self.records.get(number) {
                return Err(outlived(number, scene.clock, state));
            }
        }
        Ok(())
    }
}

impl Producer {
    fn waits(&self, scene: &Scene<'_>, number: u64) -> bool {
        let key = scene.ledger.record(number).map(|facts| facts.hash_key);
        self.keys_in_flight.as_ref().zip(key).is_some_and(|(keys, key)| keys.contains_key(&key))
    }

    fn key_leaves(&mut self, scene: &Scene<'_>, numbers: &[u64]) {
        let Some(keys) = &mut self.keys_in_flight else { return };
        for facts in numbers.iter().filter_map(|&number| scene.ledger.record(number)) {
            *keys.entry(facts.hash_key).or_default() += 1;
        }
    }

    fn key_comes_back(&mut self, scene: &Scene<'_>, numbers: &[u64]) {
        let Some(keys) = &mut self.keys_in_flight else { return };
        for facts in numbers.iter().filter_map(|&number| scene.ledger.record(number)) {
            match keys.get_mut(&facts.hash_key) {
                Some(count) if *count > 1 => *count -= 1,
                _ => _ = keys.remove(&facts.hash_key),
            }
        }
    }
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
