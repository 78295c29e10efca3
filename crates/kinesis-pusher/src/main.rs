//! Push files and standard input into Amazon Kinesis Data Streams, and read them back.
//!
//! The binary is the whole crate: `cli` says what may be typed, `push`, `read`, `shards`, `local` and
//! `simulate` are the subcommands, and the other modules are what they share.

mod cli;
mod connect;
mod dead_letters;
mod destination;
#[cfg_attr(not(feature = "local"), path = "embedded_absent.rs")]
mod embedded;
mod exit;
mod failures;
mod input;
mod key;
mod ledger;
mod local;
mod logging;
mod output;
mod producer;
mod progress;
mod push;
mod read;
mod reason;
mod shards;
mod signals;
mod simulate;
mod summary;
mod verify;

use std::num::NonZero;
use std::process::ExitCode;
use std::{io, thread};

use clap::Parser;
use tokio::runtime::{Builder, Runtime};

use crate::cli::{Cli, Command};
use crate::exit::{Exit, StartError};

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let exit = match Cli::try_parse() {
        Ok(cli) => {
            logging::start(cli.log, cli.command.is_trial());
            run(cli.command).unwrap_or_else(|error| {
                output::error(&error.to_string());
                error.exit
            })
        }
        Err(error) => cli::explain(&error),
    };
    exit.into()
}

fn run(command: Command) -> Result<Exit, StartError> {
    check_open_files()?;
    let runtime = runtime().map_err(|error| {
        StartError::new(format!("cannot start threads: {error}; check the process limits"))
    })?;
    let result = runtime.block_on(async {
        match command {
            Command::Push(args) => push::run(*args).await,
            Command::Read(args) => read::run(args).await,
            Command::Shards(args) => shards::run(args).await,
            Command::Local(args) => local::run(args).await,
            Command::Simulate(args) => simulate::run(&args),
        }
    });
    // A blocking task, such as a name that is being looked up, must not keep the process from ending.
    runtime.shutdown_background();
    result
}

/// The runtime, its signals, an input and a connection need some file descriptors, and tokio panics without.
fn check_open_files() -> Result<(), StartError> {
    let probes: io::Result<Vec<std::net::UdpSocket>> =
        (0..OPEN_FILES_MIN).map(|_| std::net::UdpSocket::bind((std::net::Ipv4Addr::LOCALHOST, 0))).collect();
    match probes {
        Err(error) if is_too_many_open_files(&error) => Err(StartError::new(format!(
            "cannot open {OPEN_FILES_MIN} files at once: {error}; raise the limit (ulimit -n)"
        ))),
        // Whatever else a socket may lack is of no concern here.
        _ => Ok(()),
    }
}

/// `EMFILE` and `ENFILE`, which have no kind of their own.
fn is_too_many_open_files(error: &io::Error) -> bool {
    cfg!(unix) && matches!(error.raw_os_error(), Some(23 | 24))
}

/// A thread for each core but one: input has a thread of its own, and so has what moves it on to the producer. One more than
/// there are cores left takes more CPU time and gets no more done.
fn runtime() -> io::Result<Runtime> {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    Builder::new_multi_thread().worker_threads((cores - 1).max(1)).enable_all().build()
}

/// Two for the runtime's reactor, two for signals, one each for an input, the dead letters, a name look-up and a connection.
const OPEN_FILES_MIN: usize = 8;
