//! The steps of a run, readable.

use std::collections::VecDeque;
use std::fmt::{self, Write as _};
use std::time::Duration;

/// The last lines of what happened.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trace {
    lines: VecDeque<String>,
    lines_max: usize,
    dropped: u64,
}

impl Trace {
    pub(crate) fn new(lines_max: usize) -> Self {
        Self { lines: VecDeque::new(), lines_max, dropped: 0 }
    }

    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.lines_max > 0
    }

    pub(crate) fn line(&mut self, at: Duration, what: fmt::Arguments<'_>) {
        let mut line = if self.lines.len() >= self.lines_max {
            self.dropped += 1;
            self.lines.pop_front().unwrap_or_default()
        } else {
            String::new()
        };
        line.clear();
        let (seconds, nanos) = (at.as_secs(), at.subsec_nanos());
        write!(line, "{seconds:>4}.{nanos:09} {what}").expect("writing to a string does not fail");
        self.lines.push_back(line);
    }

    pub(crate) fn into_text(self) -> String {
        let mut text = String::new();
        if self.dropped > 0 {
            text = format!("… {} earlier lines\n", self.dropped);
        }
        for line in self.lines {
            text.push_str(&line);
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept() {
        let mut trace = Trace::new(2);
        for number in 1..=3 {
            trace.line(Duration::from_millis(number), format_args!("line {number}"));
        }
        assert_eq!(trace.into_text(), "… 1 earlier lines\n   0.002000000 line 2\n   0.003000000 line 3\n");
    }
}
