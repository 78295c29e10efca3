//! From the moment that a record was due to its acknowledgement, at a fixed load.

use std::time::{Duration, Instant};

use kinesis_batcher_local::RawClient;

use super::common::median;
use super::common::process::Ran;
use super::common::server::{STREAM, Server, Stored};
use super::contestants::Contestant;
use super::delay::delayed;
use super::input::Inputs;
use super::throughput::flaws;
use super::{DELAY, load};

/// What a round showed of a contestant.
struct Round {
    /// Ascending.
    latencies: Vec<Duration>,
    /// Without that of a run of one record.
    cpu: Duration,
    stored: Stored,
}

impl Round {
    /// Refuses one that did not keep up: its latency is how long it was measured.
    fn new(start: Duration, (ran, stored): (Ran, Stored)) -> Result<Self, String> {
        let latencies = ascending(&ran.stdout);
        let median = at(&latencies, 0.5);
        if median > MEDIAN_MAX {
            return Err(format!(
                "did not keep up: half of the records took more than {:.1} s",
                median.as_secs_f64()
            ));
        }
        Ok(Self { latencies, cpu: ran.cpu.saturating_sub(start), stored })
    }
}

/// Lets them take turns, and prints a table and what did not go well.
pub(crate) fn compare(contestants: &[Contestant], server: &mut Server, rounds: usize, rate: u64, share: f64) {
    let seconds = (SECONDS * share).max(0.1);
    let records = (rate as f64 * seconds) as u64;
    let address = delayed(server, DELAY);
    let before = load();
    let mut inputs = Inputs::new();
    let paced: Vec<(&Contestant, &str)> =
        contestants.iter().filter_map(|contestant| Some((contestant, contestant.paced?))).collect();
    let mut results: Vec<Result<Vec<Round>, String>> = paced.iter().map(|_| Ok(Vec::new())).collect();
    let mut bare = Vec::new();
    for _ in 0..rounds {
        bare.push(round_trips(&RawClient::new(address)));
        server.take_stored();
        for ((contestant, _), result) in paced.iter().zip(&mut results) {
            let Ok(so_far) = result else { continue };
            let endpoint_url = format!("http://{address}");
            let mut ran = |lines| contestant.run(server, &endpoint_url, inputs.of(lines), Some(rate));
            match ran(1).and_then(|(start, _)| Round::new(start.cpu, ran(records)?)) {
                Ok(round) => so_far.push(round),
                Err(failure) => *result = Err(failure),
            }
        }
    }
    println!(
        "\nLatency in ms at {rate} records/s for {seconds} s, {rounds} rounds, medians; load average {before}, then {}:\n",
        load()
    );
    println!("| | settings | p50 | p99 | slowest | CPU of a core |");
    println!("|---|---|---|---|---|---|");
    let of = |part| median(bare.iter().map(|trips| millis(at(trips, part))).collect());
    println!("| the bare round trip, one record | | {:.1} | {:.1} | {:.1} | |", of(0.5), of(0.99), of(1.0));
    for ((contestant, settings), result) in paced.iter().zip(&results) {
        match result {
            Ok(rounds) => row(&contestant.name, settings, rounds, seconds),
            Err(failure) => println!("| {} | {settings} | {failure} |", contestant.name),
        }
    }
    println!();
    for ((contestant, _), result) in paced.iter().zip(&results) {
        for (number, round) in result.iter().flatten().enumerate() {
            flaws(&contestant.name, number, round.stored, records);
            let silent = records.saturating_sub(round.latencies.len() as u64);
            if silent > 0 {
                println!(
                    "{}, round {}: of {records} records, {silent} were not acknowledged",
                    contestant.name,
                    number + 1
                );
            }
        }
    }
}

fn row(name: &str, settings: &str, rounds: &[Round], seconds: f64) {
    let of = |part| median(rounds.iter().map(|round| millis(at(&round.latencies, part))).collect());
    let cpu = rounds.iter().map(|round| round.cpu.as_secs_f64() / seconds);
    println!(
        "| {name} | {settings} | {:.1} | {:.1} | {:.1} | {:.1} % |",
        of(0.5),
        of(0.99),
        of(1.0),
        median(cpu.collect()) * 100.0,
    );
}

/// One record after the other on one connection; ascending.
fn round_trips(client: &RawClient) -> Vec<Duration> {
    let mut connection = client.connect().expect("the server listens");
    let body = format!(r#"{{"StreamName":"{STREAM}","Records":[{{"PartitionKey":"k","Data":"YQ=="}}]}}"#);
    let mut trip = || {
        let sent = Instant::now();
        client.send(&mut connection, "PutRecords", body.as_bytes()).expect("the server reads");
        client.receive(&mut connection).expect("the server answers");
        sent.elapsed()
    };
    let mut trips: Vec<_> = (0..ROUND_TRIPS).map(|_| trip()).collect();
    trips.sort_unstable();
    trips
}

fn ascending(stdout: &str) -> Vec<Duration> {
    // Whatever else a rival says is no latency.
    let micros = stdout.lines().filter_map(|line| line.parse().ok());
    let mut latencies: Vec<_> = micros.map(Duration::from_micros).collect();
    latencies.sort_unstable();
    latencies
}

/// The latency below which this part of all is.
fn at(latencies: &[Duration], part: f64) -> Duration {
    let last = latencies.len().saturating_sub(1);
    latencies.get((last as f64 * part) as usize).copied().unwrap_or_default()
}

fn millis(latency: Duration) -> f64 {
    latency.as_secs_f64() * 1_000.0
}

const SECONDS: f64 = 3.0;
const MEDIAN_MAX: Duration = Duration::from_secs(1);
const ROUND_TRIPS: usize = 200;
