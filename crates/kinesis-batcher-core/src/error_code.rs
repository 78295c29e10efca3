//! Errors of the service, and what each means for a retry.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::fmt;

/// An error of the service: its code, its message and the id of the request that it answers.
///
/// Cheap to clone: one error often fails hundreds of records.
#[derive(Clone, PartialEq, Eq)]
pub struct ServiceError {
    code: ErrorCode,
    details: Option<Arc<Details>>,
}

#[derive(Clone, Default, PartialEq, Eq)]
struct Details {
    message: Box<str>,
    request_id: Option<Box<str>>,
}

impl ServiceError {
    /// An error with this code and message.
    #[must_use]
    pub fn new(code: &str, message: &str) -> Self {
        let details = (!message.is_empty()).then(|| Details { message: message.into(), request_id: None });
        Self { code: ErrorCode::new(code), details: details.map(Arc::new) }
    }

    /// An error with this code and no message.
    #[must_use]
    pub fn from_code(code: &str) -> Self {
        Self::new(code, "")
    }

    /// The same error with the id of the request that it answers, the reply's `x-amzn-RequestId` (S-35). AWS's
    /// support asks for it first.
    #[must_use]
    pub fn with_request_id(mut self, request_id: &str) -> Self {
        let details = self.details.get_or_insert_default();
        Arc::make_mut(details).request_id = Some(request_id.into());
        self
    }

    /// The code.
    #[must_use]
    pub fn code(&self) -> &ErrorCode {
        &self.code
    }

    /// The message, empty if there is none. The service may quote partition keys in the message of an error whose
    /// class is [`Rejected`](ErrorClass::Rejected): mind where it is written.
    #[must_use]
    pub fn message(&self) -> &str {
        self.details.as_ref().map_or("", |details| &details.message)
    }

    /// The id of the request that the error answers, where the reply had one.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.details.as_ref()?.request_id.as_deref()
    }
}

impl fmt::Display for ServiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.code, f)?;
        if !self.message().is_empty() {
            write!(f, ": {}", self.message())?;
        }
        match self.request_id() {
            Some(id) => write!(f, " (request id {id})"),
            None => Ok(()),
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
    /// The code of this text. A namespace before `#` and a URL after `:`, which some replies carry, are dropped (S-33).
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

    /// What the code means for a record, or for a request that was refused with it and status 400.
    ///
    /// A code that is not known is [`Transient`](ErrorClass::Transient): a retry costs little, giving up loses
    /// records. Source: docs/SERVICE.md, "Errors" (S-40 to S-46).
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        self.known_class().unwrap_or(ErrorClass::Transient)
    }

    /// The class of a code that the service documents or was seen to send; `None` for any other.
    pub(crate) fn known_class(&self) -> Option<ErrorClass> {
        Some(match self.as_str() {
            // S-40
            THROUGHPUT_EXCEEDED
            | "LimitExceededException"
            | "ThrottlingException"
            | "Throttling"
            | "ThrottledException"
            | "RequestThrottled"
            | "RequestThrottledException"
            | "RequestLimitExceeded"
            | "TooManyRequestsException"
            | "BandwidthLimitExceeded"
            | "PriorRequestNotComplete"
            | "SlowDown"
            | "KMSThrottlingException" => ErrorClass::Throttled,
            // S-43
            "ValidationException"
            | "ValidationError"
            | "InvalidArgumentException"
            | "SerializationException" => ErrorClass::Rejected,
            // S-41
            "ExpiredTokenException"
            | "ExpiredToken"
            | "AuthFailure"
            | "RequestExpired"
            | "RequestTimeTooSkewed"
            | "InvalidSignatureException"
            | "SignatureDoesNotMatch"
            | "IncompleteSignature"
            | "IncompleteSignatureException"
            | "UnrecognizedClientException"
            | "InvalidClientTokenId"
            | "InvalidAccessKeyId"
            | "MissingAuthenticationToken"
            | "MissingAuthenticationTokenException" => ErrorClass::Credentials,
            // S-42
            "AccessDeniedException"
            | "AccessDenied"
            | "ResourceNotFoundException"
            | "ResourceInUseException"
            | "NotAuthorized"
            | "OptInRequired"
            | "SubscriptionRequired"
            | "SubscriptionRequiredException"
            | "UnknownOperationException"
            | "InvalidAction"
            | "KMSAccessDeniedException"
            | "KMSDisabledException"
            | "KMSInvalidStateException"
            | "KMSNotFoundException"
            | "KMSOptInRequired" => ErrorClass::Account,
            // S-46
            INTERNAL_FAILURE
            | "InternalServerError"
            | "InternalServerException"
            | "InternalFailureException"
            | "ServiceUnavailable"
            | "ServiceUnavailableException" => ErrorClass::Transient,
            _ => return None,
        })
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What an error means for a retry.
///
/// docs/SERVICE.md, "Errors", lists which status and code belong to which class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorClass {
    /// Too much at once: slow down, then retry.
    Throttled,
    /// It may go away by itself: back off, then retry.
    Transient,
    /// Signature, clock or credentials: the transport gets new credentials and measures the clock. The producer
    /// [holds](crate::Hold) until a request is answered.
    Credentials,
    /// The stream, a permission or an encryption key is missing, or the endpoint is not the service's. It says nothing
    /// about a record and may be repaired at any time. The producer [holds](crate::Hold) until a request is answered.
    Account,
    /// The request as a whole is too large: it is divided, and later requests are smaller.
    TooLarge,
    /// Something in the request is wrong, perhaps one record of many.
    Rejected,
}

const THROUGHPUT_EXCEEDED: &str = "ProvisionedThroughputExceededException";
const INTERNAL_FAILURE: &str = "InternalFailure";

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::ToString;

    // S-33
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
    fn an_unknown_code_is_retried() {
        assert_eq!(ErrorCode::new("SomethingNewException").class(), ErrorClass::Transient);
        assert_eq!(ErrorCode::new("").class(), ErrorClass::Transient);
    }

    #[test]
    fn debug_hides_a_message_that_may_quote_a_key() {
        let error = ServiceError::new("ValidationException", "Value 'secret' is bad");
        assert_eq!(format!("{error:?}"), "ServiceError(ValidationException)");
        assert_eq!(error.to_string(), "ValidationException: Value 'secret' is bad");
    }

    // S-35
    #[test]
    fn the_request_id_is_shown_last() {
        let error = ServiceError::new("AccessDeniedException", "no").with_request_id("d1e2");
        assert_eq!(error.to_string(), "AccessDeniedException: no (request id d1e2)");
        let bare = ServiceError::from_code("AccessDeniedException").with_request_id("d1e2");
        assert_eq!((bare.message(), bare.request_id()), ("", Some("d1e2")));
    }
}
