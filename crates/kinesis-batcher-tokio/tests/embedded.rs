//! Against ferrokinesis, a server that nobody here wrote.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::HashMap;
use std::time::Duration;

use common::*;
use kinesis_batcher_local::{EmbeddedKinesis, EmbeddedOptions};
use kinesis_batcher_tokio::{Config, ConnectError};

async fn stream(shards: u32, enforce_limits: bool) -> EmbeddedKinesis {
    let kinesis =
        EmbeddedKinesis::start(EmbeddedOptions { enforce_limits, ..EmbeddedOptions::default() }).unwrap();
    kinesis.create_stream("clicks", shards).await.unwrap();
    kinesis
}

/// Each record is stored once, where its receipt says.
async fn assert_stored_once(kinesis: &EmbeddedKinesis, outcomes: &Outcomes) {
    let mut stored: HashMap<String, (String, String)> = HashMap::new();
    for record in kinesis.stored_records("clicks").await.unwrap() {
        let data = String::from_utf8(record.data).unwrap();
        let copy = stored.insert(data.clone(), (record.shard_id, record.sequence_number));
        assert!(copy.is_none(), "{data} is stored twice");
    }
    assert_eq!(stored.len(), outcomes.len());
    for (data, outcome) in outcomes {
        let receipt = outcome.as_ref().unwrap();
        let place = (receipt.shard_id.to_string(), receipt.sequence_number.to_string());
        assert_eq!(stored[data], place, "{data} is where its receipt says");
    }
}

#[tokio::test]
async fn what_goes_in_comes_out_once_while_limits_are_enforced() {
    let kinesis = stream(4, true).await;
    let config = Config::builder().linger(Duration::from_millis(20)).build().unwrap();
    let producer = builder(&kinesis.endpoint_url(), "clicks").config(config).connect().await.unwrap();
    let outcomes = send(&producer, "limited", 6_000).await;
    assert_all_delivered(&outcomes);
    assert_stored_once(&kinesis, &outcomes).await;
    kinesis.shutdown().await;
}

#[tokio::test]
async fn a_reshard_in_the_middle_loses_and_doubles_nothing() {
    let kinesis = stream(2, false).await;
    let producer = builder(&kinesis.endpoint_url(), "clicks").connect().await.unwrap();
    let mut outcomes = send(&producer, "two", 500).await;
    kinesis.update_shard_count("clicks", 4).await.unwrap();
    outcomes.extend(send(&producer, "four", 2_000).await);
    while producer.stats().open_shards != 4 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    outcomes.extend(send(&producer, "more", 500).await);
    assert_all_delivered(&outcomes);
    assert_stored_once(&kinesis, &outcomes).await;
    kinesis.shutdown().await;
}

#[tokio::test]
async fn a_stream_that_is_not_there_is_told_by_this_server_too() {
    let kinesis = stream(1, false).await;
    let error = builder(&kinesis.endpoint_url(), "other").connect().await.unwrap_err();
    assert!(matches!(&error, ConnectError::NoSuchStream { .. }), "{error}");
    kinesis.shutdown().await;
}
