//! What came of a simulation, in words and as JSON.

use std::fmt;
use std::time::Duration;

use kinesis_batcher_sim::{Percentiles, Report};
use serde::Serialize;

use super::capacity::Capacity;
use super::figures::{percent, rounded, time};
use super::scenario::Scenario;
use super::shards::Busiest;
use crate::cli::write_duration;
use crate::summary::grouped;

/// The field names are those of the JSON. Times are in seconds of virtual time, shares from 0 to 1.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Outcome {
    simulation: String,
    seed: u64,
    records_offered: u64,
    records_delivered: u64,
    /// Refused by a full buffer, and not asked for again.
    records_turned_away: u64,
    records_failed: u64,
    records_expired: u64,
    records_possibly_duplicated: u64,
    duplicates_stored: u64,
    bytes_delivered: u64,
    requests: u64,
    kinesis_records: u64,
    throttled: u64,
    /// Until everything had drained.
    elapsed_seconds: f64,
    p50_seconds: f64,
    p99_seconds: f64,
    max_seconds: f64,
    settled: Settled,
    busiest_shard: Option<BusiestShard>,
    #[serde(skip_serializing_if = "Option::is_none")]
    capacity: Option<Capacity>,
    series: Vec<Point>,
    #[serde(skip)]
    delay: Percentiles,
    #[serde(skip)]
    drained_after: Duration,
}

/// The part of the run after `--settling`, while records were offered.
#[derive(Clone, Debug, Serialize)]
struct Settled {
    from_seconds: f64,
    records_per_second: u64,
    utilisation: f64,
    throttled_share: f64,
    fairness: f64,
    p50_seconds: f64,
    p99_seconds: f64,
}

#[derive(Clone, Debug, Serialize)]
struct BusiestShard {
    shard_id: String,
    utilisation: f64,
    throttled_share: f64,
    median_utilisation: f64,
    hot: bool,
}

/// Counts since the point before; the buffer at this point.
#[derive(Clone, Debug, Serialize)]
struct Point {
    at_seconds: f64,
    records_offered: u64,
    records_delivered: u64,
    records_refused: u64,
    throttled: u64,
    buffered_bytes: u64,
    p50_seconds: f64,
    p99_seconds: f64,
    shards: usize,
}

impl Outcome {
    pub(super) fn new(scenario: &Scenario, report: &Report, capacity: Option<Capacity>) -> Self {
        let (totals, settled) = (&report.totals, &report.steady);
        let busiest = Busiest::of(scenario, report);
        Self {
            simulation: scenario.title(),
            seed: report.seed,
            records_offered: totals.records_offered,
            records_delivered: totals.records_delivered,
            records_turned_away: totals.records_dropped,
            records_failed: totals.records_failed,
            records_expired: totals.records_expired,
            records_possibly_duplicated: totals.records_possibly_duplicated,
            duplicates_stored: totals.duplicates_stored,
            bytes_delivered: totals.bytes_delivered,
            requests: totals.requests,
            kinesis_records: totals.entries_stored,
            throttled: totals.entries_throttled,
            elapsed_seconds: seconds(report.elapsed),
            p50_seconds: seconds(report.delay.p50),
            p99_seconds: seconds(report.delay.p99),
            max_seconds: seconds(report.delay.max),
            settled: Settled {
                from_seconds: seconds(report.options.settling),
                records_per_second: settled.records_per_second(),
                utilisation: rounded(settled.utilisation_millionths() as f64 / 1e6, 4),
                throttled_share: rounded(settled.throttled_millionths() as f64 / 1e6, 4),
                fairness: rounded(settled.fairness_millionths as f64 / 1e6, 4),
                p50_seconds: seconds(settled.delay.p50),
                p99_seconds: seconds(settled.delay.p99),
            },
            busiest_shard: busiest.map(|busiest| BusiestShard {
                hot: busiest.is_hot(),
                shard_id: busiest.shard_id.to_string(),
                utilisation: rounded(busiest.used, 4),
                throttled_share: rounded(busiest.throttled, 4),
                median_utilisation: rounded(busiest.median_used, 4),
            }),
            capacity,
            series: report.series.iter().map(point).collect(),
            delay: report.delay,
            drained_after: report.elapsed.saturating_sub(report.options.duration),
        }
    }

    /// One line of JSON.
    pub(super) fn to_json(&self) -> String {
        let mut text = serde_json::to_string(self).expect("a struct of numbers and texts is always JSON");
        text.push('\n');
        text
    }

    /// The hot shard, if there is one.
    pub(super) fn hot_shard(&self) -> Option<String> {
        self.busiest_shard.as_ref().filter(|busiest| busiest.hot).map(|busiest| busiest.shard_id.clone())
    }

    /// The busiest shard in words, and whether it is hot.
    pub(super) fn busiest(&self) -> Option<(String, bool)> {
        let busiest = self.busiest_shard.as_ref()?;
        let what = if busiest.hot { "is hot" } else { "is the busiest" };
        let text = format!(
            "{} {what}: {} of its limits used, {} of the attempts at it throttled; the median shard uses {}",
            busiest.shard_id,
            percent(busiest.utilisation),
            percent(busiest.throttled_share),
            percent(busiest.median_utilisation)
        );
        Some((text, busiest.hot))
    }
}

/// For people, a line for each subject.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "records    {} offered, {} delivered",
            grouped(self.records_offered),
            grouped(self.records_delivered)
        )?;
        for (count, what) in [
            (self.records_turned_away, "turned away by a full buffer"),
            (self.records_failed, "failed"),
            (self.records_expired, "of them expired"),
            (self.records_possibly_duplicated, "possibly duplicated"),
            (self.duplicates_stored, "stored twice"),
        ] {
            if count > 0 {
                write!(f, ", {} {what}", grouped(count))?;
            }
        }
        writeln!(f, "; drained {} after the last came", time(self.drained_after))?;
        writeln!(
            f,
            "requests   {} with {} Kinesis records, throttled {} times",
            grouped(self.requests),
            grouped(self.kinesis_records),
            grouped(self.throttled)
        )?;
        writeln!(
            f,
            "latency    p50 {}, p99 {}, max {}, from push to receipt",
            time(self.delay.p50),
            time(self.delay.p99),
            time(self.delay.max)
        )?;
        let settled = &self.settled;
        writeln!(
            f,
            "settled    after {}: {} records/s, {} of the stream's capacity, {} of attempts throttled, fairness {:.3}",
            write_duration(Duration::from_secs_f64(settled.from_seconds)),
            grouped(settled.records_per_second),
            percent(settled.utilisation),
            percent(settled.throttled_share),
            settled.fairness
        )?;
        if let Some((busiest, _)) = self.busiest() {
            writeln!(f, "shards     {busiest}")?;
        }
        self.capacity.as_ref().map_or(Ok(()), |capacity| f.write_str(&capacity.text()))
    }
}

fn point(point: &kinesis_batcher_sim::Point) -> Point {
    Point {
        at_seconds: seconds(point.at),
        records_offered: point.records_offered,
        records_delivered: point.records_delivered,
        records_refused: point.records_refused,
        throttled: point.entries_throttled,
        buffered_bytes: point.buffered_bytes,
        p50_seconds: seconds(point.delay.p50),
        p99_seconds: seconds(point.delay.p99),
        shards: point.shards.len(),
    }
}

fn seconds(duration: Duration) -> f64 {
    rounded(duration.as_secs_f64(), 6)
}
