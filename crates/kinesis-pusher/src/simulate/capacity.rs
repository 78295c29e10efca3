//! How many shards a load needs.

use std::time::Duration;

use kinesis_batcher_sim::{Checks, Faults, Options, Report};
use serde::Serialize;

use super::figures::{percent, rounded, share, time};
use super::load::Load;
use super::scenario::Scenario;
use crate::cli::write_duration;
use crate::summary::grouped;

/// The answer, without aggregation and with it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Capacity {
    /// How the number of shards was found.
    pub(super) rule: String,
    /// Each record by itself.
    pub(super) plain: Answer,
    /// Records in aggregates.
    pub(super) aggregated: Answer,
}

/// The fewest shards that hold a load.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Answer {
    /// How many; none when no number was found.
    pub(super) shards: Option<u32>,
    /// Whether a simulation with that many kept to the rule. Otherwise it would take too long, and the number is by
    /// the limits alone.
    pub(super) simulated: bool,
    /// The share of all records that the busiest of them gets.
    pub(super) busiest_shard_share: Option<f64>,
    /// What the simulation showed, or why there is no number.
    pub(super) why: String,
}

impl Capacity {
    pub(super) fn of(scenario: &Scenario) -> Self {
        let load = Load::new(scenario.keys, scenario.key_count);
        let mut search = Search { scenario, load: &load, records_left: RECORDS_IN_ALL };
        let rule = format!(
            "the fewest shards of which the busiest is asked for no more than it takes ({} records/s, {}/s), and with \
             which in a simulation of {}, without faults, nothing is turned away, {} % are delivered as they come, \
             p99 is at most {} and at most {} of the attempts are throttled",
            grouped(scenario.shard_records()),
            indicatif::BinaryBytes(scenario.shard_bytes()),
            write_duration(search.duration()),
            KEPT_UP_PERCENT,
            write_duration(scenario.latency),
            percent(THROTTLED_MAX),
        );
        let plain = search.answer(false);
        let aggregated = search.answer(true);
        Self { rule, plain, aggregated }
    }

    /// "This load needs N shards; with aggregation M", and why.
    pub(super) fn text(&self) -> String {
        let count = |answer: &Answer| match answer.shards {
            Some(1) => "1 shard".to_owned(),
            Some(shards) => format!("{} shards", grouped(shards.into())),
            None => "more than shards can give".to_owned(),
        };
        format!(
            "capacity   this load needs {}; with aggregation {}\n\
             {}{}{}",
            count(&self.plain),
            count(&self.aggregated),
            indented(&format!("without: {}", self.plain.why)),
            indented(&format!("with: {}", self.aggregated.why)),
            indented(&format!("rule: {}", self.rule)),
        )
    }
}

/// Lines of some hundred characters, under the answer.
fn indented(text: &str) -> String {
    let mut lines = String::new();
    let mut line = String::new();
    for word in text.split(' ') {
        if !line.is_empty() && line.len() + word.len() >= LINE {
            lines.push_str(&format!("           {line}\n"));
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push_str(&format!("           {line}\n"));
    lines
}

struct Search<'a> {
    scenario: &'a Scenario,
    load: &'a Load,
    /// Records that may still be simulated. Not time: the answer must be the same on every machine.
    records_left: u64,
}

/// What a simulation with so many shards showed.
struct Trial {
    report: Report,
    failure: Option<String>,
}

impl Search<'_> {
    fn answer(&mut self, aggregation: bool) -> Answer {
        let share_max = self.share_max(aggregation);
        let (key, heaviest) = self.load.heaviest();
        if heaviest > share_max {
            return self.hot_key(&key, heaviest, aggregation);
        }
        let Some(fewest) = self.load.fewest_shards(share_max, 1, SHARDS_MAX) else {
            return Answer::none(format!("more than {} shards", grouped(SHARDS_MAX.into())));
        };
        let Some(first) = self.trial(fewest, aggregation) else {
            let why = "by the limits alone: simulating so many records would take too long";
            return self.found(fewest, false, why);
        };
        let Some(failure) = first.failure else {
            return self.found(fewest, true, &describe(&first.report));
        };
        // Upwards in growing steps, then between the last that failed and the first that did not.
        let (mut failed, mut step) = (fewest, (fewest / 16).max(1));
        let mut passed = None;
        while passed.is_none() && failed < fewest.saturating_mul(2).max(fewest + 4) {
            let next = failed.saturating_add(step);
            let Some(next) = self.load.fewest_shards(share_max, next, SHARDS_MAX) else { break };
            let Some(trial) = self.trial(next, aggregation) else { break };
            match trial.failure {
                None => passed = Some((next, describe(&trial.report))),
                Some(_) => failed = next,
            }
            step *= 2;
        }
        let Some((mut shards, mut why)) = passed else {
            return Answer::none(format!(
                "{} shards would do by the limits, but in the simulation {failure}, and {} do no better: look at \
                 --in-flight, --linger, --buffer-bytes and --round-trip, or take more producers",
                grouped(fewest.into()),
                grouped(failed.into())
            ));
        };
        while shards - failed > 1 {
            let middle = failed + (shards - failed) / 2;
            let Some(middle) = self.load.fewest_shards(share_max, middle, shards - 1) else { break };
            let Some(trial) = self.trial(middle, aggregation) else { break };
            match trial.failure {
                None => (shards, why) = (middle, describe(&trial.report)),
                Some(_) => failed = middle,
            }
        }
        self.found(shards, true, &why)
    }

    /// What of all records one shard can take at most. In aggregates, where neither keys nor the number of records
    /// count, it is what payloads alone allow; the simulation knows the rest.
    fn share_max(&self, aggregation: bool) -> f64 {
        let rate = self.scenario.rate as f64;
        let data = f64::from(self.scenario.record_bytes);
        if aggregation {
            return self.scenario.shard_bytes() as f64 / (rate * data);
        }
        let by_records = self.scenario.shard_records() as f64 / rate;
        let by_bytes = self.scenario.shard_bytes() as f64 / (rate * (data + self.load.key_bytes()));
        by_records.min(by_bytes)
    }

    fn hot_key(&self, key: &str, share: f64, aggregation: bool) -> Answer {
        let records = share * self.scenario.rate as f64;
        let cure = if aggregation { "divide the key" } else { "aggregate, or divide the key" };
        Answer::none(format!(
            "no number of shards is enough: the key {key} alone brings {} records/s and {}/s, all to one shard; {cure}",
            grouped(records.round() as u64),
            indicatif::BinaryBytes((records * f64::from(self.scenario.record_bytes)).round() as u64),
        ))
    }

    fn found(&self, shards: u32, simulated: bool, why: &str) -> Answer {
        let busiest = self.load.busiest(shards);
        let why = format!("{why}; the busiest shard gets {} of the records", percent(busiest));
        Answer { shards: Some(shards), simulated, busiest_shard_share: Some(rounded(busiest, 6)), why }
    }

    /// None when that would be too many records.
    fn trial(&mut self, shards: u32, aggregation: bool) -> Option<Trial> {
        let duration = self.duration();
        let records = (self.scenario.rate as f64 * duration.as_secs_f64()) as u64;
        self.records_left = self.records_left.checked_sub(records)?;
        let mut options: Options = self.scenario.options.clone();
        options.service.shards = shards;
        options.service.shards_max = shards.max(options.service.shards_max);
        let settings = self.scenario.settings.clone().aggregation(aggregation);
        options.config = settings.build().expect("the scenario was built from these settings");
        let options = options
            .faults(Faults::None)
            .duration(duration)
            .settling(duration / 2)
            .checks(Checks::NONE)
            .interval(None);
        let report = kinesis_batcher_sim::run(self.scenario.seed, &options);
        let failure = self.failure(&report);
        Some(Trial { report, failure })
    }

    /// How long a simulation lasts: as long as that of the scenario, but no longer than tells.
    fn duration(&self) -> Duration {
        let affordable = Duration::from_secs(RECORDS_OF_ONE / self.scenario.rate.max(1)).max(TRIAL_MIN);
        self.scenario.options.duration.min(TRIAL_MAX).min(affordable)
    }

    /// What of the rule did not hold.
    fn failure(&self, report: &Report) -> Option<String> {
        let settled = &report.steady;
        let throttled = share(settled.entries_throttled, settled.entries_throttled + settled.entries_stored);
        if report.totals.records_dropped > 0 {
            Some(format!("{} records were turned away", grouped(report.totals.records_dropped)))
        } else if report.totals.records_failed > 0 {
            Some(format!("{} records failed", grouped(report.totals.records_failed)))
        } else if settled.records_delivered * 100 < settled.records_offered * KEPT_UP_PERCENT {
            Some(format!(
                "only {} of the records were delivered as they came",
                percent(share(settled.records_delivered, settled.records_offered))
            ))
        } else if settled.delay.p99 > self.scenario.latency {
            Some(format!("p99 was {}", time(settled.delay.p99)))
        } else if throttled > THROTTLED_MAX {
            Some(format!("{} of the attempts were throttled", percent(throttled)))
        } else {
            None
        }
    }
}

impl Answer {
    fn none(why: String) -> Self {
        Self { shards: None, simulated: false, busiest_shard_share: None, why }
    }
}

/// What a simulation that kept to the rule showed.
fn describe(report: &Report) -> String {
    let settled = &report.steady;
    let throttled = share(settled.entries_throttled, settled.entries_throttled + settled.entries_stored);
    format!(
        "p99 {} and {} throttled in the simulation, {} of the stream used",
        time(settled.delay.p99),
        percent(throttled),
        percent(settled.utilisation_millionths() as f64 / 1e6),
    )
}

/// Characters.
const LINE: usize = 100;
/// Twice what the largest streams have by default.
const SHARDS_MAX: u32 = 20_000;
/// Producers that share a full stream have 1.6 % throttled (docs/SCALING.md).
const THROTTLED_MAX: f64 = 0.02;
/// Less is a backlog that grows.
const KEPT_UP_PERCENT: u64 = 99;
/// After ten seconds rates have settled, and ten more tell a backlog that grows from one that does not.
const TRIAL_MAX: Duration = Duration::from_secs(20);
const TRIAL_MIN: Duration = Duration::from_secs(2);
/// A second or two of work for one simulation, and some ten for all.
const RECORDS_OF_ONE: u64 = 2_000_000;
const RECORDS_IN_ALL: u64 = 12_000_000;
