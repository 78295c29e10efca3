//! All lines of a file, as fast as they go.

use std::time::Duration;

use super::common::median;
use super::common::process::Ran;
use super::common::server::{Server, Stored};
use super::contestants::Contestant;
use super::input::Inputs;
use super::load;

/// What a round cost a contestant.
struct Cost {
    /// Of a file of one line.
    start: Duration,
    /// Of all lines, CPU and time without those of the start.
    all: Ran,
    stored: Stored,
}

/// Lets them take turns, and prints a table and what did not go well.
pub(crate) fn compare(contestants: &[Contestant], server: &mut Server, rounds: usize, share: f64) {
    let before = load();
    let mut inputs = Inputs::new();
    let records = |contestant: &Contestant| Some((contestant.records? as f64 * share) as u64);
    let contestants: Vec<(&Contestant, u64)> =
        contestants.iter().filter_map(|contestant| Some((contestant, records(contestant)?))).collect();
    let mut results: Vec<Result<Vec<Cost>, String>> = contestants.iter().map(|_| Ok(Vec::new())).collect();
    for _ in 0..rounds {
        for (&(contestant, records), result) in contestants.iter().zip(&mut results) {
            let Ok(so_far) = result else { continue };
            match measure(contestant, server, &mut inputs, records) {
                Ok(cost) => so_far.push(cost),
                Err(failure) => *result = Err(failure),
            }
        }
    }
    println!("\nThroughput, {rounds} rounds, medians; load average {before}, then {}:\n", load());
    println!(
        "| | records | CPU ns a record | to the loop | records/s | peak MiB | records in a Kinesis record | start, CPU ms |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    let unit = results[0].as_ref().expect("the plain loop does its work");
    let unit: Vec<f64> = unit.iter().map(|cost| cost.all.cpu_nanos(contestants[0].1)).collect();
    for (&(contestant, records), result) in contestants.iter().zip(&results) {
        match result {
            Ok(costs) => row(&contestant.name, costs, records, &unit),
            Err(failure) => println!("| {} | {failure} |", contestant.name),
        }
    }
    println!();
    for (&(contestant, records), result) in contestants.iter().zip(&results) {
        for (round, cost) in result.iter().flatten().enumerate() {
            flaws(&contestant.name, round, cost.stored, records);
        }
    }
}

fn measure(
    contestant: &Contestant,
    server: &mut Server,
    inputs: &mut Inputs,
    records: u64,
) -> Result<Cost, String> {
    let endpoint_url = server.endpoint_url().to_owned();
    let mut ran = |lines| contestant.run(server, &endpoint_url, inputs.of(lines), None);
    let (start, _) = ran(1)?;
    let (mut all, stored) = ran(records)?;
    all.cpu = all.cpu.saturating_sub(start.cpu);
    // A start is all work; what else there is in a run of one line is waiting for more.
    all.elapsed = all.elapsed.saturating_sub(start.cpu);
    Ok(Cost { start: start.cpu, all, stored })
}

fn row(name: &str, costs: &[Cost], records: u64, unit: &[f64]) {
    let of = |figure: &dyn Fn(&Cost) -> f64| median(costs.iter().map(figure).collect());
    let ratios = costs.iter().zip(unit).map(|(cost, unit)| cost.all.cpu_nanos(records) / unit);
    println!(
        "| {name} | {records} | {:.0} | {:.2} | {:.0} | {:.0} | {:.0} | {:.0} |",
        of(&|cost| cost.all.cpu_nanos(records)),
        median(ratios.collect()),
        of(&|cost| cost.all.rate(records)),
        of(&|cost| (cost.all.peak_bytes >> 20) as f64),
        of(&|cost| cost.stored.user_records as f64 / cost.stored.kinesis_records.max(1) as f64),
        of(&|cost| cost.start.as_secs_f64() * 1_000.0),
    );
}

/// What no run should show.
pub(crate) fn flaws(name: &str, round: usize, stored: Stored, records: u64) {
    let missing = records.saturating_sub(stored.distinct_records);
    let twice = stored.user_records - stored.distinct_records;
    for (count, what) in [
        (missing, "are missing"),
        (twice, "came in again"),
        (stored.misplaced_records, "are in aggregates that the KCL would drop"),
    ] {
        if count > 0 {
            println!("{name}, round {}: of {records} records, {count} {what}", round + 1);
        }
    }
}
