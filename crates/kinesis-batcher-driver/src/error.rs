//! Refusals and failures. Each gives the record back.

use std::fmt;

use kinesis_batcher_core::{Failure, PushErrorReason, Record};

use crate::record::TaggedRecord;
use crate::tag::Reply;
use crate::waiters::Refused;

/// A record that was not accepted, given back.
#[derive(Debug)]
pub struct SendError {
    /// Why. [`Producer::send`](crate::Producer::send) and the others that wait never say
    /// [`Full`](PushErrorReason::Full) or [`ShardFull`](PushErrorReason::ShardFull).
    pub reason: PushErrorReason,
    /// The record, unchanged.
    pub record: Record,
    /// The tag it was sent with; 0 if none.
    pub tag: u64,
}

impl From<Refused> for SendError {
    fn from(refused: Refused) -> Self {
        let tag = match refused.parcel.reply {
            Reply::Handler(tag) => tag,
            Reply::Delivery(_) => 0,
        };
        Self { reason: refused.reason, record: refused.parcel.record, tag }
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.reason, f)
    }
}

impl std::error::Error for SendError {}

/// The rest of what was given to [`Producer::send_all`](crate::Producer::send_all), from the first record that was
/// refused on. Everything before it is accepted.
#[derive(Debug)]
pub struct SendAllError {
    /// The record that was refused, and why.
    pub refused: SendError,
    /// Those behind it, in order, which were not tried.
    pub rest: Vec<TaggedRecord>,
}

impl fmt::Display for SendAllError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} more were not tried)", self.refused, self.rest.len())
    }
}

impl std::error::Error for SendAllError {}

/// An accepted record that was not delivered, given back.
///
/// Boxed, because its larger part would otherwise be set aside for every record that a [`Delivery`](crate::Delivery)
/// waits for.
#[derive(Debug)]
pub struct DeliveryError(Box<(Record, Failure)>);

impl DeliveryError {
    pub(crate) fn new(record: Record, failure: Failure) -> Self {
        Self(Box::new((record, failure)))
    }

    /// Why it was not delivered, after how many attempts, and whether one of them may have stored it all the same.
    #[must_use]
    pub fn failure(&self) -> &Failure {
        &self.0.1
    }

    /// The record, unchanged.
    #[must_use]
    pub fn record(&self) -> &Record {
        &self.0.0
    }

    /// The record, taken out.
    #[must_use]
    pub fn into_record(self) -> Record {
        self.0.0
    }

    /// Record and failure, taken out.
    #[must_use]
    pub fn into_parts(self) -> (Record, Failure) {
        *self.0
    }
}

impl fmt::Display for DeliveryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.failure(), f)
    }
}

impl std::error::Error for DeliveryError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(self.failure())
    }
}

/// The runtime was dropped under the producer: nothing more is sent, and what was held came back as failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RuntimeStopped;

impl fmt::Display for RuntimeStopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the runtime of the producer was shut down before everything was delivered")
    }
}

impl std::error::Error for RuntimeStopped {}
