//! What is sent as one Kinesis record, and the pool that queued ones live in.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use crate::hash_key::HashKey;
use crate::lane::Held;
use crate::record::Record;
use crate::time::Timestamp;

/// One Kinesis record, a user's or an aggregate of several, and everything remembered of it. Fields of [`Record`] lie
/// flat beside the rest, which saves the padding that nesting would cost every buffered record.
pub(crate) struct Entry<T> {
    /// As it goes over the wire.
    pub(crate) data: Bytes,
    /// As it goes over the wire; empty if there is none.
    pub(crate) partition_key: Bytes,
    pub(crate) hash_key: HashKey,
    pub(crate) content: Content<T>,
    /// When the oldest user record in it was accepted.
    pub(crate) accepted_at: Timestamp,
    /// Counts up with each accepted record: the order of pushes. An aggregate has its first one's.
    pub(crate) sequence: u64,
    pub(crate) attempts: u32,
    pub(crate) hash_key_is_explicit: bool,
    /// An attempt's outcome is unknown, or was of no use.
    pub(crate) possible_duplicate: bool,
    /// How often it was stored by a shard that does not own all of it.
    pub(crate) misplacements: u8,
}

/// Whose data an entry carries.
pub(crate) enum Content<T> {
    /// A single user record's.
    Record(T),
    /// Those of several.
    Aggregate(Box<Members<T>>),
}

/// The user records of an aggregate, in its order.
pub(crate) struct Members<T> {
    pub(crate) members: Box<[Member<T>]>,
    /// Their data and partition keys, as they were pushed.
    pub(crate) bytes: u64,
    /// Whether the aggregate has its checksum. It gets that when it is first sent, together with others.
    pub(crate) sealed: bool,
}

/// One user record of an aggregate, besides what the aggregate says of it.
#[derive(Clone, Copy)]
pub(crate) struct Member<T> {
    pub(crate) tag: T,
    pub(crate) accepted_at: Timestamp,
}

impl<T> Entry<T> {
    pub(crate) fn new(record: Record, tag: T, accepted_at: Timestamp, sequence: u64) -> Self {
        Self {
            data: record.data,
            partition_key: record.partition_key,
            hash_key: record.hash_key,
            content: Content::Record(tag),
            accepted_at,
            sequence,
            attempts: 0,
            hash_key_is_explicit: record.hash_key_origin.is_explicit(),
            possible_duplicate: false,
            misplacements: 0,
        }
    }

    /// Its place among the entries of a shard: by the age of its oldest user record, so that the head of a queue is
    /// always the first to linger long enough and the first to expire.
    pub(crate) fn rank(&self) -> (Timestamp, u64) {
        (self.accepted_at, self.sequence)
    }

    /// When its oldest user record expires.
    pub(crate) fn expires_at(&self, time_to_live: Option<Duration>) -> Timestamp {
        time_to_live.map_or(Timestamp::MAX, |time_to_live| self.accepted_at.after(time_to_live))
    }

    /// Whether any user record in it has expired. At the end of time, what lives for ever still does.
    pub(crate) fn is_expired(&self, now: Timestamp, time_to_live: Option<Duration>) -> bool {
        let at = self.expires_at(time_to_live);
        at <= now && at < Timestamp::MAX
    }

    /// What it counts against the limits of requests and shards; an aggregate counts as one record (S-31).
    pub(crate) fn bytes(&self) -> usize {
        self.data.len() + self.partition_key.len()
    }

    /// The data of an aggregate that lacks its checksum; from now on it counts as sealed.
    pub(crate) fn take_unsealed(&mut self) -> Option<&mut Bytes> {
        match &mut self.content {
            Content::Aggregate(all) if !all.sealed => {
                all.sealed = true;
                Some(&mut self.data)
            }
            _ => None,
        }
    }

    /// Whether any user record in it was accepted at a time that `fits`.
    pub(crate) fn has_any(&self, fits: impl Fn(Timestamp) -> bool) -> bool {
        match &self.content {
            Content::Record(_) => fits(self.accepted_at),
            Content::Aggregate(all) => all.members.iter().any(|member| fits(member.accepted_at)),
        }
    }

    /// What it counts against the bounds of the buffer: user records as they were pushed.
    pub(crate) fn held(&self) -> Held {
        match &self.content {
            Content::Record(_) => Held { records: 1, bytes: self.bytes() as u64 },
            Content::Aggregate(all) => Held { records: all.members.len() as u64, bytes: all.bytes },
        }
    }
}

/// Names a place in an [`EntryPool`].
pub(crate) type EntryId = u32;

/// No entry.
pub(crate) const NIL: EntryId = EntryId::MAX;

/// Where queued entries live: chunks of places, each with a link to another place.
///
/// Growing by chunks keeps the cost of a buffered record at its own size; one growing array would hold up to three
/// times that while it doubles.
pub(crate) struct EntryPool<T> {
    chunks: Vec<Chunk<T>>,
    free: EntryId,
    len: usize,
}

struct Chunk<T> {
    entries: Box<[Option<Entry<T>>]>,
    links: Box<[EntryId]>,
}

impl<T> EntryPool<T> {
    pub(crate) fn new() -> Self {
        Self { chunks: Vec::new(), free: NIL, len: 0 }
    }

    /// Stores an entry with a link to nowhere.
    pub(crate) fn insert(&mut self, entry: Entry<T>) -> EntryId {
        if self.free == NIL {
            self.grow();
        }
        let id = self.free;
        let (chunk, place) = self.place(id);
        self.free = core::mem::replace(&mut self.chunks[chunk].links[place], NIL);
        self.chunks[chunk].entries[place] = Some(entry);
        self.len += 1;
        id
    }

    /// Takes an entry out.
    pub(crate) fn remove(&mut self, id: EntryId) -> Entry<T> {
        let (chunk, place) = self.place(id);
        let chunk = &mut self.chunks[chunk];
        let entry = chunk.entries[place].take().expect("an id in a queue names a stored entry");
        chunk.links[place] = self.free;
        self.free = id;
        self.len -= 1;
        if self.len == 0 {
            self.shrink();
        }
        entry
    }

    pub(crate) fn entry(&self, id: EntryId) -> &Entry<T> {
        let (chunk, place) = self.place(id);
        self.chunks[chunk].entries[place].as_ref().expect("an id in a queue names a stored entry")
    }

    /// Where the place links to.
    pub(crate) fn link(&self, id: EntryId) -> EntryId {
        let (chunk, place) = self.place(id);
        self.chunks[chunk].links[place]
    }

    pub(crate) fn set_link(&mut self, id: EntryId, to: EntryId) {
        let (chunk, place) = self.place(id);
        self.chunks[chunk].links[place] = to;
    }

    fn place(&self, id: EntryId) -> (usize, usize) {
        (id as usize / CHUNK_ENTRIES, id as usize % CHUNK_ENTRIES)
    }

    fn grow(&mut self) {
        let first = EntryId::try_from(self.chunks.len() * CHUNK_ENTRIES)
            .expect("Config bounds the buffer to far fewer records than an id can name");
        let last = first + CHUNK_ENTRIES as EntryId - 1;
        self.chunks.push(Chunk {
            entries: (0..CHUNK_ENTRIES).map(|_| None).collect(),
            links: (first..=last).map(|id| if id == last { NIL } else { id + 1 }).collect(),
        });
        self.free = first;
    }

    /// Gives back the memory of a burst once the pool has run empty.
    fn shrink(&mut self) {
        if self.chunks.len() > IDLE_CHUNKS_MAX {
            self.chunks = Vec::new();
            self.free = NIL;
        }
    }
}

/// 256 entries are some 30 KB: few enough that an idle producer is small, many enough that growing is rare.
const CHUNK_ENTRIES: usize = 256;
/// What an empty pool keeps, about half a mebibyte, so that steady traffic does not allocate.
const IDLE_CHUNKS_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(sequence: u64) -> Entry<u64> {
        let record = Record::new("k", "v").expect("a valid record");
        Entry::new(record, sequence, Timestamp::ZERO, sequence)
    }

    #[test]
    fn a_buffered_record_costs_at_most_128_bytes_besides_its_own() {
        let size = size_of::<Option<Entry<u64>>>() + size_of::<EntryId>();
        assert!(size <= 128, "a place in the pool takes {size} bytes");
    }

    #[test]
    fn places_are_used_again_and_a_burst_is_given_back() {
        let mut pool = EntryPool::new();
        let many = (IDLE_CHUNKS_MAX + 2) * CHUNK_ENTRIES;
        let ids: Vec<_> = (0..many).map(|n| pool.insert(entry(n as u64))).collect();
        for (n, &id) in ids.iter().enumerate() {
            assert_eq!(pool.entry(id).sequence, n as u64);
        }
        let again = ids[7];
        pool.remove(again);
        assert_eq!(pool.insert(entry(9)), again, "the place freed last is used first");
        for id in ids {
            pool.remove(id);
        }
        assert!(pool.chunks.is_empty(), "an empty pool keeps no more than a little");
        pool.insert(entry(1));
    }
}
