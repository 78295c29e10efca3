//! The state machine as a whole: the public face, and what its parts share.

mod enqueue;
mod fill;
mod misplaced;
mod order;
mod reshard;
mod settle;
mod timeouts;

use alloc::collections::BinaryHeap;
use alloc::vec::Vec;
use core::cmp::Reverse;
use core::fmt;

use crate::aggregate::dissolve;
use crate::answered::{Answered, Delivered};
use crate::buffer::Buffer;
use crate::config::Config;
use crate::deadline::Deadline;
use crate::entry::{Entry, EntryPool};
use crate::error_code::ServiceError;
use crate::event::{Event, Failure, FailureReason, PushError};
use crate::events::Events;
use crate::gate::Gate;
use crate::hash_key::HashKey;
use crate::histograms::Histograms;
use crate::hold::Hold;
use crate::lanes::Lanes;
use crate::quarantine::Quarantine;
use crate::record::Record;
use crate::request::{Request, Run, UnsealedRequest};
use crate::response::{RequestError, Response};
use crate::rng::Rng;
use crate::shard_map::ShardMap;
use crate::stats::{ShardStats, Stats};
use crate::time::Timestamp;

use misplaced::{Misplaced, Unexplained};
use order::{Order, Unit};
use reshard::Staleness;

/// A Kinesis producer without I/O: records in, requests and events out.
///
/// `T` is the caller's tag. It goes in with a record and comes back in exactly one event.
///
/// See the [crate's documentation](crate) for the loop around it.
pub struct Batcher<T> {
    config: Config,
    map: ShardMap,
    /// The lane of each shard, by its index in the map; one lane where shards are not known.
    lane_of_shard: Vec<u32>,
    lanes: Lanes<T>,
    pool: EntryPool<T>,
    quarantine: Quarantine<T>,
    buffer: Buffer,
    gate: Gate,
    /// When the oldest record of a lane expires. An entry counts only while it is the lane's `expiry_at`.
    expiries: BinaryHeap<Reverse<(Timestamp, u32)>>,
    events: Events<T>,
    /// Vectors of requests that came back, to be filled again.
    spare: Vec<(Vec<Entry<T>>, Vec<Run>)>,
    staleness: Staleness,
    misplaced: Vec<Misplaced<T>>,
    /// The earliest end of their wait, so that no call looks at each.
    misplaced_until: Timestamp,
    /// A record that a shard other than predicted stored, while the map does not explain it.
    unexplained: Option<Unexplained>,
    /// Kinesis records that another shard than predicted stored, since the map last changed.
    misrouted: u64,
    order: Order,
    /// Counts the maps taken in, and the doubts about them.
    map_version: u64,
    /// The stream was missing, and no map has come since it is back: it may be another, with other shards of the same
    /// names. Nothing is aggregated meanwhile.
    doubts_map: bool,
    /// The last failure of a whole request; the failure of a record that expires carries it.
    last_error: Option<ServiceError>,
    hold: Option<Hold>,
    /// Bytes in a request, at most: as configured, or less where a larger one was refused as too large.
    request_bytes_max: usize,
    rng: Rng,
    now: Timestamp,
    next_sequence: u64,
    phase: Phase,
    stats: Stats,
    /// Of user records, aggregates alone are noted: the others all count one, and their number is known.
    histograms: Histograms,
}

/// How far the batcher is on its way to an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Open,
    Closed,
    /// Closed, and what comes back undelivered is not tried again.
    Aborted,
    /// The last event was given.
    Drained,
}

impl<T> Batcher<T> {
    /// A producer for the stream that `shards` describes, at the time `now`.
    ///
    /// The seed decides the jitter of waits: give each producer another, or many will retry at the same moment; give
    /// the same one to repeat a run.
    #[must_use]
    pub fn new(config: Config, shards: ShardMap, seed: u64, now: Timestamp) -> Self {
        let order = Order::new(&config);
        let mut batcher = Self {
            map: shards,
            lane_of_shard: Vec::new(),
            lanes: Lanes::new(config.linger(), order.unit == Unit::Lane),
            pool: EntryPool::new(),
            quarantine: Quarantine::new(),
            buffer: Buffer::new(config.buffer_bytes_max(), config.buffer_records_max()),
            gate: Gate::new(config.in_flight_requests_max()),
            expiries: BinaryHeap::new(),
            events: Events::new(),
            spare: Vec::new(),
            staleness: Staleness::new(),
            misplaced: Vec::new(),
            misplaced_until: Timestamp::MAX,
            unexplained: None,
            misrouted: 0,
            order,
            map_version: 0,
            doubts_map: false,
            last_error: None,
            hold: None,
            request_bytes_max: config.request_bytes_max(),
            rng: Rng::new(seed),
            now,
            next_sequence: 0,
            phase: Phase::Open,
            stats: Stats::default(),
            histograms: Histograms::new(),
            config,
        };
        batcher.open_first_lanes();
        if batcher.map.is_unknown() {
            batcher.ask_for_a_map();
        }
        batcher
    }

    /// Takes a record in.
    ///
    /// # Errors
    /// [`PushError`] gives record and tag back with the reason: the buffer, or the shard's share of it, is full; the
    /// record is too large for the stream; it has no partition key and needs one; the stream cannot keep the order
    /// that was asked for; the batcher is closed.
    pub fn push(&mut self, now: Timestamp, record: Record, tag: T) -> Result<(), PushError<T>> {
        self.observe(now);
        self.push_observed(record, tag)
    }

    /// As a [`push`](Self::push) for each, for less: takes records in until there are no more or one is refused. Those
    /// behind that one are left to the iterator.
    ///
    /// # Errors
    /// As for `push`, with the record that was refused.
    pub fn push_all(
        &mut self,
        now: Timestamp,
        records: impl IntoIterator<Item = (Record, T)>,
    ) -> Result<(), PushError<T>> {
        self.observe(now);
        records.into_iter().try_for_each(|(record, tag)| self.push_observed(record, tag))
    }

    /// Takes a record in at the time that was observed last.
    #[inline]
    fn push_observed(&mut self, record: Record, tag: T) -> Result<(), PushError<T>> {
        let lane = self.lane_of(record.hash_key);
        match self.admit(&record, lane) {
            Ok(carriage) => {
                self.enqueue(lane, record, tag, carriage);
                Ok(())
            }
            Err(reason) => Err(PushError { reason, record, tag }),
        }
    }

    /// Makes everything queued due now. Limits and back-offs still hold.
    pub fn flush(&mut self, now: Timestamp) {
        self.observe(now);
        self.lanes.flush(&self.pool, self.now, self.next_sequence);
        self.finish();
    }

    /// Refuses pushes from now on and makes everything queued due. [`Event::Drained`] comes once all of it has come
    /// back, after every other event. Closing again changes nothing.
    pub fn close(&mut self, now: Timestamp) {
        self.phase = self.phase.max(Phase::Closed);
        self.flush(now);
    }

    /// Closes, and hands back everything queued as [`FailureReason::Aborted`], oldest first. Requests on their way
    /// are awaited; what they do not deliver is handed back too.
    pub fn abort(&mut self, now: Timestamp) {
        self.observe(now);
        self.phase = self.phase.max(Phase::Aborted);
        let mut queued = self.quarantine.extract(|_| true, None);
        queued.extend(self.take_misplaced());
        queued.extend(self.take_parked());
        for index in 0..self.lane_of_shard.len() {
            let lane = self.lane_of_shard[index];
            let ids = self.take_queue(lane);
            queued.extend(ids.into_iter().map(|id| self.pool.remove(id)));
        }
        // Records that were in one aggregate have its sequence: the order of equals must not depend on the platform.
        queued.sort_by_key(Entry::rank);
        for entry in queued {
            self.fail(entry, &FailureReason::Aborted);
        }
        self.recount_aside();
        self.finish();
    }

    /// Moves time on to `now`: records that lingered, shards whose wait is over and records that expired are dealt
    /// with. Call it at [`poll_timeout`](Self::poll_timeout)'s time; calling it at any other does no harm.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        self.observe(now);
        self.finish();
    }

    /// Takes a request back with what became of it.
    pub fn handle_response(
        &mut self,
        now: Timestamp,
        request: Request<T>,
        outcome: Result<Response, RequestError>,
    ) {
        self.observe(now);
        let answered = request.answered(self.now, outcome);
        if let Some(mut delivered) = self.settle(answered) {
            delivered.tell(|tag, receipt| self.events.push(Event::Delivered { tag, receipt }));
            self.take_back(delivered);
        }
        self.finish();
    }

    /// As [`handle_response`](Self::handle_response), for a batcher that threads share: what can be done without it was
    /// done by [`Request::answered`], and records that were delivered together come back together, with no event for
    /// each. [`Event::Drained`] may be polled before they are told.
    #[must_use = "the tags of these records come back here and nowhere else"]
    pub fn handle_answer(&mut self, now: Timestamp, answered: Answered<T>) -> Option<Delivered<T>> {
        self.observe(now);
        let delivered = self.settle(answered);
        self.finish();
        delivered
    }

    /// Takes back the memory of what was told, for requests to come. Not needed, but allocating it anew costs more.
    pub fn take_back(&mut self, told: Delivered<T>) {
        debug_assert!(told.entries.is_empty(), "what was delivered was told");
        self.recycle(told.entries, told.runs);
    }

    /// Takes in a new map of the stream. What is queued is routed anew, order kept. Shards that were known before
    /// keep their limits as they stand; new ones start without a burst.
    pub fn handle_shard_map(&mut self, now: Timestamp, shards: ShardMap) {
        self.observe(now);
        self.reshard(shards);
        // What this map does not explain either, the next one has to.
        self.ask_again_for_a_map();
        self.finish();
    }

    /// A request to send now. Built at the last moment, so ask only when it can be sent at once; ask until `None`.
    pub fn poll_request(&mut self) -> Option<Request<T>> {
        self.poll_unsealed_request().map(UnsealedRequest::seal)
    }

    /// As [`poll_request`](Self::poll_request), less the checksums of aggregates, which are most of its time where there
    /// are any: for who polls under a lock and has them computed outside.
    pub fn poll_unsealed_request(&mut self) -> Option<UnsealedRequest<T>> {
        loop {
            let request = self.fill();
            if request.is_some() || !self.give_turns() {
                self.finish();
                return request.map(UnsealedRequest::new);
            }
        }
    }

    /// Something the caller should know; ask until `None`.
    pub fn poll_event(&mut self) -> Option<Event<T>> {
        let records = self.events.records();
        let event = self.events.pop()?;
        if self.events.records() < records {
            self.buffer.event_taken();
        }
        if self.events.is_empty() && self.phase < Phase::Closed && self.buffer.take_unblocked() {
            self.events.push(Event::Unblocked);
        }
        Some(event)
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) unless something else comes first; `None` when only a
    /// response, a push or another call can change anything.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Deadline> {
        self.next_deadline()
    }

    /// What was done and what is held.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let held = self.buffer.held();
        let queued = held.records - self.stats.records_in_flight;
        Stats {
            records_queued: queued,
            buffered_bytes: held.bytes,
            requests_in_flight: self.gate.in_flight() as u64,
            requests_in_flight_allowed: self.gate.allowed() as u64,
            open_shards: u64::from(self.map.open_shards()),
            aggregation_suspended: self.config.aggregation() && self.map.is_auto(),
            held_since: self.stats.held_since.filter(|_| held.records > 0),
            ..self.stats
        }
    }

    /// How what was done is distributed: delays, and sizes of requests and aggregates.
    #[must_use]
    pub fn histograms(&self) -> Histograms {
        let mut histograms = self.histograms.clone();
        let alone = self.stats.kinesis_records_delivered - histograms.user_records.count();
        histograms.user_records.record_many(1, alone);
        histograms
    }

    /// Why the producer holds its records instead of sending them; `None` while the stream can be written to, as far
    /// as the producer knows.
    #[must_use]
    pub fn hold(&self) -> Option<&Hold> {
        self.hold.as_ref()
    }

    /// Why the last request failed, if it failed as a whole; `None` once one was answered.
    #[must_use]
    pub fn last_error(&self) -> Option<&ServiceError> {
        self.last_error.as_ref()
    }

    /// What is known of each open shard, in the order of their keys; of the stream as one where they are not known.
    pub fn shard_stats(&self) -> impl Iterator<Item = ShardStats> {
        self.lane_of_shard.iter().enumerate().map(|(index, &lane)| {
            let lane = self.lanes.lane(lane);
            let oldest = lane.oldest(&self.pool).map(|(accepted_at, _)| accepted_at);
            let rates = lane
                .rate
                .as_ref()
                .zip(self.lane_limits())
                .map(|(rate, limits)| limits.scaled(rate.allowed()));
            ShardStats {
                shard_id: lane.shard_id.clone(),
                records_queued: lane.held.records - lane.records_in_flight,
                records_held: lane.held.records,
                bytes_held: lane.held.bytes,
                records_sent: lane.counters.records_sent,
                bytes_sent: lane.counters.bytes_sent,
                records_delivered: lane.counters.records_delivered,
                records_throttled: lane.counters.records_throttled,
                records_per_second: rates.map(|rates| rates.records_per_second),
                bytes_per_second: rates.map(|rates| rates.bytes_per_second),
                blocked_until: Some(lane.blocked_until).filter(|&until| until > self.now),
                oldest_accepted_at: oldest.into_iter().chain(self.oldest_parked(index)).min(),
            }
        })
    }

    /// The settings.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The map in use.
    #[must_use]
    pub fn shard_map(&self) -> &ShardMap {
        &self.map
    }

    /// Whether pushes are refused because of [`close`](Self::close) or [`abort`](Self::abort).
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.phase >= Phase::Closed
    }

    /// Whether [`Event::Drained`] was given out or waits to be polled.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.phase == Phase::Drained
    }

    /// The lane that a record with this hash key waits in.
    fn lane_of(&self, key: HashKey) -> u32 {
        self.lane_of_shard[self.map.index_of(key)]
    }

    /// Lets a record, or all of an aggregate, go that will not be sent any more, and the next of its key go ahead.
    fn fail(&mut self, entry: Entry<T>, reason: &FailureReason) {
        let key = entry.hash_key;
        self.hand_back(entry, reason);
        self.let_next_go(key);
    }

    fn hand_back(&mut self, entry: Entry<T>, reason: &FailureReason) {
        let held = entry.held();
        self.buffer.release(held);
        self.stats.records_failed += held.records;
        let counter = match reason {
            FailureReason::Expired { .. } => &mut self.stats.records_expired,
            FailureReason::AttemptsExhausted(_) => &mut self.stats.records_exhausted,
            FailureReason::Permanent(_) => &mut self.stats.records_permanent,
            FailureReason::Aborted => &mut self.stats.records_aborted,
            FailureReason::Rejected(_)
            | FailureReason::TooLarge { .. }
            | FailureReason::PartitionKeyMissing
            | FailureReason::OrderImpossible => &mut self.stats.records_rejected,
        };
        *counter += held.records;
        self.stats.records_possibly_duplicated += if entry.possible_duplicate { held.records } else { 0 };
        let (attempts, possibly_stored) = (entry.attempts, entry.possible_duplicate);
        for (record, member) in dissolve(entry) {
            let failure = Failure { reason: reason.clone(), attempts, possibly_stored };
            self.events.push(Event::Failed { tag: member.tag, record, failure });
        }
    }

    /// Ends every input: says what has become true, and checks what must be.
    fn finish(&mut self) {
        self.give_turns();
        if self.phase < Phase::Closed && self.buffer.take_unblocked() {
            self.events.push(Event::Unblocked);
        }
        let held = self.buffer.held();
        if held.records == 0 {
            // Nothing is left to probe with. A program that sends nothing while this says so must not wait for ever.
            self.hold = None;
        }
        let closed = matches!(self.phase, Phase::Closed | Phase::Aborted);
        if closed && held.records == 0 {
            self.phase = Phase::Drained;
            self.events.push(Event::Drained);
        }
        let stats = &self.stats;
        debug_assert_eq!(
            stats.records_accepted,
            stats.records_delivered + stats.records_failed + held.records,
            "I12: accepted = delivered + failed + held"
        );
        debug_assert!(held.bytes <= self.buffer.bytes_max() as u64, "I4: the buffer is bounded");
    }
}

impl<T> fmt::Debug for Batcher<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batcher")
            .field("now", &self.now)
            .field("phase", &self.phase)
            .field("map", &self.map)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
