//! A Kinesis in a process of its own, so that the figures of the others are theirs alone.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use kinesis_aggregation::decode;
use kinesis_batcher_local::RawClient;
use kinesis_batcher_local::fast::{FastKinesis, FastOptions};
use kinesis_batcher_local::tls::{Alpn, ServerTls, TestAuthority};

/// The bench itself, started again with [`SERVE`]. It ends with its input.
pub(crate) struct Server {
    process: Child,
    answers: BufReader<ChildStdout>,
    endpoint_url: String,
}

/// What the server has stored since it was last asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    /// As the service counts them.
    pub(crate) kinesis_records: u64,
    /// With those that came in aggregates.
    pub(crate) user_records: u64,
    /// Those of them that differ from all others.
    #[allow(dead_code, reason = "one bench has lines that are alike")]
    pub(crate) distinct_records: u64,
    /// Those of them that the KCL would drop, because their aggregate is not of one shard, the one it is stored in.
    #[allow(dead_code, reason = "one bench has no aggregates but ours")]
    pub(crate) misplaced_records: u64,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::spawn(&[])
    }

    /// Over TLS, with HTTP/2 and HTTP/1.1; its authority's certificate is written to the file.
    #[allow(dead_code, reason = "one bench has a server without TLS alone")]
    pub(crate) fn start_tls(pem_file: &Path) -> Self {
        Self::spawn(&[pem_file.as_os_str()])
    }

    fn spawn(arguments: &[&OsStr]) -> Self {
        let this = std::env::current_exe().expect("the bench knows its own file");
        let mut process = Command::new(this)
            .arg(SERVE)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the bench can start itself");
        let mut answers = BufReader::new(process.stdout.take().expect("it was piped"));
        let endpoint_url = line(&mut answers);
        Self { process, answers, endpoint_url }
    }

    pub(crate) fn endpoint_url(&self) -> &str {
        &self.endpoint_url
    }

    /// Counts what is stored, and forgets it.
    pub(crate) fn take_stored(&mut self) -> Stored {
        let input =
            self.process.stdin.as_mut().expect("it was piped, and is taken when the server is dropped");
        input.write_all(b"count\n").expect("the server reads");
        let counts = line(&mut self.answers);
        let mut counts = counts.split(' ').map(|count| count.parse().expect("a count is a number"));
        let mut count = || counts.next().expect("four counts");
        Stored {
            kinesis_records: count(),
            user_records: count(),
            distinct_records: count(),
            misplaced_records: count(),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        self.process.wait().expect("the server ends with its input");
    }
}

/// Serves one stream, [`STREAM`], routing and storing, until the standard input ends; over TLS if there is a file for the
/// authority's certificate.
pub(crate) fn serve(pem_file: Option<&Path>) {
    let tls = pem_file.map(|file| {
        let authority = TestAuthority::new();
        std::fs::write(file, authority.pem()).expect("the folder is there");
        ServerTls::new(&authority, "localhost", Alpn::Both)
    });
    let start = |tls| {
        FastKinesis::start(FastOptions { stream_name: STREAM.to_owned(), tls, ..FastOptions::default() })
            .expect("the loopback interface takes a server")
    };
    let kinesis = start(tls);
    println!("{}", kinesis.endpoint_url());
    // All servers with so many shards have the same ones, and the raw client speaks no TLS.
    let plain = start(None);
    let shards = RawClient::new(plain.address()).shards(STREAM).expect("the server knows its shards");
    drop(plain);
    let ranges =
        shards.into_iter().map(|shard| (shard.shard_id, shard.starting_hash_key..=shard.ending_hash_key));
    let ranges: HashMap<_, _> = ranges.collect();
    let hasher = BuildHasherDefault::<DefaultHasher>::default();
    for _ in std::io::stdin().lines() {
        let records = kinesis.stored_records();
        let (mut user_records, mut misplaced, mut hashes) = (0, 0, HashSet::new());
        let mut count = |data: &[u8]| {
            user_records += 1;
            hashes.insert(hasher.hash_one(data));
        };
        for record in &records {
            let Some(aggregate) = decode(&record.data).aggregate() else {
                count(&record.data);
                continue;
            };
            aggregate.iter().for_each(|user_record| count(user_record.data));
            if !aggregate.is_kept_by_kcl(&ranges[&record.shard_id]) {
                misplaced += aggregate.len();
            }
        }
        println!("{} {user_records} {} {misplaced}", records.len(), hashes.len());
        kinesis.clear();
    }
}

fn line(answers: &mut BufReader<ChildStdout>) -> String {
    let mut line = String::new();
    answers.read_line(&mut line).expect("the server answers");
    line.trim_end().to_owned()
}

pub(crate) const SERVE: &str = "--serve";
pub(crate) const STREAM: &str = "fast";
