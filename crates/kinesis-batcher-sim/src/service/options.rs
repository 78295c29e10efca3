//! How a stream is made.

use std::time::Duration;

use kinesis_batcher_core::limits::{
    RECORD_BYTES_MAX_CEILING, RECORD_BYTES_MAX_DEFAULT, REQUEST_BYTES_MAX, SHARD_BYTES_PER_SECOND,
    SHARD_RECORDS_PER_SECOND,
};

/// How a stream is made. [`Kinesis::new`](super::Kinesis::new) brings each value into its range.
///
/// ```
/// use kinesis_batcher_sim::ServiceOptions;
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
    /// How much of each limit may go at once, in time's worth: 1 ms to 1 h. One second unless set: "the service lets
    /// short bursts through" is all that is published.
    pub burst: Duration,
    /// Records a second into one shard: 1 or more. Default: S-06.
    pub records_per_second_per_shard: u32,
    /// Bytes of data and partition keys a second into one shard: 1 or more. Default:
    /// S-07.
    pub bytes_per_second_per_shard: u32,
    /// Bytes of data and partition key in one record, at most: 1 MiB to 10 MiB. S-03.
    pub record_bytes_max: usize,
    /// Bytes of data and partition keys in one call, at most: 1 or more. 10 MiB, as the service has it since late
    /// 2025; emulators stay at 5 MiB.
    pub request_bytes_max: usize,
    /// How the stream scales.
    pub mode: StreamMode,
    /// Who picks a record's shard.
    pub distribution: Distribution,
    /// What a producer may ask.
    pub permits: Permits,
    /// How long a reshard takes over each of its splits or merges; with zero, the default, all happen at once.
    pub reshard_step: Duration,
    /// On-demand: how long after a shard was found hot it is split. 15 s unless set; the real service takes minutes.
    pub scaling_delay: Duration,
    /// Open shards, at most. 10,240 unless set: what an on-demand stream of 10 GiB/s has.
    pub shards_max: u32,
}

impl Default for ServiceOptions {
    fn default() -> Self {
        Self {
            shards: 4,
            burst: Duration::from_secs(1),
            records_per_second_per_shard: SHARD_RECORDS_PER_SECOND as u32,
            bytes_per_second_per_shard: SHARD_BYTES_PER_SECOND as u32,
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
    pub(super) fn in_range(mut self) -> Self {
        self.shards = self.shards.max(1);
        self.shards_max = self.shards_max.max(self.shards);
        self.burst = self.burst.clamp(Duration::from_millis(1), Duration::from_secs(3_600));
        self.records_per_second_per_shard = self.records_per_second_per_shard.max(1);
        self.bytes_per_second_per_shard = self.bytes_per_second_per_shard.max(1);
        self.record_bytes_max =
            self.record_bytes_max.clamp(RECORD_BYTES_MAX_DEFAULT, RECORD_BYTES_MAX_CEILING);
        self.request_bytes_max = self.request_bytes_max.max(1);
        self
    }
}

/// How a stream scales.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StreamMode {
    /// As its owner says.
    Provisioned,
    /// S-12: hot shards split by themselves, a while after they were found hot; the limits of each shard hold all the same.
    OnDemand,
}

/// Who picks a record's shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Distribution {
    /// The record's explicit hash key, or the MD5 of its partition key.
    UserPartitionKey,
    /// The service, here one shard after the other: keys are ignored, and the partition key may be left out.
    Auto,
}

/// What a producer may ask the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Permits {
    /// ListShards: it learns the shards.
    ListShards,
    /// Only DescribeStreamSummary: it learns how many shards are open.
    SummaryOnly,
}
