//! What is logged, for every subcommand.

use clap::{ArgAction, Args, ValueEnum};

/// What is logged, and how.
#[derive(Clone, Copy, Debug, Args)]
#[command(next_help_heading = "Log")]
pub(crate) struct LogArgs {
    /// How the log, and all else this says, is written to stderr; the summary has --summary
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = LogFormat::Text, global = true)]
    pub(crate) log_format: LogFormat,

    /// Log more than warnings (push --local: more than errors): -v what happens, -vv each request, -vvv what the
    /// libraries below it tell, too. Never data, keys or credentials
    #[arg(short, long = "verbose", action = ArgAction::Count, global = true)]
    pub(crate) verbosity: u8,
}

/// `--log-format`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people
    Text,
    /// One JSON object a line: timestamp, level, target, fields
    Json,
}
