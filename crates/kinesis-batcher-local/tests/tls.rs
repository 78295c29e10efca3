//! TLS before a server, and the protocols that it offers.
#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use kinesis_batcher_local::fast::{FastKinesis, FastOptions};
use kinesis_batcher_local::hostile::{HostileKinesis, HostileOptions};
use kinesis_batcher_local::tls::{Alpn, FrontConnections, ServerTls, TestAuthority, TlsFront};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// The servers look at the access key alone.
const AUTHORIZATION: &str = "AWS4-HMAC-SHA256 Credential=key/20260101/us-east-1/kinesis/aws4_request";

fn config(trusted: &TestAuthority, alpn: &[&str]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(trusted.pem().as_bytes()).unwrap()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}

/// A connection, once the handshake is over.
fn connect(
    address: SocketAddr,
    config: Arc<ClientConfig>,
    host: &'static str,
) -> std::io::Result<StreamOwned<ClientConnection, TcpStream>> {
    let connection = ClientConnection::new(config, ServerName::try_from(host).unwrap()).unwrap();
    let mut stream = StreamOwned::new(connection, TcpStream::connect(address)?);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    Ok(stream)
}

/// The first line of the reply to a request without a body, through TLS.
fn status_line(front: &TlsFront, trusted: &TestAuthority, host: &'static str) -> std::io::Result<String> {
    let mut stream = connect(front.address(), config(trusted, &[]), host)?;
    stream.write_all(b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n")?;
    let mut line = [0; 12];
    stream.read_exact(&mut line)?;
    Ok(String::from_utf8(line.to_vec()).unwrap())
}

/// Statuses of so many PutRecords of one record, all at once over one HTTP/2 connection.
fn put_over_http2(
    address: SocketAddr,
    trusted: &TestAuthority,
    stream: &'static str,
    requests: usize,
) -> Vec<u16> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let socket = tokio::net::TcpStream::connect(address).await.unwrap();
        let tls = TlsConnector::from(config(trusted, &["h2"]));
        let io = tls.connect(ServerName::try_from("localhost").unwrap(), socket).await.unwrap();
        assert_eq!(io.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let (sender, connection) =
            http2::handshake::<_, _, Full<Bytes>>(TokioExecutor::new(), TokioIo::new(io)).await.unwrap();
        tokio::spawn(connection);
        let replies = (0..requests).map(|number| {
            let mut sender = sender.clone();
            tokio::spawn(async move {
                let body = format!(
                    "{{\"Records\":[{{\"Data\":\"YQ==\",\"PartitionKey\":\"{number}\"}}],\"StreamName\":\"{stream}\"}}"
                );
                let request = hyper::Request::post("https://localhost/")
                    .header("content-type", "application/x-amz-json-1.1")
                    .header("content-length", body.len())
                    .header("authorization", AUTHORIZATION)
                    .header("x-amz-target", "Kinesis_20131202.PutRecords")
                    .body(Full::new(Bytes::from(body)));
                let reply = sender.send_request(request.unwrap()).await.unwrap();
                let status = reply.status().as_u16();
                let body = reply.into_body().collect().await.unwrap().to_bytes();
                let text = String::from_utf8(body.to_vec()).unwrap();
                assert!(text.contains("\"SequenceNumber\""), "{status}: {text}");
                status
            })
        });
        let replies: Vec<_> = replies.collect();
        let mut statuses = Vec::new();
        for reply in replies {
            statuses.push(reply.await.unwrap());
        }
        statuses
    })
}

// S-39
#[test]
fn what_comes_through_tls_reaches_the_server_and_its_reply_the_client() {
    let kinesis = HostileKinesis::start(HostileOptions::default()).unwrap();
    let authority = TestAuthority::new();
    let front = TlsFront::start(kinesis.address(), &authority, "localhost").unwrap();
    let line = status_line(&front, &authority, "localhost").unwrap();
    assert!(line.starts_with("HTTP/1.1 4"), "a request without an operation is refused, not {line:?}");
}

#[test]
fn the_certificate_is_for_its_host_and_of_its_authority_alone() {
    let kinesis = HostileKinesis::start(HostileOptions::default()).unwrap();
    let authority = TestAuthority::new();
    let front = TlsFront::start(kinesis.address(), &authority, "localhost").unwrap();
    assert!(status_line(&front, &authority, "elsewhere.test").is_err());
    assert!(status_line(&front, &TestAuthority::new(), "localhost").is_err());
}

#[test]
fn a_client_gets_http_2_if_both_offer_it_and_what_is_left_otherwise() {
    let kinesis = HostileKinesis::start(HostileOptions::default()).unwrap();
    let authority = TestAuthority::new();
    let agreed = |alpn, offered: &[&str]| {
        let tls = ServerTls::new(&authority, "localhost", alpn);
        let front = TlsFront::start_with(kinesis.address(), tls).unwrap();
        let stream = connect(front.address(), config(&authority, offered), "localhost").ok()?;
        Some(stream.conn.alpn_protocol().map(|name| String::from_utf8(name.to_vec()).unwrap()))
    };
    let (http1, http2) = (Some(Some("http/1.1".to_owned())), Some(Some("h2".to_owned())));
    assert_eq!(agreed(Alpn::Both, &["http/1.1", "h2"]), http2, "whatever the client prefers");
    assert_eq!(agreed(Alpn::Both, &["http/1.1"]), http1);
    assert_eq!(agreed(Alpn::Both, &[]), Some(None));
    assert_eq!(agreed(Alpn::Http1, &["h2", "http/1.1"]), http1);
    assert_eq!(agreed(Alpn::Http2, &["h2", "http/1.1"]), http2);
    assert_eq!(agreed(Alpn::Http1, &["h2"]), None, "there is nothing to agree on");
}

#[test]
fn requests_of_one_http_2_connection_reach_a_server_that_speaks_http_1_1() {
    let options = HostileOptions { stream_name: "hostile".to_owned(), ..HostileOptions::default() };
    let kinesis = HostileKinesis::start(options).unwrap();
    let authority = TestAuthority::new();
    let front = TlsFront::start(kinesis.address(), &authority, "localhost").unwrap();
    let statuses = put_over_http2(front.address(), &authority, "hostile", 20);
    assert_eq!(statuses, [200; 20]);
    assert_eq!(kinesis.stored().len(), 20);
    assert_eq!(front.connections(), FrontConnections { http1: 0, http2: 1 });
}

#[test]
fn the_fast_server_stores_the_same_over_either_protocol() {
    let authority = TestAuthority::new();
    let tls = ServerTls::new(&authority, "localhost", Alpn::Both);
    let kinesis = FastKinesis::start(FastOptions { tls: Some(tls), ..FastOptions::default() }).unwrap();
    assert!(kinesis.endpoint_url().starts_with("https://localhost:"));
    assert_eq!(put_over_http2(kinesis.address(), &authority, "fast", 20), [200; 20]);
    assert_eq!(kinesis.stored_records().len(), 20);
    let mut stream = connect(kinesis.address(), config(&authority, &["http/1.1"]), "localhost").unwrap();
    let body = r#"{"Records":[{"Data":"YQ==","PartitionKey":"k"}],"StreamName":"fast"}"#;
    let length = body.len();
    write!(
        stream,
        "POST / HTTP/1.1\r\nx-amz-target: Kinesis_20131202.PutRecords\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut line = [0; 12];
    stream.read_exact(&mut line).unwrap();
    assert_eq!(&line, b"HTTP/1.1 200");
    assert_eq!(kinesis.stored_records().len(), 21);
}
