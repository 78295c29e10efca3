//! Why the service refuses a whole call.

use std::fmt;

/// Why a whole call was refused. Nothing of it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// Something in it is not as the service wants it. One entry at fault refuses all.
    Validation(Malformed),
    /// There is no such stream.
    ResourceNotFound,
    /// Not permitted.
    AccessDenied,
    /// The credentials have run out.
    ExpiredToken,
    /// Too many calls.
    LimitExceeded,
    /// The service failed. From a real one, with status 500, it says nothing about what was stored.
    InternalFailure,
    /// The service is not there. Status 503, with the same doubt.
    ServiceUnavailable,
}

impl Refusal {
    /// The HTTP status and the error code that the service answers with.
    #[must_use]
    pub fn status_and_code(&self) -> (u16, &'static str) {
        match self {
            Self::Validation(malformed) => (400, malformed.code()),
            Self::ResourceNotFound => (400, "ResourceNotFoundException"),
            Self::AccessDenied => (400, "AccessDeniedException"),
            Self::ExpiredToken => (400, "ExpiredTokenException"),
            Self::LimitExceeded => (400, "LimitExceededException"),
            Self::InternalFailure => (500, "InternalFailure"),
            Self::ServiceUnavailable => (503, "ServiceUnavailable"),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (status, code) = self.status_and_code();
        write!(f, "{status} {code}")
    }
}

impl std::error::Error for Refusal {}

/// What in a call is not as the service wants it. Entries count from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Malformed {
    /// There are none, or more than 500. Source: `PutRecordsRequestEntryList`.
    Entries,
    /// All together they are larger than the service takes. Source: PutRecords API reference.
    RequestBytes,
    /// This one is larger than the stream takes. Source: `MaxRecordSizeInKiB`.
    RecordBytes(usize),
    /// This one has no partition key, and the stream wants one.
    PartitionKeyMissing(usize),
    /// The partition key of this one has no characters or more than 256. Source: `PartitionKey`.
    PartitionKeyChars(usize),
    /// This one's explicit hash key is not the canonical decimal text of a 128-bit number. Source: `HashKey`.
    ExplicitHashKey(usize),
    /// This one holds what the stream was told to choke on.
    Poison(usize),
}

impl Malformed {
    fn code(self) -> &'static str {
        match self {
            Self::RequestBytes => "InvalidArgumentException",
            _ => "ValidationException",
        }
    }
}
