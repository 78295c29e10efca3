//! The shards of a stream: which part of the key space each owns, and how that changes.

use std::fmt;

use crate::accounting::ShardMeter;
use crate::ids::ShardId;
use crate::options::ServiceOptions;
use crate::scaling::Heat;
use crate::time::Time;

/// One shard, open or closed.
#[derive(Clone, Debug)]
pub(crate) struct Shard {
    pub(crate) id: ShardId,
    /// The lowest hash key it owns, or owned.
    pub(crate) first: u128,
    /// The highest hash key it owns, or owned.
    pub(crate) last: u128,
    /// By position: the shard it was split from, or the two it was merged from.
    pub(crate) parents: [Option<u32>; 2],
    pub(crate) is_open: bool,
    pub(crate) meter: ShardMeter,
    pub(crate) heat: Heat,
    pub(crate) records_accepted: u64,
    pub(crate) bytes_accepted: u64,
    pub(crate) records_throttled: u64,
}

/// All shards of a stream, open and closed. The open ones tile the key space.
#[derive(Clone, Debug)]
pub(crate) struct Shards {
    /// In the order of their numbers, which begin with `first`.
    all: Vec<Shard>,
    first: u32,
    /// Positions of the open shards, in the order of their hash keys.
    open: Vec<u32>,
    /// `all[open[i]].first`, apart so that a search touches few cache lines.
    firsts: Vec<u128>,
    /// Built when it is needed: a reshard of thousands of steps would build it thousands of times.
    index: Option<LeadingBits>,
}

impl Shards {
    /// Open shards of equal size, as CreateStream lays them out, numbered from `first`.
    pub(crate) fn uniform(options: &ServiceOptions, first: u32, now: Time) -> Self {
        let mut shards = Self { all: Vec::new(), first, open: Vec::new(), firsts: Vec::new(), index: None };
        let count = u128::from(options.shards);
        // 2^128 does not fit; for any count but a power of two the quotient is the same.
        let step = u128::MAX / count + u128::from(options.shards.is_power_of_two() && count > 1);
        for number in 0..count {
            let last = if number + 1 == count { u128::MAX } else { (number + 1) * step - 1 };
            let position = shards.add(number * step, last, [None, None], options, now);
            shards.open.push(position);
            shards.firsts.push(number * step);
        }
        shards
    }

    /// Takes over the counters of shards with the same ids.
    pub(crate) fn take_over_counters(&mut self, before: &Self) {
        for (shard, before) in self.all.iter_mut().zip(&before.all) {
            shard.records_accepted = before.records_accepted;
            shard.bytes_accepted = before.bytes_accepted;
            shard.records_throttled = before.records_throttled;
        }
    }

    /// The position of the open shard that owns this hash key.
    pub(crate) fn owner_of(&mut self, key: u128) -> u32 {
        let index = self.index.get_or_insert_with(|| LeadingBits::of(&self.firsts));
        self.open[index.find(&self.firsts, key)]
    }

    pub(crate) fn shard(&self, position: u32) -> &Shard {
        &self.all[position as usize]
    }

    pub(crate) fn shard_mut(&mut self, position: u32) -> &mut Shard {
        &mut self.all[position as usize]
    }

    pub(crate) fn find(&self, id: ShardId) -> Option<u32> {
        let position = id.number().checked_sub(self.first)?;
        ((position as usize) < self.all.len()).then_some(position)
    }

    /// The number of the next shard.
    pub(crate) fn next_number(&self) -> u32 {
        self.first + self.all.len() as u32
    }

    /// Shards that were ever opened: every reshard raises it.
    pub(crate) fn opened(&self) -> u64 {
        self.all.len() as u64
    }

    /// Positions of the open shards, in the order of their hash keys.
    pub(crate) fn open(&self) -> &[u32] {
        &self.open
    }

    /// Closes a shard and opens two, the upper of which starts at `upper_first`.
    pub(crate) fn split(
        &mut self,
        position: u32,
        upper_first: u128,
        options: &ServiceOptions,
        now: Time,
    ) -> Result<(), ReshardError> {
        let place = self.place_of(position)?;
        let Shard { first, last, .. } = self.all[position as usize];
        if first == last {
            return Err(ReshardError::TooSmall);
        }
        if !(first < upper_first && upper_first <= last) {
            return Err(ReshardError::OutOfRange);
        }
        if self.open.len() as u64 >= u64::from(options.shards_max) {
            return Err(ReshardError::TooMany);
        }
        self.all[position as usize].is_open = false;
        let parents = [Some(position), None];
        let lower = self.add(first, upper_first - 1, parents, options, now);
        let upper = self.add(upper_first, last, parents, options, now);
        self.open.splice(place..=place, [lower, upper]);
        self.firsts.insert(place + 1, upper_first);
        self.index = None;
        Ok(())
    }

    /// Closes two neighbours and opens one in their place.
    pub(crate) fn merge(
        &mut self,
        left: u32,
        right: u32,
        options: &ServiceOptions,
        now: Time,
    ) -> Result<(), ReshardError> {
        let (place, neighbour) = (self.place_of(left)?, self.place_of(right)?);
        if neighbour != place + 1 {
            return Err(ReshardError::NotNeighbours);
        }
        let (first, last) = (self.shard(left).first, self.shard(right).last);
        self.all[left as usize].is_open = false;
        self.all[right as usize].is_open = false;
        let child = self.add(first, last, [Some(left), Some(right)], options, now);
        self.open.splice(place..=neighbour, [child]);
        self.firsts.remove(neighbour);
        self.index = None;
        Ok(())
    }

    /// The place of a shard among the open ones.
    fn place_of(&self, position: u32) -> Result<usize, ReshardError> {
        let shard = self.all.get(position as usize).filter(|shard| shard.is_open);
        let first = shard.ok_or(ReshardError::NotOpen)?.first;
        self.firsts.binary_search(&first).map_err(|_| ReshardError::NotOpen)
    }

    fn add(
        &mut self,
        first: u128,
        last: u128,
        parents: [Option<u32>; 2],
        options: &ServiceOptions,
        now: Time,
    ) -> u32 {
        let position = u32::try_from(self.all.len()).expect("no run opens four billion shards");
        let id = ShardId::new(self.first + position);
        self.all.push(Shard {
            id,
            first,
            last,
            parents,
            is_open: true,
            meter: ShardMeter::new(options.shard_limits(), now),
            heat: Heat::new(now),
            records_accepted: 0,
            bytes_accepted: 0,
            records_throttled: 0,
        });
        position
    }
}

/// An index from the leading bits of a hash key to the few shards that can own it: with shards of equal size a look-up
/// compares once or twice, however many they are.
#[derive(Clone, Debug)]
struct LeadingBits {
    /// For each value of the leading bits, the last shard that starts at or before the lowest such key; one more at
    /// the end.
    slots: Vec<u32>,
    shift: u32,
}

impl LeadingBits {
    fn of(firsts: &[u128]) -> Self {
        let bits = (usize::BITS - firsts.len().leading_zeros() + 1).clamp(1, INDEX_BITS_MAX);
        let shift = u128::BITS - bits;
        let mut owner = 0;
        let mut slots: Vec<u32> = (0..1u128 << bits)
            .map(|slot| {
                while owner + 1 < firsts.len() && firsts[owner + 1] <= slot << shift {
                    owner += 1;
                }
                owner as u32
            })
            .collect();
        slots.push(firsts.len() as u32 - 1);
        Self { slots, shift }
    }

    fn find(&self, firsts: &[u128], key: u128) -> usize {
        let slot = (key >> self.shift) as usize;
        let (low, high) = (self.slots[slot] as usize, self.slots[slot + 1] as usize);
        low + firsts[low + 1..=high].partition_point(|&first| first <= key)
    }
}

/// A reshard that cannot be done. It changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReshardError {
    /// There is no such shard, or it is closed.
    NotOpen,
    /// The second shard does not begin where the first ends.
    NotNeighbours,
    /// The shard owns a single hash key.
    TooSmall,
    /// The hash key to split at is not one of the shard's, or its first.
    OutOfRange,
    /// The stream has as many shards as it may.
    TooMany,
    /// A stream has at least one shard.
    None,
}

impl fmt::Display for ReshardError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotOpen => "there is no such open shard",
            Self::NotNeighbours => "the second shard does not begin where the first ends",
            Self::TooSmall => "the shard owns a single hash key",
            Self::OutOfRange => "the hash key to split at does not divide the shard",
            Self::TooMany => "the stream has as many shards as it may",
            Self::None => "a stream has at least one shard",
        })
    }
}

impl std::error::Error for ReshardError {}

/// 2^17 slots are half a mebibyte: one or two comparisons for up to 65,536 shards of equal size.
const INDEX_BITS_MAX: u32 = 17;
