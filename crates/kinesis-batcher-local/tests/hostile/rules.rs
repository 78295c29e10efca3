//! The service's rules, which the server holds its clients to.

use kinesis_batcher_local::RawClient;
use kinesis_batcher_local::hostile::{Accounting, Distribution, HostileOptions, ShardLimits, StreamMode};
use serde_json::{Value, json};

use super::{outcomes, put, records, start, start_default};

fn entry(key: &str, data_bytes: usize) -> Value {
    // Three bytes are four characters of base64.
    let mut data = "AAAA".repeat(data_bytes / 3);
    data.push_str(["", "AA==", "AAA="][data_bytes % 3]);
    json!({ "PartitionKey": key, "Data": data })
}

/// The error code of a PutRecords call of these entries, if any.
fn refusal(client: &RawClient, entries: &[Value]) -> Option<String> {
    client.call("PutRecords", &json!({ "StreamName": "hostile", "Records": entries })).unwrap().error_code()
}

const VALIDATION: Option<&str> = Some("ValidationException");
const INVALID_ARGUMENT: Option<&str> = Some("InvalidArgumentException");
const SERIALIZATION: Option<&str> = Some("SerializationException");

#[test]
fn a_request_has_1_to_500_entries() {
    let (kinesis, client) = start_default();
    assert_eq!(outcomes(&put(&client, 500)).len(), 500);
    assert_eq!(client.put_records("hostile", &records(501)).unwrap().error_code().as_deref(), VALIDATION);
    assert_eq!(client.put_records("hostile", &[]).unwrap().error_code().as_deref(), VALIDATION);
    assert_eq!(kinesis.stored().len(), 500, "a refused request stores nothing");
}

#[test]
fn a_record_and_its_key_are_as_large_as_the_stream_says() {
    for (kib, code) in [(1_024, None), (2_048, None), (10_240, INVALID_ARGUMENT)] {
        let (_kinesis, client) =
            start(HostileOptions { record_size_max_kib: kib, ..HostileOptions::default() });
        let bytes = kib as usize * 1_024;
        assert_eq!(refusal(&client, &[entry("key", bytes - 3)]), None, "{kib} KiB at the cap");
        assert_eq!(
            refusal(&client, &[entry("key", bytes - 2)]).as_deref(),
            VALIDATION,
            "a byte above {kib} KiB"
        );
        let two = vec![entry("key", bytes - 3), entry("key", bytes - 3)];
        assert_eq!(
            refusal(&client, &two).as_deref(),
            code,
            "two of {kib} KiB against the 10 MiB of a request"
        );
    }
}

#[test]
fn a_request_has_at_most_10_mib_of_data_and_keys_before_base64() {
    let (_kinesis, client) = start_default();
    let mut entries: Vec<Value> = (0..10).map(|_| entry("key", (1 << 20) - 3)).collect();
    assert_eq!(refusal(&client, &entries), None, "exactly 10 MiB");
    entries.push(entry("k", 0));
    assert_eq!(refusal(&client, &entries).as_deref(), INVALID_ARGUMENT, "one byte of a key above it");
}

#[test]
fn a_partition_key_has_1_to_256_characters_not_bytes() {
    let (_kinesis, client) = start_default();
    assert_eq!(refusal(&client, &[entry(&"ü".repeat(256), 1)]), None);
    assert_eq!(refusal(&client, &[entry(&"ü".repeat(257), 1)]).as_deref(), VALIDATION);
    assert_eq!(refusal(&client, &[entry("", 1)]).as_deref(), VALIDATION);
    assert_eq!(refusal(&client, &[json!({ "Data": "YQ==" })]).as_deref(), VALIDATION, "a key is required");
}

#[test]
fn an_explicit_hash_key_is_canonical_and_routes() {
    let (kinesis, client) = start_default();
    let explicit = |key: &str| json!({ "PartitionKey": "k", "Data": "YQ==", "ExplicitHashKey": key });
    for (key, code) in [
        ("0", None),
        ("340282366920938463463374607431768211455", None),
        ("340282366920938463463374607431768211456", INVALID_ARGUMENT),
        ("00", VALIDATION),
        ("01", VALIDATION),
        ("+1", VALIDATION),
        ("-1", VALIDATION),
        ("", VALIDATION),
        ("abc", VALIDATION),
    ] {
        assert_eq!(refusal(&client, &[explicit(key)]).as_deref(), code, "explicit hash key {key:?}");
    }
    let stored = kinesis.stored();
    assert_eq!(stored[0].shard_id, "shardId-000000000000", "0 is in the first shard");
    assert_eq!(stored[1].shard_id, "shardId-000000000003", "2^128 - 1 is in the last shard");
    assert_eq!(stored[0].explicit_hash_key.as_deref(), Some("0"));
}

#[test]
fn one_bad_entry_refuses_the_whole_request() {
    let (kinesis, client) = start_default();
    let entries = vec![entry("good", 1), entry("", 1), entry("good", 1)];
    assert_eq!(refusal(&client, &entries).as_deref(), VALIDATION);
    assert_eq!(kinesis.stored().len(), 0);
}

#[test]
fn what_is_no_request_is_refused() {
    let (kinesis, client) = start_default();
    let code = |body: &[u8]| client.call_with_body("PutRecords", body).unwrap().error_code();
    assert_eq!(code(b"not json").as_deref(), SERIALIZATION);
    assert_eq!(code(br#"{"StreamName":"hostile"}"#).as_deref(), VALIDATION);
    let bad_base64 = br#"{"StreamName":"hostile","Records":[{"Data":"?","PartitionKey":"a"}]}"#;
    assert_eq!(code(bad_base64).as_deref(), SERIALIZATION);
    let no_stream = br#"{"Records":[{"Data":"","PartitionKey":"a"}]}"#;
    assert_eq!(code(no_stream).as_deref(), INVALID_ARGUMENT);
    let unknown = client.call("DeleteStream", &json!({})).unwrap();
    assert_eq!(unknown.error_code().as_deref(), Some("UnknownOperationException"));
    let puts = kinesis.put_requests();
    assert_eq!(puts.len(), 4, "unreadable requests are counted, other operations are not");
    assert_eq!(puts[0].entries, 0);
}

#[test]
fn the_stream_goes_by_its_name_or_its_arn() {
    let (kinesis, client) = start_default();
    let arn = kinesis.stream_arn();
    let code = |reference: Value| {
        let mut input = json!({ "Records": [entry("key", 1)] });
        input.as_object_mut().unwrap().extend(reference.as_object().unwrap().clone());
        client.call("PutRecords", &input).unwrap().error_code()
    };
    assert_eq!(code(json!({ "StreamARN": arn })), None);
    assert_eq!(code(json!({ "StreamName": "hostile", "StreamARN": arn })), None);
    for other in [json!({ "StreamName": "other" }), json!({ "StreamARN": "arn:aws:kinesis:x" })] {
        assert_eq!(code(other).as_deref(), Some("ResourceNotFoundException"));
    }
}

#[test]
fn an_unsigned_request_is_refused() {
    use std::io::{Read, Write};
    let (_kinesis, client) = start_default();
    let mut connection = client.connect().unwrap();
    let request = "POST / HTTP/1.1\r\nX-Amz-Target: Kinesis_20131202.ListShards\r\nConnection: close\r\n\
        Content-Length: 24\r\n\r\n{\"StreamName\":\"hostile\"}";
    connection.write_all(request.as_bytes()).unwrap();
    let mut reply = String::new();
    connection.read_to_string(&mut reply).unwrap();
    assert!(reply.contains("MissingAuthenticationTokenException"), "got {reply}");
    assert!(reply.contains("connection: close"), "the wish to close is granted");
}

#[test]
fn in_auto_distribution_keys_are_optional_and_ignored() {
    let (kinesis, client) = start(HostileOptions {
        stream_mode: StreamMode::OnDemand,
        distribution: Distribution::Auto,
        ..HostileOptions::default()
    });
    let entries = vec![json!({ "Data": "YQ==" }), entry("same", 1), entry("same", 1), entry("same", 1)];
    assert_eq!(refusal(&client, &entries), None);
    let mut shards: Vec<String> = kinesis.stored().into_iter().map(|record| record.shard_id).collect();
    shards.sort_unstable();
    shards.dedup();
    assert_eq!(shards.len(), 4, "the service spreads records, whatever their keys");
}

#[test]
fn auto_distribution_is_for_on_demand_streams() {
    use kinesis_batcher_local::hostile::HostileKinesis;
    for options in [
        HostileOptions { distribution: Distribution::Auto, ..HostileOptions::default() },
        HostileOptions { shards: 0, ..HostileOptions::default() },
        HostileOptions { record_size_max_kib: 10_241, ..HostileOptions::default() },
        HostileOptions { list_shards_page: 0, ..HostileOptions::default() },
    ] {
        let error = HostileKinesis::start(options).unwrap_err().to_string();
        assert!(error.contains("must be"), "the message names the range: {error}");
    }
}

#[test]
fn a_shard_beyond_its_limit_is_throttled_alone() {
    let limits =
        ShardLimits { records_per_second: 10, bytes_per_second: 1 << 20, accounting: Accounting::FIRST };
    let (kinesis, client) = start(HostileOptions { shard_limits: Some(limits), ..HostileOptions::default() });
    let mut entries = vec![entry("hot", 1); 30];
    entries.extend([entry("a", 1), entry("b", 1), entry("c", 1), entry("e", 1)]);
    let reply = client.call("PutRecords", &json!({ "StreamName": "hostile", "Records": entries })).unwrap();
    let reply = reply.ok().unwrap();
    let outcomes = outcomes(&reply);
    assert_eq!(outcomes[..30].iter().filter(|outcome| **outcome == "stored").count(), 10);
    assert_eq!(reply["FailedRecordCount"], outcomes.iter().filter(|outcome| **outcome != "stored").count());
    let hot = kinesis.stored()[0].shard_id.clone();
    let elsewhere = kinesis.stored().iter().filter(|record| record.shard_id != hot).count();
    assert!(elsewhere >= 1, "the other shards take theirs");
    assert!(
        reply["Records"][29]["ErrorMessage"].as_str().unwrap().contains(&hot),
        "the message names the shard"
    );
}
