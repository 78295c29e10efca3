//! I13: an error that says nothing about a record fails none, unless that was asked for. The producer holds: one probe
//! at a time, no more than one a second on average, and the next one within two seconds of the last.

use std::time::Duration;

use kinesis_batcher_core::{
    Batcher, Deadline, DeadlineReason, Event, FailureReason, RequestError, Response, Timestamp,
};

use kinesis_model::Meaning;

use super::{Breach, Checker, Invariant, Observation, Scene, is_of_account, tag_of};

/// Keeps its own account of whether each producer holds, from what it was answered.
#[derive(Debug, Default)]
pub(super) struct NoneFailsForAnother {
    fails_fast: bool,
    held: u64,
    /// Records accepted since everything was polled.
    accepted: u64,
    in_flight: u64,
    hold: Option<Spell>,
    /// The spell that ended for want of records since everything was polled.
    ended: Option<Spell>,
}

/// Refusals in a row.
#[derive(Clone, Copy, Debug)]
struct Spell {
    /// Probes count from here.
    since: Timestamp,
    probes: u64,
    /// When the last request failed, for whatever reason.
    failed_at: Timestamp,
}

/// What the answer to a request says of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// It can be written to.
    Open,
    /// It cannot, and that says nothing about a record.
    Refused,
    /// Nothing.
    Silent,
}

impl Checker for NoneFailsForAnother {
    fn invariant(&self) -> Invariant {
        Invariant::I13
    }

    fn observe(&mut self, scene: &Scene<'_>, observation: &Observation<'_>) -> Result<(), Breach> {
        match *observation {
            Observation::Began { batcher, .. } => {
                self.fails_fast = batcher.config().fail_fast();
                Ok(())
            }
            Observation::Requested { .. } => self.requested(scene.clock),
            Observation::Answered { outcome, meaning, .. } => {
                let verdict = Verdict::of(outcome, meaning);
                self.answered(scene.clock, verdict);
                Ok(())
            }
            Observation::Accepted { .. } => {
                self.held += 1;
                self.accepted += 1;
                Ok(())
            }
            Observation::Event { event, .. } => {
                if tag_of(event).is_some() {
                    // One too many is for I1 to find.
                    self.held = self.held.saturating_sub(1);
                    if self.held == 0 {
                        // There is nothing left to hold, unless a record came before the batcher looked.
                        self.ended = self.hold.take();
                    }
                }
                match event {
                    Event::Failed { tag, failure, .. } => self.failed(*tag, &failure.reason),
                    _ => Ok(()),
                }
            }
            Observation::Settled { batcher, deadline, .. } => self.settled(batcher, deadline),
            _ => Ok(()),
        }
    }
}

impl NoneFailsForAnother {
    fn requested(&mut self, clock: Timestamp) -> Result<(), Breach> {
        self.in_flight += 1;
        let Some(spell) = &mut self.hold else { return Ok(()) };
        spell.probes += 1;
        if self.in_flight > 1 {
            return Err(Breach::new(format!("it holds, and {} requests are on their way", self.in_flight)));
        }
        let held = clock.since(spell.since);
        if spell.probes > PROBES_FIRST + held.as_secs() {
            return Err(Breach::new(format!("it has held for {held:?}, with {} probes", spell.probes)));
        }
        Ok(())
    }

    fn answered(&mut self, clock: Timestamp, verdict: Verdict) {
        self.in_flight -= 1;
        match (verdict, &mut self.hold) {
            (Verdict::Open, hold) => *hold = None,
            (Verdict::Refused, Some(spell)) => spell.failed_at = clock,
            (Verdict::Refused, hold) => {
                *hold = Some(Spell { since: clock, probes: 0, failed_at: clock });
            }
            // Waits after such a failure are others, and they may be short.
            (Verdict::Silent, Some(spell)) => {
                *spell = Spell { since: clock, probes: 0, failed_at: clock };
            }
            (Verdict::Silent, None) => {}
        }
    }

    fn failed(&self, number: u64, reason: &FailureReason) -> Result<(), Breach> {
        let is_of_another = match reason {
            FailureReason::Permanent(_) => !self.fails_fast,
            FailureReason::AttemptsExhausted(error) => OF_ANOTHER.contains(&error.code().as_str()),
            // Only a proxy's refusals have no code here.
            FailureReason::Rejected(error) => {
                error.code().as_str().is_empty() || OF_ANOTHER.contains(&error.code().as_str())
            }
            _ => false,
        };
        if is_of_another {
            let what = format!("it failed for an error that says nothing about it: {reason:?}");
            return Err(Breach::of_record(number, what));
        }
        Ok(())
    }

    fn settled(&mut self, batcher: &Batcher<u64>, deadline: Option<Deadline>) -> Result<(), Breach> {
        // Of a program that polls late: all that was held ended before a record came.
        if std::mem::take(&mut self.accepted) >= self.held && batcher.hold().is_none() {
            self.hold = None;
        }
        let ended = self.ended.take().filter(|_| self.held > 0 && batcher.hold().is_some());
        self.hold = self.hold.or(ended);
        let (holds, says) = (self.hold.is_some(), batcher.hold().is_some());
        if holds != says {
            return Err(Breach::new(format!("it says {says} to whether it holds, where {holds} is right")));
        }
        if let (Some(spell), Some(deadline)) = (self.hold, deadline)
            && self.in_flight == 0
            && deadline.reason == DeadlineReason::Backoff
            && deadline.at > spell.failed_at.after(PROBE_WAIT_MAX)
        {
            let wait = deadline.at.since(spell.failed_at);
            return Err(Breach::new(format!("it holds, and the next probe goes {wait:?} after the last")));
        }
        Ok(())
    }
}

impl Verdict {
    fn of(outcome: &Result<Response, RequestError>, meaning: Option<Meaning>) -> Self {
        match (outcome, meaning) {
            (Ok(response), None) if is_of_account(response) => Self::Refused,
            (_, None) => Self::Open,
            (_, Some(meaning)) if meaning.is_about_the_account() => Self::Refused,
            (_, Some(meaning)) if meaning.is_about_records() => Self::Open,
            _ => Self::Silent,
        }
    }
}

/// By what the service says, not by what the batcher takes it for (S-41, S-42, S-45, S-47).
const OF_ANOTHER: [&str; 6] = [
    "ResourceNotFoundException",
    "AccessDeniedException",
    "KMSDisabledException",
    "ExpiredTokenException",
    "InvalidSignatureException",
    "UnrecognizedClientException",
];
/// The first waits are short, so that what heals at once costs nothing: 25 ms, then twice as long each time.
const PROBES_FIRST: u64 = 6;
const PROBE_WAIT_MAX: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether probes with this wait between them are found.
    fn is_found(wait_millis: u64) -> bool {
        let mut producer = NoneFailsForAnother::default();
        (1..=30).any(|n| {
            let now = Timestamp::from_millis(n * wait_millis);
            let found = producer.requested(now).is_err();
            producer.answered(now, Verdict::Refused);
            found
        })
    }

    #[test]
    fn more_than_a_probe_a_second_is_found() {
        assert!(is_found(500) && is_found(700));
        assert!(!is_found(1_000) && !is_found(2_000));
    }

    #[test]
    fn a_failure_for_the_account_is_found_unless_it_was_asked_for() {
        use kinesis_batcher_core::ServiceError;
        let reason = FailureReason::Permanent(ServiceError::from_code("KMSDisabledException"));
        let mut producer = NoneFailsForAnother::default();
        assert!(producer.failed(7, &reason).is_err());
        producer.fails_fast = true;
        assert!(producer.failed(7, &reason).is_ok());
    }
}
