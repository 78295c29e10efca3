//! What is to be read, checked before anything is sent.

use std::fs::{File, Metadata};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::encoding::{Foreign, examine, read_head};
use super::watched::Watched;
use crate::exit::StartError;

/// The inputs, in the order they are read.
pub(crate) struct Sources {
    inputs: Vec<Input>,
    names: Arc<[String]>,
    /// Of each input, where it is known before it is read.
    bytes: Vec<Option<u64>>,
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
        let bytes = inputs.iter().map(Input::check).collect::<Result<_, _>>()?;
        let names = inputs.iter().map(Input::name).collect();
        Ok(Self { inputs, names, bytes })
    }

    /// Checks that the regular files among them hold plain lines. Other inputs show it only when they are read.
    ///
    /// # Errors
    /// The first file that is UTF-16 or compressed.
    pub(crate) fn check_encodings(&self) -> Result<(), StartError> {
        for (input, _) in self.inputs.iter().zip(&self.bytes).filter(|(_, bytes)| bytes.is_some()) {
            let head = input.peek().map_err(|error| unreadable(input, &error))?;
            examine(&head).map_err(|foreign| StartError::new(undecodable(input, foreign)))?;
        }
        Ok(())
    }

    /// What to call each input, in messages and dead letters; `-` for stdin.
    pub(crate) fn names(&self) -> Arc<[String]> {
        Arc::clone(&self.names)
    }

    /// Bytes in all of them, where that is known before they are read.
    pub(crate) fn total_bytes(&self) -> Option<u64> {
        self.bytes.iter().copied().sum()
    }

    /// Whether stdin is one of them.
    pub(crate) fn use_stdin(&self) -> bool {
        self.inputs.contains(&Input::Stdin)
    }

    /// Whether they are a pipe into stdin, which goes on for as long as its writer likes.
    pub(crate) fn are_endless(&self) -> bool {
        self.inputs == [Input::Stdin] && self.bytes == [None]
    }

    /// Whether one of the inputs is the file `other`, under whatever name.
    pub(crate) fn contain(&self, other: &Metadata) -> bool {
        self.inputs.iter().any(|input| match input {
            Input::Stdin => false,
            Input::File(path) => path.metadata().is_ok_and(|metadata| same_file(&metadata, other)),
        })
    }

    /// The inputs with the number that [`Origin`](super::Origin) knows them by, and the bytes that each had when it was
    /// checked.
    pub(crate) fn into_inputs(self) -> impl Iterator<Item = (u32, Input, Option<u64>)> {
        (0..).zip(self.inputs).zip(self.bytes).map(|((number, input), bytes)| (number, input, bytes))
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

    /// Opens it for reading. A regular file, which had `checked_bytes` when it was checked, reports an error instead of
    /// its end if it was cut short since then.
    ///
    /// # Errors
    /// Whatever the system says.
    pub(crate) fn open(&self, checked_bytes: Option<u64>) -> io::Result<Box<dyn Read + Send>> {
        let (input, file): (Box<dyn Read + Send>, _) = match self {
            Self::Stdin => (Box::new(io::stdin()), stdin_file()?),
            Self::File(path) => {
                let file = File::open(path)?;
                (Box::new(file.try_clone()?), Some(file))
            }
        };
        match file {
            Some(file) if file.metadata()?.is_file() => {
                Ok(Box::new(Watched::new(input, file, checked_bytes.unwrap_or(0))?))
            }
            _ => Ok(input),
        }
    }

    /// The first bytes of a regular file, which stay there to be read.
    fn peek(&self) -> io::Result<Vec<u8>> {
        match self {
            Self::Stdin => peek_stdin(),
            Self::File(path) => read_head(&mut File::open(path)?),
        }
    }

    /// Finds out whether it can be read, and how many bytes it has where that is known.
    fn check(&self) -> Result<Option<u64>, StartError> {
        let metadata = match self {
            Self::Stdin => stdin_file().and_then(|file| file.map(|file| file.metadata()).transpose()),
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
        self.open(None).map_err(|error| unreadable(self, &error))?;
        Ok(Some(metadata.len()))
    }
}

/// Why lines cannot be taken from an input, and the command that helps.
pub(crate) fn undecodable(input: &Input, foreign: Foreign) -> String {
    let Foreign { is, decode } = foreign;
    let (name, argument) = match input {
        Input::Stdin => ("stdin".to_owned(), String::new()),
        Input::File(path) => (format!("'{}'", path.display()), format!(" '{}'", path.display())),
    };
    format!("cannot read {name}: it is {is}; decode it first: {decode}{argument} | kinesis-pusher push")
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

/// What stdin is redirected from; `None` where the system does not tell. It shares its position with stdin.
#[cfg(unix)]
fn stdin_file() -> io::Result<Option<File>> {
    use std::os::fd::AsFd;
    io::stdin().as_fd().try_clone_to_owned().map(|stdin| Some(File::from(stdin)))
}

/// What stdin is redirected from; `None` where the system does not tell.
#[cfg(not(unix))]
fn stdin_file() -> io::Result<Option<File>> {
    Ok(None)
}

/// Bytes of stdin that stay there to be read; none where it is no file.
#[cfg(unix)]
fn peek_stdin() -> io::Result<Vec<u8>> {
    use std::io::Seek;
    use std::os::unix::fs::FileExt;
    let Some(mut file) = stdin_file()? else { return Ok(Vec::new()) };
    let mut head = vec![0; super::encoding::HEAD_BYTES];
    let position = file.stream_position()?;
    let read = file.read_at(&mut head, position)?;
    head.truncate(read);
    Ok(head)
}

/// Bytes of stdin that stay there to be read; none where it is no file.
#[cfg(not(unix))]
fn peek_stdin() -> io::Result<Vec<u8>> {
    Ok(Vec::new())
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

    #[test]
    fn a_file_that_holds_no_plain_lines_is_named_with_the_command_that_decodes_it() {
        let dir = tempfile::tempdir().unwrap();
        let good = dir.path().join("good");
        std::fs::write(&good, "\u{feff}x\n").unwrap();
        let gzip = dir.path().join("log.gz");
        std::fs::write(&gzip, b"\x1f\x8b\x08\0\0").unwrap();
        assert!(Sources::check(std::slice::from_ref(&good)).unwrap().check_encodings().is_ok());
        let error = Sources::check(&[good, gzip.clone()]).unwrap().check_encodings().unwrap_err();
        let path = gzip.display();
        assert_eq!(
            error.to_string(),
            format!(
                "cannot read '{path}': it is compressed with gzip; decode it first: zcat '{path}' | kinesis-pusher push"
            )
        );
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
        assert!(sources.check_encodings().is_ok());
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
