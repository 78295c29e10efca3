//! Taking in a map of the stream, and noticing that it no longer holds.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::num::NonZeroU32;
use core::time::Duration;

use crate::entry::{Entry, EntryId};
use crate::event::{Event, FailureReason};
use crate::lane::{Lane, Limits, Rates};
use crate::limits::{SHARD_BYTES_PER_SECOND, SHARD_RECORDS_PER_SECOND};
use crate::shard_id::ShardId;
use crate::shard_map::ShardMap;
use crate::time::Timestamp;

use super::{Batcher, Phase};

/// Whether the caller was told that its map is out of date, and when it may be told again.
#[derive(Debug)]
pub(super) struct Staleness {
    quiet_until: Timestamp,
    wait: Duration,
}

impl Staleness {
    pub(super) fn new() -> Self {
        Self { quiet_until: Timestamp::ZERO, wait: WAIT_BASE }
    }

    /// Whether to tell now. Each telling doubles the silence after it.
    fn tell(&mut self, now: Timestamp) -> bool {
        let tell = self.quiet_until <= now;
        if tell {
            self.quiet_until = now.after(self.wait);
            self.wait = (self.wait * 2).min(WAIT_CEILING);
        }
        tell
    }

    /// A map that differs from the one before came in: whatever is stale now is news.
    fn refreshed(&mut self) {
        *self = Self::new();
    }
}

impl<T> Batcher<T> {
    /// Lanes for the first map. Nothing is known against sending to them, so they start with a burst.
    pub(super) fn open_first_lanes(&mut self) {
        let limits = self.rates().map(Limits::full);
        self.lane_of_shard = shard_ids(&self.map)
            .into_iter()
            .map(|id| self.lanes.add(Lane::new(id, limits.clone())))
            .collect();
    }

    pub(super) fn reshard(&mut self, map: ShardMap) {
        self.stats.shard_map_updates += 1;
        if map == self.map {
            return;
        }
        self.staleness.refreshed();
        let old_map = core::mem::replace(&mut self.map, map);
        let old_lanes = core::mem::take(&mut self.lane_of_shard);
        let rates = self.rates();
        let mut known: BTreeMap<Option<ShardId>, u32> =
            old_lanes.iter().map(|&lane| (self.lanes.lane(lane).shard_id.clone(), lane)).collect();
        for id in shard_ids(&self.map) {
            let lane = match known.remove(&id) {
                Some(lane) => {
                    if let (Some(limits), Some(rates)) = (&mut self.lanes.lane_mut(lane).limits, rates) {
                        limits.set_rates(rates);
                    }
                    lane
                }
                None => {
                    let limits = rates.map(|rates| Limits::empty(rates, self.now));
                    self.lanes.add(Lane::new(id, limits))
                }
            };
            self.lane_of_shard.push(lane);
        }

        // Names of shards are never used again, so those that stay keep their records, unless a listing moved even
        // their range.
        let serves: BTreeMap<u32, usize> =
            self.lane_of_shard.iter().enumerate().map(|(index, &lane)| (lane, index)).collect();
        let mut moving = Vec::new();
        for (old_index, &lane) in old_lanes.iter().enumerate() {
            let unmoved = serves
                .get(&lane)
                .is_some_and(|&index| old_map.shards().get(old_index) == self.map.shards().get(index));
            if !unmoved {
                moving.extend(self.take_queue(lane));
            }
        }
        for &lane in known.values() {
            self.lanes.retire(lane);
        }
        self.route(&moving);
        if self.map.record_bytes_max() < old_map.record_bytes_max() || old_map.is_auto() != self.map.is_auto()
        {
            self.fail_what_the_stream_no_longer_takes();
        }
        self.quarantine.unblock();
    }

    /// Puts records where the present map sends them.
    pub(super) fn route(&mut self, ids: &[EntryId]) {
        let mut routed: Vec<(u32, u64, EntryId)> = ids
            .iter()
            .map(|&id| {
                let entry = self.pool.entry(id);
                (self.lane_of(entry.hash_key), entry.sequence, id)
            })
            .collect();
        routed.sort_unstable();
        for run in routed.chunk_by(|left, right| left.0 == right.0) {
            let lane = run[0].0;
            let ids: Vec<EntryId> = run.iter().map(|&(_, _, id)| id).collect();
            for &id in &ids {
                let bytes = self.pool.entry(id).bytes();
                self.lanes.lane_mut(lane).held.add(bytes);
            }
            self.lanes.put_back(&mut self.pool, self.now, lane, &ids);
            self.arm_expiry(lane);
        }
    }

    /// Takes all that waits in a lane; it stays in the pool, and off the lane's account.
    pub(super) fn take_queue(&mut self, lane: u32) -> Vec<EntryId> {
        self.lanes.detach(lane);
        let state = self.lanes.lane_mut(lane);
        let ids: Vec<EntryId> = state.queue.ids(&self.pool).collect();
        state.queue.clear();
        for &id in &ids {
            state.held.subtract(self.pool.entry(id).bytes());
        }
        ids
    }

    /// Asks for a new map when a record was stored by a shard that the present one would not have sent it to. It is
    /// stored all the same: sending it again would double it.
    pub(super) fn check_shard(&mut self, lane: u32, entry: &Entry<T>, stored_by: &ShardId) {
        let Some(predicted) = &self.lanes.lane(lane).shard_id else { return };
        if predicted == stored_by {
            return;
        }
        let owner = self.map.shards().get(self.map.index_of(entry.hash_key));
        let stale = owner.is_some_and(|owner| owner.id != *stored_by);
        if stale && self.phase < Phase::Drained && self.staleness.tell(self.now) {
            self.events.push_back(Event::ShardMapStale);
        }
    }

    /// What one lane may be sent, by the configured share of the service's limits.
    fn rates(&self) -> Option<Rates> {
        let shards = if self.map.shards().is_empty() { self.map.open_shards() } else { 1 };
        let shards = u64::from(NonZeroU32::new(shards).map_or(1, NonZeroU32::get));
        Some(Rates {
            records_per_second: self.config.shard_limit().of(SHARD_RECORDS_PER_SECOND * shards)?,
            bytes_per_second: self.config.shard_limit().of(SHARD_BYTES_PER_SECOND * shards)?,
        })
    }

    fn fail_what_the_stream_no_longer_takes(&mut self) {
        let bytes_max = self.map.record_bytes_max();
        let key_needed = !self.map.is_auto();
        let reason = |entry: &Entry<T>| {
            if entry.bytes() > bytes_max {
                return Some(FailureReason::TooLarge { bytes: entry.bytes(), bytes_max });
            }
            (key_needed && entry.partition_key.is_empty()).then_some(FailureReason::PartitionKeyMissing)
        };
        let time_to_live = self.config.time_to_live();
        let expiry =
            |entry: &Entry<T>| time_to_live.map_or(Timestamp::MAX, |ttl| entry.accepted_at.after(ttl));
        let mut refused = self.quarantine.extract(|entry| reason(entry).is_some(), expiry);
        for index in 0..self.lane_of_shard.len() {
            let ids = self.take_queue(self.lane_of_shard[index]);
            let (out, stay): (Vec<_>, Vec<_>) =
                ids.into_iter().partition(|&id| reason(self.pool.entry(id)).is_some());
            self.route(&stay);
            refused.extend(out.into_iter().map(|id| self.pool.remove(id)));
        }
        refused.sort_unstable_by_key(|entry| entry.sequence);
        for entry in refused {
            if let Some(reason) = reason(&entry) {
                self.fail(entry, reason);
            }
        }
    }
}

/// The shards that need a lane each; one without a name where they are not known.
fn shard_ids(map: &ShardMap) -> Vec<Option<ShardId>> {
    if map.shards().is_empty() {
        return alloc::vec![None];
    }
    map.shards().iter().map(|shard| Some(shard.id.clone())).collect()
}

/// About as long as it takes to list the shards.
const WAIT_BASE: Duration = Duration::from_secs(1);
/// A listing that stays out of date, or cannot be had, is asked for twice a minute.
const WAIT_CEILING: Duration = Duration::from_secs(30);
