//! Order by partition key: who waits for whom.
//!
//! A record that failed does not stop later ones of the same request (S-17), and requests overtake each other. So two
//! records of a key are never on their way at once, unless inside one aggregate.
//!
//! Without aggregation the key is the unit: one record of it is ahead, and the others are parked behind. With it, an
//! aggregate mixes many keys, and the lane is the unit: nothing of it is taken while something of it is in flight, or
//! set aside in quarantine or as misplaced, or in flight under an older map that had its keys elsewhere.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use crate::config::{Config, Ordering};
use crate::entry::{Content, Entry, EntryId};
use crate::event::FailureReason;
use crate::hash_key::HashKey;
use crate::key_chains::KeyChains;
use crate::lane::LaneState;
use crate::request::Run;
use crate::shard_map::ShardMap;
use crate::time::Timestamp;

use super::Batcher;
use super::misplaced::Misplaced;

/// What of a lane may be on its way at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// Anything: no order was asked for.
    None,
    /// One record of each key.
    Key,
    /// What was taken into one request at once, no two records of a key in it unless inside one aggregate.
    Lane,
}

/// What there is to remember for the sake of order.
pub(super) struct Order {
    pub(super) unit: Unit,
    keys: KeyChains,
    /// Records that are ahead now and wait to be queued in their lanes. They count as held there all along.
    turns: Vec<EntryId>,
    /// How many entries of a lane are in quarantine or misplaced, where there are any.
    aside: BTreeMap<u32, u32>,
    /// The lanes of older maps that requests on their way name and whose keys are this lane's now, where there are any.
    awaits: BTreeMap<u32, BTreeSet<u32>>,
    /// The same the other way round.
    heirs: BTreeMap<u32, Vec<u32>>,
    /// Lanes of requests that came back.
    returned: Vec<u32>,
    /// Lanes that may wait no longer, or must now.
    touched: Vec<u32>,
}

impl Order {
    pub(super) fn new(config: &Config) -> Self {
        let unit = match config.ordering() {
            Ordering::None => Unit::None,
            Ordering::PartitionKey if config.aggregation() => Unit::Lane,
            Ordering::PartitionKey => Unit::Key,
        };
        Self {
            unit,
            keys: KeyChains::new(),
            turns: Vec::new(),
            aside: BTreeMap::new(),
            awaits: BTreeMap::new(),
            heirs: BTreeMap::new(),
            returned: Vec::new(),
            touched: Vec::new(),
        }
    }
}

impl<T> Batcher<T> {
    /// Whether order was asked for that the stream cannot give, because the service spreads records itself.
    pub(super) fn is_order_impossible(&self) -> bool {
        self.order.unit != Unit::None && self.map.is_auto()
    }

    /// Parks a record that was just pushed behind an earlier one of its key. `false`: it may go.
    #[inline]
    pub(super) fn park(&mut self, id: EntryId) -> bool {
        self.order.unit == Unit::Key && self.order.keys.park(&mut self.pool, id)
    }

    /// An entry ended, and with it the wait of those behind.
    #[inline]
    pub(super) fn let_next_go(&mut self, key: HashKey) {
        if self.order.unit == Unit::Key {
            self.pass_turn_on(key);
        }
    }

    /// Parked records are younger than the one ahead. If that is queued, it expires first; if it is in flight, what
    /// expired behind it meanwhile is handed back here, once it has come back.
    fn pass_turn_on(&mut self, key: HashKey) {
        while let Some(id) = self.order.keys.next(&mut self.pool, key) {
            if !self.pool.entry(id).is_expired(self.now, self.config.time_to_live()) {
                self.order.turns.push(id);
                return;
            }
            let entry = self.pool.remove(id);
            let lane = self.lane_of(key);
            let lane = self.lanes.lane_mut(lane);
            lane.held.subtract(entry.held());
            let last_error = lane.last_error().cloned().or_else(|| self.last_error.clone());
            self.hand_back(entry, &FailureReason::Expired { last_error });
        }
    }

    /// Queues the records whose turn has come and lets lanes go that wait no longer. Says whether there were any.
    #[inline]
    pub(super) fn give_turns(&mut self) -> bool {
        match self.order.unit {
            Unit::None => false,
            Unit::Key => self.queue_turns(),
            Unit::Lane => self.release_lanes(),
        }
    }

    fn queue_turns(&mut self) -> bool {
        if self.order.turns.is_empty() {
            return false;
        }
        let turns = core::mem::take(&mut self.order.turns);
        let routed = turns.iter().map(|&id| {
            let entry = self.pool.entry(id);
            (self.lane_of(entry.hash_key), entry.rank(), id)
        });
        let routed = routed.collect();
        self.queue_routed(routed);
        self.order.turns = turns;
        self.order.turns.clear();
        true
    }

    /// Queues entries that their lanes hold already.
    pub(super) fn queue_routed(&mut self, mut routed: Vec<(u32, (Timestamp, u64), EntryId)>) {
        // Parts of one aggregate share its place in the order of pushes: the sort must keep theirs.
        routed.sort_by_key(|&(lane, rank, _)| (lane, rank));
        for run in routed.chunk_by(|left, right| left.0 == right.0) {
            let lane = run[0].0;
            let ids: Vec<EntryId> = run.iter().map(|&(_, _, id)| id).collect();
            self.lanes.put_back(&mut self.pool, self.now, lane, &ids);
            self.arm_expiry(lane);
        }
    }

    /// Requests left their lanes' accounts; what comes of their records is settled before lanes are let go.
    pub(super) fn note_returned(&mut self, runs: &[Run]) {
        if self.order.unit == Unit::Lane {
            self.order.returned.extend(runs.iter().map(|run| run.lane));
        }
    }

    fn release_lanes(&mut self) -> bool {
        let mut returned = core::mem::take(&mut self.order.returned);
        for index in returned.drain(..) {
            self.order.touched.push(index);
            if self.lanes.lane(index).requests_in_flight > 0 {
                continue;
            }
            for heir in self.order.heirs.remove(&index).unwrap_or_default() {
                if let Some(awaited) = self.order.awaits.get_mut(&heir) {
                    awaited.remove(&index);
                    if awaited.is_empty() {
                        self.order.awaits.remove(&heir);
                        self.order.touched.push(heir);
                    }
                }
            }
        }
        self.order.returned = returned;
        if self.order.touched.is_empty() {
            return false;
        }
        debug_assert_eq!(self.order.aside, self.count_aside(), "what is set aside is counted by its lane");
        let mut touched = core::mem::take(&mut self.order.touched);
        let mut released = false;
        for index in touched.drain(..) {
            released |= self.hold_or_release(index);
        }
        self.order.touched = touched;
        released
    }

    /// Whether the lane was let go just now.
    fn hold_or_release(&mut self, index: u32) -> bool {
        let lane = self.lanes.lane(index);
        let must_wait = lane.requests_in_flight > 0
            || self.order.aside.contains_key(&index)
            || self.order.awaits.contains_key(&index);
        if lane.state == LaneState::Retired || lane.must_wait == must_wait {
            return false;
        }
        self.lanes.detach(index);
        self.lanes.lane_mut(index).must_wait = must_wait;
        self.lanes.reschedule(&self.pool, self.now, index);
        !must_wait
    }

    /// Whether the head of a lane may join the records of these keys, taken from it into the same request before, where
    /// the lane is the unit. Which keys are in an aggregate is not looked at: it keeps no company.
    pub(super) fn may_join(&self, index: u32, taken: &BTreeSet<HashKey>) -> bool {
        let Some(head) = self.lanes.lane(index).queue.head() else {
            // What is still being aggregated can grow while the lane waits.
            return taken.is_empty();
        };
        let entry = self.pool.entry(head);
        match entry.content {
            Content::Record(_) => !taken.contains(&entry.hash_key),
            Content::Aggregate(_) => taken.is_empty(),
        }
    }

    /// Entries are in quarantine or misplaced from now on.
    pub(super) fn note_set_aside(&mut self, key: HashKey) {
        if self.order.unit == Unit::Lane {
            let lane = self.lane_of(key);
            *self.order.aside.entry(lane).or_default() += 1;
            self.order.touched.push(lane);
        }
    }

    /// An entry is in quarantine or misplaced no more.
    pub(super) fn note_brought_back(&mut self, key: HashKey) {
        if self.order.unit != Unit::Lane {
            return;
        }
        let lane = self.lane_of(key);
        if let Some(count) = self.order.aside.get_mut(&lane) {
            *count -= 1;
            if *count == 0 {
                self.order.aside.remove(&lane);
            }
        }
        self.order.touched.push(lane);
    }

    /// Takes out all that is parked, off its lanes' accounts.
    pub(super) fn take_parked(&mut self) -> Vec<Entry<T>> {
        self.extract_parked(|_| true)
    }

    /// Takes out what `leaves` names of what is parked, off its lanes' accounts.
    pub(super) fn extract_parked(&mut self, leaves: impl Fn(&Entry<T>) -> bool) -> Vec<Entry<T>> {
        let ids = self.order.keys.extract(&mut self.pool, leaves);
        let entries = ids.into_iter().map(|id| {
            let entry = self.pool.remove(id);
            let lane = self.lane_of_shard[self.map.index_of(entry.hash_key)];
            self.lanes.lane_mut(lane).held.subtract(entry.held());
            entry
        });
        entries.collect()
    }

    /// When the oldest parked record of a shard was accepted.
    pub(super) fn oldest_parked(&self, shard: usize) -> Option<Timestamp> {
        let heads = self.order.keys.heads(self.map.range_of(shard));
        heads.map(|id| self.pool.entry(id).accepted_at).min()
    }

    /// A new map is in use, and the lanes that it took keys from still stand: whatever is parked counts for the new
    /// ones, and those wait for what is in flight and may come back to them.
    pub(super) fn reorder(&mut self, old_map: &ShardMap, old_lanes: &[u32]) {
        match self.order.unit {
            Unit::None => {}
            Unit::Key => self.move_parked(old_map, old_lanes),
            Unit::Lane => self.await_older_lanes(old_map, old_lanes),
        }
    }

    fn move_parked(&mut self, old_map: &ShardMap, old_lanes: &[u32]) {
        let Self { order, pool, lanes, lane_of_shard, map, .. } = self;
        for (index, &old_lane) in old_lanes.iter().enumerate() {
            let keys = old_map.range_of(index);
            let is_unmoved = lane_of_shard.get(map.index_of(*keys.start())) == Some(&old_lane)
                && map.range_of(map.index_of(*keys.start())) == keys;
            if is_unmoved {
                continue;
            }
            for id in order.keys.parked(pool, keys) {
                let entry = pool.entry(id);
                lanes.lane_mut(old_lane).held.subtract(entry.held());
                lanes.lane_mut(lane_of_shard[map.index_of(entry.hash_key)]).held.add(entry.held());
            }
        }
    }

    fn await_older_lanes(&mut self, old_map: &ShardMap, old_lanes: &[u32]) {
        let awaited_before = core::mem::take(&mut self.order.awaits);
        self.order.heirs.clear();
        for (index, &lane) in self.lane_of_shard.iter().enumerate() {
            let keys = self.map.range_of(index);
            let mut awaited = BTreeSet::new();
            for &old in &old_lanes[old_map.index_of(*keys.start())..=old_map.index_of(*keys.end())] {
                awaited.extend(awaited_before.get(&old).into_iter().flatten());
                if self.lanes.lane(old).requests_in_flight > 0 {
                    awaited.insert(old);
                }
            }
            // It waits for its own requests anyway.
            awaited.remove(&lane);
            for &older in &awaited {
                self.order.heirs.entry(older).or_default().push(lane);
            }
            if !awaited.is_empty() {
                self.order.awaits.insert(lane, awaited);
            }
        }
    }

    /// Counts anew what is set aside, after the lanes have changed, and looks at each lane.
    pub(super) fn recount_aside(&mut self) {
        if self.order.unit == Unit::Lane {
            self.order.aside = self.count_aside();
            self.order.touched.extend(&self.lane_of_shard);
        }
    }

    fn count_aside(&self) -> BTreeMap<u32, u32> {
        let mut aside = BTreeMap::new();
        for entry in self.quarantine.entries().chain(self.misplaced.iter().map(Misplaced::entry)) {
            *aside.entry(self.lane_of(entry.hash_key)).or_default() += 1;
        }
        aside
    }

    /// Whether no single lane could wait for this entry while it is set aside.
    pub(super) fn has_no_lane_to_wait(&self, entry: &Entry<T>) -> bool {
        self.order.unit == Unit::Lane && !self.is_of_lane(entry, self.lane_of(entry.hash_key))
    }

    /// Whether this entry is the one of its key that is ahead, as far as that is known.
    pub(super) fn is_ahead(&self, entry: &Entry<T>) -> bool {
        self.order.unit != Unit::Key || self.order.keys.is_at_hand(entry.hash_key)
    }
}
