//! What a scrape costs, by the number of shards.
//!
//! `cargo bench -p kinesis-batcher-metrics --bench scrape`

#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]

#[path = "../tests/common/mod.rs"]
mod common;

use std::hint::black_box;
use std::time::Duration;

use common::fake_kinesis::Behaviour;
use common::{producer, record, scrape};
use criterion::{Criterion, criterion_group, criterion_main};
use kinesis_batcher_metrics::ProducerCollector;
use prometheus_client::registry::Registry;

fn scrapes(c: &mut Criterion) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    let _entered = runtime.enter();
    let mut group = c.benchmark_group("scrape");
    for shards in [4, 100, 10_000] {
        let (producer, _) = producer(shards, Behaviour::default());
        runtime.block_on(async {
            producer.send_all((0..20_000).map(record)).await.expect("the producer is open");
            producer.flush().await.expect("the runtime lives");
        });
        let mut registry = Registry::default();
        registry.register_collector(Box::new(ProducerCollector::new(&producer)));
        group.bench_function(format!("{shards} shards"), |b| {
            b.iter(|| black_box(scrape(&registry).len()));
        });
        group.bench_function(format!("{shards} shards, lock held"), |b| {
            b.iter(|| black_box(producer.snapshot()));
        });
    }
    group.finish();
}

fn configured() -> Criterion {
    Criterion::default().warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2))
}

criterion_group! { name = benches; config = configured(); targets = scrapes }
criterion_main!(benches);
