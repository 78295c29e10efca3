//! A request on its way out, and back.

use alloc::vec::Vec;
use core::fmt;

use bytes::Bytes;

use crate::entry::Entry;
use crate::hash_key::HashKey;
use crate::record::key_text;
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
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    pub(crate) lane: u32,
    pub(crate) entries: u32,
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
}

impl<T> fmt::Debug for Request<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Request({} records, {} B)", self.len(), self.bytes)
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
