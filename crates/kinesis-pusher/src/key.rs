//! Where a record's partition key comes from.

mod json_pointer;
mod random_keys;

use bytes::Bytes;
use kinesis_batcher_core::PartitionKey;
use regex::bytes::{CaptureLocations, Regex};

use self::json_pointer::{Found, JsonPointer};
use self::random_keys::RandomKeys;
use crate::input::Blocks;
use crate::reason::{Kind, Reason};

/// What `--partition-key` asks for.
#[derive(Clone, Debug)]
pub(crate) enum KeySpec {
    /// A random UUID a record: spreads evenly over any number of shards.
    Random,
    /// The record's own bytes.
    Line,
    /// The same key for every record, and so one shard for all.
    Const(PartitionKey),
    /// A value inside a JSON record.
    JsonPointer(JsonPointer),
    /// The first capture group.
    Regex(Regex),
}

impl KeySpec {
    /// Reads what was typed.
    ///
    /// # Errors
    /// A sentence for the user: an unknown form, a constant the service would not take, a pointer without its slash,
    /// a pattern that does not compile or has nothing to capture.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if let Some(key) = text.strip_prefix("const:") {
            return PartitionKey::try_from(key).map(Self::Const).map_err(|error| error.to_string());
        }
        if let Some(pointer) = text.strip_prefix("json:") {
            return JsonPointer::parse(pointer).map(Self::JsonPointer);
        }
        if let Some(pattern) = text.strip_prefix("regex:") {
            return parse_regex(pattern).map(Self::Regex);
        }
        match text {
            "random" => Ok(Self::Random),
            "line" => Ok(Self::Line),
            _ => Err("must be random, line, const:TEXT, json:/POINTER or regex:PATTERN".to_owned()),
        }
    }
}

/// Makes the key of one record after another. Allocates only where a key is not already in memory.
pub(crate) struct KeyMaker {
    spec: KeySpec,
    random: RandomKeys,
    captures: Option<CaptureLocations>,
}

impl KeyMaker {
    /// A maker with a random state of its own. Keys that are not in memory before are made in `blocks`.
    pub(crate) fn new(spec: KeySpec, blocks: Blocks) -> Self {
        let captures = match &spec {
            KeySpec::Regex(regex) => Some(regex.capture_locations()),
            _ => None,
        };
        Self { spec, random: RandomKeys::new(blocks), captures }
    }

    /// The partition key of a record with this data.
    ///
    /// # Errors
    /// Why the record has no key, or none the service takes.
    pub(crate) fn key(&mut self, data: &Bytes) -> Result<PartitionKey, Reason> {
        let key = match &self.spec {
            KeySpec::Random => self.random.next(),
            KeySpec::Const(key) => return Ok(key.clone()),
            KeySpec::Line => data.clone(),
            KeySpec::JsonPointer(pointer) => match pointer.find(data) {
                Ok(Found::Text(key)) => key,
                Ok(Found::Nothing) => return Err(no_key(format!("no key: nothing at {pointer}"))),
                Ok(Found::NotText(what)) => {
                    return Err(no_key(format!(
                        "no key: {what} at {pointer}; a key is text, a number, true or false"
                    )));
                }
                Err(problem) => return Err(no_key(format!("no key: the record is not JSON: {problem}"))),
            },
            KeySpec::Regex(regex) => {
                let locations = self
                    .captures
                    .as_mut()
                    .expect("a maker of a regex was given its locations when it was made");
                let group = regex.captures_read(locations, data).and_then(|_| locations.get(1));
                let Some((start, end)) = group else {
                    return Err(no_key(format!("no key: no match of '{regex}'")));
                };
                data.slice(start..end)
            }
        };
        PartitionKey::from_shared(key).map_err(|error| no_key(format!("no usable key: {error}")))
    }
}

fn no_key(text: String) -> Reason {
    Reason::new(Kind::NoKey, text)
}

fn parse_regex(pattern: &str) -> Result<Regex, String> {
    let regex = Regex::new(pattern).map_err(|error| match error {
        regex::Error::Syntax(report) => {
            // The report draws the place under the pattern over several lines; the last one says what is wrong.
            let problem =
                report.lines().last().unwrap_or_default().trim().trim_start_matches("error: ").to_owned();
            format!("the pattern does not compile: {problem}")
        }
        other => format!("the pattern does not compile: {other}"),
    })?;
    if regex.captures_len() < 2 {
        return Err(format!(
            "the pattern has no capture group; put the part that is the key in parentheses, as in 'regex:({pattern})'"
        ));
    }
    Ok(regex)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks() -> Blocks {
        Blocks::new(128 << 10)
    }

    fn key_of(spec: &str, data: &'static [u8]) -> Result<String, String> {
        let mut maker = KeyMaker::new(KeySpec::parse(spec).unwrap(), blocks());
        maker
            .key(&Bytes::from_static(data))
            .map(|key| key.as_str().to_owned())
            .map_err(|reason| reason.to_string())
    }

    #[test]
    fn the_lines_own_bytes_are_the_key_without_a_copy() {
        let data = Bytes::from_static(b"abc");
        let key = KeyMaker::new(KeySpec::Line, blocks()).key(&data).unwrap();
        assert_eq!(key.as_str(), "abc");
        assert_eq!(key.as_str().as_ptr(), data.as_ptr(), "the key shares the record's memory");
    }

    #[test]
    fn a_key_is_measured_in_characters_not_bytes() {
        let fits = "é".repeat(256);
        assert!(KeySpec::parse(&format!("const:{fits}")).is_ok(), "512 bytes of 256 characters are a key");
        let over = "é".repeat(257);
        let message = KeySpec::parse(&format!("const:{over}")).unwrap_err();
        assert_eq!(message, "the partition key has 257 characters; it may have 256");
    }

    #[test]
    fn a_line_that_is_no_key_says_so_in_the_users_words() {
        assert_eq!(
            key_of("line", b""),
            Err("no usable key: the partition key is empty; it needs 1 to 256 characters".to_owned())
        );
        assert_eq!(key_of("line", b"\xff"), Err("no usable key: the partition key is not UTF-8".to_owned()));
    }

    #[test]
    fn the_first_capture_group_is_the_key() {
        assert_eq!(key_of("regex:^(?:[^,]*,){2}([^,]+)", b"a,b,c,d"), Ok("c".to_owned()));
        assert_eq!(key_of("regex:(a)|(b)", b"b"), Err("no key: no match of '(a)|(b)'".to_owned()));
        assert_eq!(
            key_of("regex:user=(\\S+)", b"nobody"),
            Err("no key: no match of 'user=(\\S+)'".to_owned())
        );
        assert_eq!(
            key_of("regex:user=(\\S*)", b"user= x"),
            Err("no usable key: the partition key is empty; it needs 1 to 256 characters".to_owned())
        );
    }

    #[test]
    fn a_pattern_matches_around_bytes_that_are_not_text() {
        assert_eq!(key_of("regex:id=(\\d+)", b"\xff\xfe id=42 \xff"), Ok("42".to_owned()));
        assert_eq!(
            key_of("regex:(?-u)id=(.)", b"id=\xff"),
            Err("no usable key: the partition key is not UTF-8".to_owned())
        );
    }

    #[test]
    fn a_pattern_that_cannot_give_a_key_is_refused_before_anything_is_read() {
        let message = KeySpec::parse("regex:user").unwrap_err();
        assert!(message.contains("no capture group") && message.contains("regex:(user)"), "{message}");
        let message = KeySpec::parse("regex:(user").unwrap_err();
        assert_eq!(message, "the pattern does not compile: unclosed group");
        let message = KeySpec::parse("regex:(?:user)").unwrap_err();
        assert!(message.contains("no capture group"), "a group that captures nothing is none: {message}");
        assert!(KeySpec::parse("regex:(\\w{1000}){1000}").unwrap_err().contains("does not compile"));
    }

    #[test]
    fn unknown_forms_are_refused_with_the_known_ones() {
        for text in ["", "rnd", "json", "const", "uuid", "Random"] {
            assert!(KeySpec::parse(text).unwrap_err().contains("const:TEXT"), "{text:?} is no form of key");
        }
        assert!(KeySpec::parse("const:").unwrap_err().contains("is empty"));
    }

    #[test]
    fn a_json_value_is_the_key_and_what_is_none_says_what_it_is() {
        let line = br#"{"a":{"b":"x"},"n":17,"o":{},"z":null}"#;
        assert_eq!(key_of("json:/a/b", line), Ok("x".to_owned()));
        assert_eq!(key_of("json:/n", line), Ok("17".to_owned()));
        assert_eq!(key_of("json:/q", line), Err("no key: nothing at /q".to_owned()));
        assert!(key_of("json:/o", line).unwrap_err().starts_with("no key: an object at /o"));
        assert!(key_of("json:/z", line).unwrap_err().starts_with("no key: null at /z"));
        assert!(key_of("json:/a", b"{").unwrap_err().starts_with("no key: the record is not JSON"));
    }
}
