//! Figures over time.

use std::time::Duration;

use kinesis_batcher_core::ShardId;

use crate::histogram::Percentiles;

/// What happened from one point of the series to the next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Point {
    /// The end of the interval, since the beginning of the run.
    pub at: Duration,
    /// Records offered to batchers for the first time.
    pub records_offered: u64,
    /// Records accepted.
    pub records_accepted: u64,
    /// Pushes refused.
    pub records_refused: u64,
    /// Records delivered.
    pub records_delivered: u64,
    /// Records failed.
    pub records_failed: u64,
    /// Bytes of data and partition keys delivered.
    pub bytes_delivered: u64,
    /// Requests made.
    pub requests: u64,
    /// Kinesis records that the service stored.
    pub entries_stored: u64,
    /// Kinesis records that it throttled.
    pub entries_throttled: u64,
    /// Bytes held by all batchers at the end of the interval.
    pub buffered_bytes: u64,
    /// Records held by all batchers at the end of the interval.
    pub buffered_records: u64,
    /// From acceptance to receipt, of the records delivered in the interval.
    pub delay: Percentiles,
    /// Records a second that the batchers allow themselves at the end of the interval, over all shards and producers;
    /// `None` without limits.
    pub allowed_records_per_second: Option<u64>,
    /// The shards open at the end of the interval, in the order of their hash keys.
    pub shards: Vec<ShardPoint>,
}

/// What happened to one shard in the interval.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShardPoint {
    /// Which.
    pub shard_id: ShardId,
    /// Kinesis records it stored.
    pub entries_stored: u64,
    /// Bytes it stored.
    pub bytes_stored: u64,
    /// Kinesis records it throttled.
    pub entries_throttled: u64,
    /// Records a second that the batchers together allow themselves for it at the end of the interval; `None` without
    /// limits and where no batcher knows it.
    pub allowed_records_per_second: Option<u64>,
}
