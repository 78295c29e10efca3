//! The reply to a PutRecords request, read in one pass without a type or a text for each entry.

use std::borrow::Cow;

use kinesis_batcher_driver::{RecordOutcome, Response};

use super::json::{Malformed, Scanner};
use super::{Entry, Errors};

/// What a successful reply says of each record. An empty reply says nothing of none.
///
/// # Errors
/// When it is not the JSON of a reply to PutRecords.
pub(super) fn read_reply(reply: &[u8]) -> Result<Response, Malformed> {
    let mut scanner = Scanner::new(reply);
    let mut outcomes = Vec::new();
    if scanner.is_at_end() {
        return Ok(Response::new(outcomes));
    }
    scanner.object(|scanner, field| match field {
        "Records" => {
            // If there is another list, it is the last one that counts.
            outcomes.clear();
            outcomes.reserve((reply.len() / ENTRY_BYTES).min(ENTRIES_MAX));
            read_entries(scanner, &mut outcomes)
        }
        _ => scanner.skip(),
    })?;
    scanner.end()?;
    Ok(Response::new(outcomes))
}

fn read_entries(scanner: &mut Scanner<'_>, outcomes: &mut Vec<RecordOutcome>) -> Result<(), Malformed> {
    let mut errors = Errors::default();
    scanner.array(|scanner| {
        let outcome = match scanner.attempt(read_stored) {
            Some(stored) => stored,
            None => read_entry(scanner)?.outcome(&mut errors),
        };
        outcomes.push(outcome);
        Ok(())
    })
}

/// The entry of a stored record as the service writes it, to the letter: nearly all entries are this one.
fn read_stored(scanner: &mut Scanner<'_>) -> Option<RecordOutcome> {
    let sequence_number = scanner.digits_after::<56>(b"{\"SequenceNumber\":\"", 0)?;
    let shard_id = scanner.digits_after::<12>(b"\",\"ShardId\":\"shardId-", b"shardId-".len())?;
    scanner
        .exactly(b"\"}")
        .then(|| RecordOutcome::Stored { shard_id: shard_id.into(), sequence_number: sequence_number.into() })
}

fn read_entry<'a>(scanner: &mut Scanner<'a>) -> Result<Entry<Cow<'a, str>>, Malformed> {
    let mut entry = Entry { shard_id: None, sequence_number: None, error_code: None, error_message: None };
    scanner.object(|scanner, field| {
        let value = match field {
            "SequenceNumber" => &mut entry.sequence_number,
            "ShardId" => &mut entry.shard_id,
            "ErrorCode" => &mut entry.error_code,
            "ErrorMessage" => &mut entry.error_message,
            _ => return scanner.skip(),
        };
        *value = Some(scanner.string()?);
        Ok(())
    })?;
    Ok(entry)
}

/// A bit less than the entry of a stored record takes: `{"SequenceNumber":"","ShardId":""}` with 56 and 20 characters.
const ENTRY_BYTES: usize = 100;
/// Records in a request (API reference of PutRecords, 2026). A reply with more is wrong, but can be read.
const ENTRIES_MAX: usize = 500;
