//! Printing that survives a reader who goes away.

use std::io::{self, Write};

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

/// Writes one line to stderr. There is nowhere left to report a failure of stderr to, so it is let go.
pub(crate) fn note(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Writes one line to stderr that begins with `error:`.
pub(crate) fn error(line: &str) {
    note(&format!("error: {line}"));
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
