//! How the command ends.

use std::fmt;
use std::process::ExitCode;

/// The exit codes scripts rely on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Everything was delivered.
    Done = 0,
    /// Something was not delivered.
    NotDelivered = 1,
    /// Wrong usage.
    Usage = 2,
    /// Nothing could be started.
    NotStarted = 3,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// The end before anything was sent: one line that names the thing and says what to do.
#[derive(Debug)]
pub(crate) struct StartError {
    /// [`Exit::Usage`] for what was typed wrongly, [`Exit::NotStarted`] for everything around it.
    pub(crate) exit: Exit,
    message: String,
}

impl StartError {
    /// Something outside the command line is missing or refused.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { exit: Exit::NotStarted, message: message.into() }
    }

    /// The command line asks for something that cannot be, found only after it was parsed.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, message: message.into() }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
