//! The programs that send standard input line by line.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeSet;
use std::io::Write;

use common::*;
use futures::executor::block_on;
use kinesis_batcher_local::hostile::{Fault, Operation, Rejection};
use kinesis_batcher_local::tls::{TestAuthority, TlsFront};

const PROGRAMS: [&str; 5] = [
    env!("CARGO_BIN_EXE_tokio_push"),
    env!("CARGO_BIN_EXE_async_std_push"),
    env!("CARGO_BIN_EXE_smol_push"),
    env!("CARGO_BIN_EXE_blocking_threads"),
    env!("CARGO_BIN_EXE_fire_and_forget"),
];

/// Those of them that print where each line was stored.
const TELLING: [&str; 3] =
    [env!("CARGO_BIN_EXE_tokio_push"), env!("CARGO_BIN_EXE_async_std_push"), env!("CARGO_BIN_EXE_smol_push")];

/// More than the buffers between the threads of `blocking_threads` hold, and several requests.
fn lines(count: usize) -> String {
    (0..count).map(|n| format!("line {n:05}\n")).collect()
}

#[test]
fn every_line_is_stored_once() {
    for path in PROGRAMS {
        let kinesis = kinesis();
        let input = lines(2_500);
        let output = run(pushing(path, &kinesis.endpoint_url(), STREAM), &input);
        assert_succeeded(&output);
        assert!(stored(&kinesis).iter().eq(input.lines()), "{path}: what is stored is what was sent");
        let shards: BTreeSet<_> = records(&kinesis).into_iter().map(|record| record.shard_id).collect();
        assert_eq!(shards.len(), 4, "{path}: lines are spread over all shards");
    }
}

#[test]
fn receipts_name_where_lines_are() {
    for path in TELLING {
        let kinesis = kinesis();
        let output = run(pushing(path, &kinesis.endpoint_url(), STREAM), &lines(50));
        assert_succeeded(&output);
        let told: BTreeSet<String> = text(&output.stdout).lines().map(str::to_owned).collect();
        let found = records(&kinesis).into_iter().map(|record| {
            let (key, shard, number) = (record.partition_key, record.shard_id, record.sequence_number);
            format!("{key} {shard} {number}")
        });
        assert_eq!(told, found.collect(), "{path}: a line's number is its key");
    }
}

#[test]
fn no_lines_are_no_error() {
    let kinesis = kinesis();
    for path in PROGRAMS {
        assert_succeeded(&run(pushing(path, &kinesis.endpoint_url(), STREAM), ""));
    }
    assert_eq!(stored(&kinesis), [""; 0]);
}

#[test]
fn an_empty_line_and_one_that_is_no_text_are_records_too() {
    for path in PROGRAMS {
        let kinesis = kinesis();
        let mut command = pushing(path, &kinesis.endpoint_url(), STREAM);
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), b"\n\xff\xfe\nno newline at the end").unwrap();
        command.stdin(std::fs::File::open(file.path()).unwrap());
        let output = command.output().unwrap();
        assert_succeeded(&output);
        let mut data: Vec<_> = records(&kinesis).into_iter().map(|record| record.data).collect();
        data.sort();
        assert_eq!(data, [b"".to_vec(), b"no newline at the end".to_vec(), b"\xff\xfe".to_vec()], "{path}");
    }
}

#[test]
fn a_stream_that_is_not_there_is_told_in_a_line() {
    let kinesis = kinesis();
    for path in PROGRAMS {
        let output = run(pushing(path, &kinesis.endpoint_url(), "elsewhere"), "unsent\n");
        assert_failed_saying(&output, "elsewhere");
    }
}

#[test]
fn a_line_that_is_too_large_is_told_and_delays_no_other() {
    for path in PROGRAMS {
        let kinesis = kinesis();
        let input = format!("first\n{}\nlast\n", "x".repeat((1 << 20) + 1));
        let output = run(pushing(path, &kinesis.endpoint_url(), STREAM), &input);
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{path}: one line is missing: {told}");
        assert!(told.contains("line 2: "), "{path}: it is named: {told}");
        assert_eq!(stored(&kinesis), ["first", "last"], "{path}");
    }
}

#[test]
fn what_was_not_delivered_comes_out_whole() {
    let hostile = hostile();
    hostile.poison("bad");
    let command = pushing(env!("CARGO_BIN_EXE_fire_and_forget"), &hostile.endpoint_url(), "hostile");
    let output = run(command, "good 1\nbad 1\ngood 2\nbad 2\n");
    assert_eq!(output.status.code(), Some(1), "two lines are missing");
    let mut undelivered: Vec<_> = text(&output.stdout).lines().collect();
    undelivered.sort_unstable();
    assert_eq!(undelivered, ["bad 1", "bad 2"]);
    assert_eq!(hostile.stored().len(), 2, "the others are stored");
}

#[test]
fn threads_without_async_reach_kinesis_over_tls() {
    let kinesis = kinesis();
    let authority = TestAuthority::new();
    let front = TlsFront::start(kinesis.address(), &authority, "localhost").unwrap();
    let certificates = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(certificates.path(), authority.pem()).unwrap();
    let command = || pushing(env!("CARGO_BIN_EXE_blocking_threads"), &front.endpoint_url(), STREAM);

    let mut trusting = command();
    trusting.env("SSL_CERT_FILE", certificates.path());
    assert_succeeded(&run(trusting, "secret\n"));
    assert_eq!(stored(&kinesis), ["secret"]);

    let output = run(command(), "unsent\n");
    assert_failed_saying(&output, "ertificate");
}

#[test]
fn threads_without_async_follow_a_stream_that_splits_and_outlive_failures() {
    let hostile = hostile();
    hostile.next_put(Fault::ResetBeforeStoring);
    hostile.next_put(Fault::Reject(Rejection::internal_failure()));
    let [lower, upper] = {
        let mut command = pushing(env!("CARGO_BIN_EXE_blocking_threads"), &hostile.endpoint_url(), "hostile");
        let mut child = Running(command.spawn().unwrap());
        let (mut stdin, _stdout) = child.ends();
        stdin.write_all(lines(100).as_bytes()).unwrap();
        block_on(hostile.wait_until(|seen| seen.stored().len() >= 100)).unwrap();
        let children = hostile.split("shardId-000000000000").unwrap();
        stdin.write_all(lines(100).as_bytes()).unwrap();
        block_on(hostile.wait_until(|seen| seen.requests(Operation::ListShards) == 2)).unwrap();
        drop(stdin);
        assert!(child.0.wait().unwrap().success(), "every line was delivered");
        children
    };
    let shards: BTreeSet<_> = hostile.stored().into_iter().map(|record| record.shard_id).collect();
    assert!(shards.contains(&*lower) && shards.contains(&*upper), "{shards:?} has both children");
    assert!(hostile.stored().len() >= 200, "nothing is lost");
}
