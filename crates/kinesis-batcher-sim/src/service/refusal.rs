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
    /// The signature's time is not the service's.
    InvalidSignature,
    /// The key that signed was rotated.
    UnrecognizedClient,
    /// The stream's encryption key is disabled.
    KeyDisabled,
    /// A proxy or a wrong host names another place.
    Redirected,
    /// A proxy or a firewall does not let it through.
    Forbidden,
    /// The body as a whole is too large, whatever its records.
    BodyTooLarge,
    /// Too many calls.
    LimitExceeded,
    /// The service failed. From a real one, with status 500, it says nothing about what was stored.
    InternalFailure,
    /// The service is not there. Status 503, with the same doubt.
    ServiceUnavailable,
}

impl Refusal {
    /// The HTTP status and the error code that the service, or a proxy before it, answers with. Source:
    /// docs/SERVICE.md, "Errors" (S-38, S-40 to S-47).
    #[must_use]
    pub fn status_and_code(&self) -> (u16, &'static str) {
        match self {
            Self::Validation(malformed) => (400, malformed.code()),
            Self::ResourceNotFound => (400, "ResourceNotFoundException"),
            Self::AccessDenied => (400, "AccessDeniedException"),
            Self::ExpiredToken => (400, "ExpiredTokenException"),
            Self::InvalidSignature => (400, "InvalidSignatureException"),
            Self::UnrecognizedClient => (400, "UnrecognizedClientException"),
            Self::KeyDisabled => (400, "KMSDisabledException"),
            Self::Redirected => (307, ""),
            Self::Forbidden => (403, ""),
            Self::BodyTooLarge => (413, "RequestEntityTooLargeException"),
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
    /// There are none, or more than 500. S-01.
    Entries,
    /// All together they are larger than the service takes. S-02.
    RequestBytes,
    /// This one is larger than the stream takes. S-03.
    RecordBytes(usize),
    /// This one has no partition key, and the stream wants one.
    PartitionKeyMissing(usize),
    /// The partition key of this one has no characters or more than 256. S-04.
    PartitionKeyChars(usize),
    /// This one's explicit hash key is not the canonical decimal text of a 128-bit number. S-05.
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
