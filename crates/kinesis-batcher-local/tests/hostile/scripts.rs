//! How faults are chosen, and what can be asked afterwards.

use std::time::Duration;

use kinesis_batcher_local::hostile::{
    Entries, EntryError, Fault, HostileKinesis, HostileOptions, Mix, Operation, Rejection,
};
use kinesis_batcher_local::{RawClient, StartError};
use serde_json::json;

use super::{outcomes, put, records, start_default};

fn status(client: &RawClient) -> u16 {
    client.put_records("hostile", &records(1)).unwrap().status
}

#[test]
fn a_queue_goes_before_a_standing_fault_and_that_before_the_swarm() {
    let (kinesis, client) = start_default();
    kinesis.swarm(1, Mix { calls_throttled: 1_000, ..Mix::default() });
    assert_eq!(status(&client), 400, "the swarm");
    kinesis.every(Operation::PutRecords, Fault::Reject(Rejection::internal_failure()));
    assert_eq!(status(&client), 500, "the standing fault");
    kinesis.next_put(Fault::None);
    kinesis.next_put(Fault::Reject(Rejection::service_unavailable()));
    assert_eq!(
        [status(&client), status(&client), status(&client)],
        [200, 503, 500],
        "the queue, then the rest"
    );
    kinesis.every(Operation::PutRecords, Fault::None);
    assert_eq!(status(&client), 400, "the swarm is still there");
    kinesis.calm();
    assert_eq!(status(&client), 200, "all is well");
}

#[test]
#[should_panic(expected = "is about the entries of PutRecords")]
fn a_fault_about_entries_needs_an_operation_with_entries() {
    let (kinesis, _) = start_default();
    kinesis.next(Operation::ListShards, Fault::FewerEntries(1).after(Duration::from_millis(1)));
}

#[test]
fn the_same_seed_makes_the_same_calls_suffer_the_same() {
    let outcome = |client: &RawClient| match client.put_records("hostile", &records(20)) {
        Ok(reply) if reply.body.is_empty() => "empty".to_owned(),
        Ok(reply) if reply.status == 200 => format!("{:?}", outcomes(&reply.json())),
        Ok(reply) => format!("{} {:?}", reply.status, reply.error_code()),
        Err(error) => format!("{:?}", error.kind()),
    };
    let run = |seed| {
        let (kinesis, client) = start_default();
        kinesis.swarm(seed, Mix { slow_max: Duration::from_millis(1), ..Mix::stormy() });
        let outcomes: Vec<String> = (0..100).map(|_| outcome(&client)).collect();
        (outcomes, kinesis.stored().len())
    };
    let (first, stored) = run(5);
    assert_eq!((first.clone(), stored), run(5), "one seed, one course of events");
    let mut kinds = first;
    kinds.sort_unstable();
    kinds.dedup();
    assert!(kinds.len() > 10, "a storm of many kinds of weather, not {kinds:?}");
}

#[test]
fn a_poisoned_record_refuses_its_whole_request() {
    let (kinesis, client) = start_default();
    kinesis.poison(*b"\xffbad");
    let poisoned: [(&str, &[u8]); 3] = [("a", b"good"), ("b", b"\xffbad record"), ("c", b"good")];
    let reply = client.put_records("hostile", &poisoned).unwrap();
    assert_eq!(reply.error_code().as_deref(), Some("ValidationException"));
    assert_eq!(kinesis.stored().len(), 0);
    let innocent: [(&str, &[u8]); 2] = [("a", b"good"), ("b", b"not \xffbad at the front")];
    assert_eq!(client.put_records("hostile", &innocent).unwrap().status, 200);
}

#[test]
fn expired_credentials_are_refused_until_they_are_changed() {
    let (kinesis, client) = start_default();
    let old = client.clone().with_access_key_id("OLD");
    let new = client.with_access_key_id("NEW");
    assert_eq!(status(&old), 200);
    kinesis.expire_access_key_id("OLD");
    kinesis.next_put(Fault::Reject(Rejection::internal_failure()));
    let refused = old.put_records("hostile", &records(1)).unwrap();
    assert_eq!((refused.status, refused.error_code().as_deref()), (400, Some("ExpiredTokenException")));
    let list = old.call("ListShards", &json!({ "StreamName": "hostile" })).unwrap();
    assert_eq!(list.error_code().as_deref(), Some("ExpiredTokenException"), "whatever the operation");
    assert_eq!(
        [status(&new), status(&new)],
        [500, 200],
        "a scripted fault waits for a call that gets through"
    );
    kinesis.inspect(|seen| assert_eq!(seen.access_key_ids(), ["OLD", "NEW"]));
    let keys: Vec<_> =
        kinesis.put_requests().into_iter().filter_map(|request| request.access_key_id).collect();
    assert_eq!(keys, ["OLD", "OLD", "NEW", "NEW"]);
}

#[test]
fn requests_are_counted_and_measured() {
    let (kinesis, client) = start_default();
    kinesis.next_put(Fault::FailEntries(Entries::First(1), EntryError::throttled()));
    put(&client, 5);
    put(&client, 2);
    client.shards("hostile").unwrap();
    let requests = kinesis.put_requests();
    assert_eq!(requests.iter().map(|request| request.entries).collect::<Vec<_>>(), [5, 2]);
    assert_eq!(requests.iter().map(|request| request.entries_stored).collect::<Vec<_>>(), [4, 2]);
    assert_eq!(requests[0].record_bytes, 5 * "payload".len() + 5, "data and keys");
    assert!(requests[0].body_bytes > requests[0].record_bytes, "base64 and JSON take room");
    assert!(requests[0].arrived <= requests[1].arrived);
    assert_eq!(kinesis.requests(Operation::PutRecords), 2);
    assert_eq!(kinesis.requests(Operation::ListShards), 1);
    assert_eq!(kinesis.requests(Operation::DescribeStreamSummary), 0);
}

#[tokio::test]
async fn concurrent_requests_leave_a_high_water_mark() {
    let (kinesis, client) = start_default();
    kinesis.every(Operation::PutRecords, Fault::HangBeforeStoring);
    let threads: Vec<_> = (0..5)
        .map(|_| {
            let client = client.clone();
            std::thread::spawn(move || put(&client, 1))
        })
        .collect();
    kinesis.wait_until(|seen| seen.held() == 5).await.unwrap();
    kinesis.inspect(|seen| assert_eq!((seen.puts_in_flight(), seen.puts_in_flight_max()), (5, 5)));
    kinesis.calm();
    for thread in threads {
        thread.join().unwrap();
    }
    put(&client, 1);
    kinesis.wait_until(|seen| seen.puts_in_flight() == 0).await.unwrap();
    kinesis.inspect(|seen| assert_eq!(seen.puts_in_flight_max(), 5, "the mark stays"));
}

#[test]
fn a_connection_serves_many_calls() {
    let (kinesis, client) = start_default();
    let mut connection = client.connect().unwrap();
    for _ in 0..20 {
        client.send(&mut connection, "ListShards", br#"{"StreamName":"hostile"}"#).unwrap();
        assert_eq!(client.receive(&mut connection).unwrap().status, 200);
    }
    kinesis.inspect(|seen| assert_eq!(seen.connections(), 1));
}

#[test]
fn waiting_needs_no_particular_executor() {
    use std::task::{Context, Poll, Waker};
    let (kinesis, client) = start_default();
    let mut waiting = std::pin::pin!(kinesis.wait_until(|seen| seen.stored().len() == 1));
    let mut context = Context::from_waker(Waker::noop());
    assert!(waiting.as_mut().poll(&mut context).is_pending(), "nothing is stored yet");
    put(&client, 1);
    assert_eq!(waiting.as_mut().poll(&mut context), Poll::Ready(Ok(())), "polled by nobody in particular");
}

#[tokio::test]
async fn a_shutdown_releases_what_hangs_and_frees_the_port() {
    let (kinesis, client) = start_default();
    let port = kinesis.address().port();
    let taken = HostileKinesis::start(HostileOptions { port, ..HostileOptions::default() });
    assert!(matches!(taken, Err(StartError::PortTaken { port: named }) if named == port));
    kinesis.next_put(Fault::HangBeforeStoring);
    let hanging = std::thread::spawn({
        let client = client.clone();
        move || put(&client, 1)
    });
    kinesis.wait_until(|seen| seen.held() == 1).await.unwrap();
    kinesis.shutdown().await;
    assert_eq!(outcomes(&hanging.join().unwrap()), ["stored"], "what was under way was answered");
    assert!(client.connect().is_err(), "nobody listens any more");
}
