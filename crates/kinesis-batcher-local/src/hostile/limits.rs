//! The time by which the limits of shards count.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use kinesis_model::Time;

pub use kinesis_model::{Accounting, Law, Others, ShardLimits};

/// The wall clock as it was at the start, and the monotonic clock since: a step of the wall clock does not move it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WallClock {
    started: Instant,
    /// The wall clock then, so that [`Law::Clock`] counts its seconds.
    started_at: Time,
}

impl WallClock {
    pub(crate) fn start() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { started: Instant::now(), started_at: Time::ZERO.after(since_epoch) }
    }

    pub(crate) fn at(&self, now: Instant) -> Time {
        self.started_at.after(now.saturating_duration_since(self.started))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn it_shows_the_seconds_of_the_wall_clock_and_moves_with_the_monotonic_one() {
        let clock = WallClock::start();
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
        let shown = clock.at(Instant::now()).as_nanos();
        assert!((wall.as_nanos() as u64).abs_diff(shown) < 1_000_000_000);
        let (early, late) = (clock.at(clock.started), clock.at(clock.started + Duration::from_secs(3)));
        assert_eq!(late.as_nanos() - early.as_nanos(), 3_000_000_000);
    }
}
