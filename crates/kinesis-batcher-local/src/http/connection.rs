//! One client's connection: requests in, bytes out, or a reset.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::request::{Head, HeadError};
use super::{Reply, Request};

/// A keep-alive connection, over TCP or over TLS.
pub(crate) struct Connection<S = TcpStream> {
    stream: S,
    received: BytesMut,
}

/// A request that will not come.
#[derive(Debug)]
pub(crate) enum ReadError {
    /// The client has gone, in the middle of a request or between two; not an error at all in the latter case.
    Gone,
    /// The client is told this, and then the connection ends: where the next request begins is not known.
    Refused(Box<Reply>),
    /// The body is larger than was asked for, and so many bytes of it are unread.
    BodyTooLarge { unread: usize },
}

/// The next connection.
#[cfg(feature = "hostile")]
pub(crate) async fn accept(listener: &TcpListener) -> Connection {
    Connection::new(accept_stream(listener).await)
}

/// The next client. Accepting fails when the process runs out of file descriptors, which passes.
#[cfg(any(feature = "hostile", feature = "fast"))]
pub(crate) async fn accept_stream(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Without it a reply in two segments waits for the client's delayed acknowledgement.
                let _ = stream.set_nodelay(true);
                return stream;
            }
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

impl Connection {
    /// Ends the connection with a TCP reset: what is on its way to the client is lost, and its next read fails.
    #[cfg(feature = "hostile")]
    pub(crate) fn reset(self) {
        // Dropped with a linger of zero, a socket sends RST and forgets its buffers.
        let _ = self.stream.set_zero_linger();
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, received: BytesMut::with_capacity(READ_BYTES) }
    }

    /// Reads one request to its end, or to its body if that has more bytes than this.
    pub(crate) async fn next_request(&mut self, body_bytes_max: usize) -> Result<Request, ReadError> {
        let (head, head_bytes) = loop {
            match Head::parse(&self.received).map_err(refuse)? {
                Some(parsed) => break parsed,
                None => self.read(READ_BYTES).await?,
            }
        };
        if head.expects_continue {
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n").await.map_err(gone)?;
        }
        let total = head_bytes + head.body_bytes;
        if head.body_bytes > body_bytes_max {
            return Err(ReadError::BodyTooLarge { unread: total.saturating_sub(self.received.len()) });
        }
        while self.received.len() < total {
            self.read(total - self.received.len()).await?;
        }
        let mut message = self.received.split_to(total);
        let body = message.split_off(head_bytes).freeze();
        Ok(Request { head, body })
    }

    /// Sends bytes that the caller made.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        // TLS keeps the last bytes otherwise.
        self.stream.flush().await
    }

    /// Reads so many bytes and forgets them: a connection that is closed with unread bytes is reset, and the reply before it
    /// is lost.
    #[cfg(feature = "hostile")]
    pub(crate) async fn discard(&mut self, mut bytes: usize) {
        while bytes > 0 {
            self.received.clear();
            if self.read(READ_BYTES.min(bytes)).await.is_err() {
                return;
            }
            bytes = bytes.saturating_sub(self.received.len());
        }
    }

    /// Resolves once the client has closed the connection. What it sends meanwhile is kept.
    #[cfg(feature = "hostile")]
    pub(crate) async fn closed_by_client(&mut self) {
        while self.read(READ_BYTES).await.is_ok() {}
    }

    async fn read(&mut self, expected: usize) -> Result<(), ReadError> {
        self.received.reserve(expected);
        match self.stream.read_buf(&mut self.received).await {
            Ok(0) | Err(_) => Err(ReadError::Gone),
            Ok(_) => Ok(()),
        }
    }
}

fn gone(_: io::Error) -> ReadError {
    ReadError::Gone
}

fn refuse(error: HeadError) -> ReadError {
    let (status, message) = match error {
        HeadError::Malformed => {
            (400, "The request is not HTTP/1.1 as this server speaks it; there is no TLS.")
        }
        HeadError::NotAPost => (405, "Kinesis takes POST only."),
        HeadError::NoContentLength => (411, "The request has no Content-Length."),
        HeadError::BodyTooLarge => (413, "The request is larger than 32 MiB."),
    };
    ReadError::Refused(Box::new(Reply::error(status, "SerializationException", message).closing()))
}

/// Takes the head and, for small requests, the body in one go.
const READ_BYTES: usize = 16 << 10;

const ACCEPT_PAUSE: Duration = Duration::from_millis(10);
