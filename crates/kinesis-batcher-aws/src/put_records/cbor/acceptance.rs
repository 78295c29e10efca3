//! Whether an endpoint takes CBOR: the service does, an emulator or a proxy before it may not.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// What is known of one endpoint.
///
/// One request at a time is sent in CBOR as a trial until the first of them succeeds. So an endpoint that makes nothing
/// of CBOR gets to see a request or two of it and no more, and goes on getting JSON meanwhile.
#[derive(Debug, Default)]
pub(crate) struct Acceptance {
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// So many trials have failed, for a reason that may have been another.
    Untried {
        failures: u8,
    },
    OnTrial {
        failures: u8,
    },
    Accepted,
    Refused,
}

impl Default for State {
    fn default() -> Self {
        Self::Untried { failures: 0 }
    }
}

/// A request that goes out in CBOR. One that is dropped without a word, as after a time-out, has failed.
#[derive(Debug)]
pub(crate) struct Attempt<'a> {
    acceptance: &'a Acceptance,
    /// The failures before, if it is a trial.
    trial: Option<u8>,
}

impl Acceptance {
    /// Whether a request may go out in CBOR.
    pub(crate) fn attempt(&self) -> Option<Attempt<'_>> {
        let mut state = self.lock();
        let trial = match *state {
            State::Untried { failures } => {
                *state = State::OnTrial { failures };
                Some(failures)
            }
            State::Accepted => None,
            State::OnTrial { .. } | State::Refused => return None,
        };
        Some(Attempt { acceptance: self, trial })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attempt<'_> {
    /// Whether nothing in CBOR has succeeded yet.
    pub(crate) fn is_trial(&self) -> bool {
        self.trial.is_some()
    }

    /// It was taken.
    pub(crate) fn succeeded(mut self) {
        if self.trial.take().is_some() {
            *self.acceptance.lock() = State::Accepted;
        }
    }

    /// It failed, and not because of CBOR.
    pub(crate) fn says_nothing(mut self) {
        if let Some(failures) = self.trial.take() {
            *self.acceptance.lock() = State::Untried { failures };
        }
    }

    /// It was refused, and the same in JSON was not.
    pub(crate) fn refused(mut self) {
        self.trial = None;
        self.acceptance.refuse();
    }
}

impl Acceptance {
    fn refuse(&self) {
        if std::mem::replace(&mut *self.lock(), State::Refused) != State::Refused {
            tracing::info!("the endpoint does not take CBOR; it gets JSON from now on");
        }
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        let Some(failures) = self.trial else { return };
        if failures + 1 < FAILURES_MAX {
            *self.acceptance.lock() = State::Untried { failures: failures + 1 };
        } else {
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
    fn one_request_is_on_trial_until_one_has_succeeded() {
        let acceptance = Acceptance::default();
        let trial = acceptance.attempt().expect("nothing is known against it");
        assert!(trial.is_trial());
        assert!(acceptance.attempt().is_none(), "one at a time");
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
            drop(acceptance.attempt().expect("it goes on"));
        }
        acceptance.attempt().unwrap().refused();
        assert!(acceptance.attempt().is_none(), "a refusal counts at any time");
    }

    #[test]
    fn trials_that_come_to_nothing_are_few() {
        let acceptance = Acceptance::default();
        let trials = (0..100).filter(|_| acceptance.attempt().is_some()).count();
        assert_eq!(trials, usize::from(FAILURES_MAX));
    }
}
