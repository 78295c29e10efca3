//! How a [`HostileKinesis`](super::HostileKinesis) starts.

use super::ShardLimits;
use crate::StartError;

/// How a [`HostileKinesis`](super::HostileKinesis) starts.
#[derive(Debug, Clone)]
pub struct HostileOptions {
    /// TCP port on 127.0.0.1; 0, the default, is any free one.
    pub port: u16,
    /// The one stream there is; `hostile` by default. Its ARN is
    /// `arn:aws:kinesis:us-east-1:000000000000:stream/{name}`.
    pub stream_name: String,
    /// Open shards at the start, 1–100,000 of equal size; 4 by default.
    pub shards: u32,
    /// KiB a record may have with its partition key, 1–10,240 (the service: 1,024–10,240); 1,024 by default.
    pub record_size_max_kib: u32,
    /// As DescribeStreamSummary tells; provisioned by default.
    pub stream_mode: StreamMode,
    /// Who picks the shard; the partition key by default.
    pub distribution: Distribution,
    /// None by default.
    pub shard_limits: Option<ShardLimits>,
    /// Shards on a page of ListShards, 1–10,000; the service's 1,000 by default.
    pub list_shards_page: usize,
}

impl Default for HostileOptions {
    fn default() -> Self {
        Self {
            port: 0,
            stream_name: "hostile".to_owned(),
            shards: 4,
            record_size_max_kib: 1_024,
            stream_mode: StreamMode::Provisioned,
            distribution: Distribution::UserPartitionKey,
            shard_limits: None,
            list_shards_page: 1_000,
        }
    }
}

impl HostileOptions {
    pub(crate) fn check(&self) -> Result<(), StartError> {
        let out_of_range =
            |option: &str, range: &str| Err(StartError::Option(format!("{option} must be {range}")));
        if !(1..=100_000).contains(&self.shards) {
            return out_of_range("shards", "1–100,000");
        }
        if !(1..=10_240).contains(&self.record_size_max_kib) {
            return out_of_range("record_size_max_kib", "1–10,240");
        }
        if !(1..=10_000).contains(&self.list_shards_page) {
            return out_of_range("list_shards_page", "1–10,000");
        }
        if self.distribution == Distribution::Auto && self.stream_mode != StreamMode::OnDemand {
            return out_of_range("stream_mode", "OnDemand for the distribution Auto, as in the service");
        }
        Ok(())
    }
}

/// How a stream's capacity is managed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamMode {
    /// By whoever splits and merges its shards.
    Provisioned,
    /// By the service.
    OnDemand,
}

impl StreamMode {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Provisioned => "PROVISIONED",
            Self::OnDemand => "ON_DEMAND",
        }
    }
}

/// Who picks a record's shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Distribution {
    /// The record's partition key or explicit hash key; every record must have a partition key.
    UserPartitionKey,
    /// The service, here one shard after the other: keys are ignored and may be left out. On-demand streams only.
    Auto,
}

impl Distribution {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::UserPartitionKey => "USER_PARTITION_KEY",
            Self::Auto => "AUTO",
        }
    }
}
