//! How long things take.

use std::time::Duration;

use kinesis_model::Rng;

/// A distribution of durations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Latency {
    /// Always the same.
    Constant(Duration),
    /// Anything between these two, both included.
    Uniform {
        /// The shortest.
        low: Duration,
        /// The longest.
        high: Duration,
    },
    /// Log-normal with this median and a sigma of 0.5: a tenth take more than 1.9 times the median, a hundredth more
    /// than 3.2 times, and one in ten thousand more than 6.4 times.
    LongTail {
        /// Half of them take less.
        median: Duration,
    },
}

impl Latency {
    /// Draws one.
    pub fn draw(&self, rng: &mut Rng) -> Duration {
        match *self {
            Self::Constant(duration) => duration,
            Self::Uniform { low, high } => Duration::from_nanos(rng.between(nanos(low), nanos(high))),
            Self::LongTail { median } => {
                let at = rng.below(1_000_000) as u32;
                let upper = QUANTILES.partition_point(|&(up_to, _)| up_to <= at);
                let ((from, low), (to, high)) = (QUANTILES[upper - 1], QUANTILES[upper]);
                let thousandths = low + (high - low) * u64::from(at - from) / u64::from(to - from);
                Duration::from_nanos((u128::from(nanos(median)) * u128::from(thousandths) / 1_000) as u64)
            }
        }
    }

    /// The longest that can be drawn.
    #[must_use]
    pub fn max(&self) -> Duration {
        match *self {
            Self::Constant(duration) => duration,
            Self::Uniform { low, high } => low.max(high),
            Self::LongTail { median } => median.saturating_mul(8),
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Quantiles of a log-normal distribution with sigma 0.5: where (in millionths), and how large (in thousandths of the
/// median), which is exp(0.5 z) of the normal quantile z. The ends are cut at z = -3 and z = 4.15.
const QUANTILES: [(u32, u64); 16] = [
    (0, 223),
    (10_000, 313),
    (50_000, 439),
    (100_000, 527),
    (200_000, 657),
    (300_000, 769),
    (400_000, 881),
    (500_000, 1_000),
    (600_000, 1_135),
    (700_000, 1_300),
    (800_000, 1_523),
    (900_000, 1_898),
    (950_000, 2_276),
    (990_000, 3_200),
    (999_000, 4_688),
    (1_000_000, 8_000),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_tail_has_its_median_and_its_tail() {
        let median = Duration::from_millis(10);
        let mut rng = Rng::new(5);
        let mut drawn: Vec<Duration> =
            (0..20_000).map(|_| Latency::LongTail { median }.draw(&mut rng)).collect();
        drawn.sort_unstable();
        let at = |per_mille: usize| drawn[drawn.len() * per_mille / 1_000].as_micros();
        assert!((9_500..10_500).contains(&at(500)), "the median is {} us", at(500));
        assert!((18_000..20_000).contains(&at(900)), "the 90th percentile is {} us", at(900));
        assert!((29_000..36_000).contains(&at(990)), "the 99th percentile is {} us", at(990));
        assert!(drawn.iter().all(|&one| one <= Latency::LongTail { median }.max()));
    }

    #[test]
    fn a_uniform_latency_stays_within_its_ends() {
        let latency = Latency::Uniform { low: Duration::from_millis(2), high: Duration::from_millis(3) };
        let mut rng = Rng::new(5);
        for _ in 0..100 {
            let drawn = latency.draw(&mut rng);
            assert!(drawn >= Duration::from_millis(2) && drawn <= latency.max());
        }
    }
}
