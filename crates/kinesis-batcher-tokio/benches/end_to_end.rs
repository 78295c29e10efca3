//! What a record costs from the program to the service and back: the producer beside a plain loop over the AWS SDK.
//!
//! `cargo bench -p kinesis-batcher-tokio --bench end_to_end [-- RECORDS]`
//!
//! The producer runs twice: with room for as many records as the loop holds at once, and with its default buffer. The
//! program makes records faster than they can be sent, so a large buffer is full of records that have left the
//! processor's caches by the time they are sent.
//!
//! All send the same records over HTTP to the same server, which routes, stores and answers at well under a
//! microsecond a record. The server is a process of its own, so that the figures are the client's alone: CPU time of
//! this process, user and system, from `/proc/self/stat`. They take turns, and the ratio of their medians is what
//! counts on a noisy machine.

#![allow(clippy::print_stdout, reason = "a bench prints its figures")]

mod common;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use common::{FastServer, cpu_time};
use kinesis_batcher_tokio::{Bytes, Completion, Config, Producer, Record, SdkConfig, ShardLimit};
use tokio::task::JoinSet;

const PAYLOAD: [u8; 100] = [b'x'; 100];
const ROUNDS: usize = 5;
/// As many as the producer's own default.
const REQUESTS_IN_FLIGHT: usize = 16;
const REQUEST_RECORDS: u64 = 500;
const HELD_BY_THE_LOOP: usize = REQUESTS_IN_FLIGHT * REQUEST_RECORDS as usize;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match &*arguments.iter().map(String::as_str).collect::<Vec<_>>() {
        ["--serve", authority_file] => FastServer::serve(Path::new(authority_file)),
        [records] => run(records.parse().expect("the argument is a number of records")),
        _ => run(500_000),
    }
}

fn run(records: u64) {
    let server = FastServer::start();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime starts");
    let config = runtime.block_on(server.sdk_config(&server.plain_url));
    let over_tls = runtime.block_on(server.sdk_config(&server.tls_url));
    let default_buffer = Config::default().buffer_records_max();
    let lines: [(&str, &dyn Fn()); 5] = [
        ("plain SDK loop", &|| runtime.block_on(plain_sdk(&config, records))),
        ("producer, 8,000 buffered", &|| runtime.block_on(producer(&config, records, HELD_BY_THE_LOOP))),
        ("producer, 200,000 buffered", &|| runtime.block_on(producer(&config, records, default_buffer))),
        ("SDK loop over TLS", &|| runtime.block_on(plain_sdk(&over_tls, records))),
        ("producer over TLS", &|| runtime.block_on(producer(&over_tls, records, default_buffer))),
    ];
    let mut costs = [const { Vec::new() }; 5];
    // The first round warms up connections and allocator and does not count.
    for round in 0..=ROUNDS {
        for ((_, line), costs) in lines.iter().zip(&mut costs) {
            let cost = measure(records, line);
            if round > 0 {
                costs.push(cost);
            }
        }
    }
    println!("{records} records of {} B, 22-byte keys, {ROUNDS} rounds, medians", PAYLOAD.len());
    println!("{:<28} {:>14} {:>12} {:>8}", "", "CPU ns/record", "records/s", "CPU");
    let mut unit = None;
    for ((name, _), costs) in lines.iter().zip(costs) {
        let cpu = report(name, costs, unit);
        unit = unit.or(Some(cpu));
    }
}

fn report(name: &str, mut rounds: Vec<Cost>, unit: Option<f64>) -> f64 {
    rounds.sort_by(|left, right| left.cpu_nanos.total_cmp(&right.cpu_nanos));
    let cpu = rounds[rounds.len() / 2].cpu_nanos;
    rounds.sort_by(|left, right| left.wall_nanos.total_cmp(&right.wall_nanos));
    let wall = rounds[rounds.len() / 2].wall_nanos;
    println!("{name:<28} {cpu:>14.0} {:>12.0} {:>7.2}x", 1e9 / wall, cpu / unit.unwrap_or(cpu));
    cpu
}

/// Nanoseconds a record.
struct Cost {
    cpu_nanos: f64,
    wall_nanos: f64,
}

fn measure(records: u64, run: impl FnOnce()) -> Cost {
    let (cpu, wall) = (cpu_time(), Instant::now());
    run();
    let nanos = |duration: Duration| duration.as_nanos() as f64 / records as f64;
    Cost { cpu_nanos: nanos(cpu_time() - cpu), wall_nanos: nanos(wall.elapsed()) }
}

/// The loop that everybody writes first: batches of 500, some in flight, no limits, no retries.
async fn plain_sdk(config: &SdkConfig, records: u64) {
    let client = Client::new(config);
    let mut requests = JoinSet::new();
    for first in (0..records).step_by(REQUEST_RECORDS as usize) {
        if requests.len() == REQUESTS_IN_FLIGHT {
            requests.join_next().await.expect("there are requests").expect("no request panics");
        }
        let entries = (first..records.min(first + REQUEST_RECORDS)).map(|number| {
            let entry = PutRecordsRequestEntry::builder().partition_key(key(number)).data(Blob::new(PAYLOAD));
            entry.build().expect("data is set")
        });
        let request = client.put_records().stream_name("fast").set_records(Some(entries.collect()));
        requests.spawn(async move {
            let reply = request.send().await.expect("the server answers");
            assert_eq!(reply.failed_record_count().unwrap_or_default(), 0);
        });
    }
    while let Some(request) = requests.join_next().await {
        request.expect("no request panics");
    }
}

async fn producer(sdk: &SdkConfig, records: u64, buffer_records_max: usize) {
    let delivered = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&delivered);
    let config = Config::builder().shard_limit(ShardLimit::Off).buffer_records_max(buffer_records_max);
    let config = config.build().expect("the settings are valid");
    let producer =
        Producer::builder("fast").sdk_config(sdk.clone()).config(config).on_completion(move |completion| {
            assert!(matches!(completion, Completion::Delivered { .. }), "nothing fails");
            counter.fetch_add(1, Ordering::Relaxed);
        });
    let producer = producer.connect().await.expect("the server answers");
    for first in (0..records).step_by(REQUEST_RECORDS as usize) {
        let batch = (first..records.min(first + REQUEST_RECORDS)).map(|number| {
            Record::new(key(number), Bytes::copy_from_slice(&PAYLOAD)).expect("a valid record")
        });
        producer.send_all(batch).await.expect("the producer is open");
    }
    let report = producer.close(Duration::from_secs(60)).await;
    assert_eq!((report.delivered, delivered.load(Ordering::Relaxed)), (records, records));
}

fn key(number: u64) -> String {
    format!("customer-{number:013}")
}
