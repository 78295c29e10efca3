//! Runs one seed and prints all that happened.
//!
//! `cargo run --release -p kinesis-batcher-sim --example replay -- --seed N`

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "printing is what it is for")]

use std::process::ExitCode;

use kinesis_batcher_sim::{Options, run};

fn main() -> ExitCode {
    let Some(seed) = arguments() else {
        eprintln!("usage: replay --seed N");
        return ExitCode::from(2);
    };
    let report = run(seed, &Options::of_seed(seed).trace_lines_max(LINES_MAX));
    print!("{}", report.trace);
    println!();
    print!("{report}");
    if report.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn arguments() -> Option<u64> {
    let mut arguments = std::env::args().skip(1);
    match (arguments.next()?.as_str(), arguments.next(), arguments.next()) {
        ("--seed", Some(seed), None) => seed.parse().ok(),
        _ => None,
    }
}

/// More than any seed's run has.
const LINES_MAX: usize = 1_000_000;
