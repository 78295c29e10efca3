//! Running the command.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use kinesis_batcher_local::hostile::{HostileKinesis, HostileOptions, Observed};
use serde_json::Value;

/// What a run of the command left.
pub(crate) struct Ran {
    /// The exit code; `None` when a signal ended it.
    pub(crate) code: Option<i32>,
    /// All of stdout.
    pub(crate) stdout: String,
    /// All of stderr.
    pub(crate) stderr: String,
}

impl Ran {
    /// The summary, which was asked for as JSON. Its sums are checked.
    pub(crate) fn summary(&self) -> Value {
        let line = self.stdout.lines().last().unwrap_or_else(|| panic!("no summary: {}", self.stderr));
        let summary: Value = serde_json::from_str(line).expect("the last line on stdout is JSON");
        let ends = ["records_delivered", "records_failed", "records_undelivered"];
        let ends: u64 = ends.iter().map(|end| number(&summary, end)).sum();
        assert_eq!(
            number(&summary, "records_read"),
            ends,
            "every record that was read has one end: {summary}"
        );
        assert!(number(&summary, "records_recovered") <= number(&summary, "records_retried"), "{summary}");
        summary
    }

    /// Asserts that it could not start, and says so in one line with these parts.
    pub(crate) fn assert_not_started(&self, parts: &[&str]) {
        assert_eq!(self.code, Some(3), "it could not start: {}", self.stderr);
        assert_eq!(self.stdout, "", "nothing was done that a summary could tell of");
        assert_eq!(self.stderr.lines().count(), 1, "one line: {}", self.stderr);
        assert!(self.stderr.starts_with("error: "), "{}", self.stderr);
        for part in parts {
            assert!(self.stderr.contains(part), "it says {part:?}: {}", self.stderr);
        }
    }
}

/// A figure of the summary.
pub(crate) fn number(summary: &Value, field: &str) -> u64 {
    summary[field].as_u64().unwrap_or_else(|| panic!("{field} is a number: {summary}"))
}

/// The command with these arguments, no stdin, and nothing of the caller's AWS configuration.
pub(crate) fn pusher<S: AsRef<OsStr>>(arguments: &[S]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kinesis-pusher"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("AWS_") {
            command.env_remove(name);
        }
    }
    command
        .args(arguments)
        .stdin(Stdio::null())
        .env("COLUMNS", "100")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_CONFIG_FILE", "/nonexistent/config")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent/credentials");
    command
}

/// Runs the command to its end.
pub(crate) fn run<S: AsRef<OsStr>>(arguments: &[S]) -> Ran {
    finish(&mut pusher(arguments))
}

/// Runs a command that was prepared to its end.
pub(crate) fn finish(command: &mut Command) -> Ran {
    Running::start(command).wait()
}

/// The command as [`pusher`] makes it, with credentials and a region.
pub(crate) fn pusher_with_credentials<S: AsRef<OsStr>>(arguments: &[S]) -> Command {
    let mut command = pusher(arguments);
    command
        .env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
        .env("AWS_SECRET_ACCESS_KEY", "secret")
        .env("AWS_REGION", "us-east-1");
    command
}

/// A `push` to this stream of the server, with a summary in JSON.
pub(crate) fn push_to(endpoint_url: &str, stream: &str, arguments: &[&str]) -> Command {
    let fixed = ["push", "--endpoint-url", endpoint_url, "--stream", stream, "--summary", "json"];
    pusher_with_credentials(&[&fixed, arguments].concat())
}

/// A hostile server that behaves so far.
pub(crate) fn hostile() -> HostileKinesis {
    HostileKinesis::start(HostileOptions::default()).unwrap()
}

/// Waits until the server has seen what the test waits for.
pub(crate) fn wait_until(kinesis: &HostileKinesis, condition: impl FnMut(&Observed) -> bool) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(kinesis.wait_until(condition)).unwrap();
}

/// A directory with input files and the dead letters.
pub(crate) struct Files {
    dir: tempfile::TempDir,
}

impl Files {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    /// A file of this content; its path.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// The path of a file that may not be there yet.
    pub(crate) fn path(&self, name: &str) -> String {
        let path: PathBuf = self.dir.path().join(name);
        path.into_os_string().into_string().unwrap()
    }
}

/// What a file of dead letters holds.
pub(crate) fn letters(path: impl AsRef<Path>) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Lines that can be told apart: `prefix-0`, `prefix-1`, ….
pub(crate) fn lines(prefix: &str, count: usize) -> String {
    (0..count).map(|number| format!("{prefix}-{number}\n")).collect()
}

/// The command while it runs. Killed when dropped.
pub(crate) struct Running {
    child: Child,
    stdout: Option<JoinHandle<String>>,
    stderr: Lines,
}

/// A pipe that is read line by line on a thread of its own.
struct Lines {
    lines: mpsc::Receiver<String>,
    seen: String,
}

impl Running {
    /// Starts it. Stdin is as the command says.
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the command was built before its tests");
        let mut stdout = child.stdout.take().expect("stdout is piped");
        let stdout = std::thread::spawn(move || {
            let mut text = String::new();
            stdout.read_to_string(&mut text).expect("stdout is text");
            text
        });
        let stderr = Lines::of(child.stderr.take().expect("stderr is piped"));
        Self { child, stdout: Some(stdout), stderr }
    }

    /// The process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its end of the pipe, where stdin is piped.
    pub(crate) fn take_stdin(&mut self) -> std::process::ChildStdin {
        self.child.stdin.take().expect("stdin is piped")
    }

    /// Sends it a signal, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success(), "it still runs");
    }

    /// Waits for a line on stderr with this in it; that line.
    pub(crate) fn wait_for_stderr(&mut self, part: &str) -> String {
        self.stderr.wait_for(part)
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("it can be waited for").is_some()
    }

    /// Waits for its end.
    pub(crate) fn wait(mut self) -> Ran {
        let deadline = Instant::now() + PATIENCE;
        while !self.has_ended() {
            assert!(Instant::now() < deadline, "still running after {PATIENCE:?}: {}", self.stderr.seen());
            std::thread::sleep(Duration::from_millis(2));
        }
        let status = self.child.wait().expect("it can be waited for");
        let stdout = self.stdout.take().expect("taken once, here").join().expect("stdout was read");
        Ran { code: status.code(), stdout, stderr: self.stderr.rest() }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A process that has ended is no problem, and the only other one is that a test has failed already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Lines {
    fn of(pipe: impl Read + Send + 'static) -> Self {
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(pipe).lines() {
                let Ok(line) = line else { return };
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { lines, seen: String::new() }
    }

    fn wait_for(&mut self, part: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(PATIENCE);
            let line = line.unwrap_or_else(|_| panic!("{part:?} was never said: {}", self.seen));
            self.seen.push_str(&line);
            self.seen.push('\n');
            if line.contains(part) {
                return line;
            }
        }
    }

    fn seen(&mut self) -> &str {
        while let Ok(line) = self.lines.try_recv() {
            self.seen.push_str(&line);
            self.seen.push('\n');
        }
        &self.seen
    }

    /// All of it, once the process has ended.
    fn rest(&mut self) -> String {
        while let Ok(line) = self.lines.recv() {
            self.seen.push_str(&line);
            self.seen.push('\n');
        }
        std::mem::take(&mut self.seen)
    }
}

/// Longer than any of these runs takes for good reason.
const PATIENCE: Duration = Duration::from_secs(60);
