//! What may be typed.

mod http_choice;
mod local;
mod log;
mod producer;
mod push;
mod read;
mod shards;
mod simulate;
mod target;
mod values;

use clap::{Parser, Subcommand};

pub(crate) use local::LocalArgs;
pub(crate) use log::{LogArgs, LogFormat};
pub(crate) use push::{
    Format, OnBadRecord, ProgressMode, PushArgs, ReportingArgs, StatusArgs, SummaryFormat,
};
pub(crate) use read::{From, ReadArgs, ReadOutput};
pub(crate) use shards::{ShardsArgs, ShardsOutput};
pub(crate) use simulate::SimulateArgs;
pub(crate) use target::{Distribution, Target};
pub(crate) use values::{duration, write_duration};

use crate::exit::Exit;
use crate::output;

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "kinesis-pusher",
    version,
    about = "Push files and standard input into Amazon Kinesis Data Streams.",
    after_help = EXAMPLES,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,

    /// What is logged meanwhile.
    #[command(flatten)]
    pub(crate) log: LogArgs,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Read records from files or stdin and deliver them to a stream
    Push(Box<PushArgs>),
    /// Print the records of a stream, aggregates taken apart
    Read(ReadArgs),
    /// List the open shards of a stream: hash-key ranges, limits, share of the key space
    Shards(ShardsArgs),
    /// Run a Kinesis on this machine until it is stopped
    Local(LocalArgs),
    /// Try a load on a stream that does not exist: virtual time, faults, and how many shards it needs
    Simulate(Box<SimulateArgs>),
}

impl Command {
    /// Whether all this talks to is inside this process.
    pub(crate) fn is_trial(&self) -> bool {
        match self {
            Self::Push(args) => args.local.is_some(),
            Self::Local(_) | Self::Simulate(_) => true,
            Self::Read(_) | Self::Shards(_) => false,
        }
    }
}

/// Prints what clap has to say: help and version in full on stdout, wrong usage as one line on stderr.
pub(crate) fn explain(error: &clap::Error) -> Exit {
    if !error.use_stderr() {
        // Help into a closed pipe is no error, and nothing else can be done about a full disk here.
        let _ = error.print();
        return Exit::Done;
    }
    if error.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let _ = error.print();
    } else {
        output::note(&one_line(&error.render().to_string()));
    }
    Exit::Usage
}

/// Clap's message without its usage block, on one line: logs and scripts read lines.
fn one_line(rendered: &str) -> String {
    let mut line = String::new();
    for part in rendered.lines().map(str::trim).take_while(|part| !part.starts_with("Usage:")) {
        if part.is_empty() || part.starts_with("For more information") {
            continue;
        }
        if !line.is_empty() {
            line.push_str(if part.starts_with("tip:") { "; " } else { " " });
        }
        line.push_str(part);
    }
    line.push_str("; --help tells more");
    line
}

// Within 80 columns, as clap would otherwise break the lines somewhere.
const EXAMPLES: &str = "\
Examples:
  kinesis-pusher push --local access.log
      without AWS: start a Kinesis in this process, push, read back, compare
  kinesis-pusher push --stream orders orders.ndjson --format ndjson \\
      --partition-key json:/customer/id
  tail -f app.log | kinesis-pusher push --stream logs
  kinesis-pusher read --stream orders --until-caught-up
  kinesis-pusher shards --stream orders
  kinesis-pusher local --port 4567 --stream orders
  kinesis-pusher simulate --shards 12 --rate 9000 --plot 12.svg

Exit codes:
  0  everything was delivered
  1  something was not
  2  wrong usage
  3  it could not start";

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_declaration_of_the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_usage_error_is_one_line_that_keeps_the_tip_and_drops_the_usage_block() {
        let error =
            Cli::try_parse_from(["kinesis-pusher", "push", "--local", "--partitionkey", "line"]).unwrap_err();
        let line = one_line(&error.render().to_string());
        assert!(!line.contains('\n'), "one line: {line}");
        assert!(line.starts_with("error: unexpected argument '--partitionkey'"), "names the flag: {line}");
        assert!(line.contains("--partition-key"), "keeps the tip: {line}");
        assert!(!line.contains("Usage"), "drops the usage block: {line}");
    }
}
