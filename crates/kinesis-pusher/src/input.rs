//! Reading: from files and stdin to records with a key.

mod batch;
mod blocks;
mod encoding;
mod lines;
mod reader;
mod shape;
mod sources;
mod watched;

use bytes::Bytes;
use kinesis_batcher_core::PartitionKey;
use kinesis_batcher_core::limits::RECORD_BYTES_MAX_CEILING;

pub(crate) use batch::{Batch, BatchBuilder};
pub(crate) use blocks::Blocks;
pub(crate) use reader::{InputError, Reader};
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
    /// What makes the record, or why there is none.
    pub(crate) record: Result<Keyed, BadRecord>,
}

/// What makes a record, of a size that some stream takes.
#[derive(Debug)]
pub(crate) struct Keyed {
    pub(crate) key: PartitionKey,
    pub(crate) data: Bytes,
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
