//! What can be done to a call.

use std::time::Duration;

use super::Rejection;

/// What happens to one call. Those about entries are for PutRecords alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Nothing: the call is served. For queues in which a later call shall fail.
    None,
    /// The selected entries fail, uncounted by the shards' limits, and the rest is served.
    FailEntries(Entries, EntryError),
    /// Several of the above at once; the first selection that covers an entry decides.
    FailEachOf(Vec<(Entries, EntryError)>),
    /// As [`FailEntries`](Self::FailEntries), but `FailedRecordCount` is 0.
    FailEntriesUncounted(Entries, EntryError),
    /// Everything is served, but `FailedRecordCount` says this.
    ClaimFailures(u32),
    /// The selected entries are stored, but the reply names neither a shard nor an error for them.
    BlankEntries(Entries),
    /// The call is refused; nothing is stored.
    Reject(Rejection),
    /// TCP reset once the request was read; nothing is stored.
    ResetBeforeStoring,
    /// TCP reset instead of the reply; everything is stored.
    ResetAfterStoring,
    /// The reply ends in the middle of its body, and so does the connection; everything is stored.
    CutOffReply,
    /// The reply lacks this many entries at its end; everything is stored.
    FewerEntries(usize),
    /// The reply has this many entries too many; everything is stored.
    MoreEntries(usize),
    /// The reply has status 200 and no body; everything is stored.
    EmptyReply,
    /// Everything is stored at once, and the reply comes after this time.
    SlowReply(Duration),
    /// No reply until [`release`](super::HostileKinesis::release), and nothing is stored before. Nothing is stored at
    /// all if the client hangs up first.
    HangBeforeStoring,
    /// Everything is stored, but there is no reply until [`release`](super::HostileKinesis::release).
    HangAfterStoring,
    /// The other fault, but later. The call takes its course even if the client hangs up first: a client's timeout
    /// says nothing about what gets stored.
    Delayed {
        /// From the end of the request on.
        delay: Duration,
        /// What happens then.
        then: Box<Fault>,
    },
}

impl Fault {
    /// This fault, but later; see [`Fault::Delayed`].
    #[must_use]
    pub fn after(self, delay: Duration) -> Self {
        Self::Delayed { delay, then: Box::new(self) }
    }

    /// True for faults that any operation can suffer.
    pub(crate) fn is_for_any_operation(&self) -> bool {
        match self {
            Self::FailEntries(..)
            | Self::FailEachOf(_)
            | Self::FailEntriesUncounted(..)
            | Self::ClaimFailures(_)
            | Self::BlankEntries(_)
            | Self::FewerEntries(_)
            | Self::MoreEntries(_) => false,
            Self::Delayed { then, .. } => then.is_for_any_operation(),
            _ => true,
        }
    }

    /// How an entry of a PutRecords request fails, if it does.
    pub(crate) fn entry_error(&self, entry: &Entry<'_>) -> Option<&EntryError> {
        match self {
            Self::FailEntries(entries, error) | Self::FailEntriesUncounted(entries, error) => {
                entries.select(entry).then_some(error)
            }
            Self::FailEachOf(choices) => {
                choices.iter().find(|(entries, _)| entries.select(entry)).map(|(_, error)| error)
            }
            _ => None,
        }
    }
}

/// Which entries of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entries {
    /// All of them.
    All,
    /// The first so many.
    First(usize),
    /// The first, and every so many after it; not zero.
    EveryNth(usize),
    /// Those at these positions, counted from 0.
    At(Vec<usize>),
    /// Those that belong into this shard.
    OfShard(String),
    /// Those of this partition key.
    OfKey(String),
}

/// What a selection looks at.
pub(crate) struct Entry<'a> {
    pub(crate) position: usize,
    pub(crate) shard_id: &'a str,
    pub(crate) partition_key: &'a str,
}

impl Entries {
    pub(crate) fn select(&self, entry: &Entry<'_>) -> bool {
        match self {
            Self::All => true,
            Self::First(count) => entry.position < *count,
            Self::EveryNth(step) => entry.position.is_multiple_of((*step).max(1)),
            Self::At(positions) => positions.contains(&entry.position),
            Self::OfShard(shard_id) => entry.shard_id == shard_id,
            Self::OfKey(partition_key) => entry.partition_key == partition_key,
        }
    }
}

/// How an entry fails: `ErrorCode` and `ErrorMessage` of the reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryError {
    /// Such as `ProvisionedThroughputExceededException`.
    pub code: String,
    /// For people.
    pub message: String,
}

impl EntryError {
    /// Any code, known to the service or not.
    #[must_use]
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into() }
    }

    /// The shard's limit is reached.
    #[must_use]
    pub fn throttled() -> Self {
        Self::new("ProvisionedThroughputExceededException", "Rate exceeded for shard.")
    }

    /// The service failed.
    #[must_use]
    pub fn internal_failure() -> Self {
        Self::new("InternalFailure", "Internal service failure.")
    }

    /// The stream's key may not be used.
    #[must_use]
    pub fn kms_access_denied() -> Self {
        Self::new("KMSAccessDeniedException", "User is not authorized to use the key.")
    }

    /// The key's service is throttled.
    #[must_use]
    pub fn kms_throttling() -> Self {
        Self::new("KMSThrottlingException", "Rate exceeded for the key.")
    }
}
