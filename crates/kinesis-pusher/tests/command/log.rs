//! What is logged, and what is not.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kinesis_batcher_local::hostile::{Entries, EntryError, Fault, HostileKinesis, Operation};
use serde_json::Value;

use crate::run::{Files, Ran, finish, hostile, lines, push_to, pusher_with_credentials};

/// The lines of a log, each of them one event in JSON.
fn events(log: &str) -> Vec<Value> {
    let event = |line: &str| serde_json::from_str(line).unwrap_or_else(|_| panic!("a line is JSON: {line}"));
    log.lines().map(event).collect()
}

fn targets(log: &str) -> Vec<String> {
    events(log).iter().map(|event| event["target"].as_str().unwrap().to_owned()).collect()
}

/// A push of three lines to a service that throttles, loses a reply, hangs for a moment, and rejects one line.
fn eventful(kinesis: &HostileKinesis, input: &str, arguments: &[&str]) -> Ran {
    kinesis.next_put(Fault::FailEntries(Entries::All, EntryError::throttled()));
    kinesis.next_put(Fault::ResetAfterStoring);
    kinesis.next_put(Fault::SlowReply(Duration::from_millis(20)));
    kinesis.poison("poison");
    let arguments = [&[input, "--partition-key=const:MARKED-KEY"], arguments].concat();
    finish(
        push_to(&kinesis.endpoint_url(), "hostile", &arguments)
            .env("AWS_ACCESS_KEY_ID", "AKIDMARKED")
            .env("AWS_SECRET_ACCESS_KEY", "MARKED-SECRET")
            .env("AWS_SESSION_TOKEN", "MARKED-TOKEN"),
    )
}

#[test]
fn neither_data_nor_keys_nor_credentials_are_logged_however_much_is() {
    let data = "MARKED-DATA";
    let files = Files::new();
    let users = files.file("users", "MARKED-USER:MARKED-PASSWORD\n");
    let input = files.file("input", format!("{data}\npoison-{data}\n{data}\n"));
    for format in ["text", "json"] {
        let kinesis = hostile();
        let log_format = format!("--log-format={format}");
        let ran = eventful(&kinesis, &input, &["-vvvv", &log_format, "--listen=0", "--listen-auth", &users]);
        assert_eq!(ran.code, Some(1), "one line is rejected: {}", ran.stderr);
        let stored = kinesis.stored().iter().filter(|record| record.data == data.as_bytes()).count();
        assert!(stored >= 2, "the data went over the wire");
        for told in ["put_records", "requests fail", "aws_smithy_runtime", "DEBUG"] {
            assert!(ran.stderr.contains(told), "{told} is logged: {}", ran.stderr);
        }
        let bytes = format!("{:?}", data.as_bytes());
        for secret in
            ["MARKED", &STANDARD.encode(data), &STANDARD.encode("poison"), bytes.trim_matches(['[', ']'])]
        {
            let line = ran.stderr.lines().find(|line| line.contains(secret));
            assert_eq!(line, None, "{secret} is nobody's business");
        }
    }
}

#[test]
fn warnings_are_logged_unless_told_otherwise_and_each_v_adds_to_them() {
    let files = Files::new();
    let input = files.file("input", lines("line", 3));
    let log = |arguments: &[&str]| {
        let ran = eventful(&hostile(), &input, arguments);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        ran.stderr
    };
    let told = log(&[]);
    assert!(told.contains(" WARN kinesis_batcher_driver"), "{told}");
    assert!(told.contains("shards throttle") && !told.contains("put_records"), "{told}");
    assert!(!told.contains('\u{1b}'), "no colours in a file: {told}");
    let told = log(&["-v"]);
    assert!(!told.contains("put_records") && !told.contains("DEBUG"), "{told}");
    let told = log(&["-vv"]);
    assert!(told.contains("put_records{records=3"), "the span and its fields: {told}");
    assert!(told.contains("outcome=\"answered\"") && told.contains("outcome=\"unknown\""), "{told}");
    let chatter = told.lines().find(|line| line.contains("DEBUG aws_") || line.contains("DEBUG hyper"));
    assert_eq!(chatter, None, "libraries may warn and no more: {told}");
}

#[test]
fn a_log_in_json_is_json_from_its_first_line_to_its_last() {
    let files = Files::new();
    let input = files.file("input", lines("line", 3) + "poison\n");
    let kinesis = hostile();
    let arguments = ["--log-format=json", "-vv", "--listen=0", "--progress=always"];
    let ran = eventful(&kinesis, &input, &arguments);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    let events = events(&ran.stderr);
    let message = |event: &Value| event["fields"]["message"].as_str().unwrap_or_default().to_owned();
    for event in &events {
        for field in ["timestamp", "level", "target"] {
            assert!(event[field].is_string(), "{field} of {event}");
        }
    }
    let request =
        events.iter().find(|event| event["span"]["name"] == "put_records").expect("a request is told");
    assert!(request["span"]["records"].is_u64() && request["span"]["outcome"].is_string(), "{request}");
    for part in ["status page on", "4 read", "1 record was not delivered"] {
        let note = events.iter().find(|event| message(event).contains(part));
        let note = note.unwrap_or_else(|| panic!("{part} is said: {}", ran.stderr));
        assert_eq!(note["target"], "kinesis_pusher", "{note}");
    }
}

#[test]
fn what_keeps_the_command_from_starting_is_an_error_in_the_log() {
    let kinesis = hostile();
    let endpoint = kinesis.endpoint_url();
    for arguments in [
        &["push", "--stream=other", "--log-format=json"][..],
        &["--log-format=json", "read", "--stream=other"],
        &["shards", "--stream=other", "--log-format=json"],
    ] {
        let ran = finish(&mut pusher_with_credentials(&[arguments, &["--endpoint-url", &endpoint]].concat()));
        assert_eq!(ran.code, Some(3), "{}", ran.stderr);
        let events = events(&ran.stderr);
        assert_eq!((events.len(), &events[0]["level"]), (1, &Value::from("ERROR")), "{}", ran.stderr);
        assert!(events[0]["fields"]["message"].as_str().unwrap().contains("other"), "{}", ran.stderr);
    }
}

#[test]
fn a_subcommand_without_a_producer_has_a_log_too() {
    let kinesis = hostile();
    let endpoint = kinesis.endpoint_url();
    let arguments = ["shards", "--stream=hostile", "--endpoint-url", &endpoint, "-vvv", "--log-format=json"];
    let ran = finish(&mut pusher_with_credentials(&arguments));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let heard = targets(&ran.stderr).iter().any(|target| target.starts_with("aws_smithy_runtime"));
    assert!(heard, "{}", ran.stderr);
    assert!(kinesis.requests(Operation::ListShards) > 0, "there was something to tell");
}
