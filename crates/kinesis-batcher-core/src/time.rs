//! The caller's clock, as the core sees it.

use core::fmt;
use core::time::Duration;

/// A point in time: nanoseconds since an epoch the caller picks (start of the process, boot, zero of a simulation).
///
/// Only differences matter. 64 bits of nanoseconds are 584 years; arithmetic saturates instead of wrapping, so a
/// time to live of [`Duration::MAX`] means "never" and nothing overflows.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The caller's epoch.
    pub const ZERO: Self = Self(0);
    /// The end of time: 584 years after the epoch. Nothing is ever due then.
    pub const MAX: Self = Self(u64::MAX);

    /// A point `nanos` nanoseconds after the epoch.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// A point `millis` milliseconds after the epoch; saturates.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    /// Nanoseconds since the epoch.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The point `duration` later; [`Timestamp::MAX`] when that is out of range.
    #[must_use]
    pub const fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(saturating_nanos(duration)))
    }

    /// How long after `earlier` this is; zero when it is not later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.nanos_since(earlier))
    }

    /// As [`since`](Self::since), in nanoseconds.
    pub(crate) const fn nanos_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", Duration::from_nanos(self.0))
    }
}

/// `duration` in nanoseconds, or `u64::MAX` when they do not fit.
pub(crate) const fn saturating_nanos(duration: Duration) -> u64 {
    let nanos = duration.as_nanos();
    if nanos > u64::MAX as u128 { u64::MAX } else { nanos as u64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_to_live_that_overflows_saturates() {
        let late = Timestamp::from_nanos(u64::MAX - 5);
        assert_eq!(late.after(Duration::from_secs(1)), Timestamp::MAX);
        assert_eq!(Timestamp::ZERO.after(Duration::MAX), Timestamp::MAX);
    }

    #[test]
    fn time_does_not_run_backwards() {
        assert_eq!(Timestamp::ZERO.since(Timestamp::from_millis(7)), Duration::ZERO);
    }
}
