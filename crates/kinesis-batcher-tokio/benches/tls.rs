//! HTTP/1.1 and HTTP/2 over TLS, beside plain HTTP/1.1, over networks of several round trips.
//!
//! `cargo bench -p kinesis-batcher-tokio --bench tls [-- ROUNDS [NETWORK [BYTES]]]`, where a network is `5ms` or
//! `5ms+loss` and such
//!
//! The servers, and the relays that the round trips and losses come from, are a process of their own. CPU time is that of
//! the client. Each line has a producer with the defaults for 16 requests in flight, connected beforehand; the lines take
//! turns in each round. A ratio is the median of the rounds' ratios to plain HTTP/1.1, and the difference of CPU time the
//! median of the rounds' differences.

#![allow(clippy::print_stdout, reason = "a bench prints its figures")]

mod cost;

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cost::{cpu_time, median};
use kinesis_batcher_local::fast::{FastKinesis, FastOptions};
use kinesis_batcher_local::relay::{Relay, RelayOptions};
use kinesis_batcher_local::tls::{Alpn, ServerTls, TestAuthority};
use kinesis_batcher_tokio::{Bytes, Config, Credentials, HttpVersion, Producer, Record, ShardLimit};
use tokio::runtime::Runtime;

/// Round trip in milliseconds, and the share of segments that are lost.
const NETWORKS: [(u64, f64); 5] = [(0, 0.0), (5, 0.0), (30, 0.0), (5, 0.001), (30, 0.001)];
/// Bytes of a record's data, and records of a run.
const SHAPES: [(usize, u64); 2] = [(100, 300_000), (1_024, 60_000)];
/// Name, server, protocol, and the part of the records that is sent: the last line is slow.
const LINES: [(&str, &str, HttpVersion, u64); 4] = [
    ("HTTP/1.1", "plain", HttpVersion::Http1, 1),
    ("TLS, HTTP/1.1", "tls", HttpVersion::Http1, 1),
    ("TLS, HTTP/2", "tls", HttpVersion::Http2, 1),
    ("TLS, HTTP/2, 64 KiB windows", "tls64k", HttpVersion::Http2, 20),
];
const ROUNDS: usize = 5;
const BATCH: u64 = 500;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match &*arguments.iter().map(String::as_str).collect::<Vec<_>>() {
        ["--serve", pem_file] => serve(Path::new(pem_file)),
        ["--client", rest @ ..] => {
            let rounds = rest.first().map_or(ROUNDS, |rounds| rounds.parse().expect("rounds are counted"));
            let bytes = rest.get(2).map(|bytes| bytes.parse().expect("bytes are counted"));
            compare(rounds, rest.get(1).copied(), bytes);
        }
        arguments => start(arguments),
    }
}

/// The client is a process of its own, too, since a process takes the file of certificates from its environment.
fn start(arguments: &[&str]) {
    let folder = std::env::temp_dir().join(format!("kinesis-batcher-tls-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("there is room for temporary files");
    let status = Command::new(std::env::current_exe().expect("the bench knows its own file"))
        .arg("--client")
        .args(arguments)
        .env("AWS_CA_BUNDLE", folder.join("authority.pem"))
        .status();
    std::fs::remove_dir_all(&folder).expect("it was made here");
    assert!(status.expect("the bench can start itself").success(), "the client has failed");
}

/// Serves until the standard input ends, which it does with the process that the bench runs in.
fn serve(pem_file: &Path) {
    let authority = TestAuthority::new();
    std::fs::write(pem_file, authority.pem()).expect("the folder is there");
    let tls = ServerTls::new(&authority, "localhost", Alpn::Both);
    let small = tls.clone().with_windows(65_535, 65_535);
    let servers = [("plain", None), ("tls", Some(tls)), ("tls64k", Some(small))].map(|(name, tls)| {
        let scheme = if tls.is_some() { "https" } else { "http" };
        let options = FastOptions { store: false, tls, ..FastOptions::default() };
        (name, scheme, FastKinesis::start(options).expect("the loopback interface takes a server"))
    });
    let mut relays = Vec::new();
    for (name, scheme, server) in &servers {
        for network in NETWORKS {
            let (trip, loss) = network;
            let round_trip = Duration::from_millis(trip);
            let port = if round_trip.is_zero() {
                server.address().port()
            } else {
                let options = RelayOptions { round_trip, loss, ..RelayOptions::default() };
                let relay = Relay::start(server.address(), options).expect("the options are in their ranges");
                let port = relay.address().port();
                relays.push(relay);
                port
            };
            println!("{name} {} {scheme}://localhost:{port}", name_of(network));
        }
    }
    println!();
    let mut rest = Vec::new();
    std::io::stdin().read_to_end(&mut rest).expect("the standard input ends");
}

fn name_of((trip, loss): (u64, f64)) -> String {
    format!("{trip}ms{}", if loss > 0.0 { "+loss" } else { "" })
}

/// The servers.
struct Servers {
    process: Child,
    /// By name and network.
    urls: Vec<(String, String, String)>,
}

impl Servers {
    fn start() -> Self {
        let pem_file = std::env::var_os("AWS_CA_BUNDLE").expect("the first process has set it");
        let mut process = Command::new(std::env::current_exe().expect("the bench knows its own file"))
            .arg("--serve")
            .arg(pem_file)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the bench can start itself");
        let stdout = BufReader::new(process.stdout.take().expect("it was piped"));
        let lines = stdout.lines().map(|line| line.expect("the servers write text"));
        let urls = lines.take_while(|line| !line.is_empty()).map(|line| {
            let mut words = line.split_whitespace().map(str::to_owned);
            let mut word = || words.next().expect("a line has three words");
            (word(), word(), word())
        });
        Self { urls: urls.collect(), process }
    }

    fn url(&self, server: &str, network: &str) -> &str {
        let found = self.urls.iter().find(|(name, of, _)| name == server && of == network);
        &found.expect("there is a server of each kind in each network").2
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        self.process.wait().expect("the servers end with their input");
    }
}

fn compare(rounds: usize, only_network: Option<&str>, only_bytes: Option<usize>) {
    let servers = Servers::start();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime starts");
    println!("{rounds} rounds, medians; CPU of the client; load average {}", load_average());
    println!(
        "{:<10} {:>6} {:<28} {:>12} {:>8} {:>14} {:>8}",
        "network", "bytes", "", "records/s", "to plain", "CPU ns/record", "more"
    );
    for network in NETWORKS.map(name_of) {
        for (bytes, records) in SHAPES {
            if only_network.is_none_or(|only| only == network) && only_bytes.is_none_or(|only| only == bytes)
            {
                cells(&servers, &runtime, rounds, &network, bytes, records);
            }
        }
    }
}

fn cells(servers: &Servers, runtime: &Runtime, rounds: usize, network: &str, bytes: usize, records: u64) {
    let producers = LINES.map(|(_, server, version, _)| {
        runtime.block_on(connect(servers.url(server, network).to_owned(), version))
    });
    let mut costs = [const { Vec::new() }; LINES.len()];
    // The first round warms up connections and allocator and does not count.
    for round in 0..=rounds {
        for ((producer, costs), (.., part)) in producers.iter().zip(&mut costs).zip(LINES) {
            let cost = measure(runtime, producer, bytes, records / part);
            if round > 0 {
                costs.push(cost);
            }
        }
    }
    let plain = &costs[0];
    for ((name, ..), costs) in LINES.iter().zip(&costs) {
        let of = |figure: &dyn Fn(&Cost, &Cost) -> f64| {
            median(costs.iter().zip(plain).map(|(cost, plain)| figure(cost, plain)).collect())
        };
        println!(
            "{network:<10} {bytes:>6} {name:<28} {:>12.0} {:>8.2} {:>14.0} {:>8.0}",
            of(&|cost, _| cost.rate),
            of(&|cost, plain| cost.rate / plain.rate),
            of(&|cost, _| cost.cpu_nanos),
            of(&|cost, plain| cost.cpu_nanos - plain.cpu_nanos),
        );
    }
    for (producer, (.., part)) in producers.into_iter().zip(LINES) {
        let report = runtime.block_on(producer.close(Duration::from_secs(60)));
        assert_eq!(report.delivered, records / part * (rounds as u64 + 1), "every record is delivered");
    }
}

/// Of a record, and records a second.
struct Cost {
    cpu_nanos: f64,
    rate: f64,
}

fn measure(runtime: &Runtime, producer: &Producer, bytes: usize, records: u64) -> Cost {
    let (cpu, start) = (cpu_time(), Instant::now());
    runtime.block_on(async {
        let payload = vec![b'x'; bytes];
        for first in (0..records).step_by(BATCH as usize) {
            let batch = (first..first + BATCH).map(|number| {
                let key = format!("customer-{number:013}");
                Record::new(key, Bytes::copy_from_slice(&payload)).expect("a valid record")
            });
            producer.send_all(batch).await.expect("the producer is open");
        }
        producer.flush().await.expect("the producer is open");
    });
    let rate = records as f64 / start.elapsed().as_secs_f64();
    Cost { cpu_nanos: (cpu_time() - cpu).as_nanos() as f64 / records as f64, rate }
}

async fn connect(endpoint_url: String, version: HttpVersion) -> Producer {
    let config = Config::builder().shard_limit(ShardLimit::Off).build().expect("the settings are valid");
    Producer::builder("fast")
        .endpoint_url(endpoint_url)
        .region("us-east-1")
        .credentials(Credentials::new("access", "secret", None, None, "bench"))
        .http_version(version)
        .config(config)
        .connect()
        .await
        .expect("the server answers")
}

fn load_average() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").expect("this bench runs on Linux");
    text.split_whitespace().next().unwrap_or_default().to_owned()
}
