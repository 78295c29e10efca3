//! Whether what was read back is what was read in.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use kinesis_aggregation::decode;
use kinesis_batcher_core::Record;

/// Counts records by a 128-bit fingerprint of key and data, so that two multisets can be compared in any order.
///
/// It takes some 50 bytes a record: right for an embedded server, which keeps whole records in memory anyway.
#[derive(Default)]
pub(crate) struct Fingerprints {
    hashers: [RandomState; 2],
    /// Of each record that was read in: how many are still to be read back.
    open: HashMap<u128, i64>,
    foreign: u64,
}

/// How the two differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Difference {
    /// Records read in and not read back.
    pub(crate) missing: u64,
    /// Different records read back more often than they were read in.
    pub(crate) repeated: u64,
    /// Records read back that were never read in.
    pub(crate) foreign: u64,
}

impl Fingerprints {
    /// Notes a record that was read in.
    pub(crate) fn read_in(&mut self, record: &Record) {
        *self.open.entry(self.of(record.partition_key(), record.data())).or_default() += 1;
    }

    /// Takes the note back: the record was never sent, and is not counted as read either.
    pub(crate) fn unread(&mut self, record: &Record) {
        *self.open.entry(self.of(record.partition_key(), record.data())).or_default() -= 1;
    }

    /// Notes a record that came back from the stream, or the members of an aggregate, and returns how many they are.
    pub(crate) fn read_back(&mut self, partition_key: &str, data: &[u8]) -> u64 {
        // As a whole first: the input may hold aggregates, which are sent as they are.
        if self.close(partition_key, data) {
            return 1;
        }
        let Some(aggregate) = decode(data).aggregate() else {
            self.foreign += 1;
            return 1;
        };
        for record in &aggregate {
            let was_read_in = self.close(record.partition_key, record.data);
            self.foreign += u64::from(!was_read_in);
        }
        aggregate.len() as u64
    }

    /// Takes one off what is open, if that was ever read in.
    fn close(&mut self, partition_key: &str, data: &[u8]) -> bool {
        let open = self.open.get_mut(&self.of(Some(partition_key), data));
        open.map(|open| *open -= 1).is_some()
    }

    /// What remains open.
    pub(crate) fn difference(&self) -> Difference {
        let mut difference = Difference { foreign: self.foreign, ..Difference::default() };
        for &open in self.open.values() {
            difference.missing += u64::try_from(open).unwrap_or(0);
            difference.repeated += u64::from(open < 0);
        }
        difference
    }

    fn of(&self, partition_key: Option<&str>, data: &[u8]) -> u128 {
        // A slice and a text both hash their own ends, so key and data cannot be mistaken for one another.
        let [high, low] =
            self.hashers.each_ref().map(|hasher| u128::from(hasher.hash_one((partition_key, data))));
        high << 64 | low
    }
}

impl Difference {
    /// Whether the stream holds what was read in, all of it and nothing else. A record that an attempt of unknown
    /// outcome doubled is excused where the summary says that it may be.
    pub(crate) fn is_none(&self, possibly_duplicated: u64) -> bool {
        self.missing == 0 && self.foreign == 0 && self.repeated <= possibly_duplicated
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(key: &str, data: &'static str) -> Record {
        Record::new(key, data).unwrap()
    }

    fn fingerprints(read_in: &[(&str, &'static str)], read_back: &[(&str, &str)]) -> Fingerprints {
        let mut fingerprints = Fingerprints::default();
        for (key, data) in read_in {
            fingerprints.read_in(&record(key, data));
        }
        for (key, data) in read_back {
            fingerprints.read_back(key, data.as_bytes());
        }
        fingerprints
    }

    #[test]
    fn order_does_not_matter_and_numbers_do() {
        let read_in = [("a", "1"), ("a", "1"), ("b", "2")];
        let missing = fingerprints(&read_in, &[("b", "2"), ("a", "1")]).difference();
        assert_eq!(
            missing,
            Difference { missing: 1, ..Difference::default() },
            "one of two equal ones is gone"
        );
        let same = fingerprints(&read_in, &[("a", "1"), ("b", "2"), ("a", "1")]).difference();
        assert_eq!(same, Difference::default());
        assert!(same.is_none(0) && !missing.is_none(1));
    }

    #[test]
    fn a_double_is_excused_only_where_it_was_announced() {
        let back = [("a", "1"), ("a", "1"), ("a", "1"), ("b", "2"), ("b", "2")];
        let difference = fingerprints(&[("a", "1"), ("b", "2")], &back).difference();
        assert_eq!(difference, Difference { repeated: 2, ..Difference::default() });
        assert!(difference.is_none(2) && !difference.is_none(1));
    }

    #[test]
    fn a_byte_that_moves_between_key_and_data_is_a_difference() {
        let difference = fingerprints(&[("ab", "c")], &[("a", "bc")]).difference();
        assert_eq!(difference, Difference { missing: 1, repeated: 0, foreign: 1 });
        assert!(!difference.is_none(9), "a record that nobody sent is never excused");
    }

    #[test]
    fn a_record_that_was_not_sent_in_the_end_is_not_missed() {
        let mut fingerprints = fingerprints(&[("a", "1"), ("b", "2")], &[("a", "1")]);
        fingerprints.unread(&record("b", "2"));
        assert_eq!(fingerprints.difference(), Difference::default());
    }

    #[test]
    fn an_aggregate_is_what_it_holds_unless_it_was_read_in_as_a_whole() {
        let mut builder = kinesis_aggregation::AggregateBuilder::new(1 << 10);
        for (key, data) in [("a", "1"), ("b", "2")] {
            builder.push(key, None, data.as_bytes(), &[]).unwrap();
        }
        let aggregate = builder.finish();
        let mut members = fingerprints(&[("a", "1"), ("b", "2")], &[]);
        assert_eq!(members.read_back("outer", &aggregate), 2);
        assert_eq!(members.difference(), Difference::default());
        let mut one_more = fingerprints(&[("a", "1")], &[]);
        one_more.read_back("outer", &aggregate);
        assert_eq!(one_more.difference(), Difference { foreign: 1, ..Difference::default() });
        let mut whole = Fingerprints::default();
        whole.read_in(&Record::new("outer", aggregate.to_vec()).unwrap());
        assert_eq!(whole.read_back("outer", &aggregate), 1);
        assert_eq!(whole.difference(), Difference::default(), "its members were never read in");
    }
}
