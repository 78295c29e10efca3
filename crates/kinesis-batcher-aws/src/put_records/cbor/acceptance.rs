//! Whether an endpoint takes CBOR: the service does, an emulator or a proxy before it may not.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// What is known of one endpoint.
///
/// Until a request in CBOR succeeds, each is a trial. Once one has failed there is one at a time, so that an endpoint
/// that makes nothing of CBOR gets JSON meanwhile, and after three there is none.
#[derive(Debug, Default)]
pub(crate) struct Acceptance {
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Untried(Trials),
    Accepted,
    Refused,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Trials {
    under_way: usize,
    /// So many have failed, for a reason that may have been another.
    failures: u8,
    /// A request in JSON has succeeded since: if CBOR fails now, it is not because the service is down.
    json_succeeded: bool,
}

impl Default for State {
    fn default() -> Self {
        Self::Untried(Trials::default())
    }
}

/// A request that goes out in CBOR. One that is dropped without a word, as after a time-out, has failed.
#[derive(Debug)]
pub(crate) struct Attempt<'a> {
    acceptance: &'a Acceptance,
    is_trial: bool,
}

impl Acceptance {
    /// Whether a request may go out in CBOR.
    pub(crate) fn attempt(&self) -> Option<Attempt<'_>> {
        let is_trial = match &mut *self.lock() {
            State::Untried(trials) if trials.failures > 0 && trials.under_way > 0 => return None,
            State::Untried(trials) => {
                trials.under_way += 1;
                true
            }
            State::Accepted => false,
            State::Refused => return None,
        };
        Some(Attempt { acceptance: self, is_trial })
    }

    /// A request in JSON was taken.
    pub(crate) fn json_succeeded(&self) {
        if let State::Untried(trials) = &mut *self.lock() {
            trials.json_succeeded = true;
        }
    }

    fn refuse(&self) {
        if std::mem::replace(&mut *self.lock(), State::Refused) != State::Refused {
            tracing::info!("the endpoint does not take CBOR; it gets JSON from now on");
        }
    }

    /// A trial has come to its end; whether that makes one too many.
    fn end_trial(&self, failed: bool) -> bool {
        let State::Untried(trials) = &mut *self.lock() else { return false };
        trials.under_way -= 1;
        if failed && std::mem::take(&mut trials.json_succeeded) {
            trials.failures += 1;
        }
        trials.failures >= FAILURES_MAX
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attempt<'_> {
    /// Whether nothing in CBOR had succeeded when it began.
    pub(crate) fn is_trial(&self) -> bool {
        self.is_trial
    }

    /// It was taken.
    pub(crate) fn succeeded(mut self) {
        if std::mem::take(&mut self.is_trial) {
            let mut state = self.acceptance.lock();
            // One that was refused meanwhile counts for more.
            if matches!(*state, State::Untried(_)) {
                *state = State::Accepted;
            }
        }
    }

    /// It failed, and not because of CBOR.
    pub(crate) fn says_nothing(mut self) {
        if std::mem::take(&mut self.is_trial) {
            self.acceptance.end_trial(false);
        }
    }

    /// It was refused, and the same in JSON was not.
    pub(crate) fn refused(mut self) {
        self.is_trial = false;
        self.acceptance.refuse();
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if self.is_trial && self.acceptance.end_trial(true) {
            self.acceptance.refuse();
        }
    }
}

/// A request may meet a server that is down; three times, with one in JSON that succeeds before each, is no accident.
const FAILURES_MAX: u8 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_go_out_in_cbor_until_one_fails_and_then_one_at_a_time() {
        let acceptance = Acceptance::default();
        acceptance.json_succeeded();
        let trials: Vec<_> = (0..16).filter_map(|_| acceptance.attempt()).collect();
        assert!(trials.len() == 16 && trials.iter().all(Attempt::is_trial), "nothing is known against it");
        drop(trials);
        let trial = acceptance.attempt().expect("they failed together, which counts once");
        assert!(acceptance.attempt().is_none(), "one at a time from now on");
        trial.says_nothing();
        acceptance.attempt().expect("the next may try").succeeded();
        let (first, second) = (acceptance.attempt().unwrap(), acceptance.attempt().unwrap());
        assert!(!first.is_trial() && !second.is_trial(), "it is known to be taken");
    }

    #[test]
    fn what_was_taken_once_is_not_given_up_for_failures_that_may_have_other_reasons() {
        let acceptance = Acceptance::default();
        acceptance.attempt().unwrap().succeeded();
        for _ in 0..100 {
            acceptance.json_succeeded();
            drop(acceptance.attempt().expect("it goes on"));
        }
        acceptance.attempt().unwrap().refused();
        assert!(acceptance.attempt().is_none(), "a refusal counts at any time");
    }

    #[test]
    fn what_fails_while_json_fails_too_is_not_held_against_cbor() {
        let acceptance = Acceptance::default();
        for _ in 0..100 {
            drop(acceptance.attempt().expect("the service may be down"));
        }
    }

    #[test]
    fn trials_that_come_to_nothing_are_few() {
        let acceptance = Acceptance::default();
        let attempt = |_: &i32| {
            acceptance.json_succeeded();
            acceptance.attempt().is_some()
        };
        assert_eq!((0..100).filter(attempt).count(), usize::from(FAILURES_MAX));
    }

    #[test]
    fn a_refusal_stands_whatever_comes_of_trials_that_were_under_way() {
        let acceptance = Acceptance::default();
        let [first, second, third] = [(); 3].map(|()| acceptance.attempt().unwrap());
        first.refused();
        second.succeeded();
        third.says_nothing();
        assert!(acceptance.attempt().is_none());
    }
}
