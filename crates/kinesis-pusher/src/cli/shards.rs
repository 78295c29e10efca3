//! `shards`: what a stream is made of.

use clap::{ArgGroup, Args, ValueEnum};

use super::target::Target;

/// Everything `shards` can be told.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("destination").args(["stream", "stream_arn"]).required(true))]
pub(crate) struct ShardsArgs {
    /// Which stream.
    #[command(flatten)]
    pub(crate) target: Target,

    /// How to print it
    #[arg(long, value_enum, default_value_t = ShardsOutput::Table)]
    pub(crate) output: ShardsOutput,
}

/// `shards --output`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ShardsOutput {
    /// Columns for people
    Table,
    /// An array with an object a shard
    Json,
}
