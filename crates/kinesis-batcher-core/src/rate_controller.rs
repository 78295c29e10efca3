//! When records may go to one shard.

use alloc::boxed::Box;
use core::time::Duration;

use crate::pacer::{Allowance, Cost, Limits, Pacer, Share};
use crate::rate_law::{Feedback, RateLaw, WINDOW};
use crate::time::Timestamp;

/// Decides when records may go to one shard: as much as the [`RateLaw`] allows, spread over each second by a [`Pacer`].
///
/// A shard may be sent all of its configured limits until it throttles. A producer that is alone on a shard sends 97.5 %
/// of them and is not throttled.
#[derive(Clone, Debug)]
pub(crate) struct RateController {
    pacer: Pacer,
    /// The least share where it follows what the shard throttles; `None` where all of the limits may be sent.
    share_min: Option<Share>,
    /// Set once the shard has throttled something; apart, because most shards never do.
    law: Option<Box<RateLaw>>,
    /// Until then: records stored of those that were sent since this time, which is at most a second ago.
    counted_since: Timestamp,
    stored: u64,
    /// Shard time of those.
    took: u64,
    /// When the share was last lowered, and with it what had been charged, or the limits changed.
    lowered_at: Timestamp,
}

/// Between probes of a shard that refuses whole requests, until replies to them make the lane back off.
const PROBE_INTERVAL: Duration = Duration::from_millis(100);

impl RateController {
    /// For a shard that may be sent a burst at once. `share_min`: the least share, where it follows what the shard
    /// throttles.
    pub(crate) fn new(limits: Limits, share_min: Option<Share>) -> Self {
        let (counted_since, stored, took) = (Timestamp::ZERO, 0, 0);
        Self {
            pacer: Pacer::new(limits),
            share_min,
            law: None,
            counted_since,
            stored,
            took,
            lowered_at: Timestamp::ZERO,
        }
    }

    /// For a shard that came out of these: as many producers write to a child as wrote to its parents. It starts without a
    /// burst, because others may have written to it just now.
    pub(crate) fn child<'a>(
        limits: Limits,
        share_min: Option<Share>,
        now: Timestamp,
        parents: impl Iterator<Item = &'a Self>,
    ) -> Self {
        let laws = parents.filter_map(|parent| parent.law.as_deref()).filter(|_| share_min.is_some());
        let law = laws.min_by_key(|law| law.share()).map(|law| Box::new(law.of_child(now)));
        let mut child = Self { law, ..Self::new(limits, share_min) };
        child.pacer.spend_bursts(now, child.share());
        child
    }

    /// Changes the limits; the share of them stays.
    pub(crate) fn set_limits(&mut self, now: Timestamp, limits: Limits, share_min: Option<Share>) {
        if self.pacer.set_limits(limits) {
            self.lowered_at = now;
        }
        self.share_min = share_min;
        self.law = self.law.take().filter(|_| share_min.is_some());
    }

    /// Shard time of so many records with so many bytes in all.
    pub(crate) fn cost(&self, records: u64, bytes: u64) -> Cost {
        self.pacer.cost(records, bytes)
    }

    /// What may go now. [`on_sent`](Self::on_sent) ends it.
    pub(crate) fn allowance(&mut self, now: Timestamp) -> Allowance {
        let is_probing = self.law.as_mut().is_some_and(|law| {
            law.grow(now);
            law.is_probing()
        });
        let allowance = self.pacer.allowance(now, self.share());
        if is_probing { allowance.of_one_record() } else { allowance }
    }

    /// The records taken out of an allowance are on their way.
    pub(crate) fn on_sent(&mut self, allowance: &Allowance) {
        self.pacer.charge(allowance, self.share());
    }

    /// Records that were sent at `sent_at` never reached the shard.
    pub(crate) fn on_not_sent(&mut self, now: Timestamp, sent_at: Timestamp, records: u64, bytes: u64) {
        if sent_at < self.lowered_at {
            // Something else is charged than was taken: giving back all of it could let others through.
            return;
        }
        let cost = self.pacer.cost(records, bytes);
        self.pacer.give_back(now, self.share(), sent_at, cost);
    }

    /// When it is worth asking for an allowance again after the record at the head of a queue was refused.
    pub(crate) fn worthwhile_at(&mut self, now: Timestamp, queued: Cost, head: Cost) -> Timestamp {
        if let Some(law) = &mut self.law {
            if law.is_probing() {
                return now.after(PROBE_INTERVAL);
            }
            law.on_limited();
        }
        self.pacer.worthwhile_at(self.share(), queued, head)
    }

    /// The earliest time at which a record with this cost may go.
    pub(crate) fn available_at(&self, cost: Cost) -> Timestamp {
        self.pacer.available_at(self.share(), cost)
    }

    /// The share of the limits that the shard may be sent at present.
    pub(crate) fn allowed(&self) -> Share {
        self.law.as_ref().map_or(Share::ALL, |law| law.allowed())
    }

    /// The shard answered records of one request that was sent at `sent_at`, with so many bytes in all.
    pub(crate) fn on_feedback(&mut self, now: Timestamp, sent_at: Timestamp, feedback: Feedback, bytes: u64) {
        let Some(share_min) = self.share_min else { return };
        let cost = self.pacer.cost(feedback.stored + feedback.throttled, bytes);
        let took = cost.records.max(cost.bytes);
        if self.law.is_none() {
            if sent_at.since(self.counted_since) >= WINDOW {
                (self.counted_since, self.stored, self.took) = (sent_at, 0, 0);
            }
            if feedback.throttled == 0 {
                self.stored += feedback.stored;
                self.took += took;
                return;
            }
        }
        let (since, stored, before) = (self.counted_since, self.stored, self.took);
        let law =
            self.law.get_or_insert_with(|| Box::new(RateLaw::new(now, since, stored, before, share_min)));
        let before = law.share();
        let resumed = law.on_feedback(now, sent_at, feedback, took);
        let (share, is_over) = (law.share(), law.is_over(now));
        if resumed {
            self.pacer.spend_bursts(now, share);
        }
        if share < before {
            self.lowered_at = now;
            self.pacer.share_lowered(before, share);
        }
        if is_over {
            self.law = None;
        }
    }

    fn share(&self) -> Share {
        self.law.as_ref().map_or(Share::ALL, |law| law.share())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: Limits = Limits { records_per_second: 1_000, bytes_per_second: 1 << 20 };

    fn controller() -> RateController {
        RateController::new(LIMITS, Some(Share::new(0)))
    }

    fn records_per_second(controller: &RateController) -> u64 {
        LIMITS.scaled(controller.allowed()).records_per_second
    }

    /// Sends as much as is allowed every 20 ms, and answers each request 20 ms later with `answer(sent at, records)`.
    /// Returns the number of records sent.
    fn run(
        controller: &mut RateController,
        from: u64,
        millis: u64,
        mut answer: impl FnMut(u64, u64) -> Feedback,
    ) -> u64 {
        let mut sent = 0;
        for at in from..from + millis {
            if at % 20 != 0 {
                continue;
            }
            let now = Timestamp::from_millis(at);
            let mut allowance = controller.allowance(now);
            let cost = controller.cost(1, 100);
            let mut records = 0;
            while allowance.take(cost) {
                records += 1;
            }
            controller.on_sent(&allowance);
            let _ = controller.worthwhile_at(now, controller.cost(1_000, 100_000), cost);
            if records > 0 {
                sent += records;
                controller.on_feedback(
                    Timestamp::from_millis(at + 20),
                    now,
                    answer(at, records),
                    100 * records,
                );
            }
        }
        sent
    }

    fn stored(_: u64, records: u64) -> Feedback {
        Feedback { stored: records, throttled: 0 }
    }

    fn throttled(_: u64, records: u64) -> Feedback {
        Feedback { stored: 0, throttled: records }
    }

    #[test]
    fn a_shard_that_stores_all_is_sent_97_per_cent_of_its_limit() {
        let mut controller = controller();
        run(&mut controller, 0, 2_000, stored);
        let sent = run(&mut controller, 2_000, 10_000, stored);
        assert!((9_700..9_800).contains(&sent), "{sent} records in ten seconds");
        assert_eq!(records_per_second(&controller), 1_000);
    }

    #[test]
    fn a_window_of_which_a_third_is_throttled_cuts_once_to_what_was_stored() {
        let mut controller = controller();
        run(&mut controller, 0, 1_050, |_, records| Feedback {
            stored: records - records / 3,
            throttled: records / 3,
        });
        let rate = records_per_second(&controller);
        assert!((620..720).contains(&rate), "{rate} records a second after one window");
        run(&mut controller, 1_060, 900, |_, records| Feedback { stored: records, throttled: 0 });
        assert!(records_per_second(&controller) >= rate, "no second cut before the first had its effect");
    }

    #[test]
    fn one_throttled_record_in_a_hundred_is_the_jitter_of_the_network() {
        let mut controller = controller();
        let mut count = 0;
        run(&mut controller, 0, 20_000, |_, records| {
            count += records;
            let throttled = u64::from(count >= 100);
            count -= 100 * throttled;
            Feedback { stored: records - throttled, throttled }
        });
        assert_eq!(records_per_second(&controller), 1_000);
    }

    #[test]
    fn a_shard_that_refuses_whole_requests_is_probed_with_single_records() {
        let mut controller = controller();
        run(&mut controller, 0, 1_000, stored);
        run(&mut controller, 1_000, 100, throttled);
        let now = Timestamp::from_millis(1_200);
        let mut allowance = controller.allowance(now);
        assert!(allowance.take(controller.cost(1, 100)), "a probe may go");
        assert!(!allowance.take(controller.cost(1, 100)), "and nothing else");
        let again = controller.worthwhile_at(now, controller.cost(500, 50_000), controller.cost(1, 100));
        assert_eq!(again, now.after(PROBE_INTERVAL));
        assert_eq!(records_per_second(&controller), 4);
    }

    #[test]
    fn after_an_outage_a_shard_resumes_at_half_of_its_rate_and_is_full_again_within_15_seconds() {
        let mut controller = controller();
        run(&mut controller, 0, 5_000, stored);
        let tried = run(&mut controller, 5_000, 30_000, throttled);
        assert!(tried < 1_600, "{tried} records were tried while nothing was stored");
        run(&mut controller, 35_000, 100, stored);
        let rate = records_per_second(&controller);
        assert!((100..=500).contains(&rate), "it resumes at {rate} records a second, and without a burst");
        run(&mut controller, 35_100, 15_000, stored);
        assert_eq!(records_per_second(&controller), 1_000);
    }

    #[test]
    fn a_full_window_is_told_from_an_outage_and_cuts_the_rate_to_what_fits() {
        let mut controller = controller();
        // The wall clock's second has room for 500 of ours.
        let mut room = (0, 500);
        run(&mut controller, 0, 4_000, |at, records| {
            if at / 1_000 != room.0 {
                room = (at / 1_000, 500);
            }
            let stored = records.min(room.1);
            room.1 -= stored;
            Feedback { stored, throttled: records - stored }
        });
        let rate = records_per_second(&controller);
        assert!((400..560).contains(&rate), "{rate} records a second");
    }

    #[test]
    fn the_share_grows_only_while_it_holds_records_back() {
        let mut controller = controller();
        run(&mut controller, 0, 1_010, |_, records| Feedback {
            stored: records / 2,
            throttled: records - records / 2,
        });
        let rate = records_per_second(&controller);
        for second in 2..60 {
            let now = Timestamp::from_millis(second * 1_000);
            let mut allowance = controller.allowance(now);
            assert!(allowance.take(controller.cost(1, 100)));
            controller.on_sent(&allowance);
            controller.on_feedback(
                now.after(Duration::from_millis(20)),
                now,
                Feedback { stored: 1, throttled: 0 },
                100,
            );
        }
        let after = records_per_second(&controller);
        assert!(after <= rate + 1, "it grew from {rate} to {after} unused");
    }

    #[test]
    fn what_three_cuts_do_not_lessen_is_tolerated() {
        let mut controller = controller();
        let mut count = 0;
        // One in ten at every rate.
        let at_random = move |_, records| {
            count += records;
            let throttled = count / 10;
            count %= 10;
            Feedback { stored: records - throttled, throttled }
        };
        run(&mut controller, 0, 40_000, at_random);
        let rate = records_per_second(&controller);
        assert!(rate >= 900, "{rate} records a second, though giving way changes nothing");
    }

    #[test]
    fn a_least_share_is_kept_whatever_is_throttled() {
        let mut controller = RateController::new(LIMITS, Some(Share::new(1 << 15)));
        // The shard takes 200 records a second, in a bucket of 20 ms.
        run(&mut controller, 0, 20_000, |_, records| {
            let stored = records.min(4);
            Feedback { stored, throttled: records - stored }
        });
        let rate = LIMITS.scaled(controller.share()).records_per_second;
        assert!((500..=510).contains(&rate), "{rate} records a second");
    }

    #[test]
    fn what_was_sent_before_a_cut_is_not_given_back() {
        let mut controller = controller();
        run(&mut controller, 0, 1_010, |_, records| Feedback {
            stored: records / 2,
            throttled: records - records / 2,
        });
        let (now, cost) = (Timestamp::from_millis(1_030), controller.cost(1, 100));
        let mut allowance = controller.allowance(now);
        while allowance.take(cost) {}
        controller.on_sent(&allowance);
        let before = controller.available_at(cost);
        controller.on_not_sent(now, Timestamp::from_millis(1_000), 20, 2_000);
        assert_eq!(controller.available_at(cost), before, "the cut has taken it off already");
        controller.on_not_sent(now, now, 20, 2_000);
        assert!(controller.available_at(cost) < before, "records sent since the cut are given back");
    }

    #[test]
    fn a_child_has_the_share_of_the_parent_that_has_less_and_no_burst() {
        let halved = {
            let mut controller = controller();
            run(&mut controller, 0, 1_050, |_, records| Feedback {
                stored: records / 2,
                throttled: records - records / 2,
            });
            controller
        };
        let now = Timestamp::from_millis(2_000);
        let mut child =
            RateController::child(LIMITS, Some(Share::new(0)), now, [&controller(), &halved].into_iter());
        assert_eq!(records_per_second(&child), records_per_second(&halved));
        assert!(!child.allowance(now).take(child.cost(1, 100)), "nothing goes at once");
        let fixed = RateController::child(LIMITS, None, now, [&halved].into_iter());
        assert_eq!(records_per_second(&fixed), 1_000);
    }

    #[test]
    fn a_share_that_is_not_to_adapt_any_more_is_all_of_the_limits() {
        let mut controller = controller();
        run(&mut controller, 0, 3_000, throttled);
        assert_eq!(records_per_second(&controller), 4);
        controller.set_limits(Timestamp::from_millis(3_000), LIMITS, None);
        assert_eq!(records_per_second(&controller), 1_000);
    }

    proptest! {
        #[test]
        fn whatever_is_answered_a_record_waits_for_two_seconds_at_most_and_the_share_stays_in_its_bounds(
            answers in prop::collection::vec((0u64..3_000, 0u64..500, 0u64..500, 1u64..200_000), 1..80),
        ) {
            let mut controller = controller();
            let mut at = 0;
            for (pause, stored, throttled, bytes) in answers {
                at += pause;
                let now = Timestamp::from_millis(at);
                let mut allowance = controller.allowance(now);
                let cost = controller.cost(1, bytes);
                while allowance.take(cost) {}
                controller.on_sent(&allowance);
                let wait = controller.available_at(cost).since(now);
                prop_assert!(wait <= Duration::from_millis(2_100), "a record waits {:?}", wait);
                controller.on_feedback(now.after(Duration::from_millis(30)), now, Feedback { stored, throttled }, bytes);
                prop_assert!((4..=1_000).contains(&records_per_second(&controller)));
            }
        }
    }
}
