//! From a record's key to its shard, and from a counter to a sequence number, without any code of the producers here.

use std::ops::RangeInclusive;

use md5::{Digest, Md5};

/// The hash key of a partition key: its MD5, read as a big-endian number.
pub(crate) fn hash_key(partition_key: &[u8]) -> u128 {
    u128::from_be_bytes(Md5::digest(partition_key).into())
}

/// Ranges of nearly equal size that tile the space of hash keys, as CreateStream lays them out.
pub(crate) fn tile(shards: u32) -> impl Iterator<Item = RangeInclusive<u128>> {
    let last = shards.saturating_sub(1);
    // 2^128 does not fit; for any count but a power of two the quotient is the same.
    let width = u128::MAX / u128::from(shards.max(1)) + u128::from(shards.is_power_of_two() && shards > 1);
    (0..shards).map(move |index| {
        let start = u128::from(index) * width;
        start..=if index == last { u128::MAX } else { start + (width - 1) }
    })
}

/// `shardId-000000000042`.
pub(crate) fn shard_id(number: u32) -> String {
    format!("shardId-{number:012}")
}

/// The first 36 digits of every sequence number; the number of the record follows in 20. The service's have 56 too.
pub(crate) const SEQUENCE_PREFIX: &str = "495903382714902566085596925383615710";

/// A sequence number of 56 digits.
pub(crate) fn sequence_number(number: u64) -> String {
    format!("{SEQUENCE_PREFIX}{number:020}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_key_hashes_as_the_service_documents() {
        assert_eq!(hash_key(b"abcd"), 0xE2FC_714C_4727_EE93_95F3_24CD_2E7F_331F);
    }

    #[test]
    fn ranges_tile_the_space_without_gap_or_overlap() {
        for shards in [1, 2, 3, 4, 7, 16, 1_000, 4_096, 10_000] {
            let ranges: Vec<_> = tile(shards).collect();
            assert_eq!(ranges.len(), shards as usize);
            assert_eq!(*ranges[0].start(), 0, "the space begins at 0");
            assert_eq!(*ranges[ranges.len() - 1].end(), u128::MAX, "the space ends at 2^128 - 1");
            for pair in ranges.windows(2) {
                assert_eq!(pair[0].end() + 1, *pair[1].start(), "{shards} shards leave a gap or overlap");
            }
        }
    }

    #[test]
    fn sequence_numbers_have_the_length_of_the_real_ones_and_sort_as_text() {
        assert_eq!(sequence_number(0).len(), 56);
        assert_eq!(sequence_number(u64::MAX).len(), 56);
        assert!(sequence_number(9) < sequence_number(10), "an earlier record sorts before a later one");
    }
}
