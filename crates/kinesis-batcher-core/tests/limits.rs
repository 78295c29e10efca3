//! Each shard's limits, in every situation.

mod common;

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use common::{World, key_for, millis, refused, stored, throttled};
use kinesis_batcher_core::{Config, HashKey, Response, Shard, ShardLimit, ShardMap, Timestamp};

/// Records that arrive for a shard in any window of a second stay within its limit and its burst.
fn assert_within_limits(world: &World, records_per_second: usize) {
    let mut by_shard: BTreeMap<usize, Vec<Timestamp>> = BTreeMap::new();
    for arrival in &world.arrivals {
        for record in &arrival.records {
            by_shard.entry(world.map.index_of(record.hash_key)).or_default().push(arrival.at);
        }
    }
    let allowed = records_per_second + records_per_second / 5;
    for (shard, times) in by_shard {
        for window in times.windows(allowed + 1) {
            let span = window[allowed].since(window[0]);
            assert!(
                span >= Duration::from_secs(1),
                "{} records went to shard {shard} within {span:?}",
                allowed + 1
            );
        }
    }
}

// S-06, S-08
#[test]
fn a_shard_is_sent_no_more_than_it_takes_and_no_less() {
    let mut world = World::new(Config::builder().time_to_live(None).build().unwrap(), 1);
    for tag in 0..10_000 {
        world.push(tag, "k", 100).unwrap();
    }
    let start = world.now;
    world.run_until_done();
    assert_within_limits(&world, 1_000);
    let took = world.now.since(start).as_secs_f64();
    assert!((10.0..10.4).contains(&took), "ten thousand records at a thousand a second took {took} s");
    assert!(world.arrivals.len() < 700, "a saturated shard gets {} requests", world.arrivals.len());
}

// S-07
#[test]
fn bytes_are_limited_as_records_are() {
    let mut world = World::new(Config::default(), 1);
    for tag in 0..50 {
        world.push(tag, "k", 100_000).unwrap();
    }
    let start = world.now;
    world.run_until_done();
    let took = world.now.since(start).as_secs_f64();
    assert!((4.4..5.0).contains(&took), "5 MB at 1 MiB a second took {took} s");
}

#[test]
fn a_record_larger_than_the_burst_is_sent_and_paid_for() {
    let map = ShardMap::uniform(NonZeroU32::MIN).with_record_bytes_max(10 << 20);
    let mut world = World::with_map(Config::default(), map);
    world.push(0, "k", 4 << 20).unwrap();
    world.push(1, "k", 100).unwrap();
    world.run_until_done();
    assert!(world.delay(0) < millis(200), "the large record goes on a full bucket");
    let paid = world.delay(1).as_secs_f64();
    assert!((3.7..4.3).contains(&paid), "the next one waited {paid} s for the debt of four seconds");
}

#[test]
fn flush_does_not_skip_the_limits() {
    let mut world = World::new(Config::default(), 1);
    for tag in 0..3_000 {
        world.push(tag, "k", 100).unwrap();
        if tag % 100 == 0 {
            world.batcher.flush(world.now);
            world.settle();
        }
    }
    world.batcher.close(world.now);
    world.run_until_done();
    assert_within_limits(&world, 1_000);
}

#[test]
fn a_throttled_shard_does_not_delay_its_neighbours() {
    let mut world = World::new(Config::default(), 2);
    let keys = [key_for(&world.map, 0), key_for(&world.map, 1)];
    world.service(|arrival, map| {
        let outcome = |record: &common::Arrived| {
            if map.index_of(record.hash_key) == 0 { throttled() } else { stored(record, map) }
        };
        Ok(Response::new(arrival.records.iter().map(outcome).collect()))
    });
    let mut tag = 0;
    for _ in 0..100 {
        for key in &keys {
            for _ in 0..4 {
                world.push(tag, key, 100).unwrap();
                tag += 1;
            }
        }
        world.run_for(millis(10));
    }
    world.run_for(millis(200));
    assert_eq!(world.delivered.len(), 400, "every record of the healthy shard was delivered");
    let slowest = world.delivered.keys().map(|&tag| world.delay(tag)).max().unwrap();
    assert!(slowest <= millis(130), "the slowest of them took {slowest:?}");
    let sent_to_throttled = world.stats().records_throttled;
    assert!(sent_to_throttled < 2_500, "the throttled shard was tried {sent_to_throttled} times in a second");
}

#[test]
fn a_retry_loop_sleeps() {
    let mut world = World::new(Config::builder().time_to_live(None).build().unwrap(), 1);
    world.service(|arrival, _| Ok(Response::new(vec![throttled(); arrival.records.len()])));
    world.push(0, "k", 100).unwrap();
    world.run_for(Duration::from_secs(60));
    let tries = world.arrivals.len();
    assert!((60..300).contains(&tries), "a record that is throttled for a minute is tried {tries} times");
}

#[test]
fn a_child_shard_does_not_start_with_a_full_burst() {
    let mut world = World::new(Config::default(), 1);
    for tag in 0..1_500 {
        world.push(tag, &format!("k{tag}"), 100).unwrap();
    }
    world.settle();
    assert_eq!(world.request_sizes(), [200], "the parent's burst is used up");
    let half = u128::MAX / 2;
    let children = vec![
        Shard::new("shardId-000000000001", HashKey::MIN, HashKey::new(half)),
        Shard::new("shardId-000000000002", HashKey::new(half + 1), HashKey::MAX),
    ];
    world.map = ShardMap::known(children).unwrap();
    let resharded_at = world.now;
    world.batcher.handle_shard_map(world.now, world.map.clone());
    world.settle();
    assert_eq!(world.request_sizes(), [200], "nothing goes to the children at once");
    world.run_until_done();
    let mut sent = [0u64; 2];
    for arrival in &world.arrivals[1..] {
        for record in &arrival.records {
            sent[world.map.index_of(record.hash_key)] += 1;
        }
        let millis = u64::try_from(arrival.at.since(resharded_at).as_millis()).unwrap();
        assert!(sent.iter().all(|&sent| sent <= millis + 1), "{sent:?} records went within {millis} ms");
    }
    assert_eq!(sent.iter().sum::<u64>(), 1_300, "all that was left of the parent went to the children");
}

#[test]
fn limits_hold_where_only_the_number_of_shards_is_known() {
    let count = NonZeroU32::new(4).unwrap();
    for map in [ShardMap::count_only(count), ShardMap::auto(count)] {
        let mut world = World::with_map(Config::default(), map);
        for tag in 0..12_000 {
            world.push(tag, &format!("k{tag}"), 100).unwrap();
        }
        let start = world.now;
        world.run_until_done();
        let took = world.now.since(start).as_secs_f64();
        assert!((2.7..3.1).contains(&took), "12,000 records into four shards took {took} s");
    }
}

#[test]
fn the_configured_share_scales_the_limits_and_off_removes_them() {
    for (limit, expected) in [
        (ShardLimit::Percent(50), 3.9..4.3),
        (ShardLimit::Percent(200), 0.8..1.1),
        (ShardLimit::Off, 0.0..0.1),
    ] {
        let mut world = World::new(Config::builder().shard_limit(limit).build().unwrap(), 1);
        for tag in 0..2_000 {
            world.push(tag, "k", 100).unwrap();
        }
        let start = world.now;
        world.run_until_done();
        let took = world.now.since(start).as_secs_f64();
        assert!(expected.contains(&took), "2,000 records under {limit:?} took {took} s");
    }
}

#[test]
fn one_hot_shard_of_sixteen_costs_the_others_neither_goodput_nor_latency() {
    let run = |hot: bool| {
        let mut world = World::new(Config::default(), 16);
        world.service({
            let mut window: BTreeMap<(usize, u64), u32> = BTreeMap::new();
            move |arrival, map| {
                let second = arrival.at.as_nanos() / 1_000_000_000;
                let outcome = |record: &common::Arrived| {
                    let stored_now = window.entry((map.index_of(record.hash_key), second)).or_default();
                    if *stored_now >= 1_000 {
                        return throttled();
                    }
                    *stored_now += 1;
                    stored(record, map)
                };
                Ok(Response::new(arrival.records.iter().map(outcome).collect()))
            }
        });
        let keys: Vec<String> = (0..16).map(|shard| key_for(&world.map, shard)).collect();
        let mut tag = 0;
        let mut others = vec![];
        // 600 records a second to each of fifteen shards, 3,000 to the hot one, for twenty seconds.
        for tick in 0..2_000 {
            for (shard, key) in keys.iter().enumerate() {
                let count = if shard == 0 { if hot { 30 } else { 0 } } else { 6 };
                for _ in 0..count {
                    tag += 1;
                    match world.push(tag, key, 100) {
                        Ok(()) if shard != 0 => others.push(tag),
                        Ok(()) => {}
                        Err(refused) => assert_eq!(shard, 0, "at tick {tick}: {}", refused.reason),
                    }
                }
            }
            world.run_for(millis(10));
        }
        let delivered = others.iter().filter(|tag| world.delivered.contains_key(tag)).count();
        let mut delays: Vec<_> = others
            .iter()
            .filter(|tag| world.delivered.contains_key(tag))
            .map(|&tag| world.delay(tag))
            .collect();
        delays.sort();
        (
            delivered as f64,
            delays[delays.len() / 2].as_secs_f64(),
            delays[delays.len() * 99 / 100].as_secs_f64(),
        )
    };
    let (goodput, p50, p99) = run(false);
    let (hot_goodput, hot_p50, hot_p99) = run(true);
    println!("goodput {goodput} without a hot shard, {hot_goodput} with one");
    println!("median {p50} s and {hot_p50} s, 99th percentile {p99} s and {hot_p99} s");
    assert!(hot_goodput >= 0.95 * goodput, "goodput fell from {goodput} to {hot_goodput}");
    assert!(hot_p50 <= 1.05 * p50, "the median rose from {p50} to {hot_p50}");
    assert!(hot_p99 <= 1.05 * p99, "the 99th percentile rose from {p99} to {hot_p99}");
}

#[test]
fn ten_thousand_shards_are_normal() {
    let mut world = World::new(Config::default(), 10_000);
    for tag in 0..50_000 {
        world.push(tag, &format!("k{tag}"), 100).unwrap();
    }
    world.run_until_done();
    assert_eq!(world.delivered.len(), 50_000);
    assert_eq!(world.request_sizes(), [500; 100]);
}

#[test]
fn what_a_refused_request_gives_back_shortens_the_wait_of_those_behind() {
    let config = Config::builder().shard_limit(ShardLimit::Percent(4)).build().unwrap();
    let mut world = World::new(config, 1);
    // At 4 % of a mebibyte a second it owes 25 seconds, and the small one behind it waits for that.
    world.push(0, "key", 1_000_000).unwrap();
    world.run_to_request(|request| assert_eq!(request.len(), 1));
    world.push(1, "key", 10).unwrap();
    world.run_quietly_for(millis(150));
    assert!(world.batcher.poll_request().is_none(), "the limits hold it");
    let wait = |world: &World| world.batcher.poll_timeout().expect("something waits").at.since(world.now);
    assert!(wait(&world) > millis(20_000), "it waits {:?}", wait(&world));
    world.answer(refused("LimitExceededException"));
    assert!(wait(&world) <= millis(100), "nothing is owed any more, and it waits {:?}", wait(&world));
}
