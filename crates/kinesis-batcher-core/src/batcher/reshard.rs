//! Taking in a map of the stream, and noticing that it no longer holds: shards split and merge at any time (S-19), and
//! their ids may begin anew (S-21).

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::num::NonZeroU32;
use core::time::Duration;

use crate::aggregate::{all_belong, dissolve};
use crate::entry::{Content, Entry, EntryId, Member};
use crate::event::{Event, FailureReason};
use crate::hash_key::HashKey;
use crate::lane::Lane;
use crate::limits::{SHARD_BYTES_PER_SECOND, SHARD_RECORDS_PER_SECOND};
use crate::pacer::{Limits, Share};
use crate::rate_controller::RateController;
use crate::record::Record;
use crate::shard_id::ShardId;
use crate::shard_map::ShardMap;
use crate::time::Timestamp;

use super::order::Unit;
use super::{Batcher, Phase};

/// Whether the caller was told that its map is out of date, and when it may be told again.
#[derive(Debug)]
pub(super) struct Staleness {
    asked_at: Option<Timestamp>,
    quiet_until: Timestamp,
    wait: Duration,
}

impl Staleness {
    pub(super) fn new() -> Self {
        Self { asked_at: None, quiet_until: Timestamp::ZERO, wait: WAIT_BASE }
    }

    /// Not to be told again before this.
    pub(super) fn quiet_until(&self) -> Timestamp {
        self.quiet_until
    }

    /// Whether to tell now. Each telling doubles the silence after it.
    fn tell(&mut self, now: Timestamp) -> bool {
        let tell = self.quiet_until <= now;
        if tell {
            self.asked_at = Some(now);
            self.quiet_until = now.after(self.wait);
            self.wait = (self.wait * 2).min(WAIT_CEILING);
        }
        tell
    }

    /// Ends the silence a second after it began.
    fn shorten(&mut self) {
        let quiet_until = self.asked_at.map_or(Timestamp::ZERO, |asked_at| asked_at.after(WAIT_BASE));
        self.quiet_until = self.quiet_until.min(quiet_until);
    }

    /// A map that differs from the one before came in: whatever is stale now is news.
    fn refreshed(&mut self) {
        *self = Self::new();
    }
}

impl<T> Batcher<T> {
    /// Lanes for the first map. Nothing is known against sending to them, so they start with a burst.
    pub(super) fn open_first_lanes(&mut self) {
        let rate = self.lane_limits().map(|limits| RateController::new(limits, self.share_min()));
        self.lane_of_shard =
            shard_ids(&self.map).into_iter().map(|id| self.lanes.add(Lane::new(id, rate.clone()))).collect();
    }

    pub(super) fn reshard(&mut self, map: ShardMap) {
        self.stats.shard_map_updates += 1;
        if self.hold.is_none() {
            self.doubts_map = false;
        }
        if map == self.map {
            return;
        }
        self.staleness.refreshed();
        self.misrouted = 0;
        self.map_version += 1;
        let old_map = core::mem::replace(&mut self.map, map);
        let old_lanes = core::mem::take(&mut self.lane_of_shard);
        let (limits, share_min) = (self.lane_limits(), self.share_min());
        let mut known: BTreeMap<Option<ShardId>, u32> =
            old_lanes.iter().map(|&lane| (self.lanes.lane(lane).shard_id.clone(), lane)).collect();
        for (index, id) in shard_ids(&self.map).into_iter().enumerate() {
            let lane = match known.remove(&id) {
                Some(lane) => {
                    if let Some((rate, limits)) = self.lanes.lane_mut(lane).rate.as_mut().zip(limits) {
                        rate.set_limits(self.now, limits, share_min);
                    }
                    lane
                }
                None => {
                    let parents = self.map.shards().get(index).map_or(0..0, |shard| old_map.owners_of(shard));
                    let parents =
                        parents.filter_map(|parent| self.lanes.lane(old_lanes[parent]).rate.as_ref());
                    let rate =
                        limits.map(|limits| RateController::child(limits, share_min, self.now, parents));
                    self.lanes.add(Lane::new(id, rate))
                }
            };
            self.lane_of_shard.push(lane);
        }

        // A name stands for one shard as long as the stream is the same (S-21), so those that stay keep their records,
        // unless a listing moved even their range.
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
        self.reorder(&old_map, &old_lanes);
        for &lane in known.values() {
            self.lanes.retire(lane);
        }
        self.route(&moving);
        let takes_less = self.map.record_bytes_max() < old_map.record_bytes_max()
            || old_map.is_auto() != self.map.is_auto()
            || old_map.is_unknown();
        if takes_less {
            self.fail_what_the_stream_no_longer_takes();
        }
        self.requarantine();
        self.place_misplaced();
        self.forget_what_is_explained();
        self.recount_aside();
    }

    /// Whether it is known which records share a shard.
    pub(super) fn may_aggregate(&self) -> bool {
        !self.map.shards().is_empty() && !self.doubts_map
    }

    /// The stream is missing. One of the same name may come back with other shards of the same names (S-21, S-22), and a
    /// reply would not show that consumers drop an aggregate. So there are none until a map has come.
    pub(super) fn doubt_map(&mut self) {
        if !self.config.aggregation() || !self.may_aggregate() {
            return;
        }
        self.doubts_map = true;
        // Aggregates that come back are taken apart, too.
        self.map_version += 1;
        let mut moving = Vec::new();
        for place in 0..self.lane_of_shard.len() {
            moving.extend(self.take_queue(self.lane_of_shard[place]));
        }
        self.route(&moving);
        self.requarantine();
        self.recount_aside();
    }

    /// Puts entries where the present map sends them. Aggregates are divided where shards are.
    pub(super) fn route(&mut self, ids: &[EntryId]) {
        let mut routed: Vec<(u32, (Timestamp, u64), EntryId)> = Vec::with_capacity(ids.len());
        let refusal = self.refusal();
        for &id in ids {
            let entry = self.pool.entry(id);
            if let Some(reason) = refusal(entry) {
                let entry = self.pool.remove(id);
                self.fail(entry, &reason);
                continue;
            }
            let (lane, rank) = (self.lane_of(entry.hash_key), entry.rank());
            if self.is_of_lane(entry, lane) {
                routed.push((lane, rank, id));
                continue;
            }
            let entry = self.pool.remove(id);
            for part in self.divide_by_lane(entry) {
                routed.push((self.lane_of(part.hash_key), part.rank(), self.pool.insert(part)));
            }
        }
        for &(lane, _, id) in &routed {
            let held = self.pool.entry(id).held();
            self.lanes.lane_mut(lane).held.add(held);
        }
        self.queue_routed(routed);
    }

    /// Takes all that waits in a lane; it stays in the pool, and off the lane's account.
    pub(super) fn take_queue(&mut self, lane: u32) -> Vec<EntryId> {
        self.lanes.detach(lane);
        self.close_detached_aggregate(lane);
        let state = self.lanes.lane_mut(lane);
        let ids: Vec<EntryId> = state.queue.ids(&self.pool).collect();
        state.queue.clear();
        // The next aggregate may be for another kind of stream.
        state.open = None;
        for &id in &ids {
            state.held.subtract(self.pool.entry(id).held());
        }
        ids
    }

    /// Divides an entry's user records among entries of their own: those that are `chosen`, and the others.
    pub(super) fn divide(
        &self,
        entry: Entry<T>,
        chosen: impl Fn(HashKey, Timestamp) -> bool,
    ) -> (Vec<Entry<T>>, Vec<Entry<T>>) {
        self.divide_within(entry, 0, chosen)
    }

    /// As [`divide`](Self::divide), but a part may be as large as the whole: new aggregates may have to be smaller.
    pub(super) fn divide_as_large(
        &self,
        entry: Entry<T>,
        chosen: impl Fn(HashKey, Timestamp) -> bool,
    ) -> (Vec<Entry<T>>, Vec<Entry<T>>) {
        let encoded_len = entry.data.len();
        self.divide_within(entry, encoded_len, chosen)
    }

    fn divide_within(
        &self,
        entry: Entry<T>,
        encoded_len_min: usize,
        chosen: impl Fn(HashKey, Timestamp) -> bool,
    ) -> (Vec<Entry<T>>, Vec<Entry<T>>) {
        let history = History::of(&entry);
        let (chosen, others): (Vec<_>, Vec<_>) = dissolve(entry)
            .into_iter()
            .partition(|(record, member)| chosen(record.hash_key, member.accepted_at));
        let assemble = |members| self.assemble(members, history, encoded_len_min);
        (assemble(chosen), assemble(others))
    }

    /// Divides an entry where the present map divides the shards of its user records.
    fn divide_by_lane(&mut self, entry: Entry<T>) -> Vec<Entry<T>> {
        let history = History::of(&entry);
        let mut by_lane: BTreeMap<u32, Vec<(Record, Member<T>)>> = BTreeMap::new();
        let alone = !self.may_aggregate();
        for (record, member) in dissolve(entry) {
            // Where shards are not known, every record goes by itself: no two can be said to share one.
            let group = if alone { by_lane.len() as u32 } else { self.lane_of(record.hash_key) };
            by_lane.entry(group).or_default().push((record, member));
        }
        by_lane.into_values().flat_map(|members| self.assemble(members, history, 0)).collect()
    }

    /// Aggregates user records again, with the history of what they were in before. The aggregates may have so many
    /// bytes at least.
    fn assemble(
        &self,
        members: Vec<(Record, Member<T>)>,
        history: History,
        encoded_len_min: usize,
    ) -> Vec<Entry<T>> {
        let mut open = self.new_aggregate(encoded_len_min);
        let mut entries = Vec::new();
        for (record, member) in members {
            let mut refused = open.push(record, member, history.sequence).err();
            if refused.is_some() {
                entries.extend(open.close());
            }
            if let Some((record, member)) = refused.take()
                && let Err((record, member)) = open.push(record, member, history.sequence)
            {
                entries.push(Entry::new(record, member.tag, member.accepted_at, history.sequence));
            }
        }
        entries.extend(open.close());
        entries.into_iter().map(|entry| history.write_to(entry)).collect()
    }

    /// Whether all of the entry may go to this lane under the present map.
    pub(super) fn is_of_lane(&self, entry: &Entry<T>, lane: u32) -> bool {
        if matches!(entry.content, Content::Record(_)) {
            return true;
        }
        self.may_aggregate() && all_belong(entry, |key| self.lane_of(key) == lane)
    }

    /// Divides what is under suspicion by the present map.
    pub(super) fn requarantine(&mut self) {
        self.quarantine.unblock();
        let refusal = self.refusal();
        for entry in self.quarantine.extract(|entry| refusal(entry).is_some(), self.config.time_to_live()) {
            self.note_brought_back(entry.hash_key);
            if let Some(reason) = refusal(&entry) {
                self.fail(entry, &reason);
            }
        }
        let whole = |entry: &Entry<T>| self.is_of_lane(entry, self.lane_of(entry.hash_key));
        if self.quarantine.entries().all(whole) {
            return;
        }
        let time_to_live = self.config.time_to_live();
        let is_aggregate = |entry: &Entry<T>| matches!(entry.content, Content::Aggregate(_));
        let aggregates = self.quarantine.extract(is_aggregate, time_to_live);
        if self.order.unit == Unit::Lane {
            // Parts of one aggregate may share a key: they go one by one, through their lanes' queues.
            for entry in &aggregates {
                self.note_brought_back(entry.hash_key);
            }
            let ids: Vec<EntryId> = aggregates.into_iter().map(|entry| self.pool.insert(entry)).collect();
            return self.route(&ids);
        }
        for entry in aggregates {
            for part in self.divide_by_lane(entry) {
                self.quarantine.put_back(part, time_to_live);
            }
        }
    }

    /// Asks for a new map at once, or a second after one was asked for last.
    pub(super) fn urge_a_map(&mut self) {
        self.staleness.shorten();
        self.ask_for_a_map();
    }

    /// Asks for a new map, unless one was asked for just now.
    pub(super) fn ask_for_a_map(&mut self) {
        if self.phase < Phase::Drained && self.staleness.tell(self.now) {
            self.events.push(Event::ShardMapStale);
        }
    }

    /// What one lane may be sent at most, by the configured share of the service's limits.
    pub(super) fn lane_limits(&self) -> Option<Limits> {
        let shards = if self.map.shards().is_empty() { self.map.open_shards() } else { 1 };
        let shards = u64::from(NonZeroU32::new(shards).map_or(1, NonZeroU32::get));
        Some(Limits {
            records_per_second: self.config.shard_limit().of(SHARD_RECORDS_PER_SECOND * shards)?,
            bytes_per_second: self.config.shard_limit().of(SHARD_BYTES_PER_SECOND * shards)?,
        })
    }

    /// The least share of a shard's limits, where rates follow what shards take. Where only their number is known, one hot
    /// shard would slow them all.
    fn share_min(&self) -> Option<Share> {
        let adapts = self.config.adaptive_rates() && (self.map.is_auto() || !self.map.shards().is_empty());
        adapts.then(|| Share::of_percent(self.config.rate_min_percent()))
    }

    /// Why the stream of the present map takes an entry no longer, if it does not.
    fn refusal(&self) -> impl Fn(&Entry<T>) -> Option<FailureReason> + use<T> {
        let bytes_max = self.map.record_bytes_max();
        let key_needed = !self.map.is_auto() && !self.map.is_unknown();
        let order_impossible = self.is_order_impossible();
        move |entry: &Entry<T>| {
            if entry.bytes() > bytes_max {
                return Some(FailureReason::TooLarge { bytes: entry.bytes(), bytes_max });
            }
            if order_impossible {
                return Some(FailureReason::OrderImpossible);
            }
            (key_needed && entry.partition_key.is_empty() && matches!(entry.content, Content::Record(_)))
                .then_some(FailureReason::PartitionKeyMissing)
        }
    }

    fn fail_what_the_stream_no_longer_takes(&mut self) {
        // Records whose turn came while others were routed are neither queued nor parked until then.
        self.give_turns();
        let reason = self.refusal();
        let mut refused =
            self.quarantine.extract(|entry| reason(entry).is_some(), self.config.time_to_live());
        for index in 0..self.lane_of_shard.len() {
            let ids = self.take_queue(self.lane_of_shard[index]);
            let (out, stay): (Vec<_>, Vec<_>) =
                ids.into_iter().partition(|&id| reason(self.pool.entry(id)).is_some());
            self.route(&stay);
            refused.extend(out.into_iter().map(|id| self.pool.remove(id)));
        }
        let parked = self.extract_parked(|entry| reason(entry).is_some());
        let mut refused: Vec<(Entry<T>, Place)> = refused
            .into_iter()
            .map(|entry| (entry, Place::Ahead))
            .chain(parked.into_iter().map(|entry| (entry, Place::Parked)))
            .collect();
        refused.sort_by_key(|(entry, _)| entry.rank());
        for (entry, place) in refused {
            let Some(reason) = reason(&entry) else { continue };
            match place {
                Place::Ahead => self.fail(entry, &reason),
                Place::Parked => self.hand_back(entry, &reason),
            }
        }
    }
}

/// Where a record stands among those of its key.
#[derive(Clone, Copy)]
enum Place {
    /// The next one goes when it ends.
    Ahead,
    Parked,
}

/// What is remembered of the attempts to send an entry.
#[derive(Clone, Copy)]
struct History {
    sequence: u64,
    attempts: u32,
    possible_duplicate: bool,
    misplacements: u8,
}

impl History {
    /// The entry, with this behind it.
    fn write_to<T>(self, entry: Entry<T>) -> Entry<T> {
        Entry {
            attempts: self.attempts,
            possible_duplicate: self.possible_duplicate,
            misplacements: self.misplacements,
            ..entry
        }
    }

    fn of<T>(entry: &Entry<T>) -> Self {
        Self {
            sequence: entry.sequence,
            attempts: entry.attempts,
            possible_duplicate: entry.possible_duplicate,
            misplacements: entry.misplacements,
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
