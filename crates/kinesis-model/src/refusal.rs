//! Why a whole call fails.

use std::fmt;

/// Why a whole call failed. After a 5xx its entries can be stored all the same (S-46); after any other, none is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// Something in it breaks the service's rules. One entry at fault refuses all.
    Validation(Malformed),
    /// There is no such stream.
    ResourceNotFound,
    /// Not permitted.
    AccessDenied,
    /// The credentials have expired.
    ExpiredToken,
    /// The signature's time is not the service's.
    InvalidSignature,
    /// The key that signed was rotated.
    UnrecognizedClient,
    /// The stream's encryption key is disabled.
    KeyDisabled,
    /// A proxy or a wrong host redirects.
    Redirected,
    /// A proxy or a firewall refuses.
    Forbidden,
    /// The body as a whole is too large, whatever its records.
    BodyTooLarge,
    /// Too many calls.
    LimitExceeded,
    /// The service failed, with status 500.
    InternalFailure,
    /// The service is not available, with status 503.
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

/// What in a call breaks the service's rules. Entries count from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Malformed {
    /// There are none, or more than 500. S-01.
    Entries,
    /// Together they have more bytes than a call may. S-02.
    RequestBytes,
    /// This one has more bytes than a record of the stream may. S-03.
    RecordBytes(usize),
    /// This one has no partition key, which the stream requires.
    PartitionKeyMissing(usize),
    /// The partition key of this one has no characters or more than 256. S-04.
    PartitionKeyChars(usize),
    /// This one's explicit hash key is not the canonical decimal text of a 128-bit number. S-05.
    ExplicitHashKey(usize),
    /// This one contains the stream's poison.
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
