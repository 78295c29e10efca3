//! Random UUIDs, a block of them at a time.

use bytes::Bytes;
use hex_simd::{AsciiCase, Out};
use rand::rngs::SmallRng;
use rand::{Rng, RngExt};
use uuid::Builder;

use crate::input::Blocks;

/// Random (version 4) UUIDs, many to a block. They spread records over shards and guard nothing, so a fast generator
/// will do.
pub(super) struct RandomKeys {
    random: SmallRng,
    blocks: Blocks,
    /// Keys that are made, behind those that are ready.
    made: Bytes,
    /// The next keys to be given away, whose references are counted by themselves.
    ready: Bytes,
}

impl RandomKeys {
    /// Keys in `blocks`, or in memory of their own where no more blocks may be lent.
    pub(super) fn new(blocks: Blocks) -> Self {
        Self { random: rand::make_rng(), blocks, made: Bytes::new(), ready: Bytes::new() }
    }

    /// A UUID in its usual form: 36 characters, lower case, with hyphens.
    pub(super) fn next(&mut self) -> Bytes {
        if self.ready.is_empty() {
            if self.made.is_empty() {
                if !self.blocks.may_lend() {
                    let mut key = [[0; TEXT_BYTES]];
                    write_uuids(&mut self.random, &mut key);
                    return Bytes::copy_from_slice(key.as_flattened());
                }
                self.made = self.make();
            }
            // Keys that are given away are dropped by another thread while the next ones are given away by this one.
            // Were all of a block counted together, each would wait for the other's count.
            let run = self.made.len().min(COUNTED_TOGETHER * TEXT_BYTES);
            self.ready = Bytes::from_owner(self.made.split_to(run));
        }
        self.ready.split_to(TEXT_BYTES)
    }

    /// A block of keys.
    fn make(&mut self) -> Bytes {
        let mut block = self.blocks.take();
        let (keys, _) = block.as_chunks_mut();
        let made_bytes = keys.len() * TEXT_BYTES;
        write_uuids(&mut self.random, keys);
        let mut made = self.blocks.lend(block);
        made.truncate(made_bytes);
        made
    }
}

/// The digits of several are written together, because vector instructions write them as fast as those of one.
fn write_uuids(random: &mut impl Rng, keys: &mut [[u8; TEXT_BYTES]]) {
    let mut uuids = [[0; DIGITS / 2]; WRITTEN_AT_ONCE];
    let mut digits = [[0; DIGITS]; WRITTEN_AT_ONCE];
    for keys in keys.chunks_mut(WRITTEN_AT_ONCE) {
        let (uuids, digits) = (&mut uuids[..keys.len()], &mut digits[..keys.len()]);
        for uuid in &mut *uuids {
            *uuid =
                Builder::from_random_bytes(random.random::<u128>().to_ne_bytes()).into_uuid().into_bytes();
        }
        let digits = Out::from_slice(digits.as_flattened_mut());
        let digits = hex_simd::encode(uuids.as_flattened(), digits, AsciiCase::Lower);
        for (key, digits) in keys.iter_mut().zip(digits.as_chunks().0) {
            hyphenate(key, digits);
        }
    }
}

/// RFC 9562, 4: groups of 8, 4, 4, 4 and 12 digits.
fn hyphenate(key: &mut [u8; TEXT_BYTES], digits: &[u8; DIGITS]) {
    *key = [b'-'; TEXT_BYTES];
    key[..8].copy_from_slice(&digits[..8]);
    key[9..13].copy_from_slice(&digits[8..12]);
    key[14..18].copy_from_slice(&digits[12..16]);
    key[19..23].copy_from_slice(&digits[16..20]);
    key[24..].copy_from_slice(&digits[20..]);
}

const TEXT_BYTES: usize = uuid::fmt::Hyphenated::LENGTH;
const DIGITS: usize = uuid::fmt::Simple::LENGTH;
const WRITTEN_AT_ONCE: usize = 16;

/// Few beside the some 700 records that go to another thread together, and enough that their count costs nothing.
const COUNTED_TOGETHER: usize = 64;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use uuid::{Uuid, Variant};

    use super::*;

    #[test]
    fn keys_are_distinct_version_four_uuids_as_they_are_usually_written() {
        let mut random = RandomKeys::new(Blocks::new(128 << 10));
        let keys: HashSet<Bytes> = (0..5_000).map(|_| random.next()).collect();
        assert_eq!(keys.len(), 5_000, "no two records share a random key, in two blocks and after them");
        for key in keys {
            let uuid = Uuid::try_parse_ascii(&key).unwrap();
            assert_eq!((uuid.get_version_num(), uuid.get_variant()), (4, Variant::RFC4122));
            assert_eq!(uuid.to_string().as_bytes(), key, "lower case, with its hyphens");
        }
    }
}
