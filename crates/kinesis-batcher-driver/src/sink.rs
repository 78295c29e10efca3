//! The producer as a sink, for streams to be forwarded into.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_sink::Sink;

use crate::admission::Admission;
use crate::error::SendError;
use crate::flush::Flushing;
use crate::producer::Producer;
use crate::record::TaggedRecord;
use crate::tag::Reply;
use crate::waiters::Parcel;

/// A [`Sink`] of records, from [`Producer::sink`].
///
/// It sends like [`Producer::send_and_forget`]. It is ready while there is room in the buffer, and its flush is
/// [`Producer::flush`]: feed many records (`feed`, `send_all`, `forward`) and flush once. `close` flushes and leaves the
/// producer open: other handles may be in use.
///
/// # Errors
/// [`SendError`] with a record that was refused for good. The sink may be used further.
#[derive(Debug)]
pub struct RecordSink {
    producer: Producer,
    /// A record that waits for room.
    waiting: Option<Admission>,
    flushing: Option<Flushing>,
}

impl RecordSink {
    pub(crate) fn new(producer: Producer) -> Self {
        Self { producer, waiting: None, flushing: None }
    }

    fn poll_waiting(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        let Some(admission) = &mut self.waiting else { return Poll::Ready(Ok(())) };
        let answer = ready!(admission.poll(self.producer.shared(), cx));
        self.waiting = None;
        Poll::Ready(answer.map_err(SendError::from))
    }
}

impl<R: Into<TaggedRecord>> Sink<R> for RecordSink {
    type Error = SendError;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.poll_waiting(cx)
    }

    fn start_send(mut self: Pin<&mut Self>, record: R) -> Result<(), SendError> {
        assert!(self.waiting.is_none(), "start_send was called without poll_ready");
        let TaggedRecord { record, tag } = record.into();
        let parcel = Parcel { record, reply: Reply::Handler(tag) };
        match self.producer.shared().change(|state, now, _| state.offer(now, parcel)) {
            Ok(()) => Ok(()),
            Err(refused) if refused.reason.is_full() => {
                self.waiting = Some(Admission::New(refused.parcel));
                Ok(())
            }
            Err(refused) => Err(refused.into()),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        ready!(self.poll_waiting(cx))?;
        let Self { producer, flushing, .. } = &mut *self;
        let flush = flushing.get_or_insert_with(Flushing::new);
        // With the runtime gone nothing is held any more either; what failed was told to those who asked.
        let _stopped = ready!(flush.poll(producer.shared(), cx));
        self.flushing = None;
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        Sink::<R>::poll_flush(self, cx)
    }
}

impl Drop for RecordSink {
    fn drop(&mut self) {
        if let Some(admission) = &mut self.waiting {
            admission.give_up(self.producer.shared());
        }
        if let Some(flushing) = &mut self.flushing {
            flushing.give_up(self.producer.shared());
        }
    }
}
