//! How the rate of a lane follows what its shard takes.
//!
//! Additive increase and multiplicative decrease (Chiu and Jain, "Analysis of the increase and decrease algorithms for
//! congestion avoidance", 1989), per Kinesis record sent and not per second, so that what is lost to throttling is a
//! share of the attempts, however many they are.

use core::time::Duration;

use crate::bucket::Rate;

/// What a shard said to the records of one request.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Verdict {
    /// Kinesis records that it stored.
    pub(crate) stored: u64,
    /// Kinesis records that it throttled.
    pub(crate) throttled: u64,
    /// Bytes of both.
    pub(crate) bytes: u64,
}

impl Verdict {
    fn attempts(&self) -> u64 {
        self.stored + self.throttled
    }

    /// Whether these records use up more of a shard's limit on records than of its limit on bytes.
    pub(crate) fn presses_on_records(&self, records_ceiling: Rate, bytes_ceiling: Rate) -> bool {
        u128::from(self.attempts()) * u128::from(bytes_ceiling.parts())
            >= u128::from(self.bytes) * u128::from(records_ceiling.parts())
    }
}

/// The rate after a shard stored records and throttled none.
///
/// Each stored record adds the same, whatever the rate: those who have little catch up with those who have much.
/// Large records are few, so each of them counts for more. And the longer nothing was throttled, the more each adds:
/// there is room, and a shard that had none for anybody must not be asked for little long after.
pub(crate) fn grown(rate: Rate, ceiling: Rate, verdict: Verdict, since_shrunk: Duration) -> Rate {
    if rate >= ceiling {
        return ceiling;
    }
    let mean_kib = (verdict.bytes >> 10) / verdict.stored.max(1);
    let weight = 1 + u64::from(mean_kib.max(1).ilog2()) / 2;
    let step = (ceiling.parts() / STEPS_TO_CEILING).max(1) * weight;
    let quiet = since_shrunk.as_secs().min(QUIET_SECONDS_MAX);
    let sixty_fourths = 64 + quiet * quiet;
    let added = step.saturating_mul(verdict.stored).saturating_mul(sixty_fourths) / 64;
    Rate::of_parts(rate.parts().saturating_add(added)).min(ceiling)
}

/// The rate after a shard throttled some of the records, or all.
///
/// Half of the throttled share goes: a shard that took nine tenths is asked for little less. But at least a part goes
/// that is large where the rate is small: a lane that sends a record now and then hears too seldom of throttling to
/// find its place in small steps, while a lane that has much of a shard would leave room unused by large ones.
pub(crate) fn shrunk(rate: Rate, ceiling: Rate, verdict: Verdict) -> Rate {
    let (now, whole) = (u128::from(rate.parts()), u128::from(ceiling.parts()));
    let share = now * u128::from(verdict.throttled) / u128::from(2 * verdict.attempts().max(1));
    let least = now * whole / (2 * whole + 8 * now).max(1);
    let rest = now - share.max(least);
    let rest = u64::try_from(rest).expect("what is left of a rate is no more than the rate");
    Rate::of_parts(rest.max(ceiling.parts() / FLOOR_SHARE).max(1))
}

/// Stored records that lift a rate from nothing to the ceiling. Found by trying: with 64 producers on 32 full shards
/// 1.6 % of the attempts are throttled (`table_of_shares` in the tests); steps of twice the size throttle twice as many,
/// and smaller ones take longer to find room.
const STEPS_TO_CEILING: u64 = 8_192;
/// After eight quiet seconds a record adds twice as much, after this many 65 times.
const QUIET_SECONDS_MAX: u64 = 64;
/// No rate falls below this part of the ceiling: 4 records and 4 KiB a second at the service's limits. A record of
/// 1 MiB then still goes within the default time to live of five minutes.
const FLOOR_SHARE: u64 = 256;

#[cfg(test)]
mod tests {
    use super::*;

    const CEILING: Rate = Rate::per_second(1_000);
    const QUIET: Duration = Duration::from_secs(8);

    fn stored(stored: u64) -> Verdict {
        Verdict { stored, throttled: 0, bytes: 100 * stored }
    }

    fn throttled(throttled: u64, stored: u64) -> Verdict {
        Verdict { stored, throttled, bytes: 100 * (stored + throttled) }
    }

    #[test]
    fn a_rate_stays_between_floor_and_ceiling() {
        assert_eq!(grown(CEILING, CEILING, stored(500), QUIET), CEILING);
        assert_eq!(grown(Rate::per_second(999), CEILING, stored(500), QUIET), CEILING);
        let mut rate = CEILING;
        for _ in 0..100 {
            rate = shrunk(rate, CEILING, throttled(10, 0));
        }
        assert_eq!(rate.units(), 4, "a lane that is always refused still asks a few times a second");
        let one = Rate::per_second(1);
        assert!(shrunk(one, one, throttled(1, 0)).parts() > 0, "the smallest rate still makes progress");
    }

    #[test]
    fn the_more_is_throttled_the_more_is_cut_up_to_half() {
        let all = shrunk(CEILING, CEILING, throttled(10, 0));
        assert_eq!(all.units(), 500);
        let half = shrunk(CEILING, CEILING, throttled(5, 5));
        assert_eq!(half.units(), 750);
        let little = shrunk(CEILING, CEILING, throttled(1, 99));
        assert_eq!(little.units(), 900, "one record in a hundred cuts the least there is");
        let small = Rate::per_second(16);
        assert!(
            shrunk(small, CEILING, throttled(1, 99)).units() <= 9,
            "a small rate gives way by nearly half"
        );
    }

    #[test]
    fn each_stored_record_adds_the_same_and_a_large_one_more() {
        let add = |rate: u64, verdict| {
            let rate = Rate::per_second(rate);
            grown(rate, CEILING, verdict, Duration::ZERO).parts() - rate.parts()
        };
        assert_eq!(add(10, stored(100)), add(500, stored(100)));
        assert_eq!(add(10, stored(100)), 100 * add(10, stored(1)));
        let large = Verdict { stored: 1, throttled: 0, bytes: 64 << 10 };
        assert_eq!(add(10, large), 4 * add(10, stored(1)));
        let low = Rate::per_second(10);
        let after_quiet = grown(low, CEILING, stored(100), QUIET).parts() - low.parts();
        assert_eq!(after_quiet, 2 * add(10, stored(100)), "eight quiet seconds double it");
    }

    #[test]
    fn small_records_press_on_the_limit_of_records_and_large_ones_on_that_of_bytes() {
        let bytes_ceiling = Rate::per_second(1 << 20);
        assert!(throttled(1, 9).presses_on_records(CEILING, bytes_ceiling));
        let large = Verdict { stored: 0, throttled: 1, bytes: 50 << 10 };
        assert!(!large.presses_on_records(CEILING, bytes_ceiling));
    }
}
