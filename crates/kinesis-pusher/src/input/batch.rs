//! Records as they go from the reader to the producer.

use std::array::from_fn;

use kinesis_batcher_core::Record;

use super::{BadRecord, Item, Keyed, Origin};

/// What one read brought.
#[derive(Default)]
pub(crate) struct Batch {
    /// The records, in order.
    pub(crate) records: Vec<(Record, Origin)>,
    /// What cannot be sent, in order, each with the number of records before it.
    pub(crate) bad: Vec<(usize, Origin, BadRecord)>,
    /// Bytes taken from the input for them, line ends included.
    pub(crate) input_bytes: u64,
}

impl Batch {
    /// Records and what is none.
    pub(crate) fn len(&self) -> usize {
        self.records.len() + self.bad.len()
    }

    /// Where its last record came from, or what is none.
    pub(crate) fn last(&self) -> Option<Origin> {
        let record = self.records.last().map(|(_, origin)| *origin);
        let bad = self.bad.last().map(|(before, origin, _)| (*before, *origin));
        match bad {
            Some((before, origin)) if before == self.records.len() => Some(origin),
            _ => record,
        }
    }

    /// Takes away what comes after the bad record of this place among the bad ones.
    pub(crate) fn cut_after_bad(&mut self, index: usize) {
        self.records.truncate(self.bad[index].0);
        self.bad.truncate(index + 1);
    }
}

/// Gathers what is read, and hashes several keys at once.
#[derive(Default)]
pub(crate) struct BatchBuilder {
    batch: Batch,
    /// Behind the records of the batch: those that wait for enough others to be hashed with.
    keyed: Vec<(Keyed, Origin)>,
}

impl BatchBuilder {
    /// Records and what is none.
    pub(crate) fn len(&self) -> usize {
        self.batch.len() + self.keyed.len()
    }

    /// Adds what was read behind all that is in it.
    pub(crate) fn push(&mut self, Item { origin, record }: Item) {
        match record {
            Ok(keyed) => {
                self.keyed.push((keyed, origin));
                if self.keyed.len() == HASHED_AT_ONCE {
                    self.hash();
                }
            }
            Err(bad) => {
                self.batch.bad.push((self.batch.records.len() + self.keyed.len(), origin, bad));
            }
        }
    }

    /// All that is in it. It is empty then, and has room for about as many.
    pub(crate) fn take(&mut self, input_bytes: u64) -> Batch {
        let rest = self.keyed.drain(..);
        self.batch.records.extend(
            rest.map(|(Keyed { key, data }, origin)| {
                (Record::new(key, data).expect(SIZE_WAS_CHECKED), origin)
            }),
        );
        let next = Batch { records: Vec::with_capacity(self.batch.records.len()), ..Batch::default() };
        Batch { input_bytes, ..std::mem::replace(&mut self.batch, next) }
    }

    fn hash(&mut self) {
        let origins: [Origin; HASHED_AT_ONCE] = from_fn(|n| self.keyed[n].1);
        let mut keyed = self.keyed.drain(..);
        let records = Record::new_each::<HASHED_AT_ONCE>(from_fn(|_| {
            let (Keyed { key, data }, _) = keyed.next().expect("there are as many as are hashed at once");
            (key, data)
        }));
        let records = records.map(|record| record.expect(SIZE_WAS_CHECKED));
        self.batch.records.extend(records.zip(origins));
    }
}

/// As many as share the vector instructions of [`Record::new_each`].
const HASHED_AT_ONCE: usize = 16;

const SIZE_WAS_CHECKED: &str = "the size was checked when it was keyed";

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use kinesis_batcher_core::{HashKey, PartitionKey};

    use super::*;
    use crate::reason::{Kind, Reason};

    fn item(line: u64, is_good: bool) -> Item {
        let bad = || BadRecord {
            reason: Reason::new(Kind::NotJson, "not JSON"),
            data: Bytes::new(),
            truncated_from_bytes: None,
        };
        let key = PartitionKey::try_from(format!("key {line}")).unwrap();
        let record = is_good.then(|| Keyed { key, data: Bytes::from(line.to_string()) }).ok_or_else(bad);
        Item { origin: Origin { file: 0, line }, record }
    }

    #[test]
    fn records_keep_their_order_and_the_hash_keys_they_have_alone() {
        let mut builder = BatchBuilder::default();
        for count in [0, 1, 15, 16, 17, 40, 43] {
            (1..=count).for_each(|line| builder.push(item(line, true)));
            assert_eq!(builder.len() as u64, count);
            let batch = builder.take(count);
            assert_eq!((batch.len() as u64, builder.len(), batch.input_bytes), (count, 0, count));
            for ((record, origin), line) in batch.records.iter().zip(1..) {
                let key = format!("key {line}");
                assert_eq!((origin.line, &**record.data()), (line, line.to_string().as_bytes()));
                assert_eq!(record.partition_key(), Some(&*key));
                assert_eq!(record.hash_key(), HashKey::of_partition_key(&key), "of record {line} of {count}");
            }
        }
    }

    #[test]
    fn what_is_bad_knows_how_many_records_come_before_it() {
        let mut builder = BatchBuilder::default();
        let bad = [1, 4, 5, 12, 20];
        (1..=20).for_each(|line| builder.push(item(line, !bad.contains(&line))));
        let mut batch = builder.take(0);
        let places: Vec<_> = batch.bad.iter().map(|(before, origin, _)| (*before, origin.line)).collect();
        assert_eq!(places, [(0, 1), (2, 4), (2, 5), (8, 12), (15, 20)]);
        assert_eq!((batch.len(), batch.last().unwrap().line), (20, 20));
        batch.cut_after_bad(3);
        assert_eq!((batch.len(), batch.last().unwrap().line), (12, 12), "what stands before it is left");
        batch.cut_after_bad(0);
        assert_eq!((batch.len(), batch.last().unwrap().line), (1, 1));
        assert_eq!(Batch::default().last(), None);
    }
}
