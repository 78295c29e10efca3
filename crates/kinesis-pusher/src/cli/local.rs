//! `local`: the embedded Kinesis by itself.

use clap::Args;

use super::push::LOCAL_SHARDS;
use super::target::stream_name;
use super::values::number;

/// Everything `local` can be told.
#[derive(Debug, Args)]
pub(crate) struct LocalArgs {
    /// The port on 127.0.0.1; 0 for any free one
    #[arg(long, default_value_t = 4567)]
    pub(crate) port: u16,

    /// Shards of each stream made at the start
    #[arg(long, value_name = "N", default_value = "4", value_parser = number(LOCAL_SHARDS))]
    pub(crate) shards: u32,

    /// Make this stream at the start; may be given again
    #[arg(long = "stream", value_name = "NAME", value_parser = stream_name)]
    pub(crate) streams: Vec<String>,
}
