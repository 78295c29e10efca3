//! A producer over a stream without a network, and a strict reader of what it exposes.

#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]

#[path = "../../examples/support/fake_kinesis.rs"]
pub mod fake_kinesis;
pub mod openmetrics;

use std::sync::Arc;
use std::time::Duration;

use kinesis_batcher_driver::{Config, ConfigBuilder, Producer, Record, ShardLimit};
use kinesis_batcher_tokio::TokioRuntime;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

use fake_kinesis::{Behaviour, FakeKinesis, map};

/// A producer without limits of its own and without linger over a stream of so many shards.
pub fn producer(shards: u32, behaviour: Behaviour) -> (Producer, Arc<FakeKinesis>) {
    producer_with(shards, behaviour, |config| config.shard_limit(ShardLimit::Off).linger(Duration::ZERO))
}

pub fn producer_with(
    shards: u32,
    behaviour: Behaviour,
    settings: impl FnOnce(ConfigBuilder) -> ConfigBuilder,
) -> (Producer, Arc<FakeKinesis>) {
    let stream = Arc::new(FakeKinesis::new(shards, behaviour));
    let config = settings(Config::builder()).build().expect("a test's settings are valid");
    let runtime = Arc::new(TokioRuntime::current().expect("tests run on tokio"));
    let producer = Producer::builder().config(config).start(runtime, Arc::clone(&stream) as _, map(shards));
    (producer, stream)
}

pub fn record(number: u64) -> Record {
    Record::new(format!("key-{number}"), format!("data {number}")).expect("a test's record is valid")
}

pub fn scrape(registry: &Registry) -> String {
    let mut text = String::new();
    encode(&mut text, registry).expect("a string takes whatever is written");
    text
}
