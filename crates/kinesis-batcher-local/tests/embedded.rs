//! The embedded Kinesis, over the wire and past it.

#![allow(clippy::unwrap_used)]

use std::collections::HashMap;

use kinesis_batcher_local::{EmbeddedError, EmbeddedKinesis, EmbeddedOptions, RawClient, StartError};
use serde_json::json;

fn start(enforce_limits: bool) -> (EmbeddedKinesis, RawClient) {
    let kinesis =
        EmbeddedKinesis::start(EmbeddedOptions { enforce_limits, ..EmbeddedOptions::default() }).unwrap();
    let client = RawClient::new(kinesis.address());
    (kinesis, client)
}

#[tokio::test]
async fn what_was_put_over_http_is_read_back_with_shard_sequence_number_and_key() {
    let (kinesis, client) = start(true);
    assert_read_back(&kinesis, &client).await;
    let (kinesis, client) = start(true);
    assert_read_back(&kinesis, &client.with_cbor()).await;
}

async fn assert_read_back(kinesis: &EmbeddedKinesis, client: &RawClient) {
    kinesis.create_stream("clicks", 4).await.unwrap();
    let payloads: Vec<(String, Vec<u8>)> =
        (0..400_u32).map(|number| (format!("key-{number}"), number.to_le_bytes().repeat(7))).collect();
    let records: Vec<(&str, &[u8])> =
        payloads.iter().map(|(key, data)| (key.as_str(), data.as_slice())).collect();
    let reply = client.put_records("clicks", &records).unwrap().ok().unwrap();
    assert_eq!(reply["FailedRecordCount"], 0);

    let stored = kinesis.stored_records("clicks").await.unwrap();
    assert_eq!(stored.len(), 400, "every record is there once");
    let by_number: HashMap<_, _> =
        stored.iter().map(|record| (record.sequence_number.as_str(), record)).collect();
    for (entry, (key, data)) in reply["Records"].as_array().unwrap().iter().zip(&payloads) {
        let record = by_number[entry["SequenceNumber"].as_str().unwrap()];
        assert_eq!((&record.partition_key, &record.data), (key, data), "the record is what was sent");
        assert_eq!(record.shard_id, entry["ShardId"].as_str().unwrap(), "it is where the reply said");
    }
    assert_eq!(stored, client.stored_records("clicks").unwrap(), "GetRecords tells the same as the store");
}

#[tokio::test]
async fn a_shard_is_read_page_by_page() {
    let (kinesis, client) = start(false);
    kinesis.create_stream("pages", 1).await.unwrap();
    let records: Vec<(&str, &[u8])> = (0..25).map(|_| ("key", b"data".as_slice())).collect();
    client.put_records("pages", &records).unwrap().ok().unwrap();
    let all = kinesis.stored_records("pages").await.unwrap();
    let mut paged = Vec::new();
    loop {
        let after =
            paged.last().map(|record: &kinesis_batcher_local::StoredRecord| record.sequence_number.clone());
        let page =
            kinesis.stored_in_shard("pages", "shardId-000000000000", after.as_deref(), 10).await.unwrap();
        if page.is_empty() {
            break;
        }
        paged.extend(page);
    }
    assert_eq!(paged, all, "pages of ten add up to the whole shard");
}

#[tokio::test]
async fn a_shard_beyond_its_limit_fails_entry_by_entry() {
    let (kinesis, client) = start(true);
    kinesis.create_stream("hot", 1).await.unwrap();
    let records: Vec<(&str, &[u8])> = (0..500).map(|_| ("key", b"data".as_slice())).collect();
    // 10,000 records are a thousand too many for nine seconds, and this takes a fraction of one.
    let (mut accepted, mut throttled) = (0, 0);
    for _ in 0..20 {
        let reply = client.put_records("hot", &records).unwrap().ok().unwrap();
        let entries = reply["Records"].as_array().unwrap();
        let failed = entries.iter().filter(|entry| entry["ErrorCode"].is_string()).count();
        for entry in entries.iter().filter(|entry| entry["ErrorCode"].is_string()) {
            assert_eq!(entry["ErrorCode"], "ProvisionedThroughputExceededException");
            assert!(entry["ShardId"].is_null(), "a failed entry has no shard");
        }
        assert_eq!(reply["FailedRecordCount"], failed);
        accepted += entries.len() - failed;
        throttled += failed;
    }
    assert!(throttled > 0, "a shard takes 1,000 records a second");
    assert_eq!(kinesis.stored_records("hot").await.unwrap().len(), accepted, "what failed was not stored");
}

#[tokio::test]
async fn without_limits_nothing_is_throttled() {
    let (kinesis, client) = start(false);
    kinesis.create_stream("cold", 1).await.unwrap();
    let records: Vec<(&str, &[u8])> = (0..500).map(|_| ("key", b"data".as_slice())).collect();
    for _ in 0..5 {
        let reply = client.put_records("cold", &records).unwrap().ok().unwrap();
        assert_eq!(reply["FailedRecordCount"], 0);
    }
}

#[tokio::test]
async fn a_full_request_of_the_emulators_size_is_accepted() {
    let (kinesis, client) = start(false);
    kinesis.create_stream("large", 1).await.unwrap();
    let data = vec![0x5a; (1 << 20) - 3];
    let records: Vec<(&str, &[u8])> = (0..4).map(|_| ("key", data.as_slice())).collect();
    let reply = client.put_records("large", &records).unwrap();
    assert_eq!(reply.status, 200, "axum's limit of 2 MiB is not in the way: {:?}", reply.error_code());
}

#[tokio::test]
async fn resharding_sends_the_same_key_to_a_child() {
    let (kinesis, client) = start(false);
    kinesis.create_stream("shards", 2).await.unwrap();
    let shard_of = |key: &str| {
        let reply = client.put_records("shards", &[(key, b"data")]).unwrap().ok().unwrap();
        reply["Records"][0]["ShardId"].as_str().unwrap().to_owned()
    };
    let parent = shard_of("abcd");
    let children = kinesis.split_shard("shards", &parent).await.unwrap();
    assert!(children.contains(&shard_of("abcd")), "a closed parent takes no records");
    let merged = kinesis.merge_shards("shards", &children[0], &children[1]).await.unwrap();
    assert_eq!(shard_of("abcd"), merged);
    let open = kinesis.update_shard_count("shards", 5).await.unwrap();
    assert_eq!(open.len(), 5);
    assert!(open.contains(&shard_of("abcd")));

    let shards = kinesis.shards("shards").await.unwrap();
    assert_eq!(shards, client.shards("shards").unwrap(), "ListShards tells the same");
    assert_eq!(shards.iter().filter(|shard| shard.open).count(), 5);
    assert_eq!(kinesis.stored_records("shards").await.unwrap().len(), 4, "closed shards keep their records");
}

#[tokio::test]
async fn a_closed_shard_is_not_split_again() {
    let (kinesis, _) = start(false);
    kinesis.create_stream("closed", 1).await.unwrap();
    kinesis.split_shard("closed", "shardId-000000000000").await.unwrap();
    let error = kinesis.split_shard("closed", "shardId-000000000000").await.unwrap_err();
    assert!(
        matches!(&error, EmbeddedError::Service { code, .. } if code == "ResourceNotFoundException"),
        "got {error:?}"
    );
    assert_eq!(kinesis.shards("closed").await.unwrap().len(), 3);
}

#[tokio::test]
async fn impossible_streams_are_refused_as_over_http() {
    let (kinesis, client) = start(false);
    for (name, shards) in [("no shards", 1), ("none", 0), ("", 1)] {
        let error = kinesis.create_stream(name, shards).await.unwrap_err();
        let over_http =
            client.call("CreateStream", &json!({ "StreamName": name, "ShardCount": shards })).unwrap();
        let EmbeddedError::Service { code, .. } = error else { panic!("{error:?}") };
        assert_eq!(Some(code), over_http.error_code(), "{name:?} with {shards} shards");
    }
    assert!(matches!(kinesis.stored_records("none").await, Err(EmbeddedError::Service { .. })));
}

#[tokio::test]
async fn ten_thousand_shards_are_created_at_once() {
    let (kinesis, _) = start(false);
    kinesis.create_stream("many", 10_000).await.unwrap();
    assert_eq!(kinesis.shards("many").await.unwrap().len(), 10_000);
}

#[test]
fn a_server_outlives_the_runtime_that_used_it() {
    let (kinesis, client) = start(false);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(kinesis.create_stream("outlives", 1)).unwrap();
    drop(runtime);
    assert_eq!(client.put_records("outlives", &[("key", b"data")]).unwrap().status, 200);
}

#[tokio::test]
async fn a_taken_port_is_an_error_that_helps() {
    let (kinesis, _) = start(false);
    let port = kinesis.address().port();
    let taken = EmbeddedKinesis::start(EmbeddedOptions { port, ..EmbeddedOptions::default() });
    assert!(matches!(taken, Err(StartError::PortTaken { port: named }) if named == port));
}

#[tokio::test]
async fn after_a_shutdown_nobody_listens() {
    let (kinesis, client) = start(false);
    kinesis.create_stream("gone", 1).await.unwrap();
    // An idle connection, as an SDK keeps one, does not hold the shutdown up.
    let mut idle = client.connect().unwrap();
    client.send(&mut idle, "ListStreams", b"{}").unwrap();
    assert_eq!(client.receive(&mut idle).unwrap().status, 200);
    kinesis.shutdown().await;
    assert!(client.connect().is_err(), "the port is closed");
}
