//! The part of the protobuf wire format that the aggregated record needs: varints, length-delimited
//! fields, and how to step over what is not known.

use alloc::vec::Vec;

use crate::Damage;

/// Reads fields off the front of a message. Every method that fails leaves the reader unusable: the
/// message is damaged as a whole.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    #[inline]
    pub(crate) const fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    #[inline]
    pub(crate) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// What has not been read yet.
    #[inline]
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// A field's number and wire type, still packed in one number as on the wire.
    #[inline]
    pub(crate) fn tag(&mut self) -> Result<u64, Damage> {
        self.varint()
    }

    #[inline(always)]
    pub(crate) fn varint(&mut self) -> Result<u64, Damage> {
        match self.varint_short() {
            Some(value) => Ok(value),
            None => self.varint_long(),
        }
    }

    /// One and two bytes hold every tag, most indexes and the length of most small records. `None` says that
    /// it is none of those, and has read nothing.
    #[inline(always)]
    pub(crate) fn varint_short(&mut self) -> Option<u64> {
        match *self.rest {
            [first, ref rest @ ..] if first < 0x80 => {
                self.rest = rest;
                Some(u64::from(first))
            }
            [first, second, ref rest @ ..] if second < 0x80 => {
                self.rest = rest;
                Some(u64::from(first & 0x7f) | u64::from(second) << 7)
            }
            _ => None,
        }
    }

    #[inline(never)]
    fn varint_long(&mut self) -> Result<u64, Damage> {
        let mut value = 0_u64;
        for (position, &byte) in self.rest.iter().enumerate().take(VARINT_LEN_MAX) {
            // The tenth byte has room for the 64th bit alone.
            if position == VARINT_LEN_MAX - 1 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << (7 * position);
            if byte < 0x80 {
                self.rest = &self.rest[position + 1..];
                return Ok(value);
            }
        }
        Err(if self.rest.len() < VARINT_LEN_MAX { Damage::Truncated } else { Damage::VarintTooLong })
    }

    /// The content of a length-delimited field. The length is checked against what is there before
    /// anything is done with it.
    #[inline]
    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], Damage> {
        let len = usize::try_from(self.varint()?).map_err(|_| Damage::Truncated)?;
        let (content, rest) = self.rest.split_at_checked(len).ok_or(Damage::Truncated)?;
        self.rest = rest;
        Ok(content)
    }

    #[inline]
    pub(crate) fn text(&mut self) -> Result<&'a str, Damage> {
        core::str::from_utf8(self.bytes()?).map_err(|_| Damage::NotUtf8)
    }

    /// Steps over the field whose tag was just read, if it is one that the message does not define.
    /// `fields_known` is the highest number that it does define; all from 1 on are in use.
    #[cold]
    pub(crate) fn skip_unknown(&mut self, tag: u64, fields_known: u64) -> Result<(), Damage> {
        let (field, wire_type) = (tag >> 3, tag & 7);
        if field == 0 || field > FIELD_NUMBER_MAX {
            return Err(Damage::FieldNumber);
        }
        if field <= fields_known {
            return Err(Damage::WireType);
        }
        match wire_type {
            VARINT => drop(self.varint()?),
            FIXED_64 => self.skip(8)?,
            LENGTH_DELIMITED => drop(self.bytes()?),
            FIXED_32 => self.skip(4)?,
            // 3 and 4 delimit groups, which proto2 deprecated before this format existed; 6 and 7
            // mean nothing.
            _ => return Err(Damage::WireType),
        }
        Ok(())
    }

    fn skip(&mut self, len: usize) -> Result<(), Damage> {
        self.rest = self.rest.get(len..).ok_or(Damage::Truncated)?;
        Ok(())
    }
}

/// The tag of a field that holds a varint.
pub(crate) const fn varint_field(field: u8) -> u8 {
    field << 3 | VARINT as u8
}

/// The tag of a field that holds bytes, text or a message.
pub(crate) const fn bytes_field(field: u8) -> u8 {
    field << 3 | LENGTH_DELIMITED as u8
}

/// How many bytes `value` takes as a varint: one for each 7 bits begun, and one for zero.
pub(crate) const fn varint_len(value: usize) -> usize {
    (usize::BITS - (value | 1).leading_zeros()).div_ceil(7) as usize
}

/// How many bytes a length-delimited field with a one-byte tag takes, where that is a number at all.
pub(crate) const fn bytes_field_len(content_len: usize) -> usize {
    1 + varint_len(content_len) + content_len
}

/// A one-byte tag and a varint.
///
/// `value` must have at most 28 bits, as every length and index in a bounded aggregate has.
pub(crate) fn put_field(out: &mut Vec<u8>, tag: u8, value: usize) {
    let groups = [value, value >> 7, value >> 14, value >> 21].map(|group| group as u8 | 0x80);
    debug_assert!(value < 1 << 28, "{value} does not fit into a varint of four bytes");
    match varint_len(value) {
        1 => out.extend_from_slice(&[tag, groups[0] & 0x7f]),
        2 => out.extend_from_slice(&[tag, groups[0], groups[1] & 0x7f]),
        3 => out.extend_from_slice(&[tag, groups[0], groups[1], groups[2] & 0x7f]),
        _ => out.extend_from_slice(&[tag, groups[0], groups[1], groups[2], groups[3] & 0x7f]),
    }
}

pub(crate) fn put_bytes_field(out: &mut Vec<u8>, tag: u8, content: &[u8]) {
    put_field(out, tag, content.len());
    out.extend_from_slice(content);
}

const VARINT: u64 = 0;
const FIXED_64: u64 = 1;
const LENGTH_DELIMITED: u64 = 2;
const FIXED_32: u64 = 5;

/// 64 bits in groups of 7.
const VARINT_LEN_MAX: usize = 10;

/// The protobuf language guide's highest field number.
const FIELD_NUMBER_MAX: u64 = (1 << 29) - 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_varint_is_as_long_as_it_was_said_to_be_and_reads_back() {
        for bits in 0..28 {
            for value in [(1_usize << bits) - 1, 1 << bits, ((1 << 28) - 1) >> bits] {
                let mut written = Vec::new();
                put_field(&mut written, 0x0a, value);
                assert_eq!(written.len(), 1 + varint_len(value), "the length of {value} is wrong");
                let mut reader = Reader::new(&written);
                assert_eq!(reader.tag(), Ok(0x0a));
                assert_eq!(reader.varint(), Ok(value as u64));
                assert!(reader.is_empty(), "{value} was not read to its end");
            }
        }
    }

    #[test]
    fn a_varint_takes_a_byte_for_every_seven_bits() {
        for bits in 1..=usize::BITS {
            assert_eq!(
                varint_len(usize::MAX >> (usize::BITS - bits)),
                bits.div_ceil(7) as usize,
                "{bits} bits"
            );
        }
        assert_eq!(varint_len(0), 1);
    }

    #[test]
    fn a_varint_with_needless_groups_is_read_as_other_parsers_read_it() {
        assert_eq!(Reader::new(&[0x81, 0x80, 0x80, 0x00]).varint(), Ok(1));
    }

    #[test]
    fn a_varint_beyond_64_bits_is_refused() {
        let mut widest = [0xff; 10];
        widest[9] = 0x01;
        assert_eq!(Reader::new(&widest).varint(), Ok(u64::MAX));
        widest[9] = 0x02;
        assert_eq!(Reader::new(&widest).varint(), Err(Damage::VarintTooLong));
        assert_eq!(Reader::new(&[0x80; 11]).varint(), Err(Damage::VarintTooLong));
    }

    #[test]
    fn a_varint_that_stops_early_is_truncated() {
        for len in 0..10 {
            assert_eq!(Reader::new(&[0xff; 10][..len]).varint(), Err(Damage::Truncated), "{len} bytes");
        }
    }

    #[test]
    fn a_length_beyond_the_end_is_refused_however_large() {
        for len in [[0x05, 0x00].as_slice(), &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]] {
            assert_eq!(Reader::new(len).bytes(), Err(Damage::Truncated));
        }
    }
}
