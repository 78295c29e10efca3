//! The options of a stream.

use std::time::Duration;

use crate::accounting::{Accounting, ShardLimits};
use crate::limits::{
    RECORD_BYTES_MAX_CEILING, RECORD_BYTES_MAX_DEFAULT, REQUEST_BYTES_MAX, SHARD_BYTES_PER_SECOND,
    SHARD_RECORDS_PER_SECOND,
};

/// The options of a stream. [`Kinesis::new`](crate::Kinesis::new) brings each value into its range.
///
/// ```
/// use kinesis_model::ServiceOptions;
///
/// let mut options = ServiceOptions::default();
/// options.shards = 16;
/// assert_eq!(options.records_per_second_per_shard, 1_000);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServiceOptions {
    /// Open shards at the start, of equal size: 1 or more.
    pub shards: u32,
    /// How a shard counts its second (S-08). Default: a token bucket of a full second.
    pub accounting: Accounting,
    /// Records a second into one shard: 1 or more. Default: S-06.
    pub records_per_second_per_shard: u32,
    /// Bytes of data and partition keys a second into one shard: 1 or more. Default: S-07, as MiB.
    pub bytes_per_second_per_shard: u32,
    /// Bytes of data and partition key in one record, at most: 1 MiB to 10 MiB. S-03.
    pub record_bytes_max: usize,
    /// Bytes of data and partition keys in one call, at most: 1 or more. Default: S-02.
    pub request_bytes_max: usize,
    /// How the stream scales.
    pub mode: StreamMode,
    /// What picks a record's shard.
    pub distribution: Distribution,
    /// What a producer may ask.
    pub permits: Permits,
    /// How long each split or merge of a reshard takes; with zero, the default, all happen at once.
    pub reshard_step: Duration,
    /// On-demand: the time from finding a shard hot to splitting it. Default: 15 s; the real service takes minutes.
    pub scaling_delay: Duration,
    /// Open shards, at most. Default: 10,240, enough for an on-demand stream of 10 GiB/s.
    pub shards_max: u32,
}

impl Default for ServiceOptions {
    fn default() -> Self {
        Self {
            shards: 4,
            accounting: Accounting::default(),
            records_per_second_per_shard: SHARD_RECORDS_PER_SECOND,
            bytes_per_second_per_shard: SHARD_BYTES_PER_SECOND,
            record_bytes_max: RECORD_BYTES_MAX_DEFAULT,
            request_bytes_max: REQUEST_BYTES_MAX,
            mode: StreamMode::Provisioned,
            distribution: Distribution::UserPartitionKey,
            permits: Permits::ListShards,
            reshard_step: Duration::ZERO,
            scaling_delay: Duration::from_secs(15),
            shards_max: 10_240,
        }
    }
}

impl ServiceOptions {
    /// The same options, each within its range.
    pub(crate) fn in_range(mut self) -> Self {
        self.shards = self.shards.max(1);
        self.shards_max = self.shards_max.max(self.shards);
        self.records_per_second_per_shard = self.records_per_second_per_shard.max(1);
        self.bytes_per_second_per_shard = self.bytes_per_second_per_shard.max(1);
        self.record_bytes_max =
            self.record_bytes_max.clamp(RECORD_BYTES_MAX_DEFAULT, RECORD_BYTES_MAX_CEILING);
        self.request_bytes_max = self.request_bytes_max.max(1);
        self
    }

    /// The limits of each shard.
    #[must_use]
    pub fn shard_limits(&self) -> ShardLimits {
        ShardLimits {
            records_per_second: self.records_per_second_per_shard,
            bytes_per_second: self.bytes_per_second_per_shard,
            accounting: self.accounting,
        }
    }
}

/// How a stream scales.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamMode {
    /// By calls alone.
    Provisioned,
    /// By traffic, too (S-12): a shard splits some time after it became hot. Its limits hold all the same.
    OnDemand,
}

/// What picks a record's shard (S-24).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distribution {
    /// The record's explicit hash key, or the MD5 of its partition key.
    UserPartitionKey,
    /// The service, here one shard after the other: keys are ignored, and the partition key is optional.
    Auto,
}

/// What a producer may ask the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permits {
    /// ListShards: the shards and their ranges.
    ListShards,
    /// Only DescribeStreamSummary: the number of open shards.
    SummaryOnly,
}
