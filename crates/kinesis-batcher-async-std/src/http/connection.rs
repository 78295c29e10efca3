//! One HTTP/1.1 connection, driven by whoever uses it.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use aws_smithy_types::body::SdkBody;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{self, SendRequest};

use super::io::{HyperIo, Socket};

/// A connection and what drives it, in one. Dropping it closes the socket.
pub(super) struct Connection {
    sender: SendRequest<SdkBody>,
    /// `None` once the connection has ended.
    driver: Option<http1::Connection<HyperIo, SdkBody>>,
}

impl Connection {
    pub(super) async fn new(socket: Box<dyn Socket>) -> hyper::Result<Self> {
        let (sender, driver) = http1::Builder::new().handshake(HyperIo::new(socket)).await?;
        Ok(Self { sender, driver: Some(driver) })
    }

    /// Whether it is open and takes a request, as far as can be known on this side of the network.
    pub(super) fn is_idle(&mut self) -> bool {
        // Reads what has come: the server's goodbye, or the last of the former reply. No task is to be woken later.
        self.poll_driver(&mut Context::from_waker(Waker::noop())).is_pending() && self.sender.is_ready()
    }

    /// Sends a request and reads the head of the reply. The body comes while [`poll_driver`](Self::poll_driver) is
    /// called.
    ///
    /// # Errors
    /// With the request in it if none of it was written.
    pub(super) async fn send(
        &mut self,
        request: Request<SdkBody>,
    ) -> Result<Response<Incoming>, TrySendError<Request<SdkBody>>> {
        let mut response = pin!(self.sender.try_send_request(request));
        poll_fn(|cx| {
            // First, so that a head that has come is seen in the same turn. When it has ended, the response says why.
            let _ended = poll(&mut self.driver, cx);
            response.as_mut().poll(cx)
        })
        .await
    }

    /// Reads and writes what can be. Ready when the connection has ended, of which replies under way are told.
    pub(super) fn poll_driver(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        poll(&mut self.driver, cx)
    }
}

fn poll(driver: &mut Option<http1::Connection<HyperIo, SdkBody>>, cx: &mut Context<'_>) -> Poll<()> {
    let Some(running) = driver else { return Poll::Ready(()) };
    // An error is for the reply it breaks; without one it is nobody's.
    Pin::new(running).poll(cx).map(|_| *driver = None)
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("open", &self.driver.is_some()).finish()
    }
}
