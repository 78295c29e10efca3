//! One fault after the other.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use kinesis_batcher_local::hostile::{Entries, EntryError, Fault, Observed, Rejection};

use super::{KEYS, outcomes, put, records, start_default};

const THROTTLED: &str = "ProvisionedThroughputExceededException";

#[test]
fn without_faults_everything_is_stored_and_answered() {
    let (kinesis, client) = start_default();
    let reply = put(&client, 8);
    assert_eq!(outcomes(&reply), ["stored"; 8]);
    let stored = kinesis.stored();
    for (entry, record) in reply["Records"].as_array().unwrap().iter().zip(&stored) {
        assert_eq!(entry["ShardId"], record.shard_id.as_str());
        assert_eq!(entry["SequenceNumber"], record.sequence_number.as_str());
        assert_eq!(record.sequence_number.len(), 56, "as long as a real one");
    }
    assert_eq!(stored.iter().map(|record| record.partition_key.as_str()).collect::<Vec<_>>(), KEYS);
    assert!(stored.iter().all(|record| record.data == b"payload" && record.request_index == 0));
}

#[test]
fn selected_entries_fail_and_the_rest_is_stored() {
    let (kinesis, client) = start_default();
    for (entries, code, failed) in [
        (Entries::First(2), EntryError::throttled(), vec![0, 1]),
        (Entries::EveryNth(3), EntryError::internal_failure(), vec![0, 3, 6]),
        (Entries::At(vec![1, 7]), EntryError::kms_access_denied(), vec![1, 7]),
        (Entries::OfKey("c".to_owned()), EntryError::kms_throttling(), vec![2]),
        (Entries::All, EntryError::new("BrandNewException", "unheard of"), (0..8).collect()),
    ] {
        let before = kinesis.stored().len();
        kinesis.next_put(Fault::FailEntries(entries.clone(), code.clone()));
        let reply = put(&client, 8);
        for (position, outcome) in outcomes(&reply).into_iter().enumerate() {
            let expected = if failed.contains(&position) { code.code.as_str() } else { "stored" };
            assert_eq!(outcome, expected, "entry {position} under {entries:?}");
        }
        assert_eq!(reply["FailedRecordCount"], failed.len());
        assert_eq!(kinesis.stored().len() - before, 8 - failed.len(), "what failed was not stored");
    }
    assert_eq!(outcomes(&put(&client, 8)), ["stored"; 8], "a fault strikes once");
}

#[test]
fn one_shard_can_fail_alone() {
    let (kinesis, client) = start_default();
    let hot = put(&client, 1)["Records"][0]["ShardId"].as_str().unwrap().to_owned();
    kinesis.next_put(Fault::FailEntries(Entries::OfShard(hot.clone()), EntryError::throttled()));
    let healthy = outcomes(&put(&client, 8)).into_iter().filter(|outcome| *outcome == "stored").count();
    assert!((1..8).contains(&healthy), "the keys spread over shards");
    let later = kinesis.inspect(|seen| {
        seen.stored().iter().filter(|record| record.request_index == 1 && record.shard_id == hot).count()
    });
    assert_eq!(later, 0, "nothing of the failing shard was stored");
}

#[test]
fn entries_of_one_request_fail_in_several_ways() {
    let (kinesis, client) = start_default();
    kinesis.next_put(Fault::FailEachOf(vec![
        (Entries::At(vec![1]), EntryError::internal_failure()),
        (Entries::First(2), EntryError::throttled()),
    ]));
    assert_eq!(outcomes(&put(&client, 3)), [THROTTLED, "InternalFailure", "stored"]);
}

#[test]
fn counts_of_failures_lie_both_ways() {
    let (kinesis, client) = start_default();
    kinesis.next_put(Fault::ClaimFailures(3));
    let reply = put(&client, 4);
    assert_eq!(reply["FailedRecordCount"], 3);
    assert_eq!(outcomes(&reply), ["stored"; 4]);

    kinesis.next_put(Fault::FailEntriesUncounted(Entries::First(1), EntryError::throttled()));
    let reply = put(&client, 2);
    assert_eq!(reply["FailedRecordCount"], 0);
    assert_eq!(outcomes(&reply), [THROTTLED, "stored"]);
    assert_eq!(kinesis.stored().len(), 5, "the code tells the truth, not the count");
}

#[test]
fn replies_are_too_short_too_long_blank_or_empty_though_everything_was_stored() {
    let (kinesis, client) = start_default();
    kinesis.next_put(Fault::FewerEntries(2));
    assert_eq!(outcomes(&put(&client, 5)).len(), 3);
    kinesis.next_put(Fault::MoreEntries(2));
    assert_eq!(outcomes(&put(&client, 5)).len(), 7);
    kinesis.next_put(Fault::BlankEntries(Entries::At(vec![1])));
    assert_eq!(outcomes(&put(&client, 3)), ["stored", "blank", "stored"]);
    kinesis.next_put(Fault::EmptyReply);
    let reply = client.put_records("hostile", &records(2)).unwrap();
    assert_eq!((reply.status, reply.body.len()), (200, 0));
    assert_eq!(kinesis.stored().len(), 15, "every record was stored all the same");
}

#[test]
fn a_rejection_is_worded_as_the_service_does() {
    let (kinesis, client) = start_default();
    for (rejection, status, code) in [
        (Rejection::throughput_exceeded(), 400, THROTTLED),
        (Rejection::limit_exceeded(), 400, "LimitExceededException"),
        (Rejection::throttling(), 400, "ThrottlingException"),
        (Rejection::internal_failure(), 500, "InternalFailure"),
        (Rejection::expired_token(), 400, "ExpiredTokenException"),
        (Rejection::access_denied(), 400, "AccessDeniedException"),
        (Rejection::resource_not_found(), 400, "ResourceNotFoundException"),
        (Rejection::validation("no"), 400, "ValidationException"),
        (Rejection::kms_access_denied(), 400, "KMSAccessDeniedException"),
        (Rejection::new(418, "TeapotException", "short and stout"), 418, "TeapotException"),
    ] {
        kinesis.next_put(Fault::Reject(rejection));
        let reply = client.put_records("hostile", &records(2)).unwrap();
        assert_eq!(reply.status, status, "{code}");
        assert_eq!(reply.header("x-amzn-errortype"), Some(code));
        assert_eq!(reply.error_code().as_deref(), Some(code));
        assert!(reply.json()["message"].is_string(), "{code} has a message");
    }
    assert_eq!(kinesis.stored().len(), 0, "a rejected call stores nothing");
    assert_eq!(kinesis.put_requests().len(), 10, "but it is counted");
}

#[test]
fn a_load_balancer_answers_in_html() {
    let (kinesis, client) = start_default();
    kinesis.next_put(Fault::Reject(Rejection::service_unavailable()));
    let reply = client.put_records("hostile", &records(1)).unwrap();
    assert_eq!(reply.status, 503);
    assert_eq!(reply.header("content-type"), Some("text/html"));
    assert_eq!(reply.header("x-amzn-errortype"), None);
    assert!(reply.body.starts_with(b"<html>"));
}

#[test]
fn a_reset_before_storing_stores_nothing_and_one_after_stores_everything() {
    let (kinesis, client) = start_default();
    for (fault, stored) in [(Fault::ResetBeforeStoring, 0), (Fault::ResetAfterStoring, 3)] {
        kinesis.next_put(fault.clone());
        let error = client.put_records("hostile", &records(3)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{fault:?} is a TCP reset and no mere close");
        assert_eq!(kinesis.stored().len(), stored, "{fault:?}");
    }
}

#[test]
fn a_cut_off_reply_ends_in_the_middle_of_its_body() {
    let (kinesis, client) = start_default();
    kinesis.next_put(Fault::CutOffReply);
    let mut connection = client.connect().unwrap();
    let body = br#"{"StreamName":"hostile","Records":[{"Data":"YQ==","PartitionKey":"a"}]}"#;
    client.send(&mut connection, "PutRecords", body).unwrap();
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut connection, &mut bytes).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let length: usize = length.parse().unwrap();
    assert!(head.starts_with("HTTP/1.1 200"));
    assert_eq!(body.len(), length / 2, "half of what was announced");
    assert_eq!(kinesis.stored().len(), 1);
}

#[test]
fn a_slow_reply_is_stored_at_once_and_a_delayed_call_is_not() {
    let (kinesis, client) = start_default();
    let delay = Duration::from_millis(120);
    for fault in [Fault::SlowReply(delay), Fault::None.after(delay)] {
        kinesis.next_put(fault.clone());
        let start = Instant::now();
        assert_eq!(outcomes(&put(&client, 1)), ["stored"]);
        assert!(start.elapsed() >= delay, "{fault:?} answered after {:?}", start.elapsed());
    }
    kinesis.next_put(Fault::Reject(Rejection::internal_failure()).after(delay / 2).after(delay / 2));
    let start = Instant::now();
    assert_eq!(client.put_records("hostile", &records(1)).unwrap().status, 500);
    assert!(start.elapsed() >= delay, "delays add up");
}

#[tokio::test]
async fn a_delayed_call_is_stored_even_if_the_client_has_hung_up() {
    let (kinesis, client) = start_default();
    let impatient = client.clone().with_timeout(Duration::from_millis(20));
    kinesis.next_put(Fault::None.after(Duration::from_millis(300)));
    let error = impatient.put_records("hostile", &records(1)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut, "the client has closed its connection before the reply");
    kinesis.wait_until(|seen| seen.stored().len() == 1).await.unwrap();
}

#[tokio::test]
async fn a_call_hangs_until_it_is_released() {
    let (kinesis, client) = start_default();
    for (fault, stored_before, stored_after) in
        [(Fault::HangBeforeStoring, 0, 1), (Fault::HangAfterStoring, 2, 2)]
    {
        kinesis.next_put(fault.clone());
        let hanging = std::thread::spawn({
            let client = client.clone();
            move || put(&client, 1)
        });
        kinesis.wait_until(|seen| seen.held() == 1).await.unwrap();
        assert_eq!(kinesis.stored().len(), stored_before, "{fault:?} before its release");
        assert!(!hanging.is_finished(), "{fault:?} has answered");
        kinesis.release();
        assert_eq!(outcomes(&hanging.join().unwrap()), ["stored"]);
        assert_eq!(kinesis.stored().len(), stored_after, "{fault:?} after its release");
        kinesis.wait_until(|seen| seen.held() == 0 && seen.puts_in_flight() == 0).await.unwrap();
    }
}

#[tokio::test]
async fn a_client_that_hangs_up_ends_the_hanging() {
    let (kinesis, client) = start_default();
    let impatient = client.with_timeout(Duration::from_millis(20));
    kinesis.next_put(Fault::HangBeforeStoring);
    kinesis.next_put(Fault::HangAfterStoring);
    for stored in [0, 1] {
        let error = impatient.put_records("hostile", &records(1)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        let arrived = stored + 1;
        kinesis
            .wait_until(|seen| seen.put_requests().len() == arrived && seen.puts_in_flight() == 0)
            .await
            .unwrap();
        assert_eq!(kinesis.inspect(Observed::held), 0, "nobody is held for a client that is gone");
        kinesis.release();
        assert_eq!(kinesis.stored().len(), stored, "a release has nobody left to serve");
    }
}
