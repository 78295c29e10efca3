//! Requests on their way.

use bytes::Bytes;
use kinesis_aggregation::{Decoded, decode};
use kinesis_batcher_core::{HashKey, Request, RequestError, Response, Timestamp};

use crate::check::Records;
use crate::workload::number_of;

/// A request on its way.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) producer: u32,
    /// Counts requests over all producers.
    pub(super) number: u64,
    pub(super) request: Request<u64>,
    pub(super) members: Members,
    pub(super) sent_at: Timestamp,
    /// With what it comes back.
    pub(super) outcome: Option<Result<Response, RequestError>>,
}

/// Names a flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FlightId(u32);

/// All requests on their way, in slots that are used again.
#[derive(Debug, Default)]
pub(super) struct Flights {
    slots: Vec<Option<Flight>>,
    free: Vec<u32>,
}

impl Flights {
    pub(super) fn insert(&mut self, flight: Flight) -> FlightId {
        if let Some(index) = self.free.pop() {
            self.slots[index as usize] = Some(flight);
            return FlightId(index);
        }
        let index = u32::try_from(self.slots.len()).expect("the batchers bound their requests in flight");
        self.slots.push(Some(flight));
        FlightId(index)
    }

    pub(super) fn flight_mut(&mut self, id: FlightId) -> &mut Flight {
        self.slots[id.0 as usize]
            .as_mut()
            .expect("a flight is on the agenda once at a time and leaves with its answer")
    }

    pub(super) fn remove(&mut self, id: FlightId) -> Flight {
        self.free.push(id.0);
        self.slots[id.0 as usize]
            .take()
            .expect("a flight is on the agenda once at a time and leaves with its answer")
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
    /// Reads them out of the payloads. The index of an entry is given back when it is not what was pushed: an
    /// aggregate that is damaged or empty, or data without a number.
    pub(super) fn read(&mut self, request: &Request<u64>) -> Result<(), usize> {
        self.numbers.clear();
        self.ends.clear();
        self.bytes.clear();
        for (index, record) in request.records().enumerate() {
            self.bytes.push((record.data().len() + record.partition_key().map_or(0, str::len)) as u32);
            match decode(record.data()) {
                Decoded::Plain => self.numbers.push(number_of(record.data()).ok_or(index)?),
                Decoded::Aggregate(aggregate) => {
                    if self.ends.is_empty() {
                        self.ends.extend(1..=index as u32);
                    }
                    let before = self.numbers.len();
                    for member in &aggregate {
                        self.numbers.push(number_of(member.data).ok_or(index)?);
                    }
                    if self.numbers.len() == before {
                        return Err(index);
                    }
                    self.ends.push(self.numbers.len() as u32);
                    continue;
                }
                Decoded::Damaged(_) => return Err(index),
            }
            if !self.ends.is_empty() {
                self.ends.push(self.numbers.len() as u32);
            }
        }
        Ok(())
    }

    pub(super) fn bytes(&self) -> &[u32] {
        &self.bytes
    }

    pub(super) fn as_records(&self) -> Records<'_> {
        Records { numbers: &self.numbers, ends: &self.ends }
    }
}

/// What of a request is still on its way after the producer gave it up.
#[derive(Debug)]
pub(super) struct LateCopy {
    pub(super) producer: u32,
    pub(super) number: u64,
    pub(super) sent_at: Timestamp,
    pub(super) entries: Vec<LateEntry>,
    pub(super) members: Members,
}

#[derive(Debug)]
pub(super) struct LateEntry {
    pub(super) data: Bytes,
    pub(super) partition_key: Option<String>,
    pub(super) explicit_hash_key: Option<HashKey>,
}

impl LateCopy {
    pub(super) fn of(flight: &Flight) -> Self {
        let entries = flight.request.records().map(|record| LateEntry {
            data: record.data().clone(),
            partition_key: record.partition_key().map(str::to_owned),
            explicit_hash_key: record.explicit_hash_key(),
        });
        Self {
            producer: flight.producer,
            number: flight.number,
            sent_at: flight.sent_at,
            entries: entries.collect(),
            members: flight.members.clone(),
        }
    }
}
