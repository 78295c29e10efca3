//! The fast Kinesis, as a client sees it.

#![allow(clippy::unwrap_used)]

use std::collections::HashSet;

use kinesis_batcher_local::fast::{FastCounters, FastKinesis, FastOptions};
use kinesis_batcher_local::hostile::{HostileKinesis, HostileOptions};
use kinesis_batcher_local::{RawClient, StartError};
use serde_json::json;

fn start(options: FastOptions) -> (FastKinesis, RawClient) {
    let kinesis = FastKinesis::start(options).unwrap();
    let client = RawClient::new(kinesis.address());
    (kinesis, client)
}

#[test]
fn records_are_stored_as_sent_where_the_reply_says() {
    let (kinesis, client) = start(FastOptions::default());
    assert_stored_as_sent(&kinesis, &client);
    let (kinesis, client) = start(FastOptions::default());
    assert_stored_as_sent(&kinesis, &client.with_cbor());
}

fn assert_stored_as_sent(kinesis: &FastKinesis, client: &RawClient) {
    let payloads: Vec<(String, Vec<u8>)> = (0..500_u32)
        .map(|number| (format!("ключ \"{number}\"\n"), vec![number as u8; number as usize]))
        .collect();
    let records: Vec<(&str, &[u8])> =
        payloads.iter().map(|(key, data)| (key.as_str(), data.as_slice())).collect();
    let reply = client.put_records("fast", &records).unwrap().ok().unwrap();
    assert_eq!(reply["FailedRecordCount"], 0);
    let stored = kinesis.stored_records();
    assert_eq!(stored.len(), 500);
    let mut shards = HashSet::new();
    for ((entry, (key, data)), record) in
        reply["Records"].as_array().unwrap().iter().zip(&payloads).zip(&stored)
    {
        assert_eq!((&record.partition_key, &record.data), (key, data));
        assert_eq!(entry["ShardId"], record.shard_id.as_str());
        assert_eq!(entry["SequenceNumber"], record.sequence_number.as_str());
        shards.insert(&record.shard_id);
    }
    assert_eq!(shards.len(), 16, "500 keys reach each of 16 shards");
    let record_bytes = payloads.iter().map(|(key, data)| (key.len() + data.len()) as u64).sum();
    assert_eq!(kinesis.counters(), FastCounters { requests: 1, records: 500, record_bytes });
}

#[test]
fn two_servers_that_share_no_parser_route_alike() {
    let (fast, fast_client) = start(FastOptions { shards: 7, ..FastOptions::default() });
    let hostile = HostileKinesis::start(HostileOptions { shards: 7, ..HostileOptions::default() }).unwrap();
    let hostile_client = RawClient::new(hostile.address());
    let mut entries: Vec<_> =
        (0..400).map(|key| json!({ "Data": "YQ==", "PartitionKey": key.to_string() })).collect();
    for shard in hostile.shards() {
        for edge in [shard.starting_hash_key, shard.ending_hash_key] {
            entries.push(json!({ "Data": "", "PartitionKey": "k", "ExplicitHashKey": edge.to_string() }));
        }
    }
    fast_client
        .call("PutRecords", &json!({ "StreamName": "fast", "Records": entries }))
        .unwrap()
        .ok()
        .unwrap();
    hostile_client
        .call("PutRecords", &json!({ "StreamName": "hostile", "Records": entries }))
        .unwrap()
        .ok()
        .unwrap();
    let fast: Vec<_> = fast.stored_records().into_iter().map(|record| record.shard_id).collect();
    let hostile: Vec<_> = hostile.stored().into_iter().map(|record| record.shard_id).collect();
    assert_eq!(fast, hostile);
}

#[test]
fn metadata_tells_of_every_shard() {
    let (_kinesis, client) = start(FastOptions { shards: 10_000, ..FastOptions::default() });
    let shards = client.shards("fast").unwrap();
    assert_eq!(shards.len(), 10_000);
    assert_eq!(shards[0].starting_hash_key, 0);
    assert_eq!(shards[9_999].ending_hash_key, u128::MAX);
    assert!(shards.windows(2).all(|pair| pair[0].ending_hash_key + 1 == pair[1].starting_hash_key));
    let summary =
        client.call("DescribeStreamSummary", &json!({ "StreamName": "fast" })).unwrap().ok().unwrap();
    let summary = &summary["StreamDescriptionSummary"];
    assert_eq!(summary["OpenShardCount"], 10_000);
    assert!(summary["RecordDistributionStrategy"].is_null(), "S-26: it is there for on-demand streams alone");
    let first = client.call("ListShards", &json!({ "StreamName": "fast" })).unwrap().ok().unwrap();
    assert_eq!(first["Shards"].as_array().unwrap().len(), 1_000, "S-10: a page has 1,000 shards");
    let token = &first["NextToken"];
    let second =
        client.call("ListShards", &json!({ "NextToken": token, "MaxResults": 2 })).unwrap().ok().unwrap();
    assert_eq!(second["Shards"][0]["ShardId"], "shardId-000000001000");
    assert_eq!(second["Shards"].as_array().unwrap().len(), 2);
    let forged = client.call("ListShards", &json!({ "NextToken": "forged" })).unwrap();
    assert_eq!(forged.error_code().as_deref(), Some("ExpiredNextTokenException"));
}

#[test]
fn a_refused_request_leaves_nothing_behind() {
    let (kinesis, client) = start(FastOptions::default());
    let good = r#"{"Data":"YQ==","PartitionKey":"k"}"#;
    let body = |bad: &str| format!(r#"{{"Records":[{good},{bad}],"StreamName":"fast"}}"#);
    for (bad, code) in [
        (r#"{"Data":"?","PartitionKey":"k"}"#, "SerializationException"),
        (r#"{"Data":"YQ=="}"#, "SerializationException"),
        (r#"{"Data":"YQ==","PartitionKey":"k","ExplicitHashKey":"x"}"#, "InvalidArgumentException"),
        (r#"{"Data":"YQ==","PartitionKey":"k","ExplicitHashKey":"+1"}"#, "InvalidArgumentException"),
        (r#"{"Data":"YQ==","PartitionKey":"k","ExplicitHashKey":"01"}"#, "InvalidArgumentException"),
        (&[good; 500].join(","), "ValidationException"),
    ] {
        let reply = client.call_with_body("PutRecords", body(bad).as_bytes()).unwrap();
        assert_eq!(reply.error_code().as_deref(), Some(code));
    }
    let none = client.call("PutRecords", &json!({ "StreamName": "fast", "Records": [] })).unwrap();
    assert_eq!(none.error_code().as_deref(), Some("ValidationException"));
    assert_eq!(kinesis.stored_records(), []);
    assert_eq!(kinesis.counters(), FastCounters { requests: 7, ..FastCounters::default() });
    client.call_with_body("PutRecords", body(good).as_bytes()).unwrap().ok().unwrap();
    assert_eq!(kinesis.stored_records().len(), 2, "and does not harm the next one");
}

#[test]
fn a_request_in_cbor_is_refused_in_cbor_and_leaves_nothing_behind() {
    let (kinesis, client) = start(FastOptions::default());
    let client = client.with_cbor();
    let good = json!({ "Data": "YQ==", "PartitionKey": "k" });
    for (bad, code) in [
        (json!({ "Data": "?", "PartitionKey": "k" }), "SerializationException"),
        (json!({ "Data": "YQ==" }), "SerializationException"),
        (json!({ "Data": "YQ==", "PartitionKey": "k", "ExplicitHashKey": "x" }), "InvalidArgumentException"),
    ] {
        let reply = client.call("PutRecords", &json!({ "Records": [good, bad] })).unwrap();
        assert_eq!(reply.header("content-type"), Some("application/x-amz-cbor-1.1"));
        assert_eq!((reply.status, reply.error_code().as_deref()), (400, Some(code)));
    }
    assert_eq!(client.call_with_body("PutRecords", b"{}").unwrap().status, 400, "it is no CBOR");
    assert_eq!(kinesis.stored_records(), []);
}

#[test]
fn records_are_counted_whether_they_are_stored_or_not() {
    let (kinesis, client) = start(FastOptions { store: false, ..FastOptions::default() });
    let put = || client.put_records("fast", &[("k", b"data")]).unwrap().ok().unwrap();
    put();
    assert_eq!((kinesis.stored_records().len(), kinesis.counters().records), (0, 1));
    kinesis.set_storing(true);
    put();
    assert_eq!((kinesis.stored_records().len(), kinesis.counters().records), (1, 2));
    kinesis.clear();
    assert_eq!((kinesis.stored_records().len(), kinesis.counters().records), (0, 2));
}

#[test]
fn several_threads_share_the_port_and_give_every_record_its_own_number() {
    let (kinesis, client) = start(FastOptions { threads: 3, ..FastOptions::default() });
    let clients: Vec<_> = (0..12)
        .map(|_| {
            let client = client.clone();
            std::thread::spawn(move || {
                for _ in 0..10 {
                    client.put_records("fast", &[("k", b"data"), ("l", b"data")]).unwrap().ok().unwrap();
                }
            })
        })
        .collect();
    for client in clients {
        client.join().unwrap();
    }
    let stored = kinesis.stored_records();
    assert_eq!(stored.len(), 240);
    let numbers: HashSet<_> = stored.iter().map(|record| &record.sequence_number).collect();
    assert_eq!(numbers.len(), 240, "no number twice");
    assert!(stored.is_sorted_by_key(|record| &record.sequence_number));
}

#[test]
fn impossible_options_are_refused_with_their_range() {
    for options in [
        FastOptions { shards: 0, ..FastOptions::default() },
        FastOptions { threads: 0, ..FastOptions::default() },
        FastOptions { threads: 65, ..FastOptions::default() },
    ] {
        let error = FastKinesis::start(options).unwrap_err();
        assert!(matches!(&error, StartError::Option(text) if text.contains("must be")), "got {error:?}");
    }
}

#[tokio::test]
async fn a_shutdown_frees_the_port() {
    let (kinesis, client) = start(FastOptions { threads: 2, ..FastOptions::default() });
    kinesis.shutdown().await;
    assert!(client.connect().is_err(), "nobody listens any more");
}
