//! The outcome of a request.

use alloc::vec::Vec;
use core::fmt;

use crate::error_code::{ErrorClass, ServiceError};
use crate::sequence_number::SequenceNumber;
use crate::shard_id::ShardId;

/// The service's reply to a request: one outcome for each of its records, in order (S-14, S-15).
///
/// The reply's `FailedRecordCount` is left out on purpose: it has been seen to disagree with the entries, and the
/// entries are what was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The outcomes. A reply with more or fewer than the request had records says nothing reliable about any of
    /// them: all are sent again and marked as possible duplicates.
    pub outcomes: Vec<RecordOutcome>,
}

impl Response {
    /// A reply with these outcomes.
    #[must_use]
    pub fn new(outcomes: Vec<RecordOutcome>) -> Self {
        Self { outcomes }
    }
}

/// What became of one record of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecordOutcome {
    /// It is stored.
    Stored {
        /// The shard it went to.
        shard_id: ShardId,
        /// Its number there.
        sequence_number: SequenceNumber,
    },
    /// The service says why it failed. It is not stored, but for an error of the class
    /// [`Transient`](ErrorClass::Transient), after which it can be (S-49).
    Failed(ServiceError),
    /// The reply names neither a shard nor an error for it.
    Unknown,
}

/// A request that got no usable reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestError {
    class: ErrorClass,
    outcome_unknown: bool,
    sent: bool,
    error: ServiceError,
}

impl RequestError {
    /// The service, or a proxy before it, refused the whole request with this HTTP status and error.
    ///
    /// Status and code decide together (docs/SERVICE.md, "Errors"): after a status from 500 on the outcome is unknown
    /// whatever the code says (S-46); 3xx is an account-level error (S-47), 413 a request that is too large (S-38); a
    /// code that is known decides for the other statuses (S-44); for one that is not, the outcome after 408 is unknown,
    /// 429 is throttling, and 401, 403, 404 and 407 are account-level errors (S-45).
    #[must_use]
    pub fn refused(status: u16, error: ServiceError) -> Self {
        let (class, outcome_unknown) = match (status, error.code().known_class()) {
            (500.., _) | (408, None) => (ErrorClass::Transient, true),
            (300..=399, _) => (ErrorClass::Account, false),
            (413, _) => (ErrorClass::TooLarge, false),
            (_, Some(class)) => (class, false),
            (429, None) => (ErrorClass::Throttled, false),
            (401 | 403 | 404 | 407, None) => (ErrorClass::Account, false),
            (_, None) => (ErrorClass::Transient, false),
        };
        Self { class, outcome_unknown, sent: true, error }
    }

    /// The request was not sent: no connection, no credentials, no answer from the name server.
    ///
    /// The message is logged and shown: the deepest cause and the endpoint, never a payload, a key or a secret.
    #[must_use]
    pub fn not_sent(message: &str) -> Self {
        let error = ServiceError::new("NotSent", message);
        Self { class: ErrorClass::Transient, outcome_unknown: false, sent: false, error }
    }

    /// The request was not sent because there are no credentials: none were found, or the place that holds them does
    /// not answer. The producer [holds](crate::Hold) meanwhile.
    ///
    /// The message is logged and shown: the deepest cause, never a secret.
    #[must_use]
    pub fn no_credentials(message: &str) -> Self {
        let error = ServiceError::new("NoCredentials", message);
        Self { class: ErrorClass::Credentials, outcome_unknown: false, sent: false, error }
    }

    /// The request was sent and no reply says what was stored: a time-out, a reset connection, a reply that cannot
    /// be read.
    ///
    /// The message is logged and shown: the deepest cause and the endpoint, never a payload, a key or a secret.
    #[must_use]
    pub fn outcome_unknown(message: &str) -> Self {
        let error = ServiceError::new("OutcomeUnknown", message);
        Self { class: ErrorClass::Transient, outcome_unknown: true, sent: true, error }
    }

    /// Whether the request counts as an attempt to deliver its records: it may have reached a shard.
    pub(crate) fn is_attempt(&self) -> bool {
        self.sent && matches!(self.class, ErrorClass::Throttled | ErrorClass::Transient)
    }

    /// What it means for a retry.
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        self.class
    }

    /// Whether some of the request may be stored all the same.
    #[must_use]
    pub fn is_outcome_unknown(&self) -> bool {
        self.outcome_unknown
    }

    /// Code and message.
    #[must_use]
    pub fn error(&self) -> &ServiceError {
        &self.error
    }
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.error, f)
    }
}

impl core::error::Error for RequestError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        Some(&self.error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, code: &str) -> (ErrorClass, bool) {
        let error = RequestError::refused(status, ServiceError::from_code(code));
        (error.class(), error.is_outcome_unknown())
    }

    // S-38, S-40 to S-47
    #[test]
    fn status_and_code_decide_together() {
        use ErrorClass::{Account, Credentials, Rejected, Throttled, TooLarge, Transient};
        for (status, code, class, outcome_unknown) in [
            (500, "InternalFailure", Transient, true),
            (503, "", Transient, true),
            (503, "SlowDown", Transient, true),
            (500, "AccessDeniedException", Transient, true),
            (408, "", Transient, true),
            (400, "ProvisionedThroughputExceededException", Throttled, false),
            (400, "ValidationException", Rejected, false),
            (400, "ExpiredTokenException", Credentials, false),
            (403, "InvalidSignatureException", Credentials, false),
            (403, "IncompleteSignatureException", Credentials, false),
            (400, "UnrecognizedClientException", Credentials, false),
            (400, "ResourceNotFoundException", Account, false),
            (400, "KMSDisabledException", Account, false),
            (400, "SomethingNewException", Transient, false),
            (400, "", Transient, false),
            (401, "", Account, false),
            (403, "", Account, false),
            (404, "", Account, false),
            (407, "", Account, false),
            (413, "", TooLarge, false),
            (413, "ValidationException", TooLarge, false),
            (429, "", Throttled, false),
            (301, "", Account, false),
            (307, "AccessDeniedException", Account, false),
        ] {
            assert_eq!(refused(status, code), (class, outcome_unknown), "{status} {code:?}");
        }
    }

    #[test]
    fn a_request_that_cannot_have_reached_a_shard_is_no_attempt() {
        assert!(!RequestError::not_sent("connection refused").is_attempt());
        assert!(!RequestError::refused(400, ServiceError::from_code("ExpiredTokenException")).is_attempt());
        assert!(!RequestError::refused(400, ServiceError::from_code("AccessDeniedException")).is_attempt());
        assert!(!RequestError::refused(413, ServiceError::from_code("")).is_attempt());
        assert!(RequestError::outcome_unknown("reset").is_attempt());
        assert!(RequestError::refused(500, ServiceError::from_code("InternalFailure")).is_attempt());
    }
}
