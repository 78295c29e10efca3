//! Time: what it brings, and when the next of it is due.

use core::cmp::Reverse;

use crate::deadline::{Deadline, DeadlineReason};
use crate::time::Timestamp;

use super::Batcher;

impl<T> Batcher<T> {
    /// Moves time on and does what has become due. A time in the past changes nothing.
    #[inline]
    pub(super) fn observe(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
        self.lanes.advance(&self.pool, self.now);
        while self.expiries.peek().is_some_and(|Reverse((at, _))| *at <= self.now) {
            self.expire_lane();
        }
        self.expire_quarantined();
        if !self.misplaced.is_empty() {
            self.give_up_on_maps();
        }
        self.ask_again_for_a_map();
        self.give_turns();
    }

    /// As [`arm_expiry`](Self::arm_expiry), after a push: a record that is the youngest of all expires first in a lane
    /// only if nothing in it expires yet.
    #[inline]
    pub(super) fn arm_expiry_of_youngest(&mut self, index: u32) {
        if self.lanes.lane(index).expiry_at == Timestamp::MAX {
            self.arm_expiry(index);
        }
    }

    /// Makes sure that the lane's oldest record will be seen when it expires.
    pub(super) fn arm_expiry(&mut self, index: u32) {
        let Some(time_to_live) = self.config.time_to_live() else { return };
        let lane = self.lanes.lane_mut(index);
        let Some((accepted_at, _)) = lane.oldest(&self.pool) else { return };
        let at = accepted_at.after(time_to_live);
        if at < lane.expiry_at {
            lane.expiry_at = at;
            self.expiries.push(Reverse((at, index)));
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Deadline> {
        let map = self.next_map_request().into_iter().chain(self.next_to_give_up_on_maps());
        let map = map.min().map(|at| (at, DeadlineReason::ShardMap));
        if self.buffer.held().records == self.stats.records_in_flight {
            return map.map(|(at, reason)| Deadline { at, reason });
        }
        let expiry =
            self.expiries.peek().map(|Reverse((at, _))| *at).into_iter().chain(self.quarantine.expires_at());
        let expiry = expiry.min().filter(|&at| at < Timestamp::MAX).map(|at| (at, DeadlineReason::Expiry));
        let may_send = self.gate.has_slot() && !self.map.is_unknown();
        let send = may_send.then(|| self.next_chance_to_send()).flatten();
        let (at, reason) = expiry.into_iter().chain(send).chain(map).min_by_key(|&(at, _)| at)?;
        Some(Deadline { at, reason })
    }

    /// When a request can go that cannot go now, given a free slot.
    fn next_chance_to_send(&self) -> Option<(Timestamp, DeadlineReason)> {
        let due = self.lanes.any_due().then(|| (self.gate.paced_until(), DeadlineReason::Linger));
        let quarantine = self.quarantine.ready_at().map(|at| (at, DeadlineReason::Shard));
        let linger = self.lanes.linger_ends_at().map(|at| (at, DeadlineReason::Linger));
        let block = self.lanes.block_ends_at().map(|at| (at, DeadlineReason::Shard));
        let first = [due, quarantine, linger, block].into_iter().flatten().min_by_key(|&(at, _)| at)?;
        let closed_until = self.gate.closed_until();
        if first.0 < closed_until {
            return Some((closed_until, DeadlineReason::Backoff));
        }
        // Before this call, what can go at once has gone: the caller polls requests until there is none.
        Some(first)
    }

    fn expire_lane(&mut self) {
        let Some(Reverse((at, index))) = self.expiries.pop() else { return };
        let time_to_live =
            self.config.time_to_live().expect("only records with a time to live have a deadline");
        if self.lanes.lane(index).expiry_at != at {
            return;
        }
        self.lanes.lane_mut(index).expiry_at = Timestamp::MAX;
        let turn = self.lanes.detach_with_turn(index);
        while let Some((accepted_at, _)) = self.lanes.lane(index).oldest(&self.pool)
            && accepted_at.after(time_to_live) <= self.now
        {
            if self.lanes.lane(index).queue.is_empty() {
                self.close_detached_aggregate(index);
            }
            self.expire_head(index);
        }
        self.lanes.reschedule_at(&self.pool, self.now, index, turn);
        self.arm_expiry(index);
    }
}
