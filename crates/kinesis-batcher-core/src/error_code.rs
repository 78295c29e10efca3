//! What the service says went wrong, and what that means for a retry.

use alloc::sync::Arc;
use core::fmt;

/// An error of the service: its code and message.
///
/// Cheap to clone: one error often fails hundreds of records.
#[derive(Clone, PartialEq, Eq)]
pub struct ServiceError {
    code: ErrorCode,
    message: Option<Arc<str>>,
}

impl ServiceError {
    /// An error with this code and message.
    #[must_use]
    pub fn new(code: &str, message: &str) -> Self {
        Self { code: ErrorCode::new(code), message: (!message.is_empty()).then(|| Arc::from(message)) }
    }

    /// An error with this code and no message.
    #[must_use]
    pub fn from_code(code: &str) -> Self {
        Self::new(code, "")
    }

    /// The code.
    #[must_use]
    pub fn code(&self) -> &ErrorCode {
        &self.code
    }

    /// The message, empty if there is none. The service may quote partition keys in it: mind where it is written.
    #[must_use]
    pub fn message(&self) -> &str {
        self.message.as_deref().unwrap_or_default()
    }
}

impl fmt::Display for ServiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.message {
            Some(message) => write!(f, "{}: {message}", self.code),
            None => fmt::Display::fmt(&self.code, f),
        }
    }
}

/// Messages can quote partition keys, so only the code shows.
impl fmt::Debug for ServiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServiceError({})", self.code)
    }
}

impl core::error::Error for ServiceError {}

/// An error code of the service, of a record or of a whole request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorCode {
    /// `ProvisionedThroughputExceededException`: the shard's limit, or for a whole request the stream's.
    ThroughputExceeded,
    /// `InternalFailure`: the service failed and says so.
    InternalFailure,
    /// Any other code, as the service wrote it.
    Other(Arc<str>),
}

impl ErrorCode {
    /// The code of this text. A namespace before `#` and a URL after `:`, which some replies carry, are dropped.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let text = text.rsplit_once('#').map_or(text, |(_, code)| code);
        let text = text.split_once(':').map_or(text, |(code, _)| code);
        match text {
            THROUGHPUT_EXCEEDED => Self::ThroughputExceeded,
            INTERNAL_FAILURE => Self::InternalFailure,
            other => Self::Other(Arc::from(other)),
        }
    }

    /// The code's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::ThroughputExceeded => THROUGHPUT_EXCEEDED,
            Self::InternalFailure => INTERNAL_FAILURE,
            Self::Other(text) => text,
        }
    }

    /// What the code means for what it was said of.
    ///
    /// Source: PutRecords API reference, "Errors", and the common error types of the service. A code that is not
    /// known there is transient: retrying costs little, giving up loses records.
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        match self.as_str() {
            THROUGHPUT_EXCEEDED
            | "LimitExceededException"
            | "ThrottlingException"
            | "Throttling"
            | "RequestLimitExceeded"
            | "TooManyRequestsException"
            | "SlowDown"
            | "KMSThrottlingException" => ErrorClass::Throttled,
            "ValidationException" | "InvalidArgumentException" | "SerializationException" => {
                ErrorClass::Rejected
            }
            "AccessDeniedException"
            | "AccessDenied"
            | "ResourceNotFoundException"
            | "UnrecognizedClientException"
            | "InvalidClientTokenId"
            | "InvalidSignatureException"
            | "MissingAuthenticationTokenException"
            | "MissingAuthenticationToken"
            | "IncompleteSignature"
            | "OptInRequired"
            | "NotAuthorized"
            | "UnknownOperationException"
            | "KMSAccessDeniedException"
            | "KMSDisabledException"
            | "KMSInvalidStateException"
            | "KMSNotFoundException"
            | "KMSOptInRequired" => ErrorClass::Permanent,
            "ExpiredTokenException" | "ExpiredToken" | "RequestExpired" => ErrorClass::CredentialsExpired,
            _ => ErrorClass::Transient,
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What an error means for a retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorClass {
    /// Too much at once: slow down, then try again.
    Throttled,
    /// It may go away by itself: back off, then try again.
    Transient,
    /// The credentials ran out: the transport gets new ones, then it is tried again.
    CredentialsExpired,
    /// Something in the request is wrong, perhaps one record of many.
    Rejected,
    /// Trying again changes nothing.
    Permanent,
}

const THROUGHPUT_EXCEEDED: &str = "ProvisionedThroughputExceededException";
const INTERNAL_FAILURE: &str = "InternalFailure";

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::ToString;

    #[test]
    fn codes_are_recognised_in_every_form_the_service_writes_them() {
        for text in [
            "ProvisionedThroughputExceededException",
            "com.amazonaws.kinesis.v20131202#ProvisionedThroughputExceededException",
            "ProvisionedThroughputExceededException:http://internal.amazon.com/coral/",
        ] {
            assert_eq!(ErrorCode::new(text), ErrorCode::ThroughputExceeded);
        }
    }

    #[test]
    fn a_code_nobody_has_heard_of_is_tried_again() {
        assert_eq!(ErrorCode::new("SomethingNewException").class(), ErrorClass::Transient);
        assert_eq!(ErrorCode::new("").class(), ErrorClass::Transient);
    }

    #[test]
    fn debug_hides_a_message_that_may_quote_a_key() {
        let error = ServiceError::new("ValidationException", "Value 'secret' is bad");
        assert_eq!(format!("{error:?}"), "ServiceError(ValidationException)");
        assert_eq!(error.to_string(), "ValidationException: Value 'secret' is bad");
    }
}
