//! The tests against servers once more, in CBOR; all servers but kinesalite, which stores something else than it was given.
#![allow(clippy::duplicate_mod, clippy::unwrap_used, reason = "each of them brings what they have in common")]

#[path = "embedded.rs"]
mod embedded;
#[path = "healing.rs"]
mod healing;
#[path = "hostile.rs"]
mod hostile;

mod common;

use common::*;
use kinesis_batcher_local::hostile::{HostileKinesis, Rejection};
use kinesis_batcher_local::node::{NodeKinesis, NodeServer};

fn requests_in_cbor(kinesis: &HostileKinesis) -> (usize, usize) {
    let requests = kinesis.put_requests();
    (requests.iter().filter(|request| request.is_cbor).count(), requests.len())
}

#[tokio::test]
async fn all_requests_but_the_first_are_in_cbor() {
    let kinesis = hostile();
    let producer = producer(&kinesis).await;
    for round in 0..5 {
        assert_all_delivered(&send(&producer, &format!("round-{round}"), 100).await);
    }
    let (in_cbor, all) = requests_in_cbor(&kinesis);
    assert!(in_cbor >= 4 && all > in_cbor, "{in_cbor} of {all} requests are in CBOR");
    assert_eq!(kinesis.stored().len(), 500);
}

#[tokio::test]
async fn an_endpoint_without_cbor_loses_nobody_anything() {
    for refusal in [
        Rejection::new(415, "", ""),
        Rejection::new(404, "UnknownOperationException", ""),
        Rejection::new(400, "SerializationException", "Not the JSON of PutRecords."),
        Rejection::validation("Value at 'records' failed to satisfy constraint: Member must not be null"),
    ] {
        let kinesis = hostile();
        kinesis.refuse_cbor(refusal.clone());
        let producer = producer(&kinesis).await;
        for round in 0..5 {
            let outcomes = send(&producer, &format!("round-{round}"), 100).await;
            assert_all_delivered(&outcomes);
            assert_eq!(possible_duplicates(&outcomes), 0, "{refusal:?} stores nothing");
        }
        assert_eq!(requests_in_cbor(&kinesis).0, 1, "it was tried once with {refusal:?}");
        assert_eq!(kinesis.stored().len(), 500);
    }
}

#[tokio::test]
async fn an_endpoint_that_falls_over_cbor_costs_a_few_retries() {
    let kinesis = hostile();
    kinesis.refuse_cbor(Rejection::service_unavailable());
    let producer = producer(&kinesis).await;
    for round in 0..10 {
        assert_all_delivered(&send(&producer, &format!("round-{round}"), 50).await);
    }
    assert_eq!(requests_in_cbor(&kinesis).0, 3);
}

#[tokio::test]
async fn kinesis_mock_stores_each_record_once() {
    let start = || {
        let kinesis = NodeKinesis::start_or_skip(NodeServer::KinesisMock).unwrap()?;
        kinesis.client().create_stream("clicks", 3).unwrap();
        Some(kinesis)
    };
    let Some(kinesis) = tokio::task::spawn_blocking(start).await.unwrap() else { return };
    let producer = builder(&kinesis.endpoint_url(), "clicks").connect().await.unwrap();
    let mut sent = Outcomes::new();
    for round in 0..3 {
        sent.extend(send(&producer, &format!("round-{round}"), 100).await);
    }
    assert_all_delivered(&sent);
    let stored = tokio::task::spawn_blocking(move || kinesis.client().stored_records("clicks").unwrap());
    let mut stored: Vec<_> =
        stored.await.unwrap().into_iter().map(|r| String::from_utf8(r.data).unwrap()).collect();
    let mut sent: Vec<_> = sent.into_keys().collect();
    stored.sort();
    sent.sort();
    assert_eq!(stored, sent);
}
