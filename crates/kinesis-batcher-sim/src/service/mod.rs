//! The service as a state machine without I/O.

use std::time::Duration;

use kinesis_batcher_core::{HashKey, SequenceNumber, ShardId, ShardMap, Timestamp};

/// A Kinesis stream.
#[derive(Debug)]
pub struct Kinesis {
    map: ShardMap,
    next_sequence_number: u64,
}

impl Kinesis {
    /// A stream with these options.
    #[must_use]
    pub fn new(options: ServiceOptions, _seed: u64, _now: Timestamp) -> Self {
        let count = options.shards.max(1).try_into().expect("at least one");
        Self { map: ShardMap::uniform(count), next_sequence_number: 0 }
    }

    /// One PutRecords call that reached the service at `now`.
    ///
    /// # Errors
    /// When the call as a whole is refused and nothing is stored.
    pub fn put_records(
        &mut self,
        _now: Timestamp,
        entries: &[PutEntry<'_>],
    ) -> Result<Vec<EntryReply>, Refusal> {
        let replies = entries.iter().map(|entry| {
            self.next_sequence_number += 1;
            let key = entry
                .explicit_hash_key
                .unwrap_or_else(|| HashKey::of_partition_key(entry.partition_key.unwrap_or_default()));
            EntryReply::Stored {
                shard_id: self.map.shards()[self.map.index_of(key)].id.clone(),
                sequence_number: SequenceNumber::new(&self.next_sequence_number.to_string()),
            }
        });
        Ok(replies.collect())
    }

    /// What a producer that asks now learns of the stream.
    #[must_use]
    pub fn shard_map(&self) -> ShardMap {
        self.map.clone()
    }

    /// Splits a shard at the middle of its range.
    ///
    /// # Errors
    /// When it cannot be done.
    pub fn split(&mut self, _now: Timestamp, _shard: &ShardId) -> Result<(), ReshardError> {
        Err(ReshardError)
    }

    /// Merges two neighbours.
    ///
    /// # Errors
    /// When it cannot be done.
    pub fn merge(&mut self, _now: Timestamp, _left: &ShardId, _right: &ShardId) -> Result<(), ReshardError> {
        Err(ReshardError)
    }

    /// Splits or merges, step by step, until so many shards are open.
    ///
    /// # Errors
    /// When it cannot be done.
    pub fn set_shard_count(&mut self, _now: Timestamp, _count: u32) -> Result<(), ReshardError> {
        Err(ReshardError)
    }

    /// When the service wants [`handle_timeout`](Self::handle_timeout) called for what it does by itself: steps of a
    /// reshard, on-demand scaling.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        None
    }

    /// Does what is due by `now`.
    pub fn handle_timeout(&mut self, _now: Timestamp) {}

    /// The open shards in the order of their hash keys, with their counters.
    pub fn open_shards(&self) -> impl Iterator<Item = OpenShard<'_>> {
        self.map.shards().iter().map(|shard| OpenShard {
            id: &shard.id,
            first: shard.first,
            last: shard.last,
            records_accepted: 0,
            bytes_accepted: 0,
            records_throttled: 0,
        })
    }

    /// What goes wrong from now on.
    pub fn set_faults(&mut self, _faults: ServiceFaults) {}
}

/// How a stream is made.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServiceOptions {
    /// Open shards at the start.
    pub shards: u32,
    /// How much of each limit may go at once, in time's worth.
    pub burst: Duration,
    /// How the stream scales.
    pub mode: StreamMode,
}

impl Default for ServiceOptions {
    fn default() -> Self {
        Self { shards: 4, burst: Duration::from_secs(1), mode: StreamMode::Provisioned }
    }
}

/// How a stream scales.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StreamMode {
    /// As its owner says.
    Provisioned,
    /// Hot shards split by themselves.
    OnDemand,
}

/// What goes wrong inside the service, in cases out of a million.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServiceFaults {
    /// An entry fails with `InternalFailure`.
    pub internal_failure: u32,
    /// An entry is throttled though its shard has room.
    pub throttle: u32,
    /// An entry fails with a code nobody has heard of.
    pub unknown_code: u32,
    /// An entry fails with a KMS code that is permanent.
    pub kms: u32,
}

/// One entry of a PutRecords call.
#[derive(Clone, Copy)]
pub struct PutEntry<'a> {
    /// The payload.
    pub data: &'a [u8],
    /// The partition key, if there is one.
    pub partition_key: Option<&'a str>,
    /// The explicit hash key, if there is one.
    pub explicit_hash_key: Option<HashKey>,
}

impl std::fmt::Debug for PutEntry<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PutEntry({} B)", self.data.len() + self.partition_key.map_or(0, str::len))
    }
}

/// What the service says of one entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryReply {
    /// It is stored.
    Stored {
        /// Where.
        shard_id: ShardId,
        /// Its number there.
        sequence_number: SequenceNumber,
    },
    /// It is not, for the reason that this code gives.
    Failed(&'static str),
}

/// Why a whole call was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// Something in it is not as the service wants it.
    Validation,
    /// There is no such stream.
    ResourceNotFound,
    /// Not permitted.
    AccessDenied,
    /// Too many calls.
    LimitExceeded,
    /// The service failed.
    InternalFailure,
}

impl Refusal {
    /// The HTTP status and the error code that the service answers with.
    #[must_use]
    pub fn status_and_code(&self) -> (u16, &'static str) {
        match self {
            Self::Validation => (400, "ValidationException"),
            Self::ResourceNotFound => (400, "ResourceNotFoundException"),
            Self::AccessDenied => (400, "AccessDeniedException"),
            Self::LimitExceeded => (400, "LimitExceededException"),
            Self::InternalFailure => (500, "InternalFailure"),
        }
    }
}

/// A reshard that cannot be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReshardError;

/// An open shard and what it has done.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct OpenShard<'a> {
    /// Its name.
    pub id: &'a ShardId,
    /// The lowest hash key it owns.
    pub first: HashKey,
    /// The highest hash key it owns.
    pub last: HashKey,
    /// Kinesis records it stored.
    pub records_accepted: u64,
    /// Bytes it stored.
    pub bytes_accepted: u64,
    /// Entries it refused for its limits.
    pub records_throttled: u64,
}
