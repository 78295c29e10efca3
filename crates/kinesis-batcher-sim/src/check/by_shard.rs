//! Something kept for each shard that a producer knows of.

use std::collections::BTreeMap;

use kinesis_batcher_core::{HashKey, ShardId, ShardMap};

/// A value for each shard of a producer's map; a single one where its shards are not known.
///
/// A shard that stays from one map to the next keeps its value, and a name that comes back after an absence is a new
/// shard.
#[derive(Clone, Debug)]
pub(super) struct ByShard<T> {
    map: Option<ShardMap>,
    /// The place of each shard's value, by the shard's index in the map.
    places: Vec<u32>,
    /// Places are never used again, so that what is on its way can name its shard.
    values: Vec<T>,
}

impl<T> Default for ByShard<T> {
    fn default() -> Self {
        Self { map: None, places: Vec::new(), values: Vec::new() }
    }
}

impl<T> ByShard<T> {
    /// Takes in a map. Calls `open` for each shard that is new.
    pub(super) fn refresh(&mut self, map: &ShardMap, mut open: impl FnMut() -> T) {
        if self.map.as_ref() == Some(map) {
            return;
        }
        let mut known: BTreeMap<Option<ShardId>, u32> = match &self.map {
            Some(before) => ids(before).into_iter().zip(self.places.drain(..)).collect(),
            None => BTreeMap::new(),
        };
        for id in ids(map) {
            let place = known.remove(&id).unwrap_or_else(|| {
                self.values.push(open());
                self.values.len() as u32 - 1
            });
            self.places.push(place);
        }
        self.map = Some(map.clone());
    }

    /// The place of the shard that a record with this hash key belongs to.
    pub(super) fn place_of(&self, key: HashKey) -> u32 {
        self.map.as_ref().map_or(0, |map| self.places[map.index_of(key)])
    }

    pub(super) fn at(&mut self, place: u32) -> &mut T {
        &mut self.values[place as usize]
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
    fn a_shard_that_stays_keeps_its_value_and_one_that_comes_back_does_not() {
        let mut shards = ByShard::default();
        let mut opened = 0;
        let mut open = || {
            opened += 1;
            opened
        };
        shards.refresh(&map(9, ["a", "b"]), &mut open);
        shards.refresh(&map(9, ["a", "b"]), &mut open);
        shards.refresh(&map(5, ["c", "b"]), &mut open);
        let place = shards.place_of(HashKey::MAX);
        assert_eq!(*shards.at(place), 2, "b stayed");
        shards.refresh(&map(5, ["a", "b"]), &mut open);
        let place = shards.place_of(HashKey::MIN);
        assert_eq!(*shards.at(place), 4, "a is new again");
    }
}
