//! Requests out, replies back.

use std::sync::Arc;
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, HttpConnectorSettings};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use http::header::HOST;
use http::uri::PathAndQuery;
use http::{HeaderValue, Request, Uri};
use kinesis_batcher_aws::CaBundle;

use super::body::{Lease, ReplyBody};
use super::connection::Connection;
use super::destination::Destination;
use super::dial::Dialer;
use super::error::{BadUri, DialError, no_reply, not_sent, outcome_unknown};
use super::pool::Pool;
use super::within::within;

/// A way out with its time-outs.
#[derive(Clone, Debug)]
pub(super) struct Connector {
    network: Arc<Network>,
    connect_timeout: Option<Duration>,
    read_timeout: Option<Duration>,
}

/// New connections, and those that are kept.
#[derive(Debug)]
pub(super) struct Network {
    dialer: Dialer,
    pool: Arc<Pool>,
}

impl Network {
    pub(super) fn new(ca_bundle: CaBundle) -> Self {
        Self { dialer: Dialer::new(ca_bundle), pool: Arc::default() }
    }
}

impl Connector {
    pub(super) fn new(network: Arc<Network>, settings: &HttpConnectorSettings) -> Self {
        Self { network, connect_timeout: settings.connect_timeout(), read_timeout: settings.read_timeout() }
    }

    async fn exchange(self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let user = |error| ConnectorError::user(error).never_connected();
        let mut request = request.try_into_http1x().map_err(|error| user(error.into()))?;
        let destination = Destination::of(request.uri()).map_err(|error| user(error.into()))?;
        address(&mut request).map_err(|error| user(error.into()))?;
        // Each turn takes a kept connection out of the pool, or is the last.
        loop {
            let (mut connection, kept) = match self.network.pool.take(&destination) {
                Some(connection) => (connection, true),
                None => (self.connect(&destination).await?, false),
            };
            match within(self.read_timeout, connection.send(request)).await {
                Some(Ok(response)) => return self.reply(response, connection, destination),
                Some(Err(mut error)) => match error.take_message() {
                    Some(unsent) if kept => request = unsent,
                    Some(_) => return Err(not_sent(error.into_error())),
                    None => return Err(outcome_unknown(error.into_error())),
                },
                None => return Err(no_reply()),
            }
        }
    }

    async fn connect(&self, destination: &Destination) -> Result<Connection, ConnectorError> {
        let dialed = within(self.connect_timeout, self.network.dialer.dial(destination)).await;
        let socket = dialed.unwrap_or(Err(DialError::TimedOut))?;
        Connection::new(socket).await.map_err(not_sent)
    }

    fn reply(
        self,
        response: http::Response<hyper::body::Incoming>,
        connection: Connection,
        destination: Destination,
    ) -> Result<HttpResponse, ConnectorError> {
        let lease = Lease { connection, destination, pool: Arc::clone(&self.network.pool) };
        let response = response.map(|body| SdkBody::from_body_1_x(ReplyBody::new(body, lease)));
        HttpResponse::try_from(response).map_err(|error| ConnectorError::other(error.into(), None))
    }
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::new(self.clone().exchange(request))
    }
}

/// Puts the server into the Host header and leaves the path in the request line.
fn address(request: &mut Request<SdkBody>) -> Result<(), BadUri> {
    let parts = std::mem::take(request.uri_mut()).into_parts();
    let authority = parts.authority.ok_or(BadUri)?;
    if !request.headers().contains_key(HOST) {
        // Nobody's name or password: those are no part of a Host.
        let host = authority.as_str().rsplit('@').next().unwrap_or_default();
        let host = HeaderValue::from_str(without_default_port(host, parts.scheme.as_ref()));
        request.headers_mut().insert(HOST, host.map_err(|_| BadUri)?);
    }
    *request.uri_mut() = Uri::from(parts.path_and_query.unwrap_or(PathAndQuery::from_static("/")));
    Ok(())
}

/// The SDK signs the Host without the scheme's own port.
fn without_default_port<'a>(host: &'a str, scheme: Option<&http::uri::Scheme>) -> &'a str {
    let port = if scheme == Some(&http::uri::Scheme::HTTPS) { ":443" } else { ":80" };
    host.strip_suffix(port).unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addressed(uri: &'static str) -> (String, String) {
        let mut request = Request::new(SdkBody::empty());
        *request.uri_mut() = Uri::from_static(uri);
        address(&mut request).unwrap();
        (request.headers()[HOST].to_str().unwrap().to_owned(), request.uri().to_string())
    }

    #[test]
    fn the_request_line_has_the_path_and_the_host_goes_into_its_header() {
        assert_eq!(
            addressed("https://kinesis.eu-west-1.amazonaws.com"),
            ("kinesis.eu-west-1.amazonaws.com".into(), "/".into())
        );
        assert_eq!(addressed("http://127.0.0.1:4567/a?b=c"), ("127.0.0.1:4567".into(), "/a?b=c".into()));
        assert_eq!(addressed("https://user:word@host:443/"), ("host".into(), "/".into()));
        assert_eq!(addressed("http://[::1]:80/"), ("[::1]".into(), "/".into()));
    }

    #[test]
    fn a_host_that_was_signed_is_left_alone() {
        let mut request = Request::new(SdkBody::empty());
        *request.uri_mut() = Uri::from_static("http://127.0.0.1:1/");
        request.headers_mut().insert(HOST, HeaderValue::from_static("signed"));
        address(&mut request).unwrap();
        assert_eq!(request.headers()[HOST], "signed");
    }
}
