//! Percentiles of durations in bounded memory.

use std::time::Duration;

/// Counts durations in buckets that are at most 1/32 of their value wide, from a nanosecond to centuries.
#[derive(Clone, Debug, Default)]
pub(crate) struct Histogram {
    buckets: Vec<u64>,
    count: u64,
    max: u64,
}

impl Histogram {
    #[inline]
    pub(crate) fn record(&mut self, duration: Duration) {
        let nanos = duration.as_nanos() as u64;
        if self.buckets.is_empty() {
            self.buckets = vec![0; index_of(u64::MAX) + 1];
        }
        self.buckets[index_of(nanos)] += 1;
        self.count += 1;
        self.max = self.max.max(nanos);
    }

    pub(crate) fn percentiles(&self) -> Percentiles {
        Percentiles {
            p50: self.at(500_000),
            p90: self.at(900_000),
            p99: self.at(990_000),
            p999: self.at(999_000),
            max: Duration::from_nanos(self.max),
        }
    }

    pub(crate) fn clear(&mut self) {
        if self.count > 0 {
            self.buckets.fill(0);
            (self.count, self.max) = (0, 0);
        }
    }

    /// The upper end of the bucket that holds the value below which so many of a million lie.
    fn at(&self, in_a_million: u64) -> Duration {
        let rank = (u128::from(self.count) * u128::from(in_a_million)).div_ceil(1_000_000) as u64;
        let mut below = 0;
        for (index, &count) in self.buckets.iter().enumerate() {
            below += count;
            if below >= rank.max(1) {
                return Duration::from_nanos(upper_end(index).min(self.max));
            }
        }
        Duration::ZERO
    }
}

/// How long things took: half of them no longer than [`p50`](Self::p50), and so on. Each is exact to 1/32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Percentiles {
    /// The median.
    pub p50: Duration,
    /// 90 of 100.
    pub p90: Duration,
    /// 99 of 100.
    pub p99: Duration,
    /// 999 of 1,000.
    pub p999: Duration,
    /// The longest, exactly.
    pub max: Duration,
}

fn index_of(value: u64) -> usize {
    if value < 1 << BITS {
        return value as usize;
    }
    let exponent = value.ilog2();
    let within = (value >> (exponent - BITS)) as usize - (1 << BITS);
    (((exponent - BITS + 1) as usize) << BITS) + within
}

fn upper_end(index: usize) -> u64 {
    let octave = index >> BITS;
    if octave == 0 {
        return index as u64;
    }
    let within = (index & ((1 << BITS) - 1)) as u64 + (1 << BITS);
    let low = within << (octave - 1);
    low + ((1 << (octave - 1)) - 1)
}

/// 32 buckets an octave.
const BITS: u32 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_in_its_bucket_and_buckets_are_narrow() {
        for value in (0..64).flat_map(|bit| [1u64 << bit, (1 << bit) - 1, (1 << bit) + (1 << bit) / 3]) {
            let upper = upper_end(index_of(value));
            assert!(upper >= value, "{value} lies above its bucket's end {upper}");
            assert!(upper - value <= value / 32, "the bucket of {value} ends at {upper}");
            assert!(upper == u64::MAX || index_of(upper + 1) == index_of(value) + 1);
        }
    }

    #[test]
    fn percentiles_are_those_of_a_sorted_list() {
        let mut histogram = Histogram::default();
        for value in 1..=1_000 {
            histogram.record(Duration::from_micros(value));
        }
        let percentiles = histogram.percentiles();
        for (found, exact) in [(percentiles.p50, 500), (percentiles.p90, 900), (percentiles.p99, 990)] {
            let exact = Duration::from_micros(exact);
            assert!(found >= exact && found <= exact + exact / 32, "{found:?} is not {exact:?}");
        }
        assert_eq!(percentiles.max, Duration::from_micros(1_000));
        assert_eq!(Histogram::default().percentiles(), Percentiles::default());
    }
}
