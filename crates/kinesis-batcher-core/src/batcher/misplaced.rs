//! Aggregates that were stored by a shard other than predicted.
//!
//! Consumers built on the KCL drop an aggregate if it holds a user record whose hash key lies outside the range of the
//! shard that it was read from (S-28). One that was routed by its first record to a new child shard, while its others belong
//! to the sibling, is stored and yet lost. Whether that is so shows only in a map that knows the child; until then the
//! aggregate is kept. If no map shows it, because the child itself was split or merged since, it is sent again.

use alloc::vec::Vec;
use core::time::Duration;

use crate::aggregate::{all_belong, take_apart};
use crate::entry::{Content, Entry};
use crate::error_code::ServiceError;
use crate::hash_key::HashKey;
use crate::sequence_number::SequenceNumber;
use crate::shard_id::ShardId;
use crate::time::Timestamp;

use super::{Batcher, Phase};

/// An aggregate that a shard unknown to the map has stored.
pub(super) struct Misplaced<T> {
    entry: Entry<T>,
    stored_by: ShardId,
    sequence_number: SequenceNumber,
    /// How long to wait for a map that knows the shard.
    kept_until: Timestamp,
}

/// A record that was stored by a shard that does not own its hash key by the map.
pub(super) struct Unexplained {
    hash_key: HashKey,
    stored_by: ShardId,
    /// The map by which the shard was not expected.
    map_version: u64,
}

impl<T> Misplaced<T> {
    pub(super) fn entry(&self) -> &Entry<T> {
        &self.entry
    }
}

impl<T> Batcher<T> {
    /// A shard stored an entry of this lane.
    #[inline]
    pub(super) fn stored(
        &mut self,
        lane: u32,
        entry: Entry<T>,
        stored_by: ShardId,
        sequence_number: SequenceNumber,
    ) {
        let predicted = self.lanes.lane(lane).shard_id.as_ref();
        if predicted.is_none_or(|predicted| *predicted == stored_by) {
            return self.deliver(entry, stored_by, sequence_number);
        }
        self.stored_elsewhere(entry, stored_by, sequence_number);
    }

    #[cold]
    fn stored_elsewhere(&mut self, entry: Entry<T>, stored_by: ShardId, sequence_number: SequenceNumber) {
        self.note_misrouted(entry.hash_key, &stored_by);
        let kept_until = self.now.after(MAP_AWAITED_MAX).min(entry.expires_at(self.config.time_to_live()));
        match self.place(Misplaced { entry, stored_by, sequence_number, kept_until }) {
            Some(unknown)
                if kept_until <= self.now
                    || self.no_map_will_explain()
                    || self.has_no_lane_to_wait(&unknown.entry) =>
            {
                self.send_again(unknown);
            }
            Some(unknown) => {
                self.note_set_aside(unknown.entry.hash_key);
                self.misplaced_until = self.misplaced_until.min(kept_until);
                self.misplaced.push(unknown);
                self.ask_for_a_map();
            }
            None => {}
        }
    }

    /// The stream's maps name no shards: the request was sent by an earlier one, which did.
    fn no_map_will_explain(&self) -> bool {
        self.map.shards().is_empty() && !self.map.is_unknown()
    }

    /// Delivers what a shard stored if it belongs there; sends it again if consumers will drop it; gives it back if
    /// the map does not tell.
    fn place(&mut self, misplaced: Misplaced<T>) -> Option<Misplaced<T>> {
        let Misplaced { entry, stored_by, .. } = &misplaced;
        // A record by itself belongs wherever its hash key led it: sending it again would double it.
        let is_record = matches!(entry.content, Content::Record(_));
        let shard = self.map.shards().iter().find(|shard| shard.id == *stored_by);
        let belongs = shard.is_some_and(|shard| all_belong(entry, |key| shard.owns(key)));
        if is_record || belongs {
            let Misplaced { entry, stored_by, sequence_number, .. } = misplaced;
            self.deliver(entry, stored_by, sequence_number);
            return None;
        }
        if shard.is_none() {
            return Some(misplaced);
        }
        self.send_again(misplaced);
        None
    }

    fn send_again(&mut self, misplaced: Misplaced<T>) {
        let mut entry = misplaced.entry;
        entry.misplacements += 1;
        // Consumers that read without the KCL's rule see it twice.
        entry.possible_duplicate = true;
        let error =
            ServiceError::new("Misplaced", "stored by a shard that does not own all of the aggregate");
        // A server that files aggregates under the wrong shard again and again does not route as the service does.
        let parts =
            if entry.misplacements < MISPLACEMENTS_MAX { alloc::vec![entry] } else { take_apart(entry) };
        let mut again = Vec::new();
        for part in parts {
            self.try_again(part, &error, &mut again);
        }
        self.route(&again);
    }

    /// A shard stored a Kinesis record that was sent to another. A map is asked for until one explains it; where many
    /// are, the service may distribute records itself from now on, and a map is asked for at once.
    fn note_misrouted(&mut self, hash_key: HashKey, stored_by: &ShardId) {
        let owner = self.map.shards().get(self.map.index_of(hash_key));
        if owner.is_none_or(|owner| owner.id == *stored_by) {
            return;
        }
        self.misrouted += 1;
        self.unexplained =
            Some(Unexplained { hash_key, stored_by: stored_by.clone(), map_version: self.map_version });
        if self.misrouted.is_multiple_of(MISROUTED_RUN) && (self.misrouted / MISROUTED_RUN).is_power_of_two()
        {
            self.urge_a_map();
        } else {
            self.ask_for_a_map();
        }
    }

    /// Looks at what no map explained, by the present one. A shard that came and went again between two maps is
    /// explained by the later.
    pub(super) fn forget_what_is_explained(&mut self) {
        let Some(Unexplained { hash_key, stored_by, map_version }) = &self.unexplained else { return };
        let owner = self.map.shards().get(self.map.index_of(*hash_key));
        let is_known = self.map.shards().iter().any(|shard| shard.id == *stored_by);
        let explained = match owner {
            Some(owner) => owner.id == *stored_by || !is_known && *map_version != self.map_version,
            None => !self.map.is_unknown(),
        };
        if explained {
            self.unexplained = None;
        }
    }

    /// Looks at what was kept, by a new map.
    pub(super) fn place_misplaced(&mut self) {
        for misplaced in self.take_all_misplaced() {
            if let Some(unknown) = self.place(misplaced) {
                self.send_again(unknown);
            }
        }
    }

    /// What was kept, to be handed back: whether consumers see it will never be known.
    pub(super) fn take_misplaced(&mut self) -> Vec<Entry<T>> {
        self.take_all_misplaced()
            .into_iter()
            .map(|misplaced| Entry { possible_duplicate: true, ..misplaced.entry })
            .collect()
    }

    /// Sends again what was kept for long enough.
    pub(super) fn give_up_on_maps(&mut self) {
        let now = self.now;
        if self.misplaced_until > now {
            return;
        }
        let (over, kept) = self
            .take_all_misplaced()
            .into_iter()
            .partition::<Vec<_>, _>(|misplaced| misplaced.kept_until <= now);
        self.misplaced_until =
            kept.iter().map(|misplaced| misplaced.kept_until).fold(Timestamp::MAX, Timestamp::min);
        self.misplaced = kept;
        for misplaced in over {
            self.note_brought_back(misplaced.entry.hash_key);
            self.send_again(misplaced);
        }
    }

    pub(super) fn next_to_give_up_on_maps(&self) -> Option<Timestamp> {
        (!self.misplaced.is_empty()).then_some(self.misplaced_until)
    }

    fn take_all_misplaced(&mut self) -> Vec<Misplaced<T>> {
        self.misplaced_until = Timestamp::MAX;
        core::mem::take(&mut self.misplaced)
    }

    /// While there is no map, or none that explains what was stored where, one is asked for again, less and less often.
    pub(super) fn ask_again_for_a_map(&mut self) {
        if self.next_map_request().is_some_and(|at| at <= self.now) {
            self.ask_for_a_map();
        }
    }

    pub(super) fn next_map_request(&self) -> Option<Timestamp> {
        let waits = !self.misplaced.is_empty() || self.unexplained.is_some() || self.map.is_unknown();
        (waits && self.phase < Phase::Drained).then(|| self.staleness.quiet_until())
    }
}

/// A map comes within a second as a rule, and listings lag by a few.
const MAP_AWAITED_MAX: Duration = Duration::from_secs(30);
/// How often an aggregate is sent again as one, before its records go by themselves.
const MISPLACEMENTS_MAX: u8 = 3;
/// So many misrouted Kinesis records are no reshard that the next listing will show: the service may have begun to
/// distribute records itself. Only DescribeStreamSummary shows it (S-24, S-26).
const MISROUTED_RUN: u64 = 10;
