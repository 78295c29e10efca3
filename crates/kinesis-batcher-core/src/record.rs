//! What is sent.

use core::fmt;

use bytes::Bytes;
use kinesis_aggregation::hash_keys_of;

use crate::hash_key::HashKey;
use crate::limits::{PARTITION_KEY_CHARS_MAX, RECORD_BYTES_MAX_CEILING};

/// A partition key: 1 to 256 Unicode characters.
///
/// Held as shared bytes, so a key that is a slice of the input, or the same for many records, is never copied.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PartitionKey(Bytes);

impl PartitionKey {
    /// Takes the key from shared bytes without a copy.
    ///
    /// # Errors
    /// [`RecordError`] when the key is empty, longer than 256 characters, or not UTF-8.
    pub fn from_shared(key: Bytes) -> Result<Self, RecordError> {
        check_key(core::str::from_utf8(&key).map_err(|_| RecordError::PartitionKeyNotUtf8)?)?;
        Ok(Self(key))
    }

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        key_text(&self.0)
    }

    /// The key's UTF-8 bytes. Cheaper than [`as_str`](Self::as_str), which checks them.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl TryFrom<&str> for PartitionKey {
    type Error = RecordError;

    fn try_from(key: &str) -> Result<Self, RecordError> {
        check_key(key)?;
        Ok(Self(Bytes::copy_from_slice(key.as_bytes())))
    }
}

impl TryFrom<alloc::string::String> for PartitionKey {
    type Error = RecordError;

    fn try_from(key: alloc::string::String) -> Result<Self, RecordError> {
        check_key(&key)?;
        // Spare capacity would be kept, and tracked in an allocation of its own, for as long as the record waits.
        Ok(Self(Bytes::from(key.into_bytes().into_boxed_slice())))
    }
}

impl TryFrom<Bytes> for PartitionKey {
    type Error = RecordError;

    fn try_from(key: Bytes) -> Result<Self, RecordError> {
        Self::from_shared(key)
    }
}

/// Keys can name people or cards, so they stay out of logs: only the length shows.
impl fmt::Debug for PartitionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PartitionKey({} B)", self.0.len())
    }
}

/// One record: data, partition key and, if wished, an explicit hash key.
///
/// The MD5 of the key is computed here, once, so that nothing downstream hashes (and a driver can build records
/// outside its lock).
///
/// ```
/// use kinesis_batcher_core::{HashKey, Record};
///
/// let record = Record::new("customer-42", "paid")?;
/// assert_eq!(record.bytes(), 15);
/// let pinned = record.with_explicit_hash_key(HashKey::MIN);
/// assert_eq!(pinned.hash_key(), HashKey::MIN);
/// # Ok::<(), kinesis_batcher_core::RecordError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    pub(crate) data: Bytes,
    /// Empty when the record has no key, which only streams with `AUTO` distribution take.
    pub(crate) partition_key: Bytes,
    pub(crate) hash_key: HashKey,
    pub(crate) hash_key_origin: HashKeyOrigin,
}

/// Whether a record's hash key was given or computed.
///
/// It takes eight bytes, which the alignment of the fields beside it takes anyway. Were it one byte, a `Result` of a record
/// would be told by that byte, and records would be moved in pieces of odd sizes: processors stall when they load a word
/// of which parts have just been stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum HashKeyOrigin {
    PartitionKey,
    Explicit,
}

impl HashKeyOrigin {
    pub(crate) fn of(is_explicit: bool) -> Self {
        if is_explicit { Self::Explicit } else { Self::PartitionKey }
    }

    pub(crate) fn is_explicit(self) -> bool {
        self == Self::Explicit
    }
}

impl Record {
    /// A record with this key and data. The data may be empty.
    ///
    /// # Errors
    /// [`RecordError`] when the key is not 1–256 characters of UTF-8, or when data and key together are larger than
    /// any stream takes (10 MiB). Whether *this* stream takes it is known when it is pushed.
    pub fn new<K>(partition_key: K, data: impl Into<Bytes>) -> Result<Self, RecordError>
    where
        K: TryInto<PartitionKey>,
        RecordError: From<K::Error>,
    {
        let PartitionKey(partition_key) = partition_key.try_into()?;
        let data = data.into();
        check_size(data.len() + partition_key.len())?;
        let hash_key = HashKey::of_bytes(&partition_key);
        Ok(Self { data, partition_key, hash_key, hash_key_origin: HashKeyOrigin::PartitionKey })
    }

    /// As [`new`](Self::new) for each key and its data, in their order, with the keys hashed side by side: for those who
    /// make many records, in portions of sixteen or a multiple of it.
    ///
    /// # Errors
    /// As [`new`](Self::new), for each record by itself. Keys are checked when they are made.
    pub fn new_each<const N: usize>(
        records: [(PartitionKey, Bytes); N],
    ) -> impl ExactSizeIterator<Item = Result<Self, RecordError>> {
        let hash_keys = hash_keys_of(&records.each_ref().map(|(key, _)| key.as_bytes()));
        records.into_iter().zip(hash_keys).map(|((PartitionKey(partition_key), data), hash_key)| {
            let hash_key = HashKey::new(hash_key);
            check_size(data.len() + partition_key.len())?;
            Ok(Self { data, partition_key, hash_key, hash_key_origin: HashKeyOrigin::PartitionKey })
        })
    }

    /// A record without a partition key. Only streams with `AUTO` record distribution take it; others refuse it
    /// when it is pushed.
    ///
    /// # Errors
    /// [`RecordError::TooLarge`] when the data is larger than any stream takes (10 MiB).
    pub fn without_partition_key(data: impl Into<Bytes>) -> Result<Self, RecordError> {
        let data = data.into();
        check_size(data.len())?;
        Ok(Self {
            data,
            partition_key: Bytes::new(),
            hash_key: HashKey::MIN,
            hash_key_origin: HashKeyOrigin::PartitionKey,
        })
    }

    /// The same record, sent to the shard that owns `hash_key` instead of the one its partition key hashes to.
    #[must_use]
    pub fn with_explicit_hash_key(mut self, hash_key: HashKey) -> Self {
        self.hash_key = hash_key;
        self.hash_key_origin = HashKeyOrigin::Explicit;
        self
    }

    /// The payload.
    #[must_use]
    pub fn data(&self) -> &Bytes {
        &self.data
    }

    /// The payload, taken out without a copy.
    #[must_use]
    pub fn into_data(self) -> Bytes {
        self.data
    }

    /// The partition key; `None` for a record made without one.
    #[must_use]
    pub fn partition_key(&self) -> Option<&str> {
        (!self.partition_key.is_empty()).then(|| key_text(&self.partition_key))
    }

    /// The explicit hash key, where one was given.
    #[must_use]
    pub fn explicit_hash_key(&self) -> Option<HashKey> {
        self.hash_key_origin.is_explicit().then_some(self.hash_key)
    }

    /// Where the record goes: the explicit hash key or the MD5 of the partition key.
    #[must_use]
    pub fn hash_key(&self) -> HashKey {
        self.hash_key
    }

    /// What the record counts against every limit: bytes of data and of partition key, before base64.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.data.len() + self.partition_key.len()
    }
}

/// Payloads and keys stay out of logs: only their sizes show.
impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("data_bytes", &self.data.len())
            .field("partition_key_bytes", &self.partition_key.len())
            .field("hash_key_is_explicit", &self.hash_key_origin.is_explicit())
            .finish()
    }
}

/// Before the record is made, which is then written once.
fn check_size(bytes: usize) -> Result<(), RecordError> {
    match bytes {
        0..=RECORD_BYTES_MAX_CEILING => Ok(()),
        bytes => Err(RecordError::TooLarge { bytes }),
    }
}

/// Counts characters only where bytes do not decide: no character takes less than one.
fn check_key(key: &str) -> Result<(), RecordError> {
    match key.len() {
        0 => Err(RecordError::PartitionKeyEmpty),
        1..=PARTITION_KEY_CHARS_MAX => Ok(()),
        _ => match key.chars().count() {
            0..=PARTITION_KEY_CHARS_MAX => Ok(()),
            chars => Err(RecordError::PartitionKeyTooLong { chars }),
        },
    }
}

/// The text of a key that was checked when it was taken in.
pub(crate) fn key_text(key: &Bytes) -> &str {
    core::str::from_utf8(key).expect("PartitionKey holds only UTF-8: its constructor checked")
}

/// Why something cannot be a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecordError {
    /// The partition key has no characters.
    PartitionKeyEmpty,
    /// The partition key has more than 256 Unicode characters.
    PartitionKeyTooLong {
        /// Unicode characters in the key.
        chars: usize,
    },
    /// The partition key is not UTF-8.
    PartitionKeyNotUtf8,
    /// Data and partition key are larger than any stream takes.
    TooLarge {
        /// Bytes of data and partition key.
        bytes: usize,
    },
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PartitionKeyEmpty => {
                f.write_str("the partition key is empty; it needs 1 to 256 characters")
            }
            Self::PartitionKeyTooLong { chars } => {
                write!(f, "the partition key has {chars} characters; it may have {PARTITION_KEY_CHARS_MAX}")
            }
            Self::PartitionKeyNotUtf8 => f.write_str("the partition key is not UTF-8"),
            Self::TooLarge { bytes } => write!(
                f,
                "the record has {bytes} bytes with its key; no stream takes more than {RECORD_BYTES_MAX_CEILING}"
            ),
        }
    }
}

impl core::error::Error for RecordError {}

impl From<core::convert::Infallible> for RecordError {
    fn from(never: core::convert::Infallible) -> Self {
        match never {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::vec;

    // S-04
    #[test]
    fn a_key_is_measured_in_characters_not_bytes() {
        let longest = "é".repeat(256);
        assert_eq!(longest.len(), 512);
        assert!(PartitionKey::try_from(longest.as_str()).is_ok());
        let over = "é".repeat(257);
        assert_eq!(PartitionKey::try_from(over), Err(RecordError::PartitionKeyTooLong { chars: 257 }));
    }

    #[test]
    fn empty_and_undecodable_keys_are_refused() {
        assert_eq!(PartitionKey::try_from(""), Err(RecordError::PartitionKeyEmpty));
        let bytes = Bytes::from_static(&[0xFF, 0xFE]);
        assert_eq!(PartitionKey::from_shared(bytes), Err(RecordError::PartitionKeyNotUtf8));
    }

    #[test]
    fn records_made_together_are_those_made_one_by_one() {
        let long = "k".repeat(256);
        let keys = ["a", "customer-42", "é", &*long, "e", "f", "g", "h", "i"];
        let keyed = |key: &str| {
            (PartitionKey::try_from(key).expect("a valid key"), Bytes::copy_from_slice(key.as_bytes()))
        };
        let alone = keys.map(|key| Record::new(key, Bytes::copy_from_slice(key.as_bytes())));
        assert!(Record::new_each(keys.map(keyed)).eq(alone));

        let large = Bytes::from(vec![0u8; RECORD_BYTES_MAX_CEILING]);
        let mut records = Record::new_each([keyed("a"), (keyed("k").0, large)]);
        assert!(records.next().is_some_and(|record| record.is_ok()), "each is checked by itself");
        let too_large = RecordError::TooLarge { bytes: RECORD_BYTES_MAX_CEILING + 1 };
        assert_eq!(records.next(), Some(Err(too_large)));
    }

    // S-03
    #[test]
    fn the_largest_record_is_exactly_ten_mebibytes_with_its_key() {
        let data = vec![0u8; RECORD_BYTES_MAX_CEILING - 1];
        assert!(Record::new("k", data.clone()).is_ok());
        let err = Record::new("kk", data).expect_err("one byte more is too large");
        assert_eq!(err, RecordError::TooLarge { bytes: RECORD_BYTES_MAX_CEILING + 1 });
    }

    #[test]
    fn explicit_hash_key_zero_is_a_key_like_any_other() {
        let record = Record::new("k", "v").expect("a valid record").with_explicit_hash_key(HashKey::MIN);
        assert_eq!(record.explicit_hash_key(), Some(HashKey::MIN));
        assert_eq!(record.hash_key(), HashKey::MIN);
    }

    #[test]
    fn debug_shows_neither_payload_nor_key() {
        let record = Record::new("secret-key", "secret-data").expect("a valid record");
        assert!(!format!("{record:?}").contains("secret"));
    }
}
