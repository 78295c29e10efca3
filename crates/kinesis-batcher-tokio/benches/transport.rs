//! What a record costs between the producer and the service: the transport alone, beside a plain loop over the SDK and
//! a bare client.
//!
//! `cargo bench -p kinesis-batcher-tokio --bench transport [-- ROUNDS]`
//!
//! The bare client speaks plain HTTP/1.1; the others do, and speak HTTP/1.1 over TLS besides.
//!
//! All send the same requests, ten at a time over ten connections, from one thread to a server in a process of its own.
//! CPU time is this process's, user and system. They take turns in each round, and the median of the rounds' ratios to
//! the bare client is what counts on a noisy machine. Allocations are counted in a round of their own.
//!
//! `valgrind --tool=callgrind --toggle-collect='*measured*' BENCH CLIENT SIZE REQUESTS` counts the instructions of one
//! of them, such as `transport-lean 100 200`.

#![allow(clippy::print_stdout, reason = "a bench prints its figures")]

mod bare;
mod common;
mod cost;

use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_kinesis::Client as SdkClient;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use bare::Bare;
use common::FastServer;
use cost::{allocations, cpu_time, median};
use kinesis_batcher_tokio::{
    AwsTransport, Bytes, PutRecords, Record, RecordOutcome, SdkConfig, Transport, Wire,
};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

/// Bytes of a record's data, records in a request, and requests in a round.
const SHAPES: [(usize, usize, usize); 3] = [(100, 500, 1_500), (1_024, 500, 400), (10_240, 400, 60)];
const IN_FLIGHT: usize = 10;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let number = |text: &str| text.parse::<usize>().expect("the argument is a number");
    match &*arguments.iter().map(String::as_str).collect::<Vec<_>>() {
        ["--serve", authority_file] => FastServer::serve(Path::new(authority_file)),
        [] => compare(9),
        [rounds] => compare(number(rounds)),
        [name, bytes, requests] => once(name, number(bytes), number(requests)),
        _ => panic!("the arguments are ROUNDS, or CLIENT SIZE REQUESTS"),
    }
}

fn compare(rounds: usize) {
    let bench = Bench::new();
    println!("{rounds} rounds, medians; CPU of the client");
    for (bytes, records, requests) in SHAPES {
        println!("\n{records} records of {bytes} B");
        println!("{:<20} {:>10} {:>8} {:>14}", "", "ns/record", "to bare", "allocs/record");
        let request = request(bytes, records);
        let mut costs = vec![Vec::new(); bench.clients.len()];
        // The first round warms up and does not count.
        for round in 0..=rounds {
            for (client, costs) in bench.clients.iter().zip(&mut costs) {
                let cpu = bench.measured(client, &request, requests);
                if round > 0 {
                    costs.push(cpu.as_nanos() as f64 / (requests * records) as f64);
                }
            }
        }
        let bare = costs.last().expect("the bare client comes last").clone();
        for (client, costs) in bench.clients.iter().zip(costs) {
            let ratios = costs.iter().zip(&bare).map(|(cost, bare)| cost / bare).collect();
            let allocations = bench.allocations(client, &request, 100) as f64 / (100 * records) as f64;
            let (cost, ratio) = (median(costs), median(ratios));
            println!("{:<20} {cost:>10.0} {ratio:>8.2} {allocations:>14.3}", client.name);
        }
    }
}

fn once(name: &str, bytes: usize, requests: usize) {
    let bench = Bench::new();
    let (_, records, _) =
        SHAPES.into_iter().find(|(size, ..)| *size == bytes).expect("a size of the benchmark");
    let client = bench.clients.iter().find(|client| client.name == name).expect("a client of the benchmark");
    let request = request(bytes, records);
    bench.run(client, &request, IN_FLIGHT);
    let cpu = bench.measured(client, &request, requests);
    println!("{:.0} ns/record", cpu.as_nanos() as f64 / (requests * records) as f64);
}

/// The clients, the server they talk to and the thread they run on.
struct Bench {
    runtime: Runtime,
    clients: Vec<Client>,
    _server: FastServer,
}

impl Bench {
    fn new() -> Self {
        let server = FastServer::start();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime starts");
        let clients = runtime.block_on(clients(&server));
        Self { runtime, clients, _server: server }
    }

    /// CPU time of so many requests. Not inlined, for profilers to find.
    #[inline(never)]
    fn measured(&self, client: &Client, request: &Arc<PutRecords>, requests: usize) -> Duration {
        let before = cpu_time();
        self.run(client, request, requests);
        cpu_time() - before
    }

    fn allocations(&self, client: &Client, request: &Arc<PutRecords>, requests: usize) -> u64 {
        allocations(|| self.run(client, request, requests))
    }

    fn run(&self, client: &Client, request: &Arc<PutRecords>, requests: usize) {
        self.runtime.block_on(async {
            let mut senders = JoinSet::new();
            for sender in 0..IN_FLIGHT {
                let share = requests / IN_FLIGHT + usize::from(sender < requests % IN_FLIGHT);
                senders.spawn((client.send)(Arc::clone(request), share));
            }
            while let Some(sender) = senders.join_next().await {
                sender.expect("no sender panics");
            }
        });
    }
}

struct Client {
    name: &'static str,
    /// Sends a request so many times, one after the other.
    send: Send,
}

type Send = Box<dyn Fn(Arc<PutRecords>, usize) -> Pin<Box<dyn Future<Output = ()> + std::marker::Send>>>;

async fn clients(server: &FastServer) -> Vec<Client> {
    let config = server.sdk_config(&server.plain_url).await;
    let over_tls = server.sdk_config(&server.tls_url).await;
    let address = server.plain_url.strip_prefix("http://").and_then(|address| address.parse().ok());
    vec![
        Client { name: "plain SDK loop", send: plain_sdk(SdkClient::new(&config)) },
        Client { name: "transport-sdk", send: transport(&config, Wire::Sdk) },
        Client { name: "transport-lean", send: transport(&config, Wire::Lean) },
        Client { name: "transport-direct", send: transport(&config, Wire::Direct) },
        Client { name: "transport-cbor", send: transport(&config, Wire::Cbor) },
        Client { name: "SDK loop, TLS", send: plain_sdk(SdkClient::new(&over_tls)) },
        Client { name: "lean, TLS", send: transport(&over_tls, Wire::Lean) },
        Client { name: "direct, TLS", send: transport(&over_tls, Wire::Direct) },
        Client { name: "cbor, TLS", send: transport(&over_tls, Wire::Cbor) },
        Client { name: "bare", send: bare(address.expect("a socket's address")) },
    ]
}

fn plain_sdk(client: SdkClient) -> Send {
    Box::new(move |request, requests| {
        let client = client.clone();
        Box::pin(async move {
            for _ in 0..requests {
                let entries = request.records().map(|record| {
                    PutRecordsRequestEntry::builder()
                        .partition_key(record.partition_key().expect("it has one"))
                        .data(Blob::from_maybe_shared(record.data().clone()))
                        .build()
                        .expect("data is set")
                });
                let call = client.put_records().stream_name("fast").set_records(Some(entries.collect()));
                let reply = call.send().await.expect("the server answers");
                assert_eq!(reply.failed_record_count(), Some(0));
                assert_eq!(reply.records().len(), request.len());
            }
        })
    })
}

fn transport(config: &SdkConfig, wire: Wire) -> Send {
    let stream = "fast".parse().expect("a stream's name");
    let transport = AwsTransport::new(config, stream).expect("the config is complete");
    let transport = Arc::new(transport.with_wire(wire));
    Box::new(move |request, requests| {
        let transport = Arc::clone(&transport);
        Box::pin(async move {
            for _ in 0..requests {
                let reply = transport.put_records(&request).await.expect("the server answers");
                let stored =
                    reply.outcomes.iter().filter(|outcome| matches!(outcome, RecordOutcome::Stored { .. }));
                assert_eq!(stored.count(), request.len());
            }
        })
    })
}

fn bare(address: SocketAddr) -> Send {
    Box::new(move |request, requests| {
        Box::pin(async move {
            let mut bare = Bare::connect(address).await;
            for _ in 0..requests {
                assert_eq!(bare.put_records(&request).await, request.len());
            }
        })
    })
}

fn request(bytes: usize, records: usize) -> Arc<PutRecords> {
    let data = Bytes::from(vec![b'x'; bytes]);
    let record =
        |number| Record::new(format!("customer-{number:013}"), data.clone()).expect("a valid record");
    Arc::new(PutRecords::of_records((0..records).map(record)).expect("it fits into one request"))
}
