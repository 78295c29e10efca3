//! What a record costs in the core, beside the floor that no producer gets under: the MD5 of its key and a copy of
//! its payload. Records are pushed one by one and answered by an event each; the lines "in batches" make, push and
//! tell of them together, as the driver and the command do.
//!
//! `cargo bench -p kinesis-batcher-core` prints time and records a second of each; the ratio of two lines of one run
//! is what counts on a noisy machine.

#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]

use std::array::from_fn;
use std::hint::black_box;
use std::num::NonZeroU32;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use kinesis_batcher_core::{
    Batcher, Bytes, Config, Event, HashKey, Ordering, PartitionKey, Record, RecordOutcome, Request, Response,
    ShardMap, Timestamp,
};

const RECORDS: usize = 20_000;
const PAYLOAD: [u8; 100] = [b'x'; 100];
/// 10,000 records a second: within the limits of sixteen shards, and enough for full requests.
const NANOS_PER_RECORD: u64 = 100_000;
/// As many keys as go side by side through the widest vectors.
const HASHED_AT_ONCE: usize = 16;
/// What comes together: 16 ms of records.
const BATCH: usize = 10 * HASHED_AT_ONCE;

fn keys() -> Vec<String> {
    (0..RECORDS).map(|n| format!("customer-{n:013}")).collect()
}

fn floor(c: &mut Criterion) {
    let keys = keys();
    let mut group = c.benchmark_group("floor");
    group.throughput(Throughput::Elements(RECORDS as u64));
    group.bench_function("md5 and copy", |b| {
        b.iter(|| {
            for key in &keys {
                black_box(HashKey::of_partition_key(key));
                black_box(Bytes::copy_from_slice(&PAYLOAD));
            }
        });
    });
    group.finish();
}

fn core(c: &mut Criterion) {
    let keys = keys();
    let few: Vec<String> = (0..RECORDS).map(|n| format!("customer-{:013}", n % 50)).collect();
    let ordered = Ordering::PartitionKey;
    let mut group = c.benchmark_group("core");
    group.throughput(Throughput::Elements(RECORDS as u64));
    for (name, shards, aggregation, ordering, keys, in_batches) in [
        ("16 shards", 16, false, Ordering::None, &keys, false),
        ("16 shards, in batches", 16, false, Ordering::None, &keys, true),
        ("16 shards, ordered", 16, false, ordered, &keys, false),
        ("10000 shards", 10_000, false, Ordering::None, &keys, false),
        ("10000 shards, in batches", 10_000, false, Ordering::None, &keys, true),
        ("16 shards, aggregated", 16, true, Ordering::None, &keys, false),
        ("16 shards, aggregated, in batches", 16, true, Ordering::None, &keys, true),
        ("16 shards, aggregated, ordered", 16, true, ordered, &keys, false),
        ("16 shards, 50 keys", 16, false, Ordering::None, &few, false),
        ("16 shards, 50 keys, ordered", 16, false, ordered, &few, false),
    ] {
        let config = Config::builder().aggregation(aggregation).ordering(ordering);
        let mut producer = Producer::new(shards, &config.build().expect("the settings are valid"), keys);
        group.bench_function(name, |b| {
            b.iter(|| {
                if in_batches {
                    for (number, batch) in keys.chunks_exact(BATCH).enumerate() {
                        producer.send_all(number * BATCH, batch);
                    }
                } else {
                    for (number, key) in keys.iter().enumerate() {
                        producer.send(number, key);
                    }
                }
            });
        });
        let stats = producer.batcher.stats();
        let held = stats.records_queued + stats.records_in_flight;
        assert!(held < 20_000, "every record is delivered soon: {stats:?}");
        assert_eq!(stats.records_failed + stats.records_retried, 0, "and at the first attempt");
    }
    group.finish();
}

/// The loop around the core, with a service that answers at once.
struct Producer {
    batcher: Batcher<u64>,
    now: u64,
    /// A batch on its way into the batcher, and empty in between.
    records: Vec<Record>,
    /// What the service answers for each key.
    outcomes: Vec<RecordOutcome>,
    delivered: u64,
}

impl Producer {
    fn new(shards: u32, config: &Config, keys: &[String]) -> Self {
        let map = ShardMap::uniform(NonZeroU32::new(shards).expect("a stream has a shard"));
        let stored = |key: &String| RecordOutcome::Stored {
            shard_id: map.shards()[map.index_of(HashKey::of_partition_key(key))].id.clone(),
            sequence_number: "49545115243490985018280067714973144582180062593244200961".into(),
        };
        Self {
            outcomes: keys.iter().map(stored).collect(),
            batcher: Batcher::new(config.clone(), map, 1, Timestamp::ZERO),
            now: 0,
            records: Vec::new(),
            delivered: 0,
        }
    }

    fn send(&mut self, number: usize, key: &str) {
        self.now += NANOS_PER_RECORD;
        let now = Timestamp::from_nanos(self.now);
        let record = Record::new(key, payload(number)).expect("a valid record");
        self.batcher.push(now, record, self.now).expect("there is room");
        while let Some(request) = self.batcher.poll_request() {
            let response = self.respond(&request);
            self.batcher.handle_response(now, request, Ok(response));
        }
        self.poll(now);
    }

    fn send_all(&mut self, first: usize, keys: &[String]) {
        self.now += NANOS_PER_RECORD * keys.len() as u64;
        let now = Timestamp::from_nanos(self.now);
        let mut numbers = first..;
        for keys in keys.as_chunks::<HASHED_AT_ONCE>().0 {
            let records = Record::new_each::<HASHED_AT_ONCE>(from_fn(|n| {
                let key = PartitionKey::try_from(&*keys[n]).expect("a valid key");
                (key, payload(numbers.next().expect("numbers do not end")))
            }));
            self.records.extend(records.map(|record| record.expect("a valid record")));
        }
        let tag = self.now;
        self.batcher
            .push_all(now, self.records.drain(..).map(|record| (record, tag)))
            .expect("there is room");
        while let Some(request) = self.batcher.poll_request() {
            let response = self.respond(&request);
            let delivered = self.batcher.handle_answer(now, request.answered(now, Ok(response)));
            let mut delivered = delivered.expect("every record is stored");
            delivered.tell(|tag, receipt| {
                self.delivered += 1;
                black_box((tag, receipt));
            });
            self.batcher.take_back(delivered);
        }
        self.poll(now);
    }

    fn respond(&self, request: &Request<u64>) -> Response {
        let map = self.batcher.shard_map();
        let outcomes = request.records().map(|record| {
            if let Some(hash_key) = record.explicit_hash_key() {
                let shard_id = map.shards()[map.index_of(hash_key)].id.clone();
                return RecordOutcome::Stored { shard_id, sequence_number: "1".into() };
            }
            let number =
                u64::from_be_bytes(record.data()[..8].try_into().expect("it starts with its number"));
            let number = usize::try_from(number).expect("it counts the keys");
            self.outcomes[number].clone()
        });
        Response::new(outcomes.collect())
    }

    fn poll(&mut self, now: Timestamp) {
        while let Some(event) = self.batcher.poll_event() {
            if let Event::Delivered { tag, receipt } = event {
                self.delivered += 1;
                black_box((tag, receipt));
            }
        }
        if let Some(deadline) = self.batcher.poll_timeout()
            && deadline.at <= now
        {
            self.batcher.handle_timeout(now);
        }
    }
}

fn payload(number: usize) -> Bytes {
    let mut payload = PAYLOAD;
    payload[..8].copy_from_slice(&(number as u64).to_be_bytes());
    Bytes::copy_from_slice(&payload)
}

fn configured() -> Criterion {
    Criterion::default().warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(4))
}

criterion_group! { name = benches; config = configured(); targets = floor, core }
criterion_main!(benches);
