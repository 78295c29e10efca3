//! Runs one seed and prints each step of it.
//!
//! `cargo run --release -p kinesis-batcher-sim --example replay -- --seed N [--profile short|long|soak] [--paired]`
//!
//! `--paired` shows the run of a pair that has faults, and how it compares.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "printing is what it is for")]

use std::process::ExitCode;

use kinesis_batcher_sim::{Profile, run, run_paired};

fn main() -> ExitCode {
    let Some((seed, profile, is_paired)) = arguments() else {
        eprintln!("usage: replay --seed N [--profile short|long|soak] [--paired]");
        return ExitCode::from(2);
    };
    let options = profile.options(seed).trace_lines_max(LINES_MAX);
    let (report, compared) = if is_paired {
        let pair = run_paired(seed, &options);
        (pair.disturbed.clone(), pair.compare())
    } else {
        (run(seed, &options), Ok(()))
    };
    print!("{}", report.trace);
    println!();
    print!("{report}");
    if let Err(what) = &compared {
        println!("{what}");
    }
    if report.is_ok() && compared.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn arguments() -> Option<(u64, Profile, bool)> {
    let (mut seed, mut profile, mut is_paired) = (None, Profile::Short, false);
    let mut given = std::env::args().skip(1);
    while let Some(name) = given.next() {
        match name.as_str() {
            "--seed" => seed = Some(given.next()?.parse().ok()?),
            "--profile" => profile = given.next()?.parse().ok()?,
            "--paired" => is_paired = true,
            _ => return None,
        }
    }
    Some((seed?, profile, is_paired))
}

/// More than a short run has.
const LINES_MAX: usize = 1_000_000;
