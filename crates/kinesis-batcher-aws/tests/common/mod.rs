//! A service that answers as it is told, without a network.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "each test file uses its part")]

pub mod cbor;
pub mod replies;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningParams, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_async::rt::sleep::{AsyncSleep, SharedAsyncSleep, Sleep};
use aws_smithy_async::time::StaticTimeSource;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use futures::FutureExt;
use futures::executor::block_on;
use kinesis_batcher_aws::{
    AwsTransport, Credentials, Region, SdkConfig, SharedCredentialsProvider, StreamId, Wire,
};
use kinesis_batcher_driver::{PutRecords, Record, RecordOutcome, RequestError, Response, Transport};

/// Answers requests with a reply, and keeps the requests.
#[derive(Clone, Debug)]
pub struct Service {
    in_json: Reply,
    /// What a request in CBOR gets; the same as one in JSON, unless told otherwise.
    in_cbor: Option<Reply>,
    /// Whether to answer with these already, or with a reply that all wires read.
    begun: Arc<AtomicBool>,
    sent: Arc<Mutex<Vec<Sent>>>,
}

#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, &'static str)>,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn json(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: vec![("content-type", "application/x-amz-json-1.1")], body: body.into() }
    }

    pub fn cbor(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: vec![("content-type", "application/x-amz-cbor-1.1")], body: body.into() }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Sent {
    pub uri: String,
    pub is_cbor: bool,
    /// The number that the orchestrator gives each request.
    pub is_numbered: bool,
    /// Without those that differ from call to call, or from encoding to encoding.
    pub headers: Vec<(String, String)>,
    /// As JSON, whatever it was.
    pub body: serde_json::Value,
}

impl Service {
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self::answering(Reply::json(status, body))
    }

    pub fn answering(reply: Reply) -> Self {
        Self { in_json: reply, in_cbor: None, begun: Arc::default(), sent: Arc::default() }
    }

    pub fn answering_cbor(mut self, reply: Reply) -> Self {
        self.in_cbor = Some(reply);
        self
    }

    pub fn transport(&self, wire: Wire, stream: StreamId) -> AwsTransport {
        self.transport_to(None, wire, stream)
    }

    /// To another endpoint than that of the region.
    pub fn transport_to(&self, endpoint_url: Option<&str>, wire: Wire, stream: StreamId) -> AwsTransport {
        let connector = SharedHttpConnector::new(self.clone());
        let mut config = SdkConfig::builder();
        config.set_endpoint_url(endpoint_url.map(str::to_owned));
        let config = config
            .region(Region::from_static("eu-west-1"))
            .credentials_provider(SharedCredentialsProvider::new(Credentials::for_tests()))
            .http_client(http_client_fn(move |_, _| connector.clone()))
            .sleep_impl(SharedAsyncSleep::new(Never))
            .time_source(StaticTimeSource::from_secs(NOW))
            .build();
        AwsTransport::new(&config, stream).unwrap().with_wire(wire)
    }

    pub fn outcome(&self, wire: Wire) -> Result<Response, RequestError> {
        self.send(wire, "clicks".parse().unwrap(), &request())
    }

    /// Sends the request twice, for two wires learn from the first; what comes of the second counts.
    pub fn send(&self, wire: Wire, stream: StreamId, request: &PutRecords) -> Result<Response, RequestError> {
        let transport = self.transport(wire, stream);
        self.begin(false);
        block_on(transport.put_records(request)).unwrap();
        self.begin(true);
        block_on(transport.put_records(request))
    }

    pub fn begin(&self, begun: bool) {
        self.begun.store(begun, Ordering::Relaxed);
    }

    /// The requests since it was asked last.
    pub fn sent(&self) -> Vec<Sent> {
        std::mem::take(&mut *self.sent.lock().unwrap())
    }
}

pub fn request() -> PutRecords {
    PutRecords::of_records([Record::new("k", "v").unwrap()]).unwrap()
}

impl HttpConnector for Service {
    fn call(&self, mut request: HttpRequest) -> HttpConnectorFuture {
        const OF_EACH_CALL: [&str; 4] =
            ["authorization", "amz-sdk-invocation-id", "content-length", "content-type"];
        let body = std::mem::replace(request.body_mut(), SdkBody::taken());
        let body = ByteStream::new(body).collect().now_or_never().unwrap().unwrap().into_bytes();
        assert_eq!(request.headers().get("content-length").unwrap(), body.len().to_string());
        let is_cbor = match request.headers().get("content-type").unwrap() {
            "application/x-amz-json-1.1" => false,
            "application/x-amz-cbor-1.1" => true,
            other => panic!("nobody speaks {other}"),
        };
        let signed = request.headers().get("authorization").unwrap();
        assert!(signed.contains("content-type"), "the signature covers the type: {signed}");
        assert_eq!(signed, signature(&request, &body), "it is that of the body");
        let is_numbered = request.headers().get("amz-sdk-invocation-id").is_some();
        let headers = request.headers().iter().filter(|(name, _)| !OF_EACH_CALL.contains(name));
        let mut headers: Vec<_> = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        headers.sort();
        let uri = request.uri().to_owned();
        let body = if is_cbor { cbor::to_json(&body) } else { serde_json::from_slice(&body).unwrap() };
        self.sent.lock().unwrap().push(Sent { uri, is_cbor, is_numbered, headers, body });
        if !self.begun.load(Ordering::Relaxed) {
            let good = HttpResponse::new(200.try_into().unwrap(), SdkBody::from(r#"{"Records":[]}"#));
            return HttpConnectorFuture::ready(Ok(good));
        }
        let reply = self.in_cbor.as_ref().filter(|_| is_cbor).unwrap_or(&self.in_json);
        let mut response =
            HttpResponse::new(reply.status.try_into().unwrap(), SdkBody::from(reply.body.clone()));
        for (name, value) in &reply.headers {
            response.headers_mut().insert(*name, *value);
        }
        HttpConnectorFuture::ready(Ok(response))
    }
}

/// The authorization that this request must have, worked out from all of its body.
fn signature(request: &HttpRequest, body: &[u8]) -> String {
    let is_signed = |name: &str| {
        let of_the_signature = ["authorization", "x-amz-date", "x-amz-security-token"];
        let names = request.headers().get("authorization").unwrap().split("SignedHeaders=").nth(1).unwrap();
        let mut names = names.split(',').next().unwrap().split(';');
        !of_the_signature.contains(&name) && names.any(|signed| signed == name)
    };
    let headers = request.headers().iter().filter(|(name, _)| is_signed(name));
    let identity = Credentials::for_tests().into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region("eu-west-1")
        .name("kinesis")
        .time(UNIX_EPOCH + Duration::from_secs(NOW))
        .settings(SigningSettings::default())
        .build()
        .unwrap();
    let signable =
        SignableRequest::new(request.method(), request.uri(), headers, SignableBody::Bytes(body)).unwrap();
    let (instructions, _) = sign(signable, &SigningParams::from(parameters)).unwrap().into_parts();
    let (headers, _) = instructions.into_parts();
    headers.iter().find(|header| header.name() == "authorization").unwrap().value().to_owned()
}

/// The time it is, in seconds since 1970.
const NOW: u64 = 1_767_225_600;

#[derive(Debug)]
struct Never;

impl AsyncSleep for Never {
    fn sleep(&self, _: Duration) -> Sleep {
        Sleep::new(std::future::pending())
    }
}

/// What was read, or what the failure means; the words of a message are each wire's own.
pub fn meaning(
    outcome: Result<Response, RequestError>,
) -> Result<Vec<RecordOutcome>, (String, String, bool)> {
    outcome.map(|response| response.outcomes).map_err(|error| {
        (format!("{:?}", error.class()), error.error().code().to_string(), error.is_outcome_unknown())
    })
}
