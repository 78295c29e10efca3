//! Records with a tag of the sender's.

use std::fmt;

use kinesis_batcher_core::{Failure, Receipt, Record};

use crate::error::DeliveryError;

/// A record and a number of the sender's own: a line, an offset, an index. Records turn into one with tag 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaggedRecord {
    /// The record.
    pub record: Record,
    /// The sender's number for it. It comes back in the [`Completion`]; the producer makes nothing of it.
    pub tag: u64,
}

impl From<Record> for TaggedRecord {
    fn from(record: Record) -> Self {
        Self { record, tag: 0 }
    }
}

impl From<(Record, u64)> for TaggedRecord {
    fn from((record, tag): (Record, u64)) -> Self {
        Self { record, tag }
    }
}

/// What became of a record that was sent without a [`Delivery`](crate::Delivery); goes to the handler of
/// [`ProducerBuilder::on_completion`](crate::ProducerBuilder::on_completion).
#[derive(Debug)]
pub enum Completion {
    /// It is stored.
    Delivered {
        /// The sender's number for it.
        tag: u64,
        /// Where it is.
        receipt: Receipt,
    },
    /// It will not be sent any more. It is handed back whole.
    Failed {
        /// The sender's number for it.
        tag: u64,
        /// The record.
        record: Record,
        /// Why.
        failure: Failure,
    },
}

impl Completion {
    /// The sender's number for the record.
    #[must_use]
    pub fn tag(&self) -> u64 {
        match self {
            Self::Delivered { tag, .. } | Self::Failed { tag, .. } => *tag,
        }
    }
}

/// Called with what becomes of records that nobody has a [`Delivery`](crate::Delivery) of.
pub(crate) enum Handler {
    /// With each.
    Completions(Box<dyn Fn(Completion) + Send + Sync>),
    /// With each that failed, and its sender's number.
    Failures(Box<dyn Fn(u64, DeliveryError) + Send + Sync>),
}

impl Handler {
    /// Whether it is called with records that were delivered.
    pub(crate) fn hears_of_deliveries(&self) -> bool {
        matches!(self, Self::Completions(_))
    }

    pub(crate) fn call(&self, completion: Completion) {
        match (self, completion) {
            (Self::Completions(handler), completion) => handler(completion),
            (Self::Failures(handler), Completion::Failed { tag, record, failure }) => {
                handler(tag, DeliveryError::new(record, failure));
            }
            (Self::Failures(_), Completion::Delivered { .. }) => {}
        }
    }
}

impl fmt::Debug for Handler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Completions(_) => "Completions(..)",
            Self::Failures(_) => "Failures(..)",
        })
    }
}
