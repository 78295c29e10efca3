//! What a scrape tells.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "helpers of tests are tests")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::fake_kinesis::Behaviour;
use common::openmetrics::{Exposition, parse};
use common::{producer, producer_with, record, scrape};
use kinesis_batcher_driver::{HashKey, Producer, Record, ShardLimit};
use kinesis_batcher_metrics::ProducerCollector;
use prometheus_client::registry::Registry;

fn registry(collector: ProducerCollector) -> Registry {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(collector));
    registry
}

/// What must add up in every scrape, whenever it is made.
fn check_sums(exposition: &Exposition) {
    let value = |name: &str| exposition.value(&format!("kinesis_batcher_{name}"), &[]);
    let by = |name: &str, label: &str, value: &str| {
        exposition.value(&format!("kinesis_batcher_{name}"), &[(label, value)])
    };
    let (success, failed) =
        (by("records_total", "result", "success"), by("records_total", "result", "failed"));
    let held = value("buffer_records");
    assert_eq!(
        value("records_accepted_total"),
        success + failed + held,
        "accepted = success + failed + held"
    );
    assert_eq!(
        exposition.sum("kinesis_batcher_records_failed_total"),
        failed,
        "reasons add up to the failures"
    );
    assert!(
        by("records_total", "result", "recovered") <= success,
        "recovered records are among the delivered"
    );
    assert_eq!(value("push_delay_seconds_count"), success, "each delivered record has a delay");
    assert_eq!(value("user_records_per_kinesis_record_sum"), success);
    assert_eq!(value("user_records_per_kinesis_record_count"), value("kinesis_records_delivered_total"));
    let came_back = exposition.sum("kinesis_batcher_requests_total");
    assert_eq!(
        value("request_duration_seconds_count"),
        came_back,
        "each request that came back has a duration"
    );
    assert_eq!(value("request_entries_count"), came_back + value("requests_in_flight"));
    assert_eq!(value("request_bytes_count"), value("request_entries_count"));
    assert_eq!(value("request_entries_sum"), exposition.sum("kinesis_batcher_shard_records_sent_total"));
    assert!(value("buffer_bytes") <= value("buffer_max_bytes") && held <= value("buffer_max_records"));
    assert!(value("records_in_flight") <= held);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accepted_is_success_and_failed_and_held_at_every_scrape_under_load_and_faults() {
    for aggregation in [false, true] {
        let behaviour = Behaviour {
            latency: (Duration::from_millis(1), Duration::from_millis(15)),
            records_per_second: 4_000,
            hot: Some((1, if aggregation { 5 } else { 200 })),
            failing_requests: 100,
            refused_records: 20,
            refusal: None,
        };
        let (producer, _) = producer_with(4, behaviour, |config| {
            config
                .shard_limit(ShardLimit::Off)
                .linger(Duration::from_millis(5))
                .time_to_live(Some(Duration::from_millis(400)))
                .attempts_max(8)
                .fail_fast(true)
                .buffer_records_max(3_000)
                .aggregation(aggregation)
        });
        let registry = registry(ProducerCollector::new(&producer));
        let stop = Arc::new(AtomicBool::new(false));
        let senders: Vec<_> =
            (0..2).map(|sender| tokio::spawn(send(producer.clone(), sender, Arc::clone(&stop)))).collect();
        let mut scrapes = 0;
        let mut last = parse(&scrape(&registry));
        let enough = |seen: &Exposition| {
            let of = |name: &str, label: &str, value: &str| {
                seen.value(&format!("kinesis_batcher_{name}"), &[(label, value)]) > 0.0
            };
            of("records_total", "result", "recovered")
                && of("records_failed_total", "reason", "permanent")
                && of("records_failed_total", "reason", "expired")
                && of("requests_total", "outcome", "transient")
                && seen.sum("kinesis_batcher_kinesis_records_throttled_total") > 0.0
        };
        while !(scrapes >= 200 && enough(&last)) {
            scrapes += 1;
            assert!(scrapes < 20_000, "every kind of fault shows sooner or later");
            last = parse(&scrape(&registry));
            check_sums(&last);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        stop.store(true, Ordering::Relaxed);
        for sender in senders {
            sender.await.unwrap();
        }
        let report = producer.close(Duration::from_secs(30)).await;
        let end = parse(&scrape(&registry));
        check_sums(&end);
        assert_eq!(end.value("kinesis_batcher_buffer_records", &[]), 0.0);
        let delivered = end.value("kinesis_batcher_records_total", &[("result", "success")]);
        assert_eq!(delivered, report.delivered as f64, "the figures outlive the producer");
    }
}

async fn send(producer: Producer, sender: u64, stop: Arc<AtomicBool>) {
    let mut number = sender << 32;
    while !stop.load(Ordering::Relaxed) {
        let records = (0..50).map(|index| record(number + index));
        producer.send_all(records).await.expect("the producer is open");
        number += 50;
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn several_producers_share_each_family_and_are_told_apart_by_stream() {
    let (orders, _) = producer(2, Behaviour::default());
    let (clicks, _) = producer(3, Behaviour::default());
    let odd = "cli\"cks\\\n";
    let registry =
        registry(ProducerCollector::default().with_stream("orders", &orders).with_stream(odd, &clicks));
    for number in 0..7 {
        orders.send(record(number)).await.unwrap().await.unwrap();
    }
    clicks.send(record(1)).await.unwrap().await.unwrap();
    let exposition = parse(&scrape(&registry));
    for (stream, delivered, shards) in [("orders", 7.0, 2.0), (odd, 1.0, 3.0)] {
        let labels = [("stream", stream), ("result", "success")];
        assert_eq!(exposition.value("kinesis_batcher_records_total", &labels), delivered);
        assert_eq!(exposition.value("kinesis_batcher_open_shards", &[("stream", stream)]), shards);
    }
    assert!(exposition.samples().all(|sample| sample.labels.contains_key("stream")));
}

#[tokio::test]
#[should_panic(expected = "two producers have the label")]
async fn two_producers_cannot_have_the_same_label() {
    let (producer, _) = producer(1, Behaviour::default());
    let _ = ProducerCollector::default().with_stream("orders", &producer).with_stream("orders", &producer);
}

#[tokio::test]
async fn a_collector_keeps_no_producer_open() {
    let (producer, _) = producer(1, Behaviour::default());
    let registry = registry(ProducerCollector::new(&producer));
    drop(producer.send(record(1)).await.unwrap());
    drop(producer);
    let delivered =
        || parse(&scrape(&registry)).value("kinesis_batcher_records_total", &[("result", "success")]);
    while delivered() < 1.0 {
        tokio::task::yield_now().await;
    }
    let held = parse(&scrape(&registry)).value("kinesis_batcher_buffer_records", &[]);
    assert_eq!(held, 0.0, "what was held was delivered after the last handle had gone");
}

#[tokio::test(start_paused = true)]
async fn a_producer_that_is_stuck_shows_and_one_that_is_idle_does_not() {
    let (producer, stream) = producer(1, Behaviour::default());
    let registry = registry(ProducerCollector::new(&producer));
    producer.send(record(1)).await.unwrap().await.unwrap();
    tokio::time::sleep(Duration::from_secs(100)).await;
    let value = |name: &str| parse(&scrape(&registry)).value(&format!("kinesis_batcher_{name}"), &[]);
    assert!(value("last_success_age_seconds") >= 100.0);
    assert_eq!(
        (value("stalled_seconds"), value("oldest_record_age_seconds")),
        (0.0, 0.0),
        "it has nothing to do"
    );

    stream.behave(Behaviour { failing_requests: 2_000, ..Behaviour::default() });
    let delivery = producer.send(record(2)).await.unwrap();
    tokio::time::sleep(Duration::from_secs(20)).await;
    let stalled = value("stalled_seconds");
    assert!((20.0..21.0).contains(&stalled), "it has been stuck for 20 s, not for {stalled}");

    stream.behave(Behaviour::default());
    delivery.await.unwrap();
    assert_eq!(value("stalled_seconds"), 0.0);
    let labels = [("result", "recovered")];
    assert_eq!(parse(&scrape(&registry)).value("kinesis_batcher_records_total", &labels), 1.0);
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_shards_are_told_as_a_hundred_and_their_rest() {
    let (producer, stream) = producer(10_000, Behaviour::default());
    let registry = registry(ProducerCollector::new(&producer));
    let hot = HashKey::new(u128::MAX / 10_000 * 7_777 + 5);
    let mut rest = 0.0;
    for round in 0..4 {
        if round == 2 {
            stream.behave(Behaviour { hot: Some((1, 0)), ..Behaviour::default() });
        }
        for number in 0..1_000 {
            let record = record(number).with_explicit_hash_key(hot);
            drop(
                producer
                    .send(if number % 2 == 0 { record } else { self::record(number + round) })
                    .await
                    .unwrap(),
            );
        }
        producer.flush().await.unwrap();
        tokio::time::sleep(Duration::from_secs(6)).await;
        let text = scrape(&registry);
        assert!(text.len() < 150_000, "a scrape has {} bytes", text.len());
        let exposition = parse(&text);
        let series = exposition.families["kinesis_batcher_shard_records_sent"].samples.len();
        assert_eq!(series, 101, "a hundred shards and one line for the others");
        let hot_shard = [("shard", "shardId-000000007777")];
        assert!(
            exposition.value("kinesis_batcher_shard_records_sent_total", &hot_shard)
                >= 500.0 * (round + 1) as f64
        );
        let others = exposition.value("kinesis_batcher_shard_records_sent_total", &[("shard", "other")]);
        assert!(others - rest >= 300.0, "of 500 records, a hundred shards had a few: {rest} then {others}");
        rest = others;
    }
}

#[tokio::test(start_paused = true)]
async fn the_rest_never_steps_back_when_its_shards_come_to_the_fore() {
    let (producer, _) = producer(8, Behaviour::default());
    let registry = registry(ProducerCollector::new(&producer).with_shards_max(2));
    let send_to = async |shard: u128, count: u64| {
        for number in 0..count {
            let key = HashKey::new(u128::MAX / 8 * shard + 5);
            producer.send(record(number).with_explicit_hash_key(key)).await.unwrap().await.unwrap();
        }
    };
    let mut rest = 0.0;
    for hot in [0, 1, 2, 7, 6, 0, 3] {
        for shard in 0..8 {
            send_to(shard, 3).await;
        }
        send_to(hot, 200).await;
        tokio::time::sleep(Duration::from_secs(6)).await;
        let exposition = parse(&scrape(&registry));
        let shard = format!("shardId-{hot:012}");
        let sent = exposition.find("kinesis_batcher_shard_records_sent_total", &[("shard", &shard)]);
        assert!(sent.is_some_and(|sent| sent >= 200.0), "shard {hot} is hot and is told by name");
        let now = exposition.value("kinesis_batcher_shard_records_sent_total", &[("shard", "other")]);
        assert!(now >= rest + 6.0 * 3.0, "six others were sent three records each: {rest} then {now}");
        rest = now;
    }
}

#[tokio::test(start_paused = true)]
async fn utilisation_is_what_was_sent_lately_against_what_may_be_sent() {
    let (producer, _) = producer_with(2, Behaviour::default(), |config| config.linger(Duration::ZERO));
    let registry = registry(ProducerCollector::new(&producer));
    let key = HashKey::new(5);
    for second in 0..30 {
        for _ in 0..50 {
            let record = Record::new("k", vec![0; 5 << 10]).unwrap().with_explicit_hash_key(key);
            producer.send_and_forget(record).await.unwrap();
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        let exposition = parse(&scrape(&registry));
        let utilisation =
            exposition.value("kinesis_batcher_shard_utilisation_ratio", &[("shard", "shardId-000000000000")]);
        if second > 10 {
            // 250 KiB a second of 1 MiB; of the records' limit it is a twentieth.
            assert!((0.2..0.3).contains(&utilisation), "{utilisation} in second {second}");
        }
        let idle =
            exposition.value("kinesis_batcher_shard_utilisation_ratio", &[("shard", "shardId-000000000001")]);
        assert_eq!(idle, 0.0);
    }
}
