//! JSON, scanned in place: nothing is built and, but for escapes, nothing is copied.
//!
//! It takes what the SDK's reader takes. Both are lenient in two points: control characters may stand in strings, and
//! strings that nobody asks for need not be UTF-8.

use std::borrow::Cow;

use kinesis_batcher_driver::{SequenceNumber, ShardId};
use memchr::memchr2;

use crate::put_records::scan::{Malformed, Scan, Stored};

/// A place in a JSON text.
pub(crate) struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
    depth: u32,
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0, depth: 0 }
    }
}

impl<'a> Scan<'a> for Scanner<'a> {
    fn is_at_end(&mut self) -> bool {
        self.space();
        self.at == self.text.len()
    }

    fn object(
        &mut self,
        mut each: impl FnMut(&mut Self, &str) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        self.members(b'{', b'}', "no object", |scanner| {
            let name = scanner.string()?;
            scanner.colon()?;
            if scanner.null() { Ok(()) } else { each(scanner, &name) }
        })
    }

    fn array(&mut self, each: impl FnMut(&mut Self) -> Result<(), Malformed>) -> Result<(), Malformed> {
        self.members(b'[', b']', "no array", each)
    }

    fn string(&mut self) -> Result<Cow<'a, str>, Malformed> {
        self.space();
        if self.peek() != Some(b'"') {
            return Err(self.malformed("no string"));
        }
        let start = self.at + 1;
        let mut end = start;
        let mut escaped = false;
        loop {
            let found = self.text.get(end..).and_then(|rest| memchr2(b'"', b'\\', rest));
            end += found.ok_or_else(|| self.malformed("a string without end"))?;
            if self.text[end] == b'"' {
                break;
            }
            escaped = true;
            end += 2;
        }
        let raw = std::str::from_utf8(&self.text[start..end]).map_err(|_| self.malformed("no UTF-8"))?;
        let string = if escaped {
            Cow::Owned(unescape(raw).ok_or_else(|| self.malformed("no escape"))?)
        } else {
            Cow::Borrowed(raw)
        };
        self.at = end + 1;
        Ok(string)
    }

    fn skip(&mut self) -> Result<(), Malformed> {
        self.space();
        match self.peek() {
            Some(b'"') => self.skip_string(),
            Some(b'{') => self.members(b'{', b'}', "no object", |scanner| {
                scanner.skip_string()?;
                scanner.colon()?;
                scanner.skip()
            }),
            Some(b'[') => self.members(b'[', b']', "no array", Self::skip),
            Some(b't') => self.literal(b"true"),
            Some(b'f') => self.literal(b"false"),
            Some(b'n') => self.literal(b"null"),
            _ => self.skip_number(),
        }
    }

    fn stored(&mut self) -> Option<Stored> {
        let rest = self.text.get(self.at..)?.strip_prefix(BEFORE_NUMBER)?;
        let (number, rest) = rest.split_first_chunk()?;
        let (shard, rest) = rest.strip_prefix(BEFORE_SHARD)?.split_first_chunk()?;
        let rest = rest.strip_prefix(b"\"}")?;
        let sequence_number = SequenceNumber::from_digits(number)?;
        let stored = Stored { shard_id: ShardId::from_digits(shard)?, sequence_number };
        self.at = self.text.len() - rest.len();
        Some(stored)
    }

    #[cold]
    fn malformed(&self, what: &'static str) -> Malformed {
        Malformed { what, at: self.at }
    }
}

impl<'a> Scanner<'a> {
    /// What stands between two brackets, with commas in between and none at the end.
    fn members(
        &mut self,
        open: u8,
        close: u8,
        what: &'static str,
        mut each: impl FnMut(&mut Self) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        if !self.take(open) {
            return Err(self.malformed(what));
        }
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(self.malformed("too many brackets in brackets"));
        }
        if !self.take(close) {
            loop {
                each(self)?;
                if self.take(close) {
                    break;
                }
                if !self.take(b',') {
                    return Err(self.malformed("no comma"));
                }
            }
        }
        self.depth -= 1;
        Ok(())
    }

    fn colon(&mut self) -> Result<(), Malformed> {
        if self.take(b':') { Ok(()) } else { Err(self.malformed("no colon")) }
    }

    /// Takes a null, if there is one.
    fn null(&mut self) -> bool {
        self.space();
        let rest = &self.text[self.at..];
        let there = rest.starts_with(b"null") && !rest.get(4).is_some_and(u8::is_ascii_alphanumeric);
        self.at += if there { 4 } else { 0 };
        there
    }

    fn literal(&mut self, literal: &[u8]) -> Result<(), Malformed> {
        if !self.text[self.at..].starts_with(literal) {
            return Err(self.malformed("no value"));
        }
        self.at += literal.len();
        Ok(())
    }

    fn skip_string(&mut self) -> Result<(), Malformed> {
        self.space();
        if self.peek() != Some(b'"') {
            return Err(self.malformed("no string"));
        }
        self.at += 1;
        loop {
            let rest = &self.text[self.at..];
            self.at += memchr2(b'"', b'\\', rest).ok_or_else(|| self.malformed("a string without end"))?;
            let rest = &self.text[self.at + 1..];
            self.at += match self.text[self.at] {
                b'"' => {
                    self.at += 1;
                    return Ok(());
                }
                _ => match rest {
                    [b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => 2,
                    [b'u', rest @ ..] if hexadecimal(rest).is_some() => 6,
                    _ => return Err(self.malformed("no escape")),
                },
            };
        }
    }

    /// `-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?` (RFC 8259, 6).
    fn skip_number(&mut self) -> Result<(), Malformed> {
        self.take_byte(|byte| byte == b'-');
        if !self.take_byte(|byte| byte == b'0') {
            self.digits()?;
        }
        if self.take_byte(|byte| byte == b'.') {
            self.digits()?;
        }
        if self.take_byte(|byte| matches!(byte, b'e' | b'E')) {
            self.take_byte(|byte| matches!(byte, b'+' | b'-'));
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Malformed> {
        let start = self.at;
        while self.take_byte(|byte| byte.is_ascii_digit()) {}
        if self.at == start { Err(self.malformed("no value")) } else { Ok(()) }
    }

    /// Takes this byte, after white space, if it is there.
    fn take(&mut self, byte: u8) -> bool {
        self.space();
        self.take_byte(|found| found == byte)
    }

    fn take_byte(&mut self, wanted: impl Fn(u8) -> bool) -> bool {
        let there = self.peek().is_some_and(wanted);
        self.at += usize::from(there);
        there
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }
}

/// Escapes are rare: the service has none in what it sends for a record that is stored.
fn unescape(raw: &str) -> Option<String> {
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(backslash) = rest.find('\\') {
        text.push_str(&rest[..backslash]);
        rest = &rest[backslash + 1..];
        let (character, length) = match rest.as_bytes().first()? {
            b'u' => escaped_character(&rest.as_bytes()[1..])?,
            b'b' => ('\u{8}', 1),
            b'f' => ('\u{c}', 1),
            b'n' => ('\n', 1),
            b'r' => ('\r', 1),
            b't' => ('\t', 1),
            byte @ (b'"' | b'\\' | b'/') => (char::from(*byte), 1),
            _ => return None,
        };
        text.push(character);
        rest = &rest[length..];
    }
    text.push_str(rest);
    Some(text)
}

/// The character of `XXXX` or of `XXXX\uXXXX`, and how long its escape is, the first `u` included.
fn escaped_character(digits: &[u8]) -> Option<(char, usize)> {
    let high = hexadecimal(digits)?;
    if !(0xD800..0xDC00).contains(&high) {
        return Some((char::from_u32(high)?, 5));
    }
    let low = hexadecimal(digits.get(4..)?.strip_prefix(b"\\u")?)?;
    let character = char::from_u32(0x1_0000 + ((high - 0xD800) << 10) + low.checked_sub(0xDC00)?);
    character.filter(|_| low < 0xE000).map(|character| (character, 11))
}

fn hexadecimal(digits: &[u8]) -> Option<u32> {
    let value = |digit: &u8| char::from(*digit).to_digit(16);
    digits.get(..4)?.iter().try_fold(0, |number, digit| Some(number << 4 | value(digit)?))
}

/// As the service writes the entry of a stored record: up to its number, and up to that of its shard.
const BEFORE_NUMBER: &[u8] = b"{\"SequenceNumber\":\"";
const BEFORE_SHARD: &[u8] = b"\",\"ShardId\":\"shardId-";
/// As deep as the SDK goes.
const DEPTH_MAX: u32 = 128;
