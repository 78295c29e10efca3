//! What the tests have in common: a Kinesis, a program, and what the one stored of the other.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "each test file uses its part")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Output, Stdio};
use std::thread::{self, JoinHandle};

use futures::executor::block_on;
use kinesis_batcher_local::hostile::{HostileKinesis, HostileOptions};
use kinesis_batcher_local::{EmbeddedKinesis, EmbeddedOptions, StoredRecord};

pub const STREAM: &str = "examples";
pub const REGION: &str = "eu-west-1";

/// A Kinesis with one stream of four shards.
pub fn kinesis() -> EmbeddedKinesis {
    let kinesis = EmbeddedKinesis::start(EmbeddedOptions::default()).unwrap();
    block_on(kinesis.create_stream(STREAM, 4)).unwrap();
    kinesis
}

/// A Kinesis with one stream, `hostile`, that fails on command.
pub fn hostile() -> HostileKinesis {
    HostileKinesis::start(HostileOptions::default()).unwrap()
}

/// The data of all records, in order of the text.
pub fn stored(kinesis: &EmbeddedKinesis) -> Vec<String> {
    let text = |record: StoredRecord| String::from_utf8(record.data).unwrap();
    let mut stored: Vec<_> = records(kinesis).into_iter().map(text).collect();
    stored.sort();
    stored
}

pub fn records(kinesis: &EmbeddedKinesis) -> Vec<StoredRecord> {
    block_on(kinesis.stored_records(STREAM)).unwrap()
}

/// A program that knows nothing of this machine's AWS settings.
pub fn program(path: &str) -> Command {
    let mut command = Command::new(path);
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("AWS_") || name.to_ascii_uppercase().ends_with("_PROXY") {
            command.env_remove(&*name);
        }
    }
    command
        .env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
        .env("AWS_SECRET_ACCESS_KEY", SECRET)
        .env("AWS_CONFIG_FILE", "/nonexistent")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// The same, with the arguments that most of them take.
pub fn pushing(path: &str, endpoint_url: &str, stream: &str) -> Command {
    let mut command = program(path);
    command.args(["--stream", stream, "--endpoint-url", endpoint_url, "--region", REGION]);
    command
}

/// Runs a program on this input, to its end.
pub fn run(mut command: Command, input: &str) -> Output {
    let mut child = Running(command.spawn().unwrap());
    let mut stdin = child.0.stdin.take().unwrap();
    let input = input.to_owned();
    // The program may be writing while it is written to.
    let feeding = thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
    let output = collect(&mut child);
    feeding.join().unwrap();
    output
}

fn collect(child: &mut Running) -> Output {
    let (stdout, stderr) = (child.0.stdout.take().unwrap(), child.0.stderr.take().unwrap());
    let (stdout, stderr) = (read(stdout), read(stderr));
    let status = child.0.wait().unwrap();
    let output = Output { status, stdout: stdout.join().unwrap(), stderr: stderr.join().unwrap() };
    assert!(!text(&output.stdout).contains(SECRET), "the secret is on standard output");
    assert!(!text(&output.stderr).contains(SECRET), "the secret is on standard error");
    output
}

fn read(mut from: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = vec![];
        from.read_to_end(&mut bytes).unwrap();
        bytes
    })
}

pub fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

pub fn assert_succeeded(output: &Output) {
    assert!(output.status.success(), "it failed ({}): {}", output.status, text(&output.stderr));
}

/// It ended with exit code 1 and one line that says this.
pub fn assert_failed_saying(output: &Output, what: &str) {
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "the exit code tells of the failure: {told}");
    assert!(told.contains(what), "{told:?} does not say {what:?}");
    assert_eq!(told.lines().count(), 1, "one line will do: {told:?}");
}

/// A program that serves until it is told to stop. It is killed if a test fails before.
pub struct Server {
    child: Running,
    stdout: BufReader<ChildStdout>,
    pub address: SocketAddr,
}

impl Server {
    /// Starts a program that says where it listens.
    pub fn start(mut command: Command) -> Self {
        let mut child = Running(command.spawn().unwrap());
        let mut stdout = BufReader::new(child.0.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let Some(address) = line.trim().strip_prefix("listening on ") else {
            panic!("it does not listen: {}", text(&collect_stderr(&mut child)));
        };
        let address = address.parse().unwrap();
        Self { child, stdout, address }
    }

    /// Sends SIGTERM. Does not wait for the end.
    pub fn terminate(&self) {
        let status = Command::new("kill").arg(self.child.0.id().to_string()).status().unwrap();
        assert!(status.success(), "the program is still there to be told");
    }

    /// Waits until it has ended.
    pub fn wait(mut self) -> Output {
        let stderr = read(self.child.0.stderr.take().unwrap());
        let mut stdout = vec![];
        self.stdout.read_to_end(&mut stdout).unwrap();
        let status = self.child.0.wait().unwrap();
        Output { status, stdout, stderr: stderr.join().unwrap() }
    }
}

fn collect_stderr(child: &mut Running) -> Vec<u8> {
    let mut told = vec![];
    let stderr: ChildStderr = child.0.stderr.take().unwrap();
    BufReader::new(stderr).read_to_end(&mut told).unwrap();
    told
}

/// A process that does not outlive the test.
pub struct Running(pub Child);

impl Running {
    /// Its two ends, for a dialogue line by line.
    pub fn ends(&mut self) -> (ChildStdin, BufReader<ChildStdout>) {
        (self.0.stdin.take().unwrap(), BufReader::new(self.0.stdout.take().unwrap()))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail if it has ended, as it should have.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub const SECRET: &str = "do-not-tell-anyone";
