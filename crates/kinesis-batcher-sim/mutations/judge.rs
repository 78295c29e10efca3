//! Runs seeds until a promise is broken. Built against each broken core by the example `mutations`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Duration;

use kinesis_batcher_core::Config;
use kinesis_batcher_sim::{Fault, FaultKind, Faults, Keys, Options, Rate, Rng, ServiceFaults, run, run_twice};

fn main() -> ExitCode {
    let seeds: u64 = std::env::args().nth(1).and_then(|seeds| seeds.parse().ok()).unwrap_or(1_000);
    for seed in 0..seeds {
        let options = if seed % STORM_EVERY == 0 { storm(seed) } else { Options::of_seed(seed) };
        let report = catch_unwind(AssertUnwindSafe(|| {
            if seed % TWICE_EVERY == 0 { run_twice(seed, &options) } else { run(seed, &options) }
        }));
        match report {
            Ok(report) if report.is_ok() => {}
            Ok(report) => {
                let violation = &report.violations[0];
                println!("{} {seed} {violation}", violation.invariant);
                return ExitCode::FAILURE;
            }
            Err(_) => {
                println!("panic {seed} it panicked");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

/// Aggregates that live shortly, while shards split and merge and much fails: what needs all of it at once is rare
/// among the options that seeds choose.
fn storm(seed: u64) -> Options {
    let mut rng = Rng::new(seed).fork("storm");
    let config = Config::builder()
        .aggregation(true)
        .aggregate_records_max(rng.between(2, 6) as usize)
        .linger(Duration::from_millis(rng.between(1, 60)))
        .time_to_live(Duration::from_millis(rng.between(150, 900)))
        .build()
        .expect("each is within its range");
    let mut service = ServiceFaults::default();
    (service.throttle, service.internal_failure) = (300_000, 300_000);
    let mut faults = vec![Fault::always(FaultKind::Service(service))];
    for step in 1..12u32 {
        let at = Duration::from_millis(100 * u64::from(step) + rng.below(80));
        let what = if rng.below(2) == 0 { FaultKind::Split } else { FaultKind::Merge };
        faults.push(Fault::at(at, what));
    }
    let mut options = Options::default().config(config).faults(Faults::Plan(faults));
    options.duration = Duration::from_millis(1_500);
    options.service.shards = 3;
    options.workload.rate = Rate::Constant(200);
    options.workload.keys = Keys::Uniform { keys: 40 };
    options
}

const TWICE_EVERY: u64 = 16;
const STORM_EVERY: u64 = 4;
