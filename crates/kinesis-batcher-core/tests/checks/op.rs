//! What can be done to a batcher.

use kinesis_batcher_core::{RecordOutcome, RequestError, ShardMap};

#[derive(Clone, Debug)]
pub enum Op {
    /// Without a key only streams that spread records themselves take it.
    Push {
        key: Option<u16>,
        explicit: Option<u128>,
        bytes: u32,
    },
    Wait {
        micros: u32,
    },
    WaitForDeadline,
    StepBack {
        micros: u32,
    },
    Answer {
        which: usize,
        answer: Answer,
    },
    Flush,
    /// The key space cut at these keys; some shards keep their names.
    Reshard {
        cuts: Vec<u128>,
    },
    Map(ShardMap),
}

#[derive(Clone, Debug)]
pub enum Answer {
    /// An outcome for each record by its tag: most are stored.
    Each(u64),
    /// These over and over, as many as the request has records.
    Cycled(Vec<RecordOutcome>),
    /// These, however many the request has.
    Exactly(Vec<RecordOutcome>),
    WrongLength(usize),
    Error(RequestError),
}
