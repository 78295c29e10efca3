//! The table over time.

use std::fmt::Write;
use std::time::Duration;

use kinesis_batcher_sim::{Point, Report};

use super::figures::{per_second, time};
use super::scenario::Scenario;
use crate::cli::write_duration;
use crate::summary::grouped;

/// What happened while records were offered, a line for every few points.
pub(super) fn over_time(scenario: &Scenario, report: &Report) -> String {
    let mut text = format!("{}\n\n", scenario.title());
    let head =
        ["TIME", "OFFERED/s", "DELIVERED/s", "REFUSED/s", "THROTTLED/s", "BUFFER", "P50", "P99", "SHARDS"];
    line(&mut text, &head.map(str::to_owned));
    let offered: Vec<&Point> =
        report.series.iter().filter(|point| point.at <= report.options.duration).collect();
    let mut before = Duration::ZERO;
    for points in offered.chunks(offered.len().div_ceil(ROWS_MAX).max(1)) {
        let Some(last) = points.last() else { continue };
        let interval = last.at.saturating_sub(before);
        before = last.at;
        let sum = |count: fn(&Point) -> u64| {
            grouped(per_second(points.iter().map(|&point| count(point)).sum(), interval))
        };
        // The delays of two intervals have no common percentile; the worst of them is what a user would notice.
        let worst = |delay: fn(&Point) -> Duration| {
            let delivering = points.iter().filter(|point| point.records_delivered > 0);
            delivering.map(|&point| delay(point)).max().map_or_else(|| "-".to_owned(), time)
        };
        line(
            &mut text,
            &[
                format!("{:.1}s", last.at.as_secs_f64()),
                sum(|point| point.records_offered),
                sum(|point| point.records_delivered),
                sum(|point| point.records_refused),
                sum(|point| point.entries_throttled),
                indicatif::BinaryBytes(last.buffered_bytes).to_string(),
                worst(|point| point.delay.p50),
                worst(|point| point.delay.p99),
                grouped(last.shards.len() as u64),
            ],
        );
    }
    let interval = report.options.interval.map_or_else(String::new, write_duration);
    writeln!(text, "P50 and P99 are from push to receipt, those of the line's worst {interval}.\n")
        .expect(INFALLIBLE);
    text
}

fn line(text: &mut String, cells: &[String; 9]) {
    let widths = [8, 11, 13, 11, 13, 12, 8, 8, 8];
    for (cell, width) in cells.iter().zip(widths) {
        write!(text, "{cell:>width$}").expect(INFALLIBLE);
    }
    text.push('\n');
}

const ROWS_MAX: usize = 20;
const INFALLIBLE: &str = "a String takes whatever is written to it";
