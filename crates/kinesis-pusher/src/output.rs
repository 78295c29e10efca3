//! Printing that survives a reader who goes away, and leaves the progress bar whole.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use indicatif::ProgressBar;

/// What events of the command itself are filed under in the log.
pub(crate) const TARGET: &str = env!("CARGO_CRATE_NAME");

/// The bar that is on the screen.
static BAR: Mutex<Option<ProgressBar>> = Mutex::new(None);
/// Whether notes go to the log.
static NOTES_ARE_LOGGED: AtomicBool = AtomicBool::new(false);

/// Writes `text` to stdout. A closed pipe (`| head`) is a quiet end, not an error.
///
/// # Errors
/// Anything else that keeps stdout from taking the text, such as a full disk.
pub(crate) fn print(text: &str) -> io::Result<()> {
    forgive_closed_pipe(write_to(io::stdout().lock(), text))
}

/// Writes whole lines to stdout.
///
/// # Errors
/// Whatever keeps stdout from taking them; a closed pipe too, so that nobody goes on for a reader who is gone.
pub(crate) fn write_lines(lines: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(lines)?;
    out.flush()
}

/// Writes one line to stderr. What begins with `error:` or `warning:` has that level in the log, too.
pub(crate) fn note(line: &str) {
    if !NOTES_ARE_LOGGED.load(Ordering::Relaxed) {
        write_stderr(format!("{line}\n").as_bytes());
    } else if let Some(error) = line.strip_prefix(ERROR) {
        tracing::error!(target: TARGET, "{error}");
    } else if let Some(warning) = line.strip_prefix(WARNING) {
        tracing::warn!(target: TARGET, "{warning}");
    } else {
        tracing::info!(target: TARGET, "{line}");
    }
}

/// Writes one line to stderr that begins with `error:`.
pub(crate) fn error(line: &str) {
    note(&format!("{ERROR}{line}"));
}

/// Writes one line to stderr that begins with `warning:`.
pub(crate) fn warning(line: &str) {
    note(&format!("{WARNING}{line}"));
}

/// From now on notes and errors are events of the log, so that whoever reads stderr finds one format there. The log must
/// have been started.
pub(crate) fn log_notes() {
    NOTES_ARE_LOGGED.store(true, Ordering::Relaxed);
}

/// From now on, this bar is taken away before anything is written to stderr, and drawn again after it.
pub(crate) fn set_bar(bar: Option<ProgressBar>) {
    *BAR.lock().unwrap_or_else(PoisonError::into_inner) = bar;
}

/// Writes whole lines to stderr, past the bar. There is nowhere left to report a failure of stderr to, so it is let go.
pub(crate) fn write_stderr(lines: &[u8]) {
    // Not under the lock: a terminal that was stopped with Ctrl-S holds up who writes, and nobody else.
    let bar = BAR.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let write = || {
        let _ = io::stderr().lock().write_all(lines);
    };
    match bar {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}

fn write_to(mut out: impl Write, text: &str) -> io::Result<()> {
    out.write_all(text.as_bytes())?;
    out.flush()
}

fn forgive_closed_pipe(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

const ERROR: &str = "error: ";
const WARNING: &str = "warning: ";

#[cfg(test)]
mod tests {
    use super::*;

    struct Failing(io::ErrorKind);

    impl Write for Failing {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_closed_pipe_is_a_quiet_end_and_a_full_disk_is_not() {
        let gone = forgive_closed_pipe(write_to(Failing(io::ErrorKind::BrokenPipe), "x"));
        assert!(gone.is_ok(), "a reader that goes away is no error");
        let full = forgive_closed_pipe(write_to(Failing(io::ErrorKind::StorageFull), "x"));
        assert_eq!(full.map_err(|e| e.kind()), Err(io::ErrorKind::StorageFull), "other errors stay errors");
    }
}
