//! A Kinesis stream as a state machine without I/O: what arrives at which time decides what it answers.
//!
//! It keeps no payload. What it stored, and where, is in its replies.

mod digests;
mod entry;
mod faults;
mod limits;
mod options;
mod refusal;
mod scaling;
mod shards;
#[cfg(test)]
mod tests;

use std::num::NonZeroU32;

use kinesis_batcher_core::limits::REQUEST_RECORDS_MAX;
use kinesis_batcher_core::{HashKey, Shard as KnownShard, ShardId, ShardMap, Timestamp};

pub use entry::{EntryReply, PutEntry};
pub use faults::{AccountFault, ServiceFaults};
pub use options::{Distribution, Permits, ServiceOptions, StreamMode};
pub use refusal::{Malformed, Refusal};
pub use shards::ReshardError;

use crate::rng::Rng;
use digests::Digests;
use entry::sequence_number;
use faults::{KEY_DISABLED, THROUGHPUT_EXCEEDED};
use scaling::{Scaling, split_in_the_middle};
use shards::Shards;

/// A Kinesis stream.
///
/// ```
/// use kinesis_batcher_core::Timestamp;
/// use kinesis_batcher_sim::{EntryReply, Kinesis, PutEntry, ServiceOptions};
///
/// let mut kinesis = Kinesis::new(ServiceOptions::default(), 42, Timestamp::ZERO);
/// let entry = PutEntry { data: b"hello", partition_key: Some("user-7"), explicit_hash_key: None };
/// let replies = kinesis.put_records(Timestamp::ZERO, &[entry])?;
/// assert!(matches!(replies[0], EntryReply::Stored { .. }));
/// # Ok::<(), kinesis_batcher_sim::Refusal>(())
/// ```
#[derive(Clone, Debug)]
pub struct Kinesis {
    options: ServiceOptions,
    shards: Shards,
    digests: Digests,
    scaling: Scaling,
    faults: ServiceFaults,
    poison: Vec<u8>,
    account_fault: Option<AccountFault>,
    body_bytes_max: Option<usize>,
    /// Changes of the distribution.
    switches: u64,
    rng: Rng,
    /// Counts what is stored and what is opened, over all shards: rising in each, and higher in a child than in its
    /// parents.
    sequence: u64,
    auto_next: usize,
    now: Timestamp,
}

impl Kinesis {
    /// A stream with these options.
    #[must_use]
    pub fn new(options: ServiceOptions, seed: u64, now: Timestamp) -> Self {
        let options = options.in_range();
        Self {
            shards: Shards::uniform(&options, now),
            digests: Digests::new(),
            scaling: Scaling::default(),
            faults: ServiceFaults::default(),
            poison: Vec::new(),
            account_fault: None,
            body_bytes_max: None,
            switches: 0,
            rng: Rng::new(seed).fork("service"),
            sequence: 0,
            auto_next: 0,
            now,
            options,
        }
    }

    /// One PutRecords call that reached the service at `now`. A time before an earlier one counts as that one.
    ///
    /// # Errors
    /// When the call as a whole is refused and nothing is stored.
    pub fn put_records(
        &mut self,
        now: Timestamp,
        entries: &[PutEntry<'_>],
    ) -> Result<Vec<EntryReply>, Refusal> {
        self.handle_timeout(now);
        if self
            .body_bytes_max
            .is_some_and(|most| entries.iter().map(PutEntry::wire_bytes).sum::<usize>() > most)
        {
            return Err(Refusal::BodyTooLarge);
        }
        if let Some(refusal) = self.account_fault.and_then(AccountFault::refusal) {
            return Err(refusal);
        }
        if let Some(refusal) = self.faults.of_call(&mut self.rng) {
            return Err(refusal);
        }
        self.check(entries).map_err(Refusal::Validation)?;
        if self.account_fault.is_some() {
            return Ok(vec![EntryReply::Failed(KEY_DISABLED); entries.len()]);
        }
        let spare = self.faults.spare_entries();
        Ok(entries
            .iter()
            .map(|entry| {
                let fault = if spare { None } else { self.faults.of_entry(&mut self.rng) };
                fault.map_or_else(|| self.put(entry), EntryReply::Failed)
            })
            .collect())
    }

    /// What a producer that asks now learns of the stream.
    #[must_use]
    pub fn shard_map(&self) -> ShardMap {
        let open = self.shards.open();
        let count = u32::try_from(open.len()).ok().and_then(NonZeroU32::new);
        let count = count.expect("a stream has an open shard, and no more than options.shards_max");
        let map = match (self.options.distribution, self.options.permits) {
            (Distribution::Auto, _) => ShardMap::auto(count),
            (_, Permits::SummaryOnly) => ShardMap::count_only(count),
            _ => {
                let shards = open.iter().map(|&position| {
                    let shard = self.shards.shard(position);
                    KnownShard::new(shard.id.clone(), HashKey::new(shard.first), HashKey::new(shard.last))
                });
                ShardMap::known(shards.collect()).expect("the open shards tile the key space")
            }
        };
        map.with_record_bytes_max(self.options.record_bytes_max)
    }

    /// Counts up with each change of the shards or of the distribution, so that a reader need not compare maps.
    #[must_use]
    pub fn map_version(&self) -> u64 {
        self.shards.opened() + self.switches
    }

    /// Splits a shard at the middle of its range.
    ///
    /// # Errors
    /// When it is not open, owns a single hash key, or the stream may have no more shards.
    pub fn split(&mut self, now: Timestamp, shard: &ShardId) -> Result<(), ReshardError> {
        self.handle_timeout(now);
        let position = self.shards.find(shard).ok_or(ReshardError::NotOpen)?;
        split_in_the_middle(position, &mut self.shards, &self.options, self.now)
    }

    /// Splits a shard; `upper_first` is the lowest hash key of the upper child.
    ///
    /// # Errors
    /// As [`split`](Self::split), and when the hash key does not divide the shard.
    pub fn split_at(
        &mut self,
        now: Timestamp,
        shard: &ShardId,
        upper_first: HashKey,
    ) -> Result<(), ReshardError> {
        self.handle_timeout(now);
        let position = self.shards.find(shard).ok_or(ReshardError::NotOpen)?;
        self.shards.split(position, upper_first.value(), &self.options, self.now)
    }

    /// Merges two neighbours.
    ///
    /// # Errors
    /// When one is not open, or the second does not begin where the first ends.
    pub fn merge(&mut self, now: Timestamp, left: &ShardId, right: &ShardId) -> Result<(), ReshardError> {
        self.handle_timeout(now);
        let find = |id| self.shards.find(id).ok_or(ReshardError::NotOpen);
        let (left, right) = (find(left)?, find(right)?);
        self.shards.merge(left, right, &self.options, self.now)
    }

    /// Splits the largest shards, or merges the smallest neighbours, until so many shards are open. With
    /// [`ServiceOptions::reshard_step`] it takes its time, and a later call takes over from an earlier one.
    ///
    /// # Errors
    /// When there would be none, or more than [`ServiceOptions::shards_max`].
    pub fn set_shard_count(&mut self, now: Timestamp, count: u32) -> Result<(), ReshardError> {
        match count {
            0 => return Err(ReshardError::None),
            count if count > self.options.shards_max => return Err(ReshardError::TooMany),
            _ => {}
        }
        self.handle_timeout(now);
        self.scaling.set_target(self.now, count);
        self.handle_timeout(now);
        Ok(())
    }

    /// When the service wants [`handle_timeout`](Self::handle_timeout) called for what it does by itself: steps of a
    /// reshard, on-demand scaling.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        self.scaling.poll_timeout()
    }

    /// Does what is due by `now`.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
        if self.poll_timeout().is_some_and(|at| at <= self.now) {
            self.scaling.handle_timeout(self.now, &mut self.shards, &self.options);
        }
    }

    /// The open shards in the order of their hash keys, with their counters.
    pub fn open_shards(&self) -> impl Iterator<Item = OpenShard<'_>> {
        self.shards.open().iter().map(|&position| self.view(position))
    }

    /// A shard by its name, open or closed.
    #[must_use]
    pub fn shard(&self, id: &ShardId) -> Option<OpenShard<'_>> {
        self.shards.find(id).map(|position| self.view(position))
    }

    /// The shards that this one was made from: none for those the stream began with, two after a merge.
    pub fn parents(&self, id: &ShardId) -> impl Iterator<Item = &ShardId> {
        let parents =
            self.shards.find(id).map_or([None, None], |position| self.shards.shard(position).parents);
        parents.into_iter().flatten().map(|position| &self.shards.shard(position).id)
    }

    /// What goes wrong from now on.
    pub fn set_faults(&mut self, faults: ServiceFaults) {
        self.faults = faults;
    }

    /// Why no call can store anything from now on, if that is so.
    pub fn set_account_fault(&mut self, fault: Option<AccountFault>) {
        self.account_fault = fault;
    }

    /// From now on a call is refused if its body, as JSON has it, is larger: a proxy's limit, or the service's (S-38).
    pub fn set_body_bytes_max(&mut self, most: Option<usize>) {
        self.body_bytes_max = most;
    }

    /// Another stream has the name from now on, with so many open shards of equal size, whose ids begin anew (S-21, one of
    /// the possibilities). Figures of a shard id go on.
    pub fn create_again(&mut self, now: Timestamp, count: u32) {
        self.handle_timeout(now);
        self.switches += self.shards.opened() + 1;
        self.options.shards = count.clamp(1, self.options.shards_max);
        let before = std::mem::replace(&mut self.shards, Shards::uniform(&self.options, self.now));
        self.shards.go_on_counting(&before);
        self.scaling = Scaling::default();
    }

    /// Decides who picks a record's shard. It takes effect at once (S-24).
    pub fn set_distribution(&mut self, distribution: Distribution) {
        self.switches += u64::from(self.options.distribution != distribution);
        self.options.distribution = distribution;
    }

    /// From now on a call is refused if the data of one of its entries hold this; empty data heal the stream.
    pub fn set_poison(&mut self, marker: impl Into<Vec<u8>>) {
        self.poison = marker.into();
    }

    /// How the stream was made.
    #[must_use]
    pub fn options(&self) -> &ServiceOptions {
        &self.options
    }

    /// The service's rules for a call; one entry that breaks them refuses all.
    fn check(&self, entries: &[PutEntry<'_>]) -> Result<(), Malformed> {
        if !(1..=REQUEST_RECORDS_MAX).contains(&entries.len()) {
            return Err(Malformed::Entries);
        }
        let mut bytes = 0;
        for (position, entry) in entries.iter().enumerate() {
            entry.check(position, &self.options)?;
            if !self.poison.is_empty() && contains(entry.data, &self.poison) {
                return Err(Malformed::Poison(position));
            }
            bytes += entry.bytes();
        }
        if bytes > self.options.request_bytes_max {
            return Err(Malformed::RequestBytes);
        }
        Ok(())
    }

    /// Stores an entry, or throttles it.
    fn put(&mut self, entry: &PutEntry<'_>) -> EntryReply {
        let position = self.route(entry);
        let bytes = entry.bytes();
        self.scaling.watch(self.now, position, bytes, &mut self.shards, &self.options);
        let shard = self.shards.shard_mut(position);
        if !shard.meter.admit(self.now, bytes) {
            shard.records_throttled += 1;
            return EntryReply::Failed(THROUGHPUT_EXCEEDED);
        }
        shard.records_accepted += 1;
        shard.bytes_accepted += bytes as u64;
        self.sequence += 1;
        EntryReply::Stored { shard_id: shard.id.clone(), sequence_number: sequence_number(self.sequence) }
    }

    fn route(&mut self, entry: &PutEntry<'_>) -> u32 {
        if self.options.distribution == Distribution::Auto {
            self.auto_next = (self.auto_next + 1) % self.shards.open().len();
            return self.shards.open()[self.auto_next];
        }
        // It is the service's own digest that counts, never one that the producer computed.
        let key = entry
            .explicit_hash_key
            .unwrap_or_else(|| self.digests.of(entry.partition_key.unwrap_or_default()));
        self.shards.owner_of(key)
    }

    fn view(&self, position: u32) -> OpenShard<'_> {
        let shard = self.shards.shard(position);
        OpenShard {
            id: &shard.id,
            first: HashKey::new(shard.first),
            last: HashKey::new(shard.last),
            is_open: shard.is_open,
            records_accepted: shard.records_accepted,
            bytes_accepted: shard.bytes_accepted,
            records_throttled: shard.records_throttled,
        }
    }
}

/// A shard and what it has done.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct OpenShard<'a> {
    /// Its name.
    pub id: &'a ShardId,
    /// The lowest hash key it owns.
    pub first: HashKey,
    /// The highest hash key it owns.
    pub last: HashKey,
    /// False once it was split or merged.
    pub is_open: bool,
    /// Kinesis records it stored.
    pub records_accepted: u64,
    /// Bytes it stored.
    pub bytes_accepted: u64,
    /// Entries it refused for its limits.
    pub records_throttled: u64,
}

fn contains(data: &[u8], marker: &[u8]) -> bool {
    let Some((&first, rest)) = marker.split_first() else { return true };
    let mut from = 0;
    while let Some(found) = data[from..].iter().position(|&byte| byte == first) {
        from += found + 1;
        if data[from..].starts_with(rest) {
            return true;
        }
    }
    false
}
