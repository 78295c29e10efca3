//! A service in a process of its own, and what this process uses meanwhile.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

/// The bench itself, started again with `--serve`. It prints its address and ends with its input.
pub(crate) struct Server {
    process: Child,
    pub(crate) endpoint_url: String,
}

impl Server {
    pub(crate) fn start() -> Self {
        let this = std::env::current_exe().expect("the bench knows its own file");
        let mut process = Command::new(this)
            .arg("--serve")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the bench can start itself");
        let mut endpoint_url = String::new();
        let stdout = process.stdout.take().expect("it was piped");
        BufReader::new(stdout).read_line(&mut endpoint_url).expect("the server says where it is");
        Self { process, endpoint_url: endpoint_url.trim().to_owned() }
    }

    /// What the server reads.
    #[allow(dead_code, reason = "one bench talks to its server, the other does not")]
    pub(crate) fn input(&mut self) -> &mut ChildStdin {
        self.process.stdin.as_mut().expect("it was piped, and is taken when the server is dropped")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        self.process.wait().expect("the server ends with its input");
    }
}

/// User and system time of this process, in steps of 10 ms.
#[allow(dead_code, reason = "one bench counts finer")]
pub(crate) fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("this bench runs on Linux");
    let after_name = stat.rsplit(')').next().expect("the name of the process is in parentheses");
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().expect("utime") + fields[12].parse::<u64>().expect("stime");
    Duration::from_millis(ticks * 10)
}
