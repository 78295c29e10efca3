//! Distributions that cost a few instructions to keep.

/// How many of what was measured fell into which bucket, and the sum of it all.
///
/// The bounds of the buckets are fixed, so that figures of several producers, and of several days, can be added up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram {
    scale: &'static Scale,
    /// By bucket; the one above the last bound is behind the others.
    counts: [u64; BOUNDS_MAX + 1],
    sum: u128,
}

impl Histogram {
    pub(crate) const fn new(scale: &'static Scale) -> Self {
        Self { scale, counts: [0; BOUNDS_MAX + 1], sum: 0 }
    }

    #[inline]
    pub(crate) fn record(&mut self, value: u64) {
        self.counts[self.scale.bucket(value)] += 1;
        self.sum += u128::from(value);
    }

    pub(crate) fn record_many(&mut self, value: u64, times: u64) {
        self.counts[self.scale.bucket(value)] += times;
        self.sum += u128::from(value) * u128::from(times);
    }

    /// Adds what another one of the same scale counted.
    pub(crate) fn add(&mut self, other: &Self) {
        debug_assert!(
            core::ptr::eq(self.scale, other.scale),
            "buckets are added to those with the same bounds"
        );
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
        self.sum += other.sum;
    }

    /// Each bucket's upper bound, which is inclusive, and how many values are in it and in no bucket below. The last
    /// bucket has no bound.
    pub fn buckets(&self) -> impl ExactSizeIterator<Item = (Option<u64>, u64)> {
        let bounds = &self.scale.bounds[..self.scale.len];
        self.counts[..=bounds.len()]
            .iter()
            .enumerate()
            .map(|(index, &count)| (bounds.get(index).copied(), count))
    }

    /// How many values there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Their sum. It does not overflow: 2^64 values of 2^64 fit.
    #[must_use]
    pub fn sum(&self) -> u128 {
        self.sum
    }
}

/// The bounds of buckets, made so that the bucket of a value is found without a search.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Scale {
    /// Behind the last one, two that are above every value.
    bounds: [u64; BOUNDS_MAX + 2],
    len: usize,
    /// By the number of bits of a value: how many bounds are below every value with so many bits.
    below: [u8; 65],
}

impl Scale {
    /// A scale with these bounds, in ascending order, of which any octave (2^n up to 2^(n+1)) holds at most two.
    ///
    /// # Panics
    /// If they are not so. Scales are constants: that is at compile time.
    pub(crate) const fn new(list: &[u64]) -> Self {
        assert!(list.len() <= BOUNDS_MAX, "a scale has room for so many bounds");
        let mut bounds = [u64::MAX; BOUNDS_MAX + 2];
        let mut below = [0; 65];
        let mut index = 0;
        while index < list.len() {
            assert!(list[index] > 0 && (index == 0 || list[index - 1] < list[index]), "bounds ascend from 1");
            assert!(
                index < 2 || bits(list[index - 2]) < bits(list[index]),
                "an octave has at most two bounds, as `bucket` compares with two"
            );
            bounds[index] = list[index];
            let mut length = bits(list[index]) + 1;
            while length < 65 {
                below[length] += 1;
                length += 1;
            }
            index += 1;
        }
        Self { bounds, len: list.len(), below }
    }

    #[inline]
    fn bucket(&self, value: u64) -> usize {
        let first = usize::from(self.below[bits(value)]);
        let is_above = |index: usize| usize::from(value > self.bounds[index]);
        first + is_above(first) + is_above(first + 1)
    }
}

const fn bits(value: u64) -> usize {
    (u64::BITS - value.leading_zeros()) as usize
}

/// As many as the scale of durations has.
const BOUNDS_MAX: usize = 34;

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;
    use crate::histograms::{BYTES, DURATIONS, ENTRIES, MEMBERS};

    const SCALES: [&Scale; 4] = [&DURATIONS, &ENTRIES, &BYTES, &MEMBERS];

    /// The bucket of a value, by looking at each bound.
    fn bucket_by_search(scale: &Scale, value: u64) -> usize {
        scale.bounds[..scale.len].iter().filter(|&&bound| bound < value).count()
    }

    #[test]
    fn a_bound_belongs_to_the_bucket_below_it_and_its_successor_to_the_next() {
        for scale in SCALES {
            for (index, &bound) in scale.bounds[..scale.len].iter().enumerate() {
                assert_eq!(scale.bucket(bound), index, "{bound} is in the bucket that it bounds");
                assert_eq!(scale.bucket(bound + 1), index + 1, "{bound} + 1 is in the next");
            }
            assert_eq!(scale.bucket(0), 0, "nothing is below the first bucket");
            assert_eq!(scale.bucket(u64::MAX), scale.len, "nothing is above the last");
        }
    }

    #[test]
    fn counts_and_sums_are_those_of_the_values() {
        let mut histogram = Histogram::new(&ENTRIES);
        for value in [1, 2, 3, 500, 501, u64::MAX] {
            histogram.record(value);
        }
        histogram.record_many(1, 10);
        assert_eq!(histogram.count(), 16);
        assert_eq!(histogram.sum(), 1_017 + u128::from(u64::MAX));
        let buckets: Vec<_> = histogram.buckets().collect();
        assert_eq!(buckets[0], (Some(1), 11));
        assert_eq!(buckets.last(), Some(&(None, 2)), "501 and the largest number are above every bound");
    }

    proptest! {
        #[test]
        fn the_bucket_is_the_one_that_a_search_finds(value in any::<u64>(), shift in 0_u32..64) {
            for scale in SCALES {
                prop_assert_eq!(scale.bucket(value >> shift), bucket_by_search(scale, value >> shift));
            }
        }
    }
}
