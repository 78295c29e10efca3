//! What an outage of 30 s costs a producer whose buffer is full, and how soon it is over.
//!
//! `cargo bench -p kinesis-batcher-tokio --bench outage`
//!
//! Every request fails after 20 ms: with a failure of the service, and then with an error that says nothing about a
//! record and holds the producer. CPU time and memory are this process's own; the service is another process.

#![allow(clippy::print_stdout, reason = "a bench prints its figures")]

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::time::{Duration, Instant};

use common::{Server, cpu_time};
use kinesis_batcher_local::hostile::{Fault, HostileKinesis, HostileOptions, Operation, Rejection};
use kinesis_batcher_tokio::{Config, Credentials, Producer, Record, ShardLimit};

const OUTAGE: Duration = Duration::from_secs(30);
const RECORDS: usize = 100_000;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [first, code] = &arguments[..]
        && first == "--serve"
    {
        return serve(code);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime starts");
    for code in ["InternalFailure", "AccessDeniedException"] {
        println!("{code}:");
        runtime.block_on(run(&mut Server::start(code)));
    }
}

async fn run(server: &mut Server) {
    let config =
        Config::builder().shard_limit(ShardLimit::Off).buffer_records_max(RECORDS).time_to_live(None);
    let producer = Producer::builder("hostile")
        .endpoint_url(&server.endpoint_url)
        .region("us-east-1")
        .credentials(Credentials::new("access", "secret", None, None, "bench"))
        .config(config.build().expect("the settings are valid"))
        .connect();
    let producer = producer.await.expect("the server describes its stream");
    let mut accepted = 0u64;
    while producer.try_send_and_forget(record(accepted)).is_ok() {
        accepted += 1;
    }
    // What it takes to hold and to have begun to send is not the outage's cost.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (cpu, memory) = (cpu_time(), resident_bytes());
    let requests = producer.stats().requests_sent;
    tokio::time::sleep(OUTAGE).await;
    let spent = cpu_time() - cpu;
    let grown = resident_bytes() as i64 - memory as i64;
    let stats = producer.stats();
    println!("  {accepted} records held, outage of {OUTAGE:?}");
    println!("  {} requests tried", stats.requests_sent - requests);
    println!("  {:.2} % of a core", 100.0 * spent.as_secs_f64() / OUTAGE.as_secs_f64());
    println!("  resident memory {:.1} MB before, {:+.1} MB after", memory as f64 / 1e6, grown as f64 / 1e6);
    assert_eq!(stats.records_queued + stats.records_in_flight, accepted, "nothing was lost");

    server.input().write_all(b"calm\n").expect("the server listens");
    let end = Instant::now();
    while producer.hold().is_some() || producer.stats().requests_in_flight_allowed < 16 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    println!("  all 16 requests in flight again {:.2} s after its end", end.elapsed().as_secs_f64());
    let report = producer.close(Duration::from_secs(60)).await;
    println!("  all {} delivered {:.2} s after its end", report.delivered, end.elapsed().as_secs_f64());
    assert_eq!(report.delivered, accepted);
}

fn record(number: u64) -> Record {
    Record::new(format!("customer-{number:013}"), vec![b'x'; 100]).expect("a valid record")
}

/// Fails every request with this code until it reads a line, then none; ends with its input.
fn serve(code: &str) {
    let server = HostileKinesis::start(HostileOptions { shards: 16, ..HostileOptions::default() });
    let server = server.expect("the loopback interface takes a server");
    let rejection = match code {
        "AccessDeniedException" => Rejection::access_denied(),
        _ => Rejection::internal_failure(),
    };
    let failure = Fault::Reject(rejection).after(Duration::from_millis(20));
    server.every(Operation::PutRecords, failure);
    println!("{}", server.endpoint_url());
    let mut input = BufReader::new(std::io::stdin());
    input.read_line(&mut String::new()).expect("a line comes");
    server.calm();
    input.read_to_end(&mut Vec::new()).expect("the input ends");
}

fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("this bench runs on Linux");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("Linux tells it");
    1_024 * line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).expect("in kibibytes")
}
