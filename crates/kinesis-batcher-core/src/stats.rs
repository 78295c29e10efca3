//! Figures that add up.

use crate::shard_id::ShardId;
use crate::time::Timestamp;

/// What a [`Batcher`](crate::Batcher) has done and holds.
///
/// At any time `records_accepted = records_delivered + records_failed + records_queued + records_in_flight`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Records taken in by [`push`](crate::Batcher::push).
    pub records_accepted: u64,
    /// Records stored and told so.
    pub records_delivered: u64,
    /// Records handed back, for whatever reason; the reasons below add up to it.
    pub records_failed: u64,
    /// Of those: the time to live ran out.
    pub records_expired: u64,
    /// Of those: sent as often as allowed.
    pub records_exhausted: u64,
    /// Of those: rejected when alone in a request, or no longer taken by the stream.
    pub records_rejected: u64,
    /// Of those: refused with an account-level error, which [`fail_fast`](crate::ConfigBuilder::fail_fast) makes final.
    pub records_permanent: u64,
    /// Of those: stopped by [`abort`](crate::Batcher::abort).
    pub records_aborted: u64,
    /// Pushes refused because the buffer, or the shard's share of it, was full.
    pub records_refused: u64,
    /// Times that a record was sent again.
    pub records_retried: u64,
    /// Records delivered after more than one attempt.
    pub records_recovered: u64,
    /// Records, delivered or failed, of which an attempt with unknown outcome may have stored another copy.
    pub records_possibly_duplicated: u64,
    /// Times that a shard throttled a Kinesis record: a record, or an aggregate of several.
    pub records_throttled: u64,
    /// Kinesis records stored: records that went by themselves, and aggregates.
    pub kinesis_records_delivered: u64,
    /// Bytes of data and partition keys taken in.
    pub bytes_accepted: u64,
    /// Bytes of data and partition keys delivered.
    pub bytes_delivered: u64,
    /// Requests handed out by [`poll_request`](crate::Batcher::poll_request); the outcomes below and those in flight
    /// add up to it.
    pub requests_sent: u64,
    /// Requests answered record by record.
    pub requests_answered: u64,
    /// Requests throttled as a whole.
    pub requests_throttled: u64,
    /// Requests that failed and may succeed another time.
    pub requests_transient: u64,
    /// Requests refused because of signature, clock or credentials.
    pub requests_credentials: u64,
    /// Requests refused because of the account: stream, permissions, encryption keys, endpoint.
    pub requests_account: u64,
    /// Requests that were too large as a whole.
    pub requests_too_large: u64,
    /// Requests rejected because of something in them.
    pub requests_rejected: u64,
    /// Times that the producer began to [hold](crate::Hold).
    pub holds: u64,
    /// Shard maps taken in after the first.
    pub shard_map_updates: u64,
    /// Records that wait.
    pub records_queued: u64,
    /// Records in requests that are on their way.
    pub records_in_flight: u64,
    /// Bytes of data and partition keys held, queued and in flight.
    pub buffered_bytes: u64,
    /// Requests on their way.
    pub requests_in_flight: u64,
    /// Requests that may be on their way at once now; fewer than configured during an outage.
    pub requests_in_flight_allowed: u64,
    /// Open shards of the stream; 0 while that is not known.
    pub open_shards: u64,
    /// Whether aggregation was asked for and is off, because the stream has `AUTO` record distribution.
    pub aggregation_suspended: bool,
    /// When a shard last stored something; `None` before it did.
    pub last_stored_at: Option<Timestamp>,
    /// Since when something has been held without a break; `None` when nothing is. Nothing stored since this, for long,
    /// is a producer that is stuck.
    pub held_since: Option<Timestamp>,
}

/// What the batcher knows of one shard, or of the stream as a whole where its shards are not known.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShardStats {
    /// The shard; `None` where shards are not known.
    pub shard_id: Option<ShardId>,
    /// Records that wait for it.
    pub records_queued: u64,
    /// Records, queued and in flight.
    pub records_held: u64,
    /// Bytes of data and partition keys, queued and in flight.
    pub bytes_held: u64,
    /// Kinesis records sent to it (an aggregate is one), attempts counted one by one.
    pub records_sent: u64,
    /// Bytes sent to it, attempts counted one by one.
    pub bytes_sent: u64,
    /// Kinesis records it stored.
    pub records_delivered: u64,
    /// Times that it throttled a Kinesis record.
    pub records_throttled: u64,
    /// Records a second it may be sent; `None` without a limit.
    pub records_per_second: Option<u64>,
    /// Bytes a second it may be sent; `None` without a limit.
    pub bytes_per_second: Option<u64>,
    /// Nothing is sent to it before this.
    pub blocked_until: Option<Timestamp>,
    /// When the oldest record that waits for it was accepted.
    pub oldest_accepted_at: Option<Timestamp>,
}
