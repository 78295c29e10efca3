//! `local`: the embedded Kinesis by itself.

use clap::Args;

use super::push::LOCAL_SHARDS;
use super::target::stream_name;
use super::values::number;

/// Everything `local` can be told.
#[derive(Debug, Args)]
#[command(after_help = DIFFERENCES)]
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

const DIFFERENCES: &str = "\
It behaves like Kinesis also through splits, merges and changed shard counts.
Where it differs:
  - everything is kept in memory and gone at the end
  - any region and credentials are taken; signatures are not verified
  - at most 1 MiB a record and 5 MiB a request (--request-bytes 5MiB)
  - partition keys are required and have at most 256 bytes
  - a shard's write limits hold; there are none for reads and for control calls
  - a change of shards is in force at once, and any shard count is taken
  - arrival times are whole seconds
  - on-demand streams do not scale, and none has AUTO record distribution
All of it: the documentation of EmbeddedKinesis in kinesis-batcher-local";
