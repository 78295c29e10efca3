//! TLS before a server.
#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use kinesis_batcher_local::hostile::{HostileKinesis, HostileOptions};
use kinesis_batcher_local::tls::{TestAuthority, TlsFront};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// The first line of the reply to a request without a body, through TLS.
fn status_line(front: &TlsFront, trusted: &TestAuthority, host: &'static str) -> std::io::Result<String> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(trusted.pem().as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connection = ClientConnection::new(Arc::new(config), ServerName::try_from(host).unwrap()).unwrap();
    let mut stream = StreamOwned::new(connection, TcpStream::connect(front.address())?);
    stream.write_all(b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n")?;
    let mut line = [0; 12];
    stream.read_exact(&mut line)?;
    Ok(String::from_utf8(line.to_vec()).unwrap())
}

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
