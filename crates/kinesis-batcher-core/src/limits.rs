//! The service's limits. Each cites its fact in docs/SERVICE.md, which has the source.

/// Records in one PutRecords request, at most. S-01.
pub const REQUEST_RECORDS_MAX: usize = 500;

/// Bytes in one PutRecords request, at most: data and partition keys, before base64.
/// S-02.
pub const REQUEST_BYTES_MAX: usize = 10 * MIB;

/// Bytes in one record, data and partition key, on a stream that was not configured otherwise.
/// S-03.
pub const RECORD_BYTES_MAX_DEFAULT: usize = MIB;

/// Bytes in one record, data and partition key, on a stream configured for the largest records.
/// S-03.
pub const RECORD_BYTES_MAX_CEILING: usize = 10 * MIB;

/// Unicode characters (not bytes) in a partition key, at most; at least one. S-04.
pub const PARTITION_KEY_CHARS_MAX: usize = 256;

/// Records a second into one shard. S-06.
pub const SHARD_RECORDS_PER_SECOND: u64 = 1_000;

/// Bytes a second into one shard. S-07: where it is 1 MB, rates that adapt find it.
pub const SHARD_BYTES_PER_SECOND: u64 = MIB as u64;

/// One mebibyte.
const MIB: usize = 1 << 20;
