//! A consumer with the rules of the KCL.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use kinesis_batcher_core::{HashKey, Timestamp};
use kinesis_model::ShardId;

use crate::check::{Breach, Invariant, Records};
use crate::ledger::RecordFacts;
use crate::service::{EntryReply, Kinesis};
use crate::window::Window;
use kinesis_model::Rng;

/// Reads every shard, parents before children, and compares the records with those that were delivered: each of them
/// must be read, and where producers keep the order of keys, in that order.
///
/// An aggregate is dropped whole if the hash key of one of its records lies outside the shard that it is read from
/// (S-28). Payloads and keys are compared when a request leaves; logs hold numbers.
#[derive(Debug)]
pub(super) struct Reader {
    /// What no read has reached yet, by shard. A child's id is higher than those of its parents, so that logs in this
    /// order are read as the KCL reads them.
    logs: BTreeMap<ShardId, Vec<u64>>,
    first_copies: Window<FirstCopy>,
    /// Records that were delivered since the last read.
    delivered: VecDeque<u64>,
    /// Copies that were read.
    position: u64,
    keeps_order: bool,
    /// Of each producer and hash key, of the records delivered the one that was pushed last: its place in the order of
    /// pushes, its first copy's position and its number.
    last: BTreeMap<(u32, HashKey), (u64, u64, u64)>,
    /// It reads with the first entry that is stored from then on. (An event of its own would change the run that it
    /// watches.)
    due_at: Timestamp,
    rng: Rng,
}

/// The first copy of a record that is read.
#[derive(Clone, Copy, Debug)]
struct FirstCopy {
    producer: u32,
    hash_key: HashKey,
    /// How many of its producer's records were accepted before it.
    order: u64,
    /// Counts copies in the order in which they are read; `None` until then.
    position: Option<u64>,
    /// A copy is in a shard that does not own its hash key (S-24): no consumer knows the order of two such shards.
    is_elsewhere: bool,
}

impl Reader {
    pub(super) fn new(keeps_order: bool, rng: Rng) -> Self {
        Self {
            logs: BTreeMap::new(),
            first_copies: Window::new(),
            delivered: VecDeque::new(),
            position: 0,
            keeps_order,
            last: BTreeMap::new(),
            due_at: Timestamp::ZERO,
            rng,
        }
    }

    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        now >= self.due_at
    }

    /// A producer accepted a record.
    #[inline]
    pub(super) fn accepted(&mut self, number: u64, facts: &RecordFacts) {
        let (producer, hash_key) = (facts.producer, facts.hash_key);
        let order = facts.accepted.map_or(number, |accepted| accepted.order);
        let first = FirstCopy { producer, hash_key, order, position: None, is_elsewhere: false };
        self.first_copies.insert(number, first);
    }

    /// The service stored some of these entries.
    pub(super) fn stored(&mut self, service: &Kinesis, records: Records<'_>, replies: &[EntryReply]) {
        for (index, reply) in replies.iter().enumerate() {
            let Some((shard_id, _)) = reply.stored() else { continue };
            let numbers = records.of_entry(index);
            if (numbers.len() > 1 || self.keeps_order)
                && let Some(shard) = service.shard(shard_id)
            {
                let is_outside =
                    |first: &FirstCopy| !(shard.first..=shard.last).contains(&first.hash_key.value());
                if numbers.iter().filter_map(|&number| self.first_copies.get(number)).any(is_outside) {
                    if numbers.len() > 1 {
                        continue;
                    }
                    if let Some(first) = self.first_copies.get_mut(numbers[0]) {
                        first.is_elsewhere = true;
                    }
                }
            }
            match self.logs.get_mut(&shard_id) {
                Some(log) => log.extend_from_slice(numbers),
                None => {
                    self.logs.insert(shard_id, numbers.to_vec());
                }
            }
        }
    }

    /// A record was delivered.
    #[inline]
    pub(super) fn delivered(&mut self, number: u64) {
        self.delivered.push_back(number);
    }

    /// A record failed, or was lost in a crash: nothing is promised of it.
    pub(super) fn forget(&mut self, number: u64) {
        self.first_copies.remove(number);
    }

    /// Reads all that is stored.
    ///
    /// # Errors
    /// When a record was delivered that is not read, or is read after a later one of its key: its producer, and what is
    /// violated.
    pub(super) fn read(&mut self, now: Timestamp) -> Result<(), (u32, Invariant, Breach)> {
        self.due_at = now.after(Duration::from_nanos(self.rng.below(LAG_NANOS_MAX)));
        for log in self.logs.values_mut() {
            for number in log.drain(..) {
                self.position += 1;
                if let Some(first) = self.first_copies.get_mut(number) {
                    first.position.get_or_insert(self.position);
                }
            }
        }
        while let Some(number) = self.delivered.pop_front() {
            // One that was delivered twice is for I1 to find.
            let Some(first) = self.first_copies.remove(number) else { continue };
            let FirstCopy { producer, hash_key, order, .. } = first;
            let Some(position) = first.position else {
                let what = "it was delivered, and consumers drop every aggregate that it is in";
                return Err((producer, Invariant::Readable, Breach::of_record(number, what)));
            };
            if !self.keeps_order || first.is_elsewhere {
                continue;
            }
            let here = (order, position, number);
            let last = self.last.entry((producer, hash_key)).or_insert(here);
            if (order < last.0) != (position < last.1) {
                let what = format!("consumers read it and record {} not as they were pushed", last.2);
                return Err((producer, Invariant::I11, Breach::of_record(number, what)));
            }
            *last = here.max(*last);
        }
        Ok(())
    }

    /// The stream is deleted. A consumer that kept up has read it.
    pub(super) fn stream_is_deleted(&mut self, now: Timestamp) -> Result<(), (u32, Invariant, Breach)> {
        let read = self.read(now);
        self.logs.clear();
        read
    }
}

/// How far a consumer that keeps up is behind, at most.
const LAG_NANOS_MAX: u64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::{PutEntry, ServiceOptions, time};

    const LOWER: HashKey = HashKey::new(1);
    const UPPER: HashKey = HashKey::new(u128::MAX);

    struct Stage {
        reader: Reader,
        service: Kinesis,
    }

    impl Stage {
        fn new(keeps_order: bool) -> Self {
            let mut options = ServiceOptions::default();
            options.shards = 2;
            Self {
                reader: Reader::new(keeps_order, Rng::new(1)),
                service: Kinesis::new(options, 1, time(Timestamp::ZERO)),
            }
        }

        fn accept(&mut self, number: u64, hash_key: HashKey) {
            self.reader.accepted(number, &RecordFacts::new(0, 0, 10, hash_key));
        }

        /// Stores an entry of these records in the lower shard.
        fn store(&mut self, numbers: &[u64]) {
            let entry =
                PutEntry { data: b"data", partition_key: Some("k"), explicit_hash_key: Some(LOWER.value()) };
            let reply = self.service.put_records(time(Timestamp::ZERO), &[entry]);
            let records = Records { numbers, ends: &[numbers.len() as u32] };
            self.reader.stored(&self.service, records, &reply.entries);
        }

        fn deliver(&mut self, number: u64) -> Result<(), (u32, Invariant, Breach)> {
            self.reader.delivered(number);
            self.reader.read(Timestamp::ZERO)
        }
    }

    #[test]
    fn one_record_of_another_shard_makes_the_kcl_drop_the_whole_aggregate() {
        let mut stage = Stage::new(false);
        for (number, hash_key) in [(0, LOWER), (1, LOWER), (2, LOWER), (3, UPPER)] {
            stage.accept(number, hash_key);
        }
        stage.store(&[0, 1]);
        assert_eq!(stage.deliver(0), Ok(()), "S-28: all are within");
        stage.store(&[2, 3]);
        assert!(stage.deliver(2).is_err(), "S-28: one is outside");
    }

    #[test]
    fn a_record_that_is_nowhere_is_found() {
        let mut stage = Stage::new(false);
        stage.accept(0, LOWER);
        assert!(stage.deliver(0).is_err());
    }

    #[test]
    fn records_of_a_key_that_are_read_in_another_order_are_found() {
        for keeps_order in [false, true] {
            let mut stage = Stage::new(keeps_order);
            stage.accept(0, LOWER);
            stage.accept(1, LOWER);
            stage.store(&[1]);
            stage.store(&[0]);
            assert_eq!(stage.deliver(0), Ok(()));
            assert_eq!(stage.deliver(1).is_err(), keeps_order);
        }
    }
}
