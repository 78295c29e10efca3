//! Whether what was read back is what was read in.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use kinesis_batcher_core::Record;

/// Counts records by a 128-bit fingerprint of key and data, so that two multisets can be compared in any order.
///
/// It takes some 50 bytes a record: right for an embedded server, which keeps whole records in memory anyway.
#[derive(Default)]
pub(crate) struct Fingerprints {
    hashers: [RandomState; 2],
    /// Records read in, less those read back.
    open: HashMap<u128, i64>,
}

/// How the two differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Difference {
    /// Records read in and not read back.
    pub(crate) missing: u64,
    /// Records read back more often than they were read in, or never read in.
    pub(crate) surplus: u64,
}

impl Fingerprints {
    /// Notes a record that was read in.
    pub(crate) fn read_in(&mut self, record: &Record) {
        self.count(record.partition_key(), record.data(), 1);
    }

    /// Notes a record that came back from the stream.
    pub(crate) fn read_back(&mut self, partition_key: &str, data: &[u8]) {
        self.count(Some(partition_key), data, -1);
    }

    /// What remains open.
    pub(crate) fn difference(&self) -> Difference {
        let mut difference = Difference::default();
        for count in self.open.values() {
            if *count > 0 {
                difference.missing += count.unsigned_abs();
            } else {
                difference.surplus += count.unsigned_abs();
            }
        }
        difference
    }

    fn count(&mut self, partition_key: Option<&str>, data: &[u8], by: i64) {
        // A slice and a text both hash their own ends, so key and data cannot be mistaken for one another.
        let [high, low] =
            self.hashers.each_ref().map(|hasher| u128::from(hasher.hash_one((partition_key, data))));
        let fingerprint = high << 64 | low;
        let count = self.open.entry(fingerprint).or_default();
        *count += by;
        if *count == 0 {
            self.open.remove(&fingerprint);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(key: &str, data: &'static str) -> Record {
        Record::new(key, data).unwrap()
    }

    #[test]
    fn order_does_not_matter_and_numbers_do() {
        let mut fingerprints = Fingerprints::default();
        for record in [record("a", "1"), record("a", "1"), record("b", "2")] {
            fingerprints.read_in(&record);
        }
        fingerprints.read_back("b", b"2");
        fingerprints.read_back("a", b"1");
        assert_eq!(
            fingerprints.difference(),
            Difference { missing: 1, surplus: 0 },
            "one of two equal records is gone"
        );
        fingerprints.read_back("a", b"1");
        assert_eq!(fingerprints.difference(), Difference::default());
        fingerprints.read_back("a", b"1");
        assert_eq!(fingerprints.difference(), Difference { missing: 0, surplus: 1 }, "a double is seen");
    }

    #[test]
    fn a_byte_that_moves_between_key_and_data_is_a_difference() {
        let mut fingerprints = Fingerprints::default();
        fingerprints.read_in(&record("ab", "c"));
        fingerprints.read_back("a", b"bc");
        assert_eq!(fingerprints.difference(), Difference { missing: 1, surplus: 1 });
    }
}
