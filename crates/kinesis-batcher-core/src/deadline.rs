//! When the batcher wants to be called again.

use crate::time::Timestamp;

/// When to call [`handle_timeout`](crate::Batcher::handle_timeout), and what for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Deadline {
    /// The time.
    pub at: Timestamp,
    /// What happens then. For logs and traces; the call is the same whatever it is.
    pub reason: DeadlineReason,
}

/// What a [`Deadline`] is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DeadlineReason {
    /// A record will have waited long enough for others to share its request.
    Linger,
    /// A shard's limit, or its back-off after throttling, will let records through.
    Shard,
    /// The back-off after a failed request ends.
    Backoff,
    /// A record's time to live ends.
    Expiry,
    /// A new shard map is needed, and is asked for again.
    ShardMap,
}
