//! What a server can tell about its streams.

use std::fmt;

/// A record as a server stored it.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredRecord {
    /// The shard it landed in, such as `shardId-000000000000`.
    pub shard_id: String,
    /// Decimal, of one length within a server: greater is later within a shard.
    pub sequence_number: String,
    /// As sent.
    pub partition_key: String,
    /// The payload, after base64.
    pub data: Vec<u8>,
}

/// Names the record and the size of its payload; payloads do not belong in logs.
impl fmt::Debug for StoredRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredRecord")
            .field("shard_id", &self.shard_id)
            .field("sequence_number", &self.sequence_number)
            .field("partition_key", &self.partition_key)
            .field("data_bytes", &self.data.len())
            .finish()
    }
}

/// A shard as a server lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardDescription {
    /// Such as `shardId-000000000000`.
    pub shard_id: String,
    /// First hash key of the shard.
    pub starting_hash_key: u128,
    /// Last hash key of the shard; it belongs to the shard.
    pub ending_hash_key: u128,
    /// The shard this one was split from, or the first of the two it was merged from.
    pub parent_shard_id: Option<String>,
    /// The second shard this one was merged from.
    pub adjacent_parent_shard_id: Option<String>,
    /// False once the shard was split or merged: it takes no more records.
    pub open: bool,
}

impl ShardDescription {
    /// True when records of this hash key land in this shard while it is open.
    #[must_use]
    pub fn contains(&self, hash_key: u128) -> bool {
        (self.starting_hash_key..=self.ending_hash_key).contains(&hash_key)
    }
}
