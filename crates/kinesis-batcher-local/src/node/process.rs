//! A server's process.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use super::install::{PRELOAD, Programs, not_run, tail};
use super::{NodeError, NodeServer};

/// A child process; killed when dropped.
#[derive(Debug)]
pub(super) struct NodeProcess {
    child: Child,
    pub(super) plain_port: u16,
    pub(super) tls_port: Option<u16>,
}

impl NodeProcess {
    /// Starts a server from an installation and waits until it listens.
    pub(super) fn start(
        programs: &Programs,
        server: NodeServer,
        directory: &Path,
    ) -> Result<Self, NodeError> {
        let mut command = Command::new(&programs.node);
        command.arg("--require").arg(directory.join(PRELOAD));
        // The ports are names here: the preload gives each a free one.
        let modules = directory.join("node_modules");
        let ports: &[&str] = match server {
            NodeServer::Kinesalite => {
                command.current_dir(modules.join("kinesalite")).args(["cli.js", "--port", PLAIN]);
                command.args(["--shardLimit", "100000", "--createStreamMs", "0", "--deleteStreamMs", "0"]);
                command.args(["--updateStreamMs", "0"]);
                &[PLAIN]
            }
            NodeServer::KinesisMock => {
                // It looks for its certificate in the working directory.
                command.current_dir(modules.join("kinesis-local")).arg("main.js");
                command.env("KINESIS_MOCK_PLAIN_PORT", PLAIN).env("KINESIS_MOCK_TLS_PORT", TLS);
                command.env("SHARD_LIMIT", "100000").env("LOG_LEVEL", "ERROR");
                for change in
                    ["CREATE_STREAM", "DELETE_STREAM", "MERGE_SHARDS", "SPLIT_SHARD", "UPDATE_SHARD_COUNT"]
                {
                    command.env(format!("{change}_DURATION"), "10ms");
                }
                &[PLAIN, TLS]
            }
        };
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().map_err(|error| not_run(&programs.node, error))?;
        let mut process = Self { child, plain_port: 0, tls_port: None };
        let listening = process.wait_for(ports).map_err(|output| NodeError::Start { server, output })?;
        process.plain_port = listening.get(PLAIN).copied().unwrap_or_default();
        process.tls_port = listening.get(TLS).copied();
        Ok(process)
    }

    /// Waits for the lines of the preload that tell the ports; or tells what else was said.
    fn wait_for(&mut self, ports: &[&str]) -> Result<HashMap<String, u16>, String> {
        let (sender, lines) = channel();
        if let Some(output) = self.child.stdout.take() {
            pass_on(output, sender.clone());
        }
        if let Some(errors) = self.child.stderr.take() {
            pass_on(errors, sender.clone());
        }
        drop(sender);
        let deadline = Instant::now() + START_TIMEOUT;
        let mut listening = HashMap::new();
        let mut said = String::new();
        while !ports.iter().all(|port| listening.contains_key(*port)) {
            match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => match parse_listening(&line) {
                    Some((asked, port)) => {
                        listening.insert(asked, port);
                    }
                    // A server that does not start says a page, not a book.
                    None if said.len() < SAID_BYTES_MAX => {
                        let _ = writeln!(said, "{line}");
                    }
                    None => {}
                },
                Err(RecvTimeoutError::Timeout) => return Err(format!("it does not listen; {}", tail(&said))),
                Err(RecvTimeoutError::Disconnected) => return Err(format!("it has ended; {}", tail(&said))),
            }
        }
        Ok(listening)
    }
}

impl Drop for NodeProcess {
    fn drop(&mut self) {
        // SIGKILL: kinesis-mock ignores SIGTERM, and there is nothing to lose.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads to the end, also when nobody listens any more: a full pipe would stop the server.
fn pass_on(output: impl Read + Send + 'static, lines: Sender<String>) {
    std::thread::spawn(move || {
        for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
            let _ = lines.send(String::from_utf8_lossy(&line).into_owned());
        }
    });
}

/// The port that was asked for and the one it got, from `listening 1 43991`.
fn parse_listening(line: &str) -> Option<(String, u16)> {
    let (asked, port) = line.strip_prefix("listening ")?.split_once(' ')?;
    Some((asked.to_owned(), port.trim().parse().ok()?))
}

/// Asked for as the port of plain HTTP.
const PLAIN: &str = "1";

/// Asked for as the port of TLS.
const TLS: &str = "2";

/// kinesis-mock compiles 9 MB of JavaScript, 2 s on an idle machine.
const START_TIMEOUT: Duration = Duration::from_secs(60);

const SAID_BYTES_MAX: usize = 16 << 10;
