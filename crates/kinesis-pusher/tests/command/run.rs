//! The command, run as users run it.

use std::ffi::OsStr;
use std::process::{Command, Stdio};

/// What a run of the command left.
pub(crate) struct Ran {
    /// The exit code; `None` when a signal ended it.
    pub(crate) code: Option<i32>,
    /// All of stdout.
    pub(crate) stdout: String,
    /// All of stderr.
    pub(crate) stderr: String,
}

/// The command with these arguments, no stdin, and nothing of the caller's AWS configuration.
pub(crate) fn pusher<S: AsRef<OsStr>>(arguments: &[S]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kinesis-pusher"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("AWS_") {
            command.env_remove(name);
        }
    }
    command.args(arguments).stdin(Stdio::null()).env("COLUMNS", "100");
    command
}

/// Runs the command to its end.
pub(crate) fn run<S: AsRef<OsStr>>(arguments: &[S]) -> Ran {
    let output = pusher(arguments).output().expect("the command was built before its tests");
    Ran {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).expect("stdout is text"),
        stderr: String::from_utf8(output.stderr).expect("stderr is text"),
    }
}
