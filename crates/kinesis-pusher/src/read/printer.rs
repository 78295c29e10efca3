//! Lines onto stdout, however slow its reader is.

use std::io;
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::output;

/// Writes to stdout on a thread of its own, so that a reader who does not read keeps no signal from being heard.
#[derive(Default)]
pub(super) struct Printer {
    writing: Option<JoinHandle<io::Result<()>>>,
}

impl Printer {
    /// Writes whole lines. Dropped before its end, the rest is written all the same, unless the process ends first.
    ///
    /// # Errors
    /// What keeps stdout from taking them.
    pub(super) async fn print(&mut self, lines: Vec<u8>) -> io::Result<()> {
        let writing = self.writing.insert(tokio::task::spawn_blocking(move || output::write_lines(&lines)));
        let written = writing.await;
        self.writing = None;
        written.unwrap_or_else(|error| Err(io::Error::other(error)))
    }

    /// Gives lines that are being written the time to end where lines end, but not for ever.
    pub(super) async fn settle(&mut self) {
        if let Some(writing) = self.writing.take() {
            // A reader who takes nothing gets half a line.
            let _ = tokio::time::timeout(SETTLE_TIMEOUT, writing).await;
        }
    }
}

/// A stop is to be prompt, and a page is written in milliseconds where somebody reads it.
const SETTLE_TIMEOUT: Duration = Duration::from_millis(500);
