//! A connection to a server: name, TCP, proxy, TLS.

use std::error::Error;
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::legacy::connect::{Connection, HttpConnector, HttpInfo};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::TokioIo;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{CipherSuite, ClientConfig, RootCertStore};
use tower_service::Service;

use super::stream::{BoxIo, Stream};
use crate::HttpVersion;
use crate::http_version::{H2, HTTP1};

type BoxError = Box<dyn Error + Send + Sync>;
type Dialing<T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send>>;

/// Dials servers by TLS, each through the proxy that the environment names for it.
#[derive(Clone)]
pub(super) struct Dialer {
    tcp: HttpConnector,
    tls: TlsConnector,
    /// For proxies that are spoken to by HTTPS themselves.
    proxy: ProxyDialer,
    proxies: Arc<Matcher>,
    timeout: Option<Duration>,
    version: HttpVersion,
}

impl Dialer {
    pub(super) fn new(
        roots: RootCertStore,
        proxies: Arc<Matcher>,
        timeout: Option<Duration>,
        version: HttpVersion,
    ) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.set_nodelay(true);
        tcp.enforce_http(false);
        let roots = Arc::new(roots);
        let config = |alpn| {
            let mut config = ClientConfig::builder_with_provider(Arc::new(provider()))
                .with_safe_default_protocol_versions()
                .expect("ring has cipher suites for the versions that rustls calls safe")
                .with_root_certificates(Arc::clone(&roots))
                .with_no_client_auth();
            config.alpn_protocols = alpn;
            TlsConnector::from(Arc::new(config))
        };
        let proxy = ProxyDialer { tcp: tcp.clone(), tls: config(vec![HTTP1.to_vec()]) };
        Self { tcp, tls: config(version.alpn()), proxy, proxies, timeout, version }
    }

    async fn dial(mut self, server: Uri) -> Result<Stream, BoxError> {
        let name = server_name(&server)?;
        let (socket, addresses) = match self.proxies.intercept(&server) {
            None => tcp(&mut self.tcp, server).await?,
            Some(proxy) => (tunnel(self.proxy, &proxy, server).await?, None),
        };
        let stream = handshake(&self.tls, name, socket).await?;
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(H2);
        if self.version == HttpVersion::Http2 && !is_http2 {
            return Err("the server does not offer HTTP/2".into());
        }
        Ok(Stream::new(stream, is_http2, addresses))
    }
}

impl Service<Uri> for Dialer {
    type Response = Stream;
    type Error = BoxError;
    type Future = Dialing<Stream>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, server: Uri) -> Self::Future {
        let timeout = self.timeout;
        let dialing = self.clone().dial(server);
        Box::pin(async move {
            match timeout {
                None => dialing.await,
                Some(limit) => tokio::time::timeout(limit, dialing).await?,
            }
        })
    }
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialer").field("version", &self.version).finish_non_exhaustive()
    }
}

/// Dials proxies, by TCP or by TLS.
#[derive(Clone)]
struct ProxyDialer {
    tcp: HttpConnector,
    tls: TlsConnector,
}

impl Service<Uri> for ProxyDialer {
    type Response = TokioIo<BoxIo>;
    type Error = BoxError;
    type Future = Dialing<TokioIo<BoxIo>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, proxy: Uri) -> Self::Future {
        let mut dialer = self.clone();
        Box::pin(async move {
            let is_https = proxy.scheme_str() == Some("https");
            let name = server_name(&proxy)?;
            let (socket, _) = tcp(&mut dialer.tcp, proxy).await?;
            Ok(TokioIo::new(match is_https {
                true => Box::new(handshake(&dialer.tls, name, socket).await?),
                false => socket,
            }))
        })
    }
}

async fn tcp(connector: &mut HttpConnector, server: Uri) -> Result<(BoxIo, Option<HttpInfo>), BoxError> {
    poll_fn(|cx| connector.poll_ready(cx)).await?;
    let socket = connector.call(server).await?;
    let mut extras = http::Extensions::new();
    socket.connected().get_extras(&mut extras);
    Ok((Box::new(socket.into_inner()), extras.remove()))
}

async fn tunnel(dialer: ProxyDialer, proxy: &Intercept, server: Uri) -> Result<BoxIo, BoxError> {
    let mut tunnel = Tunnel::new(proxy.uri().clone(), dialer);
    if let Some(authorization) = proxy.basic_auth() {
        tunnel = tunnel.with_auth(authorization.clone());
    }
    Ok(tunnel.call(server).await?.into_inner())
}

async fn handshake(
    connector: &TlsConnector,
    name: ServerName<'static>,
    socket: BoxIo,
) -> Result<tokio_rustls::client::TlsStream<BoxIo>, BoxError> {
    let limit = |connection: &mut tokio_rustls::rustls::ClientConnection| {
        connection.set_buffer_limit(Some(TLS_BUFFER_BYTES_MAX));
    };
    Ok(connector.connect_with(name, socket, limit).await.map_err(io::Error::other)?)
}

fn server_name(server: &Uri) -> Result<ServerName<'static>, BoxError> {
    let host = server.host().ok_or("the URL names no host")?;
    // An IPv6 address has brackets in a URL and none in a certificate.
    let host = host.trim_start_matches('[').trim_end_matches(']');
    ServerName::try_from(host.to_owned())
        .map_err(|_| format!("{host} is no name that a certificate can have").into())
}

/// One provider, whatever others a program has linked. AES-128 comes before AES-256, because it has 10 rounds instead of 14
/// (FIPS 197).
fn provider() -> CryptoProvider {
    let mut provider = ring::default_provider();
    provider.cipher_suites.sort_by_key(|suite| suite.suite() != CipherSuite::TLS13_AES_128_GCM_SHA256);
    provider
}

/// Bytes that are encrypted before they are written. The default of rustls is 64 KiB, which takes more system calls.
const TLS_BUFFER_BYTES_MAX: usize = 256 << 10;
