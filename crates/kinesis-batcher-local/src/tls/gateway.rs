//! From HTTP/2 to HTTP/1.1.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{HOST, HeaderValue};
use hyper::{Request, Response, Version};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Passes the requests of one HTTP/2 connection to a server that speaks HTTP/1.1, each on a connection that is no other's
/// meanwhile.
pub(super) struct Gateway {
    behind: SocketAddr,
    /// Connections whose last reply is complete. There are never more than requests at a time.
    idle: Mutex<Vec<SendRequest<Incoming>>>,
}

impl Gateway {
    pub(super) fn to(behind: SocketAddr) -> Self {
        Self { behind, idle: Mutex::default() }
    }

    /// The server's reply, or an error where the server ends the connection instead.
    pub(super) async fn pass(
        self: Arc<Self>,
        request: Request<Incoming>,
    ) -> Result<Response<Incoming>, Error> {
        let request = as_http1(request)?;
        let mut connection = self.connection().await?;
        let reply = connection.send_request(request).await?;
        // It is ready again once the client has read the reply to its end.
        tokio::spawn(async move {
            if connection.ready().await.is_ok() {
                self.idle().push(connection);
            }
        });
        Ok(reply)
    }

    async fn connection(&self) -> Result<SendRequest<Incoming>, Error> {
        loop {
            let idle = self.idle().pop();
            match idle {
                Some(connection) if connection.is_ready() => return Ok(connection),
                // The server has closed it meanwhile.
                Some(_) => {}
                None => break,
            }
        }
        let stream = TcpStream::connect(self.behind).await?;
        let _ = stream.set_nodelay(true);
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(sender)
    }

    /// Nothing panics while it is locked.
    fn idle(&self) -> MutexGuard<'_, Vec<SendRequest<Incoming>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// HTTP/2 names the host in a field of its own.
fn as_http1(mut request: Request<Incoming>) -> Result<Request<Incoming>, Error> {
    if let Some(authority) = request.uri().authority() {
        let host = HeaderValue::from_str(authority.as_str())?;
        request.headers_mut().entry(HOST).or_insert(host);
    }
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).parse()?;
    *request.uri_mut() = path;
    *request.version_mut() = Version::HTTP_11;
    Ok(request)
}
