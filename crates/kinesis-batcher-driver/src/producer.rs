//! The handle that programs hold.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use kinesis_batcher_core::{Config, Hold, Record, ShardStats, Stats};

use crate::builder::ProducerBuilder;
use crate::close::Close;
use crate::delivery::Delivery;
use crate::error::SendError;
use crate::flush::Flush;
use crate::observer::Observer;
use crate::record::TaggedRecord;
use crate::send::{SendAll, SendAndForget, SendRecord};
use crate::shared::Shared;
use crate::sink::RecordSink;
use crate::snapshot::Snapshot;
use crate::state::State;
use crate::tag::Reply;
use crate::waiters::Parcel;

/// Sends records to one stream. Cheap to clone; all clones share one buffer.
///
/// # With a receipt, or without
///
/// [`send`](Self::send) gives a [`Delivery`], a future of the record's receipt or of the record itself with the reason
/// why it could not be delivered. It costs an allocation and a wake-up for each record.
///
/// [`send_and_forget`](Self::send_and_forget) and [`send_all`](Self::send_all) cost neither. What becomes of those
/// records goes to the one handler of the producer, if it was built with
/// [one](ProducerBuilder::on_completion), together with a number that the sender chose: a line, an offset, an index.
/// So a program that must account for each of hundreds of thousands of records a second needs no future, no
/// map and no channel for them, and its memory stays bounded by the producer's buffer. Whether or not anybody asks,
/// [`stats`](Self::stats) counts every record; for who is content with that, and wants to see only what failed, there
/// is a [handler of failures](ProducerBuilder::on_failure), which costs the records that were delivered nothing.
///
/// # Room
///
/// The buffer is bounded. The `send*` futures wait for room, in the order in which they came; a record whose shard
/// has used up its share of the buffer waits for that shard alone. Nothing is lost by dropping such a future: a record
/// that still waits is not sent, one that was let in is.
///
/// # The end
///
/// [`close`](Self::close) delivers what is held, up to a deadline, and hands back the rest. When the last clone is
/// dropped instead, what is held is delivered in the background as long as the runtime lives.
#[derive(Clone)]
pub struct Producer {
    handle: Arc<Handle>,
}

struct Handle {
    shared: Arc<Shared>,
}

impl Producer {
    /// Settings for a new producer.
    pub fn builder() -> ProducerBuilder {
        ProducerBuilder::default()
    }

    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { handle: Arc::new(Handle { shared }) }
    }

    /// Sends a record: waits for room in the buffer and gives a [`Delivery`], which waits for the service's answer.
    ///
    /// Dropping this future while it waits takes the record back; it is then not sent.
    ///
    /// # Errors
    /// [`SendError`] with the record when it cannot be accepted: it is larger than the stream takes, it lacks a
    /// partition key, or the producer is closed.
    pub fn send(&self, record: Record) -> SendRecord<'_> {
        SendRecord::new(self, record)
    }

    /// As [`send`](Self::send), without waiting for room.
    ///
    /// # Errors
    /// [`SendError`] with the record: the buffer is full, or the record's shard has used up its share of it, or
    /// others wait for the same room; else as for `send`.
    pub fn try_send(&self, record: Record) -> Result<Delivery, SendError> {
        let (reply, delivery) = Delivery::new();
        self.offer(Parcel { record, reply }).map(|()| delivery)
    }

    /// Sends a record without a receipt: waits for room in the buffer, and that is all.
    ///
    /// What becomes of the record goes to the [completion handler](ProducerBuilder::on_completion) or, if it fails, to the
    /// [handler of failures](ProducerBuilder::on_failure), with the tag if a pair `(record, tag)` was given; it is
    /// counted in the [statistics](Self::stats) in any case.
    ///
    /// # Errors
    /// As for [`send`](Self::send).
    pub fn send_and_forget(&self, record: impl Into<TaggedRecord>) -> SendAndForget<'_> {
        SendAndForget::new(self, record.into())
    }

    /// As [`send_and_forget`](Self::send_and_forget), without waiting for room.
    ///
    /// # Errors
    /// As for [`try_send`](Self::try_send).
    pub fn try_send_and_forget(&self, record: impl Into<TaggedRecord>) -> Result<(), SendError> {
        let TaggedRecord { record, tag } = record.into();
        self.offer(Parcel { record, reply: Reply::Handler(tag) })
    }

    /// Sends many records without receipts, in order, hundreds under each hold of the lock. Waits for room as often
    /// as need be.
    ///
    /// Records are taken one after the other: one that waits for its shard holds up those behind it in the same call.
    /// Dropping this future loses those that were not accepted yet; to have them back, close the producer, or give it
    /// fewer at a time.
    ///
    /// # Errors
    /// [`SendAllError`](crate::SendAllError) with the first record that cannot be accepted and all behind it. Those
    /// before it are accepted.
    pub fn send_all<I>(&self, records: I) -> SendAll<'_>
    where
        I: IntoIterator,
        I::Item: Into<TaggedRecord>,
    {
        // Collected first: an iterator is somebody's code, and hashes keys as it goes.
        SendAll::new(self, records.into_iter().map(Into::into).collect())
    }

    /// A [`Sink`](futures_sink::Sink) of records that sends like [`send_and_forget`](Self::send_and_forget).
    #[must_use]
    pub fn sink(&self) -> RecordSink {
        RecordSink::new(self.clone())
    }

    /// Sends what is buffered without waiting for more, and waits until every record accepted before this call has
    /// come back, delivered or failed. Limits and back-offs hold; records accepted later are not waited for.
    ///
    /// # Errors
    /// [`RuntimeStopped`](crate::RuntimeStopped) when the runtime was dropped; then nothing is held any more either.
    pub fn flush(&self) -> Flush<'_> {
        Flush::new(self)
    }

    /// Takes no more records, delivers what is held, and after `within` gives up and hands back the rest.
    ///
    /// Senders that wait for room get their records back at once. At the deadline, requests under way are dropped, so
    /// that not even a service that never answers holds it up; their records are among those handed back, marked as
    /// possibly stored.
    ///
    /// May be called more than once, on any clone: the first deadline counts, and the records that were cut off go to
    /// the first call that ends. Dropping this future leaves the producer closed; what is held is then delivered in
    /// the background, without a deadline.
    pub fn close(&self, within: Duration) -> Close<'_> {
        Close::new(self, within)
    }

    /// What was done so far and is held now. The figures of one call belong together.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared().lock().batcher.stats()
    }

    /// What is known of each open shard, in the order of their keys; of the stream as a whole where its shards are
    /// not known.
    #[must_use]
    pub fn shard_stats(&self) -> Vec<ShardStats> {
        self.shared().lock().batcher.shard_stats().collect()
    }

    /// Why the producer holds its records instead of sending them: the stream is missing, a permission or a key was
    /// withdrawn, the credentials are refused. `None` while the stream can be written to, as far as the producer knows.
    #[must_use]
    pub fn hold(&self) -> Option<Hold> {
        self.shared().lock().batcher.hold().cloned()
    }

    /// All figures at one moment, for metrics: those of [`stats`](Self::stats) and [`shard_stats`](Self::shard_stats), and
    /// more. Costs a copy of each shard's figures under the lock, so ask some times a second at most.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.observer().snapshot()
    }

    /// Looks at the figures from outside, without keeping the producer open.
    #[must_use]
    pub fn observer(&self) -> Observer {
        Observer::from(self)
    }

    /// The settings of the core, for those who show the figures beside their bounds.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.shared().config
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.handle.shared
    }

    fn offer(&self, parcel: Parcel) -> Result<(), SendError> {
        self.shared().change(|state, now, _| state.offer(now, parcel)).map_err(SendError::from)
    }
}

impl fmt::Debug for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stats = self.stats();
        f.debug_struct("Producer")
            .field("records_queued", &stats.records_queued)
            .field("records_in_flight", &stats.records_in_flight)
            .finish_non_exhaustive()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.change(State::close);
    }
}
