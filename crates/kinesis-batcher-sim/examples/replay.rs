//! Runs one seed and prints each step of it.
//!
//! `cargo run --release -p kinesis-batcher-sim --example replay -- --seed N [--profile short|long|soak]`

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "printing is what it is for")]

use std::process::ExitCode;

use kinesis_batcher_sim::{Profile, run};

fn main() -> ExitCode {
    let Some((seed, profile)) = arguments() else {
        eprintln!("usage: replay --seed N [--profile short|long|soak]");
        return ExitCode::from(2);
    };
    let report = run(seed, &profile.options(seed).trace_lines_max(LINES_MAX));
    print!("{}", report.trace);
    println!();
    print!("{report}");
    if report.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn arguments() -> Option<(u64, Profile)> {
    let (mut seed, mut profile) = (None, Profile::Short);
    let mut given = std::env::args().skip(1);
    while let Some(name) = given.next() {
        match name.as_str() {
            "--seed" => seed = Some(given.next()?.parse().ok()?),
            "--profile" => profile = given.next()?.parse().ok()?,
            _ => return None,
        }
    }
    Some((seed?, profile))
}

/// More than a short run has.
const LINES_MAX: usize = 1_000_000;
