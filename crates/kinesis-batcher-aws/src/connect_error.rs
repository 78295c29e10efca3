//! Why there is no connection to a stream, in one line that says what to do.

use std::fmt;
use std::time::Duration;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_kinesis::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use kinesis_batcher_driver::{ErrorClass, RequestError, ServiceError, ShardMapError};

use crate::error_chain::{deepest_message, find_in_chain, is_not_connected, one_line};
use crate::stream_id::StreamId;

/// Why a stream cannot be written to. Each message is one line, names the thing at fault and says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The stream does not exist, there.
    #[error(
        "there is no stream {stream} in {region} ({endpoint}); check its name and the region, or create it{}",
        Asked(.request_id)
    )]
    NoSuchStream {
        /// Its name or ARN.
        stream: String,
        /// The region that was asked.
        region: String,
        /// The endpoint that was asked.
        endpoint: String,
        /// The service's name for the request, for AWS support.
        request_id: Option<String>,
    },
    /// The credentials are good but do not permit it.
    #[error("access to stream {stream} is denied: {message}; permit {actions} on it{}", Asked(.request_id))]
    AccessDenied {
        /// Its name or ARN.
        stream: String,
        /// The IAM actions that are missing.
        actions: &'static str,
        /// The service's message.
        message: String,
        /// The service's name for the request, for AWS support.
        request_id: Option<String>,
    },
    /// Aggregation is requested, and it is unknown how the stream distributes its records.
    ///
    /// On a stream with `AUTO` distribution, the KCL silently drops aggregates. Only DescribeStreamSummary shows the
    /// distribution.
    #[error(
        "aggregation needs to know how stream {stream} distributes its records, and that is denied: {message}; permit \
         kinesis:DescribeStreamSummary on it, or state the strategy (record_distribution, --record-distribution){}",
        Asked(.request_id)
    )]
    UnknownDistribution {
        /// Its name or ARN.
        stream: String,
        /// The service's message.
        message: String,
        /// The service's name for the request, for AWS support.
        request_id: Option<String>,
    },
    /// There are no credentials to be found.
    #[error(
        "no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, choose a profile (AWS_PROFILE, aws configure, \
         aws sso login), or run where a role is attached ({detail})"
    )]
    NoCredentials {
        /// The place at fault and the deepest cause, or the places that have none.
        detail: String,
    },
    /// The service does not take the credentials.
    #[error("the credentials are not accepted ({error}); renew them, and check the clock and the region")]
    CredentialsRefused {
        /// The service's error.
        error: ServiceError,
    },
    /// A profile was asked for that none of the AWS files has.
    #[error(
        "profile '{profile}' does not exist in {files}; check its name, or create it (aws configure --profile {profile})"
    )]
    NoSuchProfile {
        /// Its name.
        profile: String,
        /// The files that were read.
        files: String,
    },
    /// A setting of the environment, of a profile or of the program cannot be used.
    #[error("{name} {problem}")]
    Setting {
        /// The variable, the entry of the profile or the option.
        name: String,
        /// The problem, without the value.
        problem: String,
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
        /// The expected one, in words.
        expected: String,
    },
    /// The text names no stream, or another option does not make sense.
    #[error("{0}")]
    Invalid(String),
    /// No answer from there.
    #[error("{endpoint} cannot be reached ({detail}); check the endpoint, the region and the network")]
    Unreachable {
        /// The endpoint that was asked.
        endpoint: String,
        /// The deepest cause.
        detail: String,
    },
    /// The service, or a proxy in front of it, is out of order for now.
    #[error("{endpoint} is not available ({detail}); try again later{}", Asked(.request_id))]
    Unavailable {
        /// The endpoint that was asked.
        endpoint: String,
        /// The reply.
        detail: String,
        /// The service's name for the request, for AWS support.
        request_id: Option<String>,
    },
    /// Something answers there, but not as the service does.
    #[error("{endpoint} does not answer as Kinesis does ({detail}); check the endpoint")]
    NotKinesis {
        /// The endpoint that was asked.
        endpoint: String,
        /// The reply.
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
    /// Any other error of the service.
    #[error("{operation} failed: {error}")]
    Service {
        /// The API operation.
        operation: &'static str,
        /// The service's error.
        error: ServiceError,
    },
    /// A failure that usually passes did not pass within the connect time-out.
    #[error("{error}; gave up after {attempts} attempts in {} s", .after.as_secs_f64().ceil())]
    TimedOut {
        /// The last failure.
        error: Box<ConnectError>,
        /// How often the call that failed was made.
        attempts: u32,
        /// The connect time-out.
        after: Duration,
    },
}

impl ConnectError {
    /// The service's name for the request that failed, which AWS support asks for first.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        match self {
            Self::NoSuchStream { request_id, .. }
            | Self::AccessDenied { request_id, .. }
            | Self::UnknownDistribution { request_id, .. }
            | Self::Unavailable { request_id, .. } => request_id.as_deref(),
            Self::CredentialsRefused { error } | Self::Service { error, .. } => error.request_id(),
            Self::TimedOut { error, .. } => error.request_id(),
            _ => None,
        }
    }
}

/// The request id behind a message.
struct Asked<'a>(&'a Option<String>);

impl fmt::Display for Asked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_ref().map_or(Ok(()), |id| write!(f, " (request id {id})"))
    }
}

/// A call that failed.
#[derive(Debug)]
pub(crate) struct CallError {
    pub(crate) error: ConnectError,
    pub(crate) remedy: Remedy,
}

/// Whether the same call may succeed later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// Throttling, an outage or a lost connection.
    Retry,
    /// The clock is wrong, which the reply shows, so that the next request is signed by the service's clock; or the reply
    /// was cut off.
    RetryOnce,
    /// Something has to be changed first.
    None,
}

impl From<ConnectError> for CallError {
    fn from(error: ConnectError) -> Self {
        Self { error, remedy: Remedy::None }
    }
}

/// The stream and the place it was looked for, as errors name them.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) stream: StreamId,
    pub(crate) region: String,
    pub(crate) endpoint: String,
}

impl Target {
    /// The meaning of a failed call to this endpoint.
    pub(crate) fn error<E>(
        &self,
        operation: &'static str,
        endpoint: &str,
        error: &SdkError<E, HttpResponse>,
    ) -> CallError
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        if let Some(response) = error.raw_response() {
            let refusal = Refusal {
                operation,
                endpoint,
                status: response.status().as_u16(),
                code: error.code(),
                message: error.message().unwrap_or_default(),
                request_id: response.headers().get("x-amzn-requestid").map(one_line),
            };
            return self.refusal(refusal);
        }
        if find_in_chain::<CredentialsError>(error).is_some() {
            return ConnectError::NoCredentials { detail: deepest_message(error) }.into();
        }
        let unreachable =
            ConnectError::Unreachable { endpoint: endpoint.to_owned(), detail: deepest_message(error) };
        match error {
            // A connection that was there and is lost, or a reply that did not come in time.
            SdkError::DispatchFailure(_) | SdkError::TimeoutError(_) | SdkError::ResponseError(_)
                if !is_not_connected(error) =>
            {
                CallError { error: unreachable, remedy: Remedy::Retry }
            }
            _ => unreachable.into(),
        }
    }

    fn refusal(&self, refusal: Refusal<'_>) -> CallError {
        let Refusal { operation, endpoint, status, code, message, request_id } = refusal;
        let stream = || self.stream.to_string();
        let message = one_line(message);
        let Some(code) = code.filter(|code| !code.is_empty()) else {
            let endpoint = endpoint.to_owned();
            let detail = format!("HTTP status {status} without an error code");
            return match is_out_of_order(status) {
                true => CallError {
                    error: ConnectError::Unavailable { endpoint, detail, request_id },
                    remedy: Remedy::Retry,
                },
                false => {
                    // A success that cannot be read may be cut off, or a page.
                    let remedy = if status < 300 { Remedy::RetryOnce } else { Remedy::None };
                    CallError { error: ConnectError::NotKinesis { endpoint, detail }, remedy }
                }
            };
        };
        let mut error = ServiceError::new(code, &message);
        if let Some(id) = &request_id {
            error = error.with_request_id(id);
        }
        let code = error.code().as_str().to_owned();
        let class = RequestError::refused(status, error.clone()).class();
        match &*code {
            _ if class == ErrorClass::Throttled || is_out_of_order(status) => {
                CallError { error: ConnectError::Service { operation, error }, remedy: Remedy::Retry }
            }
            "ResourceNotFoundException" => ConnectError::NoSuchStream {
                stream: stream(),
                region: self.region.clone(),
                endpoint: endpoint.to_owned(),
                request_id,
            }
            .into(),
            "AccessDeniedException" | "AccessDenied" | "NotAuthorized" => ConnectError::AccessDenied {
                stream: stream(),
                actions: action_of(operation),
                message,
                request_id,
            }
            .into(),
            _ if message.contains("scoped to a valid region") => {
                ConnectError::WrongRegion { region: self.region.clone(), expected: message }.into()
            }
            "RequestExpired" | "RequestTimeTooSkewed" | "RequestInTheFuture" => {
                CallError { error: ConnectError::CredentialsRefused { error }, remedy: Remedy::RetryOnce }
            }
            "InvalidSignatureException" | "SignatureDoesNotMatch"
                if message.contains("Signature expired") || message.contains("not yet current") =>
            {
                CallError { error: ConnectError::CredentialsRefused { error }, remedy: Remedy::RetryOnce }
            }
            _ if class == ErrorClass::Credentials => ConnectError::CredentialsRefused { error }.into(),
            "UnknownOperationException" => ConnectError::NotKinesis {
                endpoint: endpoint.to_owned(),
                detail: format!("it does not know {operation}"),
            }
            .into(),
            _ => ConnectError::Service { operation, error }.into(),
        }
    }
}

/// A reply that is an error.
struct Refusal<'a> {
    operation: &'static str,
    endpoint: &'a str,
    status: u16,
    code: Option<&'a str>,
    message: &'a str,
    request_id: Option<String>,
}

/// The statuses of a server, or of a proxy before it, that may serve the same request later.
fn is_out_of_order(status: u16) -> bool {
    status >= 500 || matches!(status, 408 | 425 | 429)
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

    fn refused(
        operation: &'static str,
        status: u16,
        code: Option<&'static str>,
        message: &'static str,
    ) -> CallError {
        let endpoint = "https://kinesis.eu-west-1.amazonaws.com";
        target().refusal(Refusal {
            operation,
            endpoint,
            status,
            code,
            message,
            request_id: Some("8a5e".into()),
        })
    }

    #[test]
    fn throttling_and_outages_are_tried_again_and_refusals_are_not() {
        for (status, code) in [
            (400, Some("LimitExceededException")),
            (400, Some("com.amazonaws#ThrottlingException")),
            (500, Some("InternalFailure")),
            (503, None),
            (503, Some("SlowDown")),
            (429, None),
        ] {
            assert_eq!(refused("ListShards", status, code, "").remedy, Remedy::Retry, "{status} {code:?}");
        }
        for (status, code) in [
            (400, Some("ResourceNotFoundException")),
            (400, Some("AccessDeniedException")),
            (400, Some("UnrecognizedClientException")),
            (403, Some("SignatureDoesNotMatch")),
            (404, None),
            (302, None),
        ] {
            assert_eq!(refused("ListShards", status, code, "").remedy, Remedy::None, "{status} {code:?}");
        }
        let skewed = refused("ListShards", 400, Some("InvalidSignatureException"), "Signature expired: …");
        assert_eq!(skewed.remedy, Remedy::RetryOnce);
    }

    #[test]
    fn an_error_of_the_service_carries_its_request_id() {
        for (status, code) in [
            (400, Some("ResourceNotFoundException")),
            (400, Some("AccessDeniedException")),
            (400, Some("ExpiredTokenException")),
            (500, Some("InternalFailure")),
            (503, None),
        ] {
            let error = refused("ListShards", status, code, "").error;
            assert_eq!(error.request_id(), Some("8a5e"), "{error}");
            assert!(error.to_string().contains("(request id 8a5e)"), "{error}");
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
                "the credentials are not accepted (ExpiredTokenException: expired (request id 8a5e))",
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
            let error = refused("DescribeStreamSummary", 400, Some(code), message).error.to_string();
            assert!(error.starts_with(expected), "{error:?} does not start with {expected:?}");
            assert!(!error.contains('\n'), "{error:?} has more than one line");
        }
        let error = refused("ListShards", 404, None, "").error.to_string();
        assert!(error.contains("does not answer as Kinesis does (HTTP status 404"), "{error}");
    }
}
