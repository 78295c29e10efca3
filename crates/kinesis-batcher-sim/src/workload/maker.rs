//! Makes records.

use bytes::{Bytes, BytesMut};
use kinesis_aggregation::AggregateBuilder;
use kinesis_batcher_core::{HashKey, Record};

use super::{KeySpace, Workload};
use crate::ledger::RecordFacts;
use kinesis_model::Rng;

/// Makes one producer's records.
#[derive(Debug)]
pub(crate) struct Maker {
    workload: Workload,
    rng: Rng,
    arena: BytesMut,
}

impl Maker {
    pub(crate) fn new(workload: &Workload, rng: Rng) -> Self {
        Self { workload: *workload, rng, arena: BytesMut::new() }
    }

    /// A record with this number, and what is to be known of it.
    pub(crate) fn make(&mut self, producer: u32, number: u64, keys: &KeySpace) -> (Record, RecordFacts) {
        let bytes = self.workload.sizes.draw(&mut self.rng);
        let is_poison = self.rng.happens(self.workload.poison);
        let data = self.data(number, if is_poison { bytes.max(POISON_BYTES_MIN) } else { bytes }, is_poison);
        let is_aggregate = self.rng.happens(self.workload.aggregates);
        let data = if is_aggregate { aggregate_of(&data) } else { data };
        let record = if self.rng.happens(self.workload.without_key) {
            Record::without_partition_key(data).map(|record| (record, u32::MAX))
        } else {
            let key = keys.draw(&mut self.rng);
            Record::new(keys.key(key).clone(), data).map(|record| (record, key))
        };
        let (mut record, key) = record.expect("data and key together stay below 10 MiB: Sizes sees to it");
        if self.rng.happens(self.workload.explicit_hash_keys) {
            let (high, low) = (u128::from(self.rng.next()), u128::from(self.rng.next()));
            // The ends of the key space belong to someone too.
            let hash_key = match self.rng.below(16) {
                0 => HashKey::MIN,
                1 => HashKey::MAX,
                _ => HashKey::new(high << 64 | low),
            };
            record = record.with_explicit_hash_key(hash_key);
        }
        let mut facts = RecordFacts::new(producer, key, record.bytes() as u32, record.hash_key());
        facts.hash_key_is_explicit = record.explicit_hash_key().is_some();
        facts.is_aggregate = is_aggregate;
        facts.is_poison = is_poison;
        (record, facts)
    }

    /// Many records share an allocation: one for each would be a good part of a simulation's time.
    fn data(&mut self, number: u64, bytes: usize, is_poison: bool) -> Bytes {
        if self.arena.capacity() < bytes {
            self.arena = BytesMut::with_capacity(bytes.max(ARENA_BYTES));
        }
        self.arena.resize(bytes, 0);
        self.arena[..8].copy_from_slice(&number.to_le_bytes());
        if is_poison {
            self.arena[8..POISON_BYTES_MIN].copy_from_slice(POISON);
        }
        self.arena.split().freeze()
    }
}

/// An aggregate of one user record, as a program that aggregates by itself would push it.
fn aggregate_of(data: &[u8]) -> Bytes {
    let mut builder = AggregateBuilder::new(data.len() + ENVELOPE_BYTES_MAX);
    builder.push("k", None, data, &[]).expect("the envelope of one record with a short key is small");
    builder.finish()
}

/// The number of the record with this data.
pub(crate) fn number_of(data: &[u8]) -> Option<u64> {
    data.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
}

/// What the service chokes on; nothing else that is sent holds it.
pub(crate) const POISON: &[u8] = b"\xFFpoison\xFF";
const POISON_BYTES_MIN: usize = 8 + POISON.len();
/// Magic, checksum, tags and lengths of one record take less than 50 bytes.
const ENVELOPE_BYTES_MAX: usize = 100;
const ARENA_BYTES: usize = 64 << 10;
