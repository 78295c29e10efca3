//! How fast virtual time runs. `cargo bench -p kinesis-batcher-sim --bench speed`
//!
//! Prints, for each scenario, virtual seconds a wall second; everything runs on one core. `-- NAME` runs the scenarios
//! whose names contain NAME, `-- --quick` a tenth of each.

#![allow(clippy::print_stdout, reason = "printing is what it is for")]

use std::time::{Duration, Instant};

use kinesis_batcher_core::Config;
use kinesis_batcher_sim::{Checks, Keys, Options, Rate, ServiceOptions, run};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut quick = false;
    let mut wanted = String::new();
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--quick" => quick = true,
            // Cargo says so to every bench.
            "--bench" => {}
            name => name.clone_into(&mut wanted),
        }
    }
    let scenarios = [
        ("16 shards, 10,000 records/s, checkers on", usual(Checks::ALL)),
        ("16 shards, 10,000 records/s, checkers off", usual(Checks::NONE)),
        ("10,000 shards, 1,000,000 records/s, checkers on", large(Checks::ALL)?),
        ("10,000 shards, 1,000,000 records/s, checkers off", large(Checks::NONE)?),
    ];
    for (name, mut options) in scenarios.into_iter().filter(|(name, _)| name.contains(&wanted)) {
        if quick {
            options.duration /= 10;
        }
        let began = Instant::now();
        let report = run(1, &options);
        let wall = began.elapsed();
        let per_second = report.elapsed.as_secs_f64() / wall.as_secs_f64();
        let nanos = wall.as_nanos() / u128::from(report.totals.records_delivered.max(1));
        println!(
            "{name}: {:.1} virtual seconds in {:.2} s, {per_second:.1} virtual seconds a second, {nanos} ns a record",
            report.elapsed.as_secs_f64(),
            wall.as_secs_f64(),
        );
        println!(
            "    {} offered, {} delivered, {} throttled attempts, delay {}",
            report.totals.records_offered,
            report.totals.records_delivered,
            report.totals.entries_throttled,
            report.delay
        );
        assert!(report.is_ok(), "{report}");
    }
    Ok(())
}

fn usual(checks: Checks) -> Options {
    let mut options = Options::default().duration(Duration::from_secs(60)).checks(checks);
    options.service.shards = 16;
    options.workload.rate = Rate::Constant(10_000);
    options
}

fn large(checks: Checks) -> Result<Options, Box<dyn std::error::Error>> {
    let config = Config::builder()
        .in_flight_requests_max(1_000)
        .buffer_records_max(2_000_000)
        .buffer_bytes_max(1 << 30)
        .build()?;
    let mut service = ServiceOptions::default();
    service.shards = 10_000;
    let mut options =
        Options::default().config(config).service(service).duration(Duration::from_secs(10)).checks(checks);
    options.workload.rate = Rate::Constant(1_000_000);
    options.workload.keys = Keys::Uniform { keys: 1_000_000 };
    Ok(options)
}
