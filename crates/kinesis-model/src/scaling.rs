//! What a stream does by itself: the steps of a reshard, and on-demand scaling.

use std::collections::VecDeque;

use crate::options::{ServiceOptions, StreamMode};
use crate::shards::{ReshardError, Shards};
use crate::time::Time;

/// Pending reshards.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scaling {
    /// The target number of open shards, and when the next step is due.
    target: Option<(u32, Time)>,
    /// Hot shards and when each splits, in the order of time: each waits equally long.
    splits: VecDeque<(Time, u32)>,
}

impl Scaling {
    /// Reshards step by step until `count` shards are open.
    pub(crate) fn set_target(&mut self, now: Time, count: u32) {
        self.target = Some((count, now));
    }

    /// When the next step or split is due.
    pub(crate) fn poll_timeout(&self) -> Option<Time> {
        let step = self.target.map(|(_, at)| at);
        let split = self.splits.front().map(|&(at, _)| at);
        step.into_iter().chain(split).min()
    }

    /// Does what is due.
    pub(crate) fn handle_timeout(&mut self, now: Time, shards: &mut Shards, options: &ServiceOptions) {
        while let Some((count, at)) = self.target.filter(|&(_, at)| at <= now) {
            let stepped = step_towards(count, shards, options, now);
            self.target = stepped.then(|| (count, at.after(options.reshard_step)));
        }
        while self.splits.front().is_some_and(|&(at, _)| at <= now) {
            let Some((_, position)) = self.splits.pop_front() else { break };
            // A shard that was resharded meanwhile, is too small or would be one too many stays as it is.
            let _ = split_in_the_middle(position, shards, options, now);
        }
    }

    /// Counts an entry for a shard of an on-demand stream, accepted or throttled: demand makes a shard hot.
    pub(crate) fn watch(
        &mut self,
        now: Time,
        position: u32,
        bytes: usize,
        shards: &mut Shards,
        options: &ServiceOptions,
    ) {
        if options.mode == StreamMode::OnDemand && shards.shard_mut(position).heat.add(now, bytes, options) {
            self.splits.push_back((now.after(options.scaling_delay), position));
        }
    }
}

/// Splits the largest shard, or merges the smallest pair of neighbours. True if more steps can follow.
fn step_towards(count: u32, shards: &mut Shards, options: &ServiceOptions, now: Time) -> bool {
    let open = shards.open().len() as u64;
    if open < u64::from(count) {
        let size = |&position: &u32| {
            let shard = shards.shard(position);
            (shard.last - shard.first, std::cmp::Reverse(shard.first))
        };
        let largest = shards.open().iter().copied().max_by_key(size).expect("a stream has an open shard");
        return split_in_the_middle(largest, shards, options, now).is_ok();
    }
    if open > u64::from(count) {
        let size = |pair: &&[u32]| shards.shard(pair[1]).last - shards.shard(pair[0]).first;
        let Some(&[left, right]) = shards.open().windows(2).min_by_key(size) else { return false };
        return shards.merge(left, right, options, now).is_ok();
    }
    false
}

pub(crate) fn split_in_the_middle(
    position: u32,
    shards: &mut Shards,
    options: &ServiceOptions,
    now: Time,
) -> Result<(), ReshardError> {
    let shard = shards.shard(position);
    let upper_first = shard.first + (shard.last - shard.first) / 2 + 1;
    shards.split(position, upper_first.min(shard.last), options, now)
}

/// The demand on one shard, second by second.
#[derive(Clone, Debug)]
pub(crate) struct Heat {
    second: u64,
    records: u64,
    bytes: u64,
    /// Hot seconds in a row.
    hot_seconds: u32,
    /// Its split is pending.
    is_reported: bool,
}

impl Heat {
    pub(crate) fn new(now: Time) -> Self {
        Self { second: now.as_nanos() / SECOND, records: 0, bytes: 0, hot_seconds: 0, is_reported: false }
    }

    /// True once, when the shard has been hot for long enough.
    fn add(&mut self, now: Time, bytes: usize, options: &ServiceOptions) -> bool {
        let second = now.as_nanos() / SECOND;
        if second > self.second {
            let hot = self.records * 100 >= HOT_PERCENT * u64::from(options.records_per_second_per_shard)
                || self.bytes * 100 >= HOT_PERCENT * u64::from(options.bytes_per_second_per_shard);
            let in_a_row = second == self.second + 1;
            self.hot_seconds = if hot && in_a_row { self.hot_seconds + 1 } else { 0 };
            (self.second, self.records, self.bytes) = (second, 0, 0);
        }
        self.records += 1;
        self.bytes += bytes as u64;
        let found = self.hot_seconds >= HOT_SECONDS && !self.is_reported;
        self.is_reported |= found;
        found
    }
}

const SECOND: u64 = 1_000_000_000;
/// The service scales before a shard is full; it does not publish when.
const HOT_PERCENT: u64 = 80;
/// Longer than any burst that the limits admit.
const HOT_SECONDS: u32 = 5;
