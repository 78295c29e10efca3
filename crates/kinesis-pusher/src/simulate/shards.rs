//! Which shard is hot.

use std::collections::BTreeMap;
use std::time::Duration;

use kinesis_batcher_core::ShardId;
use kinesis_batcher_sim::{Report, ShardPoint};

use super::scenario::Scenario;

/// The busiest shard, beside the one in the middle.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Busiest {
    pub(super) shard_id: ShardId,
    /// How much of its limits it used while records were offered: of records or of bytes, whichever is more.
    pub(super) used: f64,
    /// How many of the attempts at it were throttled.
    pub(super) throttled: f64,
    /// How much of its limits the median shard used.
    pub(super) median_used: f64,
}

impl Busiest {
    /// None when nothing was stored.
    pub(super) fn of(scenario: &Scenario, report: &Report) -> Option<Self> {
        let mut shards: BTreeMap<&ShardId, Sum> = BTreeMap::new();
        let mut before = Duration::ZERO;
        for point in report.series.iter().filter(|point| point.at <= report.options.duration) {
            let interval = point.at.saturating_sub(before);
            before = point.at;
            for shard in &point.shards {
                shards.entry(&shard.shard_id).or_default().add(shard, interval);
            }
        }
        let mut used: Vec<f64> = shards.values().map(|sum| sum.used(scenario)).collect();
        used.sort_by(f64::total_cmp);
        let median_used = *used.get(used.len() / 2)?;
        // The first of equals, in the order of their numbers; a map has each once.
        let (id, sum) = shards
            .iter()
            .rev()
            .max_by(|(_, one), (_, other)| one.used(scenario).total_cmp(&other.used(scenario)))?;
        let attempts = sum.stored + sum.throttled;
        let throttled = super::figures::share(sum.throttled, attempts);
        Some(Self { shard_id: (*id).clone(), used: sum.used(scenario), throttled, median_used })
    }

    /// Whether it is full, or nearly, and clearly busier than others.
    pub(super) fn is_hot(&self) -> bool {
        self.used >= HOT_USE && self.used >= HOT_RATIO * self.median_used
    }
}

/// How much of a shard's limits was asked for in an interval, throttled attempts included: above 1 is too much.
pub(super) fn asked(scenario: &Scenario, shard: &ShardPoint, interval: Duration) -> f64 {
    let sum = Sum {
        stored: shard.entries_stored,
        throttled: shard.entries_throttled,
        bytes: shard.bytes_stored,
        seconds: interval.as_secs_f64(),
    };
    let attempts = sum.stored + sum.throttled;
    let more = attempts as f64 / sum.stored.max(1) as f64;
    if sum.stored == 0 {
        return attempts as f64 / (scenario.shard_records() as f64 * sum.seconds.max(1e-9));
    }
    sum.used(scenario) * more
}

#[derive(Default)]
struct Sum {
    stored: u64,
    throttled: u64,
    bytes: u64,
    seconds: f64,
}

impl Sum {
    fn add(&mut self, shard: &ShardPoint, interval: Duration) {
        self.stored += shard.entries_stored;
        self.throttled += shard.entries_throttled;
        self.bytes += shard.bytes_stored;
        self.seconds += interval.as_secs_f64();
    }

    fn used(&self, scenario: &Scenario) -> f64 {
        let records = self.stored as f64 / scenario.shard_records() as f64;
        let bytes = self.bytes as f64 / scenario.shard_bytes() as f64;
        records.max(bytes) / self.seconds.max(1e-9)
    }
}

/// A shard that is nearly full makes records wait.
const HOT_USE: f64 = 0.9;
/// Less above the median is how keys happen to fall.
const HOT_RATIO: f64 = 1.25;
