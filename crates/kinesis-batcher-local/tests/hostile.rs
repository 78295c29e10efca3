//! Every misbehaviour of the hostile Kinesis, as a client sees it on the wire.

#![allow(clippy::unwrap_used)]

#[path = "hostile/cbor.rs"]
mod cbor;
#[path = "hostile/faults.rs"]
mod faults;
#[path = "hostile/metadata.rs"]
mod metadata;
#[path = "hostile/rules.rs"]
mod rules;
#[path = "hostile/scripts.rs"]
mod scripts;

use kinesis_batcher_local::RawClient;
use kinesis_batcher_local::hostile::{HostileKinesis, HostileOptions};
use serde_json::Value;

fn start(options: HostileOptions) -> (HostileKinesis, RawClient) {
    let kinesis = HostileKinesis::start(options).unwrap();
    let client = RawClient::new(kinesis.address());
    (kinesis, client)
}

fn start_default() -> (HostileKinesis, RawClient) {
    start(HostileOptions::default())
}

/// Puts so many records of distinct keys, and gives the reply's body.
fn put(client: &RawClient, count: usize) -> Value {
    client.put_records("hostile", &records(count)).unwrap().ok().unwrap()
}

fn records(count: usize) -> Vec<(&'static str, &'static [u8])> {
    KEYS.iter().cycle().take(count).map(|key| (*key, b"payload".as_slice())).collect()
}

/// What each entry of a reply says: a shard, an error code, or nothing.
fn outcomes(reply: &Value) -> Vec<&str> {
    let entries = reply["Records"].as_array().unwrap();
    let outcome = |entry: &'static str, of: &'_ Value| of[entry].is_string();
    entries
        .iter()
        .map(|entry| {
            if outcome("ErrorCode", entry) {
                entry["ErrorCode"].as_str().unwrap()
            } else if outcome("ShardId", entry) && outcome("SequenceNumber", entry) {
                "stored"
            } else {
                "blank"
            }
        })
        .collect()
}

/// Of MD5s that spread over four shards.
const KEYS: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];
