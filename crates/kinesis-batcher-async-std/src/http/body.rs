//! The body of a reply, which drives its connection and then gives it back.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::connection::Connection;
use super::destination::Destination;
use super::pool::Pool;

/// A reply's body. Dropped before its end, it closes the connection: what is left of the reply would be in the way.
pub(super) struct ReplyBody {
    body: Incoming,
    lease: Option<Lease>,
}

/// A connection and where it goes when it is no longer needed.
pub(super) struct Lease {
    pub(super) connection: Connection,
    pub(super) destination: Destination,
    pub(super) pool: Arc<Pool>,
}

impl ReplyBody {
    pub(super) fn new(body: Incoming, lease: Lease) -> Self {
        let mut reply = Self { body, lease: Some(lease) };
        reply.give_back_at_the_end();
        reply
    }

    fn give_back_at_the_end(&mut self) {
        if self.body.is_end_stream()
            && let Some(Lease { connection, destination, pool }) = self.lease.take()
        {
            pool.put(destination, connection);
        }
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Self { body, lease } = &mut *self;
        if let Some(lease) = lease {
            // It is the body that says how the connection ended.
            let _ended = lease.connection.poll_driver(cx);
        }
        let frame = Pin::new(body).poll_frame(cx);
        match &frame {
            Poll::Ready(Some(Ok(_))) => self.give_back_at_the_end(),
            // The end of a body without a length is known only now.
            Poll::Ready(None) => {
                if let Some(Lease { connection, destination, pool }) = self.lease.take() {
                    pool.put(destination, connection);
                }
            }
            Poll::Ready(Some(Err(_))) => self.lease = None,
            Poll::Pending => {}
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
