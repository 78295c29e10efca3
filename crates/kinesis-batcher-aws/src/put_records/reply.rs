//! The reply to a PutRecords request, read in one pass without a type or a text for each entry.

use std::borrow::Cow;

use kinesis_batcher_driver::{RecordOutcome, Response};

use super::entry::{Entry, Errors};
use super::scan::{Malformed, Scan, Stored};

/// What a successful reply of so many bytes says of each record. An empty reply says nothing of none. The errors of
/// entries carry the id of the request.
///
/// # Errors
/// When it is not a reply to PutRecords in the encoding of this scanner.
pub(crate) fn read_reply<'a>(
    mut scanner: impl Scan<'a>,
    bytes: usize,
    request_id: Option<&str>,
) -> Result<Response, Malformed> {
    let mut outcomes = Vec::new();
    if scanner.is_at_end() {
        return Ok(Response::new(outcomes));
    }
    scanner.object(|scanner, field| match field {
        "Records" => {
            // If there is another list, it is the last one that counts.
            outcomes.clear();
            outcomes.reserve((bytes / ENTRY_BYTES).min(ENTRIES_MAX));
            read_entries(scanner, &mut outcomes, request_id)
        }
        _ => scanner.skip(),
    })?;
    if !scanner.is_at_end() {
        return Err(scanner.malformed("more than one value"));
    }
    Ok(Response::new(outcomes))
}

fn read_entries<'a>(
    scanner: &mut impl Scan<'a>,
    outcomes: &mut Vec<RecordOutcome>,
    request_id: Option<&str>,
) -> Result<(), Malformed> {
    let mut errors = Errors::of_request(request_id);
    scanner.array(|scanner| {
        let outcome = match scanner.stored() {
            Some(Stored { shard_id, sequence_number }) => RecordOutcome::Stored { shard_id, sequence_number },
            None => read_entry(scanner)?.outcome(&mut errors),
        };
        outcomes.push(outcome);
        Ok(())
    })
}

fn read_entry<'a>(scanner: &mut impl Scan<'a>) -> Result<Entry<Cow<'a, str>>, Malformed> {
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

/// A bit less than the entry of a stored record takes: `{"SequenceNumber":"","ShardId":""}` with 56 and 20 characters, and
/// about as much in CBOR.
const ENTRY_BYTES: usize = 100;
/// Records in a request (S-01). A reply with more is wrong, but can be read.
const ENTRIES_MAX: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::put_records::json::Scanner;

    /// The entries' outcomes in words.
    fn read(reply: &str) -> Option<Vec<String>> {
        let response = read_reply(Scanner::new(reply.as_bytes()), reply.len(), None).ok()?;
        let words = response.outcomes.into_iter().map(|outcome| match outcome {
            RecordOutcome::Stored { shard_id, sequence_number } => format!("{sequence_number} in {shard_id}"),
            RecordOutcome::Failed(error) => error.to_string(),
            _ => "unknown".to_owned(),
        });
        Some(words.collect())
    }

    #[test]
    fn an_entry_reads_the_same_in_the_usual_form_and_in_any_other() {
        let number = "49545115243490985018280067714973144582180062593244200961";
        let usual = format!(r#"{{"SequenceNumber":"{number}","ShardId":"shardId-000000000007"}}"#);
        let others = [
            format!(r#"{{"ShardId":"shardId-000000000007","SequenceNumber":"{number}"}}"#),
            format!(r#"{{ "SequenceNumber":"{number}","ShardId":"shardId-000000000007"}}"#),
            format!(r#"{{"SequenceNumber":"{number}","ShardId":"shardId-000000000007","ErrorCode":null}}"#),
            format!(r#"{{"SequenceNumber":"{number}","ShardId":"shardId-00000000000\u0037"}}"#),
        ];
        let expected = read(&format!(r#"{{"Records":[{usual}]}}"#)).unwrap();
        assert_eq!(expected, [format!("{number} in shardId-000000000007")]);
        for other in others {
            let reply = format!(r#"{{"Records":[{usual},{other}]}}"#);
            assert_eq!(read(&reply), Some(vec![expected[0].clone(), expected[0].clone()]), "{other}");
        }
        let failed = usual.replace('}', r#","ErrorCode":"InternalFailure"}"#);
        assert_eq!(read(&format!(r#"{{"Records":[{failed}]}}"#)).unwrap().len(), 1);
        assert!(
            !read(&format!(r#"{{"Records":[{failed}]}}"#)).unwrap()[0].contains(number),
            "its error counts"
        );
    }

    #[test]
    fn no_beginning_of_a_reply_is_a_reply() {
        let reply = r#"{"Records":[{"SequenceNumber":"1","ShardId":"s\n"},{"ErrorCode":"E","X":[null,-1.5e3]}],"Y":{}}"#;
        assert_eq!(read(reply).unwrap().len(), 2);
        for end in 1..reply.len() {
            assert_eq!(read(&reply[..end]), None, "{} was taken for whole", &reply[..end]);
        }
    }

    #[test]
    fn the_fuzzers_corpus_is_read_without_a_panic() {
        let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/put_records_reply");
        let files = std::fs::read_dir(corpus).expect("the corpus is part of the repository");
        let readable = files.filter(|file| {
            let reply =
                std::fs::read(file.as_ref().expect("it can be listed").path()).expect("it can be read");
            read_reply(Scanner::new(&reply), reply.len(), None).is_ok()
        });
        assert!(readable.count() > 0, "some of it are replies");
    }
}
