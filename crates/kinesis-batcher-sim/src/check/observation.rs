//! What a checker is shown.

use kinesis_batcher_core::{
    Batcher, Deadline, Event, HashKey, PushErrorReason, Request, RequestError, RequestRecord, Response,
    ShardMap, Stats, Timestamp,
};

use kinesis_model::Meaning;

use crate::service::{EntryReply, Kinesis, PutEntry};

/// Something that passed between a producer, the network and the service.
///
/// A record is named by its number, which is its tag; the [`Ledger`](crate::Ledger) knows the rest of it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Observation<'a> {
    /// A producer begins; its batcher knows its settings and its map.
    Began {
        /// Which.
        producer: u32,
        /// Its batcher.
        batcher: &'a Batcher<u64>,
    },
    /// A push was accepted.
    Accepted {
        /// By whom.
        producer: u32,
        /// What.
        record: u64,
    },
    /// A push was refused.
    Refused {
        /// By whom.
        producer: u32,
        /// What.
        record: u64,
        /// Why.
        reason: PushErrorReason,
    },
    /// A batcher made a request, which is on its way now.
    Requested {
        /// Whose.
        producer: u32,
        /// What is in it.
        request: RequestView<'a>,
        /// The batcher, as it is right after.
        batcher: &'a Batcher<u64>,
    },
    /// The service decided on the entries of a call that reached it.
    Stored {
        /// Who sent it.
        producer: u32,
        /// The request's number, as in [`RequestView::number`].
        request: u64,
        /// What arrived.
        entries: &'a [PutEntry<'a>],
        /// The record numbers in each entry: more than one in an aggregate.
        records: Records<'a>,
        /// What became of each.
        replies: &'a [EntryReply],
        /// The service, as it is right after.
        service: &'a Kinesis,
        /// No reply to it comes back: the producer has given it up, or the network has duplicated it.
        late: bool,
    },
    /// A request is about to be given back to its batcher.
    Answered {
        /// Whose.
        producer: u32,
        /// What is in it.
        request: RequestView<'a>,
        /// With what.
        outcome: &'a Result<Response, RequestError>,
        /// What this says of the records, by the table of errors in `docs/SERVICE.md`; `None` for a reply with an outcome
        /// for each of them.
        meaning: Option<Meaning>,
    },
    /// A batcher gave out an event.
    Event {
        /// Who.
        producer: u32,
        /// Which.
        event: &'a Event<u64>,
    },
    /// A batcher is about to be given a map.
    MapGiven {
        /// Who.
        producer: u32,
        /// Which.
        map: &'a ShardMap,
    },
    /// A batcher was called, and everything was polled since.
    Settled {
        /// Who.
        producer: u32,
        /// What was called.
        cause: Cause,
        /// The batcher's deadline before the call.
        deadline_before: Option<Deadline>,
        /// Its figures before the call; only for [`Cause::StepBack`].
        stats_before: Option<&'a Stats>,
        /// The batcher now.
        batcher: &'a Batcher<u64>,
        /// Its deadline now.
        deadline: Option<Deadline>,
    },
    /// A producer's process has ended with everything that it held.
    Crashed {
        /// Which.
        producer: u32,
        /// The records that it held, by number.
        held: &'a [u64],
        /// Its requests on their way, by number. They may still arrive; no answer comes.
        requests: &'a [u64],
    },
    /// Faults are over; from here on, everything must drain.
    Healed,
}

impl Observation<'_> {
    /// The producer it concerns.
    #[must_use]
    pub fn producer(&self) -> Option<u32> {
        match *self {
            Self::Began { producer, .. }
            | Self::Accepted { producer, .. }
            | Self::Refused { producer, .. }
            | Self::Requested { producer, .. }
            | Self::Stored { producer, .. }
            | Self::Answered { producer, .. }
            | Self::Event { producer, .. }
            | Self::MapGiven { producer, .. }
            | Self::Settled { producer, .. }
            | Self::Crashed { producer, .. } => Some(producer),
            Self::Healed => None,
        }
    }
}

/// Why a batcher was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// A record was pushed, or was offered again.
    Push,
    /// `handle_timeout` when its deadline had come.
    Timeout,
    /// `handle_timeout` for no reason.
    Spurious,
    /// `handle_timeout` with a time before the last one.
    StepBack,
    /// `handle_response`.
    Response,
    /// `handle_shard_map`.
    ShardMap,
    /// `flush`.
    Flush,
    /// `close`.
    Close,
    /// `abort`.
    Abort,
}

/// A request, with the numbers of the records in it.
#[derive(Clone, Copy, Debug)]
pub struct RequestView<'a> {
    /// Counts requests from 0 over all producers.
    pub number: u64,
    /// When it left, by its producer's clock.
    pub sent_at: Timestamp,
    /// The request.
    pub request: &'a Request<u64>,
    /// The record numbers in each of its Kinesis records.
    pub records: Records<'a>,
    /// Bytes of data and partition key of each.
    pub(crate) bytes: &'a [u32],
}

impl<'a> RequestView<'a> {
    /// Its Kinesis records, in order.
    pub fn sent(&self) -> impl ExactSizeIterator<Item = SentRecord<'a>> {
        let Self { records, bytes, .. } = *self;
        self.request.records().enumerate().map(move |(index, sent)| SentRecord {
            sent,
            bytes: bytes[index],
            data: sent.data(),
            explicit_hash_key: sent.explicit_hash_key(),
            numbers: records.of_entry(index),
        })
    }
}

/// One Kinesis record of a request.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct SentRecord<'a> {
    sent: RequestRecord<'a>,
    bytes: u32,
    /// Its payload.
    pub data: &'a [u8],
    /// Its explicit hash key.
    pub explicit_hash_key: Option<HashKey>,
    /// The numbers of the records in it: one, or those of an aggregate in order.
    pub numbers: &'a [u64],
}

impl<'a> SentRecord<'a> {
    /// Its partition key. It is looked at anew with each call, which takes its time.
    #[must_use]
    pub fn partition_key(&self) -> Option<&'a str> {
        self.sent.partition_key()
    }

    /// Bytes of data and partition key.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes as usize
    }
}

impl std::fmt::Debug for SentRecord<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SentRecord({} B, {:?})", self.bytes(), self.numbers)
    }
}

/// The record numbers in each entry of a request.
#[derive(Clone, Copy, Debug)]
pub struct Records<'a> {
    pub(crate) numbers: &'a [u64],
    /// Where each entry's numbers end; empty when each entry has exactly one.
    pub(crate) ends: &'a [u32],
}

impl<'a> Records<'a> {
    /// All of them, in order.
    #[must_use]
    pub fn all(&self) -> &'a [u64] {
        self.numbers
    }

    /// Those of the entry at this index.
    ///
    /// # Panics
    /// When there is no such entry.
    #[must_use]
    pub fn of_entry(&self, index: usize) -> &'a [u64] {
        if self.ends.is_empty() {
            return &self.numbers[index..=index];
        }
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
        &self.numbers[start..self.ends[index] as usize]
    }
}
