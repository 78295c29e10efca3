//! What was not delivered, kept in a file.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use serde::{Serialize, Serializer};

use crate::exit::StartError;
use crate::input::Sources;

/// A file that takes one JSON object a line.
///
/// It is appended to, so that a second run never destroys what the first one could not deliver, and each letter is
/// written at once, so that not even a killed process loses one.
pub(crate) struct DeadLetters {
    path: PathBuf,
    file: File,
    line: Vec<u8>,
    written: u64,
}

/// One record that was not delivered.
#[derive(Serialize)]
pub(crate) struct DeadLetter<'a> {
    /// The file it came from; `-` for stdin.
    pub(crate) file: &'a str,
    /// Its line, from 1.
    pub(crate) line: u64,
    /// Why it was not delivered.
    pub(crate) reason: &'a str,
    /// How often it was sent.
    pub(crate) attempts: u32,
    /// Of the request that failed, where the service answered it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) request_id: Option<&'a str>,
    /// Its key, where it got as far as having one.
    pub(crate) partition_key: Option<&'a str>,
    /// Its bytes; only the first ones where `truncated_from_bytes` stands.
    #[serde(rename = "data_base64", serialize_with = "base64")]
    pub(crate) data: &'a [u8],
    /// How many bytes it had, where `data` does not hold them all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) truncated_from_bytes: Option<u64>,
}

impl DeadLetters {
    /// Opens or makes the file.
    ///
    /// # Errors
    /// When it cannot be written, or is one of the `sources`, which would then never end.
    pub(crate) fn open(path: &Path, sources: &Sources) -> Result<Self, StartError> {
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .map_err(|error| unwritable(path, &error))?;
        let metadata = file.metadata().map_err(|error| unwritable(path, &error))?;
        if sources.contain(&metadata) {
            let path = path.display();
            return Err(StartError::usage(format!(
                "'{path}' cannot be read and take the dead letters as well"
            )));
        }
        Ok(Self { path: path.to_owned(), file, line: Vec::new(), written: 0 })
    }

    /// Where the letters go.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Letters written so far.
    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    /// Writes one letter.
    ///
    /// # Errors
    /// When the file does not take it, in a sentence that names the file.
    pub(crate) fn write(&mut self, letter: &DeadLetter<'_>) -> Result<(), String> {
        self.line.clear();
        let written = serde_json::to_writer(&mut self.line, letter).map_err(io::Error::from).and_then(|()| {
            self.line.push(b'\n');
            self.file.write_all(&self.line)
        });
        self.line.shrink_to(LINE_BYTES_KEPT);
        written.map_err(|error| self.lost(&error))?;
        self.written += 1;
        Ok(())
    }

    /// Sees to it that the letters are on the disk.
    ///
    /// # Errors
    /// When they are not, in a sentence that names the file.
    pub(crate) fn finish(&mut self) -> Result<(), String> {
        // Pipes and devices have nothing to sync and say so with an error.
        if self.written == 0 || !self.file.metadata().is_ok_and(|metadata| metadata.is_file()) {
            return Ok(());
        }
        self.file.sync_all().map_err(|error| self.lost(&error))
    }

    fn lost(&self, error: &io::Error) -> String {
        format!("cannot write dead letters to '{}': {error}", self.path.display())
    }
}

fn unwritable(path: &Path, error: &io::Error) -> StartError {
    let what = match error.kind() {
        io::ErrorKind::NotFound => "its directory does not exist".to_owned(),
        io::ErrorKind::IsADirectory => "it is a directory".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    };
    StartError::new(format!(
        "cannot write dead letters to '{}': {what}; name a file in a directory this user can write to",
        path.display()
    ))
}

fn base64<S: Serializer>(data: &&[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&Base64Display::new(data, &STANDARD))
}

/// What a letter buffer may keep: a single large record should not stay in memory to the end.
const LINE_BYTES_KEPT: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    const LETTER: DeadLetter<'_> = DeadLetter {
        file: "a.csv",
        line: 3,
        reason: "expired: \"5m\"",
        attempts: 2,
        request_id: None,
        partition_key: Some("k"),
        data: b"\xff\x00x",
        truncated_from_bytes: None,
    };

    fn sources(files: &[PathBuf]) -> Sources {
        Sources::check(files).unwrap()
    }

    #[test]
    fn a_letter_is_one_line_of_json_with_the_fields_scripts_rely_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("dead");
        let mut letters = DeadLetters::open(&path, &sources(&[])).unwrap();
        letters.write(&LETTER).unwrap();
        letters
            .write(&DeadLetter { partition_key: None, truncated_from_bytes: Some(99), attempts: 0, ..LETTER })
            .unwrap();
        letters.finish().unwrap();
        assert_eq!(letters.written(), 2);
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(
            text,
            "{\"file\":\"a.csv\",\"line\":3,\"reason\":\"expired: \\\"5m\\\"\",\"attempts\":2,\"partition_key\":\"k\",\
             \"data_base64\":\"/wB4\"}\n\
             {\"file\":\"a.csv\",\"line\":3,\"reason\":\"expired: \\\"5m\\\"\",\"attempts\":0,\"partition_key\":null,\
             \"data_base64\":\"/wB4\",\"truncated_from_bytes\":99}\n"
        );
    }

    #[test]
    fn a_letter_names_the_request_that_failed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("dead");
        let mut letters = DeadLetters::open(&path, &sources(&[])).unwrap();
        letters.write(&DeadLetter { request_id: Some("d1e2"), ..LETTER }).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let letter: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(letter["request_id"], "d1e2");
    }

    #[test]
    fn letters_are_on_disk_before_the_run_ends_and_those_of_an_earlier_run_stay() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("dead");
        std::fs::write(&path, "earlier\n").unwrap();
        let mut letters = DeadLetters::open(&path, &sources(&[])).unwrap();
        letters.write(&LETTER).unwrap();
        let lines = std::fs::read_to_string(&path).unwrap();
        assert!(lines.starts_with("earlier\n{") && lines.lines().count() == 2, "{lines}");
    }

    #[test]
    fn a_file_that_cannot_be_written_is_named_at_the_start() {
        let dir = tempfile::tempdir().unwrap();
        for (path, problem) in [
            (dir.path().join("no/dead"), "its directory does not exist"),
            (dir.path().to_owned(), "it is a directory"),
        ] {
            let error = DeadLetters::open(&path, &sources(&[])).err().unwrap();
            assert_eq!(error.exit, Exit::NotStarted);
            let message = error.to_string();
            assert!(message.contains(&path.display().to_string()) && message.contains(problem), "{message}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn an_input_is_no_place_for_dead_letters() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("records");
        std::fs::write(&path, "x\n").unwrap();
        let error = DeadLetters::open(&path, &sources(std::slice::from_ref(&path))).err().unwrap();
        assert_eq!(error.exit, Exit::Usage);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "x\n", "the input is as it was");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_reported_with_the_file_and_never_passes_for_success() {
        let mut letters = DeadLetters::open(Path::new("/dev/full"), &sources(&[])).unwrap();
        let problem = letters.write(&LETTER).unwrap_err();
        assert!(problem.contains("/dev/full"), "{problem}");
        assert_eq!(letters.written(), 0);
    }
}
