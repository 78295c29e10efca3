//! Hash keys of partition keys that were seen lately.

use std::fmt;

use kinesis_batcher_core::HashKey;

/// Remembers the MD5 of short partition keys: computing it is most of what an entry costs, and keys come again and
/// again.
///
/// Each key has one place and the last one there stays, so that nothing depends on an order.
#[derive(Clone)]
pub(super) struct Digests {
    /// Empty until the first key comes.
    places: Vec<Place>,
}

#[derive(Clone, Copy)]
struct Place {
    digest: HashKey,
    /// The key, padded with zeros.
    text: [u8; TEXT_BYTES],
    /// Bytes of the key; 0 where there is none, which is no key's length.
    len: u8,
}

impl Digests {
    pub(super) fn new() -> Self {
        Self { places: Vec::new() }
    }

    /// The hash key that the service gives this partition key.
    pub(super) fn of(&mut self, key: &str) -> HashKey {
        let bytes = key.as_bytes();
        if bytes.is_empty() || bytes.len() > TEXT_BYTES {
            return HashKey::of_partition_key(key);
        }
        if self.places.is_empty() {
            self.places = vec![Place { digest: HashKey::MIN, text: [0; TEXT_BYTES], len: 0 }; PLACES];
        }
        let mut text = [0; TEXT_BYTES];
        text[..bytes.len()].copy_from_slice(bytes);
        let place = &mut self.places[place_of(&text)];
        if place.len as usize != bytes.len() || place.text != text {
            *place = Place { digest: HashKey::of_partition_key(key), text, len: bytes.len() as u8 };
        }
        place.digest
    }
}

/// Keys are not for logs, and there are thousands.
impl fmt::Debug for Digests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digests")
    }
}

fn place_of(text: &[u8; TEXT_BYTES]) -> usize {
    let mut mixed = 0u64;
    for word in text.chunks_exact(8) {
        let word = u64::from_le_bytes(word.try_into().expect("chunks of eight bytes"));
        mixed = (mixed.rotate_left(23) ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
    (mixed >> (u64::BITS - PLACE_BITS)) as usize
}

/// Longer keys are computed each time.
const TEXT_BYTES: usize = 24;
const PLACE_BITS: u32 = 12;
/// 4,096 places of 41 bytes stay in the second-level cache, and a short run does not pay for them.
const PLACES: usize = 1 << PLACE_BITS;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_what_would_be_computed() {
        let mut digests = Digests::new();
        let keys: Vec<String> = (0..20_000).map(|n| format!("{n}-{}", "é".repeat(n % 20))).collect();
        for round in 0..2 {
            for key in keys.iter().map(String::as_str).chain(["", "k", "k\0", "k\0\0"]) {
                assert_eq!(digests.of(key), HashKey::of_partition_key(key), "round {round}, key {key:?}");
            }
        }
    }
}
