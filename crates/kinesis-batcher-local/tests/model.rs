//! `kinesis-model` beside ferrokinesis, on the behaviour that both have.
//!
//! Where they differ on purpose nothing is compared: ferrokinesis counts limits without partition keys, takes 5 MiB a
//! request, measures partition keys in bytes, and lets explicit hash keys with leading zeros through.

#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use kinesis_batcher_local::{EmbeddedKinesis, EmbeddedOptions, RawClient, RawReply};
use kinesis_model::{
    Accounting, EntryReply, Kinesis, PutEntry, Refusal, Rng, SequenceNumber, ServiceOptions, ShardId, Time,
};
use serde_json::{Value, json};

/// The same stream in both.
struct Both {
    model: Kinesis,
    emulator: EmbeddedKinesis,
    client: RawClient,
}

/// A partition key, and an explicit hash key as the wire has it.
type Key = (String, Option<String>);

impl Both {
    async fn start(shards: u32, enforce_limits: bool) -> Self {
        let mut options = ServiceOptions::default();
        options.shards = shards;
        // As ferrokinesis counts (S-08).
        options.accounting = Accounting::FIRST;
        if !enforce_limits {
            (options.records_per_second_per_shard, options.bytes_per_second_per_shard) = (u32::MAX, u32::MAX);
        }
        let emulator =
            EmbeddedKinesis::start(EmbeddedOptions { enforce_limits, ..EmbeddedOptions::default() }).unwrap();
        emulator.create_stream(STREAM, shards).await.unwrap();
        let client = RawClient::new(emulator.address());
        Self { model: Kinesis::new(options, 1, Time::ZERO), emulator, client }
    }

    /// What the model says to these records.
    fn ask_model(&mut self, keys: &[Key], data: &[u8]) -> Result<Vec<EntryReply>, Refusal> {
        let entries: Result<Vec<PutEntry<'_>>, Refusal> = keys
            .iter()
            .enumerate()
            .map(|(position, (key, explicit))| {
                PutEntry::from_wire(data, Some(key), explicit.as_deref(), position)
            })
            .collect();
        self.model.put_records(Time::ZERO, &entries?).answer()
    }

    /// What the emulator says to them; the data are "x".
    fn ask_emulator(&self, keys: &[Key]) -> RawReply {
        let records: Vec<Value> = keys
            .iter()
            .map(|(key, explicit)| match explicit {
                Some(explicit) => json!({ "Data": "eA==", "PartitionKey": key, "ExplicitHashKey": explicit }),
                None => json!({ "Data": "eA==", "PartitionKey": key }),
            })
            .collect();
        self.client.call("PutRecords", &json!({ "StreamName": STREAM, "Records": records })).unwrap()
    }

    /// Puts these records into both, and finds them in the same shards, in the order of their sequence numbers.
    fn put_and_compare(&mut self, keys: &[Key]) {
        for keys in keys.chunks(500) {
            let of_model: Vec<(ShardId, SequenceNumber)> =
                self.ask_model(keys, b"x").unwrap().into_iter().map(stored).collect();
            let reply = self.ask_emulator(keys).ok().unwrap();
            let of_emulator: Vec<(ShardId, String)> = reply["Records"]
                .as_array()
                .unwrap()
                .iter()
                .map(|entry| {
                    let text = |field: &str| entry[field].as_str().unwrap().to_owned();
                    (text("ShardId").parse().unwrap(), text("SequenceNumber"))
                })
                .collect();
            for ((key, model), emulator) in keys.iter().zip(&of_model).zip(&of_emulator) {
                assert_eq!(model.0, emulator.0, "{key:?} belongs into the same shard");
            }
            assert_rising(&of_model, "the model");
            // Decimal numbers of 56 digits.
            assert!(of_emulator.iter().all(|(_, number)| number.len() == 56), "{of_emulator:?}");
            assert_rising(&of_emulator, "ferrokinesis");
        }
    }

    /// Both refuse the call.
    fn both_refuse(&mut self, what: &str, keys: &[Key]) {
        let refusal = self.ask_model(keys, b"x").expect_err(what);
        let reply = self.ask_emulator(keys);
        assert_eq!(refusal.status_and_code().0, reply.status, "{what} is refused with the same status");
        assert!(reply.ok().is_err(), "{what} is refused by ferrokinesis");
    }

    async fn assert_nothing_is_stored(&self) {
        assert_eq!(self.model.open_shards().map(|shard| shard.records_accepted).sum::<u64>(), 0);
        assert!(self.emulator.stored_records(STREAM).await.unwrap().is_empty());
    }
}

fn stored(reply: EntryReply) -> (ShardId, SequenceNumber) {
    match reply {
        EntryReply::Stored { shard_id, sequence_number } => (shard_id, sequence_number),
        reply => panic!("without limits nothing fails, and this did: {reply:?}"),
    }
}

fn assert_rising<N: Ord>(stored: &[(ShardId, N)], who: &str) {
    let mut last = std::collections::BTreeMap::new();
    for (shard, number) in stored {
        if let Some(before) = last.insert(shard, number) {
            assert!(before < number, "{who} numbers the records of a shard in their order");
        }
    }
}

/// Partition keys of every length, and explicit hash keys anywhere and at the ends of ranges.
fn generated_keys(seed: u64, count: usize) -> Vec<Key> {
    let mut rng = Rng::new(seed);
    let keys = (0..count).map(|_| {
        let key = match rng.below(3) {
            0 => format!("{}", rng.below(1_000)),
            1 => format!("customer-{:x}", rng.next()),
            _ => "é".repeat(rng.between(1, 100) as usize),
        };
        let anywhere = u128::from(rng.next()) << 64 | u128::from(rng.next());
        let at_an_end = (u128::from(rng.below(16)) << 124).wrapping_sub(u128::from(rng.below(2)));
        let explicit = match rng.below(4) {
            0 => Some(anywhere),
            1 => Some(at_an_end),
            _ => None,
        };
        (key, explicit.map(|key| key.to_string()))
    });
    keys.collect()
}

fn key(text: &str) -> Key {
    (text.to_owned(), None)
}

#[tokio::test]
async fn records_land_in_the_same_shards_before_and_after_splits_and_merges() {
    for shards in [1, 3, 4] {
        let mut both = Both::start(shards, false).await;
        both.put_and_compare(&generated_keys(u64::from(shards), 1_000));
        for round in 0..4 {
            let open: Vec<ShardId> = both.model.open_shards().map(|shard| shard.id).collect();
            let parent = open[round % open.len()];
            both.model.split(Time::ZERO, parent).unwrap();
            let [lower, upper] = both.emulator.split_shard(STREAM, &parent.to_string()).await.unwrap();
            both.put_and_compare(&generated_keys(100 + round as u64, 500));
            if round % 2 == 1 {
                let [left, right] = [&lower, &upper].map(|id| id.parse().unwrap());
                both.model.merge(Time::ZERO, left, right).unwrap();
                both.emulator.merge_shards(STREAM, &lower, &upper).await.unwrap();
                both.put_and_compare(&generated_keys(200 + round as u64, 500));
            }
        }
        both.emulator.shutdown().await;
    }
}

#[tokio::test]
async fn malformed_calls_are_refused_by_both_and_nothing_of_them_is_stored() {
    let mut both = Both::start(2, false).await;
    both.both_refuse("a call without records", &[]);
    both.both_refuse("a call of 501 records", &vec![key("k"); 501]);
    both.both_refuse("an empty partition key", &[key("k"), key("")]);
    both.both_refuse("a partition key of 257 characters", &[key("k"), key(&"k".repeat(257))]);
    for text in ["-1", "1e3", "abc", "340282366920938463463374607431768211456"] {
        let bad = ("k".to_owned(), Some(text.to_owned()));
        both.both_refuse(&format!("the explicit hash key {text:?}"), &[key("k"), bad]);
    }
    both.assert_nothing_is_stored().await;
    both.emulator.shutdown().await;
}

#[tokio::test]
async fn a_record_above_one_mebibyte_takes_its_neighbours_with_it() {
    let mut both = Both::start(1, false).await;
    let large = vec![0; (1 << 20) + 1];
    let entries = [
        PutEntry { data: b"x", partition_key: Some("k"), explicit_hash_key: None },
        PutEntry { data: &large, partition_key: Some("k"), explicit_hash_key: None },
    ];
    let refusal = both.model.put_records(Time::ZERO, &entries).answer().unwrap_err();
    let reply = both.client.put_records(STREAM, &[("k", b"x"), ("k", &large)]).unwrap();
    assert_eq!(refusal.status_and_code().0, reply.status);
    both.assert_nothing_is_stored().await;
    both.emulator.shutdown().await;
}

// S-08
#[tokio::test]
async fn a_shard_takes_its_limit_in_a_second_that_begins_with_a_record_and_again_in_the_next() {
    let mut both = Both::start(1, true).await;
    let keys = vec![key("k"); 500];
    let entries = [PutEntry { data: b"x", partition_key: Some("k"), explicit_hash_key: None }; 500];
    let began = Instant::now();
    let (mut of_model, mut of_emulator) = (0, 0);
    while of_model < 2_000 || of_emulator < 2_000 {
        let now = Time::from_nanos(began.elapsed().as_nanos() as u64);
        let replies = both.model.put_records(now, &entries).answer().unwrap();
        of_model += count(replies.iter().map(EntryReply::code));
        let reply = both.ask_emulator(&keys).ok().unwrap();
        let entries = reply["Records"].as_array().unwrap();
        of_emulator += count(entries.iter().map(|entry| entry["ErrorCode"].as_str()));
        // No second begins before the first call.
        let at_most = 1_000 * (began.elapsed().as_secs() + 1);
        for (who, accepted) in [("the model", of_model), ("ferrokinesis", of_emulator)] {
            assert!((500..=at_most).contains(&accepted), "{who}: {accepted} after {:?}", began.elapsed());
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{of_model} and {of_emulator} in a minute");
    }
    both.emulator.shutdown().await;
}

/// How many were stored; all others were throttled.
fn count<'a>(codes: impl Iterator<Item = Option<&'a str>>) -> u64 {
    codes
        .map(|code| match code {
            None => 1,
            Some(code) => {
                assert_eq!(code, "ProvisionedThroughputExceededException");
                0
            }
        })
        .sum()
}

const STREAM: &str = "both";
