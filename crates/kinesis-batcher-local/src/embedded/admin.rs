//! Creating and resharding streams, done when the change is in force.

use ferrokinesis::actions::Operation;
use ferrokinesis::types::Shard;
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
        Ok(self.emulator.store.get_stream(stream).await?.shards.iter().map(describe).collect())
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

    /// Splits and merges open shards until this many of equal size are open, and returns their ids, oldest first.
    ///
    /// A shard that has one of these ranges already stays open. Where ranges do not line up, short-lived shards are
    /// left behind closed and empty, as in the service.
    ///
    /// # Errors
    /// No such stream, a count of zero or more than 100,000, or the count that the stream has already.
    pub async fn update_shard_count(&self, stream: &str, shards: u32) -> Result<Vec<String>, EmbeddedError> {
        let input =
            json!({ "StreamName": stream, "TargetShardCount": shards, "ScalingType": "UNIFORM_SCALING" });
        self.execute(Operation::UpdateShardCount, input).await?;
        let shards = self.shards(stream).await?;
        Ok(shards.into_iter().filter(|shard| shard.open).map(|shard| shard.shard_id).collect())
    }

    async fn reshard(
        &self,
        stream: &str,
        operation: Operation,
        input: serde_json::Value,
    ) -> Result<Vec<String>, EmbeddedError> {
        let known = self.shards(stream).await?.len();
        self.execute(operation, input).await?;
        let shards = self.shards(stream).await?;
        Ok(shards.into_iter().skip(known).filter(|shard| shard.open).map(|shard| shard.shard_id).collect())
    }

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
        let (emulator, name) = (self.emulator.clone(), stream.to_owned());
        let settled = self.server.runtime().spawn(async move { emulator.wait_until_settled(&name).await });
        match settled.await {
            Ok(true) => Ok(()),
            Ok(false) => Err(EmbeddedError::NotActive { stream: stream.to_owned() }),
            Err(_) => Err(EmbeddedError::Stopped),
        }
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
        message: format!("Stream {stream} was resharded by another client at the same time."),
    }
}
