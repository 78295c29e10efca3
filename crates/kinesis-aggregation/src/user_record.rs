use core::fmt;

use crate::format::{
    DATA, EXPLICIT_HASH_KEY_INDEX, PARTITION_KEY_INDEX, RECORD_FIELDS, TAG_FIELDS, TAG_KEY, TAG_VALUE, TAGS,
};
use crate::wire::Reader;
use crate::{Damage, InvalidExplicitHashKey, hash_key_of};

/// A user record inside an aggregate, borrowed from the aggregate's bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct UserRecord<'a> {
    /// The key that the record was put with. Whoever wrote the aggregate may have gone beyond the
    /// service's 1–256 characters.
    pub partition_key: &'a str,
    /// The explicit hash key that the record was put with, as it was written: usually a decimal number
    /// between 0 and 2¹²⁸ − 1.
    pub explicit_hash_key: Option<&'a str>,
    /// The payload.
    pub data: &'a [u8],
    /// Name-value pairs. No producer of AWS writes any.
    pub tags: Tags<'a>,
}

impl UserRecord<'_> {
    /// Where the record belongs in the hash-key space: at its explicit hash key, or else at the MD5 of its
    /// partition key.
    ///
    /// # Errors
    /// If the explicit hash key is not a number between 0 and 2¹²⁸ − 1. As in the KCL, a plus sign and
    /// leading zeros are no offence.
    pub fn hash_key(&self) -> Result<u128, InvalidExplicitHashKey> {
        match self.explicit_hash_key {
            Some(decimal) => decimal.parse().map_err(|_| InvalidExplicitHashKey),
            None => Ok(hash_key_of(self.partition_key)),
        }
    }
}

/// Says how long the payload is, not what it is.
impl fmt::Debug for UserRecord<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserRecord")
            .field("partition_key", &self.partition_key)
            .field("explicit_hash_key", &self.explicit_hash_key)
            .field("data_len", &self.data.len())
            .field("tags", &self.tags)
            .finish()
    }
}

/// A name-value pair that travels with a user record.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tag<'a> {
    /// The name.
    pub key: &'a str,
    /// The value, if there is one.
    pub value: Option<&'a str>,
}

impl<'a> Tag<'a> {
    fn parse(message: &'a [u8]) -> Result<Self, Damage> {
        let (mut key, mut value) = (None, None);
        let mut fields = Reader::new(message);
        while !fields.is_empty() {
            let tag = fields.tag()?;
            if tag == u64::from(TAG_KEY) {
                key = Some(fields.text()?);
            } else if tag == u64::from(TAG_VALUE) {
                value = Some(fields.text()?);
            } else {
                fields.skip_unknown(tag, TAG_FIELDS)?;
            }
        }
        Ok(Self { key: key.ok_or(Damage::FieldMissing)?, value })
    }
}

/// Says how long the value is, not what it is.
impl fmt::Debug for Tag<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tag").field("key", &self.key).field("value_len", &self.value.map(str::len)).finish()
    }
}

/// The tags of a user record, in the order in which they were written.
#[derive(Clone, Copy, Default)]
pub struct Tags<'a> {
    /// The record's fields from the first tag on; other fields may stand between. Checked already.
    fields: &'a [u8],
}

impl<'a> Iterator for Tags<'a> {
    type Item = Tag<'a>;

    fn next(&mut self) -> Option<Tag<'a>> {
        let mut fields = Reader::new(self.fields);
        let mut found = None;
        while found.is_none() && !fields.is_empty() {
            match RecordField::read(&mut fields) {
                Ok(RecordField::Tag(message)) => found = Tag::parse(message).ok(),
                Ok(_) => {}
                Err(_) => break,
            }
        }
        self.fields = fields.rest();
        found
    }
}

impl core::iter::FusedIterator for Tags<'_> {}

impl PartialEq for Tags<'_> {
    fn eq(&self, other: &Self) -> bool {
        Iterator::eq(*self, *other)
    }
}

impl Eq for Tags<'_> {}

impl fmt::Debug for Tags<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(*self).finish()
    }
}

/// A `Record` message: like [`UserRecord`], with indexes in place of keys.
pub(crate) struct IndexedRecord<'a> {
    pub(crate) partition_key_index: u64,
    pub(crate) explicit_hash_key_index: Option<u64>,
    pub(crate) data: &'a [u8],
    pub(crate) tags: Tags<'a>,
}

impl<'a> IndexedRecord<'a> {
    #[inline]
    pub(crate) fn parse(message: &'a [u8]) -> Result<Self, Damage> {
        match Self::parse_usual(message) {
            Some(record) => Ok(record),
            None => Self::parse_any(message),
        }
    }

    /// A record of the shape that nearly all have: a partition key and data, in this order. Twice as fast.
    #[inline(always)]
    fn parse_usual(message: &'a [u8]) -> Option<Self> {
        let mut fields = Reader::new(message.strip_prefix(&[PARTITION_KEY_INDEX])?);
        let partition_key_index = fields.varint_short()?;
        let mut fields = Reader::new(fields.rest().strip_prefix(&[DATA])?);
        let data_len = fields.varint_short()?;
        let data = fields.rest();
        (data_len == data.len() as u64).then(|| Self {
            partition_key_index,
            explicit_hash_key_index: None,
            data,
            tags: Tags::default(),
        })
    }

    #[inline(never)]
    fn parse_any(message: &'a [u8]) -> Result<Self, Damage> {
        let (mut partition_key_index, mut explicit_hash_key_index, mut data) = (None, None, None);
        let mut tags = Tags::default();
        let mut fields = Reader::new(message);
        while !fields.is_empty() {
            let from_here = fields.rest();
            // Of a field that appears twice, protobuf counts the last.
            match RecordField::read(&mut fields)? {
                RecordField::PartitionKeyIndex(index) => partition_key_index = Some(index),
                RecordField::ExplicitHashKeyIndex(index) => explicit_hash_key_index = Some(index),
                RecordField::Data(content) => data = Some(content),
                RecordField::Tag(message) => {
                    Tag::parse(message)?;
                    if tags.fields.is_empty() {
                        tags.fields = from_here;
                    }
                }
                RecordField::Unknown => {}
            }
        }
        let (Some(partition_key_index), Some(data)) = (partition_key_index, data) else {
            return Err(Damage::FieldMissing);
        };
        Ok(Self { partition_key_index, explicit_hash_key_index, data, tags })
    }
}

enum RecordField<'a> {
    PartitionKeyIndex(u64),
    ExplicitHashKeyIndex(u64),
    Data(&'a [u8]),
    Tag(&'a [u8]),
    Unknown,
}

impl<'a> RecordField<'a> {
    #[inline]
    fn read(fields: &mut Reader<'a>) -> Result<Self, Damage> {
        let tag = fields.tag()?;
        Ok(match u8::try_from(tag) {
            Ok(PARTITION_KEY_INDEX) => Self::PartitionKeyIndex(fields.varint()?),
            Ok(EXPLICIT_HASH_KEY_INDEX) => Self::ExplicitHashKeyIndex(fields.varint()?),
            Ok(DATA) => Self::Data(fields.bytes()?),
            Ok(TAGS) => Self::Tag(fields.bytes()?),
            _ => {
                fields.skip_unknown(tag, RECORD_FIELDS)?;
                Self::Unknown
            }
        })
    }
}
