//! Why a record was not delivered.

use std::fmt;

use kinesis_batcher_core::{Failure, FailureReason, PushErrorReason, ServiceError};

/// The kinds of reasons the end of a run counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Larger than a record may be.
    TooLarge,
    /// `--format ndjson`, and the line is not JSON.
    NotJson,
    /// No partition key can be taken from it, or one the service does not take.
    NoKey,
    /// The service, or the producer, will never take it.
    Rejected,
    /// The stream cannot be written to at all, and `--fail-fast` makes that final.
    Permanent,
    /// Older than `--time-to-live`.
    Expired,
    /// Sent `--attempts` times.
    AttemptsExhausted,
    /// Still waiting when the run was stopped.
    Undelivered,
}

impl Kind {
    /// The words the end of a run counts it under.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::TooLarge => "too large",
            Self::NotJson => "not JSON",
            Self::NoKey => "without a usable key",
            Self::Rejected => "rejected",
            Self::Permanent => "refused with the whole stream",
            Self::Expired => "expired",
            Self::AttemptsExhausted => "out of attempts",
            Self::Undelivered => "undelivered at the stop",
        }
    }
}

/// A kind and the whole story, in words for a person and a dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reason {
    /// What the end of the run counts it as.
    pub(crate) kind: Kind,
    /// Of the request that failed, where the service answered it: what AWS's support asks for first.
    pub(crate) request_id: Option<String>,
    text: String,
}

impl Reason {
    /// A reason in the user's words: what is wrong with the record and, where one exists, the limit.
    pub(crate) fn new(kind: Kind, text: impl Into<String>) -> Self {
        Self { kind, request_id: None, text: text.into() }
    }
}

impl From<&Failure> for Reason {
    fn from(failure: &Failure) -> Self {
        let kind = match failure.reason {
            FailureReason::Expired { .. } => Kind::Expired,
            FailureReason::AttemptsExhausted(_) => Kind::AttemptsExhausted,
            FailureReason::Permanent(_) => Kind::Permanent,
            FailureReason::TooLarge { .. } => Kind::TooLarge,
            FailureReason::PartitionKeyMissing => Kind::NoKey,
            FailureReason::Aborted => Kind::Undelivered,
            // Whatever later versions of the core tell apart, the service did not take it.
            _ => Kind::Rejected,
        };
        let request_id = last_error(&failure.reason).and_then(ServiceError::request_id).map(str::to_owned);
        Self { request_id, ..Self::new(kind, failure.to_string()) }
    }
}

impl From<PushErrorReason> for Reason {
    fn from(refusal: PushErrorReason) -> Self {
        let kind = match refusal {
            PushErrorReason::TooLarge { .. } => Kind::TooLarge,
            PushErrorReason::PartitionKeyMissing => Kind::NoKey,
            PushErrorReason::Full | PushErrorReason::ShardFull | PushErrorReason::Closed => Kind::Undelivered,
            _ => Kind::Rejected,
        };
        Self::new(kind, refusal.to_string())
    }
}

/// What the service said last.
fn last_error(reason: &FailureReason) -> Option<&ServiceError> {
    match reason {
        FailureReason::Expired { last_error } => last_error.as_ref(),
        FailureReason::AttemptsExhausted(error)
        | FailureReason::Rejected(error)
        | FailureReason::Permanent(error) => Some(error),
        _ => None,
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::time::Duration;

    use kinesis_batcher_core::{Batcher, Config, Event, Record, ShardMap, Timestamp};

    use super::*;

    /// What the core says of a record that is never sent.
    fn failure(end: fn(&mut Batcher<()>)) -> Failure {
        let config = Config::builder().time_to_live(Duration::from_secs(1)).build().unwrap();
        let mut batcher = Batcher::new(config, ShardMap::count_only(NonZeroU32::MIN), 0, Timestamp::ZERO);
        batcher.push(Timestamp::ZERO, Record::new("k", "v").unwrap(), ()).unwrap();
        end(&mut batcher);
        match batcher.poll_event() {
            Some(Event::Failed { failure, .. }) => failure,
            other => panic!("a failure was to come, not {other:?}"),
        }
    }

    #[test]
    fn what_was_stopped_is_undelivered_and_what_grew_old_expired() {
        let stopped = failure(|batcher| batcher.abort(Timestamp::ZERO));
        assert_eq!(Reason::from(&stopped), Reason::new(Kind::Undelivered, stopped.to_string()));
        let expired = failure(|batcher| {
            let late = Timestamp::from_nanos(10_000_000_000);
            batcher.handle_timeout(late);
        });
        assert_eq!(Reason::from(&expired).kind, Kind::Expired);
    }

    #[test]
    fn the_request_id_is_that_of_the_last_error() {
        let error = ServiceError::from_code("AccessDeniedException").with_request_id("d1e2");
        for reason in [
            FailureReason::Expired { last_error: Some(error.clone()) },
            FailureReason::AttemptsExhausted(error.clone()),
            FailureReason::Rejected(error.clone()),
            FailureReason::Permanent(error),
        ] {
            let failure = failure(|batcher| batcher.abort(Timestamp::ZERO));
            assert_eq!(Reason::from(&failure).request_id, None, "the service said nothing");
            let mut failure = failure;
            failure.reason = reason;
            assert_eq!(Reason::from(&failure).request_id.as_deref(), Some("d1e2"));
        }
    }

    #[test]
    fn a_refusal_keeps_its_words() {
        let reason = Reason::from(PushErrorReason::TooLarge { bytes: 2, bytes_max: 1 });
        assert_eq!(reason.kind, Kind::TooLarge);
        assert_eq!(reason.to_string(), "the record has 2 bytes with its key; at most 1 are taken");
    }
}
