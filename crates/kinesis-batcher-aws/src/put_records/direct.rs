//! PutRecords past the SDK's orchestrator, in JSON as it sends it, or in CBOR.
//!
//! A request that the orchestrator sends is taken as a template: its address, its headers, the scope of its signature,
//! and the components that it was sent with. Requests after it are the same with a body and a signature of their own.
//! Their credentials come out of the SDK's cache and their replies through the SDK's HTTP client.
//!
//! A template is for one access key, because the endpoint depends on the account that a key is of. After anything but
//! success it is dropped, so that the orchestrator sends the next request and finds the endpoint anew.

use std::convert::Infallible;
use std::ffi::OsStr;
use std::fmt;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningParams, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::auth::AuthSchemeId;
use aws_smithy_runtime_api::client::connection::CaptureSmithyConnection;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::identity::{Identity, ResolveCachedIdentity};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_runtime_api::client::runtime_components::{GetIdentityResolver, RuntimeComponents};
use aws_smithy_runtime_api::http::Headers;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use aws_smithy_types::config_bag::ConfigBag;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::request_id::RequestId;
use bytes::Bytes;
use kinesis_batcher_driver::Response;

use super::body::Body;
use super::call_error::{CallError, endpoint};
use super::refusal::Refusal;
use super::reply::read_reply;
use super::scan::Malformed;
use super::{cbor, json};
use crate::clock::ServiceClock;
use crate::error_chain::deepest_message;

/// What a request went out with, for others to go out with.
pub(crate) struct Template {
    uri: String,
    /// Host and port of the URI.
    endpoint: String,
    /// Without those that belong to one request: its length, its signature, its number, the trace it is part of.
    headers: Headers,
    access_key_id: String,
    region: String,
    service: String,
    connector: SharedHttpConnector,
    components: RuntimeComponents,
    /// Empty: the cache of credentials has its time-out from the client and reads nothing else from here.
    config: ConfigBag,
    is_in_lambda: bool,
}

/// How a request is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Json,
    Cbor,
}

impl Template {
    /// Takes a signed request for a template, unless something about it is not for this module to do: a signature of
    /// another kind, or a time-out that the orchestrator keeps.
    pub(super) fn of(
        request: &HttpRequest,
        components: &RuntimeComponents,
        config: &ConfigBag,
    ) -> Option<Self> {
        let timeouts = config.load::<TimeoutConfig>()?;
        if timeouts.operation_timeout().is_some() || timeouts.operation_attempt_timeout().is_some() {
            return None;
        }
        let credential = request.headers().get("authorization")?.strip_prefix(CREDENTIAL)?;
        // KEY/20260131/REGION/kinesis/aws4_request
        let mut scope = credential.split(',').next()?.rsplitn(5, '/');
        let ("aws4_request", service, region) = (scope.next()?, scope.next()?, scope.next()?) else {
            return None;
        };
        let access_key_id = scope.nth(1)?;
        let mut headers = request.headers().clone();
        for name in OF_ONE_REQUEST {
            headers.remove(name);
        }
        let mut settings = HttpConnectorSettings::builder();
        settings.set_connect_timeout(timeouts.connect_timeout());
        settings.set_read_timeout(timeouts.read_timeout());
        let connector = components.http_client()?.http_connector(&settings.build(), components);
        Some(Self {
            uri: request.uri().to_owned(),
            endpoint: endpoint(request.uri()),
            headers,
            access_key_id: access_key_id.to_owned(),
            region: region.to_owned(),
            service: service.to_owned(),
            connector,
            components: components.clone(),
            config: ConfigBag::base(),
            is_in_lambda: std::env::var_os("AWS_LAMBDA_FUNCTION_NAME").is_some(),
        })
    }

    /// Whether the requests go to a host of AWS, and not to an emulator.
    pub(super) fn is_to_aws(&self) -> bool {
        let host = self.endpoint.split(':').next().unwrap_or_default();
        HOSTS_OF_AWS.iter().any(|suffix| host.ends_with(suffix))
    }

    /// The credentials that a request is signed with, from the SDK's cache.
    pub(super) async fn identity(&self) -> Result<Identity, CallError> {
        let none = |error: BoxError| CallError::NoCredentials(deepest_message(&*error));
        let resolver = self.components.identity_resolver(AuthSchemeId::new("sigv4"));
        let resolver = resolver.ok_or_else(|| none("the client has no credentials provider".into()))?;
        let cache = self.components.identity_cache();
        let identity = cache.resolve_cached_identity(resolver, &self.components, &self.config).await;
        identity.map_err(none)
    }

    /// Whether the template was sent with these credentials.
    pub(super) fn is_of(&self, identity: &Identity) -> bool {
        identity.data::<Credentials>().is_some_and(|key| key.access_key_id() == self.access_key_id)
    }

    /// Sends a request with this body, which is in this encoding.
    pub(super) async fn send(
        &self,
        clock: &ServiceClock,
        identity: &Identity,
        encoding: Encoding,
        body: Body,
    ) -> Result<Response, CallError> {
        let not_sent = |error: BoxError| CallError::NotSent(deepest_message(&*error));
        let signing = clock.signing();
        let hash = body.sha256();
        let mut request = self.request(encoding, body).map_err(not_sent)?;
        self.sign(&mut request, hash, identity).map_err(not_sent)?;
        let connection = CaptureSmithyConnection::new();
        request.add_extension(connection.clone());
        let exchanged = self.exchange(encoding, request).await;
        let is_transient = match &exchanged {
            Ok(reply) => reply.head.status().is_server_error(),
            Err(SdkError::DispatchFailure(_)) => true,
            Err(error) => error.raw_response().is_some_and(|response| response.status().is_server_error()),
        };
        if let Some(connection) = connection.get().filter(|_| is_transient) {
            // As the orchestrator does it: the next request may reach a machine that is well.
            connection.poison();
        }
        let reply = exchanged.map_err(|error| {
            if let Some(reply) = error.raw_response() {
                clock.measure(signing, reply);
            }
            CallError::of_sent(&self.endpoint, &error)
        })?;
        clock.measure(signing, &reply.head);
        reply.read(&self.endpoint)
    }

    fn request(&self, encoding: Encoding, body: Body) -> Result<HttpRequest, BoxError> {
        let length = body.len();
        let mut request = HttpRequest::new(SdkBody::from(body));
        request.set_method("POST")?;
        request.set_uri(&*self.uri)?;
        *request.headers_mut() = self.headers.clone();
        request.headers_mut().insert("content-length", length.to_string());
        request.headers_mut().insert("amz-sdk-request", ONLY_ATTEMPT);
        if self.is_in_lambda
            && let Some(trace_id) = std::env::var_os("_X_AMZN_TRACE_ID").as_deref().and_then(trace_id)
        {
            request.headers_mut().insert("x-amzn-trace-id", trace_id);
        }
        if encoding == Encoding::Cbor {
            request.headers_mut().insert("content-type", cbor::CONTENT_TYPE);
        }
        Ok(request)
    }

    fn sign(&self, request: &mut HttpRequest, hash: String, identity: &Identity) -> Result<(), BoxError> {
        let now = self.components.time_source().ok_or("the client has no clock")?.now();
        let parameters = v4::SigningParams::builder()
            .identity(identity)
            .region(&self.region)
            .name(&self.service)
            .time(now)
            .settings(SigningSettings::default())
            .build()?;
        let body = SignableBody::Precomputed(hash);
        let signable = SignableRequest::new(request.method(), request.uri(), request.headers().iter(), body)?;
        let (instructions, _) = sign(signable, &SigningParams::from(parameters))?.into_parts();
        for header in instructions.into_parts().0 {
            let mut value = http::HeaderValue::from_str(header.value())?;
            value.set_sensitive(header.sensitive());
            request.headers_mut().insert(header.name(), value);
        }
        Ok(())
    }

    async fn exchange(
        &self,
        encoding: Encoding,
        request: HttpRequest,
    ) -> Result<Reply, SdkError<Infallible, HttpResponse>> {
        let mut head = self.connector.call(request).await.map_err(SdkError::dispatch_failure)?;
        let body = std::mem::replace(head.body_mut(), SdkBody::taken());
        let body = match ByteStream::new(body).collect().await {
            Ok(body) => body.into_bytes(),
            Err(error) => return Err(SdkError::response_error(error, head)),
        };
        // A proxy or an emulator may answer in JSON what it was asked in CBOR.
        let is_cbor = encoding == Encoding::Cbor && cbor::is_cbor(head.headers().get("content-type"), &body);
        if !head.status().is_success() {
            let json = is_cbor.then(|| cbor::to_json(&body).ok()).flatten();
            *head.body_mut() = json.map_or_else(|| SdkBody::from(body.clone()), SdkBody::from);
        }
        Ok(Reply { head, body, is_cbor })
    }
}

/// A reply that was received to its end.
struct Reply {
    /// With the body in JSON if it is an error.
    head: HttpResponse,
    body: Bytes,
    is_cbor: bool,
}

impl Reply {
    fn read(&self, endpoint: &str) -> Result<Response, CallError> {
        if !self.head.status().is_success() {
            return Err(CallError::Refused(Refusal::of(&self.head)));
        }
        let (length, request_id) = (self.body.len(), self.head.headers().request_id());
        let read: Result<_, Malformed> = match self.is_cbor {
            true => read_reply(cbor::Scanner::new(&self.body), length, request_id),
            false => read_reply(json::Scanner::new(&self.body), length, request_id),
        };
        read.map_err(|error| CallError::OutcomeUnknown(format!("{endpoint}: unreadable reply: {error}")))
    }
}

/// The id of the invocation that this runs in, as AWS's SDKs pass it on so that functions cannot call each other for
/// ever. It differs from invocation to invocation.
fn trace_id(text: &OsStr) -> Option<http::HeaderValue> {
    let encode = |char: char| match char {
        ' '..='~' => char.to_string(),
        other => other.to_string().bytes().map(|byte| format!("%{byte:02X}")).collect(),
    };
    http::HeaderValue::try_from(text.to_str()?.chars().map(encode).collect::<String>()).ok()
}

/// Headers hold the token of a session.
impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Template").field("uri", &self.uri).finish_non_exhaustive()
    }
}

/// What the names of its endpoints end with, those for VPCs included (partitions in the SDK's endpoint rules, 2026).
const HOSTS_OF_AWS: [&str; 13] = [
    ".amazonaws.com",
    ".api.aws",
    ".amazonaws.com.cn",
    ".api.amazonwebservices.com.cn",
    ".amazonaws.eu",
    ".api.amazonwebservices.eu",
    ".c2s.ic.gov",
    ".api.aws.ic.gov",
    ".sc2s.sgov.gov",
    ".csp.hci.ic.gov",
    ".api.aws.hci.ic.gov",
    ".cloud.adc-e.uk",
    ".api.cloud-aws.adc-e.uk",
];
const CREDENTIAL: &str = "AWS4-HMAC-SHA256 Credential=";
const OF_ONE_REQUEST: [&str; 7] = [
    "authorization",
    "x-amz-date",
    "x-amz-security-token",
    "content-length",
    "amz-sdk-invocation-id",
    "amz-sdk-request",
    "x-amzn-trace-id",
];
/// The orchestrator says the same: this crate repeats nothing.
const ONLY_ATTEMPT: &str = "attempt=1; max=1";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_id_is_passed_on_as_a_header() {
        let id = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=557abcec3ee5a047;Sampled=1";
        assert_eq!(trace_id(OsStr::new(id)).unwrap(), id);
        assert_eq!(trace_id(OsStr::new("a\n\u{e9}")).unwrap(), "a%0A%C3%A9");
    }
}
