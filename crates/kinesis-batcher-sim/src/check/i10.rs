//! I10: a shard that may not be sent to never delays another.
//!
//! A record that is due, whose shard has been free of limits and errors for long enough, goes as soon as a request
//! may. While requests are scarce, or wait for their step, it waits its turn, but not for ever: lanes take turns. Where order is kept, a record
//! is ready once no earlier one of its key is held, or once no request is on its way that its shard must wait for.

use std::collections::VecDeque;
use std::time::Duration;

use kinesis_batcher_core::{Batcher, HashKey, RecordOutcome, RequestError, Response, Timestamp};
use kinesis_model::limits::{SHARD_BYTES_PER_SECOND, SHARD_RECORDS_PER_SECOND};
use kinesis_model::{Cause as Failure, Meaning};

use super::i03::{BURST_NANOS, percent};
use super::lanes::Lanes;
use super::per_producer::PerProducer;
use super::rates::{FLOOR_SHARE, RATE_PARTS, SHARDS_LOOKED_AT_MAX};
use super::turns::{Turns, Unit};
use super::{
    Breach, Cause, Checker, EntryReply, Invariant, Kind, Observation, RequestView, Scene, is_of_account,
};
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
    /// An earlier record of its key is held, and order is kept.
    is_parked: bool,
    suspect: Suspect,
    /// Its aggregate was stored, and it did not end: until a map comes, or this time, its shard waits if order is kept.
    aside_until: Timestamp,
}

/// Whether a record is apart from the others because its request was rejected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Suspect {
    #[default]
    No,
    Yes,
    /// A new map may have sent it back among the others.
    Perhaps,
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
    turns: Turns,
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
    /// When it last throttled something or failed.
    refused_at: Timestamp,
    /// It has stored nothing since.
    in_trouble: bool,
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
            Kind::Crashed,
        ]
    }

    fn observe(&mut self, scene: &Scene<'_>, observation: &Observation<'_>) -> Result<(), Breach> {
        match *observation {
            Observation::Began { producer, batcher } => {
                let producer = self.producers.of(producer);
                producer.linger = batcher.config().linger();
                producer.turns.begin(batcher);
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
            Observation::Answered { producer, request, outcome, meaning } => {
                self.answered(scene, producer, request, outcome, meaning);
            }
            Observation::Event { producer, event } => {
                if let Some(number) = super::tag_of(event) {
                    self.records.remove(number);
                    if let Some(next) = self.producers.of(producer).turns.ended(number)
                        && let Some(state) = self.records.get_mut(next)
                    {
                        state.is_parked = false;
                        state.due_at = state.due_at.max(scene.clock);
                    }
                }
            }
            Observation::MapGiven { producer, map } => {
                let opened_at = Timestamp::from_nanos(scene.clock.as_nanos() + BURST_NANOS);
                let state = self.producers.of(producer);
                state.turns.map_given(map);
                if state.lanes.refresh(map, || Lane::new(opened_at, true)) {
                    state.maps += 1;
                    self.route_again(scene, producer);
                }
            }
            Observation::Settled { producer, cause, batcher, .. } => {
                return self.settled(scene, producer, cause, batcher);
            }
            Observation::Crashed { held, requests, .. } => {
                for &number in held {
                    self.records.remove(number);
                }
                for &number in requests {
                    self.taken.remove(number);
                }
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
        let is_parked = !producer.turns.accepted(scene, number);
        let state = State {
            due_at,
            in_flight: false,
            is_stored: false,
            is_parked,
            suspect: Suspect::No,
            aside_until: Timestamp::ZERO,
        };
        self.records.insert(number, state);
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
        producer.turns.requested(request);
        producer.in_flight += 1;
        producer.requests.push_back(scene.clock);
        // Each lane ahead may take a whole request, and a record too large for the rest of one makes it two.
        while producer.requests.len() > 2 * producer.lanes.count() + TURNS {
            producer.requests.pop_front();
        }
        let mut rates = Rates::of(batcher);
        let mut taken = Taken { at: scene.clock, maps: producer.maps, by_lane: Vec::new() };
        for entry in request.sent() {
            for &number in entry.numbers {
                if let Some(state) = self.records.get_mut(number) {
                    state.in_flight = true;
                    state.suspect = Suspect::No;
                    state.aside_until = Timestamp::ZERO;
                }
            }
            let key = entry.numbers.first().and_then(|&number| scene.ledger.record(number));
            if let Some(facts) = key {
                let place = producer.lanes.place_of(facts.hash_key);
                let lane = producer.lanes.lane(place);
                lane.served_at = scene.clock;
                if let Some(rates) = &mut rates {
                    let rate =
                        if lane.may_be_slow { rates.least(batcher, facts.hash_key) } else { rates.share };
                    let bytes = entry.bytes() as u64;
                    lane.take(scene.clock, costs(rate, bytes));
                    // A rate that grew in between gives back less.
                    taken.add(place, costs(rates.share, bytes));
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
        meaning: Option<Meaning>,
    ) {
        let producer = self.producers.of(producer);
        producer.in_flight -= 1;
        for key in producer.turns.answered(request) {
            let place = producer.lanes.place_of(key);
            let lane = producer.lanes.lane(place);
            lane.free_from = lane.free_from.max(scene.clock);
        }
        let taken = self.taken.remove(request.number);
        // What was sent under an older map goes back among the others, if the map divides it.
        let suspect = match &taken {
            Some(taken) if taken.maps == producer.maps => Suspect::Yes,
            _ => Suspect::Perhaps,
        };
        let not_stored = meaning.is_some_and(|meaning| !meaning.leaves_doubt());
        if let Some(taken) = taken.filter(|taken| not_stored && taken.maps == producer.maps) {
            for (place, costs) in taken.by_lane {
                let lane = producer.lanes.lane(place);
                // What waits for something else too, or is looked at apart, may go on to wait as long as it would have.
                let looks_again =
                    !lane.in_trouble && !producer.searches && producer.turns.unit() != Unit::Shard;
                if looks_again || first_queued(&mut lane.queue, &self.records).is_none() {
                    lane.give_back(scene.clock, taken.at, costs);
                }
            }
        }
        for &number in request.records.all() {
            if let Some(state) = self.records.get_mut(number) {
                state.in_flight = false;
            }
        }
        match (outcome, meaning) {
            (Ok(response), None) => {
                producer.each_answered(scene, request, response, &mut self.records);
                if is_of_account(response) {
                    producer.failing_until = scene.clock.after(PROBE_WAIT_MAX);
                }
            }
            (_, Some(meaning)) if meaning.cause == Failure::Rejected => {
                producer.searches = true;
                for &number in request.records.all().iter().filter(|_| request.request.len() > 1) {
                    if let Some(state) = self.records.get_mut(number) {
                        state.suspect = suspect;
                    }
                }
            }
            (_, Some(meaning)) if meaning.is_about_the_account() => {
                producer.failing_until = scene.clock.after(PROBE_WAIT_MAX);
            }
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
            let (Some(state), Some(facts)) = (self.records.get_mut(number), scene.ledger.record(number))
            else {
                continue;
            };
            state.aside_until = Timestamp::ZERO;
            if state.suspect == Suspect::Yes {
                state.suspect = Suspect::Perhaps;
            }
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
        let allowed = batcher.stats().requests_in_flight_allowed;
        let is_paced = producer.in_flight >= (allowed / 4).max(1)
            && producer.requests.back().is_some_and(|last| scene.clock <= last.after(STEP_MAX));
        if producer.in_flight >= allowed || is_paced || batcher.shard_map().is_unknown() {
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
        let by_shard = producer.turns.unit() == Unit::Shard;
        for (_, lane) in producer.lanes.present() {
            let Some(first) = first_queued(&mut lane.queue, &self.records) else { continue };
            let (number, due_at) = if by_shard {
                let Some(of_shard) = first_of_shard(lane, first, &self.records, &producer.turns, scene)
                else {
                    lane.free_from = lane.free_from.max(scene.clock);
                    continue;
                };
                of_shard
            } else {
                first
            };
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

impl Producer {
    fn each_answered(
        &mut self,
        scene: &Scene<'_>,
        request: RequestView<'_>,
        response: &Response,
        records: &mut Window<State>,
    ) {
        for (entry, outcome) in request.sent().zip(&response.outcomes) {
            let facts = entry.numbers.first().and_then(|&number| scene.ledger.record(number));
            let Some(facts) = facts else { continue };
            let place = self.lanes.place_of(facts.hash_key);
            let lane = self.lanes.lane(place);
            if matches!(outcome, RecordOutcome::Stored { .. }) {
                lane.in_trouble = false;
                for &number in entry.numbers {
                    if let Some(state) = records.get_mut(number) {
                        state.aside_until = scene.clock.after(MAP_AWAITED_MAX);
                    }
                }
            }
        }
        for (entry, outcome) in request.sent().zip(&response.outcomes) {
            let facts = entry.numbers.first().and_then(|&number| scene.ledger.record(number));
            let Some(facts) = facts.filter(|_| !matches!(outcome, RecordOutcome::Stored { .. })) else {
                continue;
            };
            let place = self.lanes.place_of(facts.hash_key);
            let lane = self.lanes.lane(place);
            lane.free_from = lane.free_from.max(scene.clock.after(BACKOFF_MAX));
            lane.may_be_slow = true;
            lane.refused_at = scene.clock;
            lane.in_trouble = true;
        }
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
            refused_at: Timestamp::ZERO,
            in_trouble: false,
            served_at: Timestamp::ZERO,
            full_at: [free_from.as_nanos(); 2],
        }
    }

    fn take(&mut self, now: Timestamp, costs: [u64; 2]) {
        for (full_at, cost) in self.full_at.iter_mut().zip(costs) {
            *full_at = (*full_at).max(now.as_nanos()).saturating_add(cost);
        }
    }

    /// What has leaked meanwhile stays taken. A rate that shrank in between may keep all of it.
    fn give_back(&mut self, now: Timestamp, taken_at: Timestamp, costs: [u64; 2]) {
        let leaked = now.since(taken_at).as_nanos() as u64;
        if self.refused_at <= taken_at {
            for (full_at, cost) in self.full_at.iter_mut().zip(costs) {
                *full_at -= cost.saturating_sub(leaked);
            }
        }
    }

    fn full_at(&self) -> Timestamp {
        Timestamp::from_nanos(self.full_at[0].max(self.full_at[1]))
    }
}

/// Parts of a unit a second, as many as the core keeps: of records, and of bytes.
#[derive(Clone, Copy, Debug)]
struct Rate([u64; 2]);

/// What a batcher's shards may be sent.
struct Rates {
    /// By its settings.
    share: Rate,
    /// Whether less than that is possible.
    adapt: bool,
    /// What it told of each shard, once someone asks.
    told: Vec<Rate>,
}

impl Rates {
    fn of(batcher: &Batcher<u64>) -> Option<Self> {
        let map = batcher.shard_map();
        let shards = if map.shards().is_empty() { u64::from(map.open_shards()) } else { 1 };
        let percent = percent(batcher.config())? * shards;
        let share = [SHARD_RECORDS_PER_SECOND, SHARD_BYTES_PER_SECOND]
            .map(|per_second| (u64::from(per_second) * percent / 100).max(1) * RATE_PARTS);
        Some(Self { share: Rate(share), adapt: batcher.config().adaptive_rates(), told: Vec::new() })
    }

    /// The least that the shard of this key may be sent. Figures are told rounded up.
    fn least(&mut self, batcher: &Batcher<u64>, key: HashKey) -> Rate {
        if !self.adapt {
            return self.share;
        }
        let Rate(share) = self.share;
        let slowest = share.map(|parts| (parts / FLOOR_SHARE).max(1));
        if batcher.stats().open_shards > SHARDS_LOOKED_AT_MAX {
            return Rate(slowest);
        }
        if self.told.is_empty() {
            let told = batcher.shard_stats().map(|shard| {
                let told = [shard.records_per_second, shard.bytes_per_second];
                let least = |index: usize| {
                    let told = told[index].map_or(0, |units: u64| units.saturating_sub(1) * RATE_PARTS + 1);
                    told.clamp(slowest[index], share[index])
                };
                Rate([least(0), least(1)])
            });
            self.told = told.collect();
        }
        self.told[batcher.shard_map().index_of(key)]
    }
}

/// How long a record of so many bytes takes to leak, in nanoseconds.
fn costs(Rate(parts): Rate, bytes: u64) -> [u64; 2] {
    let cost = |units: u64, parts: u64| {
        u64::try_from((u128::from(units) * u128::from(1_000_000_000 * RATE_PARTS)).div_ceil(parts.into()))
            .unwrap_or(u64::MAX)
    };
    [cost(1, parts[0]), cost(bytes, parts[1])]
}

/// The oldest record that waits to be sent. What has ended leaves the queue.
fn first_queued(queue: &mut VecDeque<u64>, records: &Window<State>) -> Option<(u64, Timestamp)> {
    while queue.front().is_some_and(|&number| records.get(number).is_none()) {
        queue.pop_front();
    }
    queue.iter().find_map(|&number| {
        let state = records.get(number)?;
        (!state.in_flight && !state.is_stored && !state.is_parked).then_some((number, state.due_at))
    })
}

/// The record that a shard should send next where it sends one thing at a time; `None` while it must wait, or may.
fn first_of_shard(
    lane: &Lane,
    first: (u64, Timestamp),
    records: &Window<State>,
    turns: &Turns,
    scene: &Scene<'_>,
) -> Option<(u64, Timestamp)> {
    let states = || lane.queue.iter().filter_map(|&number| Some((number, records.get(number)?)));
    if states().any(|(_, state)| state.suspect == Suspect::Perhaps || state.aside_until > scene.clock) {
        return None;
    }
    // Those go before all others, and do not wait for each other.
    if let Some((number, state)) = states().find(|(_, state)| state.suspect == Suspect::Yes) {
        return Some((number, state.due_at));
    }
    let waits = scene.ledger.record(first.0).is_none_or(|facts| turns.shard_waits(facts.hash_key));
    (!waits).then_some(first)
}

fn is_stored(reply: &EntryReply) -> bool {
    reply.stored().is_some()
}

/// The longest back-off of a shard, and of the whole.
const PROBE_WAIT_MAX: Duration = Duration::from_secs(2);
const BACKOFF_MAX: Duration = Duration::from_secs(1);
/// Waits are rounded up to a tick of about 8 ms, a few of which do no harm.
const PATIENCE: Duration = Duration::from_millis(50);
/// How long an aggregate is kept that an unknown shard has stored.
const MAP_AWAITED_MAX: Duration = Duration::from_secs(30);
/// Between two requests that are not full, while a quarter of those that may be in flight are.
const STEP_MAX: Duration = Duration::from_millis(10);
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Requests that may pass by besides one for each lane's turn.
const TURNS: usize = 20;
