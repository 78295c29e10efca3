//! The least that a client of PutRecords can do: JSON by hand, base64 by SIMD, a signature, HTTP/1.1, and a look at the
//! reply. It checks nothing, times nothing out and knows one kind of credentials.

use std::net::SocketAddr;
use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningParams, SigningSettings, sign};
use aws_sigv4::sign::v4;
use base64_simd::STANDARD;
use http::{HeaderValue, Request};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use kinesis_batcher_tokio::{Bytes, PutRecords};
use memchr::memmem;
use tokio::net::TcpStream;

/// One connection.
pub(crate) struct Bare {
    sender: SendRequest<Full<Bytes>>,
    authority: String,
    url: String,
    identity: aws_smithy_runtime_api::client::identity::Identity,
}

impl Bare {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("the server listens");
        stream.set_nodelay(true).expect("the socket is open");
        let (sender, connection) = handshake(TokioIo::new(stream)).await.expect("a connection to speak over");
        tokio::spawn(connection);
        let identity = Credentials::new("access", "secret", None, None, "bench").into();
        Self { sender, authority: address.to_string(), url: format!("http://{address}/"), identity }
    }

    /// Sends the request and returns how many of its records are stored.
    pub(crate) async fn put_records(&mut self, request: &PutRecords) -> usize {
        let request = self.request(Bytes::from(body(request)));
        self.sender.ready().await.expect("the connection stands");
        let reply = self.sender.send_request(request).await.expect("the server answers");
        assert_eq!(reply.status(), 200);
        let body = reply.into_body().collect().await.expect("a whole reply").to_bytes();
        assert!(memmem::find(&body, b"\"ErrorCode\"").is_none(), "nothing fails");
        memmem::find_iter(&body, b"\"SequenceNumber\"").count()
    }

    fn request(&self, body: Bytes) -> Request<Full<Bytes>> {
        let headers = [("content-type", CONTENT_TYPE), ("host", &*self.authority), ("x-amz-target", TARGET)];
        let signable =
            SignableRequest::new("POST", &*self.url, headers.into_iter(), SignableBody::Bytes(&body));
        let parameters = v4::SigningParams::builder()
            .identity(&self.identity)
            .region("us-east-1")
            .name("kinesis")
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .expect("all are set");
        let parameters = SigningParams::from(parameters);
        let signed = sign(signable.expect("a plain request"), &parameters).expect("it can be signed");
        let (instructions, _) = signed.into_parts();
        let mut request = Request::post("/")
            .header("content-type", HeaderValue::from_static(CONTENT_TYPE))
            .header("host", &*self.authority)
            .header("x-amz-target", HeaderValue::from_static(TARGET))
            .body(Full::new(body))
            .expect("a valid request");
        instructions.apply_to_request_http1x(&mut request);
        request
    }
}

/// Keys and stream of the benchmark need no escapes.
fn body(request: &PutRecords) -> Vec<u8> {
    let mut body = Vec::with_capacity(request.bytes() * 4 / 3 + request.len() * 48 + 64);
    body.extend_from_slice(b"{\"Records\":[");
    for (index, record) in request.records().enumerate() {
        body.extend_from_slice(if index == 0 { b"{\"Data\":\"" } else { b",{\"Data\":\"" });
        STANDARD.encode_append(record.data(), &mut body);
        body.extend_from_slice(b"\",\"PartitionKey\":\"");
        body.extend_from_slice(record.partition_key().unwrap_or_default().as_bytes());
        body.extend_from_slice(b"\"}");
    }
    body.extend_from_slice(b"],\"StreamName\":\"fast\"}");
    body
}

const CONTENT_TYPE: &str = "application/x-amz-json-1.1";
const TARGET: &str = "Kinesis_20131202.PutRecords";
