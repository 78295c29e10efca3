//! A stream that cannot be written to at all: nothing is lost, nothing more is read, and the cause is said once.

use std::io::Write;
use std::process::Stdio;

use kinesis_batcher_local::hostile::{
    Distribution, Entries, EntryError, Fault, HostileKinesis, HostileOptions, Operation, Rejection,
    StreamMode,
};

use crate::endless::Endless;
use crate::run::{Files, Running, finish, hostile, letters, lines, number, push_to, wait_until};

/// Waits for so many more PutRecords requests.
fn wait_for_requests(kinesis: &HostileKinesis, more: usize) {
    let before = kinesis.put_requests().len();
    wait_until(kinesis, |seen| seen.put_requests().len() >= before + more);
}

#[test]
fn an_endless_input_waits_while_the_stream_cannot_be_written_to_and_loses_nothing() {
    for (fault, cause, advice) in [
        (
            Fault::Reject(Rejection::resource_not_found()),
            "ResourceNotFoundException: Stream not found",
            "create the stream again",
        ),
        (
            Fault::Reject(Rejection::access_denied()),
            "AccessDeniedException: User is not authorized to perform this action",
            "kinesis:PutRecords",
        ),
        (
            Fault::Reject(Rejection::kms_access_denied()),
            "KMSAccessDeniedException: User is not authorized to use the key",
            "kms:GenerateDataKey",
        ),
        (
            Fault::FailEntries(Entries::All, EntryError::kms_access_denied()),
            "KMSAccessDeniedException: User is not authorized to use the key",
            "kms:GenerateDataKey",
        ),
    ] {
        let kinesis = hostile();
        (0..3).for_each(|_| kinesis.next_put(Fault::None));
        kinesis.every(Operation::PutRecords, fault);
        let arguments = ["--shard-limit-percent=off", "--linger=1ms"];
        let mut command = push_to(&kinesis.endpoint_url(), "hostile", &arguments);
        let mut running = Running::start(command.stdin(Stdio::piped()));
        let input = Endless::into(running.take_stdin());
        let line = running.wait_for_stderr("the stream cannot be written to since ");
        assert!(line.starts_with("warning: ") && line.contains(cause) && line.contains(advice), "{line}");
        let before = input.written();
        wait_for_requests(&kinesis, 3);
        // Of the 64 MiB of the buffer: what is on its way from the pipe to the buffer, no more.
        let more = input.written() - before;
        assert!(more < 2_000, "{more} KB were read meanwhile");
        kinesis.every(Operation::PutRecords, Fault::None);
        let line = running.wait_for_stderr("the stream can be written to again, after ");
        assert!(!line.contains("warning"), "{line}");
        let written = input.finish();
        let ran = running.wait();
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        assert_eq!(ran.stderr.matches("cannot be written to").count(), 1, "once: {}", ran.stderr);
        assert_eq!(ran.stderr.lines().count(), 2, "{}", ran.stderr);
        let summary = ran.summary();
        assert_eq!(number(&summary, "records_delivered"), written, "{summary}");
        assert_eq!(number(&summary, "holds"), 1, "{summary}");
        assert_eq!(kinesis.stored().len() as u64, written, "each is stored once");
    }
}

#[test]
fn in_an_outage_reading_stops_at_a_full_buffer_and_nothing_expires() {
    let kinesis = hostile();
    kinesis.every(Operation::PutRecords, Fault::Reject(Rejection::service_unavailable()));
    let arguments = ["--shard-limit-percent=off", "--linger=1ms", "--buffer-records=1000"];
    let mut command = push_to(&kinesis.endpoint_url(), "hostile", &arguments);
    let mut running = Running::start(command.stdin(Stdio::piped()));
    let input = Endless::into(running.take_stdin());
    wait_for_requests(&kinesis, 6);
    let written = input.written();
    assert!(written < 3_000, "{written} KB were read for a buffer of 1,000");
    kinesis.calm();
    wait_until(&kinesis, |seen| seen.stored().len() >= 1_000);
    let written = input.finish();
    let ran = running.wait();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let summary = ran.summary();
    assert_eq!(number(&summary, "records_delivered"), written, "{summary}");
    assert_eq!(number(&summary, "records_expired"), 0);
    assert_eq!(number(&summary, "holds"), 0, "an outage is another thing");
}

#[test]
fn a_signal_while_the_stream_cannot_be_written_to_hands_back_what_was_read() {
    let files = Files::new();
    let input = files.file("input", lines("line", 1_000));
    let dead = files.path("dead");
    let kinesis = hostile();
    kinesis.every(Operation::PutRecords, Fault::Reject(Rejection::access_denied()));
    let arguments = ["--drain-timeout=100ms", "--dead-letters", &dead, &input];
    let mut running = Running::start(&mut push_to(&kinesis.endpoint_url(), "hostile", &arguments));
    running.wait_for_stderr("the stream cannot be written to since ");
    running.signal("TERM");
    let ran = running.wait();
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    let summary = ran.summary();
    assert_eq!(number(&summary, "records_undelivered"), number(&summary, "records_read"), "{summary}");
    assert_eq!(letters(&dead).len() as u64, number(&summary, "records_read"));
}

#[test]
fn with_a_time_to_live_what_is_held_expires_and_the_run_ends() {
    let files = Files::new();
    let input = files.file("input", lines("line", 100));
    let kinesis = hostile();
    kinesis.every(Operation::PutRecords, Fault::Reject(Rejection::access_denied()));
    let arguments = ["--time-to-live=200ms", &input, &input];
    let ran = finish(&mut push_to(&kinesis.endpoint_url(), "hostile", &arguments));
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert_eq!(number(&ran.summary(), "records_expired"), 200, "{}", ran.stdout);
    assert!(ran.stderr.contains("AccessDeniedException"), "{}", ran.stderr);
}

#[test]
fn with_fail_fast_the_first_refusal_ends_the_reading() {
    let dead = Files::new();
    let dead = dead.path("dead");
    let kinesis = hostile();
    kinesis.every(Operation::PutRecords, Fault::Reject(Rejection::resource_not_found()));
    let arguments = ["--fail-fast", "--linger=1ms", "--dead-letters", &dead];
    let mut command = push_to(&kinesis.endpoint_url(), "hostile", &arguments);
    let mut running = Running::start(command.stdin(Stdio::piped()));
    let mut stdin = running.take_stdin();
    stdin.write_all(b"one\ntwo\n").unwrap();
    running.wait_for_stderr("ResourceNotFoundException: Stream not found.");
    let ran = running.wait();
    assert_eq!(ran.code, Some(1), "it does not wait for the end of the pipe: {}", ran.stderr);
    let summary = ran.summary();
    assert_eq!((number(&summary, "records_read"), number(&summary, "records_failed")), (2, 2));
    assert_eq!(letters(&dead).len(), 2);
    assert!(ran.stderr.contains("nothing more is read (--fail-fast)"), "{}", ran.stderr);
    drop(stdin);
}

#[test]
fn on_a_stream_that_distributes_records_itself_aggregation_is_off_and_that_is_said_once() {
    let files = Files::new();
    let input = files.file("input", lines("line", 100));
    let options = HostileOptions {
        stream_mode: StreamMode::OnDemand,
        distribution: Distribution::Auto,
        ..HostileOptions::default()
    };
    for (arguments, is_suspended) in [(&["--aggregate", &input][..], true), (&[&input], false)] {
        let kinesis = HostileKinesis::start(options.clone()).unwrap();
        let ran = finish(&mut push_to(&kinesis.endpoint_url(), "hostile", arguments));
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        assert_eq!(ran.stderr.lines().count(), usize::from(is_suspended), "{}", ran.stderr);
        assert_eq!(ran.stderr.starts_with("warning: the stream distributes records itself"), is_suspended);
        assert_eq!(ran.summary()["aggregation_suspended"], is_suspended);
        let mut stored: Vec<_> = kinesis.stored().into_iter().map(|record| record.data).collect();
        assert_eq!(stored.len(), 100);
        stored.retain(|data| !data.starts_with(b"line-"));
        assert_eq!(stored, Vec::<Vec<u8>>::new(), "each record is one of the input's");
    }
}

#[test]
fn a_refused_connection_is_logged_with_its_cause() {
    let kinesis = hostile();
    let mut command = push_to(&kinesis.endpoint_url(), "hostile", &["--linger=1ms"]);
    let mut running = Running::start(command.stdin(Stdio::piped()));
    let mut stdin = running.take_stdin();
    stdin.write_all(b"one\n").unwrap();
    wait_until(&kinesis, |seen| seen.stored().len() == 1);
    drop(kinesis);
    stdin.write_all(b"two\n").unwrap();
    let line = running.wait_for_stderr("onnection refused");
    assert!(line.contains(" WARN ") && line.contains("requests fail"), "{line}");
    running.signal("TERM");
    running.signal("INT");
    let ran = running.wait();
    assert_eq!(number(&ran.summary(), "records_delivered"), 1, "{}", ran.stderr);
}
