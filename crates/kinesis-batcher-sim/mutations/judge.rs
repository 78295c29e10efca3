//! Runs seeds until a promise is broken. Built against each broken core by the example `mutations`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use kinesis_batcher_sim::{Options, run, run_twice};

fn main() -> ExitCode {
    let seeds: u64 = std::env::args().nth(1).and_then(|seeds| seeds.parse().ok()).unwrap_or(1_000);
    for seed in 0..seeds {
        let options = Options::of_seed(seed);
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

const TWICE_EVERY: u64 = 16;
