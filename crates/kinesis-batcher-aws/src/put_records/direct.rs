//! PutRecords past the SDK's orchestrator, in JSON as it sends it, or in CBOR.
//!
//! A request that the orchestrator sends is taken as a template: its address, its headers, the scope of its signature,
//! and the components that it was sent with. Requests after it are the same with a body and a signature of their own.
//! Their credentials come out of the SDK's cache and their replies through the SDK's HTTP client.
//!
//! After anything but success the template is dropped, so that the orchestrator sends the next request: it corrects the
//! clock, finds the endpoint and chooses the credentials anew.

use std::fmt;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sdk_kinesis::operation::put_records::PutRecordsError;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningParams, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::auth::AuthSchemeId;
use aws_smithy_runtime_api::client::connection::CaptureSmithyConnection;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::identity::{Identity, ResolveCachedIdentity};
use aws_smithy_runtime_api::client::interceptors::context::Error;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_runtime_api::client::runtime_components::{GetIdentityResolver, RuntimeComponents};
use aws_smithy_runtime_api::http::Headers;
use aws_smithy_schema::protocol::SharedClientProtocol;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use aws_smithy_types::config_bag::{ConfigBag, Layer};
use aws_smithy_types::date_time::{DateTime, Format};
use aws_smithy_types::timeout::TimeoutConfig;
use kinesis_batcher_driver::Response;

use super::body::Body;
use super::lean::deserialize_error;
use super::reply::read_reply;
use super::scan::Malformed;
use super::{cbor, json};

/// What a request went out with, for others to go out with.
pub(crate) struct Template {
    uri: String,
    /// Without what belongs to one request: its length, its signature and its number.
    headers: Headers,
    region: String,
    service: String,
    skew: Skew,
    connector: SharedHttpConnector,
    components: RuntimeComponents,
    /// The protocol, by which errors are read.
    config: ConfigBag,
}

/// How a request is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Json,
    Cbor,
}

/// How far the service's clock is ahead of this one, or behind.
#[derive(Clone, Copy)]
enum Skew {
    Ahead(Duration),
    Behind(Duration),
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
        let mut scope = credential.split(',').next()?.rsplit('/');
        let ("aws4_request", service, region) = (scope.next()?, scope.next()?, scope.next()?) else {
            return None;
        };
        let skew = Skew::of(request.headers().get("x-amz-date")?, components.time_source()?.now())?;
        let mut headers = request.headers().clone();
        for name in OF_ONE_REQUEST {
            headers.remove(name);
        }
        let mut settings = HttpConnectorSettings::builder();
        settings.set_connect_timeout(timeouts.connect_timeout());
        settings.set_read_timeout(timeouts.read_timeout());
        let connector = components.http_client()?.http_connector(&settings.build(), components);
        let mut layer = Layer::new("direct");
        layer.store_put(config.load::<SharedClientProtocol>()?.clone());
        Some(Self {
            uri: request.uri().to_owned(),
            headers,
            region: region.to_owned(),
            service: service.to_owned(),
            skew,
            connector,
            components: components.clone(),
            config: ConfigBag::of_layers([layer]),
        })
    }

    /// Whether the requests go to a host of AWS, and not to an emulator.
    pub(super) fn is_to_aws(&self) -> bool {
        let authority = self.uri.split("://").nth(1).unwrap_or_default().split('/').next();
        let host = authority.unwrap_or_default().split(':').next().unwrap_or_default();
        HOSTS_OF_AWS.iter().any(|suffix| host.ends_with(suffix))
    }

    /// Sends a request with this body, which is in this encoding.
    pub(super) async fn send(
        &self,
        encoding: Encoding,
        body: Body,
    ) -> Result<Response, SdkError<PutRecordsError, HttpResponse>> {
        let not_sent = |error: BoxError| SdkError::construction_failure(error);
        let identity = self.identity().await.map_err(not_sent)?;
        let hash = body.sha256();
        let mut request = self.request(encoding, body).map_err(not_sent)?;
        self.sign(&mut request, hash, &identity).map_err(not_sent)?;
        let connection = CaptureSmithyConnection::new();
        request.add_extension(connection.clone());
        let exchanged = self.exchange(encoding, request).await;
        let is_transient = match &exchanged {
            Ok(_) => false,
            Err(SdkError::DispatchFailure(_)) => true,
            Err(error) => error.raw_response().is_some_and(|response| response.status().is_server_error()),
        };
        if let Some(connection) = connection.get().filter(|_| is_transient) {
            // As the orchestrator does it: the next request may reach a machine that is well.
            connection.poison();
        }
        exchanged
    }

    async fn identity(&self) -> Result<Identity, BoxError> {
        let resolver = self.components.identity_resolver(AuthSchemeId::new("sigv4"));
        let resolver = resolver.ok_or("there is nobody to ask for credentials")?;
        let cache = self.components.identity_cache();
        let identity = cache.resolve_cached_identity(resolver, &self.components, &self.config).await?;
        identity.data::<Credentials>().ok_or("what was found are no credentials")?;
        Ok(identity)
    }

    fn request(&self, encoding: Encoding, body: Body) -> Result<HttpRequest, BoxError> {
        let length = body.len();
        let mut request = HttpRequest::new(SdkBody::from(body));
        request.set_method("POST")?;
        request.set_uri(&*self.uri)?;
        *request.headers_mut() = self.headers.clone();
        request.headers_mut().insert("content-length", length.to_string());
        if encoding == Encoding::Cbor {
            request.headers_mut().insert("content-type", cbor::CONTENT_TYPE);
        }
        Ok(request)
    }

    fn sign(&self, request: &mut HttpRequest, hash: String, identity: &Identity) -> Result<(), BoxError> {
        let now = self.components.time_source().ok_or("there is no clock")?.now();
        let parameters = v4::SigningParams::builder()
            .identity(identity)
            .region(&self.region)
            .name(&self.service)
            .time(self.skew.apply(now))
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
    ) -> Result<Response, SdkError<PutRecordsError, HttpResponse>> {
        let mut response = self.connector.call(request).await.map_err(SdkError::dispatch_failure)?;
        let body = std::mem::replace(response.body_mut(), SdkBody::taken());
        let body = match ByteStream::new(body).collect().await {
            Ok(body) => body.into_bytes(),
            Err(error) => return Err(SdkError::response_error(error, response)),
        };
        // A proxy or an emulator may answer in JSON what it was asked in CBOR.
        let is_cbor =
            encoding == Encoding::Cbor && cbor::is_cbor(response.headers().get("content-type"), &body);
        if response.status().is_success() {
            return read(is_cbor, &body).map_err(|error| SdkError::response_error(error, response));
        }
        let json = is_cbor.then(|| cbor::to_json(&body).ok()).flatten();
        *response.body_mut() = json.map_or_else(|| SdkBody::from(body), SdkBody::from);
        Err(error_of(response, &self.config))
    }
}

fn read(is_cbor: bool, reply: &[u8]) -> Result<Response, Malformed> {
    if is_cbor {
        read_reply(cbor::Scanner::new(reply), reply.len())
    } else {
        read_reply(json::Scanner::new(reply), reply.len())
    }
}

/// The error that a reply is, as the orchestrator makes it.
fn error_of(response: HttpResponse, config: &ConfigBag) -> SdkError<PutRecordsError, HttpResponse> {
    let Err(error) = deserialize_error(&response, config) else {
        return SdkError::response_error("an error that says it is none", response);
    };
    let mut refusal = None;
    let unreadable = error.map_operation_error(|error| refusal = Some(error));
    match refusal.map(Error::downcast::<PutRecordsError>) {
        Some(Ok(refusal)) => SdkError::service_error(refusal, response),
        Some(Err(_)) => SdkError::response_error("an error of another operation", response),
        None => SdkError::response_error(format!("{unreadable:?}"), response),
    }
}

impl Skew {
    fn of(signed_at: &str, now: SystemTime) -> Option<Self> {
        // 20260131T235959Z
        let part = |start, end| signed_at.get(start..end);
        let (year, month, day) = (part(0, 4)?, part(4, 6)?, part(6, 8)?);
        let (hour, minute, second) = (part(9, 11)?, part(11, 13)?, part(13, 15)?);
        let text = format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z");
        let signed_at = SystemTime::try_from(DateTime::from_str(&text, Format::DateTime).ok()?).ok()?;
        let skew = match signed_at.duration_since(now) {
            Ok(ahead) => Self::Ahead(ahead),
            Err(error) => Self::Behind(error.duration()),
        };
        // The signature's time is cut to seconds.
        let (Self::Ahead(skew_time) | Self::Behind(skew_time)) = skew;
        Some(if skew_time < SKEW_MIN { Self::Ahead(Duration::ZERO) } else { skew })
    }

    fn apply(self, time: SystemTime) -> SystemTime {
        match self {
            Self::Ahead(skew) => time.checked_add(skew),
            Self::Behind(skew) => time.checked_sub(skew),
        }
        .unwrap_or(time)
    }
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
const OF_ONE_REQUEST: [&str; 5] =
    ["authorization", "x-amz-date", "x-amz-security-token", "content-length", "amz-sdk-invocation-id"];
/// The service takes signatures that are up to five minutes off.
const SKEW_MIN: Duration = Duration::from_secs(60);
