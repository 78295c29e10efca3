//! What a push costs, as a whole process: throughput, CPU and peak memory, beside a plain loop over the SDK that sends
//! the same lines to the same server.
//!
//! `cargo bench -p kinesis-pusher --bench push [-- --rounds N]` (Unix only)
//!
//! The server is a process of its own; it routes, stores, and counts what it got: a run that brought fewer or more
//! records than there are lines ends the bench. Over TLS it is HTTP/1.1, the default, unless the line says HTTP/2. The
//! processes take turns in each round; the first round warms up the machine and does not count. What counts on a noisy machine is the median of the rounds' ratios. The bench fails
//! when a file larger than the buffer takes more memory than it may.

#![allow(missing_docs, clippy::print_stdout)]

mod common;

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::{Command, ExitCode};

use common::process::{Ran, itself, push, run};
use common::server::{SERVE, Server, Stored};
use common::{FLIGHTS, median, plain_sdk, write_flights};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &*arguments.iter().map(String::as_str).filter(|argument| *argument != "--bench").collect::<Vec<_>>()
    {
        [SERVE] => common::server::serve(None),
        [SERVE, pem_file] => common::server::serve(Some(Path::new(pem_file))),
        [PLAIN_SDK, file] => runtime().block_on(plain_sdk::push(Path::new(file))),
        // `cargo test --benches` only wants to see it work.
        [] if !arguments.iter().any(|argument| argument == "--bench") => compare(1, 2_000),
        [] => return bench(ROUNDS),
        ["--rounds", rounds] => return bench(rounds.parse().expect("rounds are counted")),
        _ => panic!("the arguments are --rounds N"),
    }
    ExitCode::SUCCESS
}

fn bench(rounds: usize) -> ExitCode {
    compare(rounds, FLIGHTS);
    let peak_bytes = large();
    if peak_bytes < PEAK_BYTES_MAX {
        return ExitCode::SUCCESS;
    }
    println!("the peak of {} MB is above the {} MB it may be", peak_bytes / MB, PEAK_BYTES_MAX / MB);
    ExitCode::FAILURE
}

/// The loop and the command in turn, and their ratios.
fn compare(rounds: usize, lines: u64) {
    let dir = tempfile::tempdir().expect("a directory for the input");
    let input = dir.path().join("flights.csv");
    write_flights(&input, lines).expect("the input can be written");
    let pem_file = dir.path().join("authority.pem");
    let mut servers = [Server::start(), Server::start_tls(&pem_file)];
    let [plain, secure] = servers.each_ref().map(Server::endpoint_url);
    let contenders: [(&str, usize, Command); CONTENDERS] = [
        ("plain SDK loop", 0, with(itself(plain), &[PLAIN_SDK])),
        ("push", 0, as_to_aws(push(plain))),
        ("push over TLS", 1, as_to_aws(push(secure))),
        ("push over TLS, HTTP/2", 1, with(as_to_aws(push(secure)), &["--http-version", "2"])),
        ("push --aggregate", 0, with(as_to_aws(push(plain)), &["--aggregate"])),
        ("push --aggregate over TLS", 1, with(as_to_aws(push(secure)), &["--aggregate"])),
        ("push in JSON", 0, push(plain)),
        ("push in JSON over TLS", 1, push(secure)),
        ("push --aggregate in JSON", 0, with(push(plain), &["--aggregate"])),
    ];
    let mut contenders = contenders.map(|(name, server, mut command)| {
        command.env("AWS_CA_BUNDLE", &pem_file).arg(&input);
        (name, server, command)
    });
    let mut costs = [const { Vec::new() }; CONTENDERS];
    for round in 0..=rounds {
        for ((name, server, command), costs) in contenders.iter_mut().zip(&mut costs) {
            let ran = run(command);
            if let Some(failure) = &ran.failure {
                panic!("{name} failed: {failure}");
            }
            let Stored { user_records, .. } = servers[*server].take_stored();
            assert_eq!(user_records, lines, "{name} brought every line, and each once");
            if round > 0 {
                costs.push(ran);
            }
        }
    }
    println!("{lines} lines, {rounds} rounds, medians");
    println!("{:34} {:>14} {:>9} {:>11} {:>9}", "", "CPU ns/record", "to loop", "records/s", "peak MiB");
    for ((name, ..), cost) in contenders.iter().zip(&costs) {
        let of = |figure: &dyn Fn(&Ran) -> f64| median(cost.iter().map(figure).collect());
        let ratios = cost.iter().zip(&costs[0]).map(|(cost, unit)| cost.cpu.div_duration_f64(unit.cpu));
        println!(
            "{name:34} {:>14.0} {:>9.3} {:>11.0} {:>9.0}",
            of(&|ran| ran.cpu_nanos(lines)),
            median(ratios.collect()),
            of(&|ran| ran.rate(lines)),
            of(&|ran| (ran.peak_bytes >> 20) as f64),
        );
    }
}

/// A file larger than the buffer; returns the peak of memory.
fn large() -> u64 {
    let dir = tempfile::tempdir().expect("a directory for the input");
    let input = dir.path().join("large");
    write_large(&input).expect("the input can be written");
    let mut server = Server::start();
    let ran = run(as_to_aws(push(server.endpoint_url())).args(["--buffer-bytes", "64MiB"]).arg(&input));
    assert_eq!(ran.failure, None, "everything is delivered");
    assert_eq!(server.take_stored().user_records, LARGE_LINES, "every line is stored once");
    println!(
        "{:34} {:>14.0} {:>9} {:>11.0} {:>9}",
        "1 GB of 1,000 B through 64 MiB",
        ran.cpu_nanos(LARGE_LINES),
        "",
        ran.rate(LARGE_LINES),
        ran.peak_bytes >> 20,
    );
    ran.peak_bytes
}

/// In CBOR, which an endpoint that is not of AWS gets only on demand.
fn as_to_aws(mut command: Command) -> Command {
    command.env("AWS_CBOR_DISABLE", "false");
    command
}

fn with(mut command: Command, arguments: &[&str]) -> Command {
    command.args(arguments);
    command
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime starts")
}

fn write_large(path: &Path) -> std::io::Result<()> {
    let block = format!("{}\n", "x".repeat(999)).repeat(1_000);
    let mut file = File::create(path)?;
    (0..LARGE_LINES / 1_000).try_for_each(|_| file.write_all(block.as_bytes()))
}

const ROUNDS: usize = 9;
const CONTENDERS: usize = 9;
const PLAIN_SDK: &str = "--plain-sdk";

const LARGE_LINES: u64 = 1_000_000;
/// The buffer three times over: records, requests on their way, and what allocators keep.
const PEAK_BYTES_MAX: u64 = 200 * MB;
const MB: u64 = 1_000_000;
