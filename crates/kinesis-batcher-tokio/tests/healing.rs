//! Errors that heal: a clock that steps, keys that are rotated, a stream that is away, bodies that are too large. Nothing is
//! lost (S-36, S-38, S-41, S-42, S-47).
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use aws_credential_types::provider::future::ProvideCredentials as CredentialsFuture;
use common::*;
use kinesis_batcher_local::hostile::{Fault, HostileKinesis, Operation, Rejection};
use kinesis_batcher_tokio::{Credentials, FailureReason, Producer, ProvideCredentials, Record};

/// Sends records until `disturb` has done its work and all are delivered; checks that each is stored, and doubled only
/// where its receipt says so.
async fn deliver_through(
    kinesis: &HostileKinesis,
    producer: &Producer,
    name: &str,
    count: usize,
    disturb: impl AsyncFnOnce(),
) {
    let sending = async {
        let mut deliveries = Vec::with_capacity(count);
        for number in 0..count {
            let data = format!("{name}-{number}");
            deliveries.push((data.clone(), producer.send(record(&data)).await.unwrap()));
        }
        let mut outcomes = Outcomes::new();
        for (data, delivery) in deliveries {
            outcomes.insert(data, delivery.await);
        }
        outcomes
    };
    let (outcomes, ()) = tokio::join!(sending, disturb());
    assert_eq!(outcomes.len(), count);
    assert_all_delivered(&outcomes);
    assert_nothing_lost(&outcomes, kinesis);
    assert_eq!(possible_duplicates(&outcomes), 0, "a request that is refused stores nothing");
    assert_eq!(producer.hold(), None);
}

/// Lets a producer run until so many requests have reached the server.
async fn after_requests(kinesis: &HostileKinesis, requests: u64) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while kinesis.requests(Operation::PutRecords) < requests {
        assert!(Instant::now() < deadline, "the producer sends nothing");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn a_clock_that_steps_by_twenty_minutes_either_way_loses_nothing() {
    let kinesis = hostile();
    kinesis.check_signature_times();
    let producer = producer(&kinesis).await;
    let refused = || producer.stats().requests_credentials;
    deliver_through(&kinesis, &producer, "steps", 40_000, async || {
        after_requests(&kinesis, 10).await;
        kinesis.advance_clock(Duration::from_secs(20 * 60));
        after_requests(&kinesis, 40).await;
        kinesis.set_clock_back(Duration::from_secs(40 * 60));
    })
    .await;
    let before = refused();
    deliver_through(&kinesis, &producer, "after", 1_000, async || ()).await;
    assert!(before > 0 && refused() == before, "the corrected clock is kept");
}

#[tokio::test]
async fn a_clock_that_is_wrong_from_the_start_does_not_keep_a_producer_from_connecting() {
    let kinesis = hostile();
    kinesis.check_signature_times();
    kinesis.advance_clock(Duration::from_secs(3_600));
    let producer = producer(&kinesis).await;
    deliver_through(&kinesis, &producer, "wrong", 100, async || ()).await;
}

/// A key that is rotated: whoever asks gets the present one, which does not say when it expires.
#[derive(Clone, Debug)]
struct Rotated(Arc<Mutex<String>>);

impl ProvideCredentials for Rotated {
    fn provide_credentials<'a>(&'a self) -> CredentialsFuture<'a>
    where
        Self: 'a,
    {
        let key = self.0.lock().unwrap().clone();
        CredentialsFuture::ready(Ok(Credentials::new(key, "secret", None, None, "rotated")))
    }
}

#[tokio::test]
async fn keys_that_are_rotated_under_load_lose_nothing() {
    for (number, refusal) in [
        Rejection::unrecognized_client(),
        Rejection::new(403, "InvalidClientTokenId", "The security token included in the request is invalid."),
        Rejection::new(403, "SignatureDoesNotMatch", "The request signature we calculated does not match."),
        Rejection::expired_token(),
    ]
    .into_iter()
    .enumerate()
    {
        let kinesis = hostile();
        let key = Rotated(Arc::new(Mutex::new("OLD".to_owned())));
        let settings = builder(&kinesis.endpoint_url(), STREAM).credentials(key.clone());
        let producer = settings.connect().await.unwrap();
        deliver_through(&kinesis, &producer, "rotated", 10_000, async || {
            after_requests(&kinesis, 5).await;
            // The old key may be refused before the new one is there.
            kinesis.refuse_access_key_id("OLD", refusal.clone());
            tokio::time::sleep(Duration::from_millis(100 * number as u64)).await;
            *key.0.lock().unwrap() = "NEW".to_owned();
        })
        .await;
    }
}

#[tokio::test]
async fn a_stream_that_is_away_for_seconds_loses_nothing_and_costs_few_requests() {
    for refusal in [
        Rejection::resource_not_found(),
        Rejection::access_denied(),
        Rejection::kms_access_denied(),
        Rejection::redirect(307, "https://kinesis.eu-west-2.amazonaws.com/"),
        Rejection::new(403, "", ""),
        Rejection::new(404, "", ""),
    ] {
        let kinesis = hostile();
        let producer = producer(&kinesis).await;
        let code = refusal.code.clone();
        deliver_through(&kinesis, &producer, "away", 20_000, async || {
            after_requests(&kinesis, 4).await;
            kinesis.every(Operation::PutRecords, Fault::Reject(refusal));
            let mut hold = producer.hold();
            let deadline = Instant::now() + Duration::from_secs(10);
            while hold.is_none() {
                assert!(Instant::now() < deadline, "it does not hold");
                tokio::time::sleep(Duration::from_millis(1)).await;
                hold = producer.hold();
            }
            let error = hold.unwrap().error;
            assert!(
                code.is_empty() || *error.code() == kinesis_batcher_tokio::ErrorCode::new(&code),
                "{error}"
            );
            assert!(error.request_id().is_some(), "AWS's support asks for it: {error}");
            let before = kinesis.requests(Operation::PutRecords);
            tokio::time::sleep(Duration::from_secs(2)).await;
            let probes = kinesis.requests(Operation::PutRecords) - before;
            // Sixteen were in flight when the first was refused.
            assert!(probes <= 24, "{probes} requests in two seconds");
            kinesis.calm();
        })
        .await;
    }
}

#[tokio::test]
async fn bodies_of_at_most_twenty_thousand_bytes_are_enough() {
    let kinesis = hostile();
    kinesis.limit_bodies(20_000);
    let producer = producer(&kinesis).await;
    deliver_through(&kinesis, &producer, "small", 5_000, async || ()).await;
    let too_large = Record::new("k", vec![b'.'; 30_000]).unwrap();
    let error = producer.send(too_large).await.unwrap().await.unwrap_err();
    let FailureReason::Rejected(cause) = &error.failure().reason else { panic!("{error}") };
    assert!(cause.to_string().contains("413"), "{cause}");
}

#[tokio::test]
async fn a_refused_connection_names_the_endpoint_and_the_cause() {
    let kinesis = hostile();
    let endpoint = kinesis.address().to_string();
    let producer = producer(&kinesis).await;
    drop(kinesis);
    let delivery = producer.send(record("held")).await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    let error = loop {
        if let Some(error) = producer.snapshot().last_error {
            break error;
        }
        assert!(Instant::now() < deadline, "nothing failed");
        tokio::time::sleep(Duration::from_millis(1)).await;
    };
    assert_eq!(error.to_string(), format!("NotSent: {endpoint}: connection refused"));
    drop(delivery);
}
