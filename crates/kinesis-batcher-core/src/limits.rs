//! What the service allows, with the source of each figure beside it.
//!
//! Figures come from the API model inside `aws-sdk-kinesis` 1.130.0 and from the Kinesis Data Streams developer
//! guide, "Quotas and limits" (2026).

/// Records in one PutRecords request, at most. Source: `PutRecordsRequestEntryList`, max 500.
pub const REQUEST_RECORDS_MAX: usize = 500;

/// Bytes in one PutRecords request, at most: data and partition keys, before base64.
/// Source: PutRecords API reference; it was 5 MiB until late 2025.
pub const REQUEST_BYTES_MAX: usize = 10 * MIB;

/// Bytes in one record, data and partition key, on a stream that was not configured otherwise.
/// Source: PutRecords API reference.
pub const RECORD_BYTES_MAX_DEFAULT: usize = MIB;

/// Bytes in one record, data and partition key, on a stream configured for the largest records.
/// Source: `MaxRecordSizeInKiB`, max 10,240.
pub const RECORD_BYTES_MAX_CEILING: usize = 10 * MIB;

/// Unicode characters (not bytes) in a partition key, at most; at least one. Source: `PartitionKey`, 1–256.
pub const PARTITION_KEY_CHARS_MAX: usize = 256;

/// Records a second into one shard. Source: developer guide, "Quotas and limits".
pub const SHARD_RECORDS_PER_SECOND: u64 = 1_000;

/// Bytes a second into one shard. Source: developer guide, "Quotas and limits".
pub const SHARD_BYTES_PER_SECOND: u64 = MIB as u64;

/// One mebibyte.
const MIB: usize = 1 << 20;
