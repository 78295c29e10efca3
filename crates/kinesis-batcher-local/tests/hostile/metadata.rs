//! ListShards, DescribeStreamSummary and resharding.

use std::io::ErrorKind;

use kinesis_batcher_local::RawClient;
use kinesis_batcher_local::hostile::{
    Distribution, Fault, HostileOptions, Operation, Rejection, ReshardError, StreamMode,
};
use serde_json::{Value, json};

use super::{put, start, start_default};

fn describe(client: &RawClient) -> Value {
    let reply =
        client.call("DescribeStreamSummary", &json!({ "StreamName": "hostile" })).unwrap().ok().unwrap();
    reply["StreamDescriptionSummary"].clone()
}

fn list(client: &RawClient, input: &Value) -> Value {
    client.call("ListShards", input).unwrap().ok().unwrap()
}

fn ids(reply: &Value) -> Vec<&str> {
    reply["Shards"].as_array().unwrap().iter().map(|shard| shard["ShardId"].as_str().unwrap()).collect()
}

#[test]
fn the_description_tells_what_a_producer_needs() {
    let (_kinesis, client) = start(HostileOptions {
        shards: 7,
        record_size_max_kib: 2_048,
        stream_mode: StreamMode::OnDemand,
        distribution: Distribution::Auto,
        ..HostileOptions::default()
    });
    let summary = describe(&client);
    assert_eq!(summary["OpenShardCount"], 7);
    assert_eq!(summary["MaxRecordSizeInKiB"], 2_048);
    assert_eq!(summary["StreamModeDetails"]["StreamMode"], "ON_DEMAND");
    assert_eq!(summary["RecordDistributionStrategy"], "AUTO");
    assert_eq!(summary["StreamStatus"], "ACTIVE");
    let (_kinesis, client) = start_default();
    assert!(
        describe(&client)["RecordDistributionStrategy"].is_null(),
        "S-26: a provisioned stream has no distribution to tell of"
    );
}

#[test]
fn shards_are_listed_page_by_page() {
    let (kinesis, client) =
        start(HostileOptions { shards: 7, list_shards_page: 3, ..HostileOptions::default() });
    let shards = client.shards("hostile").unwrap();
    assert_eq!(shards, kinesis.shards(), "the pages add up");
    assert_eq!(kinesis.requests(Operation::ListShards), 3, "seven shards are three pages of three");

    let first = list(&client, &json!({ "StreamName": "hostile", "MaxResults": 2 }));
    assert_eq!(ids(&first), ["shardId-000000000000", "shardId-000000000001"]);
    let after = json!({ "StreamName": "hostile", "ExclusiveStartShardId": "shardId-000000000005" });
    assert_eq!(ids(&list(&client, &after)), ["shardId-000000000006"]);
    for (name, value) in [
        ("StreamName", json!("hostile")),
        ("StreamARN", json!(kinesis.stream_arn())),
        ("ExclusiveStartShardId", json!("shardId-000000000001")),
        ("StreamCreationTimestamp", json!(1_767_225_600.0)),
    ] {
        let both = client.call("ListShards", &json!({ name: value, "NextToken": first["NextToken"] }));
        let code = both.unwrap().error_code();
        assert_eq!(code.as_deref(), Some("InvalidArgumentException"), "S-10: {name} and a token");
    }
    let none = client.call("ListShards", &json!({ "StreamName": "hostile", "MaxResults": 0 })).unwrap();
    assert_eq!(
        none.error_code().as_deref(),
        Some("ValidationException"),
        "S-10: a page has a shard at least"
    );
    let forged = client.call("ListShards", &json!({ "NextToken": "forged" })).unwrap();
    assert_eq!(forged.error_code().as_deref(), Some("ExpiredNextTokenException"));
}

#[test]
fn at_latest_lists_the_open_shards_alone_on_every_page() {
    let (kinesis, client) = start(HostileOptions { list_shards_page: 3, ..HostileOptions::default() });
    let [lower, upper] = kinesis.split("shardId-000000000000").unwrap();
    let merged = kinesis.merge("shardId-000000000002", "shardId-000000000003").unwrap();
    let first = list(&client, &json!({ "StreamName": "hostile", "ShardFilter": { "Type": "AT_LATEST" } }));
    assert_eq!(ids(&first), ["shardId-000000000001", &lower, &upper]);
    let second = list(&client, &json!({ "NextToken": first["NextToken"] }));
    assert_eq!(ids(&second), [&merged]);
    assert!(second["NextToken"].is_null(), "the last page has no token");

    let all = client.shards("hostile").unwrap();
    assert_eq!(all.len(), 7, "without a filter closed shards are listed too");
    assert!(!all[0].open && !all[2].open && !all[3].open);
    assert_eq!(all[6].parent_shard_id.as_deref(), Some("shardId-000000000002"));
    assert_eq!(all[6].adjacent_parent_shard_id.as_deref(), Some("shardId-000000000003"));
    assert_eq!(describe(&client)["OpenShardCount"], 4);
}

#[test]
fn after_a_reshard_replies_name_the_child() {
    let (kinesis, client) = start_default();
    let shard = |reply: Value| reply["Records"][0]["ShardId"].as_str().unwrap().to_owned();
    let parent = shard(put(&client, 1));
    let [lower, upper] = kinesis.split(&parent).unwrap();
    let child = shard(put(&client, 1));
    assert!(child == lower || child == upper, "{child} is no child of {parent}");
    let merged = kinesis.merge(&lower, &upper).unwrap();
    assert_eq!(shard(put(&client, 1)), merged);
    assert_eq!(kinesis.split(&parent), Err(ReshardError::NotOpen(parent)));
}

#[test]
fn list_shards_can_be_denied_while_the_description_is_not() {
    let (kinesis, client) = start_default();
    kinesis.every(Operation::ListShards, Fault::Reject(Rejection::access_denied()));
    for _ in 0..3 {
        let reply = client.call("ListShards", &json!({ "StreamName": "hostile" })).unwrap();
        assert_eq!(reply.error_code().as_deref(), Some("AccessDeniedException"));
    }
    assert_eq!(describe(&client)["OpenShardCount"], 4);
    put(&client, 1);
    kinesis.every(Operation::ListShards, Fault::None);
    assert_eq!(client.shards("hostile").unwrap().len(), 4, "the standing fault was replaced");
}

// S-11
#[test]
fn metadata_calls_suffer_transport_faults_too() {
    let (kinesis, client) = start_default();
    for operation in [Operation::ListShards, Operation::DescribeStreamSummary] {
        let name = format!("{operation:?}");
        let input = json!({ "StreamName": "hostile" });
        kinesis.next(operation, Fault::ResetBeforeStoring);
        kinesis.next(operation, Fault::CutOffReply);
        kinesis.next(operation, Fault::EmptyReply);
        kinesis.next(operation, Fault::Reject(Rejection::limit_exceeded()));
        assert_eq!(client.call(&name, &input).unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert_eq!(client.call(&name, &input).unwrap_err().kind(), ErrorKind::UnexpectedEof);
        assert_eq!(client.call(&name, &input).unwrap().body, b"");
        let limited = client.call(&name, &input).unwrap();
        assert_eq!(limited.error_code().as_deref(), Some("LimitExceededException"));
        assert_eq!(client.call(&name, &input).unwrap().status, 200);
        assert_eq!(kinesis.requests(operation), 5);
    }
}
