//! The envelope and the field numbers, from the KPL's `aggregation-format.md` and `messages.proto` (S-29).

use md5::{Digest, Md5};

use crate::wire::{bytes_field, varint_field};

/// The four bytes that an aggregate begins with.
pub const MAGIC: [u8; 4] = [0xf3, 0x89, 0x9a, 0xc2];

/// The length in bytes of the MD5 that an aggregate ends with.
pub const CHECKSUM_LEN: usize = 16;

/// The longest aggregate that can be built, in bytes: the service's largest record, 10 MiB, of which the
/// outer partition key takes a part. A stream's own limit is its `MaxRecordSizeInKiB`, 1 MiB unless it was
/// raised (S-03).
pub const ENCODED_LEN_MAX: usize = 10 << 20;

/// Whether `data` begins like an aggregate. Cheap, and true for a few plain records too; only
/// [`decode`](crate::decode) tells for certain.
#[must_use]
pub fn starts_with_magic(data: &[u8]) -> bool {
    data.starts_with(&MAGIC)
}

pub(crate) fn checksum(message: &[u8]) -> [u8; CHECKSUM_LEN] {
    Md5::digest(message).into()
}

/// Fields of `AggregatedRecord`.
pub(crate) const PARTITION_KEY_TABLE: u8 = bytes_field(1);
pub(crate) const EXPLICIT_HASH_KEY_TABLE: u8 = bytes_field(2);
pub(crate) const RECORDS: u8 = bytes_field(3);
pub(crate) const AGGREGATED_RECORD_FIELDS: u64 = 3;

/// Fields of `Record`.
pub(crate) const PARTITION_KEY_INDEX: u8 = varint_field(1);
pub(crate) const EXPLICIT_HASH_KEY_INDEX: u8 = varint_field(2);
pub(crate) const DATA: u8 = bytes_field(3);
pub(crate) const TAGS: u8 = bytes_field(4);
pub(crate) const RECORD_FIELDS: u64 = 4;

/// Fields of `Tag`.
pub(crate) const TAG_KEY: u8 = bytes_field(1);
pub(crate) const TAG_VALUE: u8 = bytes_field(2);
pub(crate) const TAG_FIELDS: u64 = 2;
