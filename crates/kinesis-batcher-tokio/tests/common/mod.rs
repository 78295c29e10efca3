//! What the tests against servers have in common.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "each test file uses its part")]

use std::collections::HashMap;
use std::time::Duration;

use kinesis_batcher_local::hostile::{HostileKinesis, HostileOptions};
use kinesis_batcher_tokio::{
    Config, ConfigBuilder, Credentials, Delivery, DeliveryError, Producer, ProducerBuilder, Receipt, Record,
    ShardLimit, Wire,
};

pub const STREAM: &str = "hostile";

/// A builder that looks at nothing of the machine's own AWS settings.
pub fn builder(endpoint_url: &str, stream: &str) -> ProducerBuilder {
    Producer::builder(stream)
        .endpoint_url(endpoint_url)
        .region("us-east-1")
        .credentials(Credentials::for_tests())
        .wire(wire())
        .config(eager().build().unwrap())
}

/// The wire of this test binary: some run the tests of others over another one.
fn wire() -> Wire {
    match env!("CARGO_CRATE_NAME") {
        "wire_sdk" => Wire::Sdk,
        "wire_direct" => Wire::Direct,
        "wire_cbor" => Wire::Cbor,
        _ => Wire::default(),
    }
}

/// Requests soon, and no limits of ours.
pub fn eager() -> ConfigBuilder {
    Config::builder().linger(Duration::from_millis(5)).shard_limit(ShardLimit::Off)
}

pub fn hostile() -> HostileKinesis {
    HostileKinesis::start(HostileOptions::default()).unwrap()
}

pub async fn producer(kinesis: &HostileKinesis) -> Producer {
    builder(&kinesis.endpoint_url(), STREAM).connect().await.unwrap()
}

pub fn record(data: impl AsRef<str>) -> Record {
    let data = data.as_ref();
    Record::new(format!("key-{data}"), data.to_owned()).unwrap()
}

/// What became of each record, by its data.
pub type Outcomes = HashMap<String, Result<Receipt, DeliveryError>>;

/// Sends `count` records whose data begins with `name`, and waits for what becomes of them.
pub async fn send(producer: &Producer, name: &str, count: usize) -> Outcomes {
    let mut deliveries: Vec<(String, Delivery)> = vec![];
    for number in 0..count {
        let data = format!("{name}-{number}");
        deliveries.push((data.clone(), producer.send(record(&data)).await.unwrap()));
    }
    let mut outcomes = Outcomes::new();
    for (data, delivery) in deliveries {
        outcomes.insert(data, delivery.await);
    }
    outcomes
}

/// Nothing is lost, and what was doubled was said to be possibly doubled; receipts name a copy that is there.
pub fn assert_nothing_lost(outcomes: &Outcomes, kinesis: &HostileKinesis) {
    let mut copies: HashMap<&str, Vec<(&str, &str)>> = HashMap::new();
    let stored = kinesis.stored();
    for copy in &stored {
        let data = std::str::from_utf8(&copy.data).unwrap();
        copies.entry(data).or_default().push((&copy.shard_id, &copy.sequence_number));
    }
    for (data, outcome) in outcomes {
        let copies = copies.get(&**data).map_or(&[][..], Vec::as_slice);
        match outcome {
            Ok(receipt) => {
                assert!(!copies.is_empty(), "{data} has a receipt and is not stored");
                assert!(
                    copies.len() == 1 || receipt.possible_duplicate,
                    "{data} is stored twice and nobody said so"
                );
                let (shard, number) = (receipt.shard_id.to_string(), receipt.sequence_number.to_string());
                assert!(copies.contains(&(&shard, &number)), "{data} is not where its receipt says");
            }
            Err(error) => {
                let said = error.failure().possibly_stored;
                assert!(
                    copies.is_empty() || said,
                    "{data} failed and is stored, and nobody said so: {error}"
                );
            }
        }
    }
}

pub fn assert_all_delivered(outcomes: &Outcomes) {
    for (data, outcome) in outcomes {
        assert!(outcome.is_ok(), "{data} was not delivered: {outcome:?}");
    }
}

/// How many were said to be possibly doubled.
pub fn possible_duplicates(outcomes: &Outcomes) -> usize {
    outcomes.values().flatten().filter(|receipt| receipt.possible_duplicate).count()
}
