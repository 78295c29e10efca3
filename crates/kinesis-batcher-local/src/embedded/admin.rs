//! Creating and resharding streams, done when the change is in force.

use std::time::Duration;

use ferrokinesis::actions::Operation;
use ferrokinesis::types::{Shard, StreamStatus};
use serde_json::json;

use super::{EmbeddedError, EmbeddedKinesis};
use crate::ShardDescription;

impl EmbeddedKinesis {
    /// Creates a stream and waits until it is ACTIVE.
    ///
    /// # Errors
    /// A name that is taken or not made of 1–128 of `[a-zA-Z0-9_.-]`; no shards, or more than a million.
    pub async fn create_stream(&self, name: &str, shards: u32) -> Result<(), EmbeddedError> {
        self.execute(Operation::CreateStream, json!({ "StreamName": name, "ShardCount": shards })).await?;
        self.wait_until_active(name).await
    }

    /// Every shard of a stream, closed ones included, oldest first.
    ///
    /// # Errors
    /// No such stream.
    pub async fn shards(&self, stream: &str) -> Result<Vec<ShardDescription>, EmbeddedError> {
        Ok(self.store.get_stream(stream).await?.shards.iter().map(describe).collect())
    }

    /// Splits an open shard in the middle of its range and returns the ids of its two children, the lower first.
    ///
    /// # Errors
    /// No such stream or open shard, or a shard of fewer than four hash keys.
    pub async fn split_shard(&self, stream: &str, shard_id: &str) -> Result<[String; 2], EmbeddedError> {
        let shard = self.open_shard(stream, shard_id).await?;
        let middle = shard.starting_hash_key + (shard.ending_hash_key - shard.starting_hash_key) / 2 + 1;
        let input = json!({
            "StreamName": stream, "ShardToSplit": shard_id, "NewStartingHashKey": middle.to_string(),
        });
        let children = self.reshard(stream, Operation::SplitShard, input).await?;
        children.try_into().map_err(|_| unexpected_children(stream))
    }

    /// Merges two open shards into one and returns its id. The second range begins where the first ends.
    ///
    /// # Errors
    /// No such stream or open shards, or shards that are not neighbours in this order.
    pub async fn merge_shards(
        &self,
        stream: &str,
        lower: &str,
        upper: &str,
    ) -> Result<String, EmbeddedError> {
        self.open_shard(stream, lower).await?;
        self.open_shard(stream, upper).await?;
        let input = json!({ "StreamName": stream, "ShardToMerge": lower, "AdjacentShardToMerge": upper });
        let mut children = self.reshard(stream, Operation::MergeShards, input).await?;
        children.pop().ok_or_else(|| unexpected_children(stream))
    }

    /// Replaces the open shards by this many of equal size and returns their ids.
    ///
    /// # Errors
    /// No such stream, a count of zero, or the count that the stream has already.
    pub async fn update_shard_count(&self, stream: &str, shards: u32) -> Result<Vec<String>, EmbeddedError> {
        let input =
            json!({ "StreamName": stream, "TargetShardCount": shards, "ScalingType": "UNIFORM_SCALING" });
        self.reshard(stream, Operation::UpdateShardCount, input).await
    }

    async fn reshard(
        &self,
        stream: &str,
        operation: Operation,
        input: serde_json::Value,
    ) -> Result<Vec<String>, EmbeddedError> {
        let known = self.shards(stream).await?.len();
        self.execute(operation, input).await?;
        self.wait_until_active(stream).await?;
        let shards = self.shards(stream).await?;
        Ok(shards.into_iter().skip(known).filter(|shard| shard.open).map(|shard| shard.shard_id).collect())
    }

    /// The emulator would split or merge a closed shard a second time; the service does not.
    async fn open_shard(&self, stream: &str, shard_id: &str) -> Result<ShardDescription, EmbeddedError> {
        let shards = self.shards(stream).await?;
        shards.into_iter().find(|shard| shard.open && shard.shard_id == shard_id).ok_or_else(|| {
            EmbeddedError::Service {
                code: "ResourceNotFoundException".to_owned(),
                message: format!("Stream {stream} has no open shard {shard_id}."),
            }
        })
    }

    async fn wait_until_active(&self, stream: &str) -> Result<(), EmbeddedError> {
        let store = self.store.clone();
        let name = stream.to_owned();
        let active = self.server.runtime().spawn(async move {
            // The emulator has nothing to wait on. It is done after one turn of its event loop, so yielding is enough
            // and the pause is for the case that it is not.
            for attempt in 0..ACTIVE_ATTEMPTS {
                if store.get_stream(&name).await?.stream_status == StreamStatus::Active {
                    return Ok(());
                }
                if attempt < 10 {
                    tokio::task::yield_now().await;
                } else {
                    tokio::time::sleep(ACTIVE_PAUSE).await;
                }
            }
            Err(EmbeddedError::NotActive { stream: name })
        });
        active.await.map_err(|_| EmbeddedError::Stopped)?
    }
}

fn describe(shard: &Shard) -> ShardDescription {
    ShardDescription {
        shard_id: shard.shard_id.clone(),
        starting_hash_key: shard.hash_key_range.start_u128(),
        ending_hash_key: shard.hash_key_range.end_u128(),
        parent_shard_id: shard.parent_shard_id.clone(),
        adjacent_parent_shard_id: shard.adjacent_parent_shard_id.clone(),
        open: shard.sequence_number_range.ending_sequence_number.is_none(),
    }
}

fn unexpected_children(stream: &str) -> EmbeddedError {
    EmbeddedError::Service {
        code: "InternalFailure".to_owned(),
        message: format!("Stream {stream} was resharded by somebody else at the same time."),
    }
}

const ACTIVE_PAUSE: Duration = Duration::from_millis(2);

/// 10 s of pauses.
const ACTIVE_ATTEMPTS: u32 = 5_000;
