//! How far a run is, on stderr.

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use indicatif::{BinaryBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::cli::ProgressMode;
use crate::output;
use crate::summary::grouped;

/// A bar on a terminal, a line a second elsewhere, or nothing.
pub(crate) struct Progress {
    view: View,
    total_bytes: Option<u64>,
}

/// What there is to show.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Position {
    /// Bytes taken from the input.
    pub(crate) bytes_read: u64,
    /// Records taken from the input.
    pub(crate) records_read: u64,
    /// Records the stream has.
    pub(crate) records_delivered: u64,
    /// Records it will not get.
    pub(crate) records_failed: u64,
}

impl Position {
    /// About how many of the bytes belong to records that have their end. What was read fills the buffer in no time;
    /// it is the stream that takes long.
    fn bytes_done(self) -> u64 {
        let ended = u128::from(self.records_delivered + self.records_failed);
        let done = (u128::from(self.bytes_read) * ended).checked_div(self.records_read.into());
        // Without records, nothing is outstanding.
        done.map_or(self.bytes_read, |done| u64::try_from(done).unwrap_or(u64::MAX))
    }
}

enum View {
    Hidden,
    Bar(ProgressBar),
    Lines { next: Instant },
}

impl Progress {
    /// Progress in this mode; `total_bytes` are those of the input, where they are known.
    pub(crate) fn new(mode: ProgressMode, total_bytes: Option<u64>) -> Self {
        // Without colours and cursor movements (TERM=dumb) a terminal cannot draw a bar.
        let draws = io::stderr().is_terminal() && !ProgressDrawTarget::stderr().is_hidden();
        let view = match mode {
            ProgressMode::Auto | ProgressMode::Always if draws => {
                let bar = bar(total_bytes);
                output::set_bar(Some(bar.clone()));
                View::Bar(bar)
            }
            ProgressMode::Always => View::Lines { next: Instant::now() + LINE_INTERVAL },
            ProgressMode::Auto | ProgressMode::Never => View::Hidden,
        };
        Self { view, total_bytes }
    }

    /// Shows how far it is now.
    pub(crate) fn show(&mut self, position: Position) {
        match &mut self.view {
            View::Hidden => {}
            View::Bar(bar) => {
                bar.set_position(if self.total_bytes.is_some() {
                    position.bytes_done()
                } else {
                    position.bytes_read
                });
                bar.set_message(counts(position));
            }
            View::Lines { next } => {
                let now = Instant::now();
                if now >= *next {
                    // From now, not from when it was due: a process that was stopped does not catch up.
                    *next = now + LINE_INTERVAL;
                    output::note(&line(position, self.total_bytes));
                }
            }
        }
    }

    /// Takes the bar away, so that the summary stands alone.
    pub(crate) fn finish(&mut self, position: Position) {
        match std::mem::replace(&mut self.view, View::Hidden) {
            View::Hidden => {}
            View::Bar(bar) => {
                bar.finish_and_clear();
                output::set_bar(None);
            }
            View::Lines { .. } => output::note(&line(position, self.total_bytes)),
        }
    }
}

fn bar(total_bytes: Option<u64>) -> ProgressBar {
    let (bar, template) = match total_bytes {
        Some(total) => (ProgressBar::new(total), "{bar:24} {percent:>3}%  {msg}  {elapsed}, {eta} to go"),
        None => (ProgressBar::no_length(), "{spinner} {binary_bytes}  {msg}  {elapsed}"),
    };
    let style =
        ProgressStyle::with_template(template).expect("the template is a constant that a test parses");
    bar.set_style(style);
    bar
}

fn counts(position: Position) -> String {
    let Position { records_read, records_delivered, records_failed, .. } = position;
    let mut text = format!("{} read, {} delivered", grouped(records_read), grouped(records_delivered));
    if records_failed > 0 {
        text.push_str(&format!(", {} failed", grouped(records_failed)));
    }
    text
}

fn line(position: Position, total_bytes: Option<u64>) -> String {
    match total_bytes {
        // A file that grows while it is read has more than its all.
        Some(total) if total > 0 => {
            format!("{:>3}%  {}", position.bytes_done().min(total) * 100 / total, counts(position))
        }
        _ => format!("{}  {}", BinaryBytes(position.bytes_read), counts(position)),
    }
}

/// Often enough for a person, seldom enough for a log.
const LINE_INTERVAL: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    const POSITION: Position =
        Position { bytes_read: 420, records_read: 12_000, records_delivered: 6_000, records_failed: 0 };

    #[test]
    fn a_known_size_shows_as_a_percentage_and_an_unknown_one_as_bytes() {
        assert_eq!(line(POSITION, Some(1_000)), " 21%  12,000 read, 6,000 delivered");
        assert_eq!(line(POSITION, None), "420 B  12,000 read, 6,000 delivered");
        assert_eq!(line(Position::default(), Some(0)), "0 B  0 read, 0 delivered");
    }

    #[test]
    fn failures_show_as_soon_as_there_are_any() {
        let position = Position { records_failed: 3, ..POSITION };
        assert_eq!(counts(position), "12,000 read, 6,000 delivered, 3 failed");
    }

    #[test]
    fn a_file_that_grew_is_never_past_its_end() {
        assert!(line(POSITION, Some(100)).starts_with("100%"));
    }

    #[test]
    fn what_was_read_and_waits_is_not_done_yet_and_what_failed_is() {
        let read = Position { records_delivered: 0, ..POSITION };
        assert_eq!(read.bytes_done(), 0, "nothing has its end");
        assert_eq!(Position { records_failed: 6_000, ..POSITION }.bytes_done(), 420);
        let blank = Position { bytes_read: 10, ..Position::default() };
        assert_eq!(blank.bytes_done(), 10, "blank lines have nothing outstanding");
    }

    #[test]
    fn both_bars_can_be_drawn() {
        bar(Some(10)).finish_and_clear();
        bar(None).finish_and_clear();
    }

    #[test]
    fn never_is_never() {
        assert!(matches!(Progress::new(ProgressMode::Never, None).view, View::Hidden));
    }
}
