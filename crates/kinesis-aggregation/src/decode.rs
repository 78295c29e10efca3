// Data that cannot be decoded is a record like any other (S-30).
use core::{fmt, iter::FusedIterator, ops::RangeInclusive};

use alloc::vec::Vec;

use crate::format::{
    AGGREGATED_RECORD_FIELDS, CHECKSUM_LEN, EXPLICIT_HASH_KEY_TABLE, MAGIC, PARTITION_KEY_TABLE, RECORDS,
    checksum,
};
use crate::user_record::IndexedRecord;
use crate::wire::Reader;
use crate::{Damage, UserRecord};

/// What the data of a Kinesis record turned out to be.
#[derive(Clone, Debug)]
pub enum Decoded<'a> {
    /// Many user records in one. All of it has been checked.
    Aggregate(Aggregate<'a>),
    /// A single user record: the data is its payload, and its keys are the Kinesis record's own.
    Plain,
    /// It begins like an aggregate and is none. AWS's consumers take it for a plain record.
    Damaged(Damage),
}

impl<'a> Decoded<'a> {
    /// The aggregate, or `None` if the data is to be taken for a plain record.
    #[must_use]
    pub fn aggregate(self) -> Option<Aggregate<'a>> {
        match self {
            Self::Aggregate(aggregate) => Some(aggregate),
            Self::Plain | Self::Damaged(_) => None,
        }
    }
}

/// Tells what `data`, the data of a Kinesis record, is. Never panics.
///
/// Allocates only for an aggregate, to index its key tables: 16 bytes for each key that is really there, so
/// at most a small multiple of the length of `data`, whatever lengths the message claims.
#[must_use]
pub fn decode(data: &[u8]) -> Decoded<'_> {
    decode_if(data, |message, expected| checksum(message) == *expected)
}

/// Like [`decode`], but takes the checksum for right: some ten times as fast.
///
/// The MD5 guards against plain payloads that happen to begin with the magic, not against tampering. Leave
/// it out where only aggregates can occur, or where it has been checked before.
#[must_use]
pub fn decode_without_checksum(data: &[u8]) -> Decoded<'_> {
    decode_if(data, |_, _| true)
}

#[inline]
fn decode_if(data: &[u8], is_sound: impl FnOnce(&[u8], &[u8; CHECKSUM_LEN]) -> bool) -> Decoded<'_> {
    let Some(rest) = data.strip_prefix(&MAGIC) else {
        return Decoded::Plain;
    };
    match rest.split_last_chunk() {
        Some((message @ [_, ..], expected)) => {
            if !is_sound(message, expected) {
                return Decoded::Damaged(Damage::Checksum);
            }
            match Aggregate::parse(message) {
                Ok(aggregate) => Decoded::Aggregate(aggregate),
                Err(damage) => Decoded::Damaged(damage),
            }
        }
        // The KCL, too, wants a message of at least one byte.
        _ => Decoded::Damaged(Damage::TooShort),
    }
}

/// An aggregate whose every byte has been checked, so that reading it cannot fail.
#[derive(Clone)]
pub struct Aggregate<'a> {
    message: &'a [u8],
    partition_keys: Vec<&'a str>,
    explicit_hash_keys: Vec<&'a str>,
    len: usize,
}

impl<'a> Aggregate<'a> {
    pub(crate) fn parse(message: &'a [u8]) -> Result<Self, Damage> {
        let (mut partition_keys, mut explicit_hash_keys) = (Vec::new(), Vec::new());
        // Indexes can only be judged at the end: tables may stand after the records, or between them.
        let (mut partition_keys_used, mut explicit_hash_keys_used) = (0_u64, 0_u64);
        let mut len = 0;
        let mut fields = Reader::new(message);
        while !fields.is_empty() {
            match Field::read(&mut fields)? {
                Field::Record(message) => {
                    let record = IndexedRecord::parse(message)?;
                    partition_keys_used =
                        partition_keys_used.max(record.partition_key_index.saturating_add(1));
                    if let Some(index) = record.explicit_hash_key_index {
                        explicit_hash_keys_used = explicit_hash_keys_used.max(index.saturating_add(1));
                    }
                    len += 1;
                }
                Field::PartitionKey(key) => {
                    partition_keys.push(core::str::from_utf8(key).map_err(|_| Damage::NotUtf8)?);
                }
                Field::ExplicitHashKey(key) => {
                    explicit_hash_keys.push(core::str::from_utf8(key).map_err(|_| Damage::NotUtf8)?);
                }
                Field::Unknown => {}
            }
        }
        if partition_keys_used > partition_keys.len() as u64
            || explicit_hash_keys_used > explicit_hash_keys.len() as u64
        {
            return Err(Damage::KeyIndex);
        }
        Ok(Self { message, partition_keys, explicit_hash_keys, len })
    }

    pub(crate) const EMPTY: Self =
        Self { message: &[], partition_keys: Vec::new(), explicit_hash_keys: Vec::new(), len: 0 };

    /// How many user records there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none: nothing of AWS writes such a thing, and a consumer gets nothing from it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The user records in the order in which they were added. A record's position is its sub-sequence
    /// number.
    #[must_use]
    pub fn iter(&self) -> UserRecords<'_, 'a> {
        UserRecords { fields: Reader::new(self.message), aggregate: self, remaining: self.len }
    }

    /// Whether the KCL hands these records to its application when it reads them from the shard with this
    /// hash-key range. It drops the *whole* aggregate over one user record whose hash key lies elsewhere.
    #[must_use]
    pub fn is_kept_by_kcl(&self, shard: &RangeInclusive<u128>) -> bool {
        self.iter().all(|record| record.hash_key().is_ok_and(|hash_key| shard.contains(&hash_key)))
    }
}

impl<'s, 'a> IntoIterator for &'s Aggregate<'a> {
    type Item = UserRecord<'a>;
    type IntoIter = UserRecords<'s, 'a>;

    fn into_iter(self) -> UserRecords<'s, 'a> {
        self.iter()
    }
}

impl fmt::Debug for Aggregate<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Aggregate")
            .field("len", &self.len)
            .field("partition_keys", &self.partition_keys.len())
            .field("explicit_hash_keys", &self.explicit_hash_keys.len())
            .finish_non_exhaustive()
    }
}

/// The user records of an [`Aggregate`], in order. They borrow from the decoded bytes, not from the
/// [`Aggregate`].
#[derive(Clone)]
pub struct UserRecords<'s, 'a> {
    fields: Reader<'a>,
    aggregate: &'s Aggregate<'a>,
    remaining: usize,
}

impl<'a> UserRecords<'_, 'a> {
    fn resolve(&self, message: &'a [u8]) -> Option<UserRecord<'a>> {
        let record = IndexedRecord::parse(message).ok()?;
        let key = |table: &[&'a str], index: u64| table.get(usize::try_from(index).ok()?).copied();
        Some(UserRecord {
            partition_key: key(&self.aggregate.partition_keys, record.partition_key_index)?,
            explicit_hash_key: match record.explicit_hash_key_index {
                Some(index) => Some(key(&self.aggregate.explicit_hash_keys, index)?),
                None => None,
            },
            data: record.data,
            tags: record.tags,
        })
    }
}

impl<'a> Iterator for UserRecords<'_, 'a> {
    type Item = UserRecord<'a>;

    #[inline]
    fn next(&mut self) -> Option<UserRecord<'a>> {
        while !self.fields.is_empty() {
            if let Field::Record(message) = Field::read(&mut self.fields).ok()? {
                self.remaining -= 1;
                let record = self.resolve(message);
                debug_assert!(record.is_some(), "parsing the aggregate has checked every record");
                return record;
            }
        }
        None
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.remaining, Some(self.remaining))
    }
}

impl ExactSizeIterator for UserRecords<'_, '_> {}
impl FusedIterator for UserRecords<'_, '_> {}

impl fmt::Debug for UserRecords<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserRecords").field("remaining", &self.remaining).finish_non_exhaustive()
    }
}

enum Field<'a> {
    PartitionKey(&'a [u8]),
    ExplicitHashKey(&'a [u8]),
    Record(&'a [u8]),
    Unknown,
}

impl<'a> Field<'a> {
    #[inline]
    fn read(fields: &mut Reader<'a>) -> Result<Self, Damage> {
        let tag = fields.tag()?;
        Ok(match u8::try_from(tag) {
            Ok(RECORDS) => Self::Record(fields.bytes()?),
            Ok(PARTITION_KEY_TABLE) => Self::PartitionKey(fields.bytes()?),
            Ok(EXPLICIT_HASH_KEY_TABLE) => Self::ExplicitHashKey(fields.bytes()?),
            _ => {
                fields.skip_unknown(tag, AGGREGATED_RECORD_FIELDS)?;
                Self::Unknown
            }
        })
    }
}
