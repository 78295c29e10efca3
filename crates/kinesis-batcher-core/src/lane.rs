//! One shard's queue, limits and back-off.

use alloc::boxed::Box;
use core::time::Duration;

use crate::adaptive::{Verdict, grown, shrunk};
use crate::aggregate::OpenAggregate;
use crate::backoff::Backoff;
use crate::bucket::{BURST_NANOS, Bucket, Rate};
use crate::entry::EntryPool;
use crate::error_code::ServiceError;
use crate::queue::Queue;
use crate::rng::Rng;
use crate::shard_id::ShardId;
use crate::time::Timestamp;

/// What may be sent to one shard, or to the stream as a whole where its shards are not known.
pub(crate) struct Lane<T> {
    pub(crate) queue: Queue,
    /// What the next records are added to, behind the queue; only with aggregation.
    pub(crate) open: Option<Box<OpenAggregate<T>>>,
    pub(crate) state: LaneState,
    /// Nothing is taken, for the sake of order, until earlier records have come back.
    pub(crate) must_wait: bool,
    /// Neighbours in the list that `state` names.
    pub(crate) previous: u32,
    pub(crate) next: u32,
    /// When the oldest record will have lingered; kept while `state` is `Lingering` or `Filling`.
    pub(crate) due_at: Timestamp,
    /// Nothing goes before this: a limit or a back-off.
    pub(crate) blocked_until: Timestamp,
    /// The earliest live entry of this lane among the expiry deadlines; [`Timestamp::MAX`] without one.
    pub(crate) expiry_at: Timestamp,
    pub(crate) limits: Option<Limits>,
    pub(crate) held: Held,
    /// Requests on their way that have records of this lane.
    pub(crate) requests_in_flight: u32,
    /// User records in those.
    pub(crate) records_in_flight: u64,
    pub(crate) counters: Counters,
    /// Apart, because most lanes have none, and small lanes are what makes thousands of shards cheap.
    trouble: Option<Box<Trouble>>,
    pub(crate) shard_id: Option<ShardId>,
}

/// What a shard that refuses records is remembered by, until it takes one.
#[derive(Debug)]
struct Trouble {
    backoff: Backoff,
    /// When the last refusal was counted. Requests sent before that met the same limit, and count no more.
    counted_at: Timestamp,
    last_error: ServiceError,
}

/// Where a lane stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LaneState {
    /// Nothing waits.
    Idle,
    /// Kinesis records wait for others to share their request.
    Lingering,
    /// User records wait for others to share their Kinesis record; there is nothing else.
    Filling,
    /// Records should go with the next request.
    Due,
    /// Records wait for a limit or a back-off.
    Blocked,
    /// Records wait for earlier ones to come back; only for the sake of order.
    Awaiting,
    /// The shard is gone; only requests on their way still name the lane.
    Retired,
}

/// User records held, and their bytes as they were pushed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) records: u64,
    pub(crate) bytes: u64,
}

impl Held {
    pub(crate) fn add(&mut self, more: Self) {
        self.records += more.records;
        self.bytes += more.bytes;
    }

    pub(crate) fn subtract(&mut self, less: Self) {
        self.records -= less.records;
        self.bytes -= less.bytes;
    }
}

/// Figures for [`ShardStats`](crate::ShardStats).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counters {
    pub(crate) records_sent: u64,
    pub(crate) bytes_sent: u64,
    pub(crate) records_delivered: u64,
    pub(crate) records_throttled: u64,
}

impl<T> Lane<T> {
    pub(crate) fn new(shard_id: Option<ShardId>, limits: Option<Limits>) -> Self {
        Self {
            queue: Queue::new(),
            open: None,
            state: LaneState::Idle,
            must_wait: false,
            previous: u32::MAX,
            next: u32::MAX,
            due_at: Timestamp::MAX,
            blocked_until: Timestamp::ZERO,
            expiry_at: Timestamp::MAX,
            limits,
            held: Held::default(),
            requests_in_flight: 0,
            records_in_flight: 0,
            counters: Counters::default(),
            trouble: None,
            shard_id,
        }
    }

    /// When the oldest record that waits was accepted, and its place in the order of pushes.
    pub(crate) fn oldest(&self, pool: &EntryPool<T>) -> Option<(Timestamp, u64)> {
        match self.queue.head() {
            Some(id) => {
                let entry = pool.entry(id);
                Some((entry.accepted_at, entry.sequence))
            }
            None => self.open.as_ref()?.oldest(),
        }
    }

    /// The shard stored something: the next throttling starts the back-off over.
    pub(crate) fn progressed(&mut self) {
        self.trouble = None;
    }

    /// Records of a request sent at `sent_at` came back with `error`, to be tried again.
    pub(crate) fn backs_off(
        &mut self,
        now: Timestamp,
        sent_at: Timestamp,
        error: ServiceError,
        rng: &mut Rng,
    ) {
        let trouble = match &mut self.trouble {
            Some(trouble) => {
                trouble.last_error = error;
                if sent_at < trouble.counted_at {
                    return;
                }
                trouble.counted_at = now;
                trouble
            }
            none => none.insert(Box::new(Trouble {
                backoff: Backoff::default(),
                counted_at: now,
                last_error: error,
            })),
        };
        let wait = trouble.backoff.fail(rng, WAIT_BASE, WAIT_CEILING);
        self.blocked_until = self.blocked_until.max(now.after(wait));
    }

    /// What the shard last said no with, told with records that expire.
    pub(crate) fn last_error(&self) -> Option<&ServiceError> {
        self.trouble.as_ref().map(|trouble| &trouble.last_error)
    }

    /// The limits refused the record at the head: wait until they let a fair number through at once. Waiting for
    /// one record at a time would make a request of each.
    pub(crate) fn wait_for_limits(&mut self, head_bytes: usize) {
        if let Some(limits) = &self.limits {
            let at = limits.worthwhile_at(self.queue.len() as u64, self.queue.bytes(), head_bytes as u64);
            self.blocked_until = self.blocked_until.max(at);
        }
    }
}

/// Both limits of a shard.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    records: Bucket,
    bytes: Bucket,
    /// When the rates last shrank. Requests sent before that met the same limit, and shrink nothing.
    shrunk_at: Timestamp,
}

/// What a record, or a run of them, takes from each limit.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cost {
    records: u64,
    bytes: u64,
}

impl Limits {
    /// For a shard that may be sent a burst at once.
    pub(crate) fn full(rates: Rates) -> Self {
        Self {
            records: Bucket::full(rates.records),
            bytes: Bucket::full(rates.bytes),
            shrunk_at: Timestamp::ZERO,
        }
    }

    /// For a shard that was just opened, perhaps under load: no burst.
    pub(crate) fn empty(rates: Rates, now: Timestamp) -> Self {
        Self {
            records: Bucket::empty(rates.records, now),
            bytes: Bucket::empty(rates.bytes, now),
            shrunk_at: Timestamp::ZERO,
        }
    }

    /// What a record of so many bytes takes.
    pub(crate) fn cost(&self, bytes: usize) -> Cost {
        Cost { records: self.records.cost(1), bytes: self.bytes.cost(bytes as u64) }
    }

    /// The earliest time at which both limits let `cost` through.
    pub(crate) fn available_at(&self, cost: Cost) -> Timestamp {
        self.records.available_at(cost.records).max(self.bytes.available_at(cost.bytes))
    }

    /// Whether both limits let `cost` through now.
    pub(crate) fn allow(&self, now: Timestamp, cost: Cost) -> bool {
        self.available_at(cost) <= now
    }

    pub(crate) fn take(&mut self, now: Timestamp, cost: Cost) {
        self.records.take(now, cost.records);
        self.bytes.take(now, cost.bytes);
    }

    /// Gives back what a request that never reached the shard took.
    pub(crate) fn give_back(&mut self, now: Timestamp, taken_at: Timestamp, records: u64, bytes: u64) {
        if taken_at < self.shrunk_at {
            // At today's rate the same records cost more than was taken.
            return;
        }
        let (records, bytes) = (self.records.cost(records), self.bytes.cost(bytes));
        self.records.give_back(now, taken_at, records);
        self.bytes.give_back(now, taken_at, bytes);
    }

    /// When half a burst, or all that is queued, may go at once; at least the record at the head.
    fn worthwhile_at(&self, queued_records: u64, queued_bytes: u64, head_bytes: u64) -> Timestamp {
        let worthwhile = |bucket: &Bucket, queued: u64, head: u64| {
            bucket.available_at(bucket.cost(queued).min(BURST_NANOS / 2).max(bucket.cost(head)))
        };
        let at = worthwhile(&self.records, queued_records, 1).max(worthwhile(
            &self.bytes,
            queued_bytes,
            head_bytes,
        ));
        // Shards that become free at about the same time share a request.
        Timestamp::from_nanos(at.as_nanos().div_ceil(WAKE_TICK_NANOS).saturating_mul(WAKE_TICK_NANOS))
    }

    /// Lowers the rates to these where they are higher.
    pub(crate) fn lower_to(&mut self, rates: Rates) {
        self.records.set_rate(self.records.rate().min(rates.records));
        self.bytes.set_rate(self.bytes.rate().min(rates.bytes));
    }

    /// Keeps the share of what may be sent at most, which changes.
    pub(crate) fn rescale(&mut self, from: Rates, to: Rates) {
        self.records.set_rate(self.records.rate().scaled(from.records, to.records));
        self.bytes.set_rate(self.bytes.rate().scaled(from.bytes, to.bytes));
    }

    pub(crate) fn rates(&self) -> Rates {
        Rates { records: self.records.rate(), bytes: self.bytes.rate() }
    }

    /// Follows what the shard said to records of a request that was sent at `sent_at`.
    pub(crate) fn adapt(&mut self, now: Timestamp, sent_at: Timestamp, ceilings: Rates, verdict: Verdict) {
        if verdict.throttled == 0 {
            let quiet = now.since(self.shrunk_at);
            self.records.set_rate(grown(self.records.rate(), ceilings.records, verdict, quiet));
            self.bytes.set_rate(grown(self.bytes.rate(), ceilings.bytes, verdict, quiet));
            return;
        }
        if sent_at < self.shrunk_at {
            return;
        }
        self.shrunk_at = now;
        // The service does not say which of its limits was met.
        if verdict.presses_on_records(ceilings.records, ceilings.bytes) {
            self.records.set_rate(shrunk(self.records.rate(), ceilings.records, verdict));
        } else {
            self.bytes.set_rate(shrunk(self.bytes.rate(), ceilings.bytes, verdict));
        }
    }
}

/// What a lane may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rates {
    pub(crate) records: Rate,
    pub(crate) bytes: Rate,
}

/// Half of what lingers by default: a shard that throttled one record often takes the next at once.
const WAIT_BASE: Duration = Duration::from_millis(50);
/// The service counts in seconds: after one, a shard that throttled everything takes records again.
const WAIT_CEILING: Duration = Duration::from_secs(1);
/// About 8 ms: a power of two keeps the rounding cheap, and a burst's half takes 100 ms to gather.
const WAKE_TICK_NANOS: u64 = 1 << 23;

#[cfg(test)]
mod tests {
    use super::*;

    const RATES: Rates = Rates { records: Rate::per_second(1_000), bytes: Rate::per_second(1 << 20) };

    #[test]
    fn a_shard_at_its_limit_waits_for_half_a_burst_and_not_for_each_record() {
        let mut limits = Limits::full(RATES);
        let now = Timestamp::from_millis(10_000);
        let cost = limits.cost(100);
        let mut sent = 0;
        while limits.allow(now, cost) {
            limits.take(now, cost);
            sent += 1;
        }
        assert_eq!(sent, 200);
        let wait = limits.worthwhile_at(5_000, 500_000, 100).since(now);
        assert!(wait >= Duration::from_millis(100) && wait < Duration::from_millis(110), "waits {wait:?}");
        let wait = limits.worthwhile_at(1, 100, 100).since(now);
        assert!(wait < Duration::from_millis(10), "a single record waits {wait:?}");
    }

    #[test]
    fn throttling_reported_by_requests_sent_together_backs_off_once() {
        let mut rng = Rng::new(1);
        let mut lane: Lane<u64> = Lane::new(None, None);
        for _ in 0..8 {
            let error = ServiceError::from_code("ProvisionedThroughputExceededException");
            lane.backs_off(Timestamp::from_millis(20), Timestamp::from_millis(1), error, &mut rng);
        }
        assert!(lane.blocked_until <= Timestamp::from_millis(20).after(WAIT_BASE));
    }
}
