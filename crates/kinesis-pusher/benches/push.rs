//! What a push costs, as a whole process: throughput, CPU and peak memory, against a server that is no bottleneck.
//!
//! `cargo bench -p kinesis-pusher --bench push` (Linux only: it reads `/proc`). It fails when a file larger than the
//! buffer takes more memory than it may.

#![allow(missing_docs, clippy::print_stdout)]

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use kinesis_batcher_local::fast::{FastKinesis, FastOptions};

fn main() -> ExitCode {
    // `cargo test --benches` only wants to see it start.
    if !std::env::args().any(|argument| argument == "--bench") {
        return ExitCode::SUCCESS;
    }
    let dir = tempfile::tempdir().expect("a directory for the input");
    let flights = dir.path().join("flights.csv");
    write_flights(&flights).expect("the input can be written");
    println!(
        "{:34} {:>9} {:>7} {:>11} {:>13} {:>9}",
        "", "records", "s", "records/s", "CPU ns/record", "peak MiB"
    );
    for round in 1..=ROUNDS {
        report(&format!("flights, round {round}"), FLIGHTS, &push(&flights, &[]));
    }
    let large = dir.path().join("large");
    write_large(&large).expect("the input can be written");
    let cost = push(&large, &["--buffer-bytes", "64MiB"]);
    report("1 GB of 1,000 B through 64 MiB", LARGE_LINES, &cost);
    if cost.peak_bytes < PEAK_BYTES_MAX {
        return ExitCode::SUCCESS;
    }
    println!("the peak of {} MB is above the {} MB it may be", cost.peak_bytes / MB, PEAK_BYTES_MAX / MB);
    ExitCode::FAILURE
}

/// What one run took.
struct Cost {
    elapsed: Duration,
    cpu: Duration,
    peak_bytes: u64,
}

fn report(name: &str, records: u64, cost: &Cost) {
    println!(
        "{name:34} {records:>9} {:>7.2} {:>11.0} {:>13.0} {:>9}",
        cost.elapsed.as_secs_f64(),
        records as f64 / cost.elapsed.as_secs_f64(),
        cost.cpu.as_nanos() as f64 / records as f64,
        cost.peak_bytes >> 20,
    );
}

/// Pushes a file to a fast server of this process, and waits for the end.
fn push(input: &Path, flags: &[&str]) -> Cost {
    let kinesis = FastKinesis::start(FastOptions { store: false, ..FastOptions::default() });
    let kinesis = kinesis.expect("a port is free");
    let started = Instant::now();
    let child = Command::new(env!("CARGO_BIN_EXE_kinesis-pusher"))
        .args(["push", "--stream", "fast", "--shard-limit-percent", "off"])
        .args(flags)
        .arg(input)
        .env("AWS_ENDPOINT_URL_KINESIS", kinesis.endpoint_url())
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", "local")
        .env("AWS_SECRET_ACCESS_KEY", "local")
        .stdout(Stdio::null())
        .spawn()
        .expect("the command was built before");
    watch(child, started)
}

/// Looks at the process until it has ended. It is waited for last, as its times go with it.
fn watch(mut child: Child, started: Instant) -> Cost {
    let mut peak_bytes = 0;
    let of_process = |file: &str| {
        std::fs::read_to_string(format!("/proc/{}/{file}", child.id()))
            .expect("a child that was not waited for stays")
    };
    let (elapsed, cpu) = loop {
        let status = of_process("status");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
        peak_bytes = peak_bytes.max(peak.and_then(|kib| kib.parse().ok()).unwrap_or(0) << 10);
        let stat = of_process("stat");
        // The name in parentheses may hold anything; what follows is the state and, eleven on, the ticks.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        if fields[0] == "Z" {
            let ticks: u64 = fields[11..=12].iter().filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
            break (started.elapsed(), Duration::from_millis(ticks * MILLIS_PER_TICK));
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    assert!(child.wait().expect("it has ended").success(), "everything is delivered");
    Cost { elapsed, cpu, peak_bytes }
}

/// As many lines as the flights of the whole year, of which the examples hold the first days.
fn write_flights(path: &Path) -> std::io::Result<()> {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/data/flights.csv");
    let sample = std::fs::read_to_string(sample)?;
    let mut file = BufWriter::new(File::create(path)?);
    for line in sample.lines().cycle().take(FLIGHTS as usize) {
        writeln!(file, "{line}")?;
    }
    file.flush()
}

fn write_large(path: &Path) -> std::io::Result<()> {
    let block = format!("{}\n", "x".repeat(999)).repeat(1_000);
    let mut file = File::create(path)?;
    (0..LARGE_LINES / 1_000).try_for_each(|_| file.write_all(block.as_bytes()))
}

/// Departures from New York in 2013 (the data set `nycflights13`).
const FLIGHTS: u64 = 336_776;
const ROUNDS: u32 = 3;

const LARGE_LINES: u64 = 1_000_000;
/// The buffer three times over: records, requests on their way, and what allocators keep.
const PEAK_BYTES_MAX: u64 = 200 * MB;
const MB: u64 = 1_000_000;

/// Linux counts in hundredths of a second (`USER_HZ`).
const MILLIS_PER_TICK: u64 = 10;
