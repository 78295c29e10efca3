//! A request on its way out, and back.

use alloc::vec::Vec;
use core::fmt;

use bytes::Bytes;

use crate::answered::Answered;
use crate::entry::Entry;
use crate::hash_key::HashKey;
use crate::lane::Held;
use crate::record::key_text;
use crate::response::{RequestError, Response};
use crate::time::Timestamp;

/// A PutRecords request to make now.
///
/// It owns its records and cannot be cloned: whatever comes of it, give it back through
/// [`Batcher::handle_response`](crate::Batcher::handle_response). A request that is dropped takes its records with
/// it, and the batcher counts them as in flight for ever.
#[must_use = "a request that is dropped loses its records; give it back through handle_response"]
pub struct Request<T> {
    pub(crate) entries: Vec<Entry<T>>,
    /// The lanes of the entries, in order: neighbours share a run.
    pub(crate) runs: Vec<Run>,
    pub(crate) bytes: usize,
    /// User records in the entries.
    pub(crate) user_records: u64,
    pub(crate) sent_at: Timestamp,
    /// Counts the maps: by which one it was routed.
    pub(crate) map_version: u64,
}

/// Neighbouring entries of one lane.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Run {
    pub(crate) lane: u32,
    pub(crate) entries: u32,
    /// User records in the entries, as they were pushed.
    pub(crate) held: Held,
    /// Bytes of the entries as they go over the wire.
    pub(crate) bytes: u64,
    /// User records that were sent before.
    pub(crate) retried: u64,
    /// User records of which an attempt with unknown outcome may have stored a copy.
    pub(crate) possible_duplicates: u64,
}

impl Run {
    /// Adds an entry that is about to be sent.
    #[inline]
    pub(crate) fn add<T>(&mut self, entry: &Entry<T>, bytes: usize) {
        let held = entry.held();
        self.entries += 1;
        self.held.add(held);
        self.bytes += bytes as u64;
        self.retried += if entry.attempts > 1 { held.records } else { 0 };
        self.possible_duplicates += if entry.possible_duplicate { held.records } else { 0 };
    }

    /// Adds the run that follows, of the same lane.
    pub(crate) fn join(&mut self, next: Self) {
        self.entries += next.entries;
        self.held.add(next.held);
        self.bytes += next.bytes;
        self.retried += next.retried;
        self.possible_duplicates += next.possible_duplicates;
    }
}

impl<T> Request<T> {
    /// How many Kinesis records it has, 1 to 500; an aggregate is one.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a request is never empty")]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Bytes of data and partition keys, what the service's 10 MiB limit counts.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The Kinesis records, in the order in which the response must answer them.
    pub fn records(&self) -> impl ExactSizeIterator<Item = RequestRecord<'_>> + Clone {
        self.entries.iter().map(|entry| RequestRecord {
            data: &entry.data,
            partition_key: &entry.partition_key,
            explicit_hash_key: entry.hash_key_is_explicit.then_some(entry.hash_key),
        })
    }

    /// Reads the outcome through before it goes to [`Batcher::handle_answer`](crate::Batcher::handle_answer). `now` is
    /// when the answer came, and makes the [delays](crate::Histograms::push_delay) of its records.
    pub fn answered(self, now: Timestamp, outcome: Result<Response, RequestError>) -> Answered<T> {
        Answered::new(now, self, outcome)
    }
}

impl<T> fmt::Debug for Request<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Request({} records, {} B)", self.len(), self.bytes)
    }
}

/// A request whose aggregates may lack their checksums, from
/// [`Batcher::poll_unsealed_request`](crate::Batcher::poll_unsealed_request). It shows nobody its records.
///
/// As with a [`Request`]: one that is dropped takes its records with it, and the batcher counts them as in flight for ever.
#[must_use = "a request that is dropped loses its records; seal it, and give it back through handle_response"]
pub struct UnsealedRequest<T> {
    request: Request<T>,
}

impl<T> UnsealedRequest<T> {
    pub(crate) fn new(request: Request<T>) -> Self {
        Self { request }
    }

    /// Computes the checksums that are missing, those of all aggregates side by side: an MD5 of all their bytes. An aggregate
    /// that was sent before has its checksum, so it costs nothing to try again.
    pub fn seal(self) -> Request<T> {
        let mut request = self.request;
        kinesis_aggregation::seal(request.entries.iter_mut().filter_map(Entry::take_unsealed));
        request
    }
}

impl<T> fmt::Debug for UnsealedRequest<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Unsealed{:?}", self.request)
    }
}

/// One Kinesis record of a request, as it goes over the wire.
#[derive(Clone, Copy)]
pub struct RequestRecord<'a> {
    data: &'a Bytes,
    partition_key: &'a Bytes,
    explicit_hash_key: Option<HashKey>,
}

impl<'a> RequestRecord<'a> {
    /// The payload, before base64.
    #[must_use]
    pub fn data(&self) -> &'a Bytes {
        self.data
    }

    /// The partition key; `None` on a stream with `AUTO` distribution for a record made without one.
    #[must_use]
    pub fn partition_key(&self) -> Option<&'a str> {
        (!self.partition_key.is_empty()).then(|| key_text(self.partition_key))
    }

    /// The UTF-8 bytes of the partition key, for who writes them into a request: cheaper than
    /// [`partition_key`](Self::partition_key), which checks them. `None` for a record without one.
    #[must_use]
    pub fn partition_key_bytes(&self) -> Option<&'a [u8]> {
        (!self.partition_key.is_empty()).then_some(self.partition_key)
    }

    /// The explicit hash key, where the record has one.
    #[must_use]
    pub fn explicit_hash_key(&self) -> Option<HashKey> {
        self.explicit_hash_key
    }
}

/// Payloads and keys stay out of logs.
impl fmt::Debug for RequestRecord<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RequestRecord({} B)", self.data.len() + self.partition_key.len())
    }
}
