//! One producer: a batcher, its clock and what is asked of it.

use std::collections::VecDeque;
use std::time::Duration;

use kinesis_batcher_core::{Batcher, Deadline, Record, Timestamp};

use crate::service::Refusal;
use crate::workload::{Arrivals, Maker};

/// A batcher that knows nothing of the others, and the program around it.
#[derive(Debug)]
pub(super) struct Producer {
    pub(super) batcher: Batcher<u64>,
    pub(super) clock: Clock,
    pub(super) arrivals: Arrivals,
    pub(super) maker: Maker,
    /// Refused records that are offered again when there is room.
    pub(super) waiting: VecDeque<(Record, u64)>,
    /// How it signs.
    pub(super) signer: Signer,
    /// What the batcher said last.
    pub(super) deadline: Option<Deadline>,
    /// How many records were accepted.
    pub(super) accepted: u64,
    /// The batcher said that there is room.
    pub(super) is_unblocked: bool,
    /// The batcher said that it is done.
    pub(super) is_drained: bool,
    /// A listing of the shards is under way.
    pub(super) is_refreshing: bool,
}

impl Producer {
    pub(super) fn held(&self) -> u64 {
        let stats = self.batcher.stats();
        stats.records_queued + stats.records_in_flight
    }
}

/// What a transport does about a clock that is wrong and keys that were rotated: once it was refused, it signs right.
#[derive(Clone, Copy, Debug)]
pub(super) struct Signer {
    /// Calls that were sent before are refused.
    right_from: Timestamp,
    refusal: Refusal,
    /// How long it takes to sign right once it was refused.
    heals_in: Duration,
}

impl Signer {
    pub(super) fn new() -> Self {
        Self { right_from: Timestamp::ZERO, refusal: Refusal::InvalidSignature, heals_in: Duration::ZERO }
    }

    /// From now on calls are refused so, those on their way included.
    pub(super) fn fails(&mut self, refusal: Refusal, heals_in: Duration) {
        *self = Self { right_from: Timestamp::MAX, refusal, heals_in };
    }

    /// How the service refuses a call that was sent then, if it does.
    pub(super) fn refusal_of(&self, sent_at: Timestamp) -> Option<Refusal> {
        (sent_at < self.right_from).then_some(self.refusal)
    }

    /// A call was refused with this code.
    pub(super) fn refused(&mut self, now: Timestamp, code: &str) {
        if self.right_from == Timestamp::MAX && code == self.refusal.status_and_code().1 {
            self.right_from = now.after(self.heals_in);
        }
    }
}

/// What a producer takes for the time: behind the simulation's when it was set back, and in steps when it is coarse.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    behind: Duration,
    coarse: Duration,
    told: Timestamp,
}

impl Clock {
    pub(super) fn new(now: Timestamp) -> Self {
        Self { behind: Duration::ZERO, coarse: Duration::ZERO, told: now }
    }

    /// What it shows; right after it was set back, less than before.
    #[inline]
    pub(super) fn reading(&self, now: Timestamp) -> Timestamp {
        let nanos = now.as_nanos().saturating_sub(self.behind.as_nanos() as u64);
        let step = self.coarse.as_nanos() as u64;
        Timestamp::from_nanos(if step == 0 { nanos } else { nanos - nanos % step })
    }

    /// What it shows, on its way into a batcher.
    #[inline]
    pub(super) fn tell(&mut self, now: Timestamp) -> Timestamp {
        let reading = self.reading(now);
        self.told = self.told.max(reading);
        reading
    }

    /// The latest time that the batcher was told.
    #[inline]
    pub(super) fn told(&self) -> Timestamp {
        self.told
    }

    /// When it will show `time`.
    pub(super) fn shows_at(&self, time: Timestamp) -> Timestamp {
        let step = self.coarse.as_nanos() as u64;
        let nanos = match time.as_nanos().checked_rem(step) {
            None | Some(0) => time.as_nanos(),
            Some(beyond) => time.as_nanos().saturating_add(step - beyond),
        };
        Timestamp::from_nanos(nanos).after(self.behind)
    }

    pub(super) fn set_coarse(&mut self, step: Duration) {
        self.coarse = step;
    }

    pub(super) fn set_back(&mut self, by: Duration) {
        self.behind += by;
    }

    pub(super) fn set_right(&mut self) {
        self.behind = Duration::ZERO;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_shows_a_time_at_the_first_moment_it_says_and_not_before() {
        let mut clock = Clock::new(Timestamp::ZERO);
        clock.set_coarse(Duration::from_millis(16));
        clock.set_back(Duration::from_millis(5));
        let time = Timestamp::from_millis(100);
        let at = clock.shows_at(time);
        assert!(clock.reading(at) >= time);
        assert!(clock.reading(Timestamp::from_nanos(at.as_nanos() - 1)) < time);
    }

    #[test]
    fn what_a_batcher_was_told_never_decreases() {
        let mut clock = Clock::new(Timestamp::ZERO);
        let now = Timestamp::from_millis(50);
        assert_eq!(clock.tell(now), now);
        clock.set_back(Duration::from_millis(20));
        assert_eq!(clock.tell(now), Timestamp::from_millis(30), "the batcher sees the step");
        assert_eq!(clock.told(), now);
    }
}
