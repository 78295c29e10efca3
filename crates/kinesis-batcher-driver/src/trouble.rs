//! What an operator should know of, told as `tracing` events without flooding anybody's log.

use std::time::Duration;

use kinesis_batcher_core::{
    ErrorClass, ErrorCode, FailureReason, Hold, RequestError, ServiceError, Timestamp,
};

/// Keeps each kind of trouble to a line a second, which counts what happened since the line before.
///
/// A message is logged where it comes from the transport, or says why the stream cannot be written to. The service
/// repeats keys in others.
#[derive(Debug, Default)]
pub(crate) struct Troubles {
    held: Quota,
    /// The code of the hold that was logged last, and since when it lasts.
    hold: Option<(ErrorCode, Timestamp)>,
    aggregation_suspended: bool,
    throttled: Quota,
    request_failed: Quota,
    record_failed: Quota,
}

/// A line to be logged, once the lock is released.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    Throttled { records: u64 },
    RequestFailed { requests: u64, error: ServiceError, is_local: bool, outcome_unknown: bool },
    Held { error: ServiceError },
    Resumed { after: Duration },
    AggregationSuspended,
    AggregationResumed,
    RecordFailed { records: u64, reason: &'static str, code: Option<ErrorCode> },
}

impl Troubles {
    /// Shards throttled so many Kinesis records.
    pub(crate) fn throttled(&mut self, now: Timestamp, records: u64) -> Option<Trouble> {
        let records = self.throttled.spend(now, records)?;
        Some(Trouble::Throttled { records })
    }

    /// A whole request failed. One that begins or continues a hold is logged with the hold.
    pub(crate) fn request_failed(&mut self, now: Timestamp, error: &RequestError) -> Option<Trouble> {
        if matches!(error.class(), ErrorClass::Account | ErrorClass::Credentials) {
            return None;
        }
        let requests = self.request_failed.spend(now, 1)?;
        Some(Trouble::RequestFailed {
            requests,
            error: error.error().clone(),
            is_local: ["NotSent", "OutcomeUnknown"].contains(&error.error().code().as_str()),
            outcome_unknown: error.is_outcome_unknown(),
        })
    }

    /// The producer holds its records for this reason, or does not; a record was stored last at `stored_at`. Each hold
    /// is one line, and its end another unless it ended for want of records.
    pub(crate) fn hold(
        &mut self,
        now: Timestamp,
        hold: Option<&Hold>,
        stored_at: Option<Timestamp>,
    ) -> Option<Trouble> {
        match (hold, &self.hold) {
            (Some(hold), Some((code, since))) if (hold.error.code(), hold.since) == (code, *since) => None,
            (Some(hold), _) => {
                self.held.spend(now, 1)?;
                self.hold = Some((hold.error.code().clone(), hold.since));
                Some(Trouble::Held { error: hold.error.clone() })
            }
            (None, _) => {
                let (_, since) = self.hold.take()?;
                (stored_at >= Some(since)).then(|| Trouble::Resumed { after: now.since(since) })
            }
        }
    }

    /// Whether aggregation was asked for and is off because of the stream's record distribution.
    pub(crate) fn aggregation(&mut self, suspended: bool) -> Option<Trouble> {
        if std::mem::replace(&mut self.aggregation_suspended, suspended) == suspended {
            return None;
        }
        Some(if suspended { Trouble::AggregationSuspended } else { Trouble::AggregationResumed })
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
            Self::RequestFailed { requests, error, is_local, outcome_unknown } => {
                let (code, request_id) = (error.code(), error.request_id());
                let message = if is_local { error.message() } else { "" };
                tracing::warn!(requests, %code, error = message, request_id, outcome_unknown, "requests fail");
            }
            Self::Held { error } => {
                let (code, request_id) = (error.code(), error.request_id());
                tracing::warn!(
                    target: STATE,
                    %code,
                    error = error.message(),
                    request_id,
                    "the stream cannot be written to; records are held until it can"
                );
            }
            Self::Resumed { after } => {
                tracing::info!(target: STATE, ?after, "the stream can be written to again");
            }
            Self::AggregationSuspended => {
                tracing::warn!(
                    target: STATE,
                    "the stream has AUTO record distribution, where consumers drop aggregates; aggregation is off"
                );
            }
            Self::AggregationResumed => {
                tracing::info!(target: STATE, "the stream distributes records by partition key; aggregation is on");
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

/// Where changes of the producer's state are logged: a program that shows them in its own words can switch it off.
const STATE: &str = "kinesis_batcher_driver::state";

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

    #[test]
    fn aggregation_is_logged_when_it_changes() {
        let mut troubles = Troubles::default();
        assert_eq!(troubles.aggregation(false), None);
        assert_eq!(troubles.aggregation(true), Some(Trouble::AggregationSuspended));
        assert_eq!(troubles.aggregation(true), None);
        assert_eq!(troubles.aggregation(false), Some(Trouble::AggregationResumed));
    }
}
