//! I10: a shard that may not be sent to never delays another, and one that may be sent to is used.
//!
//! These are bounds on outcomes, judged by what the program did, what the links and the service did, and the producer's
//! settings; what a batcher says of its rates is not asked for. A record that is due goes within [`PATIENCE`] unless one
//! of these holds it back:
//!
//! - No request may go: all slots are taken, a request failed as a whole a short while ago, or the program called late.
//! - Its shard was sent all that the producer's share of its limits allows, or has refused something. One that has
//!   refused something may get much less from then on ([`SLOWEST`]).
//! - Order: something of its shard is on its way.
//!
//! While requests are scarce a shard waits its turn, but not for more than a few requests of each other shard. One that
//! never refused anything and has work all the time gets nearly all of the producer's share.

use std::collections::VecDeque;
use std::time::Duration;

use kinesis_batcher_core::{
    Config, Deadline, Ordering, RecordOutcome, RequestError, Response, ShardMap, Timestamp,
};
use kinesis_model::Meaning;

use super::i03::{BURST_NANOS, Rates};
use super::{Breach, Cause, Checker, Invariant, Observation, RequestView, Scene, is_of_account};
use crate::ledger::Ledger;
use crate::window::Window;

/// A request on its way.
#[derive(Clone, Debug)]
struct Flight {
    maps: u64,
    /// By the index of its shard, what was sent there.
    shards: Vec<(usize, [u64; 2])>,
}

/// Watches the oldest record of each shard that nothing holds back.
#[derive(Debug, Default)]
pub(super) struct FreeShardsGo {
    flights: Window<Flight>,
    map: Option<ShardMap>,
    /// Counts the maps that changed something.
    maps: u64,
    linger: Duration,
    keeps_order: bool,
    shares: Option<Rates>,
    /// By the index of the shard in the map.
    shards: Vec<Shard>,
    in_flight: u64,
    /// Of those, sent under older maps.
    in_flight_of_older_maps: u64,
    in_flight_max: u64,
    /// Answers since a request failed as a whole: each allows one more on its way.
    answers: u64,
    /// Requests that failed as a whole since one was answered.
    failures: u32,
    /// Until then no request could go.
    held_up_until: Timestamp,
    failing_until: Timestamp,
    /// A request was rejected: the search for the record at fault comes before all turns.
    searches: bool,
    /// Counts requests.
    requests: u64,
    looked_at: Timestamp,
}

#[derive(Clone, Debug, Default)]
struct Shard {
    /// Accepted records that may still wait, the oldest first.
    queue: VecDeque<u64>,
    /// Until then it may have been held back.
    free_from: Timestamp,
    /// When what it was sent has used up no more than the producer's share of its limits on records and on bytes.
    used_until: [u64; 2],
    /// By the same measure, the largest record that it was sent.
    largest: u64,
    /// It refused something, or was there before under another map.
    is_slow: bool,
    in_flight: u64,
    /// The producer's requests when this shard could have been part of the next one, and was in none since.
    passed_by_from: Option<u64>,
    /// It has had work since this time, and used so much since.
    busy: Option<(Timestamp, [u64; 2])>,
}

impl Checker for FreeShardsGo {
    fn invariant(&self) -> Invariant {
        Invariant::I10
    }

    fn observe(&mut self, scene: &Scene<'_>, observation: &Observation<'_>) -> Result<(), Breach> {
        match *observation {
            Observation::Began { batcher, .. } => {
                self.begin(scene, batcher.config(), batcher.shard_map());
            }
            Observation::Accepted { record, .. } => {
                if let Some(index) = self.index_of(scene, record) {
                    self.shards[index].queue.push_back(record);
                }
            }
            Observation::Requested { request, batcher, .. } => {
                self.shares = Rates::of(batcher.config(), batcher.shard_map());
                let flight = self.requested(scene, request);
                self.flights.insert(request.number, flight);
            }
            Observation::Answered { request, outcome, meaning, .. } => {
                if let Some(flight) = self.flights.remove(request.number) {
                    self.answered(scene, &flight, request, outcome, meaning);
                }
            }
            Observation::MapGiven { map, .. } => self.map_given(scene, map),
            Observation::Settled { cause, deadline_before, .. } if cause != Cause::StepBack => {
                let called_late = |deadline: Deadline| deadline.at.after(LATE) < scene.clock;
                if deadline_before.is_some_and(called_late) {
                    self.held_up_until = scene.clock;
                }
                return self.settled(scene);
            }
            Observation::Crashed { requests, .. } => {
                requests.iter().for_each(|&number| _ = self.flights.remove(number));
            }
            _ => {}
        }
        Ok(())
    }
}

impl FreeShardsGo {
    fn begin(&mut self, scene: &Scene<'_>, config: &Config, map: &ShardMap) {
        self.linger = config.linger();
        self.keeps_order = config.ordering() != Ordering::None;
        self.in_flight_max = config.in_flight_requests_max() as u64;
        self.answers = self.in_flight_max;
        let first = Shard { free_from: scene.clock, ..Shard::default() };
        self.shards = vec![first; map.shards().len().max(1)];
        self.map = Some(map.clone());
    }

    fn index_of(&self, scene: &Scene<'_>, number: u64) -> Option<usize> {
        Some(self.map.as_ref()?.index_of(scene.ledger.record(number)?.hash_key))
    }

    fn requested(&mut self, scene: &Scene<'_>, request: RequestView<'_>) -> Flight {
        self.in_flight += 1;
        self.requests += 1;
        let mut flight = Flight { maps: self.maps, shards: Vec::new() };
        for sent in request.sent() {
            let Some(index) = sent.numbers.first().and_then(|&number| self.index_of(scene, number)) else {
                continue;
            };
            let cost = self.shares.map_or([0; 2], |shares| shares.costs(sent.bytes() as u64));
            self.shards[index].is_sent(scene.clock, cost);
            match flight.shards.iter_mut().rev().find(|(shard, _)| *shard == index) {
                Some((_, costs)) => *costs = [costs[0] + cost[0], costs[1] + cost[1]],
                None => {
                    self.shards[index].in_flight += 1;
                    flight.shards.push((index, cost));
                }
            }
        }
        flight
    }

    fn answered(
        &mut self,
        scene: &Scene<'_>,
        flight: &Flight,
        request: RequestView<'_>,
        outcome: &Result<Response, RequestError>,
        meaning: Option<Meaning>,
    ) {
        self.notes_what_holds_it_up(scene);
        self.in_flight -= 1;
        let is_of_this_map = flight.maps == self.maps;
        self.in_flight_of_older_maps -= u64::from(!is_of_this_map);
        for &(index, costs) in flight.shards.iter().filter(|_| is_of_this_map) {
            let shard = &mut self.shards[index];
            shard.in_flight -= 1;
            if self.keeps_order {
                shard.free_from = shard.free_from.max(scene.clock);
            }
            // What waits for something else besides may go on to wait as long as it would have.
            let is_free = !shard.is_slow && !self.searches && !self.keeps_order;
            if is_free && meaning.is_some_and(|meaning| !meaning.leaves_doubt()) {
                shard.used_less(scene.clock, request.sent_at, costs);
            }
        }
        if let (Ok(response), None) = (outcome, meaning) {
            for (sent, outcome) in request.sent().zip(&response.outcomes) {
                if !matches!(outcome, RecordOutcome::Stored { .. })
                    && let Some(index) = sent.numbers.first().and_then(|&number| self.index_of(scene, number))
                {
                    self.shards[index].refuses(scene.clock);
                }
            }
        }
        match (outcome, meaning) {
            (Ok(response), None) if !is_of_account(response) => {
                (self.answers, self.failures) = (self.answers + 1, 0);
                self.failing_until = self.failing_until.min(scene.clock);
            }
            (_, Some(meaning)) if meaning.is_about_records() => self.searches = true,
            _ => {
                let wait = WAIT_FIRST * (1 << self.failures.min(8));
                self.failing_until = self.failing_until.max(scene.clock.after(wait.min(WAIT_MAX)));
                (self.answers, self.failures) = (0, self.failures + 1);
            }
        }
    }

    /// Shards may be others, and rates with them.
    fn map_given(&mut self, scene: &Scene<'_>, map: &ShardMap) {
        if self.map.as_ref() == Some(map) {
            return;
        }
        let waits = self.shards.iter().map(Shard::free_from).max().unwrap_or_default();
        let opened =
            Shard { free_from: waits.max(scene.clock.after(WAIT_MAX)), is_slow: true, ..Shard::default() };
        let before = std::mem::replace(&mut self.shards, vec![opened; map.shards().len().max(1)]);
        (self.maps, self.in_flight_of_older_maps) = (self.maps + 1, self.in_flight);
        self.map = Some(map.clone());
        let mut held: Vec<u64> = before.into_iter().flat_map(|shard| shard.queue).collect();
        held.sort_unstable();
        for number in held {
            if let Some(index) = self.index_of(scene, number) {
                self.shards[index].queue.push_back(number);
            }
        }
    }

    /// Whether requests could not go until now.
    fn notes_what_holds_it_up(&mut self, scene: &Scene<'_>) {
        let allowed = (1 + self.answers).min(self.in_flight_max);
        if self.in_flight >= allowed || self.map.as_ref().is_none_or(ShardMap::is_unknown) {
            self.held_up_until = scene.clock;
        }
    }

    fn settled(&mut self, scene: &Scene<'_>) -> Result<(), Breach> {
        self.notes_what_holds_it_up(scene);
        // What waits too long is still there a while later: looking now and then is enough.
        if scene.clock < self.looked_at.after(LOOK_EVERY) {
            return Ok(());
        }
        let looked_at = std::mem::replace(&mut self.looked_at, scene.clock);
        // Where order is kept, what is apart or was sent under another map may hold back anything.
        let is_blind = self.keeps_order && (self.searches || self.in_flight_of_older_maps > 0);
        let requests_max = 2 * self.shards.len() as u64 + REQUESTS_BESIDES;
        let (requests, searches, keeps_order) = (self.requests, self.searches, self.keeps_order);
        let is_judged = self.shares.is_some()
            && !searches
            && !keeps_order
            && scene.clock < looked_at.after(2 * LOOK_EVERY);
        let (held_up_until, failing_until) = (self.held_up_until, self.failing_until);
        for shard in &mut self.shards {
            let first = shard.first_that_waits(scene.ledger, keeps_order);
            let Some((number, accepted_at)) = first.filter(|_| !is_blind) else {
                shard.free_from = shard.free_from.max(scene.clock);
                (shard.passed_by_from, shard.busy) = (None, None);
                continue;
            };
            let due_at = accepted_at.after(self.linger);
            let ready_at = due_at.max(shard.free_from()).max(failing_until);
            let latest = ready_at.max(held_up_until).after(PATIENCE);
            if scene.clock > latest {
                let what = format!(
                    "nothing holds back its shard since {ready_at:?}, and it waits at {:?}",
                    scene.clock
                );
                return Err(Breach::of_record(number, what));
            }
            if searches || scene.clock <= ready_at.after(PATIENCE) {
                shard.passed_by_from = None;
            } else if requests > *shard.passed_by_from.get_or_insert(requests) + requests_max {
                let what = format!(
                    "its shard is ready since {ready_at:?}, and {requests_max} requests passed it by"
                );
                return Err(Breach::of_record(number, what));
            }
            let has_work = is_judged && !shard.is_slow && due_at <= scene.clock;
            shard.is_used(scene.clock, has_work, held_up_until.max(failing_until), number)?;
        }
        Ok(())
    }
}

impl Shard {
    /// Its oldest record that may go, and when it was accepted. Where order is kept there is none while something is on
    /// its way, or is stored and waits for a map.
    fn first_that_waits(&mut self, ledger: &Ledger, keeps_order: bool) -> Option<(u64, Timestamp)> {
        while self.queue.front().is_some_and(|&number| ledger.record(number).is_none()) {
            self.queue.pop_front();
        }
        let waits = |number: &&u64| ledger.record(**number).is_some_and(|facts| !facts.in_flight);
        let is_stored = |number: &u64| ledger.is_stored(*number);
        if keeps_order && (self.in_flight > 0 || self.queue.iter().filter(waits).any(is_stored)) {
            return None;
        }
        let number = *self.queue.iter().filter(waits).find(|&number| !is_stored(number))?;
        Some((number, ledger.record(number)?.accepted?.at))
    }

    fn is_sent(&mut self, now: Timestamp, costs: [u64; 2]) {
        let cost = costs[0].max(costs[1]);
        self.largest = self.largest.max(cost);
        self.passed_by_from = None;
        if self.is_slow {
            let wait = Duration::from_nanos(cost.saturating_mul(SLOWEST).saturating_add(BURST_NANOS));
            self.free_from = self.free_from.max(now.after(wait.max(SLOW_WAIT)));
            return;
        }
        for (until, cost) in self.used_until.iter_mut().zip(costs) {
            *until = (*until).max(now.as_nanos()) + cost;
        }
        if let Some((_, used)) = &mut self.busy {
            *used = [used[0] + costs[0], used[1] + costs[1]];
        }
    }

    /// The service stored nothing of what was sent. What the limits let through meanwhile stays used.
    fn used_less(&mut self, now: Timestamp, sent_at: Timestamp, costs: [u64; 2]) {
        let passed = now.since(sent_at).as_nanos() as u64;
        for (until, cost) in self.used_until.iter_mut().zip(costs) {
            *until -= cost.saturating_sub(passed);
        }
        self.busy = None;
    }

    fn refuses(&mut self, now: Timestamp) {
        self.free_from = self.free_from().max(now.after(WAIT_MAX));
        self.is_slow = true;
    }

    fn free_from(&self) -> Timestamp {
        let used_until = self.used_until[0].max(self.used_until[1]);
        self.free_from.max(Timestamp::from_nanos(used_until + self.largest / 8))
    }

    /// With work all the time it gets nine tenths of the producer's share.
    fn is_used(
        &mut self,
        now: Timestamp,
        has_work: bool,
        held_up_until: Timestamp,
        number: u64,
    ) -> Result<(), Breach> {
        let left = self.used_until.map(|until| until.saturating_sub(now.as_nanos()));
        let begins = (now, left);
        let busy = self.busy.filter(|(since, _)| has_work && held_up_until < *since);
        let (since, used) = busy.unwrap_or(begins);
        self.busy = has_work.then_some((since, used));
        let (used, elapsed) = (used[0].max(used[1]), now.since(since).as_nanos() as u64);
        if used + self.largest + UNUSED_MAX.as_nanos() as u64 >= elapsed / 10 * 9 {
            return Ok(());
        }
        let what = format!(
            "its shard has work since {since:?}, and was sent what takes {:?} until {now:?}",
            Duration::from_nanos(used)
        );
        Err(Breach::of_record(number, what))
    }
}

/// How long a batcher may wait after a failure, of a shard or of the whole.
const WAIT_MAX: Duration = Duration::from_millis(2_500);
/// After the first failure in a row of the whole; twice as long after each that follows.
const WAIT_FIRST: Duration = Duration::from_millis(200);
/// A record that nothing holds back goes within this time.
const PATIENCE: Duration = Duration::from_millis(300);
/// A shard that has refused something may be sent so many times less than the producer's share.
const SLOWEST: u64 = 400;
/// Or a record in so long.
const SLOW_WAIT: Duration = Duration::from_secs(2);
/// A program that calls its batcher so long after the deadline that it gave is what holds it up.
const LATE: Duration = Duration::from_millis(20);
/// So much of its share a shard that has work may leave unused, besides a tenth.
const UNUSED_MAX: Duration = Duration::from_secs(1);
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Requests that may pass a shard by, besides two for each shard of the stream: each may take a whole request, and a
/// record too large for the rest of one makes it two.
const REQUESTS_BESIDES: u64 = 20;
