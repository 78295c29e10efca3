//! The HTTP service, over real sockets.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "helpers of tests are tests")]
#![cfg(feature = "http")]

mod common;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use axum::Router;
use common::fake_kinesis::Behaviour;
use common::openmetrics::parse;
use common::{producer, record};
use kinesis_batcher_driver::{Producer, ServiceError};
use kinesis_batcher_metrics::{Credentials, ServeOptions, StatusOptions, router, serve};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

struct Service {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Service {
    async fn start(router: Router, options: ServeOptions) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(serve(listener, router, options, async { drop(stopped.await) }));
        Self { address, stop, task }
    }

    async fn get(&self, path: &str, headers: &str) -> Reply {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        Reply::read(&mut stream).await
    }

    async fn stop(self) {
        drop(self.stop);
        self.task.await.unwrap();
    }
}

#[derive(Debug)]
struct Reply {
    status: u16,
    head: String,
    body: String,
}

impl Reply {
    async fn read(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> Self {
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await.unwrap();
        let all = String::from_utf8(all).unwrap();
        let (head, body) = all.split_once("\r\n\r\n").unwrap_or((&all, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        Self { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
    }
}

async fn service(options: StatusOptions) -> (Service, Producer) {
    let (producer, _) = producer(4, Behaviour::default());
    (Service::start(router(&producer, options), ServeOptions::default()).await, producer)
}

fn basic(text: &str) -> String {
    // Written out, so that the test does not take the service's word for base64.
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut encoded = String::new();
    for chunk in text.as_bytes().chunks(3) {
        let word =
            chunk.iter().fold(0_u32, |word, &byte| word << 8 | u32::from(byte)) << (8 * (3 - chunk.len()));
        for index in 0..4 {
            let digit = DIGITS[(word >> (18 - 6 * index) & 63) as usize];
            encoded.push(if index <= chunk.len() { digit as char } else { '=' });
        }
    }
    format!("authorization: Basic {encoded}\r\n")
}

#[tokio::test]
async fn each_route_answers_what_it_says_and_is_not_kept() {
    let (service, producer) = service(StatusOptions::default().stream("orders")).await;
    producer.send(record(1)).await.unwrap().await.unwrap();
    for (path, content_type, mark) in [
        ("/", "text/html", "<!doctype html>"),
        ("/metrics", "application/openmetrics-text; version=1.0.0", "# EOF"),
        ("/api/stats", "application/json", "\"success\":1"),
        ("/healthz", "text/plain", "ok"),
        ("/readyz", "text/plain", "ok"),
    ] {
        let reply = service.get(path, "").await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.head);
        assert!(reply.head.contains(&format!("content-type: {content_type}")), "{path}: {}", reply.head);
        assert!(reply.body.contains(mark), "{path} says {mark}");
        assert!(reply.head.contains("cache-control: no-store") && reply.head.contains("nosniff"), "{path}");
    }
    assert_eq!(service.get("/nothing", "").await.status, 404);
    let exposition = parse(&service.get("/metrics", "").await.body);
    let labels = [("result", "success"), ("stream", "orders")];
    assert_eq!(exposition.value("kinesis_batcher_records_total", &labels), 1.0);
    let json: serde_json::Value = serde_json::from_str(&service.get("/api/stats", "").await.body).unwrap();
    assert_eq!(json["shards"]["id"].as_array().map(Vec::len), Some(4));
    assert_eq!(
        json["push_delay"]["counts"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(serde_json::Value::as_u64)
            .sum::<u64>(),
        1
    );
    service.stop().await;
}

#[tokio::test]
async fn the_page_may_run_its_own_script_and_nothing_else() {
    let (service, _producer) = service(StatusOptions::default()).await;
    let reply = service.get("/", "").await;
    let policy = reply.head.lines().find(|line| line.starts_with("content-security-policy:")).unwrap();
    assert!(policy.contains("default-src 'none'") && policy.contains("connect-src 'self'"), "{policy}");
    assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"), "{policy}");
    service.stop().await;
}

#[tokio::test]
async fn routes_can_be_mounted_under_a_path_of_ones_own_router() {
    let (producer, _) = producer(1, Behaviour::default());
    let app = Router::new().nest("/kinesis", router(&producer, StatusOptions::default()));
    let service = Service::start(app, ServeOptions::default()).await;
    for path in ["/kinesis", "/kinesis/metrics", "/kinesis/api/stats", "/kinesis/healthz"] {
        assert_eq!(service.get(path, "").await.status, 200, "{path}");
    }
    assert_eq!(service.get("/metrics", "").await.status, 404);
    service.stop().await;
}

#[tokio::test]
async fn everything_but_healthz_wants_the_right_password() {
    // `bcrypt` of "hashed:pass", cost 5, by htpasswd's rules.
    let hash = bcrypt_hash("hashed:pass");
    let credentials = Credentials::parse(&format!("plain:secret\nhashed:{hash}\n")).unwrap();
    let (service, _producer) = service(StatusOptions::default().credentials(credentials)).await;
    for path in ["/", "/metrics", "/api/stats", "/readyz"] {
        let reply = service.get(path, "").await;
        assert_eq!(reply.status, 401, "{path} without credentials");
        assert!(reply.head.contains("www-authenticate: basic realm="), "{path}: {}", reply.head);
        assert!(
            !reply.body.contains("kinesis_batcher") && !reply.body.contains("<html"),
            "{path} tells nothing"
        );
        for right in ["plain:secret", "hashed:hashed:pass", "hashed:hashed:pass"] {
            assert_eq!(service.get(path, &basic(right)).await.status, 200, "{path} as {right}");
        }
        for wrong in ["plain:Secret", "plain:", "hashed:pass", "nobody:secret", ":", "plain"] {
            assert_eq!(service.get(path, &basic(wrong)).await.status, 401, "{path} as {wrong}");
        }
    }
    for malformed in [
        "authorization: Basic\r\n",
        "authorization: Basic ?\r\n",
        "authorization: Bearer x\r\n",
        "authorization: \r\n",
    ] {
        assert_eq!(service.get("/metrics", malformed).await.status, 401, "{malformed:?}");
    }
    let twice = format!("{}{}", basic("plain:secret"), basic("plain:secret"));
    assert_eq!(service.get("/metrics", &twice).await.status, 401, "two headers");
    assert_eq!(service.get("/healthz", "").await.status, 200, "a health check carries no credentials");
    assert_eq!(service.get("/healthz", &basic("plain:wrong")).await.status, 200);
    service.stop().await;
}

fn bcrypt_hash(password: &str) -> String {
    bcrypt::hash_with_salt(password, 5, [3; 16]).unwrap().format_for_version(bcrypt::Version::TwoY)
}

#[tokio::test]
async fn a_producer_that_is_stuck_is_not_ready_and_one_that_recovers_is_again() {
    let (producer, stream) = producer(1, Behaviour { failing_requests: 2_000, ..Behaviour::default() });
    let options = StatusOptions::default().stall_after(Duration::from_millis(200));
    let service = Service::start(router(&producer, options), ServeOptions::default()).await;
    assert_eq!(service.get("/readyz", "").await.status, 200, "nothing waits");
    let delivery = producer.send(record(1)).await.unwrap();
    let reply = loop {
        let reply = service.get("/readyz", "").await;
        if reply.status != 200 {
            break reply;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(reply.status, 503);
    assert!(
        reply.body.starts_with("1 records are held") && reply.body.contains("last error: "),
        "{}",
        reply.body
    );
    assert_eq!(service.get("/healthz", "").await.status, 200, "the process is well");
    stream.behave(Behaviour::default());
    delivery.await.unwrap();
    assert_eq!(service.get("/readyz", "").await.status, 200);
    producer.close(Duration::from_secs(1)).await;
    assert_eq!(service.get("/readyz", "").await.status, 503, "a closed producer takes nothing");
    service.stop().await;
}

#[tokio::test]
async fn a_stream_that_cannot_be_written_to_is_named_with_its_cause_until_it_can() {
    let message = "User: me is not authorized.\nx-amz-security-token:SECRET";
    let refusal = ServiceError::new("AccessDeniedException", message).with_request_id("d1e2");
    let (producer, stream) = producer(1, Behaviour { refusal: Some(refusal), ..Behaviour::default() });
    let service = Service::start(router(&producer, StatusOptions::default()), ServeOptions::default()).await;
    let delivery = producer.send(record(1)).await.unwrap();
    let reply = loop {
        let reply = service.get("/readyz", "").await;
        if reply.status != 200 {
            break reply;
        }
        tokio::task::yield_now().await;
    };
    let cause = "AccessDeniedException: User: me is not authorized. (request id d1e2)";
    assert_eq!(reply.status, 503);
    assert!(
        reply.body.starts_with("the stream cannot be written to for ") && reply.body.contains(cause),
        "{}",
        reply.body
    );
    let stats = service.get("/api/stats", "").await.body;
    assert!(!stats.contains("SECRET"), "{stats}");
    let stats: serde_json::Value = serde_json::from_str(&stats).unwrap();
    for (field, value) in [
        ("code", "AccessDeniedException"),
        ("message", "User: me is not authorized."),
        ("request_id", "d1e2"),
    ] {
        assert_eq!(stats["hold"][field], value, "{stats}");
    }
    assert!(
        stats["hold"]["since_seconds"].is_f64() && stats["hold"]["next_probe_seconds"].is_f64(),
        "{stats}"
    );
    assert_eq!(stats["last_error_message"], "User: me is not authorized.");
    assert_eq!((&stats["last_error_request_id"], stats["holds"].as_u64()), (&"d1e2".into(), Some(1)));
    let figures = parse(&service.get("/metrics", "").await.body);
    assert_eq!(figures.value("kinesis_batcher_writable", &[]), 0.0);
    assert_eq!(figures.value("kinesis_batcher_holds_total", &[]), 1.0);
    stream.behave(Behaviour::default());
    delivery.await.unwrap();
    assert_eq!(service.get("/readyz", "").await.status, 200);
    let figures = parse(&service.get("/metrics", "").await.body);
    assert_eq!(figures.value("kinesis_batcher_writable", &[]), 1.0);
    let stats: serde_json::Value = serde_json::from_str(&service.get("/api/stats", "").await.body).unwrap();
    assert_eq!((&stats["hold"], stats["holds"].as_u64()), (&serde_json::Value::Null, Some(1)));
    service.stop().await;
}

#[tokio::test]
async fn a_message_that_may_quote_a_partition_key_is_not_shown() {
    let refusal = ServiceError::new("ValidationException", "Value 'SECRET' at 'partitionKey' is bad");
    let (producer, _) = producer(1, Behaviour { refusal: Some(refusal), ..Behaviour::default() });
    let service = Service::start(router(&producer, StatusOptions::default()), ServeOptions::default()).await;
    let failure = producer.send(record(1)).await.unwrap().await;
    assert!(failure.is_err(), "it is rejected alone");
    let stats = service.get("/api/stats", "").await.body;
    assert!(stats.contains("\"last_error\":\"ValidationException\"") && !stats.contains("SECRET"), "{stats}");
    service.stop().await;
}

fn short(connections: usize) -> ServeOptions {
    ServeOptions::default().connections_max(connections).patience(Duration::from_millis(300))
}

#[tokio::test]
async fn a_flood_of_headers_is_cut_off() {
    let (producer, _) = producer(1, Behaviour::default());
    let service = Service::start(router(&producer, StatusOptions::default()), short(4)).await;
    let long = format!("x-long: {}\r\n", "a".repeat(20 << 10));
    assert_eq!(service.get("/metrics", &long).await.status, 431, "one long header");
    let many: String = (0..100).map(|n| format!("x-{n}: a\r\n")).collect();
    assert_eq!(service.get("/metrics", &many).await.status, 431, "many headers");
    // One without end: the server must not go on reading it.
    let mut stream = TcpStream::connect(service.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    let mut written = 0;
    while written < 64 << 20 {
        match stream.write(&[b'a'; 8 << 10]).await {
            Ok(more) => written += more,
            Err(_) => break,
        }
    }
    assert!(written < 64 << 20, "the server takes in no endless header");
    assert_eq!(service.get("/healthz", "").await.status, 200);
    service.stop().await;
}

#[tokio::test]
async fn clients_that_dawdle_lose_their_place_to_those_who_wait() {
    let (producer, _) = producer(1, Behaviour::default());
    let service = Service::start(router(&producer, StatusOptions::default()), short(3)).await;
    let mut slow = Vec::new();
    for start in ["", "GET /metr", "GET /metrics HTTP/1.1\r\nhost: x\r\n"] {
        let mut stream = TcpStream::connect(service.address).await.unwrap();
        stream.write_all(start.as_bytes()).await.unwrap();
        slow.push(stream);
    }
    let begun = Instant::now();
    assert_eq!(service.get("/healthz", "").await.status, 200, "a place became free");
    assert!(begun.elapsed() < Duration::from_secs(10), "after {:?}", begun.elapsed());
    for stream in &mut slow {
        let mut left = Vec::new();
        let ended = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut left)).await;
        assert!(ended.is_ok(), "the server ends each of them");
    }
    service.stop().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_loses_its_place() {
    // Answers larger than what the sockets hold.
    let (producer, _) = producer(10_000, Behaviour::default());
    let service = Service::start(router(&producer, StatusOptions::default()), short(1)).await;
    let mut deaf = TcpStream::connect(service.address).await.unwrap();
    for _ in 0..100 {
        deaf.write_all(b"GET /api/stats HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    }
    let answered = tokio::time::timeout(Duration::from_secs(20), service.get("/healthz", "")).await;
    assert_eq!(answered.expect("the only place becomes free").status, 200);
    service.stop().await;
}

#[tokio::test]
async fn stopping_lets_no_connection_hold_it_up() {
    let (producer, _) = producer(1, Behaviour::default());
    let options = ServeOptions::default().drain(Duration::from_millis(200));
    let service = Service::start(router(&producer, StatusOptions::default()), options).await;
    let mut idle = TcpStream::connect(service.address).await.unwrap();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut some = [0; 16];
    idle.read_exact(&mut some).await.unwrap();
    let mut half = TcpStream::connect(service.address).await.unwrap();
    half.write_all(b"GET /he").await.unwrap();
    let address = service.address;
    tokio::time::timeout(Duration::from_secs(10), service.stop()).await.expect("it stops");
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn https_is_served_with_a_certificate_of_ones_own() {
    use std::sync::Arc;

    use kinesis_batcher_metrics::TlsIdentity;
    use tokio_rustls::TlsConnector;
    use tokio_rustls::rustls::crypto::ring;
    use tokio_rustls::rustls::{ClientConfig, RootCertStore};

    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let identity =
        TlsIdentity::from_pem(made.cert.pem().as_bytes(), made.signing_key.serialize_pem().as_bytes())
            .unwrap();
    assert!(TlsIdentity::from_pem(b"", made.signing_key.serialize_pem().as_bytes()).is_err());
    assert!(TlsIdentity::from_pem(made.cert.pem().as_bytes(), b"no key").is_err());

    let (producer, _) = producer(1, Behaviour::default());
    let service = Service::start(router(&producer, StatusOptions::default()), short(2).tls(identity)).await;
    let plain = service.get("/healthz", "").await;
    assert_ne!(plain.status, 200, "plain HTTP is not answered");

    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(service.address).await.unwrap();
    let mut stream =
        TlsConnector::from(Arc::new(config)).connect("localhost".try_into().unwrap(), stream).await.unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await.unwrap();
    assert_eq!(Reply::read(&mut stream).await.status, 200);
    // A handshake that never comes.
    let mut silent = TcpStream::connect(service.address).await.unwrap();
    let mut left = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(10), silent.read_to_end(&mut left)).await;
    assert!(ended.is_ok(), "the server does not wait for ever");
    service.stop().await;
}
