//! Connecting: what is found out, and how failures read.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::{Duration, Instant};

use common::*;
use kinesis_batcher_local::hostile::{Fault, HostileKinesis, HostileOptions, Operation, Rejection};
use kinesis_batcher_tokio::{Config, ConnectError, Credentials, Record};

async fn error(kinesis: &HostileKinesis) -> ConnectError {
    let error = builder(&kinesis.endpoint_url(), STREAM).connect().await.unwrap_err();
    assert!(!error.to_string().contains('\n'), "{error:?} has more than one line");
    error
}

#[tokio::test]
async fn shards_are_listed_over_all_pages() {
    let options = HostileOptions { shards: 2_500, ..HostileOptions::default() };
    let kinesis = HostileKinesis::start(options).unwrap();
    let producer = producer(&kinesis).await;
    assert_eq!(producer.shard_stats().len(), 2_500);
    assert_eq!(kinesis.requests(Operation::ListShards), 3);
}

#[tokio::test]
async fn closed_shards_are_left_out() {
    let kinesis = hostile();
    kinesis.split("shardId-000000000000").unwrap();
    assert_eq!(producer(&kinesis).await.stats().open_shards, 5);
}

#[tokio::test]
async fn a_stream_is_found_by_its_arn() {
    let kinesis = hostile();
    let arn = kinesis.stream_arn();
    let producer = builder(&kinesis.endpoint_url(), &arn).connect().await.unwrap();
    assert_all_delivered(&send(&producer, "by-arn", 10).await);
    assert_eq!(kinesis.stored().len(), 10);
}

#[tokio::test]
async fn without_permission_to_list_shards_their_number_will_do() {
    let kinesis = hostile();
    kinesis.every(Operation::ListShards, Fault::Reject(Rejection::access_denied()));
    let producer = producer(&kinesis).await;
    assert_eq!((producer.stats().open_shards, producer.shard_stats().len()), (4, 1));
    let outcomes = send(&producer, "counted", 100).await;
    assert_all_delivered(&outcomes);
    assert_nothing_lost(&outcomes, &kinesis);
}

#[tokio::test]
async fn without_permission_to_describe_the_list_of_shards_will_do() {
    let kinesis = hostile();
    kinesis.every(Operation::DescribeStreamSummary, Fault::Reject(Rejection::access_denied()));
    let producer = producer(&kinesis).await;
    assert_eq!(producer.shard_stats().len(), 4);
    assert_all_delivered(&send(&producer, "listed", 100).await);
}

#[tokio::test]
async fn without_either_permission_both_are_named() {
    let kinesis = hostile();
    kinesis.every(Operation::DescribeStreamSummary, Fault::Reject(Rejection::access_denied()));
    kinesis.every(Operation::ListShards, Fault::Reject(Rejection::access_denied()));
    let message = error(&kinesis).await.to_string();
    assert!(message.contains("kinesis:DescribeStreamSummary and kinesis:ListShards"), "{message}");
}

#[tokio::test]
async fn passing_failures_of_listing_and_describing_are_tried_again() {
    let faults = [
        Fault::Reject(Rejection::internal_failure()),
        Fault::Reject(Rejection::service_unavailable()),
        Fault::Reject(Rejection::limit_exceeded()),
        Fault::ResetBeforeStoring,
        Fault::CutOffReply,
    ];
    for operation in [Operation::ListShards, Operation::DescribeStreamSummary] {
        for fault in &faults {
            let kinesis = hostile();
            kinesis.next(operation, fault.clone());
            let connected = builder(&kinesis.endpoint_url(), STREAM).connect().await;
            assert!(connected.is_ok(), "after {fault:?} of {operation:?}: {}", connected.unwrap_err());
        }
    }
}

#[tokio::test]
async fn a_failure_that_does_not_pass_is_an_error_when_the_connect_time_out_is_over() {
    let kinesis = hostile();
    for rejection in [Rejection::internal_failure(), Rejection::service_unavailable()] {
        let has_code = !rejection.code.is_empty();
        kinesis.every(Operation::ListShards, Fault::Reject(rejection));
        let settings = builder(&kinesis.endpoint_url(), STREAM).connect_timeout(Duration::from_secs(1));
        let started = Instant::now();
        let error = settings.connect().await.unwrap_err();
        let ConnectError::TimedOut { error: cause, attempts, .. } = &error else { panic!("{error}") };
        let is_expected = match &**cause {
            ConnectError::Service { operation: "ListShards", .. } => has_code,
            ConnectError::Unavailable { .. } => !has_code,
            _ => false,
        };
        assert!(is_expected, "{error}");
        assert!(*attempts > 1 && started.elapsed() < Duration::from_secs(10), "{error}");
        assert!(
            error.to_string().contains(&kinesis.endpoint_url()) || error.to_string().contains("ListShards")
        );
    }
}

#[tokio::test]
async fn a_server_that_is_out_of_order_for_a_while_is_waited_for() {
    let kinesis = hostile();
    for operation in [Operation::DescribeStreamSummary, Operation::ListShards] {
        for _ in 0..6 {
            kinesis.next(operation, Fault::Reject(Rejection::service_unavailable()));
        }
    }
    producer(&kinesis).await;
}

#[tokio::test]
async fn forty_producers_that_start_together_all_start() {
    let kinesis = hostile();
    kinesis.limit_summaries();
    let config = Config::builder().aggregation(true).build().unwrap();
    let starts = (0..40).map(|_| builder(&kinesis.endpoint_url(), STREAM).config(config.clone()).connect());
    for (number, started) in futures::future::join_all(starts).await.into_iter().enumerate() {
        assert!(started.is_ok(), "{number}: {}", started.unwrap_err());
    }
    assert!(kinesis.requests(Operation::DescribeStreamSummary) > 40, "some calls were refused");
}

#[tokio::test]
async fn a_lazy_connection_needs_no_service_and_delivers_when_there_is_one() {
    let kinesis = hostile();
    kinesis.every(Operation::ListShards, Fault::Reject(Rejection::access_denied()));
    kinesis.every(Operation::DescribeStreamSummary, Fault::Reject(Rejection::access_denied()));
    let producer = builder(&kinesis.endpoint_url(), STREAM).connect_lazy().await.unwrap();
    let delivery = producer.send(Record::new("key", "early").unwrap()).await.unwrap();
    kinesis.wait_until(|seen| seen.requests(Operation::ListShards) > 0).await.unwrap();
    assert_eq!(kinesis.put_requests().len(), 0, "nothing is sent to a stream that nothing is known of");
    kinesis.calm();
    delivery.await.unwrap();
    assert_eq!(kinesis.stored().len(), 1);
}

#[tokio::test]
async fn a_stream_that_is_not_there_is_named_with_the_place_it_was_looked_for() {
    let kinesis = hostile();
    let error = builder(&kinesis.endpoint_url(), "elsewhere").connect().await.unwrap_err();
    assert!(matches!(&error, ConnectError::NoSuchStream { .. }), "{error}");
    let message = error.to_string();
    for part in ["elsewhere", "us-east-1", &kinesis.endpoint_url()] {
        assert!(message.contains(part), "{message:?} does not name {part}");
    }
}

#[tokio::test]
async fn an_endpoint_where_nobody_listens_is_named_at_once() {
    let kinesis = hostile();
    let url = kinesis.endpoint_url();
    kinesis.shutdown().await;
    let started = Instant::now();
    let error = builder(&url, STREAM).connect().await.unwrap_err();
    assert!(matches!(&error, ConnectError::Unreachable { endpoint, .. } if *endpoint == url), "{error}");
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_host_without_an_address_is_unreachable() {
    let error = builder("http://nowhere.invalid", STREAM).connect().await.unwrap_err();
    assert!(matches!(&error, ConnectError::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn an_endpoint_that_is_no_url_is_refused() {
    let error = builder("not a url", STREAM).connect().await.unwrap_err();
    assert!(error.to_string().contains("the endpoint is no URL"), "{error}");
}

#[tokio::test]
async fn expired_credentials_are_told_from_missing_ones() {
    let kinesis = hostile();
    kinesis.expire_access_key_id("OLD");
    let settings = builder(&kinesis.endpoint_url(), STREAM);
    let old = Credentials::new("OLD", "secret", None, None, "test");
    let error = settings.credentials(old).connect().await.unwrap_err();
    assert!(matches!(&error, ConnectError::CredentialsRefused { .. }), "{error}");
}

#[tokio::test]
async fn what_names_no_stream_is_refused_before_anything_is_asked() {
    for text in ["", "two words", "arn:aws:s3:::bucket"] {
        let error = builder("http://127.0.0.1:1", text).connect().await.unwrap_err();
        assert!(matches!(&error, ConnectError::Invalid(_)), "{error}");
    }
}
