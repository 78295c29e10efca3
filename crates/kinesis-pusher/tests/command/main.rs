//! The command as users run it: a process, its files, its signals and its exit code.

#![allow(missing_docs, clippy::unwrap_used)]

mod credentials;
#[cfg(feature = "local")]
mod embedded;
mod encodings;
mod endless;
mod environment;
mod faults;
mod holding;
#[cfg(not(feature = "local"))]
mod lean;
mod listen;
mod log;
mod pipes;
mod reach;
mod read;
mod read_faults;
mod rotation;
mod run;
#[cfg(feature = "local")]
mod serve;
mod shards;
mod short_files;
mod simulate;
mod start;
#[cfg(unix)]
mod stop;
mod usage;
