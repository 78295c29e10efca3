//! What an operator should know of, told as `tracing` events without flooding anybody's log.

use std::time::Duration;

use kinesis_batcher_core::{ErrorCode, FailureReason, RequestError, ServiceError, Timestamp};

/// Keeps each kind of trouble to a line a second, which counts what happened since the line before.
///
/// Codes are told, messages are not: the service repeats keys in some of its messages.
#[derive(Debug, Default)]
pub(crate) struct Troubles {
    throttled: Quota,
    request_failed: Quota,
    record_failed: Quota,
}

/// A line to be logged, once the lock is released.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    Throttled { records: u64 },
    RequestFailed { requests: u64, code: ErrorCode, outcome_unknown: bool },
    RecordFailed { records: u64, reason: &'static str, code: Option<ErrorCode> },
}

impl Troubles {
    /// Shards throttled so many Kinesis records.
    pub(crate) fn throttled(&mut self, now: Timestamp, records: u64) -> Option<Trouble> {
        let records = self.throttled.spend(now, records)?;
        Some(Trouble::Throttled { records })
    }

    /// A whole request came to nothing.
    pub(crate) fn request_failed(&mut self, now: Timestamp, error: &RequestError) -> Option<Trouble> {
        let requests = self.request_failed.spend(now, 1)?;
        let (code, outcome_unknown) = (error.error().code().clone(), error.is_outcome_unknown());
        Some(Trouble::RequestFailed { requests, code, outcome_unknown })
    }

    /// A record was given up.
    pub(crate) fn record_failed(&mut self, now: Timestamp, reason: &FailureReason) -> Option<Trouble> {
        let records = self.record_failed.spend(now, 1)?;
        let (reason, error) = name(reason);
        Some(Trouble::RecordFailed { records, reason, code: error.map(|error| error.code().clone()) })
    }
}

impl Trouble {
    /// Logs it. Subscribers are not our code, so never under the lock.
    pub(crate) fn tell(self) {
        match self {
            Self::Throttled { records } => {
                tracing::warn!(records, "shards throttle; the records are sent again, more slowly");
            }
            Self::RequestFailed { requests, code, outcome_unknown } => {
                tracing::warn!(requests, %code, outcome_unknown, "requests fail");
            }
            Self::RecordFailed { records, reason, code: Some(code) } => {
                tracing::warn!(records, reason, %code, "records are given up");
            }
            Self::RecordFailed { records, reason, code: None } => {
                tracing::warn!(records, reason, "records are given up");
            }
        }
    }
}

/// So much of one kind has not been told, and nothing is told before then.
#[derive(Debug, Default)]
struct Quota {
    untold: u64,
    quiet_until: Timestamp,
}

impl Quota {
    /// Counts more of it, and gives all that is untold when it may be told.
    fn spend(&mut self, now: Timestamp, more: u64) -> Option<u64> {
        self.untold += more;
        if self.untold == 0 || now < self.quiet_until {
            return None;
        }
        self.quiet_until = now.after(QUIET);
        Some(std::mem::take(&mut self.untold))
    }
}

fn name(reason: &FailureReason) -> (&'static str, Option<&ServiceError>) {
    match reason {
        FailureReason::Expired { last_error } => ("expired", last_error.as_ref()),
        FailureReason::AttemptsExhausted(error) => ("attempts exhausted", Some(error)),
        FailureReason::Rejected(error) => ("rejected", Some(error)),
        FailureReason::Permanent(error) => ("permanent", Some(error)),
        FailureReason::TooLarge { .. } => ("too large", None),
        FailureReason::PartitionKeyMissing => ("partition key missing", None),
        FailureReason::OrderImpossible => ("order impossible", None),
        FailureReason::Aborted => ("aborted", None),
        _ => ("other", None),
    }
}

/// What a reader of logs can follow.
const QUIET: Duration = Duration::from_secs(1);

#[cfg(test)]
#[cfg(not(shuttle))]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_told_once_a_second_with_all_that_happened_since() {
        let mut troubles = Troubles::default();
        let at = Timestamp::from_millis;
        assert_eq!(troubles.throttled(at(0), 0), None, "nothing happened");
        assert_eq!(troubles.throttled(at(0), 5), Some(Trouble::Throttled { records: 5 }));
        assert_eq!(troubles.throttled(at(400), 5), None);
        assert_eq!(troubles.throttled(at(999), 2), None);
        let error = RequestError::refused(500, ServiceError::from_code("InternalFailure"));
        assert!(troubles.request_failed(at(999), &error).is_some(), "kinds do not silence each other");
        assert_eq!(troubles.throttled(at(1_000), 1), Some(Trouble::Throttled { records: 8 }));
    }
}
