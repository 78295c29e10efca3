//! What the same producer costs on each runtime, and whether a thousand senders are served alike.
//!
//! `cargo bench -p kinesis-batcher-conformance --bench runtimes [-- RECORDS]`
//!
//! All send the same records over HTTP to the same server, which is a process of its own, so that the figures are the
//! client's alone: CPU time of this process, user and system, from `/proc/self/stat`. Each runtime has two threads, and
//! a third that fills the buffer. They take turns, and what counts on a noisy machine is the ratio of their medians.

#![allow(clippy::print_stdout, reason = "a bench prints its figures")]

#[path = "../../kinesis-batcher-tokio/benches/common/mod.rs"]
mod common;

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{FastServer, cpu_time};
use kinesis_batcher_async_std::AsyncIoRuntime;
use kinesis_batcher_driver::{Bytes, Config, ConfigBuilder, Producer, Record, ShardLimit};
use kinesis_batcher_tokio::Credentials;

const PAYLOAD: [u8; 100] = [b'x'; 100];
const ROUNDS: usize = 5;
const REQUEST_RECORDS: u64 = 500;
/// As many as sixteen full requests, the producer's own default, hold.
const BUFFER_RECORDS: usize = 8_000;
const SENDERS: usize = 1_000;
const RECORDS_EACH: usize = 100;

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

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
    let runtimes: [Box<dyn OnRuntime>; 3] =
        [Box::new(Tokio::start()), Box::new(AsyncStd), Box::new(Smol::start())];
    let mut rounds = [const { Vec::new() }; 3];
    // The first round warms up connections and allocator and does not count.
    for round in 0..=ROUNDS {
        for (runtime, costs) in runtimes.iter().zip(&mut rounds) {
            let producer = runtime.connect(&server.plain_url, config(BUFFER_RECORDS));
            let cost = measure(records, || runtime.block_on(Box::pin(send(producer, records))));
            if round > 0 {
                costs.push(cost);
            }
        }
    }
    println!("{records} records of {} B, 22-byte keys, {ROUNDS} rounds, medians", PAYLOAD.len());
    println!("{:<12} {:>14} {:>12} {:>10}", "", "CPU ns/record", "records/s", "of tokio's");
    let mut unit = None;
    for (runtime, costs) in runtimes.iter().zip(&mut rounds) {
        let cpu = median(costs, |cost| cost.cpu_nanos);
        let rate = 1e9 / median(costs, |cost| cost.wall_nanos);
        println!(
            "{:<12} {cpu:>14.0} {rate:>12.0} {:>9.0}%",
            runtime.name(),
            100.0 * rate / *unit.get_or_insert(rate)
        );
    }
    println!();
    println!("{SENDERS} senders of {RECORDS_EACH} records each, room for 500, {ROUNDS} rounds, medians");
    println!("{:<12} {:>14} {:>12} {:>10}", "", "median", "slowest", "ratio");
    for runtime in &runtimes {
        let mut times: Vec<_> = (0..ROUNDS).map(|_| senders(&**runtime, &server.plain_url)).collect();
        times.sort_by(|left, right| {
            left.1.div_duration_f64(left.0).total_cmp(&right.1.div_duration_f64(right.0))
        });
        let (median, slowest) = times[ROUNDS / 2];
        println!(
            "{:<12} {median:>14.1?} {slowest:>12.1?} {:>10.2}",
            runtime.name(),
            slowest.div_duration_f64(median)
        );
    }
}

fn config(buffer_records_max: usize) -> ConfigBuilder {
    Config::builder().shard_limit(ShardLimit::Off).buffer_records_max(buffer_records_max)
}

async fn send(producer: Producer, records: u64) {
    for first in (0..records).step_by(REQUEST_RECORDS as usize) {
        let batch = (first..records.min(first + REQUEST_RECORDS)).map(record);
        producer.send_all(batch).await.expect("the producer is open");
    }
    let report = producer.close(Duration::from_secs(60)).await;
    assert_eq!(report.delivered, records);
}

fn record(number: u64) -> Record {
    let key = format!("customer-{number:013}");
    Record::new(key, Bytes::copy_from_slice(&PAYLOAD)).expect("a valid record")
}

/// How long the median sender took, and the slowest.
fn senders(runtime: &dyn OnRuntime, url: &str) -> (Duration, Duration) {
    // The buffer is never full of full requests, so it is the linger that sends them.
    let producer = runtime.connect(url, config(500).linger(Duration::from_millis(5)));
    let (tell, told) = std::sync::mpsc::channel();
    let (go, gate) = futures::channel::oneshot::channel::<Instant>();
    let gate = futures::FutureExt::shared(gate);
    for sender in 0..SENDERS {
        let (producer, tell, gate) = (producer.clone(), tell.clone(), gate.clone());
        runtime.spawn(Box::pin(async move {
            let start = gate.await.expect("the gate opens");
            for number in 0..RECORDS_EACH {
                let record = record((sender * RECORDS_EACH + number) as u64);
                drop(producer.send(record).await.expect("the producer is open"));
            }
            tell.send(start.elapsed()).expect("somebody listens");
        }));
    }
    drop(tell);
    go.send(Instant::now()).expect("the senders wait");
    let mut times: Vec<Duration> = told.iter().collect();
    times.sort_unstable();
    assert_eq!(times.len(), SENDERS);
    let closing = Box::pin(async move { drop(producer.close(Duration::from_secs(60)).await) });
    runtime.block_on(closing);
    (times[SENDERS / 2], times[SENDERS - 1])
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

fn median(costs: &mut [Cost], figure: impl Fn(&Cost) -> f64) -> f64 {
    costs.sort_by(|left, right| figure(left).total_cmp(&figure(right)));
    figure(&costs[costs.len() / 2])
}

/// A runtime with two threads.
trait OnRuntime {
    fn name(&self) -> &'static str;
    fn block_on(&self, task: Task);
    fn spawn(&self, task: Task);
    fn connect(&self, url: &str, config: ConfigBuilder) -> Producer;
}

struct Tokio(tokio::runtime::Runtime);

impl Tokio {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        Self(runtime.expect("a runtime starts"))
    }
}

impl OnRuntime for Tokio {
    fn name(&self) -> &'static str {
        "tokio"
    }

    fn block_on(&self, task: Task) {
        self.0.block_on(task);
    }

    fn spawn(&self, task: Task) {
        drop(self.0.spawn(task));
    }

    fn connect(&self, url: &str, config: ConfigBuilder) -> Producer {
        let builder = kinesis_batcher_tokio::Producer::builder("fast").endpoint_url(url).region("us-east-1");
        let builder = builder.credentials(credentials()).config(config.build().expect("valid settings"));
        self.0.block_on(builder.connect()).expect("the server answers").into()
    }
}

/// Its executor has as many threads as the machine has cores.
struct AsyncStd;

impl OnRuntime for AsyncStd {
    fn name(&self) -> &'static str {
        "async-std"
    }

    fn block_on(&self, task: Task) {
        async_std::task::block_on(task);
    }

    fn spawn(&self, task: Task) {
        drop(async_std::task::spawn(task));
    }

    fn connect(&self, url: &str, config: ConfigBuilder) -> Producer {
        async_std::task::block_on(connect(AsyncIoRuntime::global(), url, config))
    }
}

/// smol's executor, on two threads: `smol::spawn` has one unless `SMOL_THREADS` says otherwise.
struct Smol(Arc<smol::Executor<'static>>);

impl Smol {
    fn start() -> Self {
        let executor = Arc::new(smol::Executor::new());
        for _ in 0..2 {
            let executor = Arc::clone(&executor);
            std::thread::spawn(move || smol::block_on(executor.run(std::future::pending::<()>())));
        }
        Self(executor)
    }
}

impl OnRuntime for Smol {
    fn name(&self) -> &'static str {
        "smol"
    }

    fn block_on(&self, task: Task) {
        smol::block_on(task);
    }

    fn spawn(&self, task: Task) {
        self.0.spawn(task).detach();
    }

    fn connect(&self, url: &str, config: ConfigBuilder) -> Producer {
        smol::block_on(connect(AsyncIoRuntime::on(&self.0), url, config))
    }
}

async fn connect(runtime: AsyncIoRuntime, url: &str, config: ConfigBuilder) -> Producer {
    let builder = kinesis_batcher_async_std::Producer::builder("fast").runtime(runtime).endpoint_url(url);
    let builder = builder.region("us-east-1").credentials(credentials());
    let builder = builder.config(config.build().expect("valid settings"));
    builder.connect().await.expect("the server answers").into()
}

fn credentials() -> Credentials {
    Credentials::new("access", "secret", None, None, "bench")
}
