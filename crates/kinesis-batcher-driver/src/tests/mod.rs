//! The driver on a runtime whose clock jumps and a transport that does what it is told.

mod chaos;
mod ending;
mod executor;
mod failing;
mod fairness;
mod mock;
mod refreshing;
mod room;
mod sending;
mod telling;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use kinesis_batcher_core::{Config, ConfigBuilder, Record, ShardLimit, ShardMap};

use executor::TestRuntime;
use mock::{Answer, MockTransport};

use crate::{Producer, ProducerBuilder};

const MILLI: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// A runtime, a transport that answers after a millisecond, and a producer over both.
struct World {
    runtime: TestRuntime,
    transport: Arc<MockTransport>,
    producer: Producer,
}

fn world(config: ConfigBuilder) -> World {
    world_with(config, |builder| builder)
}

fn world_with(config: ConfigBuilder, settings: impl FnOnce(ProducerBuilder) -> ProducerBuilder) -> World {
    let runtime = TestRuntime::new();
    let transport = Arc::new(MockTransport::new(&runtime, shards(4), |_, _| Answer::Stored.after(MILLI)));
    let builder = settings(Producer::builder().config(config.build().unwrap()));
    let producer = builder.start(Arc::new(runtime.clone()), transport.clone(), shards(4));
    World { runtime, transport, producer }
}

/// Requests at once, and no limits of ours.
fn eager() -> ConfigBuilder {
    Config::builder().linger(Duration::ZERO).shard_limit(ShardLimit::Off)
}

fn shards(count: u32) -> ShardMap {
    ShardMap::uniform(NonZeroU32::new(count).unwrap())
}

/// A record whose key and data are both this number.
fn record(number: u64) -> Record {
    Record::new(number.to_string(), number.to_string()).unwrap()
}

/// A record for the `index`th of four shards.
fn record_for_shard(index: u128, data: &str) -> Record {
    let hash_key = kinesis_batcher_core::HashKey::new(u128::MAX / 8 + u128::MAX / 4 * index);
    Record::new("key", data.to_owned()).unwrap().with_explicit_hash_key(hash_key)
}
