//! Reading: from files and stdin to records with a key.

mod blocks;
mod lines;
mod reader;
mod shape;
mod sources;

use bytes::Bytes;
use kinesis_batcher_core::Record;
use kinesis_batcher_core::limits::RECORD_BYTES_MAX_CEILING;

pub(crate) use blocks::Blocks;
pub(crate) use reader::Reader;
pub(crate) use shape::{Shaper, json_problem};
pub(crate) use sources::Sources;

use crate::reason::Reason;

/// Where a record came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    /// The place of its file among the sources.
    pub(crate) file: u32,
    /// Its line, from 1; 1 for a whole file.
    pub(crate) line: u64,
}

impl Origin {
    /// Both in one number, for the producer to carry along: more lines than a disk holds of more files than a command
    /// line.
    pub(crate) fn to_tag(self) -> u64 {
        u64::from(self.file) << LINE_BITS | self.line
    }

    /// What [`to_tag`](Self::to_tag) was made of.
    pub(crate) fn from_tag(tag: u64) -> Self {
        Self { file: (tag >> LINE_BITS) as u32, line: tag & ((1 << LINE_BITS) - 1) }
    }
}

/// One record as it was read.
pub(crate) struct Item {
    /// Where it came from.
    pub(crate) origin: Origin,
    /// The record, or why there is none.
    pub(crate) record: Result<Record, BadRecord>,
}

/// What was read and cannot be sent.
pub(crate) struct BadRecord {
    /// Why not.
    pub(crate) reason: Reason,
    /// Its bytes; only the first ones where it is larger than any record.
    pub(crate) data: Bytes,
    /// How many bytes it has in the input, where `data` does not hold them all.
    pub(crate) truncated_from_bytes: Option<u64>,
}

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

    /// Adds what was read behind all that is in it.
    pub(crate) fn push(&mut self, Item { origin, record }: Item) {
        match record {
            Ok(record) => self.records.push((record, origin)),
            Err(bad) => self.bad.push((self.records.len(), origin, bad)),
        }
    }

    /// Takes away what comes after the bad record of this place among the bad ones.
    pub(crate) fn cut_after_bad(&mut self, index: usize) {
        self.records.truncate(self.bad[index].0);
        self.bad.truncate(index + 1);
    }
}

const LINE_BITS: u32 = 40;

/// Bytes of data, at most, that are held in memory to see whether they make a record.
const DATA_BYTES_MAX: usize = RECORD_BYTES_MAX_CEILING;

/// How much of a larger record a dead letter keeps: enough to recognise it.
const TRUNCATED_BYTES: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_keeps_file_and_line() {
        for origin in [
            Origin { file: 0, line: 1 },
            Origin { file: 3, line: 1 << 33 },
            Origin { file: (1 << 24) - 1, line: (1 << LINE_BITS) - 1 },
        ] {
            assert_eq!(Origin::from_tag(origin.to_tag()), origin);
        }
    }
}
