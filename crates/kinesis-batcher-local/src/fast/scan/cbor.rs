//! CBOR (RFC 8949), scanned in place: nothing is built and, but for strings in chunks, nothing is copied.

use std::borrow::Cow;

use super::{DEPTH_MAX, Data, Entry, Malformed};

/// Hands every entry to `each`, in order, and stops with its first error.
pub(crate) fn scan<'a, E: From<Malformed>>(
    body: &'a [u8],
    mut each: impl FnMut(Entry<'a>) -> Result<(), E>,
) -> Result<(), E> {
    let mut scanner = Scanner { body, at: 0 };
    let mut records = false;
    scanner.members(MAP, |scanner| {
        if *scanner.string(TEXT)? == *b"Records" {
            records = true;
            return scanner.members(ARRAY, |scanner| {
                let entry = scanner.entry()?;
                each(entry)
            });
        }
        Ok(scanner.skip(DEPTH_MAX)?)
    })?;
    if !records || scanner.at != body.len() {
        return Err(Malformed.into());
    }
    Ok(())
}

struct Scanner<'a> {
    body: &'a [u8],
    at: usize,
}

impl<'a> Scanner<'a> {
    fn entry(&mut self) -> Result<Entry<'a>, Malformed> {
        let (mut data, mut partition_key, mut explicit_hash_key) = (None, None, None);
        self.members::<Malformed>(MAP, |scanner| {
            match &*scanner.string(TEXT)? {
                b"Data" => data = Some(Data::Bytes(scanner.string(BYTES)?)),
                b"PartitionKey" => partition_key = Some(scanner.string(TEXT)?),
                b"ExplicitHashKey" if scanner.take_byte(NULL) => {}
                b"ExplicitHashKey" => explicit_hash_key = Some(scanner.string(TEXT)?),
                _ => scanner.skip(DEPTH_MAX)?,
            }
            Ok(())
        })?;
        let (Some(data), Some(partition_key)) = (data, partition_key) else { return Err(Malformed) };
        Ok(Entry { data, partition_key, explicit_hash_key })
    }

    /// Calls `each` for each element of an array or pair of a map. Each takes a byte at least, so that a count that is too
    /// large ends with the body.
    fn members<E: From<Malformed>>(
        &mut self,
        kind: u8,
        mut each: impl FnMut(&mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        match self.head()? {
            (found, Some(count)) if found == kind => {
                for _ in 0..count {
                    each(self)?;
                }
            }
            (found, None) if found == kind => {
                while !self.take_byte(BREAK) {
                    each(self)?;
                }
            }
            _ => return Err(Malformed.into()),
        }
        Ok(())
    }

    fn string(&mut self, kind: u8) -> Result<Cow<'a, [u8]>, Malformed> {
        match self.head()? {
            (found, Some(length)) if found == kind => self.take(length).map(Cow::Borrowed),
            (found, None) if found == kind => {
                let mut string = Vec::new();
                while !self.take_byte(BREAK) {
                    match self.head()? {
                        (found, Some(length)) if found == kind => {
                            string.extend_from_slice(self.take(length)?);
                        }
                        _ => return Err(Malformed),
                    }
                }
                Ok(Cow::Owned(string))
            }
            _ => Err(Malformed),
        }
    }

    /// Passes over an item of whatever kind.
    fn skip(&mut self, depth: u32) -> Result<(), Malformed> {
        let depth = depth.checked_sub(1).ok_or(Malformed)?;
        match self.body.get(self.at).ok_or(Malformed)? >> 5 {
            kind @ (BYTES | TEXT) => self.string(kind).map(|_| ()),
            ARRAY => self.members(ARRAY, |scanner| scanner.skip(depth)),
            MAP => self.members(MAP, |scanner| {
                scanner.skip(depth)?;
                scanner.skip(depth)
            }),
            TAG => {
                self.head()?;
                self.skip(depth)
            }
            _ => self.head().map(|_| ()),
        }
    }

    /// Major type and argument; no argument for what goes on until a break.
    fn head(&mut self) -> Result<(u8, Option<u64>), Malformed> {
        let first = self.take(1)?[0];
        let (kind, info) = (first >> 5, first & 0x1f);
        let argument = match info {
            0..24 => info.into(),
            24..28 => {
                let bytes = self.take(1 << (info - 24))?;
                bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
            }
            31 if matches!(kind, BYTES | TEXT | ARRAY | MAP) => return Ok((kind, None)),
            _ => return Err(Malformed),
        };
        Ok((kind, Some(argument)))
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], Malformed> {
        let end =
            usize::try_from(length).ok().and_then(|length| self.at.checked_add(length)).ok_or(Malformed)?;
        let taken = self.body.get(self.at..end).ok_or(Malformed)?;
        self.at = end;
        Ok(taken)
    }

    fn take_byte(&mut self, byte: u8) -> bool {
        let there = self.body.get(self.at) == Some(&byte);
        self.at += usize::from(there);
        there
    }
}

/// Major types (RFC 8949, 3.1).
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const MAP: u8 = 5;
const TAG: u8 = 6;
const NULL: u8 = 0xf6;
const BREAK: u8 = 0xff;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    type Found = (Vec<u8>, String, Option<String>);

    fn entries(body: &[u8]) -> Result<Vec<Found>, Malformed> {
        let text = |bytes: Cow<'_, [u8]>| String::from_utf8(bytes.into_owned()).unwrap();
        let mut found = Vec::new();
        scan::<Malformed>(body, |entry| {
            let Data::Bytes(data) = entry.data else { panic!("CBOR has no base64") };
            found.push((data.into_owned(), text(entry.partition_key), entry.explicit_hash_key.map(text)));
            Ok(())
        })?;
        Ok(found)
    }

    const BODY: &[u8] = b"\xbf\x61X\x82\xf6\xc1\xfb12345678\x67Records\x9f\
        \xbf\x64Data\x42\x00\xff\x6fExplicitHashKey\x617\x6cPartitionKey\x61k\xff\
        \xa4\x6cPartitionKey\x7f\x61l\x61m\xff\x64Data\x5f\x41a\x40\xff\x61X\xa1\x01\x20\x6fExplicitHashKey\xf6\
        \xff\x6aStreamName\x78\x01s\xff";

    #[test]
    fn fields_are_found_in_any_order_and_form_and_amid_unknown_ones() {
        let expected = [
            (b"\x00\xff".to_vec(), "k".to_owned(), Some("7".to_owned())),
            (b"a".to_vec(), "lm".to_owned(), None),
        ];
        assert_eq!(entries(BODY).unwrap(), expected);
        assert_eq!(entries(b"\xa1\x67Records\x80").unwrap(), []);
    }

    #[test]
    fn every_beginning_of_a_body_is_malformed() {
        for end in 0..BODY.len() {
            assert_eq!(entries(&BODY[..end]), Err(Malformed), "{:x?} was taken for whole", &BODY[..end]);
        }
    }

    #[test]
    fn what_is_no_request_is_malformed() {
        let deep = [b"\xa2\x61X", &b"\x81".repeat(100_000)[..], b"\xf6\x67Records\x80"].concat();
        for body in [
            &b"\xa0"[..],
            b"{}",
            b"\x80",
            b"\xa1\x67Records\xa0",
            b"\xa1\x67Records\x81\xa1\x64Data\x41a",
            b"\xa1\x67Records\x81\xa1\x6cPartitionKey\x61k",
            b"\xa1\x67Records\x81\xa2\x64Data\x64YQ==\x6cPartitionKey\x61k",
            b"\xa1\x67Records\x80\xf6",
            b"\xa1\x67Records\x9b\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\xa1\x61X\x5b\xff\xff\xff\xff\xff\xff\xff\xff",
            &deep,
        ] {
            assert_eq!(
                entries(body),
                Err(Malformed),
                "{:x?} was taken for a request",
                &body[..body.len().min(60)]
            );
        }
    }
}
