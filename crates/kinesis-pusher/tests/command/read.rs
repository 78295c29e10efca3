//! `read`: what was pushed comes back, whatever became of the shards meanwhile.

use std::collections::{HashMap, HashSet};
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kinesis_batcher_local::{EmbeddedKinesis, EmbeddedOptions};
use serde_json::Value;

use crate::run::{Files, Ran, Running, finish, hostile, lines, number, push_to, pusher_with_credentials};

/// An embedded Kinesis without limits, with one stream.
struct Kinesis {
    kinesis: EmbeddedKinesis,
    runtime: tokio::runtime::Runtime,
}

impl Kinesis {
    fn start(shards: u32) -> Self {
        let kinesis = EmbeddedKinesis::start(EmbeddedOptions { port: 0, enforce_limits: false }).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(kinesis.create_stream(STREAM, shards)).unwrap();
        Self { kinesis, runtime }
    }

    fn push(&self, content: &str, flags: &[&str]) {
        let files = Files::new();
        let input = files.file("input", content);
        let fixed = ["--request-bytes=5MiB", "--shard-limit-percent=off", &input];
        let ran = finish(&mut push_to(&self.kinesis.endpoint_url(), STREAM, &[&fixed, flags].concat()));
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        assert_eq!(number(&ran.summary(), "records_delivered"), content.lines().count() as u64);
    }

    fn split(&self, shard_id: &str) -> [String; 2] {
        self.runtime.block_on(self.kinesis.split_shard(STREAM, shard_id)).unwrap()
    }

    fn merge(&self, lower: &str, upper: &str) -> String {
        self.runtime.block_on(self.kinesis.merge_shards(STREAM, lower, upper)).unwrap()
    }

    fn reading(&self, flags: &[&str]) -> std::process::Command {
        let url = self.kinesis.endpoint_url();
        pusher_with_credentials(&[&["read", "--stream", STREAM, "--endpoint-url", &url], flags].concat())
    }

    fn read(&self, flags: &[&str]) -> Ran {
        finish(&mut self.reading(flags))
    }

    /// All records there are, as JSON.
    fn rows(&self) -> Vec<Value> {
        let ran = self.read(&["--until-caught-up", "--output=json"]);
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
        ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn seconds_since_1970() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

fn data(row: &Value) -> String {
    String::from_utf8(STANDARD.decode(row["data_base64"].as_str().unwrap()).unwrap()).unwrap()
}

fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines
}

#[test]
fn what_was_pushed_is_printed_line_by_line_plain_or_aggregated() {
    for flags in [&[][..], &["--aggregate"]] {
        let kinesis = Kinesis::start(3);
        let content = lines("line", 500);
        kinesis.push(&content, flags);
        let ran = kinesis.read(&["--until-caught-up"]);
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{flags:?}");
        assert_eq!(sorted(&ran.stdout), sorted(&content), "{flags:?}");
    }
}

#[test]
fn records_of_one_shard_come_in_order_also_over_several_pages() {
    let kinesis = Kinesis::start(1);
    let content = lines("line", 12_000);
    kinesis.push(&content, &["--partition-key=const:k", "--in-flight=1"]);
    let ran = kinesis.read(&["--until-caught-up"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stdout == content, "12,000 lines come back in their order");
}

#[test]
fn json_tells_a_members_place_in_its_aggregate_and_a_plain_record_has_none() {
    let kinesis = Kinesis::start(1);
    kinesis.push("a\nb\nc\n", &["--aggregate", "--partition-key=line", "--linger=200ms"]);
    kinesis.push("plain\n", &["--partition-key=const:k"]);
    let rows = kinesis.rows();
    let fields = [
        "aggregated",
        "data_base64",
        "explicit_hash_key",
        "partition_key",
        "sequence_number",
        "shard_id",
        "sub_sequence_number",
    ];
    for row in &rows {
        let mut names: Vec<&str> = row.as_object().unwrap().keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, fields);
        assert_eq!(row["shard_id"], "shardId-000000000000");
        assert_eq!(row["explicit_hash_key"], Value::Null, "nobody gave one");
    }
    let members = &rows[..3];
    for (index, member) in members.iter().enumerate() {
        assert_eq!((&member["aggregated"], &member["sub_sequence_number"]), (&true.into(), &index.into()));
        assert_eq!(member["partition_key"], data(member).as_str());
        assert_eq!(member["sequence_number"], members[0]["sequence_number"]);
    }
    assert_eq!(members.iter().map(data).collect::<String>(), "abc");
    assert_eq!((&rows[3]["aggregated"], &rows[3]["sub_sequence_number"]), (&false.into(), &Value::Null));
    assert_eq!((rows.len(), data(&rows[3]).as_str(), &rows[3]["partition_key"]), (4, "plain", &"k".into()));
}

#[test]
fn parents_are_read_to_their_end_before_their_children_through_a_split_and_a_merge() {
    let kinesis = Kinesis::start(2);
    // Three pages in the one, so that its children would be ahead if they did not wait.
    let grandparents = lines("before", 24_000);
    kinesis.push(&grandparents, &[]);
    let [lower, upper] = kinesis.split("shardId-000000000000");
    let parents = lines("split", 2_000);
    kinesis.push(&parents, &["--aggregate"]);
    let merged = kinesis.merge(&lower, &upper);
    let children = lines("merged", 1_000);
    kinesis.push(&children, &[]);
    let rows = kinesis.rows();
    let pushed = [grandparents, parents, children].concat();
    assert_eq!(rows.len(), pushed.lines().count(), "nothing is lost or doubled");
    let read: HashSet<String> = rows.iter().map(data).collect();
    assert!(pushed.lines().all(|line| read.contains(line)), "everything comes back");
    let (mut first, mut last): (HashMap<&str, usize>, HashMap<&str, usize>) = Default::default();
    for (index, row) in rows.iter().enumerate() {
        let shard_id = row["shard_id"].as_str().unwrap();
        first.entry(shard_id).or_insert(index);
        last.insert(shard_id, index);
    }
    let shards: HashSet<&str> = first.keys().copied().collect();
    assert_eq!(shards.len(), 5, "each of the five shards has records: {shards:?}");
    for (parent, child) in [
        ("shardId-000000000000", &lower),
        ("shardId-000000000000", &upper),
        (lower.as_str(), &merged),
        (upper.as_str(), &merged),
    ] {
        assert!(last[parent] < first[child.as_str()], "{child} waits for the end of {parent}");
    }
}

#[test]
fn following_goes_on_into_the_children_of_a_shard_that_is_split_meanwhile() {
    let kinesis = Kinesis::start(1);
    kinesis.push("one\n", &[]);
    let mut child = kinesis.reading(&["--limit=22"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    assert_eq!(line, "one\n", "what is there is printed without waiting for more");
    kinesis.push("two\n", &[]);
    kinesis.split("shardId-000000000000");
    let content = lines("three", 20);
    kinesis.push(&content, &[]);
    let rest: Vec<String> = stdout.lines().map(Result::unwrap).collect();
    assert_eq!(rest[0], "two", "the parent's last record comes first");
    assert_eq!(sorted(&rest[1..].join("\n")), sorted(&content));
    assert_eq!(child.wait().unwrap().code(), Some(0), "the limit is a good end");
}

#[test]
fn a_limit_counts_records_and_not_aggregates() {
    let kinesis = Kinesis::start(2);
    kinesis.push(&lines("line", 300), &["--aggregate"]);
    let ran = kinesis.read(&["--limit=7"]);
    assert_eq!((ran.code, ran.stdout.lines().count()), (Some(0), 7), "{}", ran.stderr);
    let ran = kinesis.read(&["--limit=1000", "--until-caught-up"]);
    assert_eq!((ran.code, ran.stdout.lines().count()), (Some(0), 300), "whichever comes first");
}

#[test]
fn the_latest_and_a_time_leave_out_what_is_older() {
    let kinesis = Kinesis::start(2);
    kinesis.push(&lines("old", 50), &[]);
    kinesis.split("shardId-000000000000");
    let ran = kinesis.read(&["--from=latest", "--until-caught-up"]);
    assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (Some(0), "", ""));
    let all = kinesis.read(&["--from=at:2019-12-16T23:48:18Z", "--until-caught-up"]);
    assert_eq!(all.stdout.lines().count(), 50, "{}", all.stderr);
    // The emulator stamps records with whole seconds.
    let old = seconds_since_1970();
    while seconds_since_1970() == old {
        std::thread::sleep(Duration::from_millis(5));
    }
    let from = format!("--from=at:{}", seconds_since_1970());
    kinesis.push(&lines("new", 30), &[]);
    let new = kinesis.read(&[&from, "--until-caught-up"]);
    assert_eq!(sorted(&new.stdout), sorted(&lines("new", 30)), "{}", new.stderr);
}

/// What `kinesis-pusher read … | head -n 1` comes to.
#[test]
fn a_reader_that_goes_away_is_a_quiet_end() {
    let kinesis = Kinesis::start(1);
    kinesis.push(&lines("line", 50_000), &["--aggregate"]);
    let mut command = kinesis.reading(&[]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with("line-"), "{line}");
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
}

#[cfg(unix)]
#[test]
fn a_signal_is_how_following_ends_and_leaves_something_where_an_end_was_asked_for() {
    let kinesis = Kinesis::start(1);
    kinesis.push("one\n", &[]);
    for (signal, flags, code) in [("TERM", &[][..], 0), ("INT", &["--limit=2"], 1)] {
        let mut command = kinesis.reading(flags);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let id = child.id().to_string();
        assert!(std::process::Command::new("kill").args(["-s", signal, &id]).status().unwrap().success());
        assert_eq!(child.wait().unwrap().code(), Some(code), "{signal} {flags:?}");
    }
}

#[cfg(unix)]
#[test]
fn a_signal_is_heard_while_nobody_takes_what_is_printed() {
    let kinesis = Kinesis::start(1);
    let long = "x".repeat(1_000);
    kinesis.push(&lines(&long, 2_000), &["--aggregate"]);
    let mut child = kinesis.reading(&[]).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdout = BufReader::with_capacity(1_100, child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    let id = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-s", "TERM", &id]).status().unwrap().success());
    // The pipe stays full, and open, until it has ended.
    assert_eq!(child.wait().unwrap().code(), Some(0));
    drop(stdout);
}

#[test]
fn what_cannot_be_started_is_named_in_one_line() {
    let kinesis = Kinesis::start(1);
    let url = kinesis.kinesis.endpoint_url();
    let arguments = ["read", "--stream=no-such-stream", "--endpoint-url", &url];
    finish(&mut pusher_with_credentials(&arguments)).assert_not_started(&["no-such-stream"]);
    let ran = kinesis.read(&["--from=at:2100-01-01T00:00:00Z"]);
    ran.assert_not_started(&["GetShardIterator failed", "timestampInMillis"]);
    let ran = kinesis.read(&["--from=yesterday"]);
    assert_eq!((ran.code, ran.stderr.lines().count()), (Some(2), 1), "{}", ran.stderr);
    // It takes records and hands none out.
    let hostile = hostile();
    let arguments = ["read", "--stream=hostile", "--endpoint-url", &hostile.endpoint_url()];
    let ran = Running::start(&mut pusher_with_credentials(&arguments)).wait();
    ran.assert_not_started(&["GetShardIterator failed"]);
}

const STREAM: &str = "records";
