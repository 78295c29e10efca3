//! The plot: what happened over time, and on which shard.
//!
//! It is drawn by hand. Its style is a sheet with a dark half, its cells have tooltips, and the same run must give the
//! same bytes: the libraries for charts can do none of these, and five panels over one axis of time need little else.

mod heat;
mod panel;
mod svg;

use std::time::Duration;

use kinesis_batcher_sim::{Point, Report};

use super::figures::percent;
use super::outcome::Outcome;
use super::scenario::Scenario;
use crate::cli::write_duration;
use panel::{Line, Panel, Scale, TimeAxis};
use svg::Svg;

/// All of it as SVG.
pub(super) fn draw(scenario: &Scenario, report: &Report, outcome: &Outcome) -> String {
    let points = shown(report);
    let end = points.last().map_or(report.options.duration, |point| point.at).max(report.options.duration);
    let axis = TimeAxis { left: LEFT, right: WIDTH - RIGHT, end };
    let heat_height = heat::height(points);
    let panels_top = HEADER;
    let heat_top = panels_top + 4.0 * (PANEL + GAP);
    let height = heat_top + heat_height + FOOTER;
    let mut svg = Svg::new(WIDTH, height);
    header(&mut svg, scenario, outcome);
    let mut top = panels_top;
    for panel in panels(scenario, points) {
        panel.draw(&mut svg, &axis, top, PANEL, points);
        top += PANEL + GAP;
    }
    heat::draw(&mut svg, &axis, heat_top, heat_height, points, scenario, outcome);
    axis.labels(&mut svg, heat_top + heat_height);
    if end > report.options.duration {
        let x = axis.x(report.options.duration);
        svg.line("mark", x, panels_top - 4.0, x, heat_top + heat_height);
        svg.text("note", "middle", x, heat_top + heat_height + 32.0, "nothing more is offered");
    }
    svg.finish()
}

/// While records were offered, and a while of what came after.
fn shown(report: &Report) -> &[Point] {
    let end = report.options.duration + report.options.duration / 4;
    let count = report.series.partition_point(|point| point.at <= end);
    &report.series[..count]
}

fn header(svg: &mut Svg, scenario: &Scenario, outcome: &Outcome) {
    svg.text("title", "start", 16.0, 26.0, "kinesis-pusher simulate");
    svg.text("sub", "start", 16.0, 44.0, &scenario.title());
    if let Some((busiest, is_hot)) = outcome.busiest() {
        svg.text(if is_hot { "sub hot" } else { "sub" }, "start", 16.0, 60.0, &busiest);
    }
}

fn panels(scenario: &Scenario, points: &[Point]) -> [Panel; 4] {
    let rate = |point: &Point, count: u64, before: Duration| {
        count as f64 / point.at.saturating_sub(before).as_secs_f64().max(1e-9)
    };
    let series = |count: fn(&Point) -> u64| -> Vec<f64> {
        let mut before = Duration::ZERO;
        points
            .iter()
            .map(|point| rate(point, count(point), std::mem::replace(&mut before, point.at)))
            .collect()
    };
    let attempts: Vec<f64> = series(|point| point.entries_throttled);
    let all: u64 = points.iter().map(|point| point.entries_throttled + point.entries_stored).sum();
    let throttled: u64 = points.iter().map(|point| point.entries_throttled).sum();
    let buffer_max =
        scenario.options.config.buffer_bytes_max() as u64 * u64::from(scenario.options.producers);
    let peak = points.iter().map(|point| point.buffered_bytes).max().unwrap_or(0);
    let delay = |delay: fn(&Point) -> Duration| -> Vec<f64> {
        let seconds = |point: &Point| {
            if point.records_delivered == 0 { f64::NAN } else { delay(point).as_secs_f64() }
        };
        points.iter().map(seconds).collect()
    };
    [
        Panel {
            title: "records/s".to_owned(),
            scale: Scale::Linear,
            lines: vec![
                Line { class: "offered", name: "offered", values: series(|point| point.records_offered) },
                Line {
                    class: "delivered",
                    name: "delivered",
                    values: series(|point| point.records_delivered),
                },
            ],
            write: panel::count,
        },
        Panel {
            title: "latency, from push to receipt".to_owned(),
            scale: Scale::Logarithmic,
            lines: vec![
                Line { class: "p99", name: "p99", values: delay(|point| point.delay.p99) },
                Line { class: "p50", name: "p50", values: delay(|point| point.delay.p50) },
            ],
            write: |seconds| write_duration(Duration::from_micros((seconds * 1e6).round() as u64)),
        },
        Panel {
            title: format!("throttled attempts/s: {} of all", percent(super::figures::share(throttled, all))),
            scale: Scale::Linear,
            lines: vec![Line { class: "throttled area", name: "", values: attempts }],
            write: panel::count,
        },
        Panel {
            title: format!(
                "buffer: at most {} of {}",
                indicatif::BinaryBytes(peak),
                indicatif::BinaryBytes(buffer_max)
            ),
            scale: Scale::Binary,
            lines: vec![Line {
                class: "buffer area",
                name: "",
                values: points.iter().map(|point| point.buffered_bytes as f64).collect(),
            }],
            write: |bytes| indicatif::BinaryBytes(bytes as u64).to_string(),
        },
    ]
}

// In pixels.
const WIDTH: f64 = 960.0;
const LEFT: f64 = 92.0;
const RIGHT: f64 = 24.0;
const HEADER: f64 = 98.0;
const PANEL: f64 = 96.0;
const GAP: f64 = 34.0;
const FOOTER: f64 = 58.0;
