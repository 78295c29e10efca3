//! Where a record goes: a point in the 128-bit key space that the open shards divide among themselves.

use core::fmt;
use core::str::FromStr;

use md5::{Digest, Md5};

/// A point in the stream's key space: the MD5 of a partition key, or an explicit hash key.
///
/// In text it is decimal, from 0 to 2^128 − 1, without leading zeros, as the service writes it (S-05).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HashKey {
    // In halves, because the alignment of a u128 would pad every buffered record.
    high: u64,
    low: u64,
}

impl HashKey {
    /// The lowest key.
    pub const MIN: Self = Self::new(0);
    /// The highest key, 2^128 − 1.
    pub const MAX: Self = Self::new(u128::MAX);

    /// The key of this value; every value is a key.
    #[must_use]
    pub const fn new(value: u128) -> Self {
        Self { high: (value >> 64) as u64, low: value as u64 }
    }

    /// The key the service gives a partition key: MD5 of its UTF-8 bytes, read big-endian (S-18).
    #[must_use]
    pub fn of_partition_key(partition_key: &str) -> Self {
        Self::of_bytes(partition_key.as_bytes())
    }

    /// The value.
    #[must_use]
    pub const fn value(self) -> u128 {
        (self.high as u128) << 64 | self.low as u128
    }

    pub(crate) fn of_bytes(partition_key: &[u8]) -> Self {
        Self::new(u128::from_be_bytes(Md5::digest(partition_key).into()))
    }
}

impl From<u128> for HashKey {
    fn from(value: u128) -> Self {
        Self::new(value)
    }
}

impl fmt::Display for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.value(), f)
    }
}

impl fmt::Debug for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#034x}", self.value())
    }
}

impl FromStr for HashKey {
    type Err = HashKeyError;

    /// Reads the canonical decimal text: digits only, no sign, no leading zeros, at most 2^128 − 1.
    fn from_str(text: &str) -> Result<Self, HashKeyError> {
        let canonical = text == "0"
            || (!text.is_empty() && !text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit()));
        if !canonical {
            return Err(HashKeyError);
        }
        text.parse().map(Self::new).map_err(|_| HashKeyError)
    }
}

/// The text is not a hash key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashKeyError;

impl fmt::Display for HashKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a hash key is a decimal number from 0 to 2^128 - 1 without leading zeros")
    }
}

impl core::error::Error for HashKeyError {}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    // S-18
    #[test]
    fn a_partition_key_hashes_as_the_service_documents() {
        let key = HashKey::of_partition_key("abcd");
        assert_eq!(key.value(), 0xE2FC_714C_4727_EE93_95F3_24CD_2E7F_331F);
    }

    #[test]
    fn text_round_trips_at_both_ends_of_the_key_space() {
        for key in [HashKey::MIN, HashKey::new(1), HashKey::MAX] {
            assert_eq!(key.to_string().parse(), Ok(key));
        }
    }

    // S-05
    #[test]
    fn text_that_is_not_canonical_is_refused() {
        for text in ["", "00", "01", "+1", "-1", " 1", "1e3", "340282366920938463463374607431768211456"] {
            assert_eq!(text.parse::<HashKey>(), Err(HashKeyError), "{text:?} must be refused");
        }
    }
}
