//! All figures at one moment.

use kinesis_batcher_core::{Histograms, Hold, ServiceError, ShardStats, Stats, Timestamp};

/// What a producer has done and holds, from [`Producer::snapshot`](crate::Producer::snapshot). All of it was read under
/// one hold of the lock, so that the figures belong together.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Snapshot {
    /// When it was taken: what the other times here are to be compared with. Zero is the start of the producer.
    pub now: Timestamp,
    /// Counters that add up, and what is held.
    pub stats: Stats,
    /// How delays and sizes are distributed.
    pub histograms: Histograms,
    /// Each open shard, in the order of their keys; the stream as a whole where its shards are not known.
    pub shards: Vec<ShardStats>,
    /// How fresh the map of shards is.
    pub shard_map: ShardMapStatus,
    /// Why the producer holds its records instead of sending them; `None` while the stream can be written to, as far
    /// as the producer knows.
    pub hold: Option<Hold>,
    /// Why the last request failed, if it failed as a whole; `None` once one was answered.
    pub last_error: Option<ServiceError>,
    /// No more records are taken.
    pub is_closed: bool,
}

/// How fresh a producer's map of shards is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShardMapStatus {
    /// Times that the service was asked for the map and gave it, the first time not counted.
    pub refreshes_succeeded: u64,
    /// Times that it was asked and gave none.
    pub refreshes_failed: u64,
    /// When it was last given; zero, the start of the producer, for the first map.
    pub refreshed_at: Timestamp,
    /// Replies have shown that the stream is not as the map says, and no newer one has come since.
    pub is_stale: bool,
}
