//! Sockets with the traits of futures, as hyper wants them.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_io::{AsyncRead, AsyncWrite};
use hyper::rt::{Read, ReadBufCursor, Write};

/// A byte stream to a server, through whatever layers.
pub(super) trait Socket: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin> Socket for S {}

/// A [`Socket`] for hyper.
pub(super) struct HyperIo {
    socket: Box<dyn Socket>,
    /// hyper's buffers are not initialised and this crate has no unsafe code, so what is read passes through here:
    /// copying a reply costs less than zeroing a buffer for it.
    passage: Box<[u8]>,
}

impl HyperIo {
    pub(super) fn new(socket: Box<dyn Socket>) -> Self {
        Self { socket, passage: vec![0; PASSAGE_BYTES].into_boxed_slice() }
    }
}

impl Read for HyperIo {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { socket, passage } = self.get_mut();
        let room = buffer.remaining().min(passage.len());
        let read = ready!(Pin::new(socket).poll_read(cx, &mut passage[..room]))?;
        buffer.put_slice(&passage[..read]);
        Poll::Ready(Ok(()))
    }
}

impl Write for HyperIo {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(cx, bytes)
    }

    /// Both TCP and TLS take several slices at once, which saves hyper a copy of each request's body.
    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_close(cx)
    }
}

/// A reply to PutRecords with 500 entries has 70 KiB.
const PASSAGE_BYTES: usize = 32 << 10;
