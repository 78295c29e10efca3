//! What the benches of whole processes share: the input, the server they talk to, and what a process used.

pub(crate) mod plain_sdk;
pub(crate) mod process;
pub(crate) mod server;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

/// As many lines as the flights of the whole year, of which the examples hold the first days.
#[allow(dead_code, reason = "the lines of one bench are numbered")]
pub(crate) fn write_flights(path: &Path, lines: u64) -> std::io::Result<()> {
    let sample = flights()?;
    let mut file = BufWriter::new(File::create(path)?);
    for line in sample.lines().cycle().take(lines as usize) {
        writeln!(file, "{line}")?;
    }
    file.flush()
}

/// The same, each with a number before it, so that no two are alike.
#[allow(dead_code, reason = "the lines of one bench are not numbered")]
pub(crate) fn write_numbered_flights(path: &Path, lines: u64) -> std::io::Result<()> {
    let sample = flights()?;
    let mut file = BufWriter::new(File::create(path)?);
    for (number, line) in (0..lines).zip(sample.lines().cycle()) {
        writeln!(file, "{number:07},{line}")?;
    }
    file.flush()
}

fn flights() -> std::io::Result<String> {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/data/flights.csv");
    std::fs::read_to_string(sample)
}

/// The median of figures that are there.
pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// Departures from New York in 2013 (the data set `nycflights13`).
pub(crate) const FLIGHTS: u64 = 336_776;
