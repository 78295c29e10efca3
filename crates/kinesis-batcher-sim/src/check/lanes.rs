//! Something kept for each shard that a producer knows of.

use std::collections::BTreeMap;

use kinesis_batcher_core::{HashKey, ShardId, ShardMap};

/// A value for each shard of a producer's map; a single one where its shards are not known.
///
/// A shard that stays from one map to the next keeps its value, and a name that comes back after an absence is a new
/// shard.
#[derive(Clone, Debug)]
pub(super) struct Lanes<L> {
    map: Option<ShardMap>,
    /// The place of each shard's lane, by the shard's index in the map.
    lane_of_shard: Vec<u32>,
    /// Places are never used again, so that what is on its way can name its lane.
    lanes: Vec<L>,
}

impl<L> Default for Lanes<L> {
    fn default() -> Self {
        Self { map: None, lane_of_shard: Vec::new(), lanes: Vec::new() }
    }
}

impl<L> Lanes<L> {
    /// Takes in a map. Calls `open` for each shard that is new. Says whether the map differs from the one before.
    pub(super) fn refresh(&mut self, map: &ShardMap, mut open: impl FnMut() -> L) -> bool {
        if self.map.as_ref() == Some(map) {
            return false;
        }
        let mut known: BTreeMap<Option<ShardId>, u32> = match &self.map {
            Some(before) => ids(before).into_iter().zip(self.lane_of_shard.drain(..)).collect(),
            None => BTreeMap::new(),
        };
        for id in ids(map) {
            let place = known.remove(&id).unwrap_or_else(|| {
                self.lanes.push(open());
                self.lanes.len() as u32 - 1
            });
            self.lane_of_shard.push(place);
        }
        self.map = Some(map.clone());
        true
    }

    /// The place of the lane that a record with this hash key belongs to.
    pub(super) fn place_of(&self, key: HashKey) -> u32 {
        match &self.map {
            Some(map) => self.lane_of_shard[map.index_of(key)],
            None => 0,
        }
    }

    pub(super) fn lane(&mut self, place: u32) -> &mut L {
        &mut self.lanes[place as usize]
    }

    /// The lane of the shard at this index in the present map.
    pub(super) fn of_shard(&mut self, index: usize) -> &mut L {
        let place = self.lane_of_shard[index];
        self.lane(place)
    }

    /// The lanes of the present map, with their places.
    pub(super) fn present(&mut self) -> impl Iterator<Item = (u32, &mut L)> {
        let mut present = self.lane_of_shard.clone();
        present.sort_unstable();
        let mut present = present.into_iter().peekable();
        (0u32..).zip(&mut self.lanes).filter(move |(place, _)| present.next_if_eq(place).is_some())
    }

    /// Every lane there ever was.
    pub(super) fn all(&mut self) -> &mut [L] {
        &mut self.lanes
    }

    /// How many lanes the present map has.
    pub(super) fn count(&self) -> usize {
        self.lane_of_shard.len()
    }
}

fn ids(map: &ShardMap) -> Vec<Option<ShardId>> {
    if map.shards().is_empty() {
        return vec![None];
    }
    map.shards().iter().map(|shard| Some(shard.id.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use kinesis_batcher_core::Shard;

    fn map(cut: u128, ids: [&str; 2]) -> ShardMap {
        let lower = Shard::new(ids[0], HashKey::MIN, HashKey::new(cut - 1));
        ShardMap::known(vec![lower, Shard::new(ids[1], HashKey::new(cut), HashKey::MAX)]).expect("they tile")
    }

    #[test]
    fn a_shard_that_stays_keeps_its_lane_and_one_that_comes_back_does_not() {
        let mut lanes = Lanes::default();
        let mut opened = 0;
        let mut open = || {
            opened += 1;
            opened
        };
        assert!(lanes.refresh(&map(9, ["a", "b"]), &mut open));
        assert!(!lanes.refresh(&map(9, ["a", "b"]), &mut open), "the same map changes nothing");
        assert!(lanes.refresh(&map(5, ["c", "b"]), &mut open));
        let place = lanes.place_of(HashKey::MAX);
        assert_eq!((*lanes.lane(place), lanes.count()), (2, 2), "b stayed");
        assert!(lanes.refresh(&map(5, ["a", "b"]), &mut open));
        let place = lanes.place_of(HashKey::MIN);
        assert_eq!(*lanes.lane(place), 4, "a is new again");
        assert_eq!(lanes.present().map(|(_, &mut lane)| lane).collect::<Vec<_>>(), [2, 4]);
    }
}
