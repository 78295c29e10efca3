//! What it costs a producer to be watched: the same records with nobody looking and with a scrape, and a look at all of
//! `/api/stats`, ten times a second, which is ten times as often as the page looks and 150 times as often as Prometheus
//! does unless told otherwise.
//!
//! `cargo bench -p kinesis-batcher-metrics --bench cost [-- ROUNDS]` (Linux only)
//!
//! The producer runs over a transport that stores nothing and answers at once, so that there is little else to hide the
//! cost. CPU time is this process's; the two take turns, and what counts is the median of the rounds' ratios. Counting by
//! itself cannot be switched off; it is in both.

#![allow(clippy::print_stdout, missing_docs, reason = "a bench prints its figures")]

#[path = "../tests/common/mod.rs"]
mod common;

use std::hint::black_box;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use common::scrape;
use kinesis_batcher_driver::{Config, Producer, ShardLimit, ShardMap};
use kinesis_batcher_metrics::ProducerCollector;
use kinesis_batcher_tokio::{
    BoxFuture, Bytes, DescribeError, HashKey, PutRecords, Record, RecordOutcome, RequestError, Response,
    ShardId, TokioRuntime, Transport,
};
use prometheus_client::registry::Registry;
use tokio::runtime::Runtime;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let is_bench = arguments.iter().any(|argument| argument == "--bench");
    let rounds = arguments.iter().find_map(|argument| argument.parse().ok()).unwrap_or(ROUNDS);
    // `cargo test --benches` only wants to see it work.
    if is_bench { compare(rounds, RECORDS) } else { compare(1, 10_000) }
}

fn compare(rounds: usize, records: usize) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime starts");
    println!("{rounds} rounds of {records} records, medians");
    println!("{:>8} {:>20} {:>20} {:>8}", "shards", "ns/record, alone", "ns/record, watched", "ratio");
    for shards in [16, 1_000] {
        let (mut alone, mut watched, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        // The first round warms up and does not count.
        for round in 0..=rounds {
            let (without, with) =
                (run(&runtime, shards, records, false), run(&runtime, shards, records, true));
            if round > 0 {
                alone.push(without);
                watched.push(with);
                ratios.push(with / without);
            }
        }
        println!("{shards:>8} {:>20.0} {:>20.0} {:>8.3}", median(alone), median(watched), median(ratios));
    }
}

/// CPU nanoseconds a record.
fn run(runtime: &Runtime, shards: u32, records: usize, is_watched: bool) -> f64 {
    let config = Config::builder().shard_limit(ShardLimit::Off).buffer_records_max(8_000);
    let config = config.build().expect("the settings are valid");
    let tokio = Arc::new(TokioRuntime::new(runtime.handle().clone()));
    let producer =
        Producer::builder().config(config).start(tokio, Arc::new(Nowhere::new(shards)), map(shards));
    let (stop, stopped) = channel::<()>();
    std::thread::scope(|scope| {
        if is_watched {
            let mut registry = Registry::default();
            registry.register_collector(Box::new(ProducerCollector::new(&producer)));
            let producer = &producer;
            scope.spawn(move || {
                while stopped.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
                    black_box((scrape(&registry).len(), producer.snapshot()));
                }
            });
        }
        let before = cpu_time();
        runtime.block_on(send(&producer, shards, records));
        let cpu = cpu_time() - before;
        drop(stop);
        let report = runtime.block_on(producer.close(Duration::from_secs(60)));
        assert_eq!(report.delivered, records as u64, "every record is delivered");
        cpu.as_nanos() as f64 / records as f64
    })
}

async fn send(producer: &Producer, shards: u32, records: usize) {
    let data = Bytes::from_static(&[b'x'; 100]);
    let step = u128::MAX / u128::from(shards);
    let mut number = 0;
    while number < records {
        let batch = 500.min(records - number);
        let of_batch = (number..number + batch).map(|number| {
            let key = HashKey::new(step * (number as u128 % u128::from(shards)) + 9);
            Record::new(KEYS[number % KEYS.len()], data.clone())
                .expect("the record is valid")
                .with_explicit_hash_key(key)
        });
        producer.send_all(of_batch).await.expect("the producer is open");
        number += batch;
    }
    producer.flush().await.expect("the runtime lives");
}

/// Takes every record at once.
struct Nowhere {
    map: ShardMap,
}

impl Nowhere {
    fn new(shards: u32) -> Self {
        Self { map: map(shards) }
    }

    fn shard_of(&self, key: Option<HashKey>) -> ShardId {
        self.map.shards()[self.map.index_of(key.unwrap_or(HashKey::MIN))].id.clone()
    }
}

impl Transport for Nowhere {
    fn put_records<'a>(&'a self, request: &'a PutRecords) -> BoxFuture<'a, Result<Response, RequestError>> {
        let stored =
            |key| RecordOutcome::Stored { shard_id: self.shard_of(key), sequence_number: "1".into() };
        let outcomes = request.records().map(|record| stored(record.explicit_hash_key()));
        let response = Response::new(outcomes.collect());
        Box::pin(std::future::ready(Ok(response)))
    }

    fn describe(&self) -> BoxFuture<'_, Result<ShardMap, DescribeError>> {
        Box::pin(std::future::ready(Ok(self.map.clone())))
    }
}

fn map(shards: u32) -> ShardMap {
    ShardMap::uniform(NonZeroU32::new(shards).expect("a stream has a shard"))
}

/// Time on a processor of all threads that are there now, to the nanosecond.
fn cpu_time() -> Duration {
    let threads = std::fs::read_dir("/proc/self/task").expect("this bench runs on Linux");
    let nanos = threads.filter_map(|thread| {
        let text = std::fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanos.sum())
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

const ROUNDS: usize = 7;
const RECORDS: usize = 3_000_000;
const EVERY: Duration = Duration::from_millis(100);
const KEYS: [&str; 4] =
    ["customer-0000000000001", "customer-0000000000002", "customer-0000000000003", "customer-4"];
