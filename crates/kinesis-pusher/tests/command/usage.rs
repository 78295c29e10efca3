//! What may be typed, and what is said to what may not.

use std::process::Stdio;

use crate::run::{pusher, run};

#[test]
fn help_and_version_are_no_errors_and_go_to_stdout() {
    for arguments in [
        &["--help"][..],
        &["push", "--help"],
        &["shards", "--help"],
        &["local", "--help"],
        &["simulate", "--help"],
        &["--version"],
    ] {
        let ran = run(arguments);
        assert_eq!(ran.code, Some(0), "{arguments:?}: {}", ran.stderr);
        assert!(!ran.stdout.is_empty() && ran.stderr.is_empty(), "{arguments:?} prints to stdout alone");
    }
    assert_eq!(run(&["--version"]).stdout, format!("kinesis-pusher {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn the_help_of_push_documents_every_flag_of_the_contract_with_its_default() {
    let help = run(&["push", "--help"]).stdout;
    for flag in [
        "--stream",
        "--stream-arn",
        "--local",
        "--endpoint-url",
        "--region",
        "--profile",
        "--format",
        "--partition-key",
        "--order",
        "--linger",
        "--in-flight",
        "--buffer-bytes",
        "--buffer-records",
        "--shard-limit-percent",
        "--time-to-live",
        "--attempts",
        "--on-bad-record",
        "--dead-letters",
        "--progress",
        "--summary",
        "--drain-timeout",
        "--request-bytes",
        "--adaptive-rates",
        "--listen",
        "--listen-auth",
        "--aggregate",
        "--fail-fast",
        "--connect-timeout",
        "--record-distribution",
        "--http-version",
    ] {
        let is_heading = |line: &str| line.trim_start().split([' ', '[']).next() == Some(flag);
        assert!(help.lines().any(is_heading), "{flag} is documented");
    }
    for default in [
        "[default: 100ms]",
        "[default: 16]",
        "[default: 64MiB]",
        "[default: 200000]",
        "[default: 100]",
        "[default: none]",
        "[default: 30s]",
        "[default: random]",
        "[default: lines]",
        "[default: fail]",
        "[default: auto]",
        "[default: text]",
    ] {
        assert!(help.contains(default), "{default} is documented:\n{help}");
    }
    assert!(help.contains("Examples:"), "examples are what most people look for");
}

#[test]
fn wrong_usage_is_one_line_that_names_the_flag_the_value_and_the_range() {
    let cases: &[(&[&str], &[&str])] = &[
        (&["push", "--local", "--linger", "2h"], &["'2h'", "--linger", "0 to 1 h"]),
        (&["push", "--local", "--linger", "100"], &["'100'", "--linger", "unit"]),
        (&["push", "--local", "--in-flight", "0"], &["'0'", "--in-flight", "1 to 10000"]),
        (&["push", "--local", "--buffer-bytes", "1B"], &["'1B'", "--buffer-bytes", "MiB"]),
        (&["push", "--local", "--buffer-bytes", "1"], &["'1'", "--buffer-bytes", "1024 to 1099511627776"]),
        (&["push", "--local", "--buffer-bytes", "64M"], &["'64M'", "--buffer-bytes", "MiB"]),
        (&["push", "--local", "--buffer-records", "0"], &["'0'", "--buffer-records", "1 to 100000000"]),
        (
            &["push", "--local", "--request-bytes", "11MiB"],
            &["'11MiB'", "--request-bytes", "1024 to 10485760"],
        ),
        (
            &["push", "--local", "--shard-limit-percent", "1001"],
            &["'1001'", "--shard-limit-percent", "1 to 1000", "off"],
        ),
        (
            &["push", "--local", "--shard-limit-percent", "none"],
            &["'none'", "--shard-limit-percent", "'off'"],
        ),
        (
            &["push", "--local", "--time-to-live", "0s"],
            &["'0s'", "--time-to-live", "1 ms or longer", "'none'"],
        ),
        (&["push", "--local", "--attempts", "0"], &["'0'", "--attempts", "1 or more", "'none'"]),
        (&["push", "--local", "--drain-timeout", "2d"], &["'2d'", "--drain-timeout", "0s to 1d"]),
        (&["push", "--local=0"], &["'0'", "--local", "1 to 1000"]),
        (&["push", "--local", "--format", "csv"], &["'csv'", "--format", "ndjson"]),
        (&["push", "--local", "--summary", "yaml"], &["'yaml'", "--summary", "json"]),
        (&["push", "--local", "--partition-key", "uuid"], &["'uuid'", "--partition-key", "const:TEXT"]),
        (&["push", "--local", "--partition-key", "regex:abc"], &["--partition-key", "no capture group"]),
        (&["push", "--local", "--partition-key", "regex:(abc"], &["--partition-key", "unclosed group"]),
        (&["push", "--local", "--partition-key", "json:id"], &["--partition-key", "begin with '/'"]),
        (&["push", "--local", "--partition-key", "const:"], &["--partition-key", "1 to 256 characters"]),
        (&["push", "--stream", "no spaces"], &["'no spaces'", "--stream", "1 to 128"]),
        (&["push", "--stream-arn", "orders"], &["'orders'", "--stream-arn", "arn:aws:kinesis:"]),
        (&["push", "--stream", "s", "--endpoint-url", "localhost:4567"], &["--endpoint-url", "http://"]),
        (&["push"], &["--stream", "--stream-arn", "--local"]),
        (
            &["push", "--stream", "s", "--stream-arn", "arn:aws:kinesis:r:123456789012:stream/s"],
            &["--stream-arn"],
        ),
        (&["push", "--local", "--endpoint-url", "http://h"], &["--local", "--endpoint-url"]),
        (&["push", "--local", "--strem", "x"], &["--strem", "--stream"]),
        (&["push", "--local", "--order", "line"], &["'line'", "--order", "partition-key"]),
        (
            &["push", "--local", "--order", "partition-key"],
            &["--order partition-key", "--partition-key random", "json:/customer/id"],
        ),
        (&["push", "--local", "--listen", "here"], &["'here'", "--listen", "9464", "0.0.0.0:9464"]),
        (&["push", "--local", "--listen-auth", "users"], &["--listen <ADDR>"]),
        (&["push", "--local", "-", "-"], &["'-'", "twice"]),
        (&["shards"], &["--stream", "--stream-arn"]),
        (&["shards", "--stream", "s", "--output", "xml"], &["'xml'", "--output", "json"]),
        (&["local", "--port", "70000"], &["'70000'", "--port", "65535"]),
        (&["local", "--shards", "0"], &["'0'", "--shards", "1 to 1000"]),
        (&["read"], &["--stream", "--stream-arn"]),
        (&["read", "--stream", "s", "--from", "at:noon"], &["'at:noon'", "--from", "at:", "trim-horizon"]),
        (&["read", "--stream", "s", "--limit", "0"], &["'0'", "--limit"]),
    ];
    for (arguments, wanted) in cases {
        let ran = run(arguments);
        assert_eq!(ran.code, Some(2), "{arguments:?} is wrong usage: {}", ran.stderr);
        assert_eq!(ran.stdout, "", "{arguments:?} leaves stdout alone");
        assert_eq!(ran.stderr.lines().count(), 1, "{arguments:?} gets one line: {}", ran.stderr);
        assert!(ran.stderr.starts_with("error: "), "{arguments:?}: {}", ran.stderr);
        for part in *wanted {
            assert!(ran.stderr.contains(part), "{arguments:?} is told of {part}: {}", ran.stderr);
        }
    }
}

#[test]
fn no_subcommand_shows_the_help_and_is_wrong_usage() {
    let ran = run::<&str>(&[]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("Examples:") && ran.stdout.is_empty(), "{}", ran.stderr);
}

#[test]
fn a_reader_of_the_help_that_goes_away_is_no_panic() {
    let mut child = pusher(&["push", "--help"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("the command ends");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}
