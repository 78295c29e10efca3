//! The service's limits, each with its fact in `docs/SERVICE.md`.

/// Entries in a PutRecords request, at most (S-01).
pub const REQUEST_RECORDS_MAX: usize = 500;
/// Bytes of data and partition keys in a PutRecords request, at most (S-02).
pub const REQUEST_BYTES_MAX: usize = 10 << 20;
/// Bytes of data and partition key in a record, at most, unless the stream allows more (S-03).
pub const RECORD_BYTES_MAX_DEFAULT: usize = 1 << 20;
/// The most that a stream can allow (S-03).
pub const RECORD_BYTES_MAX_CEILING: usize = 10 << 20;
/// Unicode characters in a partition key, at most (S-04).
pub const PARTITION_KEY_CHARS_MAX: usize = 256;
/// Records a second into one shard (S-06).
pub const SHARD_RECORDS_PER_SECOND: u32 = 1_000;
/// Bytes a second into one shard, if MB means MiB (S-07).
pub const SHARD_BYTES_PER_SECOND: u32 = 1 << 20;
/// Bytes a second into one shard, if MB means a million (S-07).
pub const SHARD_BYTES_PER_SECOND_DECIMAL: u32 = 1_000_000;
