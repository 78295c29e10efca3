//! Who may wait for whom, for the sake of order.

use std::collections::{BTreeMap, VecDeque};

use kinesis_batcher_core::{Batcher, HashKey, Ordering, ShardMap};

use super::{RequestView, Scene};
use crate::window::Window;

/// What a producer's settings let its records wait for.
///
/// Without aggregation a record waits while an earlier one of its key is held. With it, a shard's records wait while a
/// request with some of that shard is on its way, or one made under an older map with what may come back to it.
#[derive(Debug, Default)]
pub(super) struct Turns {
    unit: Unit,
    map: Option<ShardMap>,
    records: Window<Held>,
    keys: BTreeMap<HashKey, Key>,
    /// Keys of which something is held and nothing is on its way.
    keys_at_rest: usize,
    /// Records that are not on their way, by the index of their shard.
    queued: Vec<u64>,
    flights: Vec<Flight>,
}

/// Of what one thing may be on its way at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Unit {
    /// Of nothing.
    #[default]
    None,
    /// Of each key.
    Key,
    /// Of each shard.
    Shard,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    key: HashKey,
    in_flight: bool,
}

/// The records of one key.
#[derive(Debug, Default)]
struct Key {
    /// Those that are held, in the order of their pushes: the first is ahead of the others.
    held: VecDeque<u64>,
    in_flight: u32,
}

/// A request on its way.
#[derive(Debug)]
struct Flight {
    number: u64,
    /// The shards, by index, that wait for it.
    shards: Vec<usize>,
}

impl Turns {
    pub(super) fn begin(&mut self, batcher: &Batcher<u64>) {
        let config = batcher.config();
        self.unit = match config.ordering() {
            Ordering::None => Unit::None,
            _ if config.aggregation() => Unit::Shard,
            _ => Unit::Key,
        };
        self.queued = vec![0; count(batcher.shard_map())];
        self.map = Some(batcher.shard_map().clone());
    }

    pub(super) fn unit(&self) -> Unit {
        self.unit
    }

    /// Says whether the record is ahead of all others of its key, as far as that matters.
    pub(super) fn accepted(&mut self, scene: &Scene<'_>, number: u64) -> bool {
        let Some(facts) = scene.ledger.record(number).filter(|_| self.unit != Unit::None) else {
            return true;
        };
        self.records.insert(number, Held { key: facts.hash_key, in_flight: false });
        match self.unit {
            Unit::None => true,
            Unit::Shard => {
                let shard = self.shard_of(facts.hash_key);
                self.queued[shard] += 1;
                true
            }
            Unit::Key => {
                let key = self.keys.entry(facts.hash_key).or_default();
                self.keys_at_rest += usize::from(key.held.is_empty());
                key.held.push_back(number);
                key.held.len() == 1
            }
        }
    }

    pub(super) fn requested(&mut self, request: RequestView<'_>) {
        if self.unit == Unit::None {
            return;
        }
        let mut shards = Vec::new();
        for &number in request.records.all() {
            let Some(held) = self.records.get_mut(number).filter(|held| !held.in_flight) else { continue };
            held.in_flight = true;
            let hash_key = held.key;
            if self.unit == Unit::Key {
                let key = self.keys.entry(hash_key).or_default();
                key.in_flight += 1;
                self.keys_at_rest -= usize::from(key.in_flight == 1);
                continue;
            }
            let shard = self.shard_of(hash_key);
            self.queued[shard] -= 1;
            if !shards.contains(&shard) {
                shards.push(shard);
            }
        }
        if self.unit == Unit::Shard {
            self.flights.push(Flight { number: request.number, shards });
        }
    }

    /// Gives the first hash key of each shard that waited for this request.
    pub(super) fn answered(&mut self, request: RequestView<'_>) -> Vec<HashKey> {
        if self.unit == Unit::None {
            return Vec::new();
        }
        for &number in request.records.all() {
            let Some(held) = self.records.get_mut(number).filter(|held| held.in_flight) else { continue };
            held.in_flight = false;
            let hash_key = held.key;
            if self.unit == Unit::Key {
                if let Some(key) = self.keys.get_mut(&hash_key) {
                    key.in_flight -= 1;
                    self.keys_at_rest += usize::from(key.in_flight == 0);
                }
                continue;
            }
            let shard = self.shard_of(hash_key);
            self.queued[shard] += 1;
        }
        let Some(place) = self.flights.iter().position(|flight| flight.number == request.number) else {
            return Vec::new();
        };
        let flight = self.flights.swap_remove(place);
        flight.shards.iter().map(|&shard| self.range_of(shard).0).collect()
    }

    /// A record has ended. Gives the one that is ahead of its key from now on, if it waited for this one.
    pub(super) fn ended(&mut self, number: u64) -> Option<u64> {
        let held = self.records.remove(number)?;
        if self.unit == Unit::Shard {
            if !held.in_flight {
                let shard = self.shard_of(held.key);
                self.queued[shard] -= 1;
            }
            return None;
        }
        let key = self.keys.get_mut(&held.key)?;
        let place = key.held.iter().position(|&other| other == number)?;
        key.held.remove(place);
        if key.held.is_empty() {
            self.keys_at_rest -= usize::from(key.in_flight == 0);
            self.keys.remove(&held.key);
            return None;
        }
        if place == 0 { key.held.front().copied() } else { None }
    }

    /// A batcher is given a map: what may come back to a shard of it is waited for by that shard.
    pub(super) fn map_given(&mut self, map: &ShardMap) {
        if self.unit == Unit::None || self.map.as_ref() == Some(map) {
            return;
        }
        for index in 0..self.flights.len() {
            let mut shards = Vec::new();
            for &shard in &self.flights[index].shards {
                let (first, last) = self.range_of(shard);
                shards.extend(map.index_of(first)..=map.index_of(last));
            }
            shards.sort_unstable();
            shards.dedup();
            self.flights[index].shards = shards;
        }
        self.queued = vec![0; count(map)];
        for (_, held) in self.records.iter().filter(|(_, held)| !held.in_flight) {
            self.queued[map.index_of(held.key)] += 1;
        }
        self.map = Some(map.clone());
    }

    /// Whether a record of this key is on its way, if the others must wait for it.
    pub(super) fn key_is_in_flight(&self, key: HashKey) -> bool {
        self.unit == Unit::Key && self.keys.get(&key).is_some_and(|key| key.in_flight > 0)
    }

    /// Whether the shard of this key must wait for a request on its way.
    pub(super) fn shard_waits(&self, key: HashKey) -> bool {
        self.unit == Unit::Shard && self.is_awaited_by(self.shard_of(key))
    }

    /// Whether order lets anything be sent of what is queued.
    pub(super) fn any_may_go(&self) -> bool {
        match self.unit {
            Unit::None => true,
            Unit::Key => self.keys_at_rest > 0,
            Unit::Shard => {
                let mut shards = self.queued.iter().enumerate();
                shards.any(|(shard, &queued)| queued > 0 && !self.is_awaited_by(shard))
            }
        }
    }

    fn is_awaited_by(&self, shard: usize) -> bool {
        self.flights.iter().any(|flight| flight.shards.contains(&shard))
    }

    fn shard_of(&self, key: HashKey) -> usize {
        self.map.as_ref().map_or(0, |map| map.index_of(key))
    }

    fn range_of(&self, shard: usize) -> (HashKey, HashKey) {
        let shard = self.map.as_ref().and_then(|map| map.shards().get(shard));
        shard.map_or((HashKey::MIN, HashKey::MAX), |shard| (shard.first, shard.last))
    }
}

/// Shards that are told apart.
fn count(map: &ShardMap) -> usize {
    map.shards().len().max(1)
}
