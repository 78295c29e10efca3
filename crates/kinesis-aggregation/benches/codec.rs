//! The codec beside the work that no codec can avoid, in one run: see the crate's README for the figures.
#![allow(missing_docs, clippy::unwrap_used)]

use std::collections::HashMap;
use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use kinesis_aggregation::{
    AggregateBuilder, decode, decode_without_checksum, hash_key_of, hash_keys_of, seal,
};
use md5::{Digest, Md5};

criterion_group!(benches, encoder, decoder, checksum, hash_keys);
criterion_main!(benches);

/// 8,000 records of 100 bytes with 1,000 distinct keys: an aggregate of just under 1 MiB.
struct Records {
    keys: Vec<String>,
    payloads: Vec<u8>,
}

impl Records {
    fn new() -> Self {
        // Out of order, as real keys are: 7,919 is prime to 1,000.
        let keys = (0..RECORDS).map(|n| format!("device-{:06}", n * 7_919 % DISTINCT_KEYS)).collect();
        Self { keys, payloads: (0..RECORDS * RECORD_LEN).map(|n| (n % 251) as u8).collect() }
    }

    fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.keys.iter().map(String::as_str).zip(self.payloads.chunks_exact(RECORD_LEN))
    }

    fn push_all(&self, builder: &mut AggregateBuilder) {
        for (key, data) in self.iter() {
            builder.push(black_box(key), None, black_box(data), &[]).unwrap();
        }
    }

    fn aggregate(&self) -> bytes::Bytes {
        let mut builder = AggregateBuilder::new(1 << 20);
        self.push_all(&mut builder);
        builder.finish()
    }
}

fn encoder(criterion: &mut Criterion) {
    let records = Records::new();
    let mut group = criterion.benchmark_group("encode");
    group.throughput(Throughput::Elements(RECORDS as u64));

    let mut builder = AggregateBuilder::new(1 << 20);
    records.push_all(&mut builder);
    group.bench_function("push", |bencher| {
        bencher.iter(|| {
            builder.clear();
            records.push_all(&mut builder);
            builder.encoded_len()
        });
    });

    let table: HashMap<String, u32, rapidhash::fast::SeedableState<'_>> =
        records.keys.iter().cloned().zip(0..).collect();
    let mut copy = Vec::with_capacity(1 << 20);
    group.bench_function("floor: copy and look-up", |bencher| {
        bencher.iter(|| {
            copy.clear();
            let mut sum = 0;
            for (key, data) in records.iter() {
                sum += table.get(black_box(key)).unwrap();
                copy.extend_from_slice(black_box(data));
            }
            (copy.len(), sum)
        });
    });
    let std_table: HashMap<String, u32> = table.iter().map(|(key, index)| (key.clone(), *index)).collect();
    group.bench_function("floor: copy and look-up (std's hasher)", |bencher| {
        bencher.iter(|| {
            copy.clear();
            let mut sum = 0;
            for (key, data) in records.iter() {
                sum += std_table.get(black_box(key)).unwrap();
                copy.extend_from_slice(black_box(data));
            }
            (copy.len(), sum)
        });
    });

    group.bench_function("push and finish", |bencher| {
        bencher.iter_batched(
            || {
                let mut builder = AggregateBuilder::new(1 << 20);
                builder.reserve(1 << 20);
                builder
            },
            |mut builder| {
                records.push_all(&mut builder);
                builder.finish()
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

fn decoder(criterion: &mut Criterion) {
    let aggregate = Records::new().aggregate();
    let mut group = criterion.benchmark_group("decode");
    group.throughput(Throughput::Bytes(aggregate.len() as u64));
    group.bench_function("without checksum", |bencher| {
        bencher.iter(|| {
            let aggregate = decode_without_checksum(black_box(&aggregate)).aggregate().unwrap();
            aggregate.iter().for_each(|record| _ = black_box(record));
        });
    });
    group.bench_function("with checksum", |bencher| {
        bencher.iter(|| {
            let aggregate = decode(black_box(&aggregate)).aggregate().unwrap();
            aggregate.iter().for_each(|record| _ = black_box(record));
        });
    });
    group.bench_function("floor: MD5", |bencher| {
        bencher.iter(|| Md5::digest(black_box(&aggregate)));
    });
    group.finish();
}

/// Aggregates, as many as one request may have: one at a time, and together. They are sealed already, so that each run
/// finds them as the one before did; writing 16 bytes is all that is left out.
fn checksum(criterion: &mut Criterion) {
    let records = Records::new();
    let mut group = criterion.benchmark_group("checksum");
    for (kib, counts) in [(50, &[1, 2, 4, 8, 16, 32][..]), (2, &[8, 16, 32])] {
        let mut builder = AggregateBuilder::new(kib << 10);
        let mut aggregates: Vec<bytes::Bytes> = Vec::new();
        for (key, data) in std::iter::repeat_with(|| records.iter()).flatten() {
            if builder.push(key, None, data, &[]).is_err() {
                aggregates.push(builder.finish());
            }
            if aggregates.len() == 32 {
                break;
            }
        }
        for &count in counts {
            let aggregates = &mut aggregates[..count];
            group.throughput(Throughput::Bytes(
                aggregates.iter().map(|aggregate| aggregate.len() as u64).sum(),
            ));
            group.bench_function(format!("{count} of {kib} KiB, md-5"), |bencher| {
                bencher
                    .iter(|| aggregates.iter().for_each(|aggregate| _ = black_box(Md5::digest(aggregate))));
            });
            group.bench_function(format!("{count} of {kib} KiB, seal"), |bencher| {
                bencher.iter(|| seal(black_box(&mut *aggregates)));
            });
        }
    }
    group.finish();
}

/// Keys of 36 bytes, as UUIDs are: one after the other, and as many at once as the name says.
fn hash_keys(criterion: &mut Criterion) {
    let keys: Vec<String> = (0..960).map(|n| format!("{n:08x}-6f1d-4c11-9d7e-{:012x}", n * 7_919)).collect();
    let mut group = criterion.benchmark_group("hash keys");
    group.throughput(Throughput::Elements(keys.len() as u64));
    group.bench_function("one by one", |bencher| {
        bencher.iter(|| keys.iter().for_each(|key| _ = black_box(hash_key_of(black_box(key)))));
    });
    group.bench_function("4 at once", |bencher| bencher.iter(|| hash_at_once::<4>(&keys)));
    group.bench_function("8 at once", |bencher| bencher.iter(|| hash_at_once::<8>(&keys)));
    group.bench_function("16 at once", |bencher| bencher.iter(|| hash_at_once::<16>(&keys)));
    group.bench_function("32 at once", |bencher| bencher.iter(|| hash_at_once::<32>(&keys)));
    group.finish();
}

fn hash_at_once<const N: usize>(keys: &[String]) {
    for keys in keys.as_chunks::<N>().0 {
        black_box(hash_keys_of(black_box(keys)));
    }
}

const RECORDS: usize = 8_000;
const RECORD_LEN: usize = 100;
const DISTINCT_KEYS: usize = 1_000;
