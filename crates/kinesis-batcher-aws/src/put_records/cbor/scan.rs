//! Replies in CBOR, scanned in place: nothing is built and, but for texts in chunks, nothing is copied.

use std::borrow::Cow;

use kinesis_batcher_driver::{SequenceNumber, ShardId};

use super::scanner::{BREAK, Kind, Scanner};
use crate::put_records::scan::{Malformed, Scan, Stored};

impl Scanner<'_> {
    /// Takes a null, or the undefined that JavaScript writes for one, if it is there.
    fn null(&mut self) -> Result<bool, Malformed> {
        self.kind()?;
        let rest = self.rest();
        let there = matches!(rest, [0xf6 | 0xf7, ..]);
        if there {
            self.go_to(&rest[1..]);
        }
        Ok(there)
    }
}

impl<'a> Scan<'a> for Scanner<'a> {
    fn is_at_end(&mut self) -> bool {
        self.rest().is_empty()
    }

    fn object(
        &mut self,
        mut each: impl FnMut(&mut Self, &str) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        self.members(Kind::Map, |scanner| {
            if scanner.kind()? != Kind::Text {
                // No field has such a name.
                scanner.skip()?;
                return scanner.skip();
            }
            let name = scanner.string()?;
            if scanner.null()? { Ok(()) } else { each(scanner, &name) }
        })
    }

    fn array(&mut self, each: impl FnMut(&mut Self) -> Result<(), Malformed>) -> Result<(), Malformed> {
        self.members(Kind::Array, each)
    }

    fn string(&mut self) -> Result<Cow<'a, str>, Malformed> {
        let mut text = Cow::Borrowed(&b""[..]);
        self.chunks(Kind::Text, |chunk| {
            if text.is_empty() { text = Cow::Borrowed(chunk) } else { text.to_mut().extend_from_slice(chunk) }
        })?;
        let text = match text {
            Cow::Borrowed(text) => std::str::from_utf8(text).ok().map(Cow::Borrowed),
            Cow::Owned(text) => String::from_utf8(text).ok().map(Cow::Owned),
        };
        text.ok_or_else(|| self.malformed("no UTF-8"))
    }

    fn skip(&mut self) -> Result<(), Malformed> {
        Scanner::skip(self)
    }

    fn stored(&mut self) -> Option<Stored> {
        let (first, rest) = self.rest().split_first()?;
        let end: &[u8] = match *first {
            MAP_UNTIL_BREAK => &[BREAK],
            MAP_OF_TWO => &[],
            _ => return None,
        };
        let (number, rest) = rest.strip_prefix(BEFORE_NUMBER)?.split_first_chunk()?;
        let (shard, rest) = rest.strip_prefix(BEFORE_SHARD)?.split_first_chunk()?;
        let rest = rest.strip_prefix(end)?;
        let sequence_number = SequenceNumber::from_digits(number)?;
        let stored = Stored { shard_id: ShardId::from_digits(shard)?, sequence_number };
        self.go_to(rest);
        Some(stored)
    }

    #[cold]
    fn malformed(&self, what: &'static str) -> Malformed {
        Scanner::malformed(self, what)
    }
}

const MAP_UNTIL_BREAK: u8 = 0xbf;
const MAP_OF_TWO: u8 = 0xa2;
/// The name, and the head of a text of 56 bytes.
const BEFORE_NUMBER: &[u8] = b"\x6eSequenceNumber\x78\x38";
/// The name, the head of a text of 20 bytes, and what it begins with.
const BEFORE_SHARD: &[u8] = b"\x67ShardId\x74shardId-";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::put_records::reply::read_reply;
    use kinesis_batcher_driver::RecordOutcome;

    fn read(reply: &[u8]) -> Result<Vec<RecordOutcome>, Malformed> {
        read_reply(Scanner::new(reply), reply.len(), None).map(|response| response.outcomes)
    }

    fn reply(entries: &[&[u8]]) -> Vec<u8> {
        [b"\xbf\x67Records\x9f", &entries.concat()[..], b"\xff\xff"].concat()
    }

    #[test]
    fn an_entry_reads_the_same_in_the_usual_form_and_in_any_other() {
        let number = b"\x78\x3849545115243490985018280067714973144582180062593244200961";
        let shard = b"\x74shardId-000000000007";
        let entry = |parts: &[&[u8]]| parts.concat();
        let usual = entry(&[b"\xbf\x6eSequenceNumber", number, b"\x67ShardId", shard, b"\xff"]);
        let others = [
            entry(&[b"\xa2\x6eSequenceNumber", number, b"\x67ShardId", shard]),
            entry(&[b"\xbf\x67ShardId", shard, b"\x6eSequenceNumber", number, b"\xff"]),
            entry(&[b"\xb8\x02\x6eSequenceNumber", number, b"\x67ShardId", shard]),
            entry(&[b"\xbf\x6eSequenceNumber", number, b"\x67ShardId", shard, b"\x69ErrorCode\xf6\xff"]),
            entry(&[b"\xa3\x6eSequenceNumber", number, b"\x67ShardId", shard, b"\x69ErrorCode\xf7"]),
            entry(&[
                b"\xbf\x6eSequenceNumber",
                number,
                b"\x67ShardId\x7f\x68shardId-\x6c000000000007\xff\xff",
            ]),
            entry(&[b"\xa3\x01\x02\x6eSequenceNumber", number, b"\x67ShardId\xc1", shard]),
        ];
        let expected = read(&reply(&[&usual])).unwrap();
        assert!(matches!(&expected[..], [RecordOutcome::Stored { shard_id, .. }]
            if shard_id.to_string() == "shardId-000000000007"));
        for other in others {
            let outcomes = read(&reply(&[&usual, &other])).unwrap();
            assert_eq!(outcomes, [expected[0].clone(), expected[0].clone()], "{other:x?}");
        }
        let failed = entry(&[&usual[..usual.len() - 1], b"\x69ErrorCode\x61E\xff"]);
        assert!(
            matches!(&read(&reply(&[&failed])).unwrap()[..], [RecordOutcome::Failed(_)]),
            "its error counts"
        );
    }

    #[test]
    fn no_beginning_of_a_reply_is_a_reply() {
        let entry = b"\xbf\x6eSequenceNumber\x611\x67ShardId\x7f\x61s\x61t\xff\x61X\x82\xf6\xfb12345678\xff";
        for whole in [reply(&[entry, b"\xa0"]), b"\xa2\x67Records\x81\xa0\x61Y\x19\x01\x02".to_vec()] {
            assert!(!read(&whole).unwrap().is_empty());
            for end in 1..whole.len() {
                assert!(read(&whole[..end]).is_err(), "{:x?} was taken for whole", &whole[..end]);
            }
            assert!(read(&[&whole[..], b"\xf6"].concat()).is_err(), "two values are no reply");
        }
        assert_eq!(read(b"").unwrap(), [], "an empty reply says nothing of none");
    }

    #[test]
    fn claims_that_the_reply_cannot_keep_cost_nothing() {
        for kind in [2_u8, 3, 4, 5] {
            for claim in [
                &b"\x1b\xff\xff\xff\xff\xff\xff\xff\xff"[..],
                b"\x1b\x7f\xff\xff\xff\xff\xff\xff\xff",
                b"\x1a\xff\xff\xff\xff",
            ] {
                let mut item = claim.to_vec();
                item[0] |= kind << 5;
                assert!(read(&item).is_err());
                assert!(read(&reply(&[&item])).is_err());
                assert!(read(&[b"\xa1\x61X", &item[..]].concat()).is_err());
            }
        }
    }

    #[test]
    fn items_in_items_are_read_to_a_depth_and_tags_to_any() {
        for (open, close) in
            [(&b"\x81"[..], &b""[..]), (b"\x9f", b"\xff"), (b"\xa1\x00", b""), (b"\xbf\x00", b"\xff")]
        {
            let nested = |depth| {
                [b"\xbf\x61X", &open.repeat(depth)[..], b"\xf6", &close.repeat(depth), b"\xff"].concat()
            };
            assert!(read(&nested(127)).is_ok());
            assert!(read(&nested(128)).is_err());
            assert!(read(&nested(100_000)).is_err());
        }
        let tagged = [b"\xa1\x61X", &b"\xc1".repeat(100_000)[..], b"\xf6"].concat();
        assert!(read(&tagged).is_ok());
    }

    #[test]
    fn what_rfc_8949_reserves_is_malformed() {
        for item in [
            &b"\x1c"[..],
            b"\x1f",
            b"\x3f",
            b"\x5c",
            b"\xdf",
            b"\xfc",
            b"\xff",
            b"\x7f\x41a\xff",
            b"\x5f\x5f\xff\xff",
            b"\x7f\xc1\x61a\xff",
            b"\x9f\xff\xff",
        ] {
            assert!(read(&[b"\xa1\x61X", item].concat()).is_err(), "{item:x?}");
        }
    }

    #[test]
    fn the_fuzzers_corpus_is_read_without_a_panic() {
        let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/put_records_reply_cbor");
        let files = std::fs::read_dir(corpus).expect("the corpus is part of the repository");
        let readable = files.filter(|file| {
            let reply =
                std::fs::read(file.as_ref().expect("it can be listed").path()).expect("it can be read");
            let _ = crate::put_records::cbor::to_json(&reply);
            read(&reply).is_ok()
        });
        assert!(readable.count() > 5, "most of it are replies");
    }
}
