//! A simulated Kinesis in virtual time, with everything that can go wrong, for producers built on
//! [`kinesis_batcher_core`].
//!
//! This crate does **not** talk to Kinesis, open a socket, read a clock, start a thread or draw on global randomness.
//! It is no emulator: it keeps no payload, and nothing can be read back. For a server on loopback there is
//! `kinesis-batcher-local`.
//!
//! It is for whoever wants to know, before deploying, whether a stream will hold a load ("will 12 shards do; what
//! happens when one is hot, or splits?"), and for whoever tests: each run watches the core's promises from outside,
//! one [`Checker`] for each invariant, while requests and replies get lost, shards split, clocks stand still and the
//! service fails, all chosen by a seed.
//!
//! # A run
//!
//! [`run`] joins producers, their links, the service and a consumer, and jumps from one event to the next. The seed
//! decides which of several events at the same time comes first.
//!
//! 1. For [`Options::duration`], records are offered as [`Workload`] says and [`Faults`] happen: the *safety* phase.
//! 2. Then all faults are over. Everything must drain within a bound: the *liveness* phase.
//! 3. A [`Report`] says what happened; [`Report::violations`] is empty when every promise was kept.
//!
//! Each producer has a link, a clock and credentials of its own; a [`Fault`] concerns all of them or one. [`Caller`] says
//! how the programs around the batchers call: as the core's documentation shows it or as the drivers do, promptly, late
//! or a little at a time. A consumer with the rules of the KCL reads every shard: each record that is delivered is read,
//! byte for byte as it was pushed, and in the order of its key where that was asked for.
//!
//! ```
//! use std::time::Duration;
//! use kinesis_batcher_core::Config;
//! use kinesis_batcher_sim::{Faults, Options, run};
//!
//! let config = Config::builder().linger(Duration::from_millis(20)).aggregation(true).build()?;
//! let options = Options::default().config(config).duration(Duration::from_secs(3)).faults(Faults::Swarm);
//! for seed in 0..10 {
//!     let report = run(seed, &options);
//!     assert!(report.is_ok(), "{report}");
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Seeds
//!
//! The same seed and options give the same [`Report`], byte for byte, on every machine: integers only, no hash map
//! whose order could show, and a stream of randomness for each concern. [`Options::of_seed`] lets the seed choose
//! everything else too, settings and workload included; thousands of such runs are this repository's tests.
//! [`Profile::Long`] and [`Profile::Soak`] choose minutes of many producers and ten days of a few records. A run that
//! fails is repeated with [`Options::trace_lines_max`] to see every step of it.
//!
//! # Two clocks
//!
//! Each producer has a clock of its own, which faults set back or make coarse. What a batcher promises, it promises by
//! the time that it is told, so checkers measure by [`Scene::clock`].

#![forbid(unsafe_code)]

mod caller;
mod check;
mod faults;
mod histogram;
mod latency;
mod ledger;
mod meter;
mod network;
mod options;
mod profile;
mod report;
mod series;
mod service;
mod simulation;
mod trace;
mod window;
mod workload;

pub use caller::{Caller, Calls, Polling};
pub use check::{
    Breach, Cause, Checker, Checks, Invariant, Observation, Paired, Records, RequestView, Scene, SentRecord,
    Violation, run_paired, run_twice,
};
pub use faults::{Fault, FaultKind, Faults, OutageKind};
pub use histogram::Percentiles;
pub use kinesis_model::{
    AccountFault, Accounting, Cause as ErrorCause, Distribution, EntryReply, Kinesis, Law, Malformed,
    Meaning, Numbering, OpenShard, Others, Permits, PutEntry, PutReply, Refusal, ReshardError, Rng,
    ServiceFaults, ServiceOptions, StreamMode,
};
pub use latency::Latency;
pub use ledger::{Acceptance, Ledger, RecordFacts};
pub use network::{Network, Waves};
pub use options::{Ending, Options};
pub use profile::Profile;
pub use report::{Report, Steady, Totals};
pub use series::{Point, ShardPoint};
pub use simulation::{run, run_with};
pub use workload::{KeyText, Keys, Rate, Sizes, Spacing, Workload};
