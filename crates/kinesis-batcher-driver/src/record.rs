//! Records with a tag of the sender's.

use std::fmt;

use kinesis_batcher_core::{Failure, Receipt, Record};

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

/// Called with each [`Completion`].
pub(crate) struct CompletionHandler(Box<dyn Fn(Completion) + Send + Sync>);

impl CompletionHandler {
    pub(crate) fn new(handler: impl Fn(Completion) + Send + Sync + 'static) -> Self {
        Self(Box::new(handler))
    }

    pub(crate) fn call(&self, completion: Completion) {
        (self.0)(completion);
    }
}

impl fmt::Debug for CompletionHandler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CompletionHandler(..)")
    }
}
