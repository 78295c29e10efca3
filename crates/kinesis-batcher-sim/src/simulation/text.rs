//! Events, requests and replies as lines of a trace.

use std::fmt;

use kinesis_batcher_core::Event;

use crate::check::Records;
use crate::service::PutReply;

/// An event without keys and payload.
pub(super) struct EventText<'a>(pub(super) &'a Event<u64>);

impl fmt::Display for EventText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Event::Delivered { tag, receipt } => {
                write!(f, "delivered {tag} to {} as {}", receipt.shard_id, receipt.sequence_number)?;
                if let Some(number) = receipt.sub_sequence_number {
                    write!(f, " ({number})")?;
                }
                write!(f, ", attempts {}", receipt.attempts)?;
                if receipt.possible_duplicate { f.write_str(", possible duplicate") } else { Ok(()) }
            }
            Event::Failed { tag, failure, .. } => write!(f, "failed {tag}: {failure}"),
            other => write!(f, "{other:?}"),
        }
    }
}

/// The numbers of records entry by entry, those of an aggregate joined by `+`.
pub(super) struct NumbersText<'a>(pub(super) Records<'a>, pub(super) usize);

impl fmt::Display for NumbersText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(records, entries) = self;
        for entry in 0..(*entries).min(NUMBERS_SHOWN) {
            f.write_str(if entry == 0 { "[" } else { " " })?;
            for (index, number) in records.of_entry(entry).iter().enumerate() {
                write!(f, "{}{number}", if index == 0 { "" } else { "+" })?;
            }
        }
        f.write_str(if *entries > NUMBERS_SHOWN { " …]" } else { "]" })
    }
}

/// The service's reply, in short.
pub(super) struct ReplyText<'a>(pub(super) &'a PutReply);

impl fmt::Display for ReplyText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PutReply { entries, refusal } = self.0;
        if let Some(refusal) = refusal {
            write!(f, "refused: {refusal}; ")?;
        }
        let stored = entries.iter().filter(|reply| reply.stored().is_some()).count();
        write!(f, "{stored} of {} stored", entries.len())?;
        for (index, reply) in entries.iter().enumerate().take(NUMBERS_SHOWN) {
            f.write_str(if index == 0 { ":" } else { "," })?;
            if let Some((shard_id, sequence_number)) = reply.stored() {
                write!(f, " {shard_id} {sequence_number}")?;
            }
            if let Some(code) = reply.code() {
                write!(f, " {code}")?;
            }
        }
        Ok(())
    }
}

/// So many records fit on a line.
const NUMBERS_SHOWN: usize = 20;
