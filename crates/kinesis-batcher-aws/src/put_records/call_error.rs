//! Why a call has no usable reply.

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use kinesis_batcher_driver::RequestError;

use super::refusal::Refusal;
use crate::error_chain::{deepest_message, is_not_connected};

/// Why a call has no usable reply.
#[derive(Debug)]
pub(super) enum CallError {
    /// Nothing was sent: there are no credentials.
    NoCredentials(String),
    /// Nothing was sent: there is no connection.
    NotSent(String),
    /// The service or a machine before it answered with an error.
    Refused(Refusal),
    /// The request was sent, or a part of it, and no reply can be read.
    OutcomeUnknown(String),
}

impl CallError {
    /// The error of a request that was on its way to this endpoint.
    pub(super) fn of_sent<E>(endpoint: &str, error: &SdkError<E, HttpResponse>) -> Self
    where
        E: std::error::Error + 'static,
    {
        let cause = || format!("{endpoint}: {}", deepest_message(error));
        match error.raw_response() {
            // The records are stored, most likely, but which of them?
            Some(reply) if reply.status().is_success() => {
                Self::OutcomeUnknown(format!("{endpoint}: unreadable reply: {}", deepest_message(error)))
            }
            Some(reply) => Self::Refused(Refusal::of(reply)),
            // Whatever else a client reports, the connection may have carried the request before it broke.
            None if is_not_connected(error) => Self::NotSent(cause()),
            None => Self::OutcomeUnknown(cause()),
        }
    }

    pub(super) fn is_outcome_unknown(&self) -> bool {
        match self {
            Self::NoCredentials(_) | Self::NotSent(_) => false,
            Self::Refused(refusal) => refusal.error.is_outcome_unknown(),
            Self::OutcomeUnknown(_) => true,
        }
    }
}

impl From<CallError> for RequestError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::NoCredentials(message) => Self::no_credentials(&message),
            CallError::NotSent(message) => Self::not_sent(&message),
            CallError::Refused(refusal) => refusal.error,
            CallError::OutcomeUnknown(message) => Self::outcome_unknown(&message),
        }
    }
}

/// Host and port of a request's URI.
pub(super) fn endpoint(uri: &str) -> String {
    let (scheme, rest) = uri.split_once("://").unwrap_or(("https", uri));
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    // Never a user's password.
    let authority = authority.rsplit('@').next().unwrap_or_default();
    let has_port = authority.rsplit(']').next().unwrap_or_default().contains(':');
    match (has_port, scheme) {
        (true, _) => authority.to_owned(),
        (false, "http") => format!("{authority}:80"),
        (false, _) => format!("{authority}:443"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_host_and_a_port() {
        let cases = [
            ("https://kinesis.eu-west-1.amazonaws.com/", "kinesis.eu-west-1.amazonaws.com:443"),
            ("http://127.0.0.1:9", "127.0.0.1:9"),
            ("http://localhost/a:b", "localhost:80"),
            ("https://[::1]/", "[::1]:443"),
            ("https://user:word@[::1]:8443/?a", "[::1]:8443"),
        ];
        for (uri, expected) in cases {
            assert_eq!(endpoint(uri), expected, "{uri}");
        }
    }
}
