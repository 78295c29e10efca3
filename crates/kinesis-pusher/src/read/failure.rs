//! What a failed call means for a reader.

use std::error::Error;
use std::fmt;

use aws_sdk_kinesis::config::http::HttpResponse;
use aws_sdk_kinesis::error::{ProvideErrorMetadata, SdkError};
use kinesis_batcher_core::{ErrorClass, ServiceError};

/// Why a call failed, and what to do about it.
#[derive(Debug)]
pub(super) struct Failure {
    /// What it means for a retry.
    pub(super) kind: FailureKind,
    operation: &'static str,
    message: String,
}

/// What a failure means for a retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FailureKind {
    /// The iterator is older than five minutes: take a new one.
    IteratorExpired,
    /// The credentials ran out: get new ones, then try again.
    CredentialsExpired,
    /// Try again later.
    Transient,
    /// The shard, or the whole stream, does not exist.
    Gone,
    /// Trying again changes nothing.
    Permanent,
}

impl Failure {
    /// What the SDK makes of it.
    pub(super) fn of<E>(operation: &'static str, error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let status = error.raw_response().map(|response| response.status().as_u16());
        let (kind, message) = match (error.code(), status) {
            (Some(code), _) => refusal(code, error.message().unwrap_or_default()),
            // A proxy, or something that is no Kinesis.
            (None, Some(status)) => {
                let kind = if status >= 500 { FailureKind::Transient } else { FailureKind::Permanent };
                (kind, format!("HTTP status {status} without an error code; check the endpoint"))
            }
            (None, None) => (FailureKind::Transient, deepest(error)),
        };
        Self { kind, operation, message: message.split_whitespace().collect::<Vec<_>>().join(" ") }
    }

    /// Something the service said that makes no sense.
    pub(super) fn nonsense(operation: &'static str, message: impl Into<String>) -> Self {
        Self { kind: FailureKind::Permanent, operation, message: message.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} failed: {}", self.operation, self.message)
    }
}

fn refusal(code: &str, message: &str) -> (FailureKind, String) {
    let error = ServiceError::new(code, message);
    let kind = match (error.code().as_str(), error.code().class()) {
        ("ExpiredIteratorException", _) => FailureKind::IteratorExpired,
        ("ResourceNotFoundException", _) => FailureKind::Gone,
        (_, ErrorClass::Credentials) => FailureKind::CredentialsExpired,
        (_, ErrorClass::Rejected | ErrorClass::Account) => FailureKind::Permanent,
        _ => FailureKind::Transient,
    };
    let advice = match error.code().as_str() {
        "AccessDeniedException" | "AccessDenied" => {
            "; permit kinesis:ListShards, kinesis:GetShardIterator and kinesis:GetRecords on the stream"
        }
        "ResourceNotFoundException" => "; the stream or the shard is gone",
        _ => "",
    };
    (kind, format!("{error}{advice}"))
}

/// The message at the lowest level, which says what the layers above only wrap.
fn deepest(error: &(dyn Error + 'static)) -> String {
    let chain = std::iter::successors(Some(error), |&error| error.source()).take(CHAIN_MAX);
    chain.last().unwrap_or(error).to_string()
}

/// More than any error of the SDK has.
const CHAIN_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_is_what_a_reader_can_do_about_it() {
        for (code, kind) in [
            ("ExpiredIteratorException", FailureKind::IteratorExpired),
            ("com.amazonaws.kinesis#ExpiredIteratorException", FailureKind::IteratorExpired),
            ("ProvisionedThroughputExceededException", FailureKind::Transient),
            ("LimitExceededException", FailureKind::Transient),
            ("KMSThrottlingException", FailureKind::Transient),
            ("InternalFailure", FailureKind::Transient),
            ("ExpiredTokenException", FailureKind::CredentialsExpired),
            ("AccessDeniedException", FailureKind::Permanent),
            ("ResourceNotFoundException", FailureKind::Gone),
            ("InvalidArgumentException", FailureKind::Permanent),
        ] {
            assert_eq!(refusal(code, "why").0, kind, "{code}");
        }
        assert!(refusal("AccessDeniedException", "no").1.contains("permit kinesis:ListShards"));
    }
}
