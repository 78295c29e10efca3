//! Will this configuration hold this load? Asks before anything is deployed: the same state machine that a producer runs,
//! against a simulated Kinesis, minutes of it in a second. Nothing is sent anywhere.
//!
//! `… --bin offline_simulation -- --shards 12 --records-per-second 10000 --bytes 400`
//!
//! What must hold is written down as properties of a run, and each is tried with many seeds. Exit code 1 and a line for
//! each that does not hold; the seed repeats it.

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use kinesis_batcher_core::Config;
use kinesis_batcher_sim::{Fault, FaultKind, Faults, Keys, Options, OutageKind, Rate, Report, Sizes, run};

#[derive(Parser)]
struct Arguments {
    /// Open shards of the stream.
    #[arg(long, default_value_t = 4)]
    shards: u32,
    /// Records a second that all producers together are offered.
    #[arg(long, default_value_t = 2_000)]
    records_per_second: u64,
    /// Bytes of data in each.
    #[arg(long, default_value_t = 200)]
    bytes: u32,
    /// How many processes there are.
    #[arg(long, default_value_t = 2)]
    producers: u32,
    /// Whether small records share Kinesis records.
    #[arg(long)]
    aggregation: bool,
    /// The longest that 99 of 100 records may take on a good day, in milliseconds.
    #[arg(long, default_value_t = 500)]
    p99_ms: u64,
    /// How many times each property is tried.
    #[arg(long, default_value_t = 5)]
    seeds: u64,
}

fn main() -> ExitCode {
    match examine(&Arguments::parse()) {
        Ok(true) => return ExitCode::SUCCESS,
        Ok(false) => {}
        Err(error) => eprintln!("offline_simulation: {error}"),
    }
    ExitCode::FAILURE
}

/// Whether all properties held.
fn examine(arguments: &Arguments) -> Result<bool, Box<dyn Error>> {
    // The configuration in question: give the same to Producer::builder.
    let config = Config::builder()
        .linger(Duration::from_millis(50))
        .buffer_bytes_max(32 << 20)
        .aggregation(arguments.aggregation)
        .build()?;
    let mut usual = Options::default().config(config).duration(Duration::from_secs(20));
    usual = usual.producers(arguments.producers);
    usual.service.shards = arguments.shards;
    usual.workload.rate = Rate::Constant(arguments.records_per_second / u64::from(usual.producers));
    usual.workload.sizes = Sizes::Constant(arguments.bytes);
    let mut hot = usual.clone();
    hot.workload.keys = Keys::Hot { keys: 1_000, percent: 50 };
    let (from, to) = (Duration::from_secs(5), Duration::from_secs(10));
    let outage = Fault::new(from, to, FaultKind::Outage(OutageKind::TimesOut));
    let split = Fault::at(from, FaultKind::Split);

    let p99_max = Duration::from_millis(arguments.p99_ms);
    let properties: [Property<'_>; 4] = [
        ("on a good day records are fast, and none is lost", usual.clone(), &|run| {
            run.delay.p99 <= p99_max && loses_nothing(run)
        }),
        (
            "an outage of five seconds costs no record",
            usual.clone().faults(Faults::Plan(vec![outage])),
            &loses_nothing,
        ),
        ("a shard may split at full load", usual.clone().faults(Faults::Plan(vec![split])), &loses_nothing),
        // Faults of every kind: records may then be refused or expire, but each is accounted for.
        ("whatever happens, every promise is kept", hot.faults(Faults::Swarm), &Report::is_ok),
    ];
    let (mut all_hold, mut out) = (true, io::stdout().lock());
    for (claim, options, holds) in properties {
        let counterexample = (1..=arguments.seeds).map(|seed| run(seed, &options)).find(|run| !holds(run));
        match counterexample {
            None => writeln!(out, "holds: {claim}")?,
            Some(run) => {
                all_hold = false;
                writeln!(out, "DOES NOT HOLD: {claim}\n{run}")?;
            }
        }
    }
    Ok(all_hold)
}

/// A claim, the runs it is about, and whether it holds in one of them.
type Property<'a> = (&'a str, Options, &'a dyn Fn(&Report) -> bool);

/// Everything that was offered was accepted in time, and delivered.
fn loses_nothing(run: &Report) -> bool {
    run.is_ok()
        && run.totals.records_dropped == 0
        && run.totals.records_delivered == run.totals.records_offered
}
