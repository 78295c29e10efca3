//! CBOR (RFC 8949), item after item, in place.

use crate::put_records::scan::Malformed;

/// A place in a text of CBOR.
///
/// Lengths that the text claims are held against what is left of it, and nothing is allocated by them.
pub(crate) struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    depth: u32,
}

/// What an item begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) kind: Kind,
    /// A number, a count of elements, a length in bytes, or the bits of a simple value; `None` for what goes on until a
    /// break.
    pub(crate) argument: Option<u64>,
    /// The bytes that the argument takes after the first.
    pub(crate) argument_bytes: u8,
}

/// Major types (RFC 8949, 3.1), without tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Unsigned,
    Negative,
    Bytes,
    Text,
    Array,
    Map,
    /// A simple value or a floating-point number.
    Simple,
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, depth: 0 }
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }

    /// Goes to where only this is left.
    pub(crate) fn go_to(&mut self, rest: &'a [u8]) {
        self.at = self.bytes.len() - rest.len();
    }

    /// What the next item is; its tags are passed over, for none says anything about a reply to PutRecords.
    pub(crate) fn kind(&mut self) -> Result<Kind, Malformed> {
        loop {
            let kind = match self.rest().first().ok_or_else(|| self.malformed("no item"))? >> 5 {
                0 => Kind::Unsigned,
                1 => Kind::Negative,
                2 => Kind::Bytes,
                3 => Kind::Text,
                4 => Kind::Array,
                5 => Kind::Map,
                6 => {
                    self.head_of(Kind::Simple)?;
                    continue;
                }
                _ => Kind::Simple,
            };
            return Ok(kind);
        }
    }

    /// Takes the head of the next item.
    pub(crate) fn head(&mut self) -> Result<Head, Malformed> {
        let kind = self.kind()?;
        self.head_of(kind)
    }

    fn head_of(&mut self, kind: Kind) -> Result<Head, Malformed> {
        let info = self.take(1)?[0] & 0x1f;
        let argument_bytes = match info {
            0..24 => return Ok(Head { kind, argument: Some(info.into()), argument_bytes: 0 }),
            24..28 => 1 << (info - 24),
            31 if matches!(kind, Kind::Bytes | Kind::Text | Kind::Array | Kind::Map) => {
                return Ok(Head { kind, argument: None, argument_bytes: 0 });
            }
            _ => return Err(self.malformed("no item")),
        };
        let bytes = self.take(argument_bytes.into())?;
        let argument = bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
        Ok(Head { kind, argument: Some(argument), argument_bytes })
    }

    /// Calls `each` for each element of an array, which it takes, or each pair of a map. An element takes a byte at least, so
    /// that a count that is too large ends with the text.
    pub(crate) fn members(
        &mut self,
        kind: Kind,
        mut each: impl FnMut(&mut Self) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        if self.kind()? != kind {
            return Err(self.malformed(if kind == Kind::Map { "no map" } else { "no array" }));
        }
        let head = self.head()?;
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(self.malformed("too many items in items"));
        }
        match head.argument {
            Some(count) => {
                for _ in 0..count {
                    each(self)?;
                }
            }
            None => {
                while !self.take_break() {
                    each(self)?;
                }
            }
        }
        self.depth -= 1;
        Ok(())
    }

    /// Hands the chunks of a string to `each`: one, unless it goes on until a break.
    pub(crate) fn chunks(&mut self, kind: Kind, mut each: impl FnMut(&'a [u8])) -> Result<(), Malformed> {
        if self.kind()? != kind {
            return Err(self.malformed(if kind == Kind::Text { "no text" } else { "no bytes" }));
        }
        if let Some(length) = self.head()?.argument {
            each(self.take(length)?);
            return Ok(());
        }
        while !self.take_break() {
            // A chunk has no tags and a length of its own (RFC 8949, 3.2.3).
            let is_chunk =
                self.rest().first().is_some_and(|first| first >> 5 == if kind == Kind::Text { 3 } else { 2 });
            match self.head()?.argument {
                Some(length) if is_chunk => each(self.take(length)?),
                _ => return Err(self.malformed("no chunk of a string")),
            }
        }
        Ok(())
    }

    /// Passes over an item of whatever kind.
    pub(crate) fn skip(&mut self) -> Result<(), Malformed> {
        match self.kind()? {
            kind @ (Kind::Bytes | Kind::Text) => self.chunks(kind, |_| ()),
            Kind::Array => self.members(Kind::Array, Self::skip),
            Kind::Map => self.members(Kind::Map, |scanner| {
                scanner.skip()?;
                scanner.skip()
            }),
            Kind::Unsigned | Kind::Negative | Kind::Simple => self.head().map(|_| ()),
        }
    }

    fn take_break(&mut self) -> bool {
        let there = self.rest().first() == Some(&BREAK);
        self.at += usize::from(there);
        there
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], Malformed> {
        let taken = usize::try_from(length).ok().and_then(|length| self.rest().get(..length));
        let taken = taken.ok_or_else(|| self.malformed("an item without end"))?;
        self.at += taken.len();
        Ok(taken)
    }

    #[cold]
    pub(crate) fn malformed(&self, what: &'static str) -> Malformed {
        Malformed { what, at: self.at }
    }
}

pub(crate) const BREAK: u8 = 0xff;
/// As deep as replies in JSON may go.
const DEPTH_MAX: u32 = 128;
