//! Against kinesalite and kinesis-mock from npm; skipped with one line where node is missing.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::HashSet;

use common::*;
use kinesis_batcher_local::node::{NodeKinesis, NodeServer};
use kinesis_batcher_tokio::ConnectError;

/// Starting blocks, so it is done on a thread for that.
async fn start(server: NodeServer, shards: u32) -> Option<NodeKinesis> {
    tokio::task::spawn_blocking(move || {
        let kinesis = NodeKinesis::start_or_skip(server).unwrap()?;
        kinesis.client().create_stream("clicks", shards).unwrap();
        Some(kinesis)
    })
    .await
    .unwrap()
}

async fn round_trip(kinesis: NodeKinesis, stream: &str, records: usize) {
    let producer = builder(&kinesis.endpoint_url(), stream).connect().await.unwrap();
    assert_eq!(producer.shard_stats().len(), 3);
    let outcomes = send(&producer, "record", records).await;
    assert_all_delivered(&outcomes);
    assert_eq!(possible_duplicates(&outcomes), 0);
    let stored = tokio::task::spawn_blocking(move || kinesis.client().stored_records("clicks").unwrap())
        .await
        .unwrap();
    assert_eq!(stored.len(), records, "each record is stored once");
    let stored: HashSet<String> = stored.into_iter().map(|r| String::from_utf8(r.data).unwrap()).collect();
    assert_eq!(stored, outcomes.into_keys().collect());
}

#[tokio::test]
async fn kinesalite_stores_each_record_once() {
    let Some(kinesis) = start(NodeServer::Kinesalite, 3).await else { return };
    round_trip(kinesis, "clicks", 5_000).await;
}

#[tokio::test]
async fn kinesis_mock_stores_each_record_once() {
    let Some(kinesis) = start(NodeServer::KinesisMock, 3).await else { return };
    round_trip(kinesis, "clicks", 500).await;
}

#[tokio::test]
async fn kinesis_mock_finds_a_stream_by_its_arn() {
    let Some(kinesis) = start(NodeServer::KinesisMock, 3).await else { return };
    round_trip(kinesis, "arn:aws:kinesis:us-east-1:000000000000:stream/clicks", 100).await;
}

#[tokio::test]
async fn a_server_whose_certificate_nobody_vouches_for_is_not_spoken_to() {
    let Some(kinesis) = start(NodeServer::KinesisMock, 3).await else { return };
    let url = format!("https://localhost:{}", kinesis.tls_address().unwrap().port());
    let error = builder(&url, "clicks").connect().await.unwrap_err();
    assert!(matches!(&error, ConnectError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains("certificate"), "{error}");
}
