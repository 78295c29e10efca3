//! What came back.

use alloc::vec::Vec;
use core::fmt;

use crate::error_code::{ErrorClass, ServiceError};
use crate::sequence_number::SequenceNumber;
use crate::shard_id::ShardId;

/// The service's reply to a request: one outcome for each of its records, in order.
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
    /// It is not stored, and the service says why.
    Failed(ServiceError),
    /// The reply names neither a shard nor an error for it.
    Unknown,
}

/// A request that got no usable reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestError {
    class: ErrorClass,
    outcome_unknown: bool,
    error: ServiceError,
}

impl RequestError {
    /// The service refused the whole request with this error and stored none of it.
    ///
    /// `status` is the HTTP status: from 500 on, the error is transient whatever its code says, and what was stored
    /// is unknown.
    #[must_use]
    pub fn refused(status: u16, error: ServiceError) -> Self {
        match (status, error.code().class()) {
            // A 503 that throttles was refused at the door.
            (_, class @ ErrorClass::Throttled) => Self { class, outcome_unknown: false, error },
            (500.., _) => Self { class: ErrorClass::Transient, outcome_unknown: true, error },
            (_, class) => Self { class, outcome_unknown: false, error },
        }
    }

    /// The request never left: no connection, no credentials, no answer from the name server.
    #[must_use]
    pub fn not_sent(message: &str) -> Self {
        let error = ServiceError::new("NotSent", message);
        Self { class: ErrorClass::Transient, outcome_unknown: false, error }
    }

    /// The request was sent and no reply says what was stored: a time-out, a reset connection, a reply that cannot
    /// be read.
    #[must_use]
    pub fn outcome_unknown(message: &str) -> Self {
        let error = ServiceError::new("OutcomeUnknown", message);
        Self { class: ErrorClass::Transient, outcome_unknown: true, error }
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

    #[test]
    fn a_server_error_leaves_open_what_was_stored() {
        let error = RequestError::refused(500, ServiceError::from_code("InternalFailure"));
        assert_eq!(error.class(), ErrorClass::Transient);
        assert!(error.is_outcome_unknown());
        let html = RequestError::refused(503, ServiceError::from_code(""));
        assert!(html.is_outcome_unknown(), "a proxy's 503 may come after the service's write");
    }

    #[test]
    fn a_refusal_stores_nothing() {
        for code in ["ProvisionedThroughputExceededException", "ValidationException", "ExpiredTokenException"]
        {
            let error = RequestError::refused(400, ServiceError::from_code(code));
            assert!(!error.is_outcome_unknown(), "{code} was said before anything was stored");
        }
    }
}
