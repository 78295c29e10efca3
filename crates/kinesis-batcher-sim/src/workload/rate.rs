//! When records come.

use std::time::Duration;

/// Records a second that one producer is offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rate {
    /// So many a second, all the time.
    Constant(u64),
    /// So many at the same moment, then none until the next burst.
    Bursts {
        /// How many.
        records: u32,
        /// From one burst to the next; at least 1 us.
        every: Duration,
    },
    /// From one rate to another, evenly over the whole run.
    Ramp {
        /// Records a second at the beginning.
        from: u64,
        /// Records a second at the end.
        to: u64,
    },
    /// One rate and another by turns.
    Waves {
        /// Records a second in the first half of each period.
        low: u64,
        /// Records a second in the second half.
        high: u64,
        /// How long both take together; at least 1 us.
        period: Duration,
    },
}

impl Rate {
    /// From one arrival to the next at `elapsed` nanoseconds of `duration`, and how many come together. `None` while
    /// the rate is zero, with the time after which to ask again.
    pub(crate) fn step(&self, elapsed: u64, duration: u64) -> Step {
        let per_second = match *self {
            Self::Constant(rate) => rate,
            Self::Bursts { records, every } => {
                return Step { records, after: nanos(every).max(MICROSECOND) };
            }
            Self::Ramp { from, to } => {
                let (from, to) = (i128::from(from), i128::from(to));
                let grown = (to - from) * i128::from(elapsed.min(duration)) / i128::from(duration.max(1));
                u64::try_from(from + grown).unwrap_or(0)
            }
            Self::Waves { low, high, period } => {
                let period = nanos(period).max(MICROSECOND);
                if elapsed % period < period / 2 { low } else { high }
            }
        };
        match NANOS_PER_SECOND.checked_div(per_second) {
            Some(after) => Step { records: 1, after: after.max(1) },
            None => Step { records: 0, after: 10 * MILLISECOND },
        }
    }
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) records: u32,
    /// Nanoseconds to the next step.
    pub(crate) after: u64,
}

/// How evenly records come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Spacing {
    /// Like a clock.
    Even,
    /// Each interval is anything from zero to twice the mean.
    Random,
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

const NANOS_PER_SECOND: u64 = 1_000_000_000;
const MILLISECOND: u64 = 1_000_000;
const MICROSECOND: u64 = 1_000;
