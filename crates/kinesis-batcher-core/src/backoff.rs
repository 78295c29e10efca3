//! How long to wait after a failure.

use core::time::Duration;

use crate::rng::Rng;
use crate::time::saturating_nanos;

/// Exponential back-off with full jitter: a wait drawn evenly from zero to a ceiling that doubles with each failure
/// in a row (Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).
#[derive(Clone, Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Counts a failure and says how long to wait: from zero to the ceiling that it has reached.
    pub(crate) fn fail(&mut self, rng: &mut Rng, base: Duration, ceiling: Duration) -> Duration {
        Duration::from_nanos(rng.up_to(self.count(base, ceiling)))
    }

    /// As [`fail`](Self::fail), from half of the ceiling on: for what must not be repeated soon.
    pub(crate) fn fail_late(&mut self, rng: &mut Rng, base: Duration, ceiling: Duration) -> Duration {
        let longest = self.count(base, ceiling);
        Duration::from_nanos(longest - rng.up_to(longest / 2))
    }

    /// Counts a failure and gives the longest wait after it, in nanoseconds.
    fn count(&mut self, base: Duration, ceiling: Duration) -> u64 {
        let doublings = self.failures.min(u64::BITS - 1);
        self.failures = self.failures.saturating_add(1);
        let base = saturating_nanos(base);
        let grown =
            base.checked_shl(doublings).filter(|grown| grown >> doublings == base).unwrap_or(u64::MAX);
        grown.min(saturating_nanos(ceiling))
    }

    /// Progress was made: the next failure waits as the first did.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: Duration = Duration::from_millis(50);
    const CEILING: Duration = Duration::from_secs(1);

    #[test]
    fn waits_spread_from_zero_to_a_ceiling_that_doubles_up_to_a_bound() {
        let mut rng = Rng::new(1);
        for failures in 0..200u32 {
            let bound = if failures < 5 { BASE * (1 << failures) } else { CEILING };
            let mut longest = Duration::ZERO;
            for _ in 0..64 {
                let mut backoff = Backoff { failures };
                longest = longest.max(backoff.fail(&mut rng, BASE, CEILING));
            }
            assert!(longest <= bound, "after {failures} failures a wait of {longest:?} is past {bound:?}");
            assert!(longest > bound / 2, "sixty-four draws must reach the upper half of {bound:?}");
        }
    }

    #[test]
    fn progress_starts_over() {
        let mut rng = Rng::new(1);
        let mut backoff = Backoff::default();
        for _ in 0..10 {
            backoff.fail(&mut rng, BASE, CEILING);
        }
        backoff.reset();
        assert!(backoff.fail(&mut rng, BASE, CEILING) <= BASE);
    }
}
