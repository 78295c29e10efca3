use core::fmt;

use alloc::vec::Vec;

use bytes::Bytes;

use crate::format::{
    CHECKSUM_LEN, DATA, ENCODED_LEN_MAX, EXPLICIT_HASH_KEY_INDEX, EXPLICIT_HASH_KEY_TABLE, MAGIC,
    PARTITION_KEY_INDEX, PARTITION_KEY_TABLE, RECORDS, TAG_KEY, TAG_VALUE, TAGS, checksum,
};
use crate::hash_key::Decimal;
use crate::key_table::{KeyTable, Place};
use crate::wire::{bytes_field_len, put_bytes_field, put_field, varint_len};
use crate::{Aggregate, Tag, UserRecord};

/// Builds aggregates, one after the other.
///
/// User records are written to one buffer as they come, in their final form; a key goes in just before the
/// first record that uses it. (The format allows a table's entries to stand between records, and that makes
/// the length of the whole a running sum.) What the builder keeps apart from those bytes is 12 to 25 bytes
/// a distinct key.
///
/// ```
/// use kinesis_aggregation::AggregateBuilder;
///
/// let mut builder = AggregateBuilder::new(1 << 20);
/// builder.push("user-17", None, b"hello", &[])?;
/// assert_eq!(builder.encoded_len_with("user-17", None, 5, &[]), builder.encoded_len() + 11);
/// builder.push("user-17", None, b"world", &[])?;
///
/// let bytes = builder.finish();
/// assert!(builder.is_empty());
/// # assert_eq!(bytes.len(), 51);
/// # Ok::<(), kinesis_aggregation::Full>(())
/// ```
pub struct AggregateBuilder {
    encoded_len_max: usize,
    /// The magic and the message so far; nothing at all while there are no records.
    buffer: Vec<u8>,
    len: usize,
    partition_keys: KeyTable,
    explicit_hash_keys: KeyTable,
}

impl AggregateBuilder {
    /// A builder of aggregates that are never longer than `encoded_len_max` bytes, envelope included. It is
    /// lowered to [`ENCODED_LEN_MAX`] if it is above. Allocates nothing yet.
    ///
    /// The service counts the outer partition key towards the record's limit as well: leave room for it.
    #[must_use]
    pub fn new(encoded_len_max: usize) -> Self {
        Self {
            encoded_len_max: encoded_len_max.min(ENCODED_LEN_MAX),
            buffer: Vec::new(),
            len: 0,
            partition_keys: KeyTable::default(),
            explicit_hash_keys: KeyTable::default(),
        }
    }

    /// Adds a user record.
    ///
    /// `partition_key` should have the service's 1–256 characters; that is not checked here. `tags` are
    /// almost always empty.
    ///
    /// # Errors
    /// [`Full`] if the aggregate would grow beyond its limit; it is left as it was.
    #[inline]
    pub fn push(
        &mut self,
        partition_key: &str,
        explicit_hash_key: Option<u128>,
        data: &[u8],
        tags: &[Tag<'_>],
    ) -> Result<(), Full> {
        let partition_key = partition_key.as_bytes();
        let hash = KeyTable::hash(partition_key);
        // What most records are like, once their keys have been seen: worth a path of its own.
        if explicit_hash_key.is_none()
            && tags.is_empty()
            && let Some(index) = self.partition_keys.find_at_once(&self.buffer, partition_key, hash)
            && let Some(short) = ShortRecord::new(index, data)
            && self.buffer.len() + short.len() + CHECKSUM_LEN <= self.encoded_len_max
        {
            short.put(&mut self.buffer);
            self.len += 1;
            return Ok(());
        }
        self.push_any(partition_key, hash, explicit_hash_key, data, tags)
    }

    /// Adds a user record from another aggregate, unchanged. This is how the members of one aggregate are
    /// dealt out to several, when a shard has been split.
    ///
    /// # Errors
    /// [`Full`] if the aggregate would grow beyond its limit; it is left as it was.
    pub fn push_user_record(&mut self, record: &UserRecord<'_>) -> Result<(), Full> {
        let key = self.partition_keys.find(&self.buffer, record.partition_key.as_bytes());
        self.append(key, record.explicit_hash_key, record.data, record.tags)
    }

    /// The exact length in bytes of what [`finish`](Self::finish) would return now: 0 without records.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        if self.is_empty() { 0 } else { self.buffer.len() + CHECKSUM_LEN }
    }

    /// The exact [`encoded_len`](Self::encoded_len) after adding a record with this key, this explicit hash
    /// key, `data_len` bytes of payload and these tags; also where [`push`](Self::push) would refuse it. (Beyond
    /// an eighth of the address space it is no longer exact, only far above every limit.)
    #[must_use]
    pub fn encoded_len_with(
        &self,
        partition_key: &str,
        explicit_hash_key: Option<u128>,
        data_len: usize,
        tags: &[Tag<'_>],
    ) -> usize {
        let decimal = explicit_hash_key.map(Decimal::new);
        let tags_len = tags_len(tags.iter().copied());
        let key = self.partition_keys.find(&self.buffer, partition_key.as_bytes());
        self.plan(key, decimal.as_ref().map(Decimal::as_str), data_len, tags_len).encoded_len
    }

    /// The limit in bytes that no aggregate exceeds.
    #[must_use]
    pub fn encoded_len_max(&self) -> usize {
        self.encoded_len_max
    }

    /// How many user records have been added since the last [`finish`](Self::finish) or
    /// [`clear`](Self::clear). The next one's sub-sequence number.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no records.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Reads back what has been added, in linear time and without looking at a checksum.
    #[must_use]
    pub fn as_aggregate(&self) -> Aggregate<'_> {
        match self.buffer.strip_prefix(&MAGIC) {
            Some(message) => Aggregate::parse(message).expect("what the builder writes is well formed"),
            None => Aggregate::EMPTY,
        }
    }

    /// Hands out the finished aggregate, without copying it, and starts the next. Empty without records.
    ///
    /// Spare capacity of more than an eighth is given back; the key tables stay. Computing the checksum takes
    /// some 1.5 ms a MiB: for several aggregates, [`finish_unsealed`](Self::finish_unsealed) and
    /// [`seal`](crate::seal) take less.
    ///
    /// An aggregate of one record is valid, but the KPL sends a lone record raw, which is shorter and which
    /// every consumer understands.
    #[must_use]
    pub fn finish(&mut self) -> Bytes {
        let mut buffer = self.take_buffer();
        if let Some((message, placeholder)) =
            buffer.get_mut(MAGIC.len()..).and_then(<[u8]>::split_last_chunk_mut)
        {
            *placeholder = checksum(message);
        }
        Bytes::from(buffer)
    }

    /// Like [`finish`](Self::finish), but leaves the checksum to [`seal`](crate::seal): in its place are
    /// [`CHECKSUM_LEN`] zeros. So the length is the final one, and
    /// [`decode_without_checksum`](crate::decode_without_checksum) reads the records back, but for
    /// [`decode`](crate::decode) and for every consumer it is not an aggregate yet.
    #[must_use]
    pub fn finish_unsealed(&mut self) -> Bytes {
        Bytes::from(self.take_buffer())
    }

    /// Forgets all records and keeps the memory for the next.
    pub fn clear(&mut self) {
        self.buffer.clear();
        self.len = 0;
        self.partition_keys.clear();
        self.explicit_hash_keys.clear();
    }

    /// Makes room for an aggregate of `encoded_len` bytes in all (or for the limit, if that is less), so that
    /// adding records up to there neither allocates nor moves what is there already. Without it the buffer
    /// doubles whenever it is full.
    pub fn reserve(&mut self, encoded_len: usize) {
        let encoded_len = encoded_len.min(self.encoded_len_max);
        self.buffer.reserve_exact(encoded_len.saturating_sub(self.buffer.len()));
    }

    /// The memory that the builder holds on the heap, in bytes.
    #[must_use]
    pub fn allocated_bytes(&self) -> usize {
        self.buffer.capacity()
            + self.partition_keys.allocated_bytes()
            + self.explicit_hash_keys.allocated_bytes()
    }

    /// The aggregate with a placeholder for the checksum.
    fn take_buffer(&mut self) -> Vec<u8> {
        if self.is_empty() {
            return Vec::new();
        }
        let mut buffer = core::mem::take(&mut self.buffer);
        buffer.reserve_exact(CHECKSUM_LEN);
        buffer.extend_from_slice(&[0; CHECKSUM_LEN]);
        // Aggregates may wait in a queue: what doubling has left over would wait with them.
        if buffer.capacity() - buffer.len() > buffer.capacity() / 8 {
            buffer.shrink_to_fit();
        }
        self.clear();
        buffer
    }

    #[inline(never)]
    fn push_any(
        &mut self,
        partition_key: &[u8],
        hash: u64,
        explicit_hash_key: Option<u128>,
        data: &[u8],
        tags: &[Tag<'_>],
    ) -> Result<(), Full> {
        let key = self.partition_keys.find_hashed(&self.buffer, partition_key, hash);
        if explicit_hash_key.is_none()
            && tags.is_empty()
            && let Some(short) = ShortRecord::new(key.index, data)
        {
            self.check_room(self.start_with(key) + short.len() + CHECKSUM_LEN)?;
            self.put_partition_key(key);
            short.put(&mut self.buffer);
            self.len += 1;
            return Ok(());
        }
        let decimal = explicit_hash_key.map(Decimal::new);
        self.append(key, decimal.as_ref().map(Decimal::as_str), data, tags.iter().copied())
    }

    #[inline]
    fn append<'t>(
        &mut self,
        key: Place<'_>,
        explicit_hash_key: Option<&str>,
        data: &[u8],
        tags: impl Iterator<Item = Tag<'t>> + Clone,
    ) -> Result<(), Full> {
        let plan = self.plan(key, explicit_hash_key, data.len(), tags_len(tags.clone()));
        self.check_room(plan.encoded_len)?;
        self.put_partition_key(key);
        if let Some(explicit) = plan.explicit_hash_key
            && explicit.is_new
        {
            put_key(&mut self.buffer, &mut self.explicit_hash_keys, EXPLICIT_HASH_KEY_TABLE, explicit);
        }
        put_field(&mut self.buffer, RECORDS, plan.record_len);
        put_field(&mut self.buffer, PARTITION_KEY_INDEX, key.index);
        if let Some(explicit) = plan.explicit_hash_key {
            put_field(&mut self.buffer, EXPLICIT_HASH_KEY_INDEX, explicit.index);
        }
        put_bytes_field(&mut self.buffer, DATA, data);
        for tag in tags {
            put_tag(&mut self.buffer, tag);
        }
        self.len += 1;
        debug_assert_eq!(self.encoded_len(), plan.encoded_len, "the plan was not kept");
        Ok(())
    }

    /// What adding a record comes to; `key` is its partition key and where that is.
    fn plan<'k>(
        &self,
        key: Place<'_>,
        explicit_hash_key: Option<&'k str>,
        data_len: usize,
        tags_len: usize,
    ) -> Plan<'k> {
        // Low enough for the sums below not to overflow, and far above every limit.
        let [data_len, tags_len] = [data_len, tags_len].map(|len| len.min(usize::MAX / 8));
        let mut start = self.start_with(key);
        let mut record_len = 1 + varint_len(key.index) + bytes_field_len(data_len) + tags_len;
        let explicit_hash_key = explicit_hash_key.map(|explicit| {
            let place = self.explicit_hash_keys.find(&self.buffer, explicit.as_bytes());
            if place.is_new {
                start += bytes_field_len(explicit.len());
            }
            record_len += 1 + varint_len(place.index);
            place
        });
        let encoded_len = start + bytes_field_len(record_len) + CHECKSUM_LEN;
        Plan { encoded_len, record_len, explicit_hash_key }
    }

    /// Where the record itself would begin.
    fn start_with(&self, key: Place<'_>) -> usize {
        // The magic comes with the first key.
        self.buffer.len().max(MAGIC.len()) + if key.is_new { bytes_field_len(key.key.len()) } else { 0 }
    }

    fn put_partition_key(&mut self, key: Place<'_>) {
        if key.is_new {
            put_key(&mut self.buffer, &mut self.partition_keys, PARTITION_KEY_TABLE, key);
        }
    }

    #[inline(always)]
    fn check_room(&self, encoded_len: usize) -> Result<(), Full> {
        if encoded_len > self.encoded_len_max {
            return Err(Full { encoded_len, encoded_len_max: self.encoded_len_max });
        }
        Ok(())
    }
}

/// Says how much there is, not what.
impl fmt::Debug for AggregateBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AggregateBuilder")
            .field("len", &self.len)
            .field("encoded_len", &self.encoded_len())
            .field("encoded_len_max", &self.encoded_len_max)
            .finish_non_exhaustive()
    }
}

/// A user record was refused because the aggregate would have grown beyond its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Full {
    /// How long in bytes the aggregate would have been.
    pub encoded_len: usize,
    /// How long in bytes it may be.
    pub encoded_len_max: usize,
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { encoded_len, encoded_len_max } = self;
        write!(f, "the aggregate would be {encoded_len} bytes long, and may be {encoded_len_max}")
    }
}

impl core::error::Error for Full {}

struct Plan<'k> {
    /// Of the whole aggregate afterwards.
    encoded_len: usize,
    /// Of the `Record` message alone.
    record_len: usize,
    explicit_hash_key: Option<Place<'k>>,
}

/// A record with nothing but a known key and data, whose lengths take one byte each and whose index takes
/// one or two.
#[derive(Clone, Copy)]
struct ShortRecord<'a> {
    index: usize,
    data: &'a [u8],
}

impl<'a> ShortRecord<'a> {
    #[inline(always)]
    fn new(index: usize, data: &'a [u8]) -> Option<Self> {
        (index < 1 << 14 && data.len() <= 0x7f - 5).then_some(Self { index, data })
    }

    #[inline(always)]
    fn len(self) -> usize {
        6 + usize::from(self.index > 0x7f) + self.data.len()
    }

    /// Branches on the index, so that the processor guesses where the payload goes instead of waiting until
    /// the look-up says so.
    #[inline(always)]
    fn put(self, out: &mut Vec<u8>) {
        let (index, data_len) = (self.index as u8, self.data.len() as u8);
        if self.index <= 0x7f {
            out.extend_from_slice(&[RECORDS, 4 + data_len, PARTITION_KEY_INDEX, index, DATA, data_len]);
        } else {
            let index = [index | 0x80, (self.index >> 7) as u8];
            out.extend_from_slice(&[
                RECORDS,
                5 + data_len,
                PARTITION_KEY_INDEX,
                index[0],
                index[1],
                DATA,
                data_len,
            ]);
        }
        out.extend_from_slice(self.data);
    }
}

/// Writes a new key just before the record that needs it.
#[inline(never)]
fn put_key(buffer: &mut Vec<u8>, table: &mut KeyTable, field: u8, place: Place<'_>) {
    if buffer.is_empty() {
        buffer.extend_from_slice(&MAGIC);
    }
    put_bytes_field(buffer, field, place.key);
    table.insert(buffer, place);
}

fn put_tag(buffer: &mut Vec<u8>, tag: Tag<'_>) {
    put_field(buffer, TAGS, tag_len(tag));
    put_bytes_field(buffer, TAG_KEY, tag.key.as_bytes());
    if let Some(value) = tag.value {
        put_bytes_field(buffer, TAG_VALUE, value.as_bytes());
    }
}

fn tags_len<'t>(tags: impl Iterator<Item = Tag<'t>>) -> usize {
    tags.fold(0, |len: usize, tag| len.saturating_add(bytes_field_len(tag_len(tag))))
}

fn tag_len(tag: Tag<'_>) -> usize {
    bytes_field_len(tag.key.len()) + tag.value.map_or(0, |value| bytes_field_len(value.len()))
}
