//! A producer's clock.

use std::time::Duration;

use kinesis_batcher_core::Timestamp;

/// The time as a producer reads it: the simulation's time, moved by jumps in either direction, in steps if it is coarse.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    ahead: Duration,
    behind: Duration,
    coarse: Duration,
    latest: Timestamp,
}

impl Clock {
    pub(super) fn new(now: Timestamp) -> Self {
        Self { ahead: Duration::ZERO, behind: Duration::ZERO, coarse: Duration::ZERO, latest: now }
    }

    /// What it shows; after a jump back, less than before.
    #[inline]
    pub(super) fn reading(&self, now: Timestamp) -> Timestamp {
        let nanos = now.after(self.ahead).as_nanos().saturating_sub(self.behind.as_nanos() as u64);
        let step = self.coarse.as_nanos() as u64;
        Timestamp::from_nanos(if step == 0 { nanos } else { nanos - nanos % step })
    }

    /// What it shows, on its way into a batcher.
    #[inline]
    pub(super) fn read(&mut self, now: Timestamp) -> Timestamp {
        let reading = self.reading(now);
        self.latest = self.latest.max(reading);
        reading
    }

    /// The latest time that was read. A batcher goes on with it after a jump back.
    #[inline]
    pub(super) fn latest(&self) -> Timestamp {
        self.latest
    }

    /// How long the batcher's time stands still after a jump back.
    pub(super) fn stands_still_for(&self, now: Timestamp) -> Duration {
        self.latest.since(self.reading(now))
    }

    /// When it will show `time`.
    pub(super) fn shows_at(&self, time: Timestamp) -> Timestamp {
        let step = self.coarse.as_nanos() as u64;
        let nanos = match time.as_nanos().checked_rem(step) {
            None | Some(0) => time.as_nanos(),
            Some(beyond) => time.as_nanos().saturating_add(step - beyond),
        };
        let late = Timestamp::from_nanos(nanos).after(self.behind);
        Timestamp::from_nanos(late.as_nanos().saturating_sub(self.ahead.as_nanos() as u64))
    }

    pub(super) fn set_coarse(&mut self, step: Duration) {
        self.coarse = step;
    }

    pub(super) fn jump_back(&mut self, by: Duration) {
        self.behind += by;
    }

    pub(super) fn jump_forward(&mut self, by: Duration) {
        self.ahead += by;
    }

    /// Undoes every jump.
    pub(super) fn set_right(&mut self) {
        (self.ahead, self.behind) = (Duration::ZERO, Duration::ZERO);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_shows_a_time_at_the_first_moment_it_says_and_not_before() {
        let jumps: [fn(&mut Clock); 3] = [
            |_| (),
            |clock| clock.jump_back(Duration::from_millis(5)),
            |clock| clock.jump_forward(Duration::from_millis(7)),
        ];
        for jump in jumps {
            let mut clock = Clock::new(Timestamp::ZERO);
            clock.set_coarse(Duration::from_millis(16));
            jump(&mut clock);
            let time = Timestamp::from_millis(100);
            let at = clock.shows_at(time);
            assert!(clock.reading(at) >= time);
            assert!(clock.reading(Timestamp::from_nanos(at.as_nanos() - 1)) < time);
        }
    }

    #[test]
    fn the_latest_reading_never_decreases() {
        let mut clock = Clock::new(Timestamp::ZERO);
        let now = Timestamp::from_millis(50);
        assert_eq!(clock.read(now), now);
        clock.jump_back(Duration::from_millis(20));
        assert_eq!(clock.read(now), Timestamp::from_millis(30), "the batcher sees the step");
        assert_eq!(clock.latest(), now);
        assert_eq!(clock.stands_still_for(now), Duration::from_millis(20));
    }
}
