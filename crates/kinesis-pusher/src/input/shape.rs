//! From bytes to what makes a record: the format's check and the key.

use bytes::Bytes;
use kinesis_batcher_core::limits::RECORD_BYTES_MAX_CEILING;
use serde::de::IgnoredAny;

use super::lines::Line;
use super::{BadRecord, Item, Keyed, Origin};
use crate::cli::Format;
use crate::key::KeyMaker;
use crate::reason::{Kind, Reason};

/// Says what was read.
pub(crate) struct Shaper {
    format: Format,
    keys: KeyMaker,
}

impl Shaper {
    /// Records in this format, keyed by `keys`.
    pub(crate) fn new(format: Format, keys: KeyMaker) -> Self {
        Self { format, keys }
    }

    /// What a record is.
    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// The record a line is; `None` for the blank lines between JSON records.
    pub(crate) fn line(&mut self, origin: Origin, line: Line) -> Option<Item> {
        let data = match line {
            Line::Whole(data) => data,
            Line::Oversize { head, bytes } => return Some(oversize(origin, "line", head, bytes)),
        };
        if self.format == Format::Ndjson {
            if data.iter().all(u8::is_ascii_whitespace) {
                return None;
            }
            if let Err(problem) = check_json(&data) {
                let reason = Reason::new(Kind::NotJson, format!("not JSON: {problem}"));
                return Some(bad(origin, reason, data));
            }
        }
        Some(self.keyed(origin, data))
    }

    /// The record a whole file is, given its bytes.
    pub(crate) fn file(&mut self, origin: Origin, data: Bytes) -> Item {
        self.keyed(origin, data)
    }

    /// What becomes of a file larger than any record, given its first bytes.
    pub(crate) fn oversize_file(origin: Origin, head: Bytes, bytes: u64) -> Item {
        oversize(origin, "file", head, bytes)
    }

    fn keyed(&mut self, origin: Origin, data: Bytes) -> Item {
        let key = match self.keys.key(&data) {
            Ok(key) => key,
            Err(reason) => return bad(origin, reason, data),
        };
        let bytes = key.as_bytes().len() + data.len();
        if bytes > RECORD_BYTES_MAX_CEILING {
            let text = format!(
                "too large: {bytes} bytes with its key; no stream takes more than {RECORD_BYTES_MAX_CEILING}"
            );
            return bad(origin, Reason::new(Kind::TooLarge, text), data);
        }
        Item { origin, record: Ok(Keyed { key, data }) }
    }
}

fn bad(origin: Origin, reason: Reason, data: Bytes) -> Item {
    Item { origin, record: Err(BadRecord { reason, data, truncated_from_bytes: None }) }
}

fn oversize(origin: Origin, what: &str, head: Bytes, bytes: u64) -> Item {
    let text = format!(
        "too large: the {what} has {bytes} bytes and no stream takes more than {RECORD_BYTES_MAX_CEILING}; a dead letter \
         holds its first {}",
        head.len()
    );
    let reason = Reason::new(Kind::TooLarge, text);
    Item { origin, record: Err(BadRecord { reason, data: head, truncated_from_bytes: Some(bytes) }) }
}

/// Checks all of `data` without building anything of it.
fn check_json(data: &[u8]) -> Result<(), String> {
    // JSON is UTF-8 (RFC 8259), which the parser does not check in what it skips.
    let text = std::str::from_utf8(data).map_err(|e| format!("not UTF-8 at byte {}", e.valid_up_to() + 1))?;
    serde_json::from_str::<IgnoredAny>(text).map(|_| ()).map_err(|e| json_problem(&e))
}

/// What the parser found, without the line number: records are single lines, and their own number stands before it.
pub(crate) fn json_problem(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(end) => format!("{} at column {}", &text[..end], error.column()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::Blocks;
    use crate::key::KeySpec;

    const ORIGIN: Origin = Origin { file: 0, line: 7 };

    fn shape(format: Format, key: &str, line: &'static [u8]) -> Option<Item> {
        let keys = KeyMaker::new(KeySpec::parse(key).expect("a form of key"), Blocks::new(0));
        Shaper::new(format, keys).line(ORIGIN, Line::Whole(Bytes::from_static(line)))
    }

    fn reason(item: Option<Item>) -> (Kind, String) {
        let bad = item.expect("an item").record.expect_err("a bad record");
        (bad.reason.kind, bad.reason.to_string())
    }

    #[test]
    fn a_line_is_a_record_whatever_its_bytes_are() {
        for line in [&b"text"[..], b"", b"\xff\0", b"{broken"] {
            let record =
                shape(Format::Lines, "const:k", line).and_then(|item| item.record.ok()).expect("a record");
            assert_eq!(record.data, line);
            assert_eq!(record.key.as_str(), "k");
        }
    }

    #[test]
    fn json_lines_are_checked_to_their_end_and_blank_ones_are_skipped() {
        for line in [&b"{}"[..], b" [1,2.5e3,null] ", b"\"text\"", b"17", b"{\"a\":{\"b\":[true]}}"] {
            let record =
                shape(Format::Ndjson, "const:k", line).and_then(|item| item.record.ok()).expect("a record");
            assert_eq!(record.data, line, "the record keeps its bytes as they are");
        }
        for blank in [&b""[..], b"  \t", b"\r"] {
            assert!(shape(Format::Ndjson, "const:k", blank).is_none(), "{blank:?} is no record");
        }
        assert_eq!(
            reason(shape(Format::Ndjson, "const:k", b"{\"a\":nope}")),
            (Kind::NotJson, "not JSON: expected ident at column 7".to_owned())
        );
        for line in [&b"{\"a\":1"[..], b"{} {}", b"{'a':1}", b"01", b"{\"a\":1}x", b"NaN"] {
            assert_eq!(
                reason(shape(Format::Ndjson, "const:k", line)).0,
                Kind::NotJson,
                "{line:?} is not JSON"
            );
        }
        assert_eq!(
            reason(shape(Format::Ndjson, "const:k", b"{\"a\":\"\xff\"}")).1,
            "not JSON: not UTF-8 at byte 7",
            "bytes that are not UTF-8 are no JSON even inside a string"
        );
    }

    #[test]
    fn the_key_counts_against_the_largest_record() {
        let keys = || KeyMaker::new(KeySpec::parse("const:key").unwrap(), Blocks::new(0));
        let data = Bytes::from(vec![b'x'; RECORD_BYTES_MAX_CEILING - 3]);
        let item = Shaper::new(Format::Raw, keys()).file(ORIGIN, data.clone());
        assert!(item.record.is_ok(), "data and key are exactly the largest record");
        let larger = Bytes::from([&data[..], b"x"].concat());
        let bad = Shaper::new(Format::Raw, keys()).file(ORIGIN, larger).record.expect_err("a bad record");
        assert_eq!(bad.reason.kind, Kind::TooLarge);
        assert_eq!(
            bad.reason.to_string(),
            "too large: 10485761 bytes with its key; no stream takes more than 10485760"
        );
        assert_eq!(bad.truncated_from_bytes, None, "all of it is kept");
    }

    #[test]
    fn deep_nesting_is_no_way_to_crash_the_check() {
        let deep: &'static [u8] = vec![b'['; 1 << 20].leak();
        assert_eq!(reason(shape(Format::Ndjson, "const:k", deep)).0, Kind::NotJson);
        let pointer = shape(Format::Lines, "json:/a", deep);
        assert_eq!(reason(pointer).0, Kind::NoKey);
    }

    #[test]
    fn a_record_without_a_key_keeps_its_bytes_for_the_dead_letter() {
        let item = shape(Format::Lines, "json:/id", b"{\"id\":null}").expect("an item");
        assert_eq!(item.origin, ORIGIN);
        let bad = item.record.expect_err("a bad record");
        assert_eq!(bad.reason.kind, Kind::NoKey);
        assert_eq!(&bad.data[..], b"{\"id\":null}");
        assert_eq!(bad.truncated_from_bytes, None);
    }

    #[test]
    fn a_line_larger_than_any_record_says_how_large_and_what_is_kept() {
        let keys = KeyMaker::new(KeySpec::Random, Blocks::new(0));
        let line = Line::Oversize { head: Bytes::from_static(b"abc"), bytes: 20 << 20 };
        let item = Shaper::new(Format::Lines, keys).line(ORIGIN, line).expect("an item");
        let bad = item.record.expect_err("a bad record");
        assert_eq!(bad.reason.kind, Kind::TooLarge);
        assert_eq!(bad.truncated_from_bytes, Some(20 << 20));
        let text = bad.reason.to_string();
        assert!(text.contains("20971520 bytes") && text.contains("its first 3"), "{text}");
    }
}
