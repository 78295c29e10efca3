//! What the benches of whole processes share: the input, the server they talk to, and what a process used.

pub(crate) mod plain_sdk;
pub(crate) mod process;
pub(crate) mod server;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

/// As many lines as the flights of the whole year, of which the examples hold the first days.
pub(crate) fn write_flights(path: &Path, lines: u64) -> std::io::Result<()> {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/data/flights.csv");
    let sample = std::fs::read_to_string(sample)?;
    let mut file = BufWriter::new(File::create(path)?);
    for line in sample.lines().cycle().take(lines as usize) {
        writeln!(file, "{line}")?;
    }
    file.flush()
}

/// The median of figures that are there.
pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// Departures from New York in 2013 (the data set `nycflights13`).
pub(crate) const FLIGHTS: u64 = 336_776;
