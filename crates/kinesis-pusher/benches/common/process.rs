//! What a process used, from its start to its end.

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use wait4::{ResUse, Wait4};

use super::server::STREAM;

/// What a process took.
pub(crate) struct Ran {
    pub(crate) elapsed: Duration,
    /// User and system time of all its threads.
    pub(crate) cpu: Duration,
    pub(crate) peak_bytes: u64,
    /// What it wrote to its standard output.
    #[allow(dead_code, reason = "one bench asks for nothing but the costs")]
    pub(crate) stdout: String,
    /// Why it failed, if it did.
    pub(crate) failure: Option<String>,
}

impl Ran {
    pub(crate) fn cpu_nanos(&self, records: u64) -> f64 {
        self.cpu.as_nanos() as f64 / records as f64
    }

    pub(crate) fn rate(&self, records: u64) -> f64 {
        records as f64 / self.elapsed.as_secs_f64()
    }
}

/// Runs a process to its end.
pub(crate) fn run(command: &mut Command) -> Ran {
    let started = Instant::now();
    let mut child = match command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn() {
        Ok(child) => child,
        Err(error) => return failed(format!("{}: {error}", command.get_program().display())),
    };
    // Taken apart: whoever is waited for with its pipe full never ends.
    let mut errors = child.stderr.take().expect("it was piped");
    let errors = std::thread::spawn(move || {
        let mut text = Vec::new();
        let _ = errors.read_to_end(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    });
    let mut stdout = String::new();
    let read = child.stdout.take().expect("it was piped").read_to_string(&mut stdout);
    let ResUse { status, rusage } = child.wait4().expect("a child can be waited for");
    let elapsed = started.elapsed();
    let errors = errors.join().expect("reading does not panic");
    let last_words = || errors.trim_end().lines().last().unwrap_or("without a word").to_owned();
    let failure = match (status.success(), read) {
        (false, _) => Some(format!("{status}: {}", last_words())),
        (true, Err(error)) => Some(error.to_string()),
        (true, Ok(_)) => None,
    };
    Ran { elapsed, cpu: rusage.utime + rusage.stime, peak_bytes: rusage.maxrss, stdout, failure }
}

/// A process that never ran.
fn failed(failure: String) -> Ran {
    Ran {
        elapsed: Duration::ZERO,
        cpu: Duration::ZERO,
        peak_bytes: 0,
        stdout: String::new(),
        failure: Some(failure),
    }
}

/// `kinesis-pusher push` of a file to the server.
pub(crate) fn push(endpoint_url: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kinesis-pusher"));
    command.args(["push", "--stream", STREAM, "--shard-limit-percent", "off"]);
    of_server(&mut command, endpoint_url);
    command
}

/// This bench again.
pub(crate) fn itself(endpoint_url: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("the bench knows its own file"));
    of_server(&mut command, endpoint_url);
    command
}

/// The environment that every SDK looks into.
pub(crate) fn of_server(command: &mut Command, endpoint_url: &str) {
    command
        .env("AWS_ENDPOINT_URL_KINESIS", endpoint_url)
        .env("AWS_REGION", "us-east-1")
        .env("AWS_DEFAULT_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", "local")
        .env("AWS_SECRET_ACCESS_KEY", "local")
        .env("AWS_EC2_METADATA_DISABLED", "true");
}
