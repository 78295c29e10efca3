//! A Kinesis stream as a state machine: the calls that arrive, and when, decide its answers.

use crate::entry::{EntryReply, PutEntry, PutReply};
use crate::faults::{AccountFault, CallFault, EntryFault, KEY_DISABLED, ServiceFaults, THROUGHPUT_EXCEEDED};
use crate::hash_key::Digests;
use crate::ids::{SequenceNumber, ShardId};
use crate::limits::REQUEST_RECORDS_MAX;
use crate::options::{Distribution, Permits, ServiceOptions};
use crate::refusal::{Malformed, Refusal};
use crate::rng::Rng;
use crate::scaling::{Scaling, split_in_the_middle};
use crate::shards::{ReshardError, Shards};
use crate::time::Time;

/// A Kinesis stream.
///
/// It keeps no payload: what it stored, and where, is in its replies.
///
/// ```
/// use kinesis_model::{EntryReply, Kinesis, PutEntry, ServiceOptions, Time};
///
/// let mut kinesis = Kinesis::new(ServiceOptions::default(), 42, Time::ZERO);
/// let entry = PutEntry { data: b"hello", partition_key: Some("user-7"), explicit_hash_key: None };
/// let replies = kinesis.put_records(Time::ZERO, &[entry]).answer()?;
/// assert!(matches!(replies[0], EntryReply::Stored { .. }));
/// # Ok::<(), kinesis_model::Refusal>(())
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
    /// Changes of what a listing shows, apart from reshards.
    changes: u64,
    rng: Rng,
    /// The last sequence number, over all shards: numbers rise in each shard, and from a parent to its children.
    sequence: u64,
    auto_next: usize,
    now: Time,
}

impl Kinesis {
    /// A stream with these options.
    #[must_use]
    pub fn new(options: ServiceOptions, seed: u64, now: Time) -> Self {
        let options = options.in_range();
        Self {
            shards: Shards::uniform(&options, 0, now),
            digests: Digests::new(),
            scaling: Scaling::default(),
            faults: ServiceFaults::default(),
            poison: Vec::new(),
            account_fault: None,
            body_bytes_max: None,
            changes: 0,
            rng: Rng::new(seed).fork("service"),
            sequence: 0,
            auto_next: 0,
            now,
            options,
        }
    }

    /// One PutRecords call that reaches the service at `now`. A time before an earlier one counts as that one.
    pub fn put_records(&mut self, now: Time, entries: &[PutEntry<'_>]) -> PutReply {
        self.handle_timeout(now);
        let wire_bytes = || entries.iter().map(PutEntry::wire_bytes).sum::<usize>();
        if self.body_bytes_max.is_some_and(|most| wire_bytes() > most) {
            return PutReply::refused(Refusal::BodyTooLarge);
        }
        if let Some(refusal) = self.account_fault.and_then(AccountFault::refusal) {
            return PutReply::refused(refusal);
        }
        match self.faults.of_call(&mut self.rng) {
            None => {}
            Some(CallFault::Refused(refusal)) => return PutReply::refused(refusal),
            Some(CallFault::StoredBehind { refusal, entries_stored }) => {
                return self.put_behind(entries, refusal, entries_stored);
            }
        }
        if let Err(malformed) = self.check(entries) {
            return PutReply::refused(Refusal::Validation(malformed));
        }
        if self.account_fault.is_some() {
            let entries = vec![EntryReply::Failed(KEY_DISABLED); entries.len()];
            return PutReply { entries, refusal: None };
        }
        let entries = if self.faults.spare_entries() {
            entries.iter().map(|entry| self.put(entry)).collect()
        } else {
            entries.iter().map(|entry| self.put_or_fail(entry)).collect()
        };
        PutReply { entries, refusal: None }
    }

    /// Changes with each change of what a listing shows: the shards, the distribution, the record limit, the permits.
    #[must_use]
    pub fn map_version(&self) -> u64 {
        self.shards.opened() + self.changes
    }

    /// Splits a shard at the middle of its range.
    ///
    /// # Errors
    /// When it is not open, owns a single hash key, or the stream may have no more shards.
    pub fn split(&mut self, now: Time, shard: ShardId) -> Result<(), ReshardError> {
        self.handle_timeout(now);
        let position = self.shards.find(shard).ok_or(ReshardError::NotOpen)?;
        split_in_the_middle(position, &mut self.shards, &self.options, self.now)
    }

    /// Splits a shard; `upper_first` is the lowest hash key of the upper child.
    ///
    /// # Errors
    /// As [`split`](Self::split), and when the hash key does not divide the shard.
    pub fn split_at(&mut self, now: Time, shard: ShardId, upper_first: u128) -> Result<(), ReshardError> {
        self.handle_timeout(now);
        let position = self.shards.find(shard).ok_or(ReshardError::NotOpen)?;
        self.shards.split(position, upper_first, &self.options, self.now)
    }

    /// Merges two neighbours.
    ///
    /// # Errors
    /// When one is not open, or the second does not begin where the first ends.
    pub fn merge(&mut self, now: Time, left: ShardId, right: ShardId) -> Result<(), ReshardError> {
        self.handle_timeout(now);
        let find = |id| self.shards.find(id).ok_or(ReshardError::NotOpen);
        let (left, right) = (find(left)?, find(right)?);
        self.shards.merge(left, right, &self.options, self.now)
    }

    /// Splits the largest shards, or merges the smallest neighbours, until `count` shards are open. With
    /// [`ServiceOptions::reshard_step`] each step takes its time, and a later call replaces the target of an earlier
    /// one.
    ///
    /// # Errors
    /// When `count` is 0 or more than [`ServiceOptions::shards_max`].
    pub fn set_shard_count(&mut self, now: Time, count: u32) -> Result<(), ReshardError> {
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

    /// When the service next acts by itself (steps of a reshard, on-demand scaling), for
    /// [`handle_timeout`](Self::handle_timeout).
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        self.scaling.poll_timeout()
    }

    /// Does what is due by `now`.
    pub fn handle_timeout(&mut self, now: Time) {
        self.now = self.now.max(now);
        if self.poll_timeout().is_some_and(|at| at <= self.now) {
            self.scaling.handle_timeout(self.now, &mut self.shards, &self.options);
        }
    }

    /// The open shards in the order of their hash keys, with their counters.
    pub fn open_shards(&self) -> impl ExactSizeIterator<Item = OpenShard> {
        self.shards.open().iter().map(|&position| self.view(position))
    }

    /// A shard by its name, open or closed.
    #[must_use]
    pub fn shard(&self, id: ShardId) -> Option<OpenShard> {
        self.shards.find(id).map(|position| self.view(position))
    }

    /// The shards that this one was made from: none for those the stream began with, two after a merge.
    pub fn parents(&self, id: ShardId) -> impl Iterator<Item = ShardId> {
        let parents =
            self.shards.find(id).map_or([None, None], |position| self.shards.shard(position).parents);
        parents.into_iter().flatten().map(|position| self.shards.shard(position).id)
    }

    /// Sets what fails inside the service.
    pub fn set_faults(&mut self, faults: ServiceFaults) {
        self.faults = faults;
    }

    /// Sets why no call can store anything; `None` ends it.
    pub fn set_account_fault(&mut self, fault: Option<AccountFault>) {
        self.account_fault = fault;
    }

    /// Refuses calls whose body, as JSON, has more bytes: a proxy's limit, or the service's (S-38).
    pub fn set_body_bytes_max(&mut self, most: Option<usize>) {
        self.body_bytes_max = most;
    }

    /// Deletes the stream and creates another with its name and `count` open shards of equal size. The counters of a
    /// shard id that comes again go on.
    pub fn create_again(&mut self, now: Time, count: u32, numbering: Numbering) {
        self.handle_timeout(now);
        self.changes += self.shards.opened() + 1;
        self.options.shards = count.clamp(1, self.options.shards_max);
        let first = match numbering {
            Numbering::Anew => 0,
            Numbering::GoesOn => self.shards.next_number(),
        };
        let before = std::mem::replace(&mut self.shards, Shards::uniform(&self.options, first, self.now));
        if numbering == Numbering::Anew {
            self.shards.take_over_counters(&before);
        }
        self.scaling = Scaling::default();
    }

    /// Sets who picks a record's shard. It takes effect at once (S-24).
    pub fn set_distribution(&mut self, distribution: Distribution) {
        self.changes += u64::from(self.options.distribution != distribution);
        self.options.distribution = distribution;
    }

    /// Sets how many bytes a record may have, within the range of [`ServiceOptions::record_bytes_max`] (S-03).
    pub fn set_record_bytes_max(&mut self, bytes: usize) {
        let before = self.options.record_bytes_max;
        self.options.record_bytes_max = bytes;
        self.options = self.options.clone().in_range();
        self.changes += u64::from(self.options.record_bytes_max != before);
    }

    /// Sets what a producer may ask.
    pub fn set_permits(&mut self, permits: Permits) {
        self.changes += u64::from(self.options.permits != permits);
        self.options.permits = permits;
    }

    /// Refuses calls of which an entry's data contain this; empty data end it.
    pub fn set_poison(&mut self, marker: impl Into<Vec<u8>>) {
        self.poison = marker.into();
    }

    /// The stream's options, as they are by now.
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

    /// A call that fails after its entries, or some of them, are stored.
    fn put_behind(&mut self, entries: &[PutEntry<'_>], refusal: Refusal, entries_stored: u32) -> PutReply {
        if self.account_fault.is_some() || self.check(entries).is_err() {
            return PutReply::refused(refusal);
        }
        let entries = entries.iter().map(|entry| {
            if self.rng.happens(entries_stored) {
                self.put(entry)
            } else {
                EntryReply::Failed(refusal.status_and_code().1)
            }
        });
        PutReply { entries: entries.collect(), refusal: Some(refusal) }
    }

    /// Stores an entry or throttles it, unless a fault strikes it.
    fn put_or_fail(&mut self, entry: &PutEntry<'_>) -> EntryReply {
        match self.faults.of_entry(&mut self.rng) {
            None => self.put(entry),
            Some(EntryFault::Failed(code)) => EntryReply::Failed(code),
            Some(EntryFault::StoredBehind(code)) => match self.put(entry).stored() {
                Some((shard_id, sequence_number)) => {
                    EntryReply::StoredBehind { shard_id, sequence_number, code }
                }
                None => EntryReply::Failed(code),
            },
        }
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
        EntryReply::Stored { shard_id: shard.id, sequence_number: SequenceNumber::new(self.sequence) }
    }

    fn route(&mut self, entry: &PutEntry<'_>) -> u32 {
        if self.options.distribution == Distribution::Auto {
            self.auto_next = (self.auto_next + 1) % self.shards.open().len();
            return self.shards.open()[self.auto_next];
        }
        // The service's own digest counts, never one that the producer computed.
        let key = entry
            .explicit_hash_key
            .unwrap_or_else(|| self.digests.hash_key(entry.partition_key.unwrap_or_default()));
        self.shards.owner_of(key)
    }

    fn view(&self, position: u32) -> OpenShard {
        let shard = self.shards.shard(position);
        OpenShard {
            id: shard.id,
            first: shard.first,
            last: shard.last,
            is_open: shard.is_open,
            records_accepted: shard.records_accepted,
            bytes_accepted: shard.bytes_accepted,
            records_throttled: shard.records_throttled,
        }
    }
}

/// How a stream that was created again numbers its shards (S-21: both are possible).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbering {
    /// From 0.
    Anew,
    /// From the number after the last shard of the stream before.
    GoesOn,
}

/// A shard and its counters.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct OpenShard {
    /// Its name.
    pub id: ShardId,
    /// The lowest hash key it owns.
    pub first: u128,
    /// The highest hash key it owns.
    pub last: u128,
    /// False once it was split or merged.
    pub is_open: bool,
    /// Kinesis records it stored.
    pub records_accepted: u64,
    /// Bytes it stored.
    pub bytes_accepted: u64,
    /// Entries it throttled.
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
