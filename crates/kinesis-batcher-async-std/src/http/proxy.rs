//! HTTP proxies, from the environment.

use std::fmt;
use std::io;

use futures_lite::io::{AsyncReadExt, AsyncWriteExt};
use http::{HeaderValue, Uri};
use hyper_util::client::proxy::matcher::Matcher;
use kinesis_batcher_aws::check_https_proxy;

use super::destination::Destination;
use super::error::DialError;
use super::io::Socket;

/// Which proxy is for which server, as `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` say.
#[derive(Debug)]
pub(super) struct Proxies {
    matcher: Matcher,
    /// A variable that names no proxy. The matcher would leave it out, and go past the proxy that was meant.
    broken: Option<BrokenProxy>,
}

#[derive(Debug)]
struct BrokenProxy {
    problem: String,
    /// Matches the servers that the proxy would be for.
    matcher: Matcher,
}

/// A proxy.
pub(super) struct Proxy {
    pub(super) server: Destination,
    authorization: Option<HeaderValue>,
}

impl Proxies {
    pub(super) fn from_environment() -> Self {
        let broken = check_https_proxy().err().map(|problem| {
            let excluded = std::env::var("NO_PROXY").or_else(|_| std::env::var("no_proxy"));
            let matcher = Matcher::builder().https("http://proxy").no(excluded.unwrap_or_default()).build();
            BrokenProxy { problem, matcher }
        });
        Self { matcher: Matcher::from_env(), broken }
    }

    /// The proxy for a server that is spoken to by HTTPS, if there is one.
    pub(super) fn proxy_for(&self, destination: &Destination) -> Result<Option<Proxy>, DialError> {
        let uri = format!("https://{destination}/").parse::<Uri>();
        let uri = uri.map_err(|_| DialError::Setup(format!("{destination} is no host and port")))?;
        if let Some(broken) = &self.broken
            && broken.matcher.intercept(&uri).is_some()
        {
            return Err(DialError::Setup(broken.problem.clone()));
        }
        let Some(proxy) = self.matcher.intercept(&uri) else { return Ok(None) };
        let server = Destination::of(proxy.uri()).map_err(|_| {
            let scheme = proxy.uri().scheme_str().unwrap_or("no scheme");
            DialError::Setup(format!(
                "the proxy in the environment is of a kind that is not known ({scheme}); http and https are"
            ))
        })?;
        Ok(Some(Proxy { server, authorization: proxy.basic_auth().cloned() }))
    }
}

impl Proxy {
    /// Asks the proxy for a way through to the server.
    pub(super) async fn tunnel(
        &self,
        mut socket: Box<dyn Socket>,
        destination: &Destination,
    ) -> Result<Box<dyn Socket>, DialError> {
        socket.write_all(&self.request(destination)).await?;
        socket.flush().await?;
        match read_status(&mut socket).await? {
            200..300 => Ok(socket),
            status => Err(DialError::Failed(format!(
                "the proxy {} refuses a connection to {destination}: status {status}",
                self.server
            ))),
        }
    }

    fn request(&self, destination: &Destination) -> Vec<u8> {
        let mut request = format!("CONNECT {destination} HTTP/1.1\r\nHost: {destination}\r\n").into_bytes();
        if let Some(authorization) = &self.authorization {
            request.extend_from_slice(b"Proxy-Authorization: ");
            request.extend_from_slice(authorization.as_bytes());
            request.extend_from_slice(b"\r\n");
        }
        request.extend_from_slice(b"\r\n");
        request
    }
}

/// Without the password.
impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy").field("server", &self.server).finish_non_exhaustive()
    }
}

/// Reads the head of the reply and not a byte more: what follows is the server's.
async fn read_status(socket: &mut Box<dyn Socket>) -> Result<u16, DialError> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() == HEAD_BYTES_MAX {
            return Err(DialError::Failed("the proxy's reply is too long".to_owned()));
        }
        let mut byte = [0];
        if socket.read(&mut byte).await? == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the proxy has hung up").into());
        }
        head.push(byte[0]);
    }
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    match response.parse(&head) {
        Ok(httparse::Status::Complete(_)) => {
            Ok(response.code.expect("a reply that is complete has a status"))
        }
        _ => Err(DialError::Failed("the proxy's reply is no HTTP".to_owned())),
    }
}

/// Proxies answer in a few lines.
const HEAD_BYTES_MAX: usize = 8 << 10;
const HEADERS_MAX: usize = 64;
