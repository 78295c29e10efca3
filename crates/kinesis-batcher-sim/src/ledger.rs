//! What the simulation knows of each record.

use std::fmt;

use kinesis_batcher_core::{HashKey, Timestamp};

use crate::window::Window;

/// The records that were offered to a batcher and have not ended, by number.
///
/// Numbers count from 0 over all producers; a record's number is its tag and the first eight bytes of its data.
#[derive(Debug, Default)]
pub struct Ledger {
    records: Window<RecordFacts>,
    /// A bit for each record number: the service has stored a copy.
    stored: Vec<u64>,
}

impl Ledger {
    /// What is known of a record; `None` once its end was told and observed, or when it was dropped.
    #[must_use]
    pub fn record(&self, number: u64) -> Option<&RecordFacts> {
        self.records.get(number)
    }

    /// The records, the lowest number first.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &RecordFacts)> {
        self.records.iter()
    }

    pub(crate) fn offer(&mut self, number: u64, facts: RecordFacts) {
        let before = self.records.insert(number, facts);
        debug_assert!(before.is_none(), "a record's number is its own");
    }

    pub(crate) fn accept(&mut self, number: u64, at: Timestamp, now: Timestamp, order: u64) {
        if let Some(facts) = self.records.get_mut(number) {
            facts.accepted = Some(Acceptance { at, now, order });
        }
    }

    /// These records leave in a request, or come back.
    pub(crate) fn set_in_flight(&mut self, numbers: &[u64], in_flight: bool) {
        for &number in numbers {
            if let Some(facts) = self.records.get_mut(number) {
                facts.in_flight = in_flight;
            }
        }
    }

    /// Whether the service has stored a copy of this record.
    #[must_use]
    pub fn is_stored(&self, number: u64) -> bool {
        let (word, bit) = ((number / 64) as usize, 1 << (number % 64));
        self.stored.get(word).is_some_and(|word| word & bit != 0)
    }

    /// The service stored a copy of a record, ended or not. Says whether it had stored one before.
    #[inline]
    pub(crate) fn stored(&mut self, number: u64) -> bool {
        let before = self.is_stored(number);
        let word = (number / 64) as usize;
        if self.stored.len() <= word {
            self.stored.resize(word + 1, 0);
        }
        self.stored[word] |= 1 << (number % 64);
        before
    }

    pub(crate) fn end(&mut self, number: u64) -> Option<RecordFacts> {
        self.records.remove(number)
    }
}

/// One record, as it was made.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct RecordFacts {
    /// Who offers it.
    pub producer: u32,
    /// Which partition key it has: two records have the same number here if and only if their keys are the same text.
    pub key: u32,
    /// Bytes of data and partition key.
    pub bytes: u32,
    /// Where it belongs.
    pub hash_key: HashKey,
    /// Whether `hash_key` was given and not computed.
    pub hash_key_is_explicit: bool,
    /// Whether it is an aggregate already; its one member's data begin with the number.
    pub is_aggregate: bool,
    /// Whether the service rejects every request with it.
    pub is_poison: bool,
    /// When it was taken in; `None` while it was refused and waits to be offered again.
    pub accepted: Option<Acceptance>,
    /// Whether it is in a request on its way.
    pub in_flight: bool,
}

impl RecordFacts {
    pub(crate) fn new(producer: u32, key: u32, bytes: u32, hash_key: HashKey) -> Self {
        Self {
            producer,
            key,
            bytes,
            hash_key,
            hash_key_is_explicit: false,
            is_aggregate: false,
            is_poison: false,
            accepted: None,
            in_flight: false,
        }
    }
}

/// A push that was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acceptance {
    /// When, by the producer's clock.
    pub at: Timestamp,
    /// When, by the simulation's time.
    pub now: Timestamp,
    /// How many of this producer's records were accepted before it.
    pub order: u64,
}

impl fmt::Display for RecordFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key {}, {} B, hash {:?}", self.key, self.bytes, self.hash_key)?;
        if self.hash_key_is_explicit {
            f.write_str(" given")?;
        }
        if self.is_aggregate {
            f.write_str(", aggregate")?;
        }
        if self.is_poison {
            f.write_str(", poison")?;
        }
        Ok(())
    }
}
