//! One limit of one shard: so many units a second, with a short burst.

use crate::time::Timestamp;

/// A token bucket in the form of GCRA, the generic cell rate algorithm (ATM Forum, "Traffic Management 4.0"), in
/// integer nanoseconds.
///
/// `debt_until` is the time at which the bucket will be full again. What was taken and has not leaked back lies
/// between now and then; no more than [`BURST_NANOS`] may, except that a unit larger than the whole burst may be
/// taken from a full bucket and leaves it in debt.
#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    debt_until: u64,
    rate: Rate,
}

/// Units a second, in 64ths: the share of a shard that many producers leave to each is a few records a second, and
/// has to change by less than one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rate(u64);

impl Rate {
    pub(crate) const fn per_second(units: u64) -> Self {
        Self(units.saturating_mul(RATE_PARTS))
    }

    pub(crate) fn of_parts(parts: u64) -> Self {
        Self(parts)
    }

    /// 64ths of a unit a second.
    pub(crate) fn parts(self) -> u64 {
        self.0
    }

    /// As much of `to` as this is of `from`, rounded down; never nothing.
    pub(crate) fn scaled(self, from: Self, to: Self) -> Self {
        let scaled = u128::from(self.0) * u128::from(to.0) / u128::from(from.0.max(1));
        Self(u64::try_from(scaled).unwrap_or(u64::MAX).max(1))
    }

    /// Whole units a second, rounded up: a rate is never nothing.
    pub(crate) fn units(self) -> u64 {
        self.0.div_ceil(RATE_PARTS)
    }
}

impl Bucket {
    /// A full bucket.
    pub(crate) fn full(rate: Rate) -> Self {
        debug_assert!(rate.0 > 0, "a bucket that never fills would hold its records for ever");
        Self { debt_until: 0, rate }
    }

    /// A bucket without any burst left, for a shard that may just have been written to by others.
    pub(crate) fn empty(rate: Rate, now: Timestamp) -> Self {
        let debt_until = now.as_nanos().saturating_add(BURST_NANOS);
        Self { debt_until, ..Self::full(rate) }
    }

    /// What taking `units` costs, in nanoseconds of leaking, rounded up: never less than the limit demands.
    pub(crate) fn cost(&self, units: u64) -> u64 {
        units.saturating_mul(NANOS_PER_SECOND * RATE_PARTS).div_ceil(self.rate.0)
    }

    /// The earliest time at which `cost` may be taken.
    pub(crate) fn available_at(&self, cost: u64) -> Timestamp {
        Timestamp::from_nanos(self.debt_until.saturating_sub(BURST_NANOS.saturating_sub(cost)))
    }

    /// Takes `cost`, whatever is left; ask [`available_at`](Self::available_at) first.
    pub(crate) fn take(&mut self, now: Timestamp, cost: u64) {
        self.debt_until = self.debt_until.max(now.as_nanos()).saturating_add(cost);
    }

    /// Gives back `cost` that was taken at `taken_at` and never reached the shard.
    ///
    /// What has leaked since then is not given back: part of it may have leaked from the very units returned, and
    /// returning those would let a burst through twice.
    pub(crate) fn give_back(&mut self, now: Timestamp, taken_at: Timestamp, cost: u64) {
        let leaked = now.as_nanos().saturating_sub(taken_at.as_nanos());
        self.debt_until = self.debt_until.saturating_sub(cost.saturating_sub(leaked));
    }

    /// Changes the rate; what was taken stays taken.
    pub(crate) fn set_rate(&mut self, rate: Rate) {
        debug_assert!(rate.0 > 0, "a bucket that never fills would hold its records for ever");
        self.rate = rate;
    }

    pub(crate) fn rate(&self) -> Rate {
        self.rate
    }
}

/// A fifth of a second's worth may go at once. It has to cover what gathers while a request lingers (100 ms unless
/// configured), and every bit more is what a server that counts in whole seconds may throttle.
// How the service counts its second is not known (S-08). Where a burst is too much, rates that adapt find it.
pub(crate) const BURST_NANOS: u64 = NANOS_PER_SECOND / 5;

const NANOS_PER_SECOND: u64 = 1_000_000_000;
const RATE_PARTS: u64 = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(nanos: u64) -> Timestamp {
        Timestamp::from_nanos(nanos)
    }

    fn try_take(bucket: &mut Bucket, now: Timestamp, units: u64) -> Result<(), Timestamp> {
        let cost = bucket.cost(units);
        let available_at = bucket.available_at(cost);
        if available_at > now {
            return Err(available_at);
        }
        bucket.take(now, cost);
        Ok(())
    }

    #[test]
    fn a_record_is_refused_just_before_and_allowed_exactly_at_the_time_it_was_told() {
        let mut bucket = Bucket::full(Rate::per_second(1_000));
        let now = at(5_000_000_000);
        for _ in 0..200 {
            assert_eq!(try_take(&mut bucket, now, 1), Ok(()), "a burst of a fifth of a second goes at once");
        }
        let available_at = try_take(&mut bucket, now, 1).expect_err("the burst is used up");
        assert_eq!(available_at, at(5_001_000_000));
        assert!(try_take(&mut bucket, at(available_at.as_nanos() - 1), 1).is_err());
        assert_eq!(try_take(&mut bucket, available_at, 1), Ok(()));
    }

    #[test]
    fn a_record_larger_than_the_burst_goes_on_a_full_bucket_and_leaves_it_in_debt() {
        let mut bucket = Bucket::full(Rate::per_second(1 << 20));
        let now = at(1_000_000_000);
        assert_eq!(try_take(&mut bucket, now, 10 << 20), Ok(()));
        let available_at = try_take(&mut bucket, now, 10 << 20).expect_err("ten seconds' worth is owed");
        assert_eq!(available_at, at(11_000_000_000), "the next large one waits until the bucket is full");
    }

    #[test]
    fn an_empty_bucket_fills_at_the_rate_and_not_at_once() {
        let mut bucket = Bucket::empty(Rate::per_second(1_000), at(0));
        assert_eq!(try_take(&mut bucket, at(0), 1), Err(at(1_000_000)));
    }

    #[test]
    fn what_is_given_back_late_does_not_let_a_burst_through_twice() {
        let mut bucket = Bucket::full(Rate::per_second(1_000));
        let cost = bucket.cost(100);
        bucket.take(at(0), cost);
        let later = at(100_000_000);
        bucket.take(later, bucket.cost(200));
        bucket.give_back(later, at(0), cost);
        assert!(
            bucket.available_at(bucket.cost(1)) > later,
            "the first hundred had leaked back before the return"
        );
    }

    proptest! {
        /// Invariant I3 at its root.
        #[test]
        fn in_any_window_no_more_than_burst_and_rate_and_one_oversize_unit_passes(
            rate in 1u64..5_000_000,
            steps in prop::collection::vec((0u64..400_000_000, 1u64..3_000_000), 1..60),
        ) {
            let mut bucket = Bucket::full(Rate::per_second(rate));
            let mut now = 1;
            let mut taken: alloc::vec::Vec<(u64, u64)> = alloc::vec![];
            for (pause, units) in steps {
                now += pause;
                if try_take(&mut bucket, at(now), units).is_ok() {
                    taken.push((now, units));
                }
            }
            for (index, &(from, _)) in taken.iter().enumerate() {
                let mut sum = 0u128;
                let mut largest = 0u128;
                for &(until, units) in &taken[index..] {
                    sum += u128::from(units);
                    largest = largest.max(u128::from(units));
                    let window = u128::from(until - from + BURST_NANOS);
                    let allowed = window * u128::from(rate) / u128::from(NANOS_PER_SECOND) + largest;
                    prop_assert!(sum <= allowed, "{sum} units passed where {allowed} may");
                }
            }
        }

        #[test]
        fn giving_back_at_once_restores_the_bucket(rate in 1u64..5_000_000, units in 1u64..1_000) {
            let mut bucket = Bucket::full(Rate::per_second(rate));
            let now = at(1_000_000_000);
            bucket.take(now, bucket.cost(7));
            let before = bucket.debt_until;
            let cost = bucket.cost(units);
            bucket.take(now, cost);
            bucket.give_back(now, now, cost);
            prop_assert_eq!(bucket.debt_until, before);
        }
    }
}
