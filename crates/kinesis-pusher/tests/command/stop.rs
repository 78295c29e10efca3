//! Signals: what was read is delivered, handed back or failed, and never forgotten.

use std::io::Write;
use std::process::Stdio;
use std::time::Duration;

use kinesis_batcher_local::hostile::{Fault, Operation};

use crate::run::{Files, Running, hostile, letters, lines, number, push_to, wait_until};

#[test]
fn a_stop_in_the_middle_of_a_slow_service_leaves_sums_that_add_up() {
    let files = Files::new();
    let input = files.file("input", lines("line", 100_000));
    let dead = files.path("dead");
    let kinesis = hostile();
    kinesis.every(Operation::PutRecords, Fault::SlowReply(Duration::from_millis(20)));
    let arguments = [
        "--shard-limit-percent=off",
        "--in-flight=1",
        "--buffer-records=20000",
        "--drain-timeout=200ms",
        "--dead-letters",
        &dead,
        &input,
    ];
    let mut running = Running::start(&mut push_to(&kinesis.endpoint_url(), "hostile", &arguments));
    wait_until(&kinesis, |seen| seen.stored().len() >= 1_000);
    running.signal("TERM");
    running.wait_for_stderr("what was read is delivered for at most 200ms; a second signal stops at once");
    let ran = running.wait();
    assert_eq!(ran.code, Some(1), "something is left: {}", ran.stderr);
    let summary = ran.summary();
    let undelivered = number(&summary, "records_undelivered");
    assert!(number(&summary, "records_delivered") >= 500, "it was in the middle: {summary}");
    assert!(undelivered > 0, "200 ms are not enough for 20,000 records: {summary}");
    assert!(number(&summary, "records_read") < 100_000, "it did not read on: {summary}");
    assert_eq!(letters(&dead).len() as u64, undelivered, "what is left has its letters");
    assert!(ran.stderr.contains(&format!("stopped by a signal after {input}:")), "{}", ran.stderr);
    let stored = kinesis.stored().len() as u64;
    assert!(stored >= number(&summary, "records_delivered"), "nothing is claimed that is not there");
}

#[test]
fn a_second_signal_stops_at_once_and_hands_everything_back() {
    let files = Files::new();
    let input = files.file("input", lines("line", 1_000));
    let dead = files.path("dead");
    let kinesis = hostile();
    kinesis.every(Operation::PutRecords, Fault::HangAfterStoring);
    let arguments = ["--drain-timeout=1h", "--dead-letters", &dead, &input];
    let mut running = Running::start(&mut push_to(&kinesis.endpoint_url(), "hostile", &arguments));
    wait_until(&kinesis, |seen| seen.held() >= 1);
    running.signal("INT");
    running.wait_for_stderr("a second signal stops at once");
    running.signal("TERM");
    let ran = running.wait();
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    let summary = ran.summary();
    assert_eq!(number(&summary, "records_delivered"), 0);
    assert_eq!(number(&summary, "records_undelivered"), number(&summary, "records_read"));
    let letters = letters(&dead);
    let possibly =
        letters.iter().filter(|letter| letter["reason"].as_str().unwrap().contains("may have stored it"));
    assert!(possibly.count() >= 1, "what was on its way may be there, and its letter says so");
    kinesis.calm();
}

#[test]
fn a_stop_with_time_to_drain_delivers_what_was_read_from_a_pipe_and_is_a_success() {
    let kinesis = hostile();
    let mut running = Running::start(push_to(&kinesis.endpoint_url(), "hostile", &[]).stdin(Stdio::piped()));
    let mut stdin = running.take_stdin();
    stdin.write_all(b"one\ntwo\nthree\nhalf a li").unwrap();
    wait_until(&kinesis, |seen| seen.stored().len() == 3);
    running.signal("TERM");
    let ran = running.wait();
    assert_eq!(ran.code, Some(0), "to be stopped is how a run on a pipe ends: {}", ran.stderr);
    let summary = ran.summary();
    assert_eq!((number(&summary, "records_read"), number(&summary, "records_delivered")), (3, 3));
    drop(stdin);
}

/// A terminal that closes: both the kernel and the shell send SIGHUP.
#[test]
fn a_hang_up_delivers_what_was_read_and_its_echo_is_no_second_signal() {
    let kinesis = hostile();
    kinesis.every(Operation::PutRecords, Fault::HangBeforeStoring);
    let mut running = Running::start(push_to(&kinesis.endpoint_url(), "hostile", &[]).stdin(Stdio::piped()));
    let mut stdin = running.take_stdin();
    stdin.write_all(lines("line", 1_000).as_bytes()).unwrap();
    wait_until(&kinesis, |seen| seen.held() >= 1);
    running.signal("HUP");
    running.wait_for_stderr("what was read is delivered");
    running.signal("HUP");
    kinesis.calm();
    let ran = running.wait();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let summary = ran.summary();
    assert_eq!((number(&summary, "records_read"), number(&summary, "records_delivered")), (1_000, 1_000));
    drop(stdin);
}

#[cfg(target_os = "linux")]
#[test]
fn with_nohup_a_hang_up_is_ignored() {
    let kinesis = hostile();
    let push = push_to(&kinesis.endpoint_url(), "hostile", &[]);
    let mut command = std::process::Command::new("nohup");
    command.arg(push.get_program()).args(push.get_args());
    for (name, value) in push.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let mut running = Running::start(command.stdin(Stdio::piped()));
    let mut stdin = running.take_stdin();
    stdin.write_all(b"one\n").unwrap();
    wait_until(&kinesis, |seen| seen.stored().len() == 1);
    running.signal("HUP");
    stdin.write_all(b"two\n").unwrap();
    drop(stdin);
    let ran = running.wait();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(number(&ran.summary(), "records_delivered"), 2);
}

#[test]
fn a_stop_before_the_end_of_a_file_is_no_success_even_when_all_that_was_read_is_delivered() {
    let files = Files::new();
    let input = files.file("input", lines("line", 100_000));
    let kinesis = hostile();
    kinesis.every(Operation::PutRecords, Fault::SlowReply(Duration::from_millis(10)));
    let arguments = ["--shard-limit-percent=off", "--in-flight=1", "--buffer-records=1000", &input];
    let running = Running::start(&mut push_to(&kinesis.endpoint_url(), "hostile", &arguments));
    wait_until(&kinesis, |seen| seen.stored().len() >= 500);
    running.signal("TERM");
    let ran = running.wait();
    let summary = ran.summary();
    assert_eq!(number(&summary, "records_read"), number(&summary, "records_delivered"), "{summary}");
    assert!(number(&summary, "records_read") < 100_000, "{summary}");
    assert_eq!(ran.code, Some(1), "the rest of the file was asked for: {}", ran.stderr);
}

#[test]
fn a_stop_while_the_stream_does_not_answer_reads_and_sends_nothing() {
    let kinesis = hostile();
    kinesis.every(Operation::DescribeStreamSummary, Fault::HangBeforeStoring);
    let running = Running::start(&mut push_to(&kinesis.endpoint_url(), "hostile", &[]));
    wait_until(&kinesis, |seen| seen.held() == 1);
    running.signal("TERM");
    let ran = running.wait();
    assert_eq!(ran.code, Some(1));
    assert_eq!((ran.stdout.as_str(), ran.stderr.lines().count()), ("", 1), "{}", ran.stderr);
    assert!(ran.stderr.contains("nothing was read or sent"), "{}", ran.stderr);
    kinesis.calm();
}
