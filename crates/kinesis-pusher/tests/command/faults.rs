//! Services that fail: nothing is lost, and what may be doubled is said to be.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use kinesis_aggregation::{Decoded, decode};
use kinesis_batcher_local::hostile::{Entries, EntryError, Fault, HostileKinesis, Mix, Operation, Rejection};

use crate::run::{Files, Ran, Running, finish, hostile, letters, lines, number, push_to, wait_until};

fn push(kinesis: &HostileKinesis, arguments: &[&str]) -> Ran {
    finish(&mut push_to(&kinesis.endpoint_url(), "hostile", arguments))
}

/// How often each line is in the stream.
fn copies(kinesis: &HostileKinesis) -> HashMap<String, u64> {
    let mut copies = HashMap::new();
    for record in kinesis.stored() {
        *copies.entry(String::from_utf8(record.data).unwrap()).or_default() += 1;
    }
    copies
}

#[test]
fn what_fails_in_part_is_sent_again_and_only_that() {
    let files = Files::new();
    let input = files.file("input", lines("line", 300));
    let kinesis = hostile();
    kinesis.next_put(Fault::FailEntries(Entries::EveryNth(3), EntryError::throttled()));
    kinesis.next_put(Fault::FailEntries(Entries::First(5), EntryError::internal_failure()));
    let ran = push(&kinesis, &[&input]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let summary = ran.summary();
    assert_eq!(number(&summary, "records_delivered"), 300);
    assert!(number(&summary, "throttled") >= 100, "a third of them was throttled: {summary}");
    assert!(number(&summary, "records_retried") >= 100, "{summary}");
    assert_eq!(summary["records_recovered"], summary["records_retried"]);
    // S-49
    let doubtful = number(&summary, "records_possibly_duplicated");
    assert!((1..=5).contains(&doubtful), "only an internal failure leaves doubt: {doubtful}");
    let copies = copies(&kinesis);
    assert_eq!(copies.len(), 300);
    assert!(copies.values().all(|&copies| copies == 1), "what was stored was not sent again");
}

#[test]
fn an_outage_is_waited_for_and_costs_no_record() {
    let files = Files::new();
    let input = files.file("input", lines("line", 2_000));
    let kinesis = hostile();
    kinesis.every(Operation::PutRecords, Fault::Reject(Rejection::service_unavailable()));
    let running = Running::start(&mut push_to(&kinesis.endpoint_url(), "hostile", &[&input]));
    wait_until(&kinesis, |seen| seen.put_requests().len() >= 8);
    kinesis.calm();
    let ran = running.wait();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let summary = ran.summary();
    assert_eq!(number(&summary, "records_delivered"), 2_000);
    assert!(number(&summary, "records_recovered") > 0, "{summary}");
    assert_eq!(copies(&kinesis).len(), 2_000, "every line is there");
}

#[test]
fn what_may_be_doubled_is_said_to_be() {
    let files = Files::new();
    let input = files.file("input", lines("line", 50));
    let kinesis = hostile();
    kinesis.next_put(Fault::ResetAfterStoring);
    let ran = push(&kinesis, &[&input]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let doubled = copies(&kinesis).values().filter(|&&copies| copies > 1).count() as u64;
    assert!(doubled > 0, "the reply was lost and the records were not");
    assert!(number(&ran.summary(), "records_possibly_duplicated") >= doubled, "{}", ran.stdout);
}

#[test]
fn a_bit_of_everything_loses_nothing() {
    let files = Files::new();
    let input = files.file("input", lines("line", 3_000));
    let kinesis = hostile();
    kinesis.swarm(7, Mix::stormy());
    // Small requests, so that there are enough of them to suffer.
    let arguments = ["--request-bytes=4KiB", "--shard-limit-percent=off", &input];
    let ran = push(&kinesis, &arguments);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let summary = ran.summary();
    assert_eq!(number(&summary, "records_delivered"), 3_000);
    let copies = copies(&kinesis);
    assert_eq!(copies.len(), 3_000, "every line is there");
    let doubled = copies.values().filter(|&&copies| copies > 1).count() as u64;
    assert!(doubled <= number(&summary, "records_possibly_duplicated"), "{doubled} were doubled: {summary}");
}

/// The first copies of the lines `key-number`, in the order in which they were stored; of an aggregate, its members.
fn first_copies(kinesis: &HostileKinesis) -> Vec<(String, u64)> {
    let mut seen = HashSet::new();
    let mut lines = vec![];
    for record in kinesis.stored() {
        let texts: Vec<Vec<u8>> = match decode(&record.data) {
            Decoded::Aggregate(aggregate) => aggregate.iter().map(|member| member.data.to_vec()).collect(),
            _ => vec![record.data],
        };
        for text in texts {
            let text = String::from_utf8(text).unwrap();
            if seen.insert(text.clone()) {
                let (key, number) = text.split_once('-').unwrap();
                lines.push((key.to_owned(), number.parse().unwrap()));
            }
        }
    }
    lines
}

#[test]
fn with_order_lines_of_one_key_are_stored_in_the_order_of_the_file_whatever_fails() {
    for aggregate in [&[][..], &["--aggregate"]] {
        let files = Files::new();
        let text: String = (0..600).map(|number| format!("k{}-{number}\n", number * 7 % 30)).collect();
        let input = files.file("input", text);
        let kinesis = hostile();
        kinesis.swarm(7, Mix::stormy());
        // Small requests, so that there are enough of them to suffer.
        let arguments = [
            "--order=partition-key",
            "--partition-key=regex:^([^-]*)-",
            "--linger=5ms",
            "--request-bytes=1KiB",
            &input,
        ];
        let ran = push(&kinesis, &[&arguments[..], aggregate].concat());
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        let summary = ran.summary();
        assert_eq!(number(&summary, "records_delivered"), 600);
        assert!(number(&summary, "records_retried") > 10, "{summary}");
        let mut last = HashMap::new();
        let lines = first_copies(&kinesis);
        assert_eq!(lines.len(), 600);
        for (key, number) in lines {
            let before = last.insert(key.clone(), number);
            assert!(before < Some(number), "{key}-{number} is stored after {before:?}");
        }
    }
}

/// It makes no difference what is to be done about records that are found bad before they are sent.
#[test]
fn a_record_the_service_rejects_fails_alone_and_goes_to_the_dead_letters() {
    for on_bad_record in ["fail", "skip"] {
        let files = Files::new();
        let input = files.file("input", lines("good", 60) + &lines("poison", 2) + &lines("fine", 60));
        let dead = files.path("dead");
        let kinesis = hostile();
        kinesis.poison("poison");
        let ran = push(&kinesis, &["--on-bad-record", on_bad_record, "--dead-letters", &dead, &input]);
        assert_eq!(ran.code, Some(1), "{}", ran.stderr);
        let summary = ran.summary();
        assert_eq!((number(&summary, "records_delivered"), number(&summary, "records_failed")), (120, 2));
        assert_eq!(copies(&kinesis).len(), 120, "its neighbours are delivered");
        let mut letters = letters(&dead);
        letters.sort_by_key(|letter| letter["line"].as_u64());
        assert_eq!(letters.len(), 2);
        for (letter, (line, data)) in letters.iter().zip([(61, "cG9pc29uLTA="), (62, "cG9pc29uLTE=")]) {
            assert_eq!((letter["line"].as_u64(), letter["data_base64"].as_str()), (Some(line), Some(data)));
            assert_eq!(letter["file"], input.as_str());
            assert!(letter["attempts"].as_u64() >= Some(1), "it was sent: {letter}");
            assert!(letter["partition_key"].as_str().unwrap().len() == 36, "a UUID: {letter}");
            assert!(letter["reason"].as_str().unwrap().starts_with("rejected by the service"), "{letter}");
        }
        assert!(ran.stderr.contains("2 records were not delivered (2 rejected)"), "{}", ran.stderr);
        assert!(ran.stderr.contains(&format!("they are in '{dead}'")), "{}", ran.stderr);
    }
}

#[test]
fn records_that_outlive_their_time_expire_into_the_dead_letters() {
    let files = Files::new();
    let input = files.file("input", lines("line", 10));
    let dead = files.path("dead");
    let kinesis = hostile();
    kinesis.every(Operation::PutRecords, Fault::Reject(Rejection::throughput_exceeded()));
    let ran = push(&kinesis, &["--time-to-live=300ms", "--dead-letters", &dead, &input]);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    let summary = ran.summary();
    assert_eq!((number(&summary, "records_failed"), number(&summary, "records_expired")), (10, 10));
    let letters = letters(&dead);
    assert_eq!(letters.len(), 10);
    let reason = letters[0]["reason"].as_str().unwrap();
    assert!(reason.contains("time to live") && reason.contains("ProvisionedThroughputExceeded"), "{reason}");
    assert!(ran.stderr.contains("10 records were not delivered (10 expired)"), "{}", ran.stderr);
}

#[test]
fn a_record_is_sent_as_often_as_allowed_and_no_more() {
    let files = Files::new();
    let input = files.file("input", lines("line", 10));
    let dead = files.path("dead");
    let kinesis = hostile();
    kinesis.every(Operation::PutRecords, Fault::FailEntries(Entries::All, EntryError::internal_failure()));
    let ran = push(&kinesis, &["--attempts=2", "--dead-letters", &dead, &input]);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    let summary = ran.summary();
    assert_eq!((number(&summary, "records_failed"), number(&summary, "records_retried")), (10, 10));
    let letters = letters(&dead);
    assert!(letters.iter().all(|letter| letter["attempts"] == 2), "{letters:?}");
    let entries: usize = kinesis.put_requests().iter().map(|request| request.entries).sum();
    assert_eq!(entries, 20, "ten records were sent twice");
}

#[test]
fn with_fail_fast_a_stream_that_takes_nothing_fails_what_was_read() {
    let files = Files::new();
    let input = files.file("input", lines("line", 1_000));
    let kinesis = hostile();
    kinesis.every(Operation::PutRecords, Fault::Reject(Rejection::access_denied()));
    let ran = push(&kinesis, &["--fail-fast", &input]);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    let summary = ran.summary();
    assert_eq!((number(&summary, "records_failed"), number(&summary, "records_retried")), (1_000, 0));
    assert!(ran.stderr.contains("AccessDeniedException"), "the reason is said: {}", ran.stderr);
    assert!(ran.stderr.lines().count() < 20, "a flood is counted and not listed: {}", ran.stderr);
    assert!(ran.stderr.contains("kept nowhere (--dead-letters FILE would)"), "{}", ran.stderr);
}

#[test]
fn credentials_that_expire_are_asked_for_anew() {
    let files = Files::new();
    let input = files.file("input", lines("line", 100));
    let kinesis = hostile();
    kinesis.next_put(Fault::Reject(Rejection::expired_token()));
    let ran = push(&kinesis, &[&input]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(number(&ran.summary(), "records_delivered"), 100);
    assert_eq!(number(&ran.summary(), "records_possibly_duplicated"), 0);
}

#[test]
fn progress_is_a_line_a_second_where_there_is_no_terminal() {
    let files = Files::new();
    let input = files.file("input", lines("line", 10));
    let kinesis = hostile();
    kinesis.every(Operation::PutRecords, Fault::HangBeforeStoring);
    let arguments = ["--progress=always", &input];
    let mut running = Running::start(&mut push_to(&kinesis.endpoint_url(), "hostile", &arguments));
    running.wait_for_stderr("  0%  10 read, 0 delivered");
    kinesis.calm();
    let ran = running.wait();
    assert!(ran.stderr.ends_with("100%  10 read, 10 delivered\n"), "{}", ran.stderr);
    assert_eq!(ran.code, Some(0));
}

#[test]
fn time_spent_on_a_slow_service_is_in_the_summary() {
    let files = Files::new();
    let input = files.file("input", "x\n");
    let kinesis = hostile();
    kinesis.next_put(Fault::SlowReply(Duration::from_millis(300)));
    let summary = push(&kinesis, &[&input]).summary();
    let elapsed = summary["elapsed_seconds"].as_f64().unwrap();
    let per_second = summary["records_per_second"].as_f64().unwrap();
    assert!(elapsed >= 0.3, "{summary}");
    assert!((per_second * elapsed - 1.0).abs() < 0.01, "one record in that time: {summary}");
}
