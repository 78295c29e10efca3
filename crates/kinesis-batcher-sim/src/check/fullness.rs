//! A producer that has a full stream for itself uses what its shards take, and is refused little of what it sends.
//!
//! Both are shares over many seconds, once any disturbance is over for a while. By then a producer with any good
//! rate law has found what a shard takes, however that shard counts its second.

use std::collections::BTreeSet;
use std::time::Duration;

use kinesis_batcher_core::{ShardLimit, ShardMap, Timestamp};
use kinesis_model::limits::{SHARD_BYTES_PER_SECOND, SHARD_RECORDS_PER_SECOND};

use super::{Breach, Checker, EntryReply, Invariant, Observation, Scene};
use crate::faults::{FaultKind, Faults};
use crate::options::Options;
use crate::service::{Kinesis, PutEntry};

/// Counts what the shards store and throttle while each of them has work.
#[derive(Debug)]
pub(super) struct ShardsAreFull {
    /// Of the limits of a shard, what the producer's settings let it use, in percent.
    share: u64,
    /// Until then something was wrong that is not the producer's.
    disturbed_for: Duration,
    began_at: Option<Timestamp>,
    map: Option<ShardMap>,
    looked_at: Timestamp,
    /// Counts begin here, if every shard has work until they are looked at.
    counted_from: Timestamp,
    counts: Counts,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    stored: u64,
    stored_bytes: u64,
    throttled: u64,
    /// By the limits of a shard, what all open shards take in a second.
    records_per_second: u64,
    bytes_per_second: u64,
}

impl ShardsAreFull {
    /// For runs of one producer without other writers, with nothing wrong in the end.
    pub(super) fn of(options: &Options) -> Option<Self> {
        let Faults::Plan(faults) = &options.faults else { return None };
        let passes = |what| {
            matches!(what, FaultKind::Outage(_) | FaultKind::Account(_) | FaultKind::Service(_))
                || matches!(what, FaultKind::Slow(_) | FaultKind::LostBeforeWrite(_))
        };
        let is_alone = options.producers == 1
            && options.service.accounting.others.percent_max() == 0
            && options.config.adaptive_rates()
            && options.workload.poison == 0
            && faults.iter().all(|fault| passes(fault.what));
        let disturbed_for = faults.iter().map(|fault| fault.to).max().unwrap_or_default();
        let counted_from = disturbed_for.saturating_add(SETTLES + COUNTED_MIN);
        let ShardLimit::Percent(share) = options.config.shard_limit() else { return None };
        (is_alone && counted_from <= options.duration).then(|| Self {
            share: u64::from(share),
            disturbed_for,
            began_at: None,
            map: None,
            looked_at: Timestamp::ZERO,
            counted_from: Timestamp::MAX,
            counts: Counts::default(),
        })
    }

    fn stored(
        &mut self,
        now: Timestamp,
        entries: &[PutEntry<'_>],
        replies: &[EntryReply],
        service: &Kinesis,
    ) {
        if now < self.counted_from {
            return;
        }
        for (entry, reply) in entries.iter().zip(replies) {
            if reply.stored().is_some() {
                self.counts.stored += 1;
                self.counts.stored_bytes += entry.bytes() as u64;
            } else {
                self.counts.throttled += 1;
            }
        }
        let (options, open) = (service.options(), service.open_shards().len() as u64);
        let takes = |limit: u32, of_the_service: u32| {
            open * u64::from(limit).min(u64::from(of_the_service) * self.share / 100)
        };
        self.counts.records_per_second =
            takes(options.records_per_second_per_shard, SHARD_RECORDS_PER_SECOND);
        self.counts.bytes_per_second = takes(options.bytes_per_second_per_shard, SHARD_BYTES_PER_SECOND);
    }

    /// Whether a record waits for each shard.
    fn all_have_work(&self, scene: &Scene<'_>) -> bool {
        let Some(map) = self.map.as_ref().filter(|map| !map.shards().is_empty()) else { return false };
        let mut shards = BTreeSet::new();
        scene.ledger.iter().any(|(_, facts)| {
            if facts.accepted.is_some() && !facts.in_flight {
                shards.insert(map.index_of(facts.hash_key));
            }
            shards.len() == map.shards().len()
        })
    }

    fn look(&mut self, scene: &Scene<'_>) -> Result<(), Breach> {
        let looked_at = std::mem::replace(&mut self.looked_at, scene.now);
        let calm_from = self.began_at.unwrap_or_default().after(self.disturbed_for);
        let settled_at = calm_from.max(scene.now).after(SETTLES);
        // A batcher that is seldom called was not seen to have work in between.
        if scene.now > looked_at.after(3 * LOOK_EVERY) || !self.all_have_work(scene) {
            (self.counted_from, self.counts) = (settled_at, Counts::default());
            return Ok(());
        }
        self.counted_from = self.counted_from.min(settled_at);
        let elapsed = scene.now.since(self.counted_from);
        if scene.now < self.counted_from || elapsed < COUNTED_MIN {
            return Ok(());
        }
        let Counts { stored, stored_bytes, throttled, records_per_second, bytes_per_second } = self.counts;
        let percent = |stored: u64, per_second: u64| {
            let taken = u128::from(per_second) * elapsed.as_millis() / 1_000;
            (u128::from(stored) * 100 / taken.max(1)) as u64
        };
        let used = percent(stored, records_per_second).max(percent(stored_bytes, bytes_per_second));
        let is_calm = self.disturbed_for == Duration::ZERO;
        if used < if is_calm { USED_PERCENT_MIN } else { USED_AGAIN_PERCENT_MIN } {
            return Err(Breach::new(format!(
                "each shard has work, and {used} % of what they take was used in {elapsed:?}"
            )));
        }
        if throttled * 100 > (stored + throttled) * THROTTLED_PERCENT_MAX + THROTTLED_BESIDES * 100 {
            return Err(Breach::new(format!(
                "it is alone, and of {} records sent in {elapsed:?} {throttled} were throttled",
                stored + throttled
            )));
        }
        Ok(())
    }
}

impl Checker for ShardsAreFull {
    fn invariant(&self) -> Invariant {
        Invariant::Fullness
    }

    fn observe(&mut self, scene: &Scene<'_>, observation: &Observation<'_>) -> Result<(), Breach> {
        match *observation {
            Observation::Began { batcher, .. } => {
                self.began_at = Some(scene.now);
                self.map = Some(batcher.shard_map().clone());
            }
            Observation::MapGiven { map, .. } => self.map = Some(map.clone()),
            Observation::Stored { entries, replies, service, .. } => {
                self.stored(scene.now, entries, replies, service);
            }
            Observation::Settled { .. } if scene.now >= self.looked_at.after(LOOK_EVERY) => {
                return self.look(scene);
            }
            _ => {}
        }
        Ok(())
    }
}

/// Faults are over, and shards have work, for so long before anything counts.
const SETTLES: Duration = Duration::from_secs(25);
/// Shares of less time say little.
const COUNTED_MIN: Duration = Duration::from_secs(15);
const USED_PERCENT_MIN: u64 = 50;
/// After a disturbance.
const USED_AGAIN_PERCENT_MIN: u64 = 35;
const THROTTLED_PERCENT_MAX: u64 = 15;
const THROTTLED_BESIDES: u64 = 20;
const LOOK_EVERY: Duration = Duration::from_secs(1);
