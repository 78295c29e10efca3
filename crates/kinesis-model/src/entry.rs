//! The entries of a PutRecords call, and what happens to each.

use std::fmt;

use crate::hash_key::explicit_hash_key;
use crate::ids::{SequenceNumber, ShardId};
use crate::limits::PARTITION_KEY_CHARS_MAX;
use crate::options::{Distribution, ServiceOptions};
use crate::refusal::{Malformed, Refusal};

/// One entry of a PutRecords call.
#[derive(Clone, Copy)]
pub struct PutEntry<'a> {
    /// The payload.
    pub data: &'a [u8],
    /// The partition key, if there is one.
    pub partition_key: Option<&'a str>,
    /// The explicit hash key, if there is one.
    pub explicit_hash_key: Option<u128>,
}

impl<'a> PutEntry<'a> {
    /// An entry with an explicit hash key as the wire has it; `position` is its place in the call, from 0.
    ///
    /// # Errors
    /// [`Malformed::ExplicitHashKey`] unless it is decimal text without leading zeros, at most 2^128 − 1.
    pub fn from_wire(
        data: &'a [u8],
        partition_key: Option<&'a str>,
        explicit: Option<&str>,
        position: usize,
    ) -> Result<Self, Refusal> {
        let read = |text| explicit_hash_key(text).ok_or(Malformed::ExplicitHashKey(position));
        let explicit_hash_key = explicit.map(read).transpose().map_err(Refusal::Validation)?;
        Ok(Self { data, partition_key, explicit_hash_key })
    }

    /// Bytes of data and partition key, which every limit counts.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.data.len() + self.partition_key.map_or(0, str::len)
    }

    /// Bytes in a body of JSON: base64, key, explicit hash key, and the names around them.
    pub(crate) fn wire_bytes(&self) -> usize {
        self.data.len().div_ceil(3) * 4 + self.partition_key.map_or(0, str::len) + NAMES_BYTES
    }

    /// The service's rules for one entry.
    pub(crate) fn check(&self, position: usize, options: &ServiceOptions) -> Result<(), Malformed> {
        if self.bytes() > options.record_bytes_max {
            return Err(Malformed::RecordBytes(position));
        }
        match self.partition_key {
            None if options.distribution == Distribution::Auto => Ok(()),
            None => Err(Malformed::PartitionKeyMissing(position)),
            // No character takes less than a byte, so counting them is seldom needed.
            Some(key) if (1..=PARTITION_KEY_CHARS_MAX).contains(&key.len()) => Ok(()),
            Some(key) if (1..=PARTITION_KEY_CHARS_MAX).contains(&key.chars().count()) => Ok(()),
            Some(_) => Err(Malformed::PartitionKeyChars(position)),
        }
    }
}

/// Payloads and keys stay out of logs.
impl fmt::Debug for PutEntry<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PutEntry({} B)", self.bytes())
    }
}

/// What the service did with one entry, and what its reply says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryReply {
    /// Stored, and the reply says so.
    Stored {
        /// The shard that stored it.
        shard_id: ShardId,
        /// Its number there: higher than that of any record stored in the shard before.
        sequence_number: SequenceNumber,
    },
    /// Not stored, for the reason that this code names.
    Failed(&'static str),
    /// Stored, and the reply names this code instead (S-49, one of the possibilities).
    StoredBehind {
        /// The shard that stored it.
        shard_id: ShardId,
        /// Its number there.
        sequence_number: SequenceNumber,
        /// The code in the reply.
        code: &'static str,
    },
}

impl EntryReply {
    /// Where the entry is stored, whatever the reply says.
    #[must_use]
    pub fn stored(&self) -> Option<(ShardId, SequenceNumber)> {
        match *self {
            Self::Stored { shard_id, sequence_number }
            | Self::StoredBehind { shard_id, sequence_number, .. } => Some((shard_id, sequence_number)),
            Self::Failed(_) => None,
        }
    }

    /// The error code in the reply, if it has one.
    #[must_use]
    pub fn code(&self) -> Option<&'static str> {
        match *self {
            Self::Stored { .. } => None,
            Self::Failed(code) | Self::StoredBehind { code, .. } => Some(code),
        }
    }
}

/// What a PutRecords call did, and what its caller learns.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct PutReply {
    /// What happened to each entry. Empty if the call was refused before the service looked at its entries.
    pub entries: Vec<EntryReply>,
    /// Why the call as a whole failed. Its caller does not learn of `entries` then.
    pub refusal: Option<Refusal>,
}

impl PutReply {
    /// A call that was refused, and of which nothing is stored.
    pub fn refused(refusal: Refusal) -> Self {
        Self { entries: Vec::new(), refusal: Some(refusal) }
    }

    /// What the caller learns.
    ///
    /// # Errors
    /// When the call as a whole failed.
    pub fn answer(self) -> Result<Vec<EntryReply>, Refusal> {
        match self.refusal {
            None => Ok(self.entries),
            Some(refusal) => Err(refusal),
        }
    }
}

/// `{"Data":"","PartitionKey":""},` and some more for an explicit hash key.
const NAMES_BYTES: usize = 60;

#[cfg(test)]
mod tests {
    use super::*;

    // S-05
    #[test]
    fn an_explicit_hash_key_that_is_not_canonical_refuses_the_call() {
        let read = |text| PutEntry::from_wire(b"x", Some("k"), Some(text), 3);
        assert_eq!(read("17").expect("canonical").explicit_hash_key, Some(17));
        let refusal = read("017").expect_err("a leading zero");
        assert_eq!(refusal, Refusal::Validation(Malformed::ExplicitHashKey(3)));
    }
}
