//! A lane for each shard, and how much was asked of it over time.

use std::time::Duration;

use kinesis_batcher_sim::{Point, ShardPoint};

use super::super::figures::percent;
use super::super::outcome::Outcome;
use super::super::scenario::Scenario;
use super::super::shards::asked;
use super::panel::TimeAxis;
use super::svg::Svg;

/// How high all lanes together are.
pub(super) fn height(points: &[Point]) -> f64 {
    let most = points.iter().map(|point| point.shards.len()).max().unwrap_or(1);
    (most as f64 * LANE).clamp(HEIGHT_MIN, HEIGHT_MAX)
}

pub(super) fn draw(
    svg: &mut Svg,
    axis: &TimeAxis,
    top: f64,
    height: f64,
    points: &[Point],
    scenario: &Scenario,
    outcome: &Outcome,
) {
    let lanes_max = (height / LANE_MIN) as usize;
    let most = points.iter().map(|point| point.shards.len()).max().unwrap_or(0);
    let together = most.div_ceil(lanes_max.max(1));
    let title = if together > 1 {
        format!("asked of each shard's limits, a lane for the busiest of {together}")
    } else {
        "asked of each shard's limits".to_owned()
    };
    svg.text("head", "start", axis.left, top - 8.0, &title);
    legend(svg, axis.right, top - 17.0);
    svg.rect("frame", axis.left, top, axis.right - axis.left, height, "");
    let hot = outcome.hot_shard();
    let mut before = Duration::ZERO;
    for epoch in points.chunk_by(same_shards) {
        let ended = epoch.last().map_or(before, |point| point.at);
        let is_first = before == Duration::ZERO;
        // What the shards before a reshard took in its interval is not known, and what the new ones did is too little.
        let (began, epoch) = if is_first { (before, epoch) } else { (epoch[0].at, &epoch[1..]) };
        before = ended;
        if epoch.is_empty() {
            continue;
        }
        let lanes = epoch[0].shards.len().div_ceil(together).max(1);
        let lane_height = height / lanes as f64;
        let y = |lane: usize| top + lane as f64 * lane_height;
        for lane in 0..lanes {
            draw_lane(
                svg,
                axis,
                (y(lane), lane_height),
                began,
                epoch,
                lane * together..(lane + 1) * together,
                scenario,
            );
        }
        let hot_lane = epoch[0]
            .shards
            .iter()
            .position(|shard| Some(shard.shard_id.to_string()) == hot)
            .map(|at| at / together);
        if let Some(lane) = hot_lane {
            svg.rect("hotbox", axis.x(began), y(lane), axis.x(ended) - axis.x(began), lane_height, "");
        }
        if is_first {
            labels(svg, axis.left - 8.0, &epoch[0].shards, (top, lane_height), together, hot_lane);
        }
    }
}

fn same_shards(one: &Point, next: &Point) -> bool {
    let ids = |point: &Point| point.shards.len();
    ids(one) == ids(next)
        && one.shards.iter().zip(&next.shards).all(|(one, next)| one.shard_id == next.shard_id)
}

/// Cells of the same colour that follow each other are one.
fn draw_lane(
    svg: &mut Svg,
    axis: &TimeAxis,
    (y, height): (f64, f64),
    began: Duration,
    epoch: &[Point],
    shards: std::ops::Range<usize>,
    scenario: &Scenario,
) {
    let mut cells: Vec<(Duration, Duration, &str, f64)> = Vec::new();
    let mut before = began;
    for point in epoch {
        let interval = point.at.saturating_sub(before);
        let end = shards.end.min(point.shards.len());
        let busiest = point.shards[shards.start..end]
            .iter()
            .map(|shard| asked(scenario, shard, interval))
            .fold(0.0, f64::max);
        let class = class(busiest);
        match cells.last_mut() {
            Some((_, end, last, most)) if *last == class => {
                *end = point.at;
                *most = most.max(busiest);
            }
            _ => cells.push((before, point.at, class, busiest)),
        }
        before = point.at;
    }
    let gap = if height > 6.0 { 1.0 } else { 0.0 };
    for (from, to, class, most) in cells {
        let first = &epoch[0].shards[shards.start].shard_id;
        let tip = format!("{first}: up to {}", percent(most));
        svg.rect(class, axis.x(from), y, axis.x(to) - axis.x(from), height - gap, &tip);
    }
}

/// The names of the lanes at the left; of many, every few, and the hot one.
fn labels(
    svg: &mut Svg,
    x: f64,
    shards: &[ShardPoint],
    (top, height): (f64, f64),
    together: usize,
    hot_lane: Option<usize>,
) {
    let every = (LABEL / height).ceil().max(1.0) as usize;
    for lane in 0..shards.len().div_ceil(together) {
        let is_hot = hot_lane == Some(lane);
        let near_hot = hot_lane.is_some_and(|hot| hot.abs_diff(lane) < every);
        if !is_hot && (near_hot || lane % every != 0) {
            continue;
        }
        let id = shards[lane * together].shard_id.to_string();
        let number = id.strip_prefix("shardId-").map_or(id.as_str(), |digits| digits.trim_start_matches('0'));
        let number = if number.is_empty() { "0" } else { number };
        let text = if is_hot { format!("hot: {number}") } else { format!("shard {number}") };
        let class = if is_hot { "note hot" } else { "note" };
        svg.text(class, "end", x, top + (lane as f64 + 0.5) * height + 4.0, &text);
    }
}

fn legend(svg: &mut Svg, right: f64, top: f64) {
    let steps = STEPS.len() as f64;
    let left = right - 40.0 - steps * SWATCH;
    svg.text("note", "end", left - 6.0, top + 9.0, "0 %");
    for (index, &(_, class)) in STEPS.iter().enumerate() {
        svg.rect(class, left + index as f64 * SWATCH, top, SWATCH, 10.0, "");
    }
    svg.text("note", "start", right - 34.0, top + 9.0, "200 %");
}

fn class(asked: f64) -> &'static str {
    let at = STEPS.partition_point(|&(below, _)| below <= asked).min(STEPS.len() - 1);
    STEPS[at].1
}

/// Below which part of the limits, and in which class.
const STEPS: [(f64, &str); 14] = [
    (0.1, "h0"),
    (0.2, "h1"),
    (0.3, "h2"),
    (0.4, "h3"),
    (0.5, "h4"),
    (0.6, "h5"),
    (0.7, "h6"),
    (0.8, "h7"),
    (0.9, "h8"),
    (0.97, "h9"),
    // An adaptive producer keeps a full shard here.
    (1.08, "full"),
    (1.3, "t1"),
    (2.0, "t2"),
    (f64::INFINITY, "t3"),
];

// In pixels.
const LANE: f64 = 18.0;
const LANE_MIN: f64 = 4.0;
const LABEL: f64 = 14.0;
const SWATCH: f64 = 16.0;
const HEIGHT_MIN: f64 = 54.0;
const HEIGHT_MAX: f64 = 288.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_is_red_when_more_is_asked_of_it_than_it_takes() {
        assert_eq!([0.0, 0.55, 0.99, 1.016, 1.5, 40.0].map(class), ["h0", "h5", "full", "full", "t2", "t3"]);
    }
}
