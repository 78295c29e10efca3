//! Runs many seeds and says which fails first, and how to see it.
//!
//! `cargo run --release -p kinesis-batcher-sim --example seeds -- --seeds 100000 [--from 0] [--threads 1]
//! [--profile short|long|soak] [--keep-going] [--digest] [--paired]`
//!
//! `--paired` runs every 16th seed with and without its faults too, and compares what came of it.
//!
//! `--digest` prints a digest of all reports: the same on every machine, in every build profile.
//!
//! Exit code 0 when every promise was kept in every run, 1 when one was not, 2 for wrong usage.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "printing is what it is for")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use kinesis_batcher_sim::{Profile, Report, run, run_paired};

fn main() -> ExitCode {
    let Some(arguments) = Arguments::parse() else {
        eprintln!(
            "usage: seeds [--seeds N] [--from N] [--threads N] [--profile short|long|soak] [--keep-going] [--digest] \
             [--paired]"
        );
        return ExitCode::from(2);
    };
    let began = Instant::now();
    let next = AtomicU64::new(arguments.from);
    let (done, records, failures) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let (micros, digest) = (AtomicU64::new(0), AtomicU64::new(0));
    let profile = arguments.profile;
    let stop = AtomicBool::new(false);
    let end = arguments.from.saturating_add(arguments.seeds);
    let reported = Mutex::new(began);
    let work = || {
        while !stop.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end {
                break;
            }
            match try_seed(&arguments, seed) {
                Ok(report) => {
                    micros.fetch_add(report.elapsed.as_micros() as u64, Ordering::Relaxed);
                    if arguments.digests {
                        // A sum, so that the order of the threads does not matter.
                        digest.fetch_add(digest_of(&report), Ordering::Relaxed);
                    }
                    records.fetch_add(report.totals.records_delivered, Ordering::Relaxed);
                }
                Err(what) => {
                    eprintln!("seed {seed}: {what}\n{REPLAY} --profile {profile} --seed {seed}");
                    stop.store(!arguments.keeps_going, Ordering::Relaxed);
                    failures.fetch_add(1, Ordering::Relaxed);
                }
            }
            let done = done.fetch_add(1, Ordering::Relaxed) + 1;
            let mut reported = reported.lock().unwrap_or_else(PoisonError::into_inner);
            if reported.elapsed() >= PROGRESS_EVERY {
                *reported = Instant::now();
                eprintln!("{done} of {} seeds after {:.0} s", arguments.seeds, began.elapsed().as_secs_f64());
            }
        }
    };
    thread::scope(|scope| {
        // A single thread is this one: there are targets without others.
        for _ in 1..arguments.threads {
            scope.spawn(work);
        }
        work();
    });
    let (done, failures) = (done.into_inner(), failures.into_inner());
    let seconds = began.elapsed().as_secs_f64();
    if arguments.digests {
        println!("digest {:016x}", digest.into_inner());
    }
    let virtual_seconds = micros.into_inner() as f64 / 1e6;
    println!(
        "{virtual_seconds:.0} virtual seconds, {:.0} a second and thread",
        virtual_seconds / seconds / arguments.threads as f64
    );
    println!(
        "{done} seeds from {}, {failures} failed, {} records delivered, {seconds:.1} s ({:.0} us a seed and thread)",
        arguments.from,
        records.into_inner(),
        seconds * 1e6 * arguments.threads as f64 / done.max(1) as f64
    );
    if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The report, or what was wrong.
fn try_seed(arguments: &Arguments, seed: u64) -> Result<Report, String> {
    let options = arguments.profile.options(seed);
    let tried = catch_unwind(AssertUnwindSafe(|| {
        let report = run(seed, &options);
        if !report.is_ok() {
            let told: Vec<String> = report.violations.iter().map(ToString::to_string).collect();
            return Err(told.join("\n"));
        }
        if arguments.pairs && seed.is_multiple_of(PAIRED_EVERY) {
            run_paired(seed, &options).compare().map_err(|what| format!("paired: {what}"))?;
        }
        Ok(report)
    }));
    tried.unwrap_or_else(|_| Err("it panicked, see above".into()))
}

/// FNV-1a over the report's text.
fn digest_of(report: &Report) -> u64 {
    report.to_string().bytes().fold(0xCBF2_9CE4_8422_2325, |digest, byte| {
        (digest ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
    })
}

struct Arguments {
    seeds: u64,
    from: u64,
    threads: u64,
    profile: Profile,
    keeps_going: bool,
    digests: bool,
    pairs: bool,
}

impl Arguments {
    fn parse() -> Option<Self> {
        let mut arguments = Self {
            seeds: 10_000,
            from: 0,
            threads: 1,
            profile: Profile::Short,
            keeps_going: false,
            digests: false,
            pairs: false,
        };
        let mut given = std::env::args().skip(1);
        while let Some(name) = given.next() {
            match name.as_str() {
                "--seeds" => arguments.seeds = given.next()?.parse().ok()?,
                "--from" => arguments.from = given.next()?.parse().ok()?,
                "--threads" => {
                    arguments.threads = given.next()?.parse().ok().filter(|&threads| threads > 0)?;
                }
                "--profile" => arguments.profile = given.next()?.parse().ok()?,
                "--digest" => arguments.digests = true,
                "--paired" => arguments.pairs = true,
                "--keep-going" => arguments.keeps_going = true,
                _ => return None,
            }
        }
        Some(arguments)
    }
}

const REPLAY: &str = "cargo run --release -p kinesis-batcher-sim --example replay --";
const PAIRED_EVERY: u64 = 16;
const PROGRESS_EVERY: Duration = Duration::from_secs(30);
