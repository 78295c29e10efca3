//! What of settling a request needs no batcher.

use alloc::vec::Vec;
use core::fmt;

use crate::aggregate::tell;
use crate::entry::{Content, Entry};
use crate::event::Receipt;
use crate::histogram::Histogram;
use crate::histograms::{DURATIONS, MEMBERS};
use crate::request::{Request, Run};
use crate::response::{RecordOutcome, RequestError, Response};
use crate::time::Timestamp;

/// A request with what became of it, read through: made by [`Request::answered`], taken by
/// [`Batcher::handle_answer`](crate::Batcher::handle_answer).
///
/// Where a batcher is shared by threads, this is made before its lock is taken: under it, a request of which every
/// record was stored then takes a step for each of its shards, and none for each of its records.
#[must_use = "a request that is dropped loses its records; give it to handle_answer"]
pub struct Answered<T> {
    pub(crate) request: Request<T>,
    pub(crate) outcome: Result<Response, RequestError>,
    pub(crate) digest: Option<Digest>,
}

/// What there is to say of a request of which every record was stored.
pub(crate) struct Digest {
    /// The records of each run are all in one shard.
    pub(crate) runs_are_whole: bool,
    /// Of each user record, from when it was accepted to when the answer came.
    pub(crate) push_delay: Histogram,
    /// Of each aggregate.
    pub(crate) user_records: Histogram,
}

impl<T> Answered<T> {
    pub(crate) fn new(now: Timestamp, request: Request<T>, outcome: Result<Response, RequestError>) -> Self {
        let digest = outcome.as_ref().ok().and_then(|response| digest(now, &request, &response.outcomes));
        Self { request, outcome, digest }
    }

    /// Why the request came to nothing, if it did.
    #[must_use]
    pub fn error(&self) -> Option<&RequestError> {
        self.outcome.as_ref().err()
    }
}

/// `None` unless every record was stored.
fn digest<T>(now: Timestamp, request: &Request<T>, outcomes: &[RecordOutcome]) -> Option<Digest> {
    if outcomes.len() != request.entries.len() {
        return None;
    }
    let mut digest = Digest {
        runs_are_whole: true,
        push_delay: Histogram::new(&DURATIONS),
        user_records: Histogram::new(&MEMBERS),
    };
    let mut outcomes = outcomes.iter();
    for run in &request.runs {
        let mut first = None;
        for outcome in outcomes.by_ref().take(run.entries as usize) {
            let RecordOutcome::Stored { shard_id, .. } = outcome else { return None };
            digest.runs_are_whole &= first.is_none_or(|first| first == shard_id);
            first = Some(shard_id);
        }
    }
    measure(now, &request.entries, &mut digest.push_delay, &mut digest.user_records);
    Some(digest)
}

/// Notes how long stored entries took, and how many user records are in those that are aggregates.
pub(crate) fn measure<T>(
    now: Timestamp,
    entries: &[Entry<T>],
    push_delay: &mut Histogram,
    user_records: &mut Histogram,
) {
    // Records that were pushed together were accepted at the same time, and most of their neighbours were.
    let (mut accepted_at, mut records) = (now, 0);
    let mut note = |at: Timestamp| {
        if at != accepted_at {
            push_delay.record_many(now.nanos_since(accepted_at), records);
            (accepted_at, records) = (at, 0);
        }
        records += 1;
    };
    for entry in entries {
        match &entry.content {
            Content::Record(_) => note(entry.accepted_at),
            Content::Aggregate(all) => {
                user_records.record(all.members.len() as u64);
                all.members.iter().for_each(|member| note(member.accepted_at));
            }
        }
    }
    push_delay.record_many(now.nanos_since(accepted_at), records);
}

/// Records that were delivered together, from [`Batcher::handle_answer`](crate::Batcher::handle_answer): what would
/// else be an [`Event::Delivered`](crate::Event::Delivered) each.
#[must_use = "the tags of these records come back here and nowhere else"]
pub struct Delivered<T> {
    pub(crate) entries: Vec<Entry<T>>,
    pub(crate) outcomes: Vec<RecordOutcome>,
    /// Empty; kept for a request to come.
    pub(crate) runs: Vec<Run>,
}

impl<T> Delivered<T> {
    /// Calls `tell_one` with each record's tag and receipt, in the order of the request. Payloads are dropped as it goes.
    /// A second call has nothing to tell.
    pub fn tell(&mut self, mut tell_one: impl FnMut(T, Receipt)) {
        for (entry, outcome) in self.entries.drain(..).zip(self.outcomes.drain(..)) {
            let RecordOutcome::Stored { shard_id, sequence_number } = outcome else {
                unreachable!("a digest is made only where every record was stored");
            };
            tell(entry, shard_id, sequence_number, &mut tell_one);
        }
    }
}

impl<T> fmt::Debug for Answered<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answered")
            .field("request", &self.request)
            .field("all_stored", &self.digest.is_some())
            .finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Delivered<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Delivered({} Kinesis records)", self.entries.len())
    }
}
