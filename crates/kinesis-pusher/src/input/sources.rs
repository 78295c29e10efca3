//! What is to be read, checked before anything is sent.

use std::fs::{File, Metadata};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::exit::StartError;

/// The inputs, in the order they are read.
pub(crate) struct Sources {
    inputs: Vec<Input>,
    names: Arc<[String]>,
    total_bytes: Option<u64>,
}

/// One input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// Standard input.
    Stdin,
    /// A file, which is opened when its turn comes.
    File(PathBuf),
}

impl Sources {
    /// Checks that every file can be read. No files, or `-`, mean stdin.
    ///
    /// Pipes and devices are only looked at: to open and close a pipe would cut its writer off.
    ///
    /// # Errors
    /// The first file that is missing, is a directory or may not be read; `-` given twice.
    pub(crate) fn check(files: &[PathBuf]) -> Result<Self, StartError> {
        let inputs: Vec<Input> = match files {
            [] => vec![Input::Stdin],
            files => files.iter().map(|path| Input::new(path)).collect(),
        };
        if inputs.iter().filter(|input| **input == Input::Stdin).count() > 1 {
            return Err(StartError::usage("'-' is given twice, but stdin can be read only once"));
        }
        let mut total_bytes = Some(0);
        for input in &inputs {
            let bytes = input.check()?;
            total_bytes = total_bytes.zip(bytes).map(|(total, bytes)| total + bytes);
        }
        let names = inputs.iter().map(Input::name).collect();
        Ok(Self { inputs, names, total_bytes })
    }

    /// What to call each input, in messages and dead letters; `-` for stdin.
    pub(crate) fn names(&self) -> Arc<[String]> {
        Arc::clone(&self.names)
    }

    /// Bytes in all of them, where that is known before they are read.
    pub(crate) fn total_bytes(&self) -> Option<u64> {
        self.total_bytes
    }

    /// Whether stdin is one of them.
    pub(crate) fn use_stdin(&self) -> bool {
        self.inputs.contains(&Input::Stdin)
    }

    /// Whether they are a pipe into stdin, which goes on for as long as its writer likes.
    pub(crate) fn are_endless(&self) -> bool {
        self.inputs == [Input::Stdin] && self.total_bytes.is_none()
    }

    /// Whether one of the inputs is the file `other`, under whatever name.
    pub(crate) fn contain(&self, other: &Metadata) -> bool {
        self.inputs.iter().any(|input| match input {
            Input::Stdin => false,
            Input::File(path) => path.metadata().is_ok_and(|metadata| same_file(&metadata, other)),
        })
    }

    /// The inputs with the number that [`Origin`](super::Origin) knows them by.
    pub(crate) fn into_inputs(self) -> impl Iterator<Item = (u32, Input)> {
        (0..).zip(self.inputs)
    }
}

impl Input {
    fn new(path: &Path) -> Self {
        if path.as_os_str() == "-" { Self::Stdin } else { Self::File(path.to_owned()) }
    }

    /// What to call it.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Stdin => "-".to_owned(),
            Self::File(path) => path.display().to_string(),
        }
    }

    /// Opens it for reading.
    ///
    /// # Errors
    /// Whatever the system says.
    pub(crate) fn open(&self) -> io::Result<Box<dyn Read + Send>> {
        Ok(match self {
            Self::Stdin => Box::new(io::stdin()),
            Self::File(path) => Box::new(File::open(path)?),
        })
    }

    /// Finds out whether it can be read, and how many bytes it has where that is known.
    fn check(&self) -> Result<Option<u64>, StartError> {
        let metadata = match self {
            Self::Stdin => stdin_metadata(),
            Self::File(path) => path.metadata().map(Some),
        };
        let metadata = metadata.map_err(|error| unreadable(self, &error))?;
        let Some(metadata) = metadata else { return Ok(None) };
        if metadata.is_dir() {
            return Err(unreadable(self, &ErrorKind::IsADirectory.into()));
        }
        if !metadata.is_file() {
            return Ok(None);
        }
        self.open().map_err(|error| unreadable(self, &error))?;
        Ok(Some(metadata.len()))
    }
}

fn unreadable(input: &Input, error: &io::Error) -> StartError {
    let name = match input {
        Input::Stdin => "stdin".to_owned(),
        Input::File(path) => format!("'{}'", path.display()),
    };
    let (what, remedy) = match error.kind() {
        ErrorKind::NotFound => ("no such file".to_owned(), "check the path"),
        ErrorKind::IsADirectory => ("it is a directory".to_owned(), "name the files in it"),
        ErrorKind::PermissionDenied => {
            ("permission denied".to_owned(), "give this user read permission, or run as one who has it")
        }
        _ => (error.to_string(), "check the path and the disk"),
    };
    StartError::new(format!("cannot read {name}: {what}; {remedy}"))
}

/// What stdin is redirected from; `None` where the system does not tell.
#[cfg(unix)]
fn stdin_metadata() -> io::Result<Option<Metadata>> {
    use std::os::fd::AsFd;
    let stdin = io::stdin().as_fd().try_clone_to_owned()?;
    File::from(stdin).metadata().map(Some)
}

/// What stdin is redirected from; `None` where the system does not tell.
#[cfg(not(unix))]
fn stdin_metadata() -> io::Result<Option<Metadata>> {
    Ok(None)
}

#[cfg(unix)]
fn same_file(a: &Metadata, b: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    a.is_file() && (a.dev(), a.ino()) == (b.dev(), b.ino())
}

/// Without an identity to compare, two files are taken for different ones.
#[cfg(not(unix))]
fn same_file(_: &Metadata, _: &Metadata) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    fn refusal(files: &[PathBuf]) -> (Exit, String) {
        let error = Sources::check(files).err().expect("a refusal");
        (error.exit, error.to_string())
    }

    #[test]
    fn regular_files_add_up_to_a_known_size() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        std::fs::write(&a, "12345").unwrap();
        std::fs::write(&b, "").unwrap();
        let sources = Sources::check(&[a.clone(), b]).unwrap();
        assert_eq!(sources.total_bytes(), Some(5));
        assert_eq!(sources.names()[0], a.display().to_string());
    }

    #[test]
    fn a_missing_file_and_a_directory_are_named_before_anything_is_sent() {
        let dir = tempfile::tempdir().unwrap();
        let good = dir.path().join("good");
        std::fs::write(&good, "x").unwrap();
        let missing = dir.path().join("missing");
        let (exit, message) = refusal(&[good, missing.clone()]);
        assert_eq!(exit, Exit::NotStarted);
        assert_eq!(message, format!("cannot read '{}': no such file; check the path", missing.display()));
        let (exit, message) = refusal(&[dir.path().to_owned()]);
        assert_eq!(exit, Exit::NotStarted);
        assert!(message.contains("it is a directory"), "{message}");
    }

    #[test]
    fn stdin_can_be_given_once() {
        let (exit, message) = refusal(&["-".into(), "-".into()]);
        assert_eq!(exit, Exit::Usage);
        assert!(message.contains("only once"), "{message}");
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_is_not_opened_to_be_checked() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success(), "mkfifo made the pipe");
        // Opening a pipe without a writer would block here for ever.
        let sources = Sources::check(&[pipe]).unwrap();
        assert_eq!(sources.total_bytes(), None, "nobody knows what a pipe will bring");
    }

    #[cfg(unix)]
    #[test]
    fn a_file_is_recognised_under_another_name() {
        let dir = tempfile::tempdir().unwrap();
        let (a, link) = (dir.path().join("a"), dir.path().join("link"));
        std::fs::write(&a, "x").unwrap();
        std::fs::hard_link(&a, &link).unwrap();
        let other = dir.path().join("other");
        std::fs::write(&other, "x").unwrap();
        let sources = Sources::check(&[a]).unwrap();
        assert!(sources.contain(&link.metadata().unwrap()));
        assert!(!sources.contain(&other.metadata().unwrap()));
    }
}
