//! Lines over time, with their axes.

use std::time::Duration;

use kinesis_batcher_sim::Point;

use super::svg::Svg;
use crate::cli::write_duration;

/// Time, from the left to the right; all panels have the same.
#[derive(Debug)]
pub(super) struct TimeAxis {
    pub(super) left: f64,
    pub(super) right: f64,
    pub(super) end: Duration,
}

impl TimeAxis {
    pub(super) fn x(&self, at: Duration) -> f64 {
        let part = at.as_secs_f64() / self.end.as_secs_f64().max(1e-9);
        self.left + (self.right - self.left) * part.min(1.0)
    }

    /// Where there is a label: a round number of seconds apart, ten or fewer of them.
    fn ticks(&self) -> impl Iterator<Item = Duration> {
        let step = STEPS.iter().copied().find(|&step| self.end <= 10 * step).unwrap_or(LONGEST_STEP);
        let end = self.end;
        (0u32..).map(move |index| index * step).take_while(move |&at| at <= end)
    }

    pub(super) fn grid(&self, svg: &mut Svg, top: f64, bottom: f64) {
        for at in self.ticks() {
            svg.line("grid", self.x(at), top, self.x(at), bottom);
        }
    }

    pub(super) fn labels(&self, svg: &mut Svg, bottom: f64) {
        for at in self.ticks() {
            let text = if self.end < SECONDS_LONG { seconds(at) } else { write_duration(at) };
            svg.text("note", "middle", self.x(at), bottom + 16.0, &text);
        }
    }
}

fn seconds(at: Duration) -> String {
    format!("{}s", at.as_millis() as f64 / 1_000.0)
}

/// One panel.
pub(super) struct Panel {
    pub(super) title: String,
    pub(super) scale: Scale,
    pub(super) lines: Vec<Line>,
    /// How a value is written.
    pub(super) write: fn(f64) -> String,
}

/// One line of a panel. A class with `area` in it is filled down to zero.
pub(super) struct Line {
    pub(super) class: &'static str,
    pub(super) name: &'static str,
    /// One for each point; NaN where there is none.
    pub(super) values: Vec<f64>,
}

/// How values become heights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scale {
    /// From zero, in steps of 1, 2 or 5.
    Linear,
    /// From zero, in steps of powers of two.
    Binary,
    /// Decades.
    Logarithmic,
}

impl Panel {
    pub(super) fn draw(&self, svg: &mut Svg, axis: &TimeAxis, top: f64, height: f64, points: &[Point]) {
        let bottom = top + height;
        svg.rect("frame", axis.left, top, axis.right - axis.left, height, "");
        axis.grid(svg, top, bottom);
        svg.text("head", "start", axis.left, top - 8.0, &self.title);
        let values =
            || self.lines.iter().flat_map(|line| line.values.iter().copied()).filter(|value| !value.is_nan());
        let ticks = self.scale.ticks(values());
        let y = |value: f64| bottom - height * self.scale.part(value, &ticks);
        for &tick in &ticks {
            svg.line("grid", axis.left, y(tick), axis.right, y(tick));
            svg.text("note", "end", axis.left - 8.0, y(tick) + 4.0, &(self.write)(tick));
        }
        let mut name_x = axis.right;
        for line in &self.lines {
            let places = places(axis, points, &line.values, y);
            if line.class.ends_with("area") && !places.is_empty() {
                let ends = [places.last(), places.first()].map(|end| (end.map_or(0.0, |&(x, _)| x), bottom));
                let outline: Vec<_> = places.iter().copied().chain(ends).collect();
                svg.path(&format!("shade {}", line.class), &outline, true);
            }
            for part in places.chunk_by(|(_, one), (_, next)| one.is_nan() == next.is_nan()) {
                if part.iter().all(|(_, y)| !y.is_nan()) {
                    svg.path(line.class, part, false);
                }
            }
            svg.text(line.class, "end", name_x, top - 8.0, line.name);
            name_x -= 8.0 * line.name.len() as f64 + 12.0;
        }
    }
}

/// A value stands for the interval that ends at its point, so it is drawn in the middle of it.
fn places(axis: &TimeAxis, points: &[Point], values: &[f64], y: impl Fn(f64) -> f64) -> Vec<(f64, f64)> {
    let mut before = Duration::ZERO;
    points
        .iter()
        .zip(values)
        .map(|(point, &value)| {
            let middle = (before + point.at) / 2;
            before = point.at;
            (axis.x(middle), y(value))
        })
        .collect()
}

impl Scale {
    /// Labelled values in ascending order, around all of these.
    fn ticks(self, values: impl Iterator<Item = f64> + Clone) -> Vec<f64> {
        let max = values.clone().fold(0.0, f64::max);
        match self {
            Self::Linear | Self::Binary => {
                let step = self.step(max);
                let count = (max / step).ceil().max(1.0) as u32;
                (0..=count).map(|index| f64::from(index) * step).collect()
            }
            Self::Logarithmic => {
                let min = values.filter(|&value| value > 0.0).fold(f64::INFINITY, f64::min);
                if !min.is_finite() {
                    return vec![0.001, 0.01];
                }
                let mut decades = vec![DECADES[0]];
                for &decade in &DECADES[1..] {
                    if decade <= min {
                        decades[0] = decade;
                    } else {
                        decades.push(decade);
                    }
                    if decade >= max {
                        break;
                    }
                }
                decades
            }
        }
    }

    /// The least step that needs no more than four.
    fn step(self, max: f64) -> f64 {
        let mut step = 1.0;
        loop {
            let next: &[f64] = if self == Self::Binary { &[1.0] } else { &[1.0, 2.0, 5.0] };
            if let Some(found) = next.iter().map(|part| part * step).find(|step| max <= 4.0 * step) {
                return found;
            }
            step *= if self == Self::Binary { 2.0 } else { 10.0 };
        }
    }

    /// How far up a value is, from 0 to 1.
    fn part(self, value: f64, ticks: &[f64]) -> f64 {
        let (low, high) = (ticks[0], ticks[ticks.len() - 1]);
        let part = match self {
            Self::Linear | Self::Binary => (value - low) / (high - low),
            Self::Logarithmic => (value.max(low) / low).log10() / (high / low).log10(),
        };
        part.clamp(0.0, 1.0)
    }
}

/// A count in few characters: `950`, `12k`, `1.2M`.
pub(super) fn count(value: f64) -> String {
    match value {
        v if v < 10_000.0 => format!("{v:.0}"),
        v if v < 1_000_000.0 => format!("{}k", (v / 100.0).round() / 10.0),
        v => format!("{}M", (v / 10_000.0).round() / 100.0),
    }
}

const STEPS: [Duration; 15] = [
    Duration::from_millis(10),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(30),
    Duration::from_secs(60),
    Duration::from_secs(300),
    Duration::from_secs(600),
    Duration::from_secs(1_800),
    Duration::from_secs(3_600),
    Duration::from_secs(7_200),
];
/// From here on minutes are easier to read.
const SECONDS_LONG: Duration = Duration::from_secs(200);
const LONGEST_STEP: Duration = Duration::from_secs(4 * 3_600);
/// Seconds.
const DECADES: [f64; 8] = [0.000_1, 0.001, 0.01, 0.1, 1.0, 10.0, 100.0, 1_000.0];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_hold_every_value() {
        assert_eq!(Scale::Linear.ticks([0.0, 2_950.0].into_iter()), [0.0, 1_000.0, 2_000.0, 3_000.0]);
        assert_eq!(Scale::Binary.ticks([3.0 * 1_048_576.0].into_iter()).last(), Some(&3_145_728.0));
        assert_eq!(Scale::Logarithmic.ticks([0.02, 3.0].into_iter()), [0.01, 0.1, 1.0, 10.0]);
        assert_eq!(Scale::Linear.ticks(std::iter::empty()), [0.0, 1.0], "nothing has an axis too");
        assert_eq!(Scale::Logarithmic.ticks([0.0].into_iter()).len(), 2);
    }

    #[test]
    fn values_lie_between_the_ends_of_their_axis() {
        let ticks = [0.01, 0.1, 1.0];
        assert!((Scale::Logarithmic.part(0.1, &ticks) - 0.5).abs() < 1e-9);
        assert_eq!(Scale::Logarithmic.part(0.0, &ticks), 0.0);
        assert_eq!(Scale::Linear.part(5.0, &[0.0, 5.0]), 1.0);
    }

    #[test]
    fn the_axis_of_time_has_ten_labels_or_fewer() {
        for seconds in [1, 7, 60, 75, 600, 86_400] {
            let axis = TimeAxis { left: 0.0, right: 1.0, end: Duration::from_secs(seconds) };
            assert!((3..=11).contains(&axis.ticks().count()), "{seconds} s have {}", axis.ticks().count());
        }
    }

    #[test]
    fn counts_are_short() {
        assert_eq!([950.0, 9_500.0, 12_500.0, 1_200_000.0].map(count), ["950", "9500", "12.5k", "1.2M"]);
    }
}
