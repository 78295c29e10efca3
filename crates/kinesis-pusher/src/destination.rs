//! What `push` needs of a producer.

use std::future::Future;
use std::time::Duration;

use kinesis_batcher_core::{PushErrorReason, Record, ServiceError};

use crate::input::Origin;
use crate::reason::Reason;

/// Takes records and counts them; those that fail go to the [`Failures`](crate::failures::Failures).
pub(crate) trait Destination: Sync {
    /// Takes records in order and waits for room as often as need be.
    ///
    /// # Errors
    /// The first record that is not taken, and those behind it, which were not tried. A producer that is closed while
    /// this waits hands back the rest in the same way.
    fn send_all(&self, records: Vec<(Record, Origin)>) -> impl Future<Output = Result<(), Refused>> + Send;

    /// Takes no more records, delivers what is held, and after `within` hands back the rest, also to the failures.
    /// Every record has its end when this returns. May be dropped and called again with a nearer deadline.
    fn close(&self, within: Duration) -> impl Future<Output = ()> + Send;

    /// Whether no more requests may be under way, and enough records wait for the next ones.
    fn is_saturated(&self) -> bool;

    /// Why the stream cannot be written to at all, as far as the last request showed; `None` while it can, and while
    /// nothing is held.
    fn hold(&self) -> Option<ServiceError>;

    /// What was done so far; complete once it has closed.
    fn counts(&self) -> Counts;
}

/// Records that were not taken.
pub(crate) struct Refused {
    /// The first of them, and where it came from.
    pub(crate) record: (Record, Origin),
    /// Why not.
    pub(crate) reason: PushErrorReason,
    /// Those behind it.
    pub(crate) rest: Vec<(Record, Origin)>,
}

/// An end that is not a delivery.
pub(crate) struct Failed {
    /// Where the record came from.
    pub(crate) origin: Origin,
    /// The record, handed back.
    pub(crate) record: Record,
    /// Why it was not delivered.
    pub(crate) reason: Reason,
    /// How often it was sent.
    pub(crate) attempts: u32,
    /// Whether one of the attempts may have stored it all the same.
    pub(crate) possibly_stored: bool,
}

/// What was done.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    /// Records the stream has.
    pub(crate) delivered: u64,
    /// Of those, the ones that took more than one attempt.
    pub(crate) recovered: u64,
    /// Records, delivered or failed, that an attempt with unknown outcome may have stored once more.
    pub(crate) possibly_duplicated: u64,
    /// PutRecords requests.
    pub(crate) requests: u64,
    /// Records as the service counts them.
    pub(crate) kinesis_records: u64,
    /// Times that the service throttled a record.
    pub(crate) throttled: u64,
    /// Times that the stream could not be written to at all.
    pub(crate) holds: u64,
    /// Aggregation was asked for and is off, because the stream distributes records itself.
    pub(crate) aggregation_suspended: bool,
}
