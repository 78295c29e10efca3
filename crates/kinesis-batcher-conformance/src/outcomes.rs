//! What became of records, beside what a server stored.

use std::collections::HashMap;

use kinesis_batcher_driver::{DeliveryError, Producer, Receipt, Record};
use kinesis_batcher_local::StoredRecord;
use kinesis_batcher_local::hostile::HostileKinesis;

/// What became of each record, by its data.
#[derive(Debug, Default)]
pub struct Outcomes {
    by_data: HashMap<String, Result<Receipt, DeliveryError>>,
}

/// A copy of a record, as a server has it.
struct Copy {
    shard_id: String,
    sequence_number: String,
}

impl Outcomes {
    /// Sends `count` records whose data begins with `name`, and waits for what becomes of them.
    pub(crate) async fn of_sending(producer: &Producer, name: &str, count: usize) -> Self {
        let mut deliveries = Vec::new();
        for number in 0..count {
            let data = format!("{name}-{number}");
            let delivery = producer.send(record(&data)).await.expect("the producer is open");
            deliveries.push((data, delivery));
        }
        let mut outcomes = Self::default();
        for (data, delivery) in deliveries {
            outcomes.by_data.insert(data, delivery.await);
        }
        outcomes
    }

    pub(crate) fn extend(&mut self, more: Self) {
        self.by_data.extend(more.by_data);
    }

    pub(crate) fn len(&self) -> usize {
        self.by_data.len()
    }

    pub(crate) fn assert_all_delivered(&self) {
        for (data, outcome) in &self.by_data {
            assert!(outcome.is_ok(), "{data} was not delivered: {outcome:?}");
        }
    }

    /// How many were said to be possibly doubled.
    pub(crate) fn possible_duplicates(&self) -> usize {
        self.by_data.values().flatten().filter(|receipt| receipt.possible_duplicate).count()
    }

    /// Nothing is lost, what was doubled was said to be possibly doubled, and receipts name a copy that is there.
    pub(crate) fn assert_nothing_lost(&self, kinesis: &HostileKinesis) {
        let stored = kinesis.stored();
        self.assert_kept(stored.into_iter().map(|stored| {
            let copy = Copy { shard_id: stored.shard_id, sequence_number: stored.sequence_number };
            (text(stored.data), copy)
        }));
    }

    /// Each record is stored once, where its receipt says, and nothing else is.
    pub(crate) fn assert_stored_once(&self, stored: Vec<StoredRecord>) {
        assert_eq!(stored.len(), self.len(), "so many records are stored, of so many that were sent");
        self.assert_all_delivered();
        self.assert_kept(stored.into_iter().map(|stored| {
            let copy = Copy { shard_id: stored.shard_id, sequence_number: stored.sequence_number };
            (text(stored.data), copy)
        }));
    }

    fn assert_kept(&self, stored: impl Iterator<Item = (String, Copy)>) {
        let mut copies: HashMap<String, Vec<Copy>> = HashMap::new();
        for (data, copy) in stored {
            copies.entry(data).or_default().push(copy);
        }
        for (data, outcome) in &self.by_data {
            let copies = copies.get(data).map_or(&[][..], Vec::as_slice);
            match outcome {
                Ok(receipt) => {
                    assert!(!copies.is_empty(), "{data} has a receipt and is not stored");
                    assert!(
                        copies.len() == 1 || receipt.possible_duplicate,
                        "{data} is stored twice and nobody said so"
                    );
                    let (shard, number) = (receipt.shard_id.to_string(), receipt.sequence_number.to_string());
                    let is_there =
                        copies.iter().any(|copy| copy.shard_id == shard && copy.sequence_number == number);
                    assert!(is_there, "{data} is not where its receipt says");
                }
                Err(error) => {
                    let said = error.failure().possibly_stored;
                    assert!(
                        copies.is_empty() || said,
                        "{data} failed and is stored, and nobody said so: {error}"
                    );
                }
            }
        }
    }
}

/// A record with a key of its own.
pub(crate) fn record(data: impl AsRef<str>) -> Record {
    let data = data.as_ref();
    Record::new(format!("key-{data}"), data.to_owned()).expect("the key is short")
}

pub(crate) fn text(data: Vec<u8>) -> String {
    String::from_utf8(data).expect("the suite's records are text")
}

/// How often each record is stored, by its data.
pub(crate) fn copies(kinesis: &HostileKinesis) -> HashMap<String, usize> {
    let mut copies = HashMap::new();
    for stored in kinesis.stored() {
        *copies.entry(text(stored.data)).or_default() += 1;
    }
    copies
}
