//! Rates that adapt follow what the shards take: they never exceed the configured share, shrink when a shard throttles,
//! grow with what it stores, and a new shard's begin no higher than those of the shards it came from.

use std::time::Duration;

use kinesis_batcher_core::{Batcher, HashKey, Response, ShardMap, Timestamp};
use kinesis_model::Cause as Failure;
use kinesis_model::limits::{SHARD_BYTES_PER_SECOND, SHARD_RECORDS_PER_SECOND};

use super::i03::percent;
use super::lanes::Lanes;
use super::per_producer::PerProducer;
use super::{Breach, Checker, Invariant, Kind, Observation, RequestView, Scene, entry_failure};
use crate::window::Window;

/// Compares the rates that are told before and after each response.
#[derive(Debug, Default)]
pub(super) struct RatesFollow {
    producers: PerProducer<Producer>,
    flights: Window<Flight>,
}

#[derive(Debug)]
struct Flight {
    sent_at: Timestamp,
    /// Of each entry.
    places: Vec<u32>,
}

#[derive(Debug, Default)]
struct Producer {
    lanes: Lanes<Lane>,
    map: Option<ShardMap>,
    /// Answers and maps since the last look.
    changes: u32,
    /// When the last of them came. The program may have pushed since, at a later time.
    changed_at: Timestamp,
    /// There is nothing to forget.
    is_blind: bool,
    /// The ranges of the map before, with what was told of them, until the first look at those that replace them.
    parents: Vec<(HashKey, HashKey, Told)>,
}

/// Records and bytes that a shard may be sent a second, rounded up.
type Told = [u64; 2];

#[derive(Clone, Debug, Default)]
struct Lane {
    told: Option<Told>,
    /// What was told when it last began to grow, and how many Kinesis records the shard stored since.
    base: Told,
    stored: u64,
    /// When it last had to shrink. What was sent before met the same limit.
    shrunk_at: Timestamp,
    /// It may have shrunk while nobody looked.
    is_unsure: bool,
    /// What the response at hand says of it, by its runs.
    runs: Vec<Run>,
}

#[derive(Clone, Copy, Debug)]
struct Run {
    sent_at: Timestamp,
    stored: u64,
    throttled: u64,
}

impl Checker for RatesFollow {
    fn invariant(&self) -> Invariant {
        Invariant::Restraint
    }

    fn kinds(&self) -> &'static [Kind] {
        &[Kind::Began, Kind::Requested, Kind::Answered, Kind::MapGiven, Kind::Settled, Kind::Crashed]
    }

    fn observe(&mut self, scene: &Scene<'_>, observation: &Observation<'_>) -> Result<(), Breach> {
        match *observation {
            Observation::Began { producer, batcher } => {
                let producer = self.producers.of(producer);
                producer.lanes.refresh(batcher.shard_map(), Lane::default);
                producer.map = Some(batcher.shard_map().clone());
                if batcher.shard_map().is_unknown() { Ok(()) } else { producer.look(scene.clock, batcher) }
            }
            Observation::Requested { producer, request, batcher } if is_looked_at(batcher) => {
                let lanes = &self.producers.of(producer).lanes;
                let places = request.sent().map(|entry| {
                    let facts = entry.numbers.first().and_then(|&number| scene.ledger.record(number));
                    facts.map_or(u32::MAX, |facts| lanes.place_of(facts.hash_key))
                });
                let flight = Flight { sent_at: scene.clock, places: places.collect() };
                self.flights.insert(request.number, flight);
                Ok(())
            }
            Observation::Answered { producer, request, outcome, .. } => {
                let (producer, flight) = (self.producers.of(producer), self.flights.remove(request.number));
                producer.changes += 1;
                producer.changed_at = scene.clock;
                match (flight, outcome) {
                    (Some(flight), Ok(response)) => producer.answered(request, response, &flight),
                    (None, Ok(_)) => producer.begin_anew(),
                    _ => {}
                }
                Ok(())
            }
            Observation::MapGiven { producer, map } => {
                let producer = self.producers.of(producer);
                producer.changes += 1;
                producer.changed_at = scene.clock;
                producer.map_given(map);
                Ok(())
            }
            Observation::Settled { producer, batcher, .. } => {
                let producer = self.producers.of(producer);
                match std::mem::take(&mut producer.changes) {
                    0 => return Ok(()),
                    1 => {}
                    // The program polls late: which of them changed a rate cannot be seen.
                    _ => producer.begin_anew(),
                }
                producer.look(producer.changed_at, batcher)
            }
            Observation::Crashed { requests, .. } => {
                for &number in requests {
                    self.flights.remove(number);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl Producer {
    fn answered(&mut self, request: RequestView<'_>, response: &Response, flight: &Flight) {
        if response.outcomes.len() != request.request.len() {
            return;
        }
        let mut before = None;
        for (&place, outcome) in flight.places.iter().zip(&response.outcomes) {
            if place == u32::MAX {
                continue;
            }
            let lane = self.lanes.lane(place);
            if before.replace(place) != Some(place) {
                lane.runs.push(Run { sent_at: flight.sent_at, stored: 0, throttled: 0 });
            }
            let Some(run) = lane.runs.last_mut() else { continue };
            match entry_failure(outcome) {
                None => run.stored += 1,
                Some(meaning) => run.throttled += u64::from(meaning.cause == Failure::Throttled),
            }
        }
    }

    /// Something was not looked at, so that nothing is known of the rates any more.
    fn begin_anew(&mut self) {
        self.parents.clear();
        if !std::mem::replace(&mut self.is_blind, true) {
            self.lanes.all().fill(Lane::default());
        }
    }

    fn map_given(&mut self, map: &ShardMap) {
        let Some(before) = self.map.replace(map.clone()).filter(|before| before != map) else { return };
        self.parents.clear();
        for (index, shard) in before.shards().iter().enumerate() {
            if let Some(told) = self.lanes.of_shard(index).told {
                self.parents.push((shard.first, shard.last, told));
            }
        }
        self.lanes.refresh(map, Lane::default);
        for lane in self.lanes.all() {
            // Rates of shards that stay may be scaled.
            (lane.base, lane.stored) = ([0; 2], 0);
        }
    }

    fn look(&mut self, clock: Timestamp, batcher: &Batcher<u64>) -> Result<(), Breach> {
        let map = batcher.shard_map();
        let Some(share) = share(batcher).filter(|_| is_looked_at(batcher)) else {
            self.begin_anew();
            return Ok(());
        };
        let was_blind = std::mem::take(&mut self.is_blind);
        let adapts = batcher.config().adaptive_rates() && (map.is_auto() || !map.shards().is_empty());
        for (index, shard) in batcher.shard_stats().enumerate() {
            let (Some(records), Some(bytes)) = (shard.records_per_second, shard.bytes_per_second) else {
                continue;
            };
            let now = [records, bytes];
            if now[0] > share[0] || now[1] > share[1] {
                return Err(Breach::new(format!(
                    "a shard may be sent {now:?}/s, and its share is {share:?}/s"
                )));
            }
            let lane = self.lanes.of_shard(index);
            let runs = std::mem::take(&mut lane.runs);
            match lane.told.replace(now) {
                None => {
                    (lane.base, lane.is_unsure) = (now, was_blind);
                    lane.shrunk_at = if was_blind { clock } else { Timestamp::ZERO };
                    if let Some(shard) = map.shards().get(index) {
                        check_new(now, shard.first, shard.last, &self.parents)?;
                    }
                }
                Some(before) if adapts => lane.follow(clock, &runs, before, now, share)?,
                Some(_) => {}
            }
        }
        self.parents.clear();
        Ok(())
    }
}

/// As many producers write to a new shard as wrote to those it came from.
fn check_new(
    now: Told,
    first: HashKey,
    last: HashKey,
    parents: &[(HashKey, HashKey, Told)],
) -> Result<(), Breach> {
    let mut parents = parents.iter().filter(|(from, to, _)| *from <= last && *to >= first);
    match parents.find(|(.., told)| now[0] > told[0] || now[1] > told[1]) {
        Some((.., told)) => Err(Breach::new(format!(
            "a new shard may be sent {now:?}/s, and one that it came from {told:?}/s"
        ))),
        None => Ok(()),
    }
}

impl Lane {
    fn follow(
        &mut self,
        clock: Timestamp,
        runs: &[Run],
        before: Told,
        now: Told,
        share: Told,
    ) -> Result<(), Breach> {
        let (mut throttles, mut shrinks, mut stored) = (false, false, 0);
        // A new map may have scaled the rates.
        let is_scaled = self.base == [0; 2];
        for run in runs {
            if run.throttled == 0 {
                self.stored += run.stored;
                stored += run.stored;
                continue;
            }
            throttles = true;
            if run.sent_at >= self.shrunk_at {
                shrinks = true;
                (self.shrunk_at, self.is_unsure) = (clock, false);
            }
        }
        // What was sent before the rates shrank met the same limit, and changes nothing.
        if shrinks || throttles && self.is_unsure || self.base == [0; 2] {
            (self.base, self.stored) = (now, 0);
        }
        if shrinks {
            let is_low = (0..2).any(|unit| before[unit] <= LOW + 2 * share[unit] / FLOOR_SHARE);
            let has_shrunk = now != before && now[0] <= before[0] && now[1] <= before[1];
            if runs.len() == 1 && !is_low && !has_shrunk {
                return Err(Breach::new(format!(
                    "a shard throttled, and may be sent {now:?}/s after {before:?}/s"
                )));
            }
            return Ok(());
        }
        if !is_scaled && !self.is_unsure && clock.since(self.shrunk_at) < SOON {
            let most = |unit: usize| before[unit] + share[unit] * stored / RECORDS_TO_SHARE + 1;
            if (0..2).any(|unit| now[unit] > most(unit)) {
                return Err(Breach::new(format!(
                    "soon after its shard throttled, {stored} stored records lift {before:?}/s to {now:?}/s"
                )));
            }
        }
        for unit in 0..2 {
            let step = (share[unit] * RATE_PARTS / STEPS_TO_SHARE).max(1);
            let grown = (self.base[unit].max(1) - 1) * RATE_PARTS + 1 + step * self.stored;
            if now[unit] < share[unit].min(grown.div_ceil(RATE_PARTS)) {
                let (base, stored) = (self.base, self.stored);
                return Err(Breach::new(format!(
                    "a shard that might be sent {base:?}/s has stored {stored} and may be sent {now:?}/s"
                )));
            }
        }
        Ok(())
    }
}

fn is_looked_at(batcher: &Batcher<u64>) -> bool {
    batcher.stats().open_shards <= SHARDS_LOOKED_AT_MAX
}

/// What one shard may be sent by the settings; `None` without limits.
fn share(batcher: &Batcher<u64>) -> Option<Told> {
    let map = batcher.shard_map();
    let shards = if map.shards().is_empty() { u64::from(map.open_shards()) } else { 1 };
    let percent = percent(batcher.config())? * shards;
    Some(
        [SHARD_RECORDS_PER_SECOND, SHARD_BYTES_PER_SECOND]
            .map(|limit| (u64::from(limit) * percent / 100).max(1)),
    )
}

/// With thousands of shards, looking at each would cost more than the run.
pub(super) const SHARDS_LOOKED_AT_MAX: u64 = 100;
/// Parts of a unit in which rates are kept.
pub(super) const RATE_PARTS: u64 = 64;
/// No rate falls below this part of the share.
pub(super) const FLOOR_SHARE: u64 = 256;
/// Stored records that lift a rate from nothing to the share, at the slowest.
const STEPS_TO_SHARE: u64 = 8_192;
/// Stored records that lift a rate from nothing to the share soon after a shard throttled, at the fastest: the largest
/// there are count most. Fewer would fill a full shard again before its other producers had their part.
const RECORDS_TO_SHARE: u64 = 512;
/// Until then after a shard throttled, rates grow slowly.
const SOON: Duration = Duration::from_secs(8);
/// A tenth goes at the least; of this many units and fewer, that may not show.
const LOW: u64 = 12;

#[cfg(test)]
mod tests {
    use super::*;

    const SHARE: Told = [1_000, 1 << 20];

    fn follow(run: Run, before: Told, now: Told) -> bool {
        let mut lane = Lane { base: before, ..Lane::default() };
        lane.follow(Timestamp::from_millis(2), &[run], before, now, SHARE).is_ok()
    }

    #[test]
    fn a_rate_that_does_not_follow_is_found() {
        let run = |stored, throttled| Run { sent_at: Timestamp::from_millis(1), stored, throttled };
        let full = SHARE;
        assert!(follow(run(9, 1), full, [900, 1 << 20]) && !follow(run(9, 1), full, full));
        assert!(!follow(run(9, 1), [500, 1 << 20], [450, (1 << 20) + 1]), "neither may grow");
        let half = [500, 1 << 19];
        assert!(follow(run(100, 0), half, [513, 538_000]));
        assert!(!follow(run(100, 0), half, half), "a hundred stored records are twelve more a second");
        assert!(follow(run(0, 0), half, half));
    }

    #[test]
    fn a_rate_that_grows_at_once_is_found_unless_nothing_was_throttled_for_long() {
        let run = Run { sent_at: Timestamp::from_millis(2_000), stored: 1, throttled: 0 };
        let half = [500, 1 << 19];
        let is_found = |now, at| {
            let shrunk_at = Timestamp::from_millis(1_000);
            let mut lane = Lane { base: half, shrunk_at, ..Lane::default() };
            lane.follow(Timestamp::from_millis(at), &[run], half, now, SHARE).is_err()
        };
        assert!(is_found(SHARE, 2_001) && !is_found([501, (1 << 19) + 1_000], 2_001));
        assert!(!is_found(SHARE, 9_000), "there is room, and how much is not for this to know");
    }

    #[test]
    fn a_new_shard_begins_no_higher_than_the_lowest_it_came_from() {
        let middle = HashKey::new(1 << 127);
        let parents =
            [(HashKey::MIN, HashKey::new((1 << 127) - 1), [10, 1_000]), (middle, HashKey::MAX, [20, 900])];
        assert!(check_new([10, 900], HashKey::MIN, HashKey::MAX, &parents).is_ok());
        assert!(check_new([20, 900], HashKey::MIN, HashKey::MAX, &parents).is_err());
        assert!(check_new([20, 900], middle, HashKey::MAX, &parents).is_ok());
    }
}
