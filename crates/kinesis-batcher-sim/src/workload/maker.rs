//! Makes records.

use bytes::{Bytes, BytesMut};
use kinesis_aggregation::{AggregateBuilder, Decoded, decode};
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
        let hash_key = match (record.explicit_hash_key(), key) {
            (Some(explicit), _) => explicit,
            // No key decides where it goes.
            (None, u32::MAX) => record.hash_key(),
            (None, key) => HashKey::new(keys.hash_key(key)),
        };
        let mut facts = RecordFacts::new(producer, key, record.bytes() as u32, hash_key);
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
        payload(number, is_poison, bytes, |from, part| {
            self.arena[from..from + part.len()].copy_from_slice(part);
            true
        });
        self.arena.split().freeze()
    }
}

/// An aggregate of one user record, as a program that aggregates by itself would push it.
fn aggregate_of(data: &[u8]) -> Bytes {
    let mut builder = AggregateBuilder::new(data.len() + ENVELOPE_BYTES_MAX);
    builder.push("k", None, data, &[]).expect("the envelope of one record with a short key is small");
    builder.finish()
}

/// Calls `each` with the parts of a payload that are not zero and where they begin, while it returns true. Says whether
/// it always did.
///
/// The number comes first, then the poison if there is any. Up to 16 bytes behind them and up to 16 bytes at the end
/// follow from the number, so that a shifted, truncated or exchanged payload is noticed.
fn payload(number: u64, is_poison: bool, bytes: usize, mut each: impl FnMut(usize, &[u8]) -> bool) -> bool {
    let mut from = NUMBER_BYTES;
    if !each(0, &number.to_le_bytes()) || is_poison && !each(from, POISON) {
        return false;
    }
    from += if is_poison { POISON.len() } else { 0 };
    let mut rng = Rng::new(number);
    let ends = [from..(from + PATTERN_BYTES).min(bytes), bytes.saturating_sub(PATTERN_BYTES)..bytes];
    for (index, range) in ends.into_iter().enumerate() {
        let begins = if index == 0 { range.start } else { range.start.max(from + PATTERN_BYTES) };
        let mut at = begins;
        while at < range.end {
            let word = rng.next().to_le_bytes();
            let part = &word[..word.len().min(range.end - at)];
            if !each(at, part) {
                return false;
            }
            at += part.len();
        }
    }
    true
}

/// Whether data are the payload of the record with this number, byte for byte.
fn is_payload(data: &[u8], number: u64, is_poison: bool) -> bool {
    let mut end = 0;
    let is_zero = |from: usize, to: usize| data[from..to].iter().all(|&byte| byte == 0);
    data.len() >= NUMBER_BYTES
        && payload(number, is_poison, data.len(), |from, part| {
            let fits = from >= end && data.get(from..).is_some_and(|rest| rest.starts_with(part));
            let fits = fits && is_zero(end, from);
            end = from + part.len();
            fits
        })
        && is_zero(end, data.len())
}

/// A user record as a consumer reads it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UserRecordView<'a> {
    pub(crate) data: &'a [u8],
    pub(crate) partition_key: Option<&'a [u8]>,
    pub(crate) explicit_hash_key: Option<u128>,
}

impl UserRecordView<'_> {
    /// Whether it is the record with this number, as it was made.
    pub(crate) fn is_as_made(&self, number: u64, facts: &RecordFacts, keys: &KeySpace) -> bool {
        let key = (facts.key != u32::MAX).then(|| keys.key(facts.key).as_bytes());
        let bytes = self.data.len() + key.map_or(0, <[u8]>::len);
        self.partition_key == key
            && self.explicit_hash_key == facts.hash_key_is_explicit.then(|| facts.hash_key.value())
            && bytes == facts.bytes as usize
            && match decode(self.data) {
                _ if !facts.is_aggregate => is_payload(self.data, number, facts.is_poison),
                Decoded::Aggregate(aggregate) => {
                    let mut members = aggregate.iter();
                    members.next().is_some_and(|member| {
                        member.partition_key == "k" && is_payload(member.data, number, facts.is_poison)
                    }) && members.next().is_none()
                }
                Decoded::Plain | Decoded::Damaged(_) => false,
            }
    }
}

/// The number of the record with this data.
pub(crate) fn number_of(data: &[u8]) -> Option<u64> {
    data.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
}

/// The service rejects a request with these bytes in it. No other payload holds them.
pub(crate) const POISON: &[u8] = b"\xFFpoison\xFF";
const NUMBER_BYTES: usize = 8;
const POISON_BYTES_MIN: usize = NUMBER_BYTES + POISON.len();
const PATTERN_BYTES: usize = 16;
/// Magic, checksum, tags and lengths of one record take less than 50 bytes.
const ENVELOPE_BYTES_MAX: usize = 100;
const ARENA_BYTES: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::{KeyText, Keys};

    fn made(number: u64, bytes: u32, is_poison: bool) -> Bytes {
        let workload = Workload { sizes: crate::Sizes::Constant(bytes), ..Workload::default() };
        Maker::new(&workload, Rng::new(1)).data(number, bytes as usize, is_poison)
    }

    #[test]
    fn a_payload_is_recognised_and_every_change_of_it_is_noticed() {
        for bytes in [8, 9, 16, 23, 24, 25, 40, 41, 55, 150, 1_000] {
            let data = made(7, bytes, false);
            assert!(is_payload(&data, 7, false), "{bytes} bytes are as they were made");
            assert!(!is_payload(&data, 8, false), "{bytes} bytes are of another record");
            for at in 0..data.len() {
                let mut changed = data.to_vec();
                changed[at] ^= 1;
                assert!(!is_payload(&changed, 7, false), "byte {at} of {bytes} is another");
            }
        }
        assert!(is_payload(&made(7, 100, true), 7, true));
        assert!(!is_payload(&made(7, 100, true), 7, false));
        let data = made(7, 400, false);
        assert!(!is_payload(&data[..399], 7, false), "the last byte is missing");
        let longer = [&data[..], &[0]].concat();
        assert!(!is_payload(&longer, 7, false), "there is a byte too many");
    }

    #[test]
    fn another_key_is_noticed() {
        let keys = KeySpace::new(Keys::Uniform { keys: 10 }, KeyText::Short);
        let (record, facts) = Maker::new(&Workload::default(), Rng::new(3)).make(0, 5, &keys);
        let view = UserRecordView {
            data: record.data(),
            partition_key: record.partition_key().map(str::as_bytes),
            explicit_hash_key: None,
        };
        assert!(view.is_as_made(5, &facts, &keys));
        assert!(!UserRecordView { partition_key: Some(b"k"), ..view }.is_as_made(5, &facts, &keys));
        assert!(!UserRecordView { explicit_hash_key: Some(1), ..view }.is_as_made(5, &facts, &keys));
    }
}
