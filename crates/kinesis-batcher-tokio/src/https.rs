//! HTTPS for the SDK: hyper-util's client and pool over [`dial`]'s connections.
//!
//! The SDK's own connector always offers HTTP/2 and HTTP/1.1 by ALPN, prefers HTTP/2, and has no setting for that.

mod dial;
mod stream;

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_smithy_runtime_api::client::connection::{CaptureSmithyConnection, ConnectionMetadata};
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, HttpConnectorSettings};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{CaptureConnection, HttpInfo, capture_connection};
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::error::Elapsed;
use tokio_rustls::rustls::RootCertStore;

use self::dial::Dialer;
use crate::HttpVersion;

/// A connector for `https` URLs, with a pool of connections.
pub(crate) struct Https {
    client: Client<Dialer, SdkBody>,
    read_timeout: Option<Duration>,
}

impl Https {
    /// Trusts `roots`, goes through the proxies that the environment names, and speaks `version`.
    pub(crate) fn new(settings: &HttpConnectorSettings, roots: RootCertStore, version: HttpVersion) -> Self {
        let proxies = Arc::new(Matcher::from_env());
        let dialer = Dialer::new(roots, proxies, settings.connect_timeout(), version);
        let mut builder = Client::builder(TokioExecutor::new());
        builder.pool_timer(TokioTimer::new());
        // A request that is given up closes its HTTP/1.1 connection, dead or alive. An HTTP/2 connection stays, so a dead
        // one is found by pings.
        builder
            .timer(TokioTimer::new())
            .http2_keep_alive_interval(HTTP2_PING_INTERVAL)
            .http2_keep_alive_timeout(HTTP2_PING_TIMEOUT);
        Self { client: builder.build(dialer), read_timeout: settings.read_timeout() }
    }
}

impl HttpConnector for Https {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let mut request = match request.try_into_http1x() {
            Ok(request) => request,
            Err(error) => return HttpConnectorFuture::ready(Err(ConnectorError::user(error.into()))),
        };
        let connection = capture_connection(&mut request);
        if let Some(capture) = request.extensions().get::<CaptureSmithyConnection>() {
            capture.set_connection_retriever(move || metadata(&connection));
        }
        let reply = self.client.request(request);
        let read_timeout = self.read_timeout;
        HttpConnectorFuture::new(async move {
            let reply = match read_timeout {
                None => reply.await,
                Some(limit) => match tokio::time::timeout(limit, reply).await {
                    Ok(reply) => reply,
                    Err(elapsed) => return Err(ConnectorError::timeout(elapsed.into())),
                },
            };
            let reply = reply.map_err(failure)?.map(SdkBody::from_body_1_x);
            HttpResponse::try_from(reply).map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

impl fmt::Debug for Https {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Https").field("read_timeout", &self.read_timeout).finish_non_exhaustive()
    }
}

/// What the SDK wants to know of a connection; `None` before there is one.
fn metadata(captured: &CaptureConnection) -> Option<ConnectionMetadata> {
    let mut extras = http::Extensions::new();
    captured.connection_metadata().as_ref()?.get_extras(&mut extras);
    let addresses = extras.get::<HttpInfo>();
    let captured = captured.clone();
    let mut metadata = ConnectionMetadata::builder().proxied(false).poison_fn(move || {
        if let Some(connection) = captured.connection_metadata().as_ref() {
            connection.poison();
        }
    });
    metadata
        .set_local_addr(addresses.map(HttpInfo::local_addr))
        .set_remote_addr(addresses.map(HttpInfo::remote_addr));
    Some(metadata.build())
}

/// Nothing here is an error of the caller's: whatever fails, another connection may do.
fn failure(error: hyper_util::client::legacy::Error) -> ConnectorError {
    let is_timeout = std::iter::successors(Some(&error as &(dyn Error + 'static)), |&error| error.source())
        .any(|error| error.is::<Elapsed>() || error.downcast_ref().is_some_and(hyper::Error::is_timeout));
    match is_timeout {
        true => ConnectorError::timeout(error.into()),
        false => ConnectorError::io(error.into()),
    }
}

/// An HTTP/2 connection that is silent for so long is asked for a sign of life…
const HTTP2_PING_INTERVAL: Duration = Duration::from_secs(5);
/// …and given up after so long without one.
const HTTP2_PING_TIMEOUT: Duration = Duration::from_secs(5);
