//! A service in a process of its own, and the CPU time of this process.
#![allow(dead_code, reason = "each bench uses its part")]

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use kinesis_batcher_local::fast::{FastKinesis, FastOptions};
use kinesis_batcher_local::tls::{Alpn, ServerTls, TestAuthority};
use kinesis_batcher_tokio::{AwsOptions, Credentials, SdkConfig, SharedCredentialsProvider, connectivity};

/// The bench itself, started again with `--serve`. It prints its address and ends with its input.
pub(crate) struct Server {
    process: Child,
    pub(crate) endpoint_url: String,
}

impl Server {
    /// Starts it with this argument after `--serve`.
    pub(crate) fn start(argument: impl AsRef<OsStr>) -> Self {
        let this = std::env::current_exe().expect("the bench knows its own file");
        let mut process = Command::new(this)
            .arg("--serve")
            .arg(argument.as_ref())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the bench can start itself");
        let mut endpoint_url = String::new();
        let stdout = process.stdout.take().expect("it was piped");
        BufReader::new(stdout).read_line(&mut endpoint_url).expect("the server says where it is");
        Self { process, endpoint_url: endpoint_url.trim().to_owned() }
    }

    /// The server's standard input.
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

/// A server that routes, answers and stores nothing, over plain HTTP/1.1 and over TLS.
pub(crate) struct FastServer {
    _server: Server,
    pub(crate) plain_url: String,
    pub(crate) tls_url: String,
    authority: PathBuf,
}

impl FastServer {
    pub(crate) fn start() -> Self {
        let authority =
            std::env::temp_dir().join(format!("kinesis-batcher-bench-{}.pem", std::process::id()));
        let server = Server::start(&authority);
        let (plain_url, tls_url) = server.endpoint_url.split_once(' ').expect("the server has two addresses");
        Self { plain_url: plain_url.to_owned(), tls_url: tls_url.to_owned(), authority, _server: server }
    }

    /// Serves, in the process that [`FastServer::start`] started with this argument, until that one ends.
    pub(crate) fn serve(authority_file: &Path) {
        let authority = TestAuthority::new();
        std::fs::write(authority_file, authority.pem()).expect("there is room for a temporary file");
        let start = |tls| {
            let options = FastOptions { store: false, tls, ..FastOptions::default() };
            FastKinesis::start(options).expect("the loopback interface takes a server")
        };
        let (plain, tls) = (start(None), start(Some(ServerTls::new(&authority, "localhost", Alpn::Both))));
        println!("{} https://localhost:{}", plain.endpoint_url(), tls.address().port());
        std::io::stdin().read_to_end(&mut Vec::new()).expect("the standard input ends");
    }

    /// How a client finds one of the two addresses.
    pub(crate) async fn sdk_config(&self, endpoint_url: &str) -> SdkConfig {
        let credentials = Credentials::new("access", "secret", None, None, "bench");
        let options = AwsOptions {
            region: Some("us-east-1".into()),
            endpoint_url: Some(endpoint_url.to_owned()),
            credentials: Some(SharedCredentialsProvider::new(credentials)),
            ..AwsOptions::default()
        };
        let stream = "fast".parse().expect("a stream's name");
        let connectivity = connectivity();
        connectivity.ca_bundle.set(self.authority.clone());
        options.load(&stream, connectivity).await.expect("the options are sound")
    }
}

impl Drop for FastServer {
    fn drop(&mut self) {
        std::fs::remove_file(&self.authority).expect("the server made it");
    }
}

/// User and system time of this process, in steps of 10 ms.
pub(crate) fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("this bench runs on Linux");
    let after_name = stat.rsplit(')').next().expect("the name of the process is in parentheses");
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().expect("utime") + fields[12].parse::<u64>().expect("stime");
    Duration::from_millis(ticks * 10)
}
