//! Building requests.

use alloc::collections::BTreeSet;

use crate::entry::{Content, Entry, EntryId};
use crate::error_code::ServiceError;
use crate::event::FailureReason;
use crate::pacer::Allowance;
use crate::request::{Request, Run};
use crate::time::Timestamp;

use super::Batcher;
use super::order::Unit;

/// Why nothing more is taken from a lane.
enum Stop {
    /// It is empty, or its next record waits for others.
    LaneExhausted,
    /// The shard's limits hold back the lane's next record.
    NotAllowed { head_bytes: usize },
    /// The request has as many records as it may.
    RequestFull,
    /// The lane's next record is too large for what is left of the request.
    TooLargeForTheRest,
}

impl<T> Batcher<T> {
    /// The next request, if one may go and is worth it.
    pub(super) fn fill(&mut self) -> Option<Request<T>> {
        if !self.gate.is_open(self.now) || self.map.is_unknown() {
            return None;
        }
        let any_suspect = self.quarantine.ready_at().is_some_and(|ready_at| ready_at <= self.now);
        let is_full = self.is_full_request();
        let is_worth_it = is_full || self.lanes.any_due() && self.gate.paced_until() <= self.now;
        if !any_suspect && !is_worth_it {
            return None;
        }
        let mut request = self.blank_request();
        if any_suspect {
            self.fill_from_quarantine(&mut request);
        }
        if request.entries.is_empty() && is_worth_it {
            self.fill_from_lanes(&mut request);
            if !is_full && !request.entries.is_empty() {
                self.gate.stepped(self.now);
            }
        }
        if request.entries.is_empty() {
            self.spare.push((request.entries, request.runs));
            return None;
        }
        self.gate.sent();
        self.stats.requests_sent += 1;
        self.histograms.request_entries.record(request.entries.len() as u64);
        self.histograms.request_bytes.record(request.bytes as u64);
        self.stats.records_in_flight += request.user_records;
        // Suspects go as they were grouped, though requests may have to be smaller since.
        let bytes_max = if any_suspect { self.config.request_bytes_max() } else { self.request_bytes_max };
        debug_assert!(
            request.bytes <= bytes_max || request.entries.len() == 1,
            "I2: only a single record may be larger than a request"
        );
        Some(request)
    }

    /// Whether lanes have enough for a full request.
    fn is_full_request(&self) -> bool {
        self.lanes.sendable_records() >= self.config.request_records_max()
            || self.lanes.sendable_bytes() >= self.request_bytes_max as u64
    }

    fn blank_request(&mut self) -> Request<T> {
        let (entries, runs) = self.spare.pop().unwrap_or_default();
        Request { entries, runs, bytes: 0, user_records: 0, sent_at: self.now, map_version: self.map_version }
    }

    fn fill_from_lanes(&mut self, request: &mut Request<T>) {
        while request.entries.len() < self.config.request_records_max() {
            let Some(index) = self.lanes.next_to_send(&self.pool, self.now) else { break };
            let mut run = Run { lane: index, ..Run::default() };
            let stop = self.take_from_lane(request, &mut run);
            self.close_run(request, run);
            match stop {
                Stop::TooLargeForTheRest if run.entries == 0 => {
                    self.lanes.reschedule_first(&self.pool, self.now, index);
                    break;
                }
                Stop::TooLargeForTheRest | Stop::RequestFull => {
                    self.lanes.reschedule(&self.pool, self.now, index);
                    break;
                }
                Stop::LaneExhausted | Stop::NotAllowed { .. } => {
                    self.lanes.reschedule(&self.pool, self.now, index);
                }
            }
        }
    }

    fn take_from_lane(&mut self, request: &mut Request<T>, run: &mut Run) -> Stop {
        let rate = self.lanes.lane_mut(run.lane).rate.as_mut();
        let mut allowance = rate.map(|rate| rate.allowance(self.now));
        let stop = self.take_allowed(request, run, allowance.as_mut());
        let lane = self.lanes.lane_mut(run.lane);
        if let Some((rate, allowance)) = lane.rate.as_mut().zip(allowance) {
            rate.on_sent(&allowance);
        }
        if let Stop::NotAllowed { head_bytes } = stop {
            lane.wait_for_limits(self.now, head_bytes);
        }
        stop
    }

    fn take_allowed(
        &mut self,
        request: &mut Request<T>,
        run: &mut Run,
        mut allowance: Option<&mut Allowance>,
    ) -> Stop {
        let index = run.lane;
        let time_to_live = self.config.time_to_live();
        let by_lane = self.order.unit == Unit::Lane;
        let mut keys = BTreeSet::new();
        loop {
            if by_lane && !self.may_join(index, &keys) {
                return Stop::LaneExhausted;
            }
            let Some(id) = self.next_of_lane(index) else { return Stop::LaneExhausted };
            let lane = self.lanes.lane_mut(index);
            let entry = self.pool.entry(id);
            let bytes = entry.bytes();
            if entry.is_expired(self.now, time_to_live) {
                self.expire_head(index);
                continue;
            }
            if request.entries.len() == self.config.request_records_max() {
                return Stop::RequestFull;
            }
            if !request.entries.is_empty() && request.bytes + bytes > self.request_bytes_max {
                return Stop::TooLargeForTheRest;
            }
            if let Some((allowance, rate)) = allowance.as_mut().zip(lane.rate.as_ref())
                && !allowance.take(rate.cost(1, bytes as u64))
            {
                return Stop::NotAllowed { head_bytes: bytes };
            }
            lane.queue.pop_front(&self.pool, bytes);
            request.entries.push(self.pool.remove(id));
            let entry = self.note_added(request, run, bytes);
            if by_lane {
                keys.insert(entry.hash_key);
                if matches!(entry.content, Content::Aggregate(_)) {
                    return Stop::LaneExhausted;
                }
            }
        }
    }

    /// The entry at the head of a detached lane. What is still being aggregated counts once it is ripe.
    fn next_of_lane(&mut self, index: u32) -> Option<EntryId> {
        let lane = self.lanes.lane(index);
        if lane.queue.is_empty() {
            let (accepted_at, sequence) = lane.oldest(&self.pool)?;
            if !self.lanes.is_ripe(self.now, accepted_at, sequence) {
                return None;
            }
            self.close_detached_aggregate(index);
        }
        self.lanes.lane(index).queue.head()
    }

    /// Ends the aggregate of a detached lane and queues it.
    pub(super) fn close_detached_aggregate(&mut self, index: u32) {
        let lane = self.lanes.lane_mut(index);
        if let Some(entry) = lane.open.as_mut().and_then(|open| open.close()) {
            let bytes = entry.bytes();
            let id = self.pool.insert(entry);
            lane.queue.push_back(&mut self.pool, id, bytes);
        }
    }

    /// Sends a group of suspects, if any can go; others of their lanes keep them no company.
    fn fill_from_quarantine(&mut self, request: &mut Request<T>) {
        self.expire_quarantined();
        let Self { quarantine, lanes, lane_of_shard, map, now, .. } = self;
        let group = quarantine.next_group(*now, |entry| {
            let lane = lanes.lane_mut(lane_of_shard[map.index_of(entry.hash_key)]);
            if lane.blocked_until > *now {
                return Err(lane.blocked_until);
            }
            let Some(rate) = &mut lane.rate else { return Ok(()) };
            let cost = rate.cost(1, entry.bytes() as u64);
            let mut allowance = rate.allowance(*now);
            if !allowance.take(cost) {
                return Err(rate.available_at(cost));
            }
            rate.on_sent(&allowance);
            Ok(())
        });
        for entry in group.unwrap_or_default() {
            self.note_brought_back(entry.hash_key);
            let (lane, bytes) = (self.lane_of(entry.hash_key), entry.bytes());
            self.lanes.lane_mut(lane).held.add(entry.held());
            let mut run = Run { lane, ..Run::default() };
            request.entries.push(entry);
            self.note_added(request, &mut run, bytes);
            self.close_run(request, run);
        }
    }

    /// Counts the entry that was just put into the request. Put there first, it is moved once and not for every step.
    #[inline]
    fn note_added<'a>(&self, request: &'a mut Request<T>, run: &mut Run, bytes: usize) -> &'a Entry<T> {
        request.bytes += bytes;
        let entry = request.entries.last_mut().expect("it was just put there");
        entry.attempts += 1;
        run.add(entry, bytes);
        debug_assert!(
            self.config.attempts_max().is_none_or(|max| entry.attempts <= max),
            "I8: a record that was sent as often as allowed has failed"
        );
        debug_assert!(self.is_ahead(entry), "I11: what is sent is ahead of all others of its key");
        entry
    }

    /// Notes which lane the last entries of the request came from.
    fn close_run(&mut self, request: &mut Request<T>, run: Run) {
        if run.entries == 0 {
            return;
        }
        self.stats.records_retried += run.retried;
        request.user_records += run.held.records;
        let by_lane = self.order.unit == Unit::Lane;
        let lane = self.lanes.lane_mut(run.lane);
        lane.must_wait = by_lane;
        lane.records_in_flight += run.held.records;
        lane.counters.records_sent += u64::from(run.entries);
        lane.counters.bytes_sent += run.bytes;
        match request.runs.last_mut() {
            Some(last) if last.lane == run.lane => last.join(run),
            _ => {
                lane.requests_in_flight += 1;
                request.runs.push(run);
            }
        }
    }

    /// Fails what has expired of the entry at the head of a detached lane. Of an aggregate, that may be a part.
    pub(super) fn expire_head(&mut self, index: u32) {
        let lane = self.lanes.lane_mut(index);
        let Some(id) = lane.queue.head() else { return };
        let bytes = self.pool.entry(id).bytes();
        lane.queue.pop_front(&self.pool, bytes);
        let entry = self.pool.remove(id);
        lane.held.subtract(entry.held());
        let last_error = lane.last_error().cloned().or_else(|| self.last_error.clone());
        if let Some(rest) = self.fail_expired(entry, last_error) {
            let lane = self.lanes.lane_mut(index);
            lane.held.add(rest.held());
            let id = self.pool.insert(rest);
            lane.queue.merge(&mut self.pool, &[id]);
        }
    }

    /// Fails the user records of the entry whose time is up; gives back those whose time is not.
    pub(super) fn fail_expired(
        &mut self,
        entry: Entry<T>,
        last_error: Option<ServiceError>,
    ) -> Option<Entry<T>> {
        let reason = FailureReason::Expired { last_error };
        let Some(time_to_live) = self.config.time_to_live() else { return Some(entry) };
        let now = self.now;
        let alive = |accepted_at: Timestamp| accepted_at.after(time_to_live) > now;
        if !entry.has_any(alive) {
            self.fail(entry, &reason);
            return None;
        }
        let (live, expired) = self.divide_as_large(entry, |_, accepted_at| alive(accepted_at));
        for entry in expired {
            self.fail(entry, &reason);
        }
        debug_assert!(live.len() <= 1, "a part of an aggregate fits where the whole did");
        live.into_iter().next()
    }

    /// Fails the quarantined records whose time is up.
    pub(super) fn expire_quarantined(&mut self) {
        let now = self.now;
        if self.quarantine.expires_at().is_none_or(|at| at > now) {
            return;
        }
        let time_to_live = self.config.time_to_live();
        for entry in self.quarantine.extract(|entry| entry.is_expired(now, time_to_live), time_to_live) {
            let last_error = self.last_error.clone();
            self.note_brought_back(entry.hash_key);
            if let Some(rest) = self.fail_expired(entry, last_error) {
                self.note_set_aside(rest.hash_key);
                self.quarantine.put_back(rest, time_to_live);
            }
        }
    }
}
