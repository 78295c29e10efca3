//! `local`: a Kinesis by itself.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use kinesis_batcher_local::RawClient;
use serde_json::json;

use crate::run::{Files, finish, lines, number, pusher, run};

/// A `local` that listens, and what it printed.
struct Serving {
    child: Child,
    told: String,
}

impl Serving {
    fn start(arguments: &[&str]) -> Self {
        let mut child = pusher(&[&["local", "--port=0"], arguments].concat())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut told = String::new();
        // The last line it prints.
        while !told.contains("kinesis-pusher push") {
            assert!(stdout.read_line(&mut told).unwrap() > 0, "it ended: {told}");
        }
        Self { child, told }
    }

    /// The variables that it says to export.
    fn variables(&self) -> Vec<(String, String)> {
        let line = self.told.lines().find_map(|line| line.trim().strip_prefix("export ")).unwrap();
        line.split(' ').map(|pair| pair.split_once('=').unwrap()).map(|(k, v)| (k.into(), v.into())).collect()
    }

    #[cfg(unix)]
    fn stop(mut self, signal: &str) -> Option<i32> {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", signal, &id]).status().unwrap().success());
        let status = self.child.wait().unwrap();
        let mut stderr = String::new();
        std::io::Read::read_to_string(&mut self.child.stderr.take().unwrap(), &mut stderr).unwrap();
        assert_eq!(stderr, "");
        status.code()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // One that was stopped is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(unix)]
#[test]
fn what_it_prints_is_enough_to_push_to_it_and_it_stops_on_a_signal() {
    let files = Files::new();
    let input = files.file("input", "a\nb\nc\n");
    let serving = Serving::start(&["--shards=2", "--stream=orders", "--stream=clicks"]);
    let push = ["push", "--stream=orders", "--request-bytes=5MiB", "--summary=json", &input];
    let ran = finish(pusher(&push).envs(serving.variables()));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(number(&ran.summary(), "records_delivered"), 3);
    let ran = finish(pusher(&["shards", "--stream=clicks"]).envs(serving.variables()));
    assert!(ran.stdout.contains("2 open shards"), "{}\n{}", ran.stdout, ran.stderr);
    assert_eq!(serving.stop("TERM"), Some(0));
}

#[test]
fn everything_pushed_to_it_through_changed_shard_counts_is_read_back() {
    let files = Files::new();
    let serving = Serving::start(&["--shards=4", "--stream=orders"]);
    let variables = serving.variables();
    let url = variables.iter().find(|(name, _)| name == "AWS_ENDPOINT_URL_KINESIS").unwrap();
    let client = RawClient::new(url.1.strip_prefix("http://").unwrap().parse().unwrap());
    let mut pushed = String::new();
    for (prefix, count) in [("four", 8), ("eight", 5), ("five", 4), ("again", 0)] {
        let content = lines(prefix, 2_000);
        let input = files.file(prefix, &content);
        let push = ["push", "--stream=orders", "--request-bytes=5MiB", &input];
        let ran = finish(pusher(&push).envs(variables.clone()));
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        pushed.push_str(&content);
        if count > 0 {
            let input = json!({
                "StreamName": "orders", "TargetShardCount": count, "ScalingType": "UNIFORM_SCALING",
            });
            client.call("UpdateShardCount", &input).unwrap().ok().unwrap();
        }
    }
    let read = ["read", "--stream=orders", "--until-caught-up"];
    let ran = finish(pusher(&read).envs(variables));
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    let (mut read, mut pushed): (Vec<&str>, Vec<&str>) =
        (ran.stdout.lines().collect(), pushed.lines().collect());
    read.sort_unstable();
    pushed.sort_unstable();
    assert!(read == pushed, "{} of {} lines are read", read.len(), pushed.len());
}

#[cfg(unix)]
#[test]
fn without_a_stream_it_says_how_to_make_one() {
    let serving = Serving::start(&[]);
    assert!(serving.told.contains("create-stream"), "{}", serving.told);
    let ran = finish(pusher(&["shards", "--stream=orders"]).envs(serving.variables()));
    ran.assert_not_started(&["no stream orders"]);
    assert_eq!(serving.stop("INT"), Some(0));
}

#[test]
fn a_port_that_is_taken_is_named_with_what_to_do() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    run(&["local", "--port", &port]).assert_not_started(&[&port, "taken", "another port"]);
}

#[test]
fn a_stream_that_is_named_twice_is_wrong_usage() {
    let ran = run(&["local", "--port=0", "--stream=a", "--stream=a"]);
    assert_eq!((ran.code, ran.stderr.lines().count()), (Some(2), 1), "{}", ran.stderr);
    assert!(ran.stderr.contains("'a' is named twice"), "{}", ran.stderr);
}
