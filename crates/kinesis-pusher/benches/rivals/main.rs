//! What a record costs with this producer and with its rivals, on the same machine, against the same server, in one run.
//!
//! `cargo bench -p kinesis-pusher --bench rivals [-- --rounds N] [--only NAME]` (Unix only)
//!
//! The plain loop over the SDK and the producer are always there. The rivals in Python and in Node are installed by pip
//! and npm, at the versions that `python/requirements.txt` and `node/package.json` pin, into the cargo target directory; where
//! one of the tools or its registry is missing, a line says so and the others run. `--only` takes a part of a
//! name.
//!
//! Two things are measured, each on whole processes that take turns, and told as medians of the rounds:
//!
//! - **Throughput**: a file of lines as fast as it goes. CPU is user and system time of the process and the children it
//!   waited for. The CPU of a run of one line is that of its start; it is taken off both CPU and time.
//! - **Latency** at a fixed load, from the moment that a record was due to its acknowledgement, each contestant with the
//!   settings that made it fastest, against a server whose replies take [`DELAY`] longer.
//!
//! The server is a process of its own. It routes and stores, and says after each run which of the numbered lines came
//! in, how many came in twice, and which of those in aggregates a KCL consumer would drop.

#![allow(missing_docs, clippy::print_stdout, reason = "a bench prints its figures")]

#[path = "../common/mod.rs"]
mod common;
mod contestants;
mod delay;
mod input;
mod install;
mod latency;
mod paced;
mod producer;
mod sdk_loop;
mod throughput;

use std::time::Duration;

use common::server::{SERVE, Server};
use contestants::{Contestant, contestants};
use install::Tools;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (flags, arguments): (Vec<&str>, Vec<&str>) =
        arguments.into_iter().partition(|argument| *argument == "--bench");
    match *arguments {
        [SERVE] => common::server::serve(None),
        [SDK_LOOP, _, file] => block_on(sdk_loop::all(file)),
        [SDK_LOOP, _, file, rate] => block_on(sdk_loop::paced(file, rate)),
        [PRODUCER, _, file] => block_on(producer::all(file)),
        [PRODUCER, linger, file, rate] => block_on(producer::paced(linger, file, rate)),
        // `cargo test --benches` only wants to see it work, and has no time for others.
        [] if flags.is_empty() => bench(&contestants(&Tools::none()), 1, 0.01),
        _ => {
            let (rounds, only) = options(&arguments);
            bench(&chosen(only), rounds, 1.0);
        }
    }
}

fn options<'a>(arguments: &[&'a str]) -> (usize, &'a str) {
    let (mut rounds, mut only) = (ROUNDS, "");
    for pair in arguments.chunks(2) {
        match *pair {
            ["--rounds", number] => rounds = number.parse().expect("rounds are counted"),
            ["--only", name] => only = name,
            _ => panic!("the arguments are --rounds N and --only NAME"),
        }
    }
    (rounds, only)
}

/// The plain loop, which is the unit of the others, and those that were asked for.
fn chosen(only: &str) -> Vec<Contestant> {
    let mut contestants = contestants(&Tools::install());
    let mut first = true;
    contestants.retain(|contestant| std::mem::take(&mut first) || contestant.name.contains(only));
    contestants
}

fn bench(contestants: &[Contestant], rounds: usize, share: f64) {
    let mut server = Server::start();
    throughput::compare(contestants, &mut server, rounds, share);
    for rate in RATES {
        latency::compare(contestants, &mut server, rounds, rate, share);
    }
}

/// The load average of the last minute: how much else the machine does.
fn load() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').next().filter(|load| !load.is_empty()).unwrap_or("unknown").to_owned()
}

fn block_on(run: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.expect("a runtime starts").block_on(run);
}

const ROUNDS: usize = 3;
/// Records a second: one shard's worth, and five.
const RATES: [u64; 2] = [1_000, 5_000];
/// About what the service takes for a small request in the same region.
const DELAY: Duration = Duration::from_millis(5);

const SDK_LOOP: &str = "--sdk-loop";
const PRODUCER: &str = "--producer";
