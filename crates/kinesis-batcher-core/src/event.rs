//! What the caller is told.

use core::fmt;

use crate::error_code::ServiceError;
use crate::record::Record;
use crate::sequence_number::SequenceNumber;
use crate::shard_id::ShardId;

/// Something the caller should know. Each accepted tag comes back in exactly one [`Delivered`](Event::Delivered) or
/// [`Failed`](Event::Failed).
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<T> {
    /// A record is stored.
    Delivered {
        /// What the caller pushed with it.
        tag: T,
        /// Where it is.
        receipt: Receipt,
    },
    /// A record will not be sent any more. It is handed back whole.
    Failed {
        /// What the caller pushed with it.
        tag: T,
        /// The record.
        record: Record,
        /// Why.
        failure: Failure,
    },
    /// The shards are not as the map says: get a new one and give it to
    /// [`handle_shard_map`](crate::Batcher::handle_shard_map). Told once, and again only after a while.
    ShardMapStale,
    /// A push was refused because the buffer was full; now there is room.
    Unblocked,
    /// Closed, and every accepted record has come back. Nothing follows.
    Drained,
}

/// Proof that a record is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Receipt {
    /// The shard that stored it.
    pub shard_id: ShardId,
    /// Its number in that shard.
    pub sequence_number: SequenceNumber,
    /// Its place in the aggregate that has the sequence number, from 0; `None` if it is not in one.
    pub sub_sequence_number: Option<u32>,
    /// Attempts it took, from 1: requests that may have reached a shard.
    pub attempts: u32,
    /// An earlier attempt may have stored it too: its outcome is unknown.
    pub possible_duplicate: bool,
}

/// Why a record failed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failure {
    /// The reason.
    pub reason: FailureReason,
    /// Attempts it had: requests that may have reached a shard; 0 if none did.
    pub attempts: u32,
    /// An attempt may have stored it all the same: its outcome is unknown.
    pub possibly_stored: bool,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let attempts = self.attempts;
        let told = match &self.reason {
            FailureReason::Expired { last_error: None } => {
                write!(f, "its time to live ran out after {attempts} attempts")
            }
            FailureReason::Expired { last_error: Some(error) } => {
                write!(f, "its time to live ran out after {attempts} attempts; last error: {error}")
            }
            FailureReason::AttemptsExhausted(error) => write!(f, "sent {attempts} times, then {error}"),
            FailureReason::Rejected(error) => write!(f, "rejected by the service: {error}"),
            FailureReason::Permanent(error) => write!(f, "refused: {error}"),
            FailureReason::TooLarge { bytes, bytes_max } => {
                write!(f, "it has {bytes} bytes with its key; the stream now takes {bytes_max}")
            }
            FailureReason::PartitionKeyMissing => {
                f.write_str("it has no partition key, and the stream now needs one")
            }
            FailureReason::OrderImpossible => f.write_str(ORDER_IMPOSSIBLE),
            FailureReason::Aborted => f.write_str("stopped before it was delivered"),
        };
        told?;
        if self.possibly_stored { f.write_str(" (an attempt may have stored it)") } else { Ok(()) }
    }
}

impl core::error::Error for Failure {}

/// What ended a record's way.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FailureReason {
    /// Its time to live ran out.
    Expired {
        /// The last error of its shard or of the stream, if there was one.
        last_error: Option<ServiceError>,
    },
    /// It had as many attempts as allowed; the last one failed with this.
    AttemptsExhausted(ServiceError),
    /// The service rejected a request that held this record alone.
    Rejected(ServiceError),
    /// The service refused it, or the request it was in, with an account-level error, and
    /// [`fail_fast`](crate::ConfigBuilder::fail_fast) is set.
    Permanent(ServiceError),
    /// The stream's record size was lowered while it waited.
    TooLarge {
        /// Bytes of data and key.
        bytes: usize,
        /// What the stream takes now.
        bytes_max: usize,
    },
    /// It has no partition key and the stream's distribution changed from `AUTO` while it waited.
    PartitionKeyMissing,
    /// The stream's distribution changed to `AUTO` while it waited, and order was asked for, which such a stream does
    /// not keep.
    OrderImpossible,
    /// [`abort`](crate::Batcher::abort) was called.
    Aborted,
}

/// A refused push. The record and its tag are given back.
#[derive(Debug)]
pub struct PushError<T> {
    /// Why.
    pub reason: PushErrorReason,
    /// The record, unchanged.
    pub record: Record,
    /// The tag, unchanged.
    pub tag: T,
}

/// Why a push was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PushErrorReason {
    /// The buffer is full; [`Event::Unblocked`] says when there is room.
    Full,
    /// The record's shard holds its share of the buffer, and the rest is kept for other shards;
    /// [`Event::Unblocked`] says when to try again. A record for another shard may fit now.
    ShardFull,
    /// The record is larger than the stream or the buffer takes.
    TooLarge {
        /// Bytes of data and key.
        bytes: usize,
        /// What is taken.
        bytes_max: usize,
    },
    /// Only streams with `AUTO` record distribution take records without a partition key.
    PartitionKeyMissing,
    /// It is an aggregate already, and the configuration refuses those.
    AlreadyAggregated,
    /// [Order](crate::Ordering) was asked for, and the stream has `AUTO` record distribution, which keeps none.
    OrderImpossible,
    /// [`close`](crate::Batcher::close) or [`abort`](crate::Batcher::abort) was called.
    Closed,
}

impl PushErrorReason {
    /// Whether the same push can succeed after [`Event::Unblocked`].
    #[must_use]
    pub fn is_full(self) -> bool {
        matches!(self, Self::Full | Self::ShardFull)
    }
}

impl fmt::Display for PushErrorReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("the buffer is full"),
            Self::ShardFull => f.write_str("the record's shard has used up its share of the buffer"),
            Self::TooLarge { bytes, bytes_max } => {
                write!(f, "the record has {bytes} bytes with its key; at most {bytes_max} are taken")
            }
            Self::PartitionKeyMissing => {
                f.write_str("the record has no partition key, and the stream does not spread records itself")
            }
            Self::AlreadyAggregated => f.write_str("the record is an aggregate already"),
            Self::OrderImpossible => f.write_str(ORDER_IMPOSSIBLE),
            Self::Closed => f.write_str("the producer is closed"),
        }
    }
}

impl core::error::Error for PushErrorReason {}

impl<T> fmt::Display for PushError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.reason, f)
    }
}

impl<T: fmt::Debug> core::error::Error for PushError<T> {}

const ORDER_IMPOSSIBLE: &str = "records cannot be kept in order: the stream spreads them over its shards itself (AUTO record distribution)";
