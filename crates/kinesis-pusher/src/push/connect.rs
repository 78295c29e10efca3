//! The producer behind a run, and with `--local` the Kinesis behind the producer.

use std::sync::Arc;

use kinesis_batcher_driver::Producer;

use super::local_stream::LocalStream;
use crate::cli::{PushArgs, Target};
use crate::connect;
use crate::exit::StartError;
use crate::failures::Failures;
use crate::producer::add_to;

/// Where the records go.
pub(super) struct Connected {
    /// The producer. Before the server, so that it goes first.
    pub(super) producer: Producer,
    /// With `--local`: the server, to be read back from.
    pub(super) local: Option<LocalStream>,
}

impl Connected {
    /// The stream's name.
    pub(super) fn stream<'a>(&'a self, target: &'a Target) -> &'a str {
        self.local.as_ref().map_or_else(|| target.stream_name(), LocalStream::name)
    }
}

/// Finds the stream, or makes it.
///
/// # Errors
/// Settings that do not go together; a stream that cannot be reached.
pub(super) async fn connect(args: &PushArgs, failures: &Arc<Failures>) -> Result<Connected, StartError> {
    let config = args.config().map_err(StartError::usage)?;
    let local = match args.local {
        Some(shards) => Some(LocalStream::start(args.target.stream.as_deref(), shards).await?),
        None => None,
    };
    let builder = local.as_ref().map_or_else(|| connect::producer(&args.target), LocalStream::producer);
    let connecting = builder.config(config).on_failure(add_to(failures)).connect();
    let producer = connecting.await.map_err(|error| connect::unconnected(&error, &args.target))?;
    Ok(Connected { producer: producer.into(), local })
}
