//! What a server needs to speak TLS, and HTTP/2 over it.

use std::fmt;
use std::future::Future;
use std::io;
use std::sync::Arc;

use hyper::body::{Body, Incoming};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::server::TlsStream;

use super::TestAuthority;

/// The protocols that a server offers by ALPN. It prefers HTTP/2, as AWS does. A client that offers none of them is
/// refused, and one without ALPN gets HTTP/1.1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Alpn {
    /// `h2` and `http/1.1`.
    #[default]
    Both,
    /// `http/1.1`.
    Http1,
    /// `h2`.
    Http2,
}

impl Alpn {
    fn protocols(self) -> Vec<Vec<u8>> {
        let names: &[&[u8]] = match self {
            Self::Both => &[H2, b"http/1.1"],
            Self::Http1 => &[b"http/1.1"],
            Self::Http2 => &[H2],
        };
        names.iter().map(|name| name.to_vec()).collect()
    }
}

/// A certificate, the protocols that are offered, and the windows of HTTP/2.
#[derive(Clone)]
pub struct ServerTls {
    acceptor: TlsAcceptor,
    windows: Windows,
}

/// How many bytes a client may send before the server has taken them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Windows {
    stream_bytes: u32,
    connection_bytes: u32,
}

impl Default for Windows {
    /// No limit for requests of Kinesis: AWS does not publish its own.
    fn default() -> Self {
        Self { stream_bytes: 16 << 20, connection_bytes: 64 << 20 }
    }
}

impl ServerTls {
    /// A certificate for `host` and nothing else.
    ///
    /// # Panics
    /// When `host` is neither a name nor an address.
    #[must_use]
    pub fn new(authority: &TestAuthority, host: &str, alpn: Alpn) -> Self {
        let (certificate, key) = authority.issue(host);
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring has cipher suites for the versions that rustls calls safe")
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .expect("the key is that of the certificate");
        config.alpn_protocols = alpn.protocols();
        Self { acceptor: TlsAcceptor::from(Arc::new(config)), windows: Windows::default() }
    }

    /// The same with other windows for HTTP/2, in bytes, each at most 2,147,483,647 (RFC 9113, section 6.9.1): how much of
    /// one request, and of all requests of a connection, a client may send before the server has taken it. RFC 9113's
    /// initial value for both is 65,535; unset, they are 16 MiB and 64 MiB.
    #[must_use]
    pub fn with_windows(mut self, stream_bytes: u32, connection_bytes: u32) -> Self {
        self.windows = Windows { stream_bytes, connection_bytes };
        self
    }

    pub(crate) fn windows(&self) -> Windows {
        self.windows
    }

    pub(crate) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        self.acceptor.accept(stream).await
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls").field("windows", &self.windows).finish_non_exhaustive()
    }
}

/// Whether client and server have agreed on HTTP/2.
pub(crate) fn is_http2(stream: &TlsStream<TcpStream>) -> bool {
    stream.get_ref().1.alpn_protocol() == Some(H2)
}

/// Serves HTTP/2 until either side ends the connection. A request whose service fails ends with RST_STREAM.
pub(crate) async fn serve_http2<F, R, B, E>(stream: TlsStream<TcpStream>, windows: Windows, service: F)
where
    F: Fn(Request<Incoming>) -> R,
    R: Future<Output = Result<Response<B>, E>> + Send + 'static,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .initial_stream_window_size(windows.stream_bytes)
        .initial_connection_window_size(windows.connection_bytes)
        .max_concurrent_streams(STREAMS_MAX)
        .max_send_buf_size(SEND_BYTES_MAX);
    // The error is that of a client that has gone.
    let _ = builder.serve_connection(TokioIo::new(stream), service_fn(service)).await;
}

const H2: &[u8] = b"h2";

/// As many as RFC 9113, section 6.5.2, recommends at least.
const STREAMS_MAX: u32 = 128;

/// A reply to 500 records has about 60 KiB.
const SEND_BYTES_MAX: usize = 1 << 20;
