//! Runs seeds until a promise is broken. Built against each broken core by the example `mutations`.
//!
//! Arguments: the number of seeds, then the kinds of fault that never happen.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use kinesis_batcher_sim::{Faults, Options, run, run_paired, run_twice};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let seeds: u64 = arguments.next().and_then(|seeds| seeds.parse().ok()).unwrap_or(1_000);
    let without: Vec<String> = arguments.collect();
    for seed in 0..seeds {
        let mut options = Options::of_seed(seed);
        if !without.is_empty() {
            let mut faults = options.faults.resolve(seed, &options);
            faults.retain(|fault| !without.contains(&fault.name()));
            options.faults = Faults::Plan(faults);
        }
        let report = catch_unwind(AssertUnwindSafe(|| {
            if seed % TWICE_EVERY == 0 { run_twice(seed, &options) } else { run(seed, &options) }
        }));
        match report {
            Ok(report) if report.is_ok() && seed % PAIRED_EVERY != PAIRED_EVERY / 2 => {}
            Ok(report) if report.is_ok() => {
                let compared = catch_unwind(AssertUnwindSafe(|| run_paired(seed, &options).compare()));
                if let Ok(Err(what)) = compared {
                    println!("Paired {seed} {what}");
                    return ExitCode::FAILURE;
                }
            }
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

const TWICE_EVERY: u64 = 16;
const PAIRED_EVERY: u64 = 16;
