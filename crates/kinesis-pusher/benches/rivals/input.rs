//! The lines that everybody sends.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;

use super::common::write_numbered_flights;

/// A file for each number of lines.
pub(crate) struct Inputs {
    dir: tempfile::TempDir,
    files: HashMap<u64, PathBuf>,
}

impl Inputs {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("a directory for the input"), files: HashMap::new() }
    }

    /// A file of so many lines.
    pub(crate) fn of(&mut self, lines: u64) -> &PathBuf {
        self.files.entry(lines).or_insert_with(|| {
            let path = self.dir.path().join(format!("{lines}.csv"));
            write_numbered_flights(&path, lines).expect("the input can be written");
            path
        })
    }
}

/// The lines of a file, one after the other.
pub(crate) fn lines(file: &str) -> impl Iterator<Item = String> {
    let file = BufReader::new(File::open(file).expect("the input is there"));
    file.lines().map(|line| line.expect("the input is text"))
}
