//! Errors that heal: a clock that steps, keys that are rotated, a stream that is away, bodies that are too large. Nothing is
//! lost (S-36, S-38, S-41, S-42, S-47).
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use aws_credential_types::provider::future::ProvideCredentials as CredentialsFuture;
use common::*;
use kinesis_batcher_local::hostile::{
    Distribution, Fault, HostileKinesis, HostileOptions, Operation, Rejection, StreamMode,
};
use kinesis_batcher_tokio::{Credentials, ErrorCode, FailureReason, Producer, ProvideCredentials, Record};

/// Sends records while `disturb` does its work; checks that each is delivered and stored, and none doubled.
async fn deliver_through(
    kinesis: &HostileKinesis,
    producer: &Producer,
    name: &str,
    count: usize,
    disturb: impl AsyncFnOnce(),
) {
    let (outcomes, ()) = tokio::join!(send(producer, name, count), disturb());
    assert_eq!(outcomes.len(), count);
    assert_all_delivered(&outcomes);
    assert_nothing_lost(&outcomes, kinesis);
    assert_eq!(possible_duplicates(&outcomes), 0, "a request that is refused stores nothing");
    assert_eq!(producer.hold(), None);
}

/// Waits until the server has received so many PutRecords requests since its start.
async fn after_requests(kinesis: &HostileKinesis, requests: u64) {
    until("the producer sends nothing", || {
        (kinesis.requests(Operation::PutRecords) >= requests).then_some(())
    })
    .await;
}

async fn until<T>(otherwise: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "{otherwise}");
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

/// Provides the present key, which does not say when it expires.
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
    for refusal in [
        Rejection::unrecognized_client(),
        Rejection::new(403, "InvalidClientTokenId", "The security token included in the request is invalid."),
        Rejection::new(403, "SignatureDoesNotMatch", "The request signature we calculated does not match."),
        Rejection::expired_token(),
    ] {
        for is_late in [false, true] {
            let kinesis = hostile();
            let key = Rotated(Arc::new(Mutex::new("OLD".to_owned())));
            let settings = builder(&kinesis.endpoint_url(), STREAM).credentials(key.clone());
            let producer = settings.connect().await.unwrap();
            deliver_through(&kinesis, &producer, "rotated", 10_000, async || {
                after_requests(&kinesis, 5).await;
                kinesis.refuse_access_key_id("OLD", refusal.clone());
                if is_late {
                    // The new key is there only after the old one has been refused several times.
                    let probes = || (producer.stats().requests_credentials >= 3).then_some(());
                    until("the old key is not tried again", probes).await;
                }
                *key.0.lock().unwrap() = "NEW".to_owned();
            })
            .await;
        }
    }
}

/// `KINESIS_BATCHER_AWAY_SECONDS=60` keeps the stream away for that long, under a load that fills the buffer.
#[tokio::test]
async fn a_stream_that_is_away_loses_nothing_and_costs_few_requests() {
    let asked_for = std::env::var("KINESIS_BATCHER_AWAY_SECONDS").ok();
    let (seconds, records) = match &asked_for {
        Some(seconds) => (seconds.parse().unwrap(), 200_000),
        None => (1, 20_000),
    };
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
        deliver_through(&kinesis, &producer, "away", records, async || {
            after_requests(&kinesis, 4).await;
            kinesis.every(Operation::PutRecords, Fault::Reject(refusal));
            let error = until("it does not hold", || producer.hold()).await.error;
            assert!(code.is_empty() || *error.code() == ErrorCode::new(&code), "{error}");
            assert!(error.request_id().is_some(), "AWS's support asks for it: {error}");
            let (since, before) = (Instant::now(), kinesis.requests(Operation::PutRecords));
            let is_over = || (since.elapsed() >= Duration::from_secs(seconds)).then_some(());
            until("time stands still", is_over).await;
            let requests = kinesis.requests(Operation::PutRecords) - before;
            // Sixteen were in flight when the first was refused; probes begin quickly and reach a second.
            let allowed = 16 + 8 + seconds;
            assert!(requests <= allowed, "{requests} requests in {:?}", since.elapsed());
            kinesis.calm();
        })
        .await;
    }
}

#[tokio::test]
async fn a_switch_to_auto_under_load_loses_nothing_that_the_kcl_reads() {
    let options = HostileOptions { stream_mode: StreamMode::OnDemand, ..HostileOptions::default() };
    let kinesis = HostileKinesis::start(options).unwrap();
    let config =
        eager().aggregation(true).aggregate_bytes_max(2_048).request_bytes_max(16_384).build().unwrap();
    let producer = builder(&kinesis.endpoint_url(), STREAM).config(config).connect().await.unwrap();
    let sending = send(&producer, "switched", 40_000);
    let switching = async {
        after_requests(&kinesis, 10).await;
        kinesis.set_distribution(Distribution::Auto);
    };
    let begin = Instant::now();
    let (outcomes, ()) = tokio::join!(sending, switching);
    assert!(begin.elapsed() < Duration::from_secs(20), "no aggregate waits for a map that explains it");
    assert_all_delivered(&outcomes);
    assert!(producer.stats().aggregation_suspended, "the switch is noticed");
    let (read, dropped) = read_as_the_kcl(&kinesis);
    for data in outcomes.keys() {
        assert!(read.contains(data.as_bytes()), "{data} is delivered and cannot be read");
    }
    assert!(dropped > 0, "some aggregates came after the switch, and the KCL drops them");
}

/// The records that the KCL hands out, and the number of aggregates that it drops (S-28).
fn read_as_the_kcl(kinesis: &HostileKinesis) -> (HashSet<Vec<u8>>, usize) {
    let shards = kinesis.shards();
    let range = |id: &str| {
        let shard = shards.iter().find(|shard| shard.shard_id == id).unwrap();
        shard.starting_hash_key..=shard.ending_hash_key
    };
    let (mut read, mut dropped) = (HashSet::new(), 0);
    for stored in kinesis.stored() {
        match kinesis_aggregation::decode(&stored.data).aggregate() {
            None => _ = read.insert(stored.data.clone()),
            Some(aggregate) if aggregate.is_kept_by_kcl(&range(&stored.shard_id)) => {
                read.extend(aggregate.iter().map(|member| member.data.to_vec()));
            }
            Some(_) => dropped += 1,
        }
    }
    (read, dropped)
}

#[tokio::test]
async fn bodies_of_at_most_twenty_thousand_bytes_are_enough() {
    // A service refuses what it has read; a proxy may refuse a body before it has read it.
    for limit in [HostileKinesis::limit_bodies, HostileKinesis::limit_bodies_unread] {
        let kinesis = hostile();
        limit(&kinesis, 20_000);
        let producer = producer(&kinesis).await;
        deliver_through(&kinesis, &producer, "small", 5_000, async || ()).await;
        let too_large = Record::new("k", vec![b'.'; 30_000]).unwrap();
        let error = producer.send(too_large).await.unwrap().await.unwrap_err();
        let FailureReason::Rejected(cause) = &error.failure().reason else { panic!("{error}") };
        assert!(cause.to_string().contains("413"), "{cause}");
    }
}

#[tokio::test]
async fn a_refused_connection_names_the_endpoint_and_the_cause() {
    let kinesis = hostile();
    let endpoint = kinesis.address().to_string();
    let producer = producer(&kinesis).await;
    drop(kinesis);
    let delivery = producer.send(record("held")).await.unwrap();
    let error = until("nothing failed", || producer.snapshot().last_error).await;
    assert_eq!(error.to_string(), format!("NotSent: {endpoint}: connection refused"));
    drop(delivery);
}
