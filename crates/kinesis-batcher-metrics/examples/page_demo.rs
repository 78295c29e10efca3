//! The status page of a producer under load, without AWS.
//!
//! ```sh
//! cargo run --package kinesis-batcher-metrics --example page_demo -- [SHARDS] [ADDRESS]
//! ```
//!
//! Four shards unless said otherwise, at <http://127.0.0.1:9464>. One of them, or one of a thousand, is sent more than it takes,
//! because others write to it too. The stream is one of this program's own.

#![allow(clippy::print_stdout, reason = "it is what a program is for")]

#[path = "support/fake_kinesis.rs"]
mod fake_kinesis;

use std::sync::Arc;
use std::time::Duration;

use fake_kinesis::{Behaviour, FakeKinesis, map};
use kinesis_batcher_metrics::{ListenAddress, ServeOptions, StatusOptions, router, serve};
use kinesis_batcher_tokio::{Config, HashKey, Record, ShardLimit, TokioRuntime};

type Producer = kinesis_batcher_driver::Producer;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let shards: u32 = arguments.next().map_or(Ok(4), |text| text.parse())?;
    let address: ListenAddress = arguments.next().as_deref().unwrap_or("9464").parse()?;
    let hot_shard = shards * 2 / 3;
    // Shards by the thousand get a smaller share each, or one machine could not fill them.
    let percent: u16 = if shards > 100 { 1 } else { 100 };
    let limit = u64::from(percent) * 10;

    let behaviour = Behaviour {
        latency: (Duration::from_millis(15), Duration::from_millis(60)),
        records_per_second: limit,
        hot: Some((hot_shard as usize, limit * 6 / 10)),
        failing_requests: 8,
        refused_records: 0,
        refusal: None,
    };
    let stream = Arc::new(FakeKinesis::new(shards, behaviour));
    let config = Config::builder().shard_limit(ShardLimit::Percent(percent)).build()?;
    let runtime = Arc::new(TokioRuntime::current()?);
    let producer = Producer::builder().config(config).start(runtime, stream, map(shards));

    let load = tokio::spawn(load(producer.clone(), shards, hot_shard, limit as f64));
    let listener = tokio::net::TcpListener::bind(address.socket_addr()).await?;
    println!("http://{}", listener.local_addr()?);
    let page = router(&producer, StatusOptions::default().stream("orders"));
    let stop = async { drop(tokio::signal::ctrl_c().await) };
    serve(listener, page, ServeOptions::default(), stop).await;
    load.abort();
    producer.close(Duration::from_secs(1)).await;
    Ok(())
}

/// Sends to each shard a share of its limit that goes up and down, and to hot ones more than all of it.
async fn load(producer: Producer, shards: u32, hot_shard: u32, limit: f64) {
    let mut due = vec![0.0; shards as usize];
    let mut tick = tokio::time::interval(TICK);
    let mut seconds = 0.0;
    loop {
        tick.tick().await;
        seconds += TICK.as_secs_f64();
        for shard in 0..shards {
            let own = f64::from(shard.wrapping_mul(2_654_435_761) >> 8) / f64::from(1 << 24);
            let wave = (seconds / 40.0 + own * 6.0).sin() * 0.12;
            let is_hot = shard == hot_shard || shard % 1_000 == 333;
            let share = if is_hot { 1.15 } else { 0.15 + 0.55 * own + wave };
            let due = &mut due[shard as usize];
            *due += share * limit * TICK.as_secs_f64();
            while *due >= 1.0 {
                *due -= 1.0;
                let key = HashKey::new(u128::MAX / u128::from(shards) * u128::from(shard) + 7);
                let record = Record::new("key", vec![b'x'; PAYLOAD]).expect("a small record is valid");
                // What finds no room is of no further use here.
                drop(producer.try_send_and_forget(record.with_explicit_hash_key(key)));
            }
        }
    }
}

const TICK: Duration = Duration::from_millis(20);
/// A quarter of what a shard takes in bytes, when it takes all it can in records.
const PAYLOAD: usize = 256;
