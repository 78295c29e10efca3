//! When the next records may go to a shard, given what it is allowed.

use crate::time::Timestamp;

/// Paces what goes to one shard, records and bytes alike, so that no second holds more than the shard is allowed,
/// however the service counts its second (S-08).
///
/// A token bucket cannot do that: one with a burst of 200 ms and the full rate lets 1.2 seconds' worth into a second,
/// and one with a burst of 25 ms makes every idle producer send its batches in pieces. So there are several token
/// buckets side by side ([`CURVES`]), each of which allows exactly one second's worth in a second: a small burst at
/// nearly the full rate, up to a large burst at four fifths of it. Each record is charged to all of them, and goes as soon
/// as *one* of them allows it. A window of a second that ends with a record that curve *k* allowed holds no more than
/// that curve allows, because it was charged with every record in the window. A saturated shard is thus
/// sent small bursts at 97.5 % of its limit, and one that had less to do may catch up with a large one.
///
/// Costs are in *shard time*: how long the whole shard takes for a record at the limit, so that a rate is a share of
/// one nanosecond a nanosecond. All arithmetic is in integers.
#[derive(Clone, Debug)]
pub(crate) struct Pacer {
    /// Shard time of a record and of a byte, in 2^-20 ns.
    record_cost: u64,
    byte_cost: u64,
    /// Until when the charges have drained.
    drained_at: Timestamp,
    records: Charges,
    bytes: Charges,
}

/// Shard time that each curve has been charged with and that has not drained yet, in nanoseconds.
#[derive(Clone, Copy, Debug, Default)]
struct Charges([u64; CURVES.len()]);

/// The share of its limits that a shard may be sent, in units of 2^-16; 1 to [`Share::ALL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Share(u32);

/// Units of each limit a second, 1 or more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) records_per_second: u64,
    pub(crate) bytes_per_second: u64,
}

/// Shard time of one record, or of several, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cost {
    pub(crate) records: u64,
    pub(crate) bytes: u64,
}

/// What may go to a shard at one moment. Records are taken out of it one by one, and then
/// [charged](Pacer::charge) together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowance {
    left: Cost,
    /// A curve is hardly charged, so one record may go that is larger than its burst.
    any_size: (bool, bool),
    records_max: usize,
    taken: Cost,
}

/// One of the ways to spread one second's worth over a second.
struct Curve {
    /// What may go at once, in nanoseconds of the allowed rate.
    burst: u64,
    /// Parts of [`RATE_PARTS`] of the allowed rate at which the charge drains.
    rate: u64,
}

/// Burst and rate add up to one second's worth. The first is for a saturated shard: 25 ms cover a timer that fires
/// late. The last covers the records that gather during a linger of 200 ms.
const CURVES: [Curve; 3] = [
    Curve { burst: 25_000_000, rate: 39 },
    Curve { burst: 75_000_000, rate: 37 },
    Curve { burst: 200_000_000, rate: 32 },
];
const RATE_PARTS: u64 = 40;

/// A charge silences a shard for no longer than this, or than the last record takes a whole shard: what is allowed may
/// be little only because the shard was away. The curves need to remember one second.
const CHARGE_MAX: u64 = 2 * NANOS_PER_SECOND;

/// So much is worth a request of its own at a saturated shard: 8 records at 1,000 a second.
const WORTHWHILE: u64 = 8_000_000;

/// About 17 ms: shards that become free at about the same time share a request. A power of two keeps the rounding
/// cheap. Added to [`WORTHWHILE`], it is no more than the smallest burst, or a saturated shard would lose what it saved;
/// for the same reason a record larger than a burst goes while no more than this is charged.
const WAKE_TICK: u64 = 1 << 24;

const NANOS_PER_SECOND: u64 = 1_000_000_000;
const COST_SHIFT: u32 = 20;
/// Longer than any charge takes to drain at the smallest share, and short enough to multiply.
const ELAPSED_MAX: u64 = 1 << 46;

impl Limits {
    /// Shard time of a record and of a byte, in 2^-20 ns.
    fn costs(self) -> (u64, u64) {
        let cost = |per_second: u64| (NANOS_PER_SECOND << COST_SHIFT) / per_second.max(1);
        (cost(self.records_per_second), cost(self.bytes_per_second))
    }

    /// This share of both, rounded up: a limit is never nothing.
    pub(crate) fn scaled(self, share: Share) -> Self {
        let scaled = |limit: u64| (u128::from(limit) * u128::from(share.parts())).div_ceil(1 << 16);
        let scaled = |limit: u64| u64::try_from(scaled(limit)).unwrap_or(u64::MAX);
        Self {
            records_per_second: scaled(self.records_per_second),
            bytes_per_second: scaled(self.bytes_per_second),
        }
    }
}

impl Share {
    /// All of the limits.
    pub(crate) const ALL: Self = Self(1 << 16);

    /// A share of `parts` / 2^16, at least the smallest there is and at most all.
    pub(crate) fn new(parts: u64) -> Self {
        Self(u32::try_from(parts).unwrap_or(u32::MAX).clamp(1, Self::ALL.0))
    }

    /// So many per cent, at least the smallest there is and at most all.
    pub(crate) fn of_percent(percent: u16) -> Self {
        Self::new(u64::from(percent) * u64::from(Self::ALL.0) / 100)
    }

    /// In units of 2^-16.
    pub(crate) fn parts(self) -> u64 {
        u64::from(self.0)
    }

    /// This share of `whole`, rounded down; `whole` up to 2^47.
    pub(crate) fn of(self, whole: u64) -> u64 {
        (whole * self.parts()) >> 16
    }
}

impl Pacer {
    /// For a shard that may be sent a burst at once.
    pub(crate) fn new(limits: Limits) -> Self {
        let (record_cost, byte_cost) = limits.costs();
        let (records, bytes) = (Charges::default(), Charges::default());
        Self { record_cost, byte_cost, drained_at: Timestamp::ZERO, records, bytes }
    }

    /// Changes the limits; the share of them that was charged stays charged. Returns whether they are others.
    pub(crate) fn set_limits(&mut self, limits: Limits) -> bool {
        let before = (self.record_cost, self.byte_cost);
        (self.record_cost, self.byte_cost) = limits.costs();
        before != (self.record_cost, self.byte_cost)
    }

    /// Shard time of so many records with so many bytes in all.
    pub(crate) fn cost(&self, records: u64, bytes: u64) -> Cost {
        Cost {
            records: records.saturating_mul(self.record_cost) >> COST_SHIFT,
            bytes: bytes.saturating_mul(self.byte_cost) >> COST_SHIFT,
        }
    }

    /// What may go now.
    pub(crate) fn allowance(&mut self, now: Timestamp, share: Share) -> Allowance {
        self.drain(now, share);
        let (records, bytes) = (&self.records, &self.bytes);
        Allowance {
            left: Cost { records: records.room(share), bytes: bytes.room(share) },
            any_size: (records.is_nearly_empty(share), bytes.is_nearly_empty(share)),
            records_max: usize::MAX,
            taken: Cost::default(),
        }
    }

    /// Charges what was taken out of the allowance of this moment.
    pub(crate) fn charge(&mut self, allowance: &Allowance, share: Share) {
        self.records.add(allowance.taken.records, share);
        self.bytes.add(allowance.taken.bytes, share);
    }

    /// Takes back the charge for records that were taken at `taken_at` and never reached the shard.
    ///
    /// What has drained since then is not given back: returning it would let a burst through twice.
    pub(crate) fn give_back(&mut self, now: Timestamp, share: Share, taken_at: Timestamp, cost: Cost) {
        self.drain(now, share);
        let steps = steps(share, now.nanos_since(taken_at));
        self.records.subtract(cost.records, steps);
        self.bytes.subtract(cost.bytes, steps);
    }

    /// Uses up every burst: from `now` on, records go at the rate alone.
    pub(crate) fn spend_bursts(&mut self, now: Timestamp, share: Share) {
        self.drain(now, share);
        let spent = CURVES.map(|curve| share.of(curve.burst));
        for charges in [&mut self.records, &mut self.bytes] {
            charges.0.iter_mut().zip(spent).for_each(|(charge, spent)| *charge = spent.max(*charge));
        }
    }

    /// The share was lowered. Charges then last for as long as they did before, or for [`CHARGE_MAX`] where that is
    /// longer: they were made when more was allowed.
    pub(crate) fn share_lowered(&mut self, from: Share, to: Share) {
        for charge in self.records.0.iter_mut().chain(&mut self.bytes.0) {
            let as_long = u128::from(*charge) * u128::from(to.parts()) / u128::from(from.parts());
            let as_long = u64::try_from(as_long).unwrap_or(u64::MAX);
            *charge = (*charge).min(as_long.max(to.of(CHARGE_MAX)));
        }
    }

    /// The earliest time at which `cost` may go at once.
    pub(crate) fn available_at(&self, share: Share, cost: Cost) -> Timestamp {
        let wait = self.records.wait(share, cost.records).max(self.bytes.wait(share, cost.bytes));
        Timestamp::from_nanos(self.drained_at.as_nanos().saturating_add(wait))
    }

    /// When it is worth asking again after the record at the head of a queue was refused: once a part of the queue that
    /// deserves a request may go at once, or all of it; at least the head.
    pub(crate) fn worthwhile_at(&self, share: Share, queued: Cost, head: Cost) -> Timestamp {
        let worthwhile = |queued: u64, head: u64| queued.min(share.of(WORTHWHILE)).max(head);
        let cost = Cost {
            records: worthwhile(queued.records, head.records),
            bytes: worthwhile(queued.bytes, head.bytes),
        };
        let at = self.available_at(share, cost).as_nanos();
        Timestamp::from_nanos(at.div_ceil(WAKE_TICK).saturating_mul(WAKE_TICK))
    }

    fn drain(&mut self, now: Timestamp, share: Share) {
        let elapsed = now.nanos_since(self.drained_at);
        if elapsed > ELAPSED_MAX {
            (self.records, self.bytes, self.drained_at) = (Charges::default(), Charges::default(), now);
            return;
        }
        let steps = steps(share, elapsed);
        if steps == 0 {
            return;
        }
        self.records.drain(steps);
        self.bytes.drain(steps);
        // What is too little for a step is left for the next time.
        self.drained_at =
            Timestamp::from_nanos(self.drained_at.as_nanos().saturating_add(nanos(share, steps)));
    }
}

/// Charges drain in steps of [`RATE_PARTS`] ns of shard time, so that nothing is lost to rounding: how many pass in so
/// many nanoseconds for a shard of which this share is allowed.
fn steps(share: Share, elapsed: u64) -> u64 {
    share.of(elapsed.min(ELAPSED_MAX)) / RATE_PARTS
}

/// The nanoseconds after which so many steps have passed.
fn nanos(share: Share, steps: u64) -> u64 {
    let nanos = (u128::from(steps * RATE_PARTS) << 16).div_ceil(u128::from(share.parts()));
    u64::try_from(nanos).unwrap_or(u64::MAX)
}

impl Charges {
    fn room(&self, share: Share) -> u64 {
        let rooms =
            CURVES.iter().zip(self.0).map(|(curve, charge)| share.of(curve.burst).saturating_sub(charge));
        rooms.max().unwrap_or(0)
    }

    /// Whether a record larger than a burst may go.
    fn is_nearly_empty(&self, share: Share) -> bool {
        self.0.iter().any(|&charge| charge <= share.of(WAKE_TICK))
    }

    fn add(&mut self, cost: u64, share: Share) {
        let charge_max = share.of(CHARGE_MAX.max(cost));
        for charge in &mut self.0 {
            *charge = charge.saturating_add(cost).min(charge_max).max(*charge);
        }
    }

    fn drain(&mut self, steps: u64) {
        for (charge, curve) in self.0.iter_mut().zip(&CURVES) {
            *charge = charge.saturating_sub(steps * curve.rate);
        }
    }

    fn subtract(&mut self, cost: u64, steps: u64) {
        for (charge, curve) in self.0.iter_mut().zip(&CURVES) {
            *charge = charge.saturating_sub(cost.saturating_sub(steps * curve.rate));
        }
    }

    /// How long until one curve allows `cost`, in nanoseconds.
    fn wait(&self, share: Share, cost: u64) -> u64 {
        let waits = self.0.iter().zip(&CURVES).map(|(&charge, curve)| {
            let left = share.of(curve.burst).saturating_sub(cost).max(share.of(WAKE_TICK));
            nanos(share, charge.saturating_sub(left).div_ceil(curve.rate))
        });
        waits.min().unwrap_or(0)
    }
}

impl Allowance {
    /// The same for a single record.
    pub(crate) fn of_one_record(self) -> Self {
        Self { records_max: 1, ..self }
    }

    /// Takes out a record, if it may go.
    pub(crate) fn take(&mut self, cost: Cost) -> bool {
        let fits = self.records_max > 0
            && (cost.records <= self.left.records || self.any_size.0)
            && (cost.bytes <= self.left.bytes || self.any_size.1);
        if fits {
            self.left.records = self.left.records.saturating_sub(cost.records);
            self.left.bytes = self.left.bytes.saturating_sub(cost.bytes);
            self.any_size = (false, false);
            self.records_max -= 1;
            self.taken.records += cost.records;
            self.taken.bytes += cost.bytes;
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    const LIMITS: Limits = Limits { records_per_second: 1_000, bytes_per_second: 1 << 20 };
    const HALF: Share = Share(1 << 15);

    fn take(pacer: &mut Pacer, now: Timestamp, share: Share, bytes: u64) -> Result<Cost, Timestamp> {
        let cost = pacer.cost(1, bytes);
        let mut allowance = pacer.allowance(now, share);
        if !allowance.take(cost) {
            return Err(pacer.available_at(share, cost));
        }
        pacer.charge(&allowance, share);
        Ok(cost)
    }

    fn take_all(pacer: &mut Pacer, now: Timestamp, share: Share) -> u64 {
        let mut taken = 0;
        while take(pacer, now, share, 100).is_ok() {
            taken += 1;
        }
        taken
    }

    #[test]
    fn an_idle_shard_may_be_sent_200_ms_worth_at_once_and_a_new_one_nothing() {
        let mut pacer = Pacer::new(LIMITS);
        let now = Timestamp::from_millis(5_000);
        assert_eq!(take_all(&mut pacer, now, Share::ALL), 200);
        assert_eq!(take_all(&mut Pacer::new(LIMITS), now, HALF), 100);
        for now in [now, Timestamp::from_millis(1_000_000_000)] {
            let mut new = Pacer::new(LIMITS);
            new.spend_bursts(now, Share::ALL);
            assert_eq!(take_all(&mut new, now, Share::ALL), 0, "also after days");
        }
    }

    #[test]
    fn a_record_is_refused_just_before_and_allowed_at_the_time_that_is_told() {
        let mut pacer = Pacer::new(LIMITS);
        let now = Timestamp::from_millis(5_000);
        take_all(&mut pacer, now, HALF);
        let at = take(&mut pacer, now, HALF, 100).expect_err("the burst is used up");
        assert!(take(&mut pacer, Timestamp::from_nanos(at.as_nanos() - 1_000), HALF, 100).is_err());
        assert!(take(&mut pacer, at, HALF, 100).is_ok());
    }

    #[test]
    fn a_saturated_shard_waits_for_several_records_until_a_tick_that_others_share() {
        let mut pacer = Pacer::new(LIMITS);
        let now = Timestamp::from_millis(10_000);
        take_all(&mut pacer, now, Share::ALL);
        let (queued, head) = (pacer.cost(5_000, 500_000), pacer.cost(1, 100));
        let at = pacer.worthwhile_at(Share::ALL, queued, head);
        assert_eq!(at.as_nanos() % WAKE_TICK, 0);
        assert!(at.nanos_since(now) >= WORTHWHILE && at.nanos_since(now) <= WORTHWHILE + 2 * WAKE_TICK);
        let alone = pacer.worthwhile_at(Share::ALL, head, head);
        assert!(alone <= at, "a single record does not wait for more");
    }

    #[test]
    fn a_record_larger_than_every_burst_goes_and_is_paid_for() {
        let mut pacer = Pacer::new(LIMITS);
        let now = Timestamp::from_millis(1_000);
        assert!(take(&mut pacer, now, Share::ALL, 4 << 20).is_ok());
        let at = take(&mut pacer, now, Share::ALL, 100).expect_err("four seconds' worth is charged");
        assert!((3_900..4_100).contains(&(at.nanos_since(now) / 1_000_000)), "{at:?}");
    }

    #[test]
    fn a_charge_at_a_small_share_silences_the_shard_for_two_seconds_at_most() {
        let mut pacer = Pacer::new(LIMITS);
        let (now, small) = (Timestamp::from_millis(1_000), Share(256));
        assert!(take(&mut pacer, now, small, 1 << 20).is_ok());
        let at = take(&mut pacer, now, small, 100).expect_err("it is charged");
        assert!(at.nanos_since(now) <= 2_100_000_000, "waits {} ns", at.nanos_since(now));

        let mut pacer = Pacer::new(LIMITS);
        assert!(take(&mut pacer, now, Share::ALL, 1 << 20).is_ok());
        pacer.share_lowered(Share::ALL, small);
        let at = take(&mut pacer, now, small, 100).expect_err("it is charged");
        assert!(at.nanos_since(now) <= 2_100_000_000, "waits {} ns", at.nanos_since(now));
    }

    #[test]
    fn what_is_given_back_late_does_not_let_a_burst_through_twice() {
        let mut pacer = Pacer::new(LIMITS);
        let (first, later) = (Timestamp::from_millis(1_000), Timestamp::from_millis(1_100));
        let taken = take_all(&mut pacer, first, Share::ALL);
        let cost = pacer.cost(taken, 100 * taken);
        let more = take_all(&mut pacer, later, Share::ALL);
        pacer.give_back(later, Share::ALL, first, cost);
        let again = take_all(&mut pacer, later, Share::ALL);
        assert!(more + again <= 210, "{more} and {again} records went at once");
    }

    proptest! {
        /// Invariant I3 at its root.
        #[test]
        fn a_second_holds_no_more_than_a_seconds_worth_and_one_large_record(
            parts in 1u64..=1 << 16,
            steps in prop::collection::vec((0u64..400, 1u64..400_000, 1usize..60), 1..60),
        ) {
            let share = Share::new(parts);
            let mut pacer = Pacer::new(LIMITS);
            let (mut millis, mut taken) = (1, Vec::new());
            for (pause, bytes, records) in steps {
                millis += pause;
                for _ in 0..records {
                    if let Ok(cost) = take(&mut pacer, Timestamp::from_millis(millis), share, bytes) {
                        taken.push((millis, cost));
                    }
                }
            }
            for (index, &(from, _)) in taken.iter().enumerate() {
                let window = taken[index..].iter().take_while(|(at, _)| at - from < 1_000);
                let (mut sum, mut largest) = (Cost::default(), Cost::default());
                for (_, cost) in window {
                    sum = Cost { records: sum.records + cost.records, bytes: sum.bytes + cost.bytes };
                    largest = Cost {
                        records: largest.records.max(cost.records),
                        bytes: largest.bytes.max(cost.bytes),
                    };
                }
                let second = share.of(NANOS_PER_SECOND) + 1_000;
                prop_assert!(sum.records <= second + largest.records, "{sum:?}");
                // A large record is charged up to two seconds' worth of a small share.
                if largest.bytes <= share.of(CHARGE_MAX / 2) {
                    prop_assert!(sum.bytes <= second + largest.bytes, "{sum:?} of {second}");
                }
            }
        }

        #[test]
        fn giving_back_at_once_restores_the_pacer(bytes in 1u64..1 << 20, parts in 1u64..=1 << 16) {
            let (share, now) = (Share::new(parts), Timestamp::from_millis(1_000));
            let mut pacer = Pacer::new(LIMITS);
            take(&mut pacer, now, share, 100).expect("it is idle");
            let before = pacer.clone();
            let cost = pacer.cost(1, bytes);
            let mut allowance = pacer.allowance(now, share);
            if allowance.take(cost) && cost.bytes <= share.of(CHARGE_MAX / 2) {
                pacer.charge(&allowance, share);
                pacer.give_back(now, share, now, cost);
                prop_assert_eq!(pacer.records.0, before.records.0);
                prop_assert_eq!(pacer.bytes.0, before.bytes.0);
            }
        }
    }
}
