use core::fmt::{self, Write};

use md5::{Digest, Md5};

use crate::md5_lanes::short_md5s;

/// The hash key that the service derives from a partition key: the MD5 of its UTF-8 bytes, read big-endian.
///
/// A record belongs to the open shard whose hash-key range holds this, unless it has an explicit hash key.
///
/// ```
/// assert_eq!(kinesis_aggregation::hash_key_of("abcd"), 0xE2FC_714C_4727_EE93_95F3_24CD_2E7F_331F);
/// ```
#[must_use]
pub fn hash_key_of(partition_key: &str) -> u128 {
    u128::from_be_bytes(Md5::digest(partition_key).into())
}

/// The hash keys of several partition keys, in their order: what [`hash_key_of`] says of each. Keys of up to 55 bytes
/// share vector instructions where the processor has them (x86-64 and AArch64): eight at a time, and sixteen with the
/// feature `std` on an x86-64 that turns out to have AVX2.
///
/// ```
/// use kinesis_aggregation::{hash_key_of, hash_keys_of};
///
/// assert_eq!(hash_keys_of(&["abcd", "ef"]), [hash_key_of("abcd"), hash_key_of("ef")]);
/// ```
#[must_use]
pub fn hash_keys_of<const N: usize>(partition_keys: &[impl AsRef<[u8]>; N]) -> [u128; N] {
    short_md5s(partition_keys.each_ref().map(AsRef::as_ref)).map(u128::from_be_bytes)
}

/// An explicit hash key that is not a decimal number between 0 and 2¹²⁸ − 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct InvalidExplicitHashKey;

impl fmt::Display for InvalidExplicitHashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an explicit hash key is not a decimal number between 0 and 2^128-1")
    }
}

impl core::error::Error for InvalidExplicitHashKey {}

/// An explicit hash key as the service wants it: decimal, without a sign or leading zeros.
pub(crate) struct Decimal {
    digits: [u8; DECIMAL_LEN_MAX],
    len: usize,
}

impl Decimal {
    pub(crate) fn new(value: u128) -> Self {
        let mut text = Self { digits: [0; DECIMAL_LEN_MAX], len: 0 };
        write!(text, "{value}").expect("39 digits hold every u128");
        text
    }

    pub(crate) fn as_str(&self) -> &str {
        core::str::from_utf8(&self.digits[..self.len]).expect("digits are ASCII")
    }
}

impl Write for Decimal {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.len + text.len();
        self.digits.get_mut(self.len..end).ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}

/// The digits of 2¹²⁸ − 1.
const DECIMAL_LEN_MAX: usize = 39;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_of_the_hash_key_space_are_written_in_full() {
        assert_eq!(Decimal::new(0).as_str(), "0");
        assert_eq!(Decimal::new(u128::MAX).as_str(), "340282366920938463463374607431768211455");
    }
}
