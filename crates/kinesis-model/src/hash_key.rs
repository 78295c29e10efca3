//! Hash keys: where a record belongs in the key space.

use std::fmt;

use md5::{Digest, Md5};

/// The hash key of a partition key: the MD5 of its UTF-8 bytes, read as a big-endian number (S-18).
#[must_use]
pub fn hash_key(partition_key: &str) -> u128 {
    u128::from_be_bytes(Md5::digest(partition_key.as_bytes()).into())
}

/// An explicit hash key as the wire has it; `None` unless it is decimal text without leading zeros, at most 2^128 − 1
/// (S-05).
#[must_use]
pub fn explicit_hash_key(text: &str) -> Option<u128> {
    let is_canonical = match text.as_bytes() {
        [] => false,
        [b'0', rest @ ..] => rest.is_empty(),
        digits => digits.iter().all(u8::is_ascii_digit),
    };
    if is_canonical { text.parse().ok() } else { None }
}

/// A cache of hash keys: the MD5 of a partition key is most of an entry's cost, and keys repeat.
///
/// Each short key has one slot, and the latest key in a slot stays.
#[derive(Clone)]
pub(crate) struct Digests {
    /// Empty until the first key.
    slots: Vec<Slot>,
}

#[derive(Clone, Copy)]
struct Slot {
    hash_key: u128,
    /// The partition key, padded with zeros.
    text: [u8; TEXT_BYTES],
    /// Bytes of the partition key; 0 for a free slot, which is no key's length.
    len: u8,
}

impl Digests {
    pub(crate) fn new() -> Self {
        Self { slots: Vec::new() }
    }

    /// The hash key of a partition key.
    pub(crate) fn hash_key(&mut self, partition_key: &str) -> u128 {
        let bytes = partition_key.as_bytes();
        if bytes.is_empty() || bytes.len() > TEXT_BYTES {
            return hash_key(partition_key);
        }
        if self.slots.is_empty() {
            self.slots = vec![Slot { hash_key: 0, text: [0; TEXT_BYTES], len: 0 }; SLOTS];
        }
        let mut text = [0; TEXT_BYTES];
        text[..bytes.len()].copy_from_slice(bytes);
        let slot = &mut self.slots[slot_of(&text)];
        if slot.len as usize != bytes.len() || slot.text != text {
            *slot = Slot { hash_key: hash_key(partition_key), text, len: bytes.len() as u8 };
        }
        slot.hash_key
    }
}

/// Partition keys stay out of logs.
impl fmt::Debug for Digests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digests")
    }
}

fn slot_of(text: &[u8; TEXT_BYTES]) -> usize {
    let (words, _) = text.as_chunks::<8>();
    let mixed = words.iter().fold(0u64, |mixed, word| {
        (mixed.rotate_left(23) ^ u64::from_le_bytes(*word)).wrapping_mul(0x9E37_79B9_7F4A_7C15)
    });
    (mixed >> (u64::BITS - SLOT_BITS)) as usize
}

/// Longer keys are computed each time.
const TEXT_BYTES: usize = 24;
const SLOT_BITS: u32 = 12;
/// 4,096 slots of 48 bytes fit into the second-level cache, and a short run does not pay for them.
const SLOTS: usize = 1 << SLOT_BITS;

#[cfg(test)]
mod tests {
    use super::*;

    // S-18
    #[test]
    fn a_hash_key_is_the_md5_read_from_its_most_significant_byte() {
        assert_eq!(hash_key("abcd"), 0xE2FC_714C_4727_EE93_95F3_24CD_2E7F_331F);
    }

    // S-05
    #[test]
    fn an_explicit_hash_key_is_canonical_decimal_text() {
        assert_eq!(explicit_hash_key("0"), Some(0));
        assert_eq!(explicit_hash_key("340282366920938463463374607431768211455"), Some(u128::MAX));
        for text in
            ["", "-1", "+1", "01", "00", "1.0", " 1", "abc", "340282366920938463463374607431768211456"]
        {
            assert_eq!(explicit_hash_key(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_cached_hash_key_is_the_one_that_would_be_computed() {
        let mut digests = Digests::new();
        let keys: Vec<String> = (0..20_000).map(|n| format!("{n}-{}", "é".repeat(n % 20))).collect();
        for round in 0..2 {
            for key in keys.iter().map(String::as_str).chain(["", "k", "k\0", "k\0\0"]) {
                assert_eq!(digests.hash_key(key), hash_key(key), "round {round}, key {key:?}");
            }
        }
    }
}
