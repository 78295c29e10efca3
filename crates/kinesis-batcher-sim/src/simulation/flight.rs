//! Requests on their way.

use bytes::Bytes;
use kinesis_aggregation::{Decoded, decode};
use kinesis_batcher_core::{HashKey, Request, RequestError, Response, Timestamp};
use kinesis_model::Meaning;

use crate::check::{Records, RequestView};
use crate::ledger::Ledger;
use crate::workload::{KeySpace, UserRecordView, number_of};

/// A request on its way.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) producer: u32,
    /// Counts requests over all producers.
    pub(super) number: u64,
    pub(super) request: Request<u64>,
    pub(super) members: Members,
    pub(super) sent_at: Timestamp,
    /// When it was sent, by its producer's clock.
    pub(super) sent_at_clock: Timestamp,
    /// With what it comes back.
    pub(super) outcome: Option<Result<Response, RequestError>>,
    /// What the table of errors says of the outcome, if no reply has an outcome for each record.
    pub(super) meaning: Option<Meaning>,
}

impl Flight {
    pub(super) fn view(&self) -> RequestView<'_> {
        RequestView {
            number: self.number,
            sent_at: self.sent_at_clock,
            request: &self.request,
            records: self.members.as_records(),
            bytes: &self.members.bytes,
        }
    }
}

/// The record numbers in the entries of a request.
#[derive(Clone, Debug, Default)]
pub(super) struct Members {
    numbers: Vec<u64>,
    /// Empty while each entry has exactly one.
    ends: Vec<u32>,
    /// Bytes of data and partition key of each entry.
    bytes: Vec<u32>,
}

impl Members {
    /// Reads them out of the payloads, as a consumer does, and compares each record with the one that was pushed.
    ///
    /// # Errors
    /// The index of an entry that is not what was pushed, and why not.
    pub(super) fn read(
        &mut self,
        request: &Request<u64>,
        ledger: &Ledger,
        keys: &KeySpace,
    ) -> Result<(), (usize, &'static str)> {
        self.numbers.clear();
        self.ends.clear();
        self.bytes.clear();
        for (index, record) in request.records().enumerate() {
            let key = record.partition_key_bytes();
            self.bytes.push((record.data().len() + key.map_or(0, <[u8]>::len)) as u32);
            let raw = UserRecordView {
                data: record.data(),
                partition_key: key,
                explicit_hash_key: record.explicit_hash_key().map(HashKey::value),
            };
            let before = self.numbers.len();
            match decode(record.data()) {
                Decoded::Plain => {
                    let number = number_of(record.data()).ok_or((index, "its data have no number"))?;
                    self.add(number, &raw, ledger, keys).map_err(|why| (index, why))?;
                }
                Decoded::Aggregate(aggregate) => {
                    if self.ends.is_empty() {
                        self.ends.extend(1..=index as u32);
                    }
                    for member in &aggregate {
                        let number = number_of(member.data).ok_or((index, "a member has no number"))?;
                        let explicit_hash_key = member.explicit_hash_key.map(str::parse).transpose();
                        let member = UserRecordView {
                            data: member.data,
                            partition_key: Some(member.partition_key.as_bytes()),
                            explicit_hash_key: explicit_hash_key
                                .map_err(|_| (index, "a member's explicit hash key is no number"))?,
                        };
                        // A program may push aggregates of its own, which travel as they are.
                        let is_whole = ledger.record(number).is_some_and(|facts| facts.is_aggregate);
                        let view = if is_whole { &raw } else { &member };
                        self.add(number, view, ledger, keys).map_err(|why| (index, why))?;
                    }
                    if self.numbers.len() == before {
                        return Err((index, "it is an aggregate of nothing"));
                    }
                    self.ends.push(self.numbers.len() as u32);
                    continue;
                }
                Decoded::Damaged(_) => return Err((index, "it is a damaged aggregate")),
            }
            if !self.ends.is_empty() {
                self.ends.push(self.numbers.len() as u32);
            }
        }
        Ok(())
    }

    fn add(
        &mut self,
        number: u64,
        view: &UserRecordView<'_>,
        ledger: &Ledger,
        keys: &KeySpace,
    ) -> Result<(), &'static str> {
        let facts = ledger.record(number).ok_or("it holds a record that has ended or never was")?;
        if !view.is_as_made(number, facts, keys) {
            return Err("a record is not as it was pushed");
        }
        self.numbers.push(number);
        Ok(())
    }

    pub(super) fn as_records(&self) -> Records<'_> {
        Records { numbers: &self.numbers, ends: &self.ends }
    }
}

/// A copy of a request on its way that no reply comes back for.
#[derive(Debug)]
pub(super) struct RequestCopy {
    pub(super) producer: u32,
    pub(super) number: u64,
    pub(super) sent_at: Timestamp,
    /// The network duplicated it; otherwise its producer has given it up.
    pub(super) is_duplicate: bool,
    pub(super) entries: Vec<EntryCopy>,
    pub(super) members: Members,
}

#[derive(Debug)]
pub(super) struct EntryCopy {
    pub(super) data: Bytes,
    pub(super) partition_key: Option<String>,
    pub(super) explicit_hash_key: Option<HashKey>,
}

impl RequestCopy {
    pub(super) fn of(flight: &Flight, is_duplicate: bool) -> Self {
        let entries = flight.request.records().map(|record| EntryCopy {
            data: record.data().clone(),
            partition_key: record.partition_key().map(str::to_owned),
            explicit_hash_key: record.explicit_hash_key(),
        });
        Self {
            producer: flight.producer,
            number: flight.number,
            sent_at: flight.sent_at,
            is_duplicate,
            entries: entries.collect(),
            members: flight.members.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::{KeyText, Keys, Maker, Workload};
    use kinesis_batcher_core::{Batcher, Config, ShardMap};
    use kinesis_model::Rng;
    use std::time::Duration;

    /// Reads a request of records 0 to 9 as a consumer does, with what `change` makes of their ledger.
    fn read(aggregates: bool, change: impl FnOnce(&mut Ledger)) -> Result<Vec<u64>, &'static str> {
        let keys = KeySpace::new(Keys::Uniform { keys: 5 }, KeyText::Short);
        let config = Config::builder().linger(Duration::from_secs(1)).aggregation(aggregates).build();
        let map = ShardMap::uniform(std::num::NonZeroU32::MIN);
        let mut batcher = Batcher::new(config.expect("within range"), map, 0, Timestamp::ZERO);
        let (mut maker, mut ledger) = (Maker::new(&Workload::default(), Rng::new(4)), Ledger::default());
        for number in 0..10 {
            let (record, facts) = maker.make(0, number, &keys);
            ledger.offer(number, facts);
            batcher.push(Timestamp::ZERO, record, number).expect("there is room");
        }
        batcher.flush(Timestamp::ZERO);
        let request = batcher.poll_request().expect("it was flushed");
        change(&mut ledger);
        let mut members = Members::default();
        members.read(&request, &ledger, &keys).map_err(|(_, why)| why)?;
        assert_eq!(request.len(), if aggregates { 1 } else { 10 });
        Ok(members.as_records().all().to_vec())
    }

    #[test]
    fn a_request_is_read_as_it_was_pushed_and_everything_else_is_noticed() {
        for aggregates in [false, true] {
            assert_eq!(read(aggregates, |_| ()), Ok((0..10).collect()));
            let unknown = read(aggregates, |ledger| {
                ledger.end(3);
            });
            assert_eq!(unknown, Err("it holds a record that has ended or never was"));
            let changed = read(aggregates, |ledger| {
                let mut facts = ledger.end(3).expect("it was offered");
                facts.key = (facts.key + 1) % 5;
                ledger.offer(3, facts);
            });
            assert_eq!(changed, Err("a record is not as it was pushed"));
        }
    }
}
