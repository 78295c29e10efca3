//! `shards`: the table and the JSON.

use kinesis_batcher_local::hostile::{
    Distribution, Fault, HostileKinesis, HostileOptions, Operation, Rejection, StreamMode,
};

use crate::run::{Ran, finish, hostile, pusher_with_credentials};

fn shards(kinesis: &HostileKinesis, arguments: &[&str]) -> Ran {
    let url = kinesis.endpoint_url();
    finish(&mut pusher_with_credentials(&[&["shards", "--endpoint-url", &url], arguments].concat()))
}

#[test]
fn the_table_shows_each_open_shard_and_not_the_closed_ones() {
    let kinesis = hostile();
    let first = kinesis.shards()[0].shard_id.clone();
    let children = kinesis.split(&first).unwrap();
    let ran = shards(&kinesis, &["--stream=hostile"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(lines.len(), 7, "a heading, five shards, their sum:\n{}", ran.stdout);
    assert!(children.iter().all(|child| ran.stdout.contains(child)), "{}", ran.stdout);
    assert!(!ran.stdout.contains(&first), "the parent is closed:\n{}", ran.stdout);
    assert_eq!(lines[6], "5 open shards, 5,000 records/s, 5 MiB/s together");
    assert!(lines[1].contains(" 12.50 %") && lines[5].contains(" 25.00 %"), "{}", ran.stdout);
}

#[test]
fn json_has_every_page_of_a_wide_stream() {
    let options = HostileOptions { shards: 25, list_shards_page: 10, ..HostileOptions::default() };
    let kinesis = HostileKinesis::start(options).unwrap();
    let ran = shards(&kinesis, &["--stream-arn", &kinesis.stream_arn(), "--output=json"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    let rows: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    let rows = rows.as_array().unwrap();
    assert_eq!(rows.len(), 25);
    let mut next = 0_u128;
    for row in rows {
        assert_eq!(row["starting_hash_key"], next.to_string(), "in the order of their keys, without a gap");
        let last: u128 = row["ending_hash_key"].as_str().unwrap().parse().unwrap();
        next = last.wrapping_add(1);
        assert_eq!(row["records_per_second_max"], 1_000);
    }
    assert_eq!(next, 0, "up to the last hash key");
}

#[test]
fn a_stream_whose_shards_cannot_be_listed_says_why() {
    let kinesis = hostile();
    kinesis.every(Operation::ListShards, Fault::Reject(Rejection::access_denied()));
    let ran = shards(&kinesis, &["--stream=hostile"]);
    ran.assert_not_started(&["4 open shards", "permit kinesis:ListShards"]);
    let options = HostileOptions {
        stream_mode: StreamMode::OnDemand,
        distribution: Distribution::Auto,
        ..HostileOptions::default()
    };
    let auto = HostileKinesis::start(options).unwrap();
    shards(&auto, &["--stream=hostile"]).assert_not_started(&["4 open shards itself", "whatever their keys"]);
}

#[test]
fn a_stream_that_does_not_exist_is_named() {
    let kinesis = hostile();
    shards(&kinesis, &["--stream=no-such-stream"]).assert_not_started(&["no-such-stream"]);
}
