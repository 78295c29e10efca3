//! What the reader of replies asks of an encoding.

use std::borrow::Cow;

use kinesis_batcher_driver::{SequenceNumber, ShardId};

/// A place in a reply, and steps from there over values.
pub(crate) trait Scan<'a>: Sized {
    /// Whether nothing is left that counts.
    fn is_at_end(&mut self) -> bool;

    /// Hands the name of each field that is not null to `each`, which takes its value.
    fn object(&mut self, each: impl FnMut(&mut Self, &str) -> Result<(), Malformed>)
    -> Result<(), Malformed>;

    /// Calls `each` for each element, which it takes.
    fn array(&mut self, each: impl FnMut(&mut Self) -> Result<(), Malformed>) -> Result<(), Malformed>;

    /// Takes a string.
    fn string(&mut self) -> Result<Cow<'a, str>, Malformed>;

    /// Passes over a value of whatever kind.
    fn skip(&mut self) -> Result<(), Malformed>;

    /// Takes the entry of a stored record, if it is there as the service writes it, to the letter: nearly all entries are
    /// this one. Otherwise it stays where it is.
    fn stored(&mut self) -> Option<Stored>;

    /// Why this place is not what was looked for.
    fn malformed(&self, what: &'static str) -> Malformed;
}

/// What the entry of a stored record says.
pub(crate) struct Stored {
    pub(crate) shard_id: ShardId,
    pub(crate) sequence_number: SequenceNumber,
}

/// Why a reply cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} at byte {at} of the reply")]
pub(crate) struct Malformed {
    pub(crate) what: &'static str,
    pub(crate) at: usize,
}
