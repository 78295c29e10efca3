//! The emulator's store, and the order in which requests may touch it.

use std::sync::Arc;
use std::time::Duration;

use ferrokinesis::actions::{Operation, dispatch};
use ferrokinesis::constants::{INVALID_ARGUMENT, RESOURCE_IN_USE, RESOURCE_NOT_FOUND};
use ferrokinesis::error::KinesisErrorResponse;
use ferrokinesis::store::Store;
use ferrokinesis::types::StreamStatus;
use ferrokinesis::util::current_time_ms;
use ferrokinesis::validation;
use serde_json::{Value, json};
use tokio::sync::RwLock;

use super::reshard::{is_open, update_shard_count};

/// ferrokinesis' store with what a reader relies on: a page of records never overtakes an earlier one, and a shard that
/// is seen closed holds all its records.
///
/// ferrokinesis assigns sequence numbers first and stores the records later. It can be interrupted in between, and then
/// a reader misses them. Therefore writes and changes of shards hold `order` exclusively, and readers share it.
#[derive(Clone)]
pub(super) struct Emulator {
    pub(super) store: Store,
    pub(super) order: Arc<RwLock<()>>,
}

/// A refusal, as ferrokinesis has it.
pub(super) type Refusal = KinesisErrorResponse;

impl Emulator {
    pub(super) fn new(store: Store) -> Self {
        Self { store, order: Arc::default() }
    }

    /// Does what a request for an operation on streams does, validation included. A change of shards is in force when
    /// this returns.
    pub(super) async fn execute(&self, operation: Operation, input: &Value) -> Result<Value, Refusal> {
        let input = validated(operation, input)?;
        let _order = self.order.write().await;
        match operation {
            Operation::UpdateShardCount => self.update_shard_count(&input).await,
            Operation::SplitShard | Operation::MergeShards => {
                self.refuse_closed_shards(&input).await?;
                dispatch(&self.store, operation, input.clone()).await?;
                self.wait_until_settled(input["StreamName"].as_str().unwrap_or_default()).await;
                Ok(Value::Null)
            }
            _ => Ok(dispatch(&self.store, operation, input).await?.unwrap_or_default()),
        }
    }

    /// Changes the number of open shards at once. The caller holds the order exclusively.
    pub(super) async fn update_shard_count(&self, input: &Value) -> Result<Value, Refusal> {
        let name = self.store.resolve_stream_name(input)?;
        let target = input["TargetShardCount"].as_u64().and_then(|count| u32::try_from(count).ok());
        let target = target.filter(|&count| count > 0).ok_or_else(|| {
            Refusal::client_error(INVALID_ARGUMENT, Some("TargetShardCount has to be at least 1."))
        })?;
        let now = current_time_ms();
        let (current, arn) = self
            .store
            .update_stream(&name, |stream| {
                if stream.stream_status != StreamStatus::Active {
                    let message = format!("Stream {name} is not ACTIVE.");
                    return Err(Refusal::client_error(RESOURCE_IN_USE, Some(&message)));
                }
                let current = stream.shards.iter().filter(|shard| is_open(shard)).count();
                if current == target as usize {
                    let message = format!("Stream {name} has {current} open shards already.");
                    return Err(Refusal::client_error(INVALID_ARGUMENT, Some(&message)));
                }
                update_shard_count(&mut stream.shards, target, now);
                Ok((current, stream.stream_arn.clone()))
            })
            .await?;
        Ok(json!({
            "StreamName": name, "StreamARN": arn, "CurrentShardCount": current, "TargetShardCount": target,
        }))
    }

    /// Refuses to split or merge a closed shard, which ferrokinesis would do a second time.
    pub(super) async fn refuse_closed_shards(&self, input: &Value) -> Result<(), Refusal> {
        let name = input["StreamName"].as_str().unwrap_or_default();
        let stream = self.store.get_stream(name).await?;
        for field in ["ShardToSplit", "ShardToMerge", "AdjacentShardToMerge"] {
            let Some(id) = input[field].as_str() else { continue };
            let closed = |shard: &&ferrokinesis::types::Shard| shard.shard_id == id && !is_open(shard);
            if stream.shards.iter().any(|shard| closed(&shard)) {
                let message = format!("Stream {name} has no open shard {id}.");
                return Err(Refusal::client_error(RESOURCE_NOT_FOUND, Some(&message)));
            }
        }
        Ok(())
    }

    /// Waits until a stream that was created or changed is ACTIVE, or gone; false where it is neither after 10 s.
    ///
    /// Runs on the server's runtime. ferrokinesis has nothing to wait on. It is done after one turn of the event loop,
    /// so yielding is enough, and the pause is for the case that it is not.
    pub(super) async fn wait_until_settled(&self, name: &str) -> bool {
        for attempt in 0..SETTLE_ATTEMPTS {
            match self.store.get_stream(name).await {
                Ok(stream) if stream.stream_status != StreamStatus::Active => {}
                _ => return true,
            }
            if attempt < 10 {
                tokio::task::yield_now().await;
            } else {
                tokio::time::sleep(SETTLE_PAUSE).await;
            }
        }
        false
    }
}

/// An operation's input as ferrokinesis takes it: checked, and without fields that it does not know.
pub(super) fn validated(operation: Operation, input: &Value) -> Result<Value, Refusal> {
    let rules = operation.validation_rules();
    let fields: Vec<_> = rules.iter().map(|(name, field)| (*name, field)).collect();
    let input = validation::check_types(input, &fields)?;
    validation::check_validations(&input, &fields, None)?;
    Ok(input)
}

const SETTLE_PAUSE: Duration = Duration::from_millis(2);

/// 10 s of pauses.
const SETTLE_ATTEMPTS: u32 = 5_000;
