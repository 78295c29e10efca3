//! What becomes of a request's records once it has come back.

use alloc::format;
use alloc::vec::Vec;
use core::slice;

use crate::aggregate::tell;
use crate::answered::{Answered, Delivered, Digest, measure};
use crate::entry::{Content, Entry, EntryId};
use crate::error_code::{ErrorClass, ServiceError};
use crate::event::{Event, FailureReason};
use crate::histograms::Histograms;
use crate::hold::Hold;
use crate::lane::LaneState;
use crate::rate_law::Feedback;
use crate::request::{Request, Run};
use crate::response::{RecordOutcome, RequestError, Response};
use crate::sequence_number::SequenceNumber;
use crate::shard_id::ShardId;
use crate::time::Timestamp;

use super::order::Unit;
use super::{Batcher, Phase};

impl<T> Batcher<T> {
    /// Settles each record. Those that were delivered together are given back to be told; of the others, and where
    /// not all were delivered, events tell.
    pub(super) fn settle(&mut self, answered: Answered<T>) -> Option<Delivered<T>> {
        let Answered { request, outcome, digest } = answered;
        self.stats.records_in_flight -= request.user_records;
        self.histograms.request_duration.record(self.now.nanos_since(request.sent_at));
        self.note_returned(&request.runs);
        match outcome {
            Ok(response) if response.outcomes.len() == request.entries.len() => {
                match digest.filter(|digest| self.is_as_predicted(&request.runs, &response, digest)) {
                    Some(digest) => return Some(self.settle_stored(request, response, &digest)),
                    None => self.settle_each(request, response),
                }
            }
            Ok(response) => {
                let message = format!(
                    "the reply has {} entries for {} records",
                    response.outcomes.len(),
                    request.len()
                );
                self.settle_failed(request, &RequestError::outcome_unknown(&message));
            }
            Err(error) => self.settle_failed(request, &error),
        }
        None
    }

    /// Whether every record is in the shard of its lane.
    fn is_as_predicted(&self, runs: &[Run], response: &Response, digest: &Digest) -> bool {
        let mut index = 0;
        runs.iter().all(|run| {
            let first = &response.outcomes[index];
            index += run.entries as usize;
            let Some(predicted) = &self.lanes.lane(run.lane).shard_id else { return true };
            digest.runs_are_whole
                && matches!(first, RecordOutcome::Stored { shard_id, .. } if shard_id == predicted)
        })
    }

    /// Every record is where it belongs: what is to be done is done for all records of a shard at once.
    fn settle_stored(&mut self, request: Request<T>, response: Response, digest: &Digest) -> Delivered<T> {
        self.stats.requests_answered += 1;
        self.answered(request.sent_at);
        let Request { entries, mut runs, sent_at, map_version, .. } = request;
        if self.order.unit == Unit::Key {
            for entry in &entries {
                self.let_next_go(entry.hash_key);
            }
        }
        for run in runs.drain(..) {
            let lane = self.lanes.lane_mut(run.lane);
            lane.requests_in_flight -= 1;
            lane.held.subtract(run.held);
            lane.records_in_flight -= run.held.records;
            self.buffer.release(run.held);
            self.stats.kinesis_records_delivered += u64::from(run.entries);
            self.stats.records_delivered += run.held.records;
            self.stats.bytes_delivered += run.held.bytes;
            self.stats.records_recovered += run.retried;
            self.stats.records_possibly_duplicated += run.possible_duplicates;
            let counts = Feedback { stored: u64::from(run.entries), throttled: 0 };
            self.settle_run(run, sent_at, map_version, RunVerdict { counts, waits_for: None }, &mut []);
        }
        self.histograms.push_delay.add(&digest.push_delay);
        self.histograms.user_records.add(&digest.user_records);
        Delivered { entries, runs, outcomes: response.outcomes }
    }

    /// The service answered record by record.
    fn settle_each(&mut self, request: Request<T>, response: Response) {
        self.stats.requests_answered += 1;
        match response.outcomes.iter().find_map(account_error).filter(|_| !stores_any(&response)) {
            Some(error) => {
                self.gate.refused(self.now, request.sent_at, &mut self.rng);
                self.last_error = Some(error.clone());
                self.begin_hold(error);
            }
            None => self.answered(request.sent_at),
        }
        let Request { mut entries, runs, sent_at, map_version, .. } = request;
        let mut settled = entries.drain(..).zip(response.outcomes);
        for &run in &runs {
            let lane = self.lanes.lane_mut(run.lane);
            lane.requests_in_flight -= 1;
            let mut verdict = RunVerdict::default();
            let mut again = Vec::new();
            for (entry, outcome) in settled.by_ref().take(run.entries as usize) {
                self.leave_lane(run.lane, &entry);
                self.settle_one(run.lane, entry, outcome, &mut verdict, &mut again);
            }
            self.settle_run(run, sent_at, map_version, verdict, &mut again);
        }
        drop(settled);
        self.recycle(entries, runs);
    }

    #[inline]
    fn settle_one(
        &mut self,
        lane: u32,
        mut entry: Entry<T>,
        outcome: RecordOutcome,
        verdict: &mut RunVerdict,
        again: &mut Vec<EntryId>,
    ) {
        let error = match outcome {
            RecordOutcome::Stored { shard_id, sequence_number } => {
                verdict.counts.stored += 1;
                return self.stored(lane, entry, shard_id, sequence_number);
            }
            RecordOutcome::Failed(error) => error,
            RecordOutcome::Unknown => ServiceError::new(
                "OutcomeUnknown",
                "the reply names neither a shard nor an error for the record",
            ),
        };
        let class = error.code().class();
        // After a failure of the service the record can be stored all the same (S-49).
        entry.possible_duplicate |= class == ErrorClass::Transient;
        entry.attempts -= u32::from(matches!(class, ErrorClass::Account | ErrorClass::Credentials));
        match class {
            ErrorClass::Account if self.config.fail_fast() => {
                self.fail(entry, &FailureReason::Permanent(error));
            }
            ErrorClass::Rejected => self.fail(entry, &FailureReason::Rejected(error)),
            class => {
                if class == ErrorClass::Throttled {
                    verdict.counts.throttled += 1;
                }
                self.try_again(entry, &error, again);
                verdict.waits_for = Some(error);
            }
        }
    }

    /// Draws the conclusions for the lane of a run, and puts back what is to be sent again.
    fn settle_run(
        &mut self,
        run: Run,
        sent_at: Timestamp,
        map_version: u64,
        verdict: RunVerdict,
        again: &mut [EntryId],
    ) {
        let Feedback { stored, throttled } = verdict.counts;
        self.stats.records_throttled += throttled;
        let lane = self.lanes.lane_mut(run.lane);
        lane.counters.records_delivered += stored;
        lane.counters.records_throttled += throttled;
        if stored > 0 {
            self.stats.last_stored_at = Some(self.now);
            lane.progressed();
        }
        if let Some(rate) = &mut lane.rate {
            rate.on_feedback(self.now, sent_at, verdict.counts, run.bytes);
        }
        let must_wait = verdict.waits_for.is_some();
        if let Some(error) = verdict.waits_for {
            let in_part = stored > 0 && error.code().class() == ErrorClass::Throttled;
            if in_part && lane.rate.is_some() {
                lane.throttled_in_part(self.now, error);
            } else {
                lane.backs_off(self.now, sent_at, error, &mut self.rng);
            }
        }
        self.put_back(run.lane, map_version, again);
        if must_wait && self.lanes.lane(run.lane).state != LaneState::Retired {
            // What waits there must wait too, though nothing of the run may have come back to it: records that a newer
            // map sends elsewhere, or that were handed back.
            self.lanes.detach(run.lane);
            self.lanes.reschedule(&self.pool, self.now, run.lane);
        }
        self.lanes.vacate_if_unused(run.lane);
    }

    /// The service answered a request that was sent at `sent_at`: the stream can be written to.
    fn answered(&mut self, sent_at: Timestamp) {
        self.gate.answered(self.now, sent_at);
        self.last_error = None;
        if self.hold.take().is_some() {
            // The stream may have been created again meanwhile, with other shards (S-21, S-22).
            self.ask_for_a_map();
        }
    }

    /// The stream cannot be written to for this reason. The gate says when the next probe may go.
    fn begin_hold(&mut self, error: ServiceError) {
        self.stats.holds += u64::from(self.hold.is_none());
        let since = self.hold.as_ref().map_or(self.now, |hold| hold.since);
        self.hold = Some(Hold { error, since, next_probe_at: self.gate.closed_until() });
    }

    /// Whether records fail for this error of a request that was sent at `sent_at`, because failing fast was asked for.
    fn fails_fast(&self, error: &RequestError, sent_at: Timestamp) -> bool {
        self.config.fail_fast()
            && match error.class() {
                ErrorClass::Account => true,
                // The transport had no chance to get other credentials before a request that was sent earlier.
                ErrorClass::Credentials => self.hold.as_ref().is_some_and(|hold| hold.since < sent_at),
                _ => false,
            }
    }

    /// The request as a whole came to nothing. Whether it was stored may be unknown (S-23).
    fn settle_failed(&mut self, request: Request<T>, error: &RequestError) {
        let fails_fast = self.fails_fast(error, request.sent_at);
        let counter = match error.class() {
            ErrorClass::Throttled => &mut self.stats.requests_throttled,
            ErrorClass::Transient => &mut self.stats.requests_transient,
            ErrorClass::Credentials => &mut self.stats.requests_credentials,
            ErrorClass::Account => &mut self.stats.requests_account,
            ErrorClass::TooLarge => &mut self.stats.requests_too_large,
            ErrorClass::Rejected => &mut self.stats.requests_rejected,
        };
        *counter += 1;
        match error.class() {
            ErrorClass::Rejected | ErrorClass::TooLarge => self.answered(request.sent_at),
            ErrorClass::Credentials | ErrorClass::Account => {
                self.gate.refused(self.now, request.sent_at, &mut self.rng);
                self.begin_hold(error.error().clone());
                if error.error().code().as_str() == STREAM_MISSING {
                    self.doubt_map();
                }
            }
            ErrorClass::Throttled | ErrorClass::Transient => {
                self.gate.failed(self.now, request.sent_at, &mut self.rng);
                if let Some(hold) = &mut self.hold {
                    hold.next_probe_at = self.gate.closed_until();
                }
            }
        }
        self.last_error = Some(error.error().clone());
        let Request { mut entries, runs, bytes, sent_at, map_version, .. } = request;
        if !error.is_outcome_unknown() {
            self.give_back_limits(&entries, &runs, sent_at);
        }
        match error.class() {
            ErrorClass::Rejected => self.quarantine(&mut entries, &runs, map_version, error.error()),
            ErrorClass::TooLarge => {
                self.divide_request(&mut entries, &runs, bytes, map_version, error.error());
            }
            _ => self.end_each(&mut entries, &runs, map_version, |batcher, mut entry, again| {
                entry.possible_duplicate |= error.is_outcome_unknown();
                entry.attempts -= u32::from(!error.is_attempt());
                if fails_fast {
                    batcher.fail(entry, &FailureReason::Permanent(error.error().clone()));
                } else {
                    batcher.try_again(entry, error.error(), again);
                }
            }),
        }
        self.recycle(entries, runs);
    }

    /// A request with so many bytes is too large for the service or for a proxy before it: its records are sent again
    /// in requests of half the size at most. What is alone and cannot be divided is at fault.
    fn divide_request(
        &mut self,
        entries: &mut Vec<Entry<T>>,
        runs: &[Run],
        bytes: usize,
        map_version: u64,
        error: &ServiceError,
    ) {
        let can_be_divided =
            entries.len() > 1 || entries.iter().any(|entry| matches!(entry.content, Content::Aggregate(_)));
        if can_be_divided {
            self.request_bytes_max = self.request_bytes_max.min((bytes / 2).max(1));
        }
        let mut too_large = Vec::new();
        self.end_each(entries, runs, map_version, |batcher, mut entry, again| {
            entry.attempts -= 1;
            if !can_be_divided {
                batcher.fail(entry, &FailureReason::Rejected(error.clone()));
            } else if entry.bytes() > batcher.request_bytes_max
                && matches!(entry.content, Content::Aggregate(_))
            {
                batcher.try_again(entry, error, &mut too_large);
            } else {
                batcher.try_again(entry, error, again);
            }
        });
        let parts = too_large.into_iter().flat_map(|id| {
            let entry = self.pool.remove(id);
            self.divide(entry, |_, _| true).0
        });
        let parts: Vec<Entry<T>> = parts.collect();
        let ids: Vec<EntryId> = parts.into_iter().map(|entry| self.pool.insert(entry)).collect();
        self.route(&ids);
    }

    /// Ends the flight of each record in the same way, and puts back what is to be sent again.
    fn end_each(
        &mut self,
        entries: &mut Vec<Entry<T>>,
        runs: &[Run],
        map_version: u64,
        mut end: impl FnMut(&mut Self, Entry<T>, &mut Vec<EntryId>),
    ) {
        let mut entries = entries.drain(..);
        for run in runs {
            let lane = self.lanes.lane_mut(run.lane);
            lane.requests_in_flight -= 1;
            let mut again = Vec::new();
            for entry in entries.by_ref().take(run.entries as usize) {
                self.leave_lane(run.lane, &entry);
                end(self, entry, &mut again);
            }
            self.put_back(run.lane, map_version, &mut again);
            self.lanes.vacate_if_unused(run.lane);
        }
    }

    /// Something in the request is wrong. One record: it is at fault. More: look for it in halves.
    fn quarantine(
        &mut self,
        entries: &mut Vec<Entry<T>>,
        runs: &[Run],
        map_version: u64,
        error: &ServiceError,
    ) {
        let alone = entries.len() == 1;
        let mut suspects = Vec::with_capacity(entries.len());
        let aborted = self.phase >= Phase::Aborted;
        let order_impossible = self.is_order_impossible();
        self.end_each(entries, runs, map_version, |batcher, mut entry, _| {
            if alone {
                batcher.fail(entry, &FailureReason::Rejected(error.clone()));
                return;
            }
            // The service looked at the request and not at this record: the attempt does not count against it.
            entry.attempts -= 1;
            if aborted {
                batcher.fail(entry, &FailureReason::Aborted);
            } else if order_impossible {
                batcher.fail(entry, &FailureReason::OrderImpossible);
            } else {
                batcher.note_set_aside(entry.hash_key);
                suspects.push(entry);
            }
        });
        if !suspects.is_empty() {
            self.quarantine.halve(suspects, self.config.time_to_live());
            // Time may have run out on the way, and what a new map sends back to a queue would expire there too late.
            self.expire_quarantined();
            if map_version != self.map_version {
                self.requarantine();
            }
        }
    }

    #[inline]
    pub(super) fn deliver(&mut self, entry: Entry<T>, shard_id: ShardId, sequence_number: SequenceNumber) {
        let (held, key) = (entry.held(), entry.hash_key);
        self.buffer.release(held);
        self.stats.kinesis_records_delivered += 1;
        self.stats.records_delivered += held.records;
        self.stats.bytes_delivered += held.bytes;
        self.stats.records_recovered += if entry.attempts > 1 { held.records } else { 0 };
        self.stats.records_possibly_duplicated += if entry.possible_duplicate { held.records } else { 0 };
        let Histograms { push_delay, user_records, .. } = &mut self.histograms;
        measure(self.now, slice::from_ref(&entry), push_delay, user_records);
        tell(entry, shard_id, sequence_number, |tag, receipt| {
            self.events.push(Event::Delivered { tag, receipt });
        });
        self.let_next_go(key);
    }

    /// Queues a record again, unless it has had its last chance.
    pub(super) fn try_again(&mut self, entry: Entry<T>, error: &ServiceError, again: &mut Vec<EntryId>) {
        let exhausted = self.config.attempts_max().is_some_and(|max| entry.attempts >= max);
        let expired = entry.is_expired(self.now, self.config.time_to_live());
        if exhausted {
            self.fail(entry, &FailureReason::AttemptsExhausted(error.clone()));
            return;
        }
        let rest = if expired { self.fail_expired(entry, Some(error.clone())) } else { Some(entry) };
        match rest {
            Some(entry) if self.phase >= Phase::Aborted => self.fail(entry, &FailureReason::Aborted),
            Some(entry) if self.is_order_impossible() => self.fail(entry, &FailureReason::OrderImpossible),
            Some(entry) => again.push(self.pool.insert(entry)),
            None => {}
        }
    }

    /// Takes a record of a request off its lane's account.
    #[inline]
    fn leave_lane(&mut self, lane: u32, entry: &Entry<T>) {
        let (lane, held) = (self.lanes.lane_mut(lane), entry.held());
        lane.held.subtract(held);
        lane.records_in_flight -= held.records;
    }

    /// Puts records of a run back to be sent again: where they came from, or where a newer map sends them.
    fn put_back(&mut self, lane: u32, map_version: u64, ids: &mut [EntryId]) {
        if ids.is_empty() {
            return;
        }
        // What is left of an aggregate of which a part expired may be younger than those that were sent after it.
        let rank = |id: &EntryId| self.pool.entry(*id).rank();
        if !ids.is_sorted_by_key(rank) {
            // Parts of one aggregate share its place: the sort keeps their order.
            ids.sort_by_key(rank);
        }
        if map_version != self.map_version {
            self.route(ids);
            return;
        }
        for &id in &*ids {
            let held = self.pool.entry(id).held();
            self.lanes.lane_mut(lane).held.add(held);
        }
        self.lanes.put_back(&mut self.pool, self.now, lane, ids);
        self.arm_expiry(lane);
    }

    /// Keeps a request's vectors for one to come.
    pub(super) fn recycle(&mut self, mut entries: Vec<Entry<T>>, mut runs: Vec<Run>) {
        entries.clear();
        runs.clear();
        self.spare.push((entries, runs));
    }

    /// Takes what the records of a request cost off their shards' accounts: none of them got there.
    fn give_back_limits(&mut self, entries: &[Entry<T>], runs: &[Run], sent_at: Timestamp) {
        let mut entries = entries.iter();
        for run in runs {
            let bytes = entries.by_ref().take(run.entries as usize).map(|entry| entry.bytes() as u64).sum();
            let lane = self.lanes.lane_mut(run.lane);
            let Some(rate) = &mut lane.rate else { continue };
            rate.on_not_sent(self.now, sent_at, u64::from(run.entries), bytes);
            if lane.state == LaneState::Blocked && lane.last_error().is_none() {
                // It waits for its limits alone, and they have changed.
                lane.blocked_until = self.now;
                self.lanes.detach(run.lane);
                self.lanes.reschedule(&self.pool, self.now, run.lane);
            }
        }
    }
}

/// S-22
const STREAM_MISSING: &str = "ResourceNotFoundException";

/// The error of a record that is about the account and not about the record.
fn account_error(outcome: &RecordOutcome) -> Option<ServiceError> {
    let RecordOutcome::Failed(error) = outcome else { return None };
    matches!(error.code().class(), ErrorClass::Account | ErrorClass::Credentials).then(|| error.clone())
}

fn stores_any(response: &Response) -> bool {
    response.outcomes.iter().any(|outcome| matches!(outcome, RecordOutcome::Stored { .. }))
}

/// What a response says of one lane.
#[derive(Clone, Debug, Default)]
struct RunVerdict {
    counts: Feedback,
    /// Some record is to be sent again, but not at once: the last error of those.
    waits_for: Option<ServiceError>,
}
