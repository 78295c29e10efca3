//! An input without an end.

use std::io::Write;
use std::process::ChildStdin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

/// Writes lines into a pipe until it is stopped, as fast as they are read.
pub(crate) struct Endless {
    lines: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    writer: JoinHandle<()>,
}

impl Endless {
    pub(crate) fn into(mut pipe: ChildStdin) -> Self {
        let (lines, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let writer = {
            let (lines, stop) = (Arc::clone(&lines), Arc::clone(&stop));
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let line = lines.load(Ordering::Relaxed);
                    writeln!(pipe, "{line:0>999}").unwrap();
                    lines.fetch_add(1, Ordering::Relaxed);
                }
            })
        };
        Self { lines, stop, writer }
    }

    /// Lines of 1,000 bytes that the pipe took.
    pub(crate) fn written(&self) -> u64 {
        self.lines.load(Ordering::Relaxed)
    }

    /// Stops, and returns how many lines it has written.
    pub(crate) fn finish(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.writer.join().unwrap();
        self.lines.load(Ordering::Relaxed)
    }
}
