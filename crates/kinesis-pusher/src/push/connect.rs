//! The stream behind a [`Destination`].

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use kinesis_batcher_core::Record;

use crate::cli::PushArgs;
use crate::destination::{Destination, Refused, Traffic};
use crate::exit::StartError;
use crate::input::Origin;
use crate::tally::Tally;

/// Nobody can make one.
pub(super) struct Unconnected(Infallible);

/// Finds the stream.
///
/// # Errors
/// When there is none.
pub(super) async fn connect(_args: &PushArgs, _tally: &Arc<Tally>) -> Result<Unconnected, StartError> {
    Err(StartError::new("this build has no producer; build it with one"))
}

impl Destination for Unconnected {
    async fn send_all(&self, _: Vec<(Record, Origin)>) -> Result<(), Refused> {
        match self.0 {}
    }

    async fn close(&self, _: Duration) {}

    fn traffic(&self) -> Traffic {
        match self.0 {}
    }
}
