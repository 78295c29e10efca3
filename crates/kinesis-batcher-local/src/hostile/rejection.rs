//! Replies that refuse a whole call.

use crate::http::Reply;

/// A refusal of a whole call, as the service or a load balancer before it words one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// HTTP status.
    pub status: u16,
    /// In the header `x-amzn-errortype` and in the body; an empty one makes the body HTML without any code.
    pub code: String,
    /// For people.
    pub message: String,
    /// In the header `location`; none by default.
    pub location: Option<String>,
}

impl Rejection {
    /// Any status and code.
    #[must_use]
    pub fn new(status: u16, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { status, code: code.into(), message: message.into(), location: None }
    }

    /// 400: the stream's throughput is exceeded.
    #[must_use]
    pub fn throughput_exceeded() -> Self {
        Self::new(400, "ProvisionedThroughputExceededException", "Rate exceeded for the stream.")
    }

    /// 400: too many calls of this operation.
    #[must_use]
    pub fn limit_exceeded() -> Self {
        Self::new(400, "LimitExceededException", "Rate exceeded for the operation.")
    }

    /// 400: too many calls, as the front end of the service words it.
    #[must_use]
    pub fn throttling() -> Self {
        Self::new(400, "ThrottlingException", "Rate exceeded.")
    }

    /// 301, 302, 307 or 308, in HTML: the client is to go elsewhere.
    #[must_use]
    pub fn redirect(status: u16, location: impl Into<String>) -> Self {
        Self { location: Some(location.into()), ..Self::new(status, "", "") }
    }

    /// 413 in HTML, from a load balancer or a proxy: the body is larger than it takes.
    #[must_use]
    pub fn content_too_large() -> Self {
        Self::new(413, "", "")
    }

    /// 400: the key is unknown, because it was deleted or rotated.
    #[must_use]
    pub fn unrecognized_client() -> Self {
        Self::new(
            400,
            "UnrecognizedClientException",
            "The security token included in the request is invalid.",
        )
    }

    /// 500 in JSON.
    #[must_use]
    pub fn internal_failure() -> Self {
        Self::new(500, "InternalFailure", "Internal service failure.")
    }

    /// 503 in HTML, from a load balancer that knows nothing of AWS.
    #[must_use]
    pub fn service_unavailable() -> Self {
        Self::new(503, "", "")
    }

    /// 400: the session token is past its time.
    #[must_use]
    pub fn expired_token() -> Self {
        Self::new(400, "ExpiredTokenException", "The security token included in the request is expired.")
    }

    /// 400: the caller may not do this.
    #[must_use]
    pub fn access_denied() -> Self {
        Self::new(400, "AccessDeniedException", "User is not authorized to perform this action.")
    }

    /// 400: no such stream.
    #[must_use]
    pub fn resource_not_found() -> Self {
        Self::new(400, "ResourceNotFoundException", "Stream not found.")
    }

    /// 400: something about the request is not as it must be.
    #[must_use]
    pub fn validation(message: impl Into<String>) -> Self {
        Self::new(400, "ValidationException", message)
    }

    /// 400: the same, for what the service finds later.
    #[must_use]
    pub fn invalid_argument(message: impl Into<String>) -> Self {
        Self::new(400, "InvalidArgumentException", message)
    }

    /// 400: the stream's key may not be used.
    #[must_use]
    pub fn kms_access_denied() -> Self {
        Self::new(400, "KMSAccessDeniedException", "User is not authorized to use the key.")
    }

    pub(crate) fn serialization(message: impl Into<String>) -> Self {
        Self::new(400, "SerializationException", message)
    }

    pub(crate) fn into_reply(self) -> Reply {
        let reply = match self.code.is_empty() {
            true => Reply::html(self.status),
            false => Reply::error(self.status, &self.code, &self.message),
        };
        match self.location {
            Some(location) => reply.with_header("location", location),
            None => reply,
        }
    }
}
