//! The figures as JSON.

use kinesis_batcher_driver::{Config, Histogram, Hold, ServiceError, ShardStats, Snapshot, Timestamp};
use serde::Serialize;

use crate::view::{last_success_age, message, oldest_age, stalled_for};

/// What `/api/stats` answers. Counters count from the start of the producer; times are in seconds.
#[derive(Serialize)]
pub(super) struct Report {
    stream: Option<String>,
    version: &'static str,
    /// Since the start of the producer.
    uptime_seconds: f64,
    closed: bool,
    records: Records,
    bytes: Bytes,
    requests: Requests,
    buffer: Buffer,
    last_success_age_seconds: f64,
    stalled_seconds: f64,
    oldest_record_age_seconds: f64,
    /// Code of the last request's error.
    last_error: Option<String>,
    /// Its deepest cause and the endpoint, where it says nothing about a record.
    last_error_message: Option<String>,
    last_error_request_id: Option<String>,
    /// Why the stream cannot be written to at all.
    hold: Option<HoldReport>,
    holds: u64,
    aggregation_suspended: bool,
    shard_map: ShardMap,
    push_delay: Distribution,
    request_duration: Distribution,
    request_entries: Distribution,
    user_records_per_kinesis_record: Distribution,
    shards: Shards,
}

#[derive(Serialize)]
struct HoldReport {
    code: String,
    message: Option<String>,
    request_id: Option<String>,
    /// Since the first request was refused.
    since_seconds: f64,
    /// Until the next request at the earliest; 0 once it may go.
    next_probe_seconds: f64,
}

#[derive(Serialize)]
struct Records {
    accepted: u64,
    success: u64,
    failed: u64,
    recovered: u64,
    refused: u64,
    retried: u64,
    possibly_duplicated: u64,
    kinesis_delivered: u64,
    kinesis_throttled: u64,
    failed_by_reason: FailedByReason,
}

#[derive(Serialize)]
struct FailedByReason {
    expired: u64,
    attempts_exhausted: u64,
    rejected: u64,
    permanent: u64,
    undelivered: u64,
}

#[derive(Serialize)]
struct Bytes {
    accepted: u64,
    delivered: u64,
}

#[derive(Serialize)]
struct Requests {
    answered: u64,
    throttled: u64,
    transient: u64,
    credentials: u64,
    account: u64,
    too_large: u64,
    rejected: u64,
    in_flight: u64,
    in_flight_allowed: u64,
}

#[derive(Serialize)]
struct Buffer {
    records: u64,
    records_in_flight: u64,
    records_max: usize,
    bytes: u64,
    bytes_max: usize,
}

#[derive(Serialize)]
struct ShardMap {
    open_shards: u64,
    age_seconds: f64,
    stale: bool,
    refreshes_succeeded: u64,
    refreshes_failed: u64,
}

#[derive(Serialize)]
struct Distribution {
    /// Upper bounds of the buckets, inclusive, the last one's aside.
    bounds: Vec<f64>,
    /// One more than there are bounds; not cumulative.
    counts: Vec<u64>,
    sum: f64,
}

/// Column by column: with thousands of shards, names of fields would be most of it.
#[derive(Default, Serialize)]
struct Shards {
    id: Vec<Option<String>>,
    records_sent: Vec<u64>,
    bytes_sent: Vec<u64>,
    records_throttled: Vec<u64>,
    allowed_records_per_second: Vec<Option<u64>>,
    allowed_bytes_per_second: Vec<Option<u64>>,
    queued_records: Vec<u64>,
    buffer_bytes: Vec<u64>,
    oldest_age_ms: Vec<u64>,
}

impl Report {
    pub(super) fn new(stream: Option<&str>, config: &Config, snapshot: &Snapshot) -> Self {
        let stats = &snapshot.stats;
        Self {
            stream: stream.map(str::to_owned),
            version: env!("CARGO_PKG_VERSION"),
            uptime_seconds: snapshot.now.since(Timestamp::ZERO).as_secs_f64(),
            closed: snapshot.is_closed,
            records: Records::new(snapshot),
            bytes: Bytes { accepted: stats.bytes_accepted, delivered: stats.bytes_delivered },
            requests: Requests {
                answered: stats.requests_answered,
                throttled: stats.requests_throttled,
                transient: stats.requests_transient,
                credentials: stats.requests_credentials,
                account: stats.requests_account,
                too_large: stats.requests_too_large,
                rejected: stats.requests_rejected,
                in_flight: stats.requests_in_flight,
                in_flight_allowed: stats.requests_in_flight_allowed,
            },
            buffer: Buffer {
                records: stats.records_queued + stats.records_in_flight,
                records_in_flight: stats.records_in_flight,
                records_max: config.buffer_records_max(),
                bytes: stats.buffered_bytes,
                bytes_max: config.buffer_bytes_max(),
            },
            last_success_age_seconds: last_success_age(snapshot).as_secs_f64(),
            stalled_seconds: stalled_for(snapshot).as_secs_f64(),
            oldest_record_age_seconds: oldest_age(snapshot).as_secs_f64(),
            last_error: snapshot.last_error.as_ref().map(|error| error.code().to_string()),
            last_error_message: snapshot.last_error.as_ref().and_then(message),
            last_error_request_id: snapshot.last_error.as_ref().and_then(request_id),
            hold: snapshot.hold.as_ref().map(|hold| HoldReport::new(hold, snapshot.now)),
            holds: stats.holds,
            aggregation_suspended: stats.aggregation_suspended,
            shard_map: ShardMap {
                open_shards: stats.open_shards,
                age_seconds: snapshot.now.since(snapshot.shard_map.refreshed_at).as_secs_f64(),
                stale: snapshot.shard_map.is_stale,
                refreshes_succeeded: snapshot.shard_map.refreshes_succeeded,
                refreshes_failed: snapshot.shard_map.refreshes_failed,
            },
            push_delay: Distribution::new(&snapshot.histograms.push_delay, NANOS),
            request_duration: Distribution::new(&snapshot.histograms.request_duration, NANOS),
            request_entries: Distribution::new(&snapshot.histograms.request_entries, 1.0),
            user_records_per_kinesis_record: Distribution::new(&snapshot.histograms.user_records, 1.0),
            shards: Shards::new(&snapshot.shards, snapshot.now),
        }
    }
}

impl HoldReport {
    fn new(hold: &Hold, now: Timestamp) -> Self {
        Self {
            code: hold.error.code().to_string(),
            message: message(&hold.error),
            request_id: request_id(&hold.error),
            since_seconds: now.since(hold.since).as_secs_f64(),
            next_probe_seconds: hold.next_probe_at.since(now).as_secs_f64(),
        }
    }
}

fn request_id(error: &ServiceError) -> Option<String> {
    error.request_id().map(str::to_owned)
}

impl Records {
    fn new(snapshot: &Snapshot) -> Self {
        let stats = &snapshot.stats;
        Self {
            accepted: stats.records_accepted,
            success: stats.records_delivered,
            failed: stats.records_failed,
            recovered: stats.records_recovered,
            refused: stats.records_refused,
            retried: stats.records_retried,
            possibly_duplicated: stats.records_possibly_duplicated,
            kinesis_delivered: stats.kinesis_records_delivered,
            kinesis_throttled: stats.records_throttled,
            failed_by_reason: FailedByReason {
                expired: stats.records_expired,
                attempts_exhausted: stats.records_exhausted,
                rejected: stats.records_rejected,
                permanent: stats.records_permanent,
                undelivered: stats.records_aborted,
            },
        }
    }
}

impl Distribution {
    /// `scale` is how many of the histogram's unit make one of what is told.
    fn new(histogram: &Histogram, scale: f64) -> Self {
        Self {
            bounds: histogram.buckets().filter_map(|(bound, _)| Some(bound? as f64 / scale)).collect(),
            counts: histogram.buckets().map(|(_, count)| count).collect(),
            sum: histogram.sum() as f64 / scale,
        }
    }
}

impl Shards {
    fn new(shards: &[ShardStats], now: Timestamp) -> Self {
        let age_ms = |at: Timestamp| u64::try_from(now.since(at).as_millis()).unwrap_or(u64::MAX);
        let mut columns = Self::default();
        for shard in shards {
            columns.id.push(shard.shard_id.as_ref().map(ToString::to_string));
            columns.records_sent.push(shard.records_sent);
            columns.bytes_sent.push(shard.bytes_sent);
            columns.records_throttled.push(shard.records_throttled);
            columns.allowed_records_per_second.push(shard.records_per_second);
            columns.allowed_bytes_per_second.push(shard.bytes_per_second);
            columns.queued_records.push(shard.records_queued);
            columns.buffer_bytes.push(shard.bytes_held);
            columns.oldest_age_ms.push(shard.oldest_accepted_at.map_or(0, age_ms));
        }
        columns
    }
}

/// In a second.
const NANOS: f64 = 1e9;
