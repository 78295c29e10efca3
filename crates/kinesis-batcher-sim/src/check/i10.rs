//! I10: a shard that may not be sent to never delays another.
//!
//! A record that is due, whose shard has been free of limits and errors for long enough, goes as soon as a request
//! may. While requests are scarce it waits its turn, but not for ever: lanes take turns.

use std::collections::VecDeque;
use std::time::Duration;

use kinesis_batcher_core::limits::{SHARD_BYTES_PER_SECOND, SHARD_RECORDS_PER_SECOND};
use kinesis_batcher_core::{Batcher, ErrorClass, Ordering, RecordOutcome, RequestError, Response, Timestamp};

use super::i03::{BURST_NANOS, percent};
use super::lanes::Lanes;
use super::per_producer::PerProducer;
use super::{Breach, Cause, Checker, EntryReply, Invariant, Kind, Observation, RequestView, Scene};
use crate::window::Window;

/// Watches the oldest record of each shard that nothing holds back.
#[derive(Debug, Default)]
pub(super) struct FreeShardsGo {
    producers: PerProducer<Producer>,
    records: Window<State>,
    /// What each request on its way took, to be given back if the service stored nothing of it.
    taken: Window<Taken>,
}

#[derive(Clone, Debug)]
struct Taken {
    at: Timestamp,
    maps: u64,
    by_lane: Vec<(u32, [u64; 2])>,
}

#[derive(Clone, Copy, Debug)]
struct State {
    due_at: Timestamp,
    in_flight: bool,
    /// A copy of it is stored: it waits for a map that knows where, not for its turn.
    is_stored: bool,
}

#[derive(Debug, Default)]
struct Producer {
    lanes: Lanes<Lane>,
    linger: Duration,
    in_flight: u64,
    /// Until then requests could not go: too many on their way, or the service failed as a whole.
    held_up_until: Timestamp,
    failing_until: Timestamp,
    /// When the last requests went, the oldest first.
    requests: VecDeque<Timestamp>,
    /// A request was rejected: the search for the record at fault comes before all turns.
    searches: bool,
    /// Records wait for earlier ones of their key, or of their shard, to come back.
    keeps_order: bool,
    looks_at: Timestamp,
    /// Counts the maps that changed something, and with it the rates.
    maps: u64,
}

#[derive(Clone, Debug)]
struct Lane {
    /// Accepted records that may still be queued, oldest first.
    queue: VecDeque<u64>,
    /// Until then a limit or an error may have held it back.
    free_from: Timestamp,
    /// A batcher that adapts may send less than its share: the shard throttled something, or was there before under
    /// another name.
    may_be_slow: bool,
    /// When it was last sent anything.
    served_at: Timestamp,
    /// When its buckets will be full again.
    full_at: [u64; 2],
}

impl Checker for FreeShardsGo {
    fn invariant(&self) -> Invariant {
        Invariant::I10
    }

    fn kinds(&self) -> &'static [Kind] {
        &[
            Kind::Began,
            Kind::Accepted,
            Kind::Requested,
            Kind::Stored,
            Kind::Answered,
            Kind::Event,
            Kind::MapGiven,
            Kind::Settled,
        ]
    }

    fn observe(&mut self, scene: &Scene<'_>, observation: &Observation<'_>) -> Result<(), Breach> {
        match *observation {
            Observation::Began { producer, batcher } => {
                let producer = self.producers.of(producer);
                producer.linger = batcher.config().linger();
                producer.keeps_order = batcher.config().ordering() != Ordering::None;
                producer.lanes.refresh(batcher.shard_map(), || Lane::new(scene.clock, false));
            }
            Observation::Accepted { producer, record } => self.accepted(scene, producer, record),
            Observation::Requested { producer, request, batcher } => {
                self.requested(scene, producer, request, batcher);
            }
            Observation::Stored { records, replies, .. } => {
                for (index, _) in replies.iter().enumerate().filter(|(_, reply)| is_stored(reply)) {
                    for &number in records.of_entry(index) {
                        if let Some(state) = self.records.get_mut(number) {
                            state.is_stored = true;
                        }
                    }
                }
            }
            Observation::Answered { producer, request, outcome } => {
                self.answered(scene, producer, request, outcome);
            }
            Observation::Event { event, .. } => {
                if let Some(number) = super::tag_of(event) {
                    self.records.remove(number);
                }
            }
            Observation::MapGiven { producer, map } => {
                let opened_at = Timestamp::from_nanos(scene.clock.as_nanos() + BURST_NANOS);
                let state = self.producers.of(producer);
                if state.lanes.refresh(map, || Lane::new(opened_at, true)) {
                    state.maps += 1;
                    self.route_again(scene, producer);
                }
            }
            Observation::Settled { producer, cause, batcher, .. } => {
                return self.settled(scene, producer, cause, batcher);
            }
            _ => {}
        }
        Ok(())
    }
}

impl FreeShardsGo {
    fn accepted(&mut self, scene: &Scene<'_>, producer: u32, number: u64) {
        let producer = self.producers.of(producer);
        let Some(facts) = scene.ledger.record(number) else { return };
        let due_at = facts.accepted.map_or(scene.clock, |accepted| accepted.at).after(producer.linger);
        self.records.insert(number, State { due_at, in_flight: false, is_stored: false });
        let place = producer.lanes.place_of(facts.hash_key);
        producer.lanes.lane(place).queue.push_back(number);
    }

    fn requested(
        &mut self,
        scene: &Scene<'_>,
        producer: u32,
        request: RequestView<'_>,
        batcher: &Batcher<u64>,
    ) {
        let producer = self.producers.of(producer);
        producer.in_flight += 1;
        producer.requests.push_back(scene.clock);
        // Each lane ahead may take a whole request, and a record too large for the rest of one makes it two.
        while producer.requests.len() > 2 * producer.lanes.count() + TURNS {
            producer.requests.pop_front();
        }
        let shards =
            if batcher.shard_map().shards().is_empty() { batcher.shard_map().open_shards() } else { 1 };
        let adapts = batcher.config().adaptive_rates();
        let share = percent(batcher.config()).map(|percent| percent * u64::from(shards));
        let mut taken = Taken { at: scene.clock, maps: producer.maps, by_lane: Vec::new() };
        for entry in request.sent() {
            for &number in entry.numbers {
                if let Some(state) = self.records.get_mut(number) {
                    state.in_flight = true;
                }
            }
            let key = entry.numbers.first().and_then(|&number| scene.ledger.record(number));
            if let Some(facts) = key {
                let place = producer.lanes.place_of(facts.hash_key);
                let lane = producer.lanes.lane(place);
                lane.served_at = scene.clock;
                if let Some(share) = share {
                    let divisor = if adapts && lane.may_be_slow { SLOWEST } else { 1 };
                    let costs = lane.take(scene.clock, share, divisor, entry.bytes() as u64);
                    taken.add(place, costs);
                }
            }
        }
        self.taken.insert(request.number, taken);
    }

    fn answered(
        &mut self,
        scene: &Scene<'_>,
        producer: u32,
        request: RequestView<'_>,
        outcome: &Result<Response, RequestError>,
    ) {
        let producer = self.producers.of(producer);
        producer.in_flight -= 1;
        let taken = self.taken.remove(request.number);
        let not_stored = outcome.as_ref().is_err_and(|error| !error.is_outcome_unknown());
        if let Some(taken) = taken.filter(|taken| not_stored && taken.maps == producer.maps) {
            for (place, costs) in taken.by_lane {
                let lane = producer.lanes.lane(place);
                // What waits already may go on to wait as long as it would have.
                if first_queued(&mut lane.queue, &self.records).is_none() {
                    lane.give_back(scene.clock, taken.at, costs);
                }
            }
        }
        for &number in request.records.all() {
            if let Some(state) = self.records.get_mut(number) {
                state.in_flight = false;
            }
        }
        match outcome {
            Ok(response) if response.outcomes.len() == request.request.len() => {
                for (entry, outcome) in request.sent().zip(&response.outcomes) {
                    if matches!(outcome, RecordOutcome::Stored { .. }) {
                        continue;
                    }
                    let facts = entry.numbers.first().and_then(|&number| scene.ledger.record(number));
                    if let Some(facts) = facts {
                        let place = producer.lanes.place_of(facts.hash_key);
                        let lane = producer.lanes.lane(place);
                        lane.free_from = lane.free_from.max(scene.clock.after(BACKOFF_MAX));
                        lane.may_be_slow = true;
                    }
                }
            }
            Err(error) if error.class() == ErrorClass::Rejected => producer.searches = true,
            Err(error) if error.class() == ErrorClass::Permanent => {}
            _ => producer.failing_until = scene.clock.after(BACKOFF_MAX),
        }
    }

    /// Puts what is held where the new map sends it.
    fn route_again(&mut self, scene: &Scene<'_>, producer: u32) {
        let producer = self.producers.of(producer);
        let mut held: Vec<u64> = Vec::new();
        for lane in producer.lanes.all() {
            held.extend(std::mem::take(&mut lane.queue));
        }
        held.sort_unstable();
        for number in held {
            let (Some(_), Some(facts)) = (self.records.get(number), scene.ledger.record(number)) else {
                continue;
            };
            let place = producer.lanes.place_of(facts.hash_key);
            let lane = producer.lanes.lane(place);
            lane.queue.push_back(number);
            // A listing may have moved the ranges of shards that stay.
            lane.free_from = lane.free_from.max(scene.clock);
        }
    }

    fn settled(
        &mut self,
        scene: &Scene<'_>,
        producer: u32,
        cause: Cause,
        batcher: &Batcher<u64>,
    ) -> Result<(), Breach> {
        let producer = self.producers.of(producer);
        if producer.in_flight >= batcher.stats().requests_in_flight_allowed {
            producer.held_up_until = scene.clock;
        }
        // What waits too long is still there a while later: looking now and then is enough.
        if cause == Cause::StepBack || scene.clock < producer.looks_at {
            return Ok(());
        }
        producer.looks_at = scene.clock.after(LOOK_EVERY);
        let turns = 2 * producer.lanes.count() + TURNS;
        let turns_from = (producer.requests.len() >= turns && !producer.searches)
            .then(|| producer.requests.front().copied())
            .flatten();
        let (held_up_until, failing_until) = (producer.held_up_until, producer.failing_until);
        for (_, lane) in producer.lanes.present() {
            let Some((number, due_at)) = first_queued(&mut lane.queue, &self.records) else { continue };
            if producer.keeps_order && any_in_flight(&lane.queue, &self.records) {
                lane.free_from = lane.free_from.max(scene.clock);
                continue;
            }
            let ready_at = due_at.max(lane.free_from).max(lane.full_at()).max(failing_until);
            let latest = ready_at.max(held_up_until).after(PATIENCE);
            if scene.clock > latest {
                let what = format!(
                    "nothing holds back its shard since {ready_at:?}, and it waits at {:?}",
                    scene.clock
                );
                return Err(Breach::of_record(number, what));
            }
            let passed_by_from = ready_at.max(lane.served_at);
            if turns_from.is_some_and(|from| from > passed_by_from.after(PATIENCE)) {
                let what =
                    format!("its shard is ready since {passed_by_from:?}, and {turns} requests passed it by");
                return Err(Breach::of_record(number, what));
            }
        }
        Ok(())
    }
}

impl Taken {
    fn add(&mut self, place: u32, costs: [u64; 2]) {
        match self.by_lane.last_mut() {
            Some((last, sums)) if *last == place => {
                for (sum, cost) in sums.iter_mut().zip(costs) {
                    *sum = sum.saturating_add(cost);
                }
            }
            _ => self.by_lane.push((place, costs)),
        }
    }
}

impl Lane {
    fn new(free_from: Timestamp, may_be_slow: bool) -> Self {
        Self {
            queue: VecDeque::new(),
            free_from,
            may_be_slow,
            served_at: Timestamp::ZERO,
            full_at: [free_from.as_nanos(); 2],
        }
    }

    fn take(&mut self, now: Timestamp, percent: u64, divisor: u64, bytes: u64) -> [u64; 2] {
        let units = [(1, SHARD_RECORDS_PER_SECOND), (bytes, SHARD_BYTES_PER_SECOND)];
        let costs = units.map(|(units, per_second)| {
            (units * 100 * divisor).saturating_mul(1_000_000_000).div_ceil(per_second * percent)
        });
        for (full_at, cost) in self.full_at.iter_mut().zip(costs) {
            *full_at = (*full_at).max(now.as_nanos()).saturating_add(cost);
        }
        costs
    }

    /// What has leaked meanwhile stays taken. A rate that shrank in between may keep all of it.
    fn give_back(&mut self, now: Timestamp, taken_at: Timestamp, costs: [u64; 2]) {
        let leaked = now.since(taken_at).as_nanos() as u64;
        if !self.may_be_slow {
            for (full_at, cost) in self.full_at.iter_mut().zip(costs) {
                *full_at -= cost.saturating_sub(leaked);
            }
        }
    }

    fn full_at(&self) -> Timestamp {
        Timestamp::from_nanos(self.full_at[0].max(self.full_at[1]))
    }
}

/// The oldest record that waits to be sent. What has ended or is stored leaves the queue.
fn first_queued(queue: &mut VecDeque<u64>, records: &Window<State>) -> Option<(u64, Timestamp)> {
    while queue.front().is_some_and(|&number| records.get(number).is_none_or(|state| state.is_stored)) {
        queue.pop_front();
    }
    queue.iter().find_map(|&number| {
        let state = records.get(number)?;
        (!state.in_flight && !state.is_stored).then_some((number, state.due_at))
    })
}

fn any_in_flight(queue: &VecDeque<u64>, records: &Window<State>) -> bool {
    queue.iter().any(|&number| records.get(number).is_some_and(|state| state.in_flight || state.is_stored))
}

fn is_stored(reply: &EntryReply) -> bool {
    matches!(reply, EntryReply::Stored { .. })
}

/// The least part of its share that a batcher leaves a shard.
const SLOWEST: u64 = 256;
/// The longest back-off of a shard, and of the whole.
const BACKOFF_MAX: Duration = Duration::from_secs(1);
/// Waits are rounded up to a tick of about 8 ms, a few of which do no harm.
const PATIENCE: Duration = Duration::from_millis(50);
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Requests that may pass by besides one for each lane's turn.
const TURNS: usize = 20;
