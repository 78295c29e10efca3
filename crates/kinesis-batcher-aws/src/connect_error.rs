//! Why there is no connection to a stream, in one line that says what to do.

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_kinesis::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use kinesis_batcher_driver::{ServiceError, ShardMapError};

use crate::error_chain::{deepest_message, find_in_chain, one_line};
use crate::stream_id::StreamId;

/// Why a stream cannot be written to. Each message is one line, names the thing at fault and says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The stream does not exist, there.
    #[error(
        "there is no stream {stream} in {region} ({endpoint}); check its name and the region, or create it"
    )]
    NoSuchStream {
        /// Its name or ARN.
        stream: String,
        /// Where it was looked for.
        region: String,
        /// Who was asked.
        endpoint: String,
    },
    /// The credentials are good but do not permit it.
    #[error("access to stream {stream} is denied: {message}; permit {actions} on it")]
    AccessDenied {
        /// Its name or ARN.
        stream: String,
        /// The IAM actions that are missing.
        actions: &'static str,
        /// What the service says.
        message: String,
    },
    /// There are no credentials to be found.
    #[error(
        "no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, choose a profile (AWS_PROFILE, aws configure, \
         aws sso login), or run where a role is attached ({detail})"
    )]
    NoCredentials {
        /// What the last place that was asked said.
        detail: String,
    },
    /// The service does not take the credentials.
    #[error("the credentials are not accepted ({error}); renew them, and check the clock and the region")]
    CredentialsRefused {
        /// What the service says.
        error: ServiceError,
    },
    /// No region is configured.
    #[error("no region: set AWS_REGION, or region in the profile, or name the stream by its ARN")]
    NoRegion,
    /// The region does not go with the stream or the endpoint.
    #[error(
        "the region is {region}, but {expected}; set it to that one, or leave it out where an ARN names it"
    )]
    WrongRegion {
        /// The one that is configured.
        region: String,
        /// What is expected instead, in words.
        expected: String,
    },
    /// The text names no stream, or another option does not make sense.
    #[error("{0}")]
    Invalid(String),
    /// No answer from there.
    #[error("{endpoint} cannot be reached ({detail}); check the endpoint, the region and the network")]
    Unreachable {
        /// Who was asked.
        endpoint: String,
        /// What went wrong at the lowest level.
        detail: String,
    },
    /// Something answers there, but not as the service does.
    #[error("{endpoint} does not answer as Kinesis does ({detail}); check the endpoint")]
    NotKinesis {
        /// Who was asked.
        endpoint: String,
        /// What came back.
        detail: String,
    },
    /// The stream is not there yet.
    #[error("stream {stream} is still being created; try again in a moment")]
    BeingCreated {
        /// Its name or ARN.
        stream: String,
    },
    /// The stream is not there much longer.
    #[error("stream {stream} is being deleted; create it anew once it is gone")]
    BeingDeleted {
        /// Its name or ARN.
        stream: String,
    },
    /// The shards as listed are no map.
    #[error("the shards of stream {stream} do not fit together ({error}); it is being resharded, try again")]
    Shards {
        /// Its name or ARN.
        stream: String,
        /// What does not fit.
        error: ShardMapError,
    },
    /// Anything else that the service said.
    #[error("{operation} failed: {error}")]
    Service {
        /// The API operation.
        operation: &'static str,
        /// What the service says.
        error: ServiceError,
    },
}

/// The stream and the place it was looked for, as errors name them.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) stream: StreamId,
    pub(crate) region: String,
    pub(crate) endpoint: String,
}

impl Target {
    /// What a failed call says about the connection.
    pub(crate) fn error<E>(&self, operation: &'static str, error: &SdkError<E, HttpResponse>) -> ConnectError
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        if let Some(status) = error.raw_response().map(|response| response.status().as_u16()) {
            return self.refusal(operation, status, error.code(), error.message().unwrap_or_default());
        }
        let detail = deepest_message(error);
        if find_in_chain::<CredentialsError>(error).is_some() {
            ConnectError::NoCredentials { detail }
        } else {
            ConnectError::Unreachable { endpoint: self.endpoint.clone(), detail }
        }
    }

    fn refusal(
        &self,
        operation: &'static str,
        status: u16,
        code: Option<&str>,
        message: &str,
    ) -> ConnectError {
        let stream = || self.stream.to_string();
        let Some(code) = code else {
            let detail = format!("HTTP status {status} without an error code");
            return ConnectError::NotKinesis { endpoint: self.endpoint.clone(), detail };
        };
        let message = one_line(message);
        let error = ServiceError::new(code, &message);
        match error.code().as_str() {
            "ResourceNotFoundException" => ConnectError::NoSuchStream {
                stream: stream(),
                region: self.region.clone(),
                endpoint: self.endpoint.clone(),
            },
            "AccessDeniedException" | "AccessDenied" | "NotAuthorized" => {
                ConnectError::AccessDenied { stream: stream(), actions: action_of(operation), message }
            }
            _ if message.contains("scoped to a valid region") => {
                ConnectError::WrongRegion { region: self.region.clone(), expected: message }
            }
            "UnrecognizedClientException"
            | "InvalidClientTokenId"
            | "InvalidSignatureException"
            | "SignatureDoesNotMatch"
            | "IncompleteSignature"
            | "IncompleteSignatureException"
            | "MissingAuthenticationToken"
            | "MissingAuthenticationTokenException"
            | "ExpiredToken"
            | "ExpiredTokenException"
            | "RequestExpired" => ConnectError::CredentialsRefused { error },
            "UnknownOperationException" => ConnectError::NotKinesis {
                endpoint: self.endpoint.clone(),
                detail: format!("it does not know {operation}"),
            },
            _ => ConnectError::Service { operation, error },
        }
    }
}

fn action_of(operation: &str) -> &'static str {
    match operation {
        "ListShards" => "kinesis:ListShards",
        _ => "kinesis:DescribeStreamSummary or kinesis:ListShards",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target() -> Target {
        Target {
            stream: "clicks".parse().unwrap(),
            region: "eu-west-1".into(),
            endpoint: "https://kinesis.eu-west-1.amazonaws.com".into(),
        }
    }

    #[test]
    fn each_refusal_is_one_line_that_names_the_stream_or_the_endpoint() {
        let cases = [
            (
                "ResourceNotFoundException",
                "Stream clicks not found",
                "there is no stream clicks in eu-west-1",
            ),
            (
                "com.amazonaws#AccessDeniedException",
                "no\nidentity policy",
                "access to stream clicks is denied: no identity",
            ),
            (
                "ExpiredTokenException",
                "expired",
                "the credentials are not accepted (ExpiredTokenException: expired)",
            ),
            (
                "InvalidSignatureException",
                "Credential should be scoped to a valid region.",
                "the region is eu-west-1, but",
            ),
            (
                "LimitExceededException",
                "Rate exceeded",
                "DescribeStreamSummary failed: LimitExceededException",
            ),
        ];
        for (code, message, expected) in cases {
            let error = target().refusal("DescribeStreamSummary", 400, Some(code), message).to_string();
            assert!(error.starts_with(expected), "{error:?} does not start with {expected:?}");
            assert!(!error.contains('\n'), "{error:?} has more than one line");
        }
        let error = target().refusal("ListShards", 404, None, "").to_string();
        assert!(error.contains("does not answer as Kinesis does (HTTP status 404"), "{error}");
    }
}
