//! The embedded Kinesis over the wire through splits, merges and UpdateShardCount, read as the KCL reads.

#![allow(clippy::unwrap_used)]
// Helpers take what `json!` makes.
#![allow(clippy::needless_pass_by_value)]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use kinesis_batcher_local::{EmbeddedKinesis, EmbeddedOptions, RawClient};
use serde_json::{Value, json};

fn start(shards: u32) -> (EmbeddedKinesis, RawClient) {
    let options = EmbeddedOptions { enforce_limits: false, ..EmbeddedOptions::default() };
    let kinesis = EmbeddedKinesis::start(options).unwrap();
    let client = RawClient::new(kinesis.address());
    client.create_stream("clicks", shards).unwrap();
    (kinesis, client)
}

fn call(client: &RawClient, operation: &str, input: Value) -> Value {
    client.call(operation, &input).unwrap().ok().unwrap()
}

fn error_of(client: &RawClient, operation: &str, input: Value) -> String {
    client.call(operation, &input).unwrap().error_code().unwrap()
}

fn put(client: &RawClient, names: impl Iterator<Item = String>) {
    let names: Vec<String> = names.collect();
    let records: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), name.as_bytes())).collect();
    for records in records.chunks(500) {
        assert_eq!(call_put(client, records)["FailedRecordCount"], 0);
    }
}

fn call_put(client: &RawClient, records: &[(&str, &[u8])]) -> Value {
    client.put_records("clicks", records).unwrap().ok().unwrap()
}

fn reshard(client: &RawClient, count: u32) -> Value {
    let input =
        json!({ "StreamName": "clicks", "TargetShardCount": count, "ScalingType": "UNIFORM_SCALING" });
    call(client, "UpdateShardCount", input)
}

fn list(client: &RawClient, filter: Value) -> Vec<String> {
    let reply = call(client, "ListShards", json!({ "StreamName": "clicks", "ShardFilter": filter }));
    reply["Shards"].as_array().unwrap().iter().map(|shard| text(&shard["ShardId"])).collect()
}

fn ids(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|number| format!("shardId-{number:012}")).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn iterator(client: &RawClient, shard_id: &str, kind: &str) -> String {
    let input = json!({ "StreamName": "clicks", "ShardId": shard_id, "ShardIteratorType": kind });
    text(&call(client, "GetShardIterator", input)["ShardIterator"])
}

fn seconds_since_1970() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64()
}

fn wait_until(seconds: f64) {
    while seconds_since_1970() < seconds {
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A consumer that begins with the shards at the trim horizon and learns of others only from ChildShards, as the KCL
/// does between two listings.
struct Consumer {
    client: RawClient,
    iterators: BTreeMap<String, String>,
    ended: BTreeSet<String>,
    /// Children and the parents that each waits for.
    waiting: BTreeMap<String, Vec<String>>,
    keys: Vec<String>,
}

impl Consumer {
    fn start(client: &RawClient) -> Self {
        let roots = list(client, json!({ "Type": "AT_TRIM_HORIZON" }));
        let iterators =
            roots.into_iter().map(|id| (id.clone(), iterator(client, &id, "TRIM_HORIZON"))).collect();
        let (ended, waiting, keys) = Default::default();
        Self { client: client.clone(), iterators, ended, waiting, keys }
    }

    /// One call a shard; whether any returned records or ended a shard.
    fn poll(&mut self) -> bool {
        let mut progress = false;
        for (id, from) in std::mem::take(&mut self.iterators) {
            let page = call(&self.client, "GetRecords", json!({ "ShardIterator": from }));
            let records = page["Records"].as_array().unwrap();
            progress |= !records.is_empty();
            self.keys.extend(records.iter().map(|record| text(&record["PartitionKey"])));
            match page["NextShardIterator"].as_str() {
                Some(next) => {
                    assert!(page["ChildShards"].is_null(), "children come with the end alone");
                    self.iterators.insert(id, next.to_owned());
                }
                None => {
                    progress = true;
                    for child in page["ChildShards"].as_array().unwrap() {
                        let parents: Vec<String> =
                            child["ParentShards"].as_array().unwrap().iter().map(text).collect();
                        assert!(parents.contains(&id), "{id} is a parent of its child");
                        assert!(child["HashKeyRange"]["StartingHashKey"].is_string(), "{child}");
                        self.waiting.insert(text(&child["ShardId"]), parents);
                    }
                    self.ended.insert(id);
                }
            }
        }
        let ready = |parents: &Vec<String>| parents.iter().all(|parent| self.ended.contains(parent));
        let ready: Vec<String> =
            self.waiting.iter().filter(|(_, parents)| ready(parents)).map(|(id, _)| id.clone()).collect();
        for id in ready {
            self.waiting.remove(&id);
            self.iterators.insert(id.clone(), iterator(&self.client, &id, "TRIM_HORIZON"));
        }
        progress
    }

    fn assert_got(mut self, count: usize) {
        while self.poll() {}
        assert_eq!(self.waiting, BTreeMap::new(), "every shard was reached");
        assert_eq!(self.keys.len(), count, "each record is read once");
        let distinct: BTreeSet<&String> = self.keys.iter().collect();
        assert_eq!(distinct.len(), count, "none is read twice");
    }
}

#[test]
fn a_consumer_that_follows_child_shards_misses_nothing_through_doubled_and_odd_shard_counts() {
    let (_kinesis, json) = start(4);
    for (client, prefix) in [(json.clone(), "j"), (json.with_cbor(), "c")] {
        let consumer = Consumer::start(&client);
        let before = consumer.client.stored_records("clicks").unwrap().len();
        put(&client, (0..1_000).map(|number| format!("{prefix}-first-{number}")));
        let reply = reshard(&client, 8);
        assert_eq!((&reply["CurrentShardCount"], &reply["TargetShardCount"]), (&4.into(), &8.into()));
        put(&client, (0..1_000).map(|number| format!("{prefix}-second-{number}")));
        reshard(&client, 5);
        put(&client, (0..1_000).map(|number| format!("{prefix}-third-{number}")));
        reshard(&client, 4);
        put(&client, (0..1_000).map(|number| format!("{prefix}-fourth-{number}")));
        consumer.assert_got(before + 4_000);
    }
}

#[test]
fn a_consumer_misses_nothing_while_records_are_written_and_shards_change() {
    let (_kinesis, client) = start(4);
    let mut consumer = Consumer::start(&client);
    let is_over = AtomicBool::new(false);
    let written = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..3)
            .map(|writer| {
                let (client, is_over) = (client.clone(), &is_over);
                scope.spawn(move || {
                    let mut count = 0;
                    while !is_over.load(Ordering::SeqCst) {
                        put(&client, (0..300).map(|number| format!("{writer}-{count}-{number}")));
                        count += 1;
                    }
                    count * 300
                })
            })
            .collect();
        for count in [8, 5, 3, 9, 4] {
            for _ in 0..5 {
                consumer.poll();
            }
            reshard(&client, count);
        }
        is_over.store(true, Ordering::SeqCst);
        writers.into_iter().map(|writer| writer.join().unwrap()).sum()
    });
    consumer.assert_got(written);
}

#[test]
fn listings_name_parents_and_where_a_closed_shard_ends() {
    let (_kinesis, client) = start(4);
    reshard(&client, 8);
    let [lower, upper] = [4, 5].map(|number| format!("shardId-{number:012}"));
    call(
        &client,
        "MergeShards",
        json!({ "StreamName": "clicks", "ShardToMerge": lower, "AdjacentShardToMerge": upper }),
    );
    let described = call(&client, "DescribeStream", json!({ "StreamName": "clicks" }));
    let listed = call(&client, "ListShards", json!({ "StreamName": "clicks" }));
    let shards = listed["Shards"].as_array().unwrap();
    assert_eq!(&described["StreamDescription"]["Shards"], &listed["Shards"]);
    assert_eq!(shards.len(), 13);
    for (number, shard) in shards.iter().enumerate() {
        let ending = &shard["SequenceNumberRange"]["EndingSequenceNumber"];
        let is_closed = number < 6;
        assert_eq!(ending.is_string(), is_closed, "a shard has an end once it is closed: {shard}");
        assert_eq!(shard["ParentShardId"].is_string(), number >= 4, "{shard}");
        assert_eq!(shard["AdjacentParentShardId"].is_string(), number == 12, "only the merged one: {shard}");
    }
    assert_eq!(shards[4]["ParentShardId"], "shardId-000000000000");
    assert_eq!(
        (&shards[12]["ParentShardId"], &shards[12]["AdjacentParentShardId"]),
        (&json!(lower), &json!(upper))
    );
    for (operation, input) in [
        ("SplitShard", json!({ "ShardToSplit": lower, "NewStartingHashKey": "5" })),
        ("MergeShards", json!({ "ShardToMerge": lower, "AdjacentShardToMerge": upper })),
    ] {
        let mut input = input;
        input["StreamName"] = "clicks".into();
        assert_eq!(error_of(&client, operation, input), "ResourceNotFoundException", "{operation} once");
    }
}

#[test]
fn records_of_a_closed_shard_stay_readable_to_its_end() {
    let (_kinesis, client) = start(1);
    put(&client, (0..700).map(|number| number.to_string()));
    reshard(&client, 2);
    let from = iterator(&client, "shardId-000000000000", "TRIM_HORIZON");
    let page = call(&client, "GetRecords", json!({ "ShardIterator": from, "Limit": 699 }));
    assert_eq!(page["Records"].as_array().unwrap().len(), 699);
    let page = call(&client, "GetRecords", json!({ "ShardIterator": page["NextShardIterator"] }));
    assert_eq!((page["Records"].as_array().unwrap().len(), &page["MillisBehindLatest"]), (1, &0.into()));
    let page = call(&client, "GetRecords", json!({ "ShardIterator": page["NextShardIterator"] }));
    assert!(page["NextShardIterator"].is_null(), "{page}");
    assert_eq!(page["ChildShards"].as_array().unwrap().len(), 2);
    let latest = iterator(&client, "shardId-000000000000", "LATEST");
    let page = call(&client, "GetRecords", json!({ "ShardIterator": latest }));
    assert!(page["NextShardIterator"].is_null() && page["ChildShards"].is_array(), "{page}");
}

/// The filters of the API's `ShardFilter`.
#[test]
fn a_listing_is_filtered_by_horizon_time_latest_and_shard() {
    let (_kinesis, client) = start(2);
    let while_two = seconds_since_1970();
    // Shards are opened and closed in whole seconds.
    wait_until(while_two.ceil());
    let before = seconds_since_1970();
    reshard(&client, 4);
    let after = seconds_since_1970();
    let at = |kind: &str, time: f64| list(&client, json!({ "Type": kind, "Timestamp": time }));
    assert_eq!(list(&client, Value::Null), ids(0..6));
    assert_eq!(list(&client, json!({ "Type": "FROM_TRIM_HORIZON" })), ids(0..6));
    assert_eq!(list(&client, json!({ "Type": "AT_TRIM_HORIZON" })), ids(0..2));
    assert_eq!(list(&client, json!({ "Type": "AT_LATEST" })), ids(2..6));
    assert_eq!(list(&client, json!({ "Type": "AFTER_SHARD_ID", "ShardId": ids(3..4)[0] })), ids(4..6));
    assert_eq!(at("AT_TIMESTAMP", while_two), ids(0..2));
    assert_eq!(at("AT_TIMESTAMP", 1.0), ids(0..2), "a time before the stream is its beginning");
    assert_eq!(at("AT_TIMESTAMP", seconds_since_1970() + 5.0), ids(2..6));
    if before.floor() == after.floor() {
        assert_eq!(at("AT_TIMESTAMP", after), ids(0..6), "both in the second of the change");
    }
    assert_eq!(at("FROM_TIMESTAMP", while_two), ids(0..6));
    assert_eq!(at("FROM_TIMESTAMP", seconds_since_1970() + 5.0), ids(2..6));
    let cbor = client.clone().with_cbor();
    let filter = json!({ "Type": "AT_TIMESTAMP", "Timestamp": (while_two * 1e3) as u64 });
    assert_eq!(list(&cbor, filter), ids(0..2), "CBOR has milliseconds");
    for filter in [
        json!({ "Type": "AT_TIMESTAMP" }),
        json!({ "Type": "AFTER_SHARD_ID" }),
        json!({ "Type": "SOME" }),
        json!({}),
    ] {
        let input = json!({ "StreamName": "clicks", "ShardFilter": filter });
        assert_eq!(error_of(&client, "ListShards", input), "InvalidArgumentException", "{filter}");
    }
}

/// S-10.
#[test]
fn a_listing_goes_on_by_its_token_alone_and_a_page_has_1000_shards() {
    let (_kinesis, client) = start(2_001);
    let mut pages = Vec::new();
    let mut reply = call(&client, "ListShards", json!({ "StreamName": "clicks", "MaxResults": 10_000 }));
    loop {
        pages.push(reply["Shards"].as_array().unwrap().len());
        let Some(token) = reply["NextToken"].as_str() else { break };
        reply = call(&client, "ListShards", json!({ "NextToken": token }));
    }
    assert_eq!(pages, [1_000, 1_000, 1]);
    assert_eq!(client.shards("clicks").unwrap().len(), 2_001);

    let filter = json!({ "Type": "AFTER_SHARD_ID", "ShardId": ids(1_990..1_991)[0] });
    let first = json!({ "StreamName": "clicks", "ShardFilter": filter, "MaxResults": 4, "ExclusiveStartShardId": "a" });
    let reply = call(&client, "ListShards", first);
    let reply = call(&client, "ListShards", json!({ "NextToken": reply["NextToken"], "MaxResults": 3 }));
    assert_eq!(reply["Shards"][0]["ShardId"], json!(ids(1_995..1_996)[0]));
    assert_eq!(reply["Shards"].as_array().unwrap().len(), 3);
    let token = &reply["NextToken"];
    for input in
        [json!({ "NextToken": token, "StreamName": "clicks" }), json!({ "NextToken": "nonsense" }), json!({})]
    {
        assert_eq!(error_of(&client, "ListShards", input.clone()), "InvalidArgumentException", "{input}");
    }
    assert_eq!(error_of(&client, "ListShards", json!({ "StreamName": "none" })), "ResourceNotFoundException");
}

#[test]
fn an_arn_names_a_stream_as_well_as_its_name() {
    let (_kinesis, client) = start(1);
    let summary = call(&client, "DescribeStreamSummary", json!({ "StreamName": "clicks" }));
    let arn = text(&summary["StreamDescriptionSummary"]["StreamARN"]);
    let by_arn = |operation: &str, mut input: Value| {
        input["StreamARN"] = json!(arn);
        call(&client, operation, input)
    };
    assert_eq!(by_arn("DescribeStreamSummary", json!({})), summary);
    let records = json!([{ "Data": "eA==", "PartitionKey": "k" }]);
    by_arn("PutRecords", json!({ "Records": records }));
    by_arn("UpdateShardCount", json!({ "TargetShardCount": 2, "ScalingType": "UNIFORM_SCALING" }));
    let listed = by_arn("ListShards", json!({ "MaxResults": 1 }));
    let listed = by_arn("ListShards", json!({ "NextToken": listed["NextToken"] }));
    assert_eq!(listed["Shards"].as_array().unwrap().len(), 2, "the KCL sends the ARN beside the token");
    let from = by_arn(
        "GetShardIterator",
        json!({ "ShardId": "shardId-000000000000", "ShardIteratorType": "TRIM_HORIZON" }),
    );
    let page = by_arn("GetRecords", json!({ "ShardIterator": from["ShardIterator"] }));
    assert_eq!(page["Records"].as_array().unwrap().len(), 1);
    by_arn("DeleteStream", json!({}));
}

/// The service's limit of a page (S-13).
#[test]
fn a_page_has_10_mib_and_says_how_far_behind_it_is() {
    let (_kinesis, client) = start(1);
    let data = vec![7; 1_000_000];
    for _ in 0..6 {
        assert_eq!(call_put(&client, &[("k", &data), ("k", &data)])["FailedRecordCount"], 0);
    }
    let from = iterator(&client, "shardId-000000000000", "TRIM_HORIZON");
    let page = call(&client, "GetRecords", json!({ "ShardIterator": from }));
    assert_eq!(page["Records"].as_array().unwrap().len(), 10, "the eleventh would exceed 10 MiB");
    assert!(page["MillisBehindLatest"].as_u64().unwrap() > 0);
    let page = call(&client, "GetRecords", json!({ "ShardIterator": page["NextShardIterator"] }));
    assert_eq!((page["Records"].as_array().unwrap().len(), &page["MillisBehindLatest"]), (2, &0.into()));
}

#[test]
fn a_time_after_the_last_record_begins_behind_it() {
    let (_kinesis, client) = start(1);
    put(&client, (0..3).map(|number| number.to_string()));
    let written = seconds_since_1970().floor();
    let at = |client: &RawClient, time: Value| {
        let input = json!({
            "StreamName": "clicks", "ShardId": "shardId-000000000000", "ShardIteratorType": "AT_TIMESTAMP",
            "Timestamp": time,
        });
        let from = call(client, "GetShardIterator", input);
        call(client, "GetRecords", json!({ "ShardIterator": from["ShardIterator"] }))
    };
    wait_until(written + 1.0);
    assert_eq!(at(&client, json!(written + 1.0))["Records"], json!([]));
    let all = at(&client, json!(written - 1.0));
    assert_eq!(all["Records"].as_array().unwrap().len(), 3);
    let arrived = all["Records"][0]["ApproximateArrivalTimestamp"].as_u64().unwrap();
    let cbor = client.with_cbor();
    let all = at(&cbor, json!((written - 1.0) * 1e3));
    assert_eq!(all["Records"][0]["ApproximateArrivalTimestamp"], arrived * 1_000, "CBOR has milliseconds");
    let summary = call(&cbor, "DescribeStreamSummary", json!({ "StreamName": "clicks" }));
    let created = summary["StreamDescriptionSummary"]["StreamCreationTimestamp"].as_f64().unwrap();
    assert!((created - written * 1e3).abs() < 1e4, "{created}");
}

#[test]
fn requests_that_the_front_answers_are_judged_like_all_others() {
    let (_kinesis, client) = start(1);
    for (operation, input, code) in [
        ("GetRecords", json!({ "ShardIterator": "nonsense" }), "InvalidArgumentException"),
        ("GetRecords", json!({}), "ValidationException"),
        ("GetRecords", json!({ "ShardIterator": "x", "Limit": 10_001 }), "ValidationException"),
        ("UpdateShardCount", json!({ "StreamName": "none" }), "ResourceNotFoundException"),
        ("UpdateShardCount", json!({ "StreamName": "clicks" }), "ValidationException"),
        (
            "UpdateShardCount",
            json!({ "StreamName": "clicks", "TargetShardCount": 1, "ScalingType": "UNIFORM_SCALING" }),
            "InvalidArgumentException",
        ),
        ("ListShards", json!({ "StreamName": "clicks", "MaxResults": 0 }), "ValidationException"),
    ] {
        for client in [client.clone(), client.clone().with_cbor()] {
            assert_eq!(error_of(&client, operation, input.clone()), code, "{operation} {input}");
        }
    }
    let mut unsigned = client.connect().unwrap();
    unsigned
        .write_all(
            b"POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Target: Kinesis_20131202.ListShards\r\n\
              Content-Type: application/x-amz-json-1.1\r\nContent-Length: 23\r\n\r\n{\"StreamName\":\"clicks\"}",
        )
        .unwrap();
    assert_eq!(
        client.receive(&mut unsigned).unwrap().error_code().as_deref(),
        Some("MissingAuthenticationTokenException")
    );
}

/// AWS's SDK for JavaScript speaks HTTP/2 with prior knowledge to an endpoint of plain HTTP.
#[test]
fn http_2_is_spoken_without_tls() {
    let (_kinesis, client) = start(1);
    let mut connection = client.connect().unwrap();
    connection.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    // The preface and an empty SETTINGS frame.
    connection.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").unwrap();
    let mut frame = [0; 9];
    connection.read_exact(&mut frame).unwrap();
    assert_eq!(frame[3], 4, "the server's SETTINGS come first");
}
