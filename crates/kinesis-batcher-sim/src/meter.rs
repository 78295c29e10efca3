//! Counts what happens in a run.

use std::collections::BTreeMap;
use std::time::Duration;

use kinesis_batcher_core::{Batcher, FailureReason, ShardId};

use crate::histogram::Histogram;
use crate::report::{Steady, Totals};
use crate::series::{Point, ShardPoint};
use crate::service::{EntryReply, Kinesis, PutEntry, shard_id};

/// The figures of a run, while it runs.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    pub(crate) totals: Totals,
    pub(crate) delays: Histogram,
    pub(crate) points: Vec<Point>,
    /// Records each producer delivered.
    delivered: Vec<u64>,
    steady: Option<SteadySoFar>,
    finished: Steady,
    interval_delays: Histogram,
    /// The totals at the last point.
    last: Totals,
    last_shards: BTreeMap<ShardId, [u64; 3]>,
}

/// The figures where the steady part of the run began.
#[derive(Debug)]
struct SteadySoFar {
    at: Duration,
    totals: Totals,
    delivered: Vec<u64>,
    delays: Histogram,
    /// Nanoseconds that shards were open, summed over the shards, up to `counted_until`.
    shard_nanos: u128,
    counted_until: Duration,
    open_shards: u64,
}

impl Meter {
    /// Another producer starts, with the next number.
    pub(crate) fn producer_starts(&mut self) {
        self.delivered.push(0);
    }

    #[inline]
    pub(crate) fn delivered(&mut self, producer: u32, bytes: u32, delay: Duration, sampled: bool) {
        self.totals.records_delivered += 1;
        self.totals.bytes_delivered += u64::from(bytes);
        self.delivered[producer as usize] += 1;
        self.delays.record(delay);
        if let Some(steady) = &mut self.steady {
            steady.delays.record(delay);
        }
        if sampled {
            self.interval_delays.record(delay);
        }
    }

    pub(crate) fn failed(&mut self, reason: &FailureReason) {
        self.totals.records_failed += 1;
        let counter = match reason {
            FailureReason::Expired { .. } => &mut self.totals.records_expired,
            FailureReason::AttemptsExhausted(_) => &mut self.totals.records_exhausted,
            FailureReason::Aborted => &mut self.totals.records_aborted,
            FailureReason::Permanent(_) => &mut self.totals.records_permanent,
            _ => &mut self.totals.records_rejected,
        };
        *counter += 1;
    }

    /// The service decided on these entries.
    pub(crate) fn stored(&mut self, entries: &[PutEntry<'_>], replies: &[EntryReply]) {
        let totals = &mut self.totals;
        for (entry, reply) in entries.iter().zip(replies) {
            match reply {
                EntryReply::Stored { .. } | EntryReply::StoredBehind { .. } => {
                    totals.entries_stored += 1;
                    totals.bytes_stored += entry.bytes() as u64;
                }
                EntryReply::Failed(THROTTLED) => totals.entries_throttled += 1,
                EntryReply::Failed(_) => totals.entries_failed += 1,
            }
        }
    }

    /// The part of the run begins whose figures count.
    pub(crate) fn begin_steady(&mut self, at: Duration, open_shards: u64) {
        self.steady = Some(SteadySoFar {
            at,
            totals: self.totals,
            delivered: self.delivered.clone(),
            delays: Histogram::default(),
            shard_nanos: 0,
            counted_until: at,
            open_shards,
        });
    }

    /// So many shards are open from now on.
    pub(crate) fn shards_are_open(&mut self, at: Duration, open_shards: u64) {
        if let Some(steady) = &mut self.steady {
            steady.shard_nanos +=
                at.saturating_sub(steady.counted_until).as_nanos() * u128::from(steady.open_shards);
            steady.counted_until = at;
            steady.open_shards = open_shards;
        }
    }

    /// The part of the run ends whose figures count.
    pub(crate) fn end_steady(&mut self, at: Duration, service: &Kinesis) {
        self.shards_are_open(at, 0);
        let Some(steady) = self.steady.take() else { return };
        let (now, then) = (&self.totals, &steady.totals);
        let options = service.options();
        let capacity = |per_second: u32| {
            (steady.shard_nanos * u128::from(per_second) / 1_000_000_000).try_into().unwrap_or(u64::MAX)
        };
        let shares: Vec<u64> = {
            let then = steady.delivered.iter().copied().chain(std::iter::repeat(0));
            self.delivered.iter().zip(then).map(|(now, then)| now - then).collect()
        };
        self.finished = Steady {
            duration: at.saturating_sub(steady.at),
            records_offered: now.records_offered - then.records_offered,
            records_delivered: now.records_delivered - then.records_delivered,
            bytes_delivered: now.bytes_delivered - then.bytes_delivered,
            entries_stored: now.entries_stored - then.entries_stored,
            entries_throttled: now.entries_throttled - then.entries_throttled,
            bytes_stored: now.bytes_stored - then.bytes_stored,
            capacity_records: capacity(options.records_per_second_per_shard),
            capacity_bytes: capacity(options.bytes_per_second_per_shard),
            fairness_millionths: fairness_millionths(&shares),
            delay: steady.delays.percentiles(),
        };
    }

    pub(crate) fn steady(&self) -> Steady {
        self.finished
    }

    /// Adds a point to the series.
    pub(crate) fn sample<'a>(
        &mut self,
        at: Duration,
        service: &Kinesis,
        batchers: impl Iterator<Item = &'a Batcher<u64>>,
    ) {
        let (now, then) = (self.totals, self.last);
        let mut point = Point {
            at,
            records_offered: now.records_offered - then.records_offered,
            records_accepted: now.records_accepted - then.records_accepted,
            records_refused: now.records_refused - then.records_refused,
            records_delivered: now.records_delivered - then.records_delivered,
            records_failed: now.records_failed - then.records_failed,
            bytes_delivered: now.bytes_delivered - then.bytes_delivered,
            requests: now.requests - then.requests,
            entries_stored: now.entries_stored - then.entries_stored,
            entries_throttled: now.entries_throttled - then.entries_throttled,
            delay: self.interval_delays.percentiles(),
            ..Point::default()
        };
        let mut allowed: BTreeMap<ShardId, u64> = BTreeMap::new();
        for batcher in batchers {
            let stats = batcher.stats();
            point.buffered_bytes += stats.buffered_bytes;
            point.buffered_records += stats.records_queued + stats.records_in_flight;
            for shard in batcher.shard_stats() {
                let Some(rate) = shard.records_per_second else { continue };
                *point.allowed_records_per_second.get_or_insert(0) += rate;
                if let Some(id) = shard.shard_id {
                    *allowed.entry(id).or_default() += rate;
                }
            }
        }
        let mut shards = BTreeMap::new();
        for shard in service.open_shards() {
            let counters = [shard.records_accepted, shard.bytes_accepted, shard.records_throttled];
            let id = shard_id(shard.id);
            let before = self.last_shards.get(&id).copied().unwrap_or_default();
            shards.insert(id.clone(), counters);
            point.shards.push(ShardPoint {
                allowed_records_per_second: allowed.get(&id).copied(),
                shard_id: id,
                entries_stored: counters[0] - before[0],
                bytes_stored: counters[1] - before[1],
                entries_throttled: counters[2] - before[2],
            });
        }
        self.last_shards = shards;
        self.last = now;
        self.interval_delays.clear();
        self.points.push(point);
    }
}

/// Jain's index, (Σx)² / (n Σx²): a million when all have the same, a million / n when one has all.
/// (Jain, Chiu, Hawe: "A quantitative measure of fairness and discrimination", 1984.)
fn fairness_millionths(shares: &[u64]) -> u64 {
    let sum: u128 = shares.iter().map(|&share| u128::from(share)).sum();
    let squares: u128 = shares.iter().map(|&share| u128::from(share).pow(2)).sum();
    let divisor = squares * shares.len() as u128;
    (sum * sum * 1_000_000).checked_div(divisor).map_or(1_000_000, |index| index as u64)
}

const THROTTLED: &str = "ProvisionedThroughputExceededException";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fairness_is_one_for_equals_and_a_fraction_for_one_who_has_all() {
        assert_eq!(fairness_millionths(&[7, 7, 7, 7]), 1_000_000);
        assert_eq!(fairness_millionths(&[9, 0, 0, 0]), 250_000);
        assert_eq!(fairness_millionths(&[0, 0]), 1_000_000, "none of them has more than another");
    }
}
