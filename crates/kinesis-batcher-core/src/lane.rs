//! One shard's queue, limits and back-off.

use alloc::boxed::Box;
use core::time::Duration;

use crate::aggregate::OpenAggregate;
use crate::backoff::Backoff;
use crate::entry::EntryPool;
use crate::error_code::ServiceError;
use crate::queue::Queue;
use crate::rate_controller::RateController;
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
    /// What the shard may be sent; `None` where nothing limits it.
    pub(crate) rate: Option<RateController>,
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
    pub(crate) fn new(shard_id: Option<ShardId>, rate: Option<RateController>) -> Self {
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
            rate,
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

    /// Some of a request's records came back with `error`, and the shard stored others: it takes records at its rate.
    pub(crate) fn throttled_in_part(&mut self, now: Timestamp, error: ServiceError) {
        self.trouble =
            Some(Box::new(Trouble { backoff: Backoff::default(), counted_at: now, last_error: error }));
    }

    /// What the shard last said no with, told with records that expire.
    pub(crate) fn last_error(&self) -> Option<&ServiceError> {
        self.trouble.as_ref().map(|trouble| &trouble.last_error)
    }

    /// The limits hold back the record at the head: wait until several may go at once. Waiting for one record at a time
    /// would make a request of each.
    pub(crate) fn wait_for_limits(&mut self, now: Timestamp, head_bytes: usize) {
        if let Some(rate) = &mut self.rate {
            let queued = rate.cost(self.queue.len() as u64, self.queue.bytes());
            let head = rate.cost(1, head_bytes as u64);
            self.blocked_until = self.blocked_until.max(rate.worthwhile_at(now, queued, head));
        }
    }
}

/// Half of what lingers by default: a shard that throttled one record often takes the next at once.
const WAIT_BASE: Duration = Duration::from_millis(50);
/// The service counts in seconds: after one, a shard that throttled everything takes records again.
const WAIT_CEILING: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

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
