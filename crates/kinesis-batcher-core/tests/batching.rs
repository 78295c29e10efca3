//! When requests go, and what is in them.

mod common;

use std::num::NonZeroU32;
use std::time::Duration;

use common::{World, key_for, millis, record};
use kinesis_batcher_core::{
    Batcher, Config, Event, HashKey, PushErrorReason, Record, RecordOutcome, Response, ShardLimit, ShardMap,
    Timestamp,
};

fn unlimited() -> kinesis_batcher_core::ConfigBuilder {
    Config::builder().shard_limit(ShardLimit::Off)
}

// S-01
#[test]
fn five_hundred_records_go_at_once_and_never_five_hundred_and_one() {
    let mut world = World::new(unlimited().build().unwrap(), 16);
    for tag in 0..501 {
        world.push(tag, &format!("k{tag}"), 10).unwrap();
        world.settle();
    }
    assert_eq!(world.request_sizes(), [500], "the five hundredth record completes the request");
    world.run_for(millis(99));
    assert_eq!(world.request_sizes(), [500], "the one left over lingers");
    world.run_until_done();
    assert_eq!(world.request_sizes(), [500, 1]);
}

#[test]
fn records_pushed_together_fare_as_if_pushed_one_by_one() {
    let config = unlimited().buffer_records_max(700).build().unwrap();
    let batcher =
        || Batcher::new(config.clone(), ShardMap::uniform(NonZeroU32::new(4).unwrap()), 1, Timestamp::ZERO);
    let records = || (0..800_u64).map(|tag| (record(tag, &format!("k{}", tag % 300), 10), tag));
    let now = Timestamp::from_millis(5);

    let mut one_by_one = batcher();
    let refused_tag =
        records().find_map(|(record, tag)| one_by_one.push(now, record, tag).err()).unwrap().tag;
    let mut together = batcher();
    let mut rest = records();
    let refused = together.push_all(now, &mut rest).unwrap_err();
    assert_eq!((refused.reason.is_full(), refused.tag), (true, refused_tag), "the same record finds no room");
    assert_eq!(rest.next().map(|(_, tag)| tag), Some(refused_tag + 1), "those behind it are not touched");

    assert_eq!(together.stats(), one_by_one.stats());
    assert_eq!(together.poll_timeout(), one_by_one.poll_timeout());
    let data = |batcher: &mut Batcher<u64>| {
        let request = batcher.poll_request().unwrap();
        request
            .records()
            .map(|record| (record.partition_key().unwrap().to_owned(), record.data().clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(data(&mut together), data(&mut one_by_one));
}

#[test]
fn a_burst_becomes_full_requests() {
    let mut world = World::new(unlimited().build().unwrap(), 16);
    for tag in 0..1_250 {
        world.push(tag, &format!("k{tag}"), 10).unwrap();
    }
    world.run_until_done();
    assert_eq!(world.request_sizes(), [500, 500, 250]);
}

#[test]
fn the_oldest_record_decides_how_long_a_request_lingers() {
    let mut world = World::new(Config::default(), 4);
    let start = world.now;
    for tag in 0..5 {
        world.push(tag, &format!("k{tag}"), 10).unwrap();
        world.run_for(millis(10));
    }
    world.run_until_done();
    assert_eq!(world.request_sizes(), [5], "records of all shards share a request");
    assert_eq!(world.arrivals[0].at, start.after(millis(100)));
}

#[test]
fn without_linger_a_burst_leaves_requests_for_what_comes_while_it_is_under_way() {
    let mut world = World::new(unlimited().linger(Duration::ZERO).build().unwrap(), 4);
    world.latency = millis(16);
    world.push(0, "k0", 10).unwrap();
    world.run_until_done();

    for tag in 1..=20 {
        world.push(tag, &format!("k{tag}"), 10).unwrap();
        world.settle();
    }
    assert_eq!(world.request_sizes()[1..], [1; 4], "a quarter of the sixteen requests go at once");
    for tag in 21..=500 {
        world.run_for(Duration::from_micros(200));
        world.push(tag, &format!("k{tag}"), 10).unwrap();
        world.settle();
    }
    world.run_until_done();
    let slowest = (21..=500).map(|tag| world.delay(tag)).max().unwrap();
    assert!(slowest <= millis(18), "a round trip is 16 ms and a step 1.3 ms, and one took {slowest:?}");
}

#[test]
fn without_linger_a_full_request_waits_for_no_step() {
    let mut world = World::new(unlimited().linger(Duration::ZERO).build().unwrap(), 4);
    world.latency = millis(16);
    world.push(0, "k0", 10).unwrap();
    world.run_until_done();

    for tag in 1..=4 + 500 * 12 + 1 {
        world.push(tag, &format!("k{tag}"), 10).unwrap();
        world.settle();
    }
    let expected: Vec<usize> = [1; 4].into_iter().chain([500; 12]).collect();
    assert_eq!(world.request_sizes()[1..], expected, "what waits for its step goes once it fills a request");
}

#[test]
fn without_linger_a_record_goes_at_once_and_records_gather_while_no_request_may_go() {
    let mut world =
        World::new(unlimited().linger(Duration::ZERO).in_flight_requests_max(1).build().unwrap(), 4);
    for tag in 0..10 {
        world.push(tag, &format!("k{tag}"), 10).unwrap();
        world.settle();
    }
    assert_eq!(world.request_sizes(), [1]);
    world.run_until_done();
    assert_eq!(world.request_sizes(), [1, 9]);
}

// S-02
#[test]
fn a_request_stops_at_ten_mebibytes_to_the_byte() {
    let map = ShardMap::uniform(NonZeroU32::MIN).with_record_bytes_max(10 << 20);
    let mut world = World::with_map(unlimited().request_bytes_max(10 << 20).build().unwrap(), map);
    let key = "k";
    world.push(0, key, (5 << 20) - 1).unwrap();
    world.push(1, key, (5 << 20) - 1).unwrap();
    world.push(2, key, 8).unwrap();
    world.run_until_done();
    assert_eq!(world.request_sizes(), [2, 1]);
    assert_eq!(world.arrivals[0].bytes, 10 << 20);
}

#[test]
fn a_record_exactly_at_the_cap_is_sent_alone_and_one_byte_more_is_refused() {
    let map = ShardMap::uniform(NonZeroU32::MIN).with_record_bytes_max(10 << 20);
    let mut world = World::with_map(unlimited().build().unwrap(), map);
    world.push(0, "k", (10 << 20) - 1).unwrap();
    world.run_until_done();
    assert_eq!(world.request_sizes(), [1]);

    let mut world = World::new(Config::default(), 1);
    world.push(0, "k", (1 << 20) - 1).unwrap();
    let refused = world.push(1, "k", 1 << 20).unwrap_err();
    let (bytes, bytes_max) = ((1 << 20) + 1, 1 << 20);
    assert_eq!(refused.reason, PushErrorReason::TooLarge { bytes, bytes_max });
    assert_eq!(refused.record.data().len(), 1 << 20, "the record is given back");
}

#[test]
fn a_record_larger_than_the_configured_request_goes_alone() {
    let mut world = World::new(unlimited().request_bytes_max(2_000).build().unwrap(), 1);
    for (tag, bytes) in [(0, 900), (1, 5_000), (2, 900)] {
        world.push(tag, "k", bytes).unwrap();
    }
    world.run_until_done();
    assert_eq!(world.request_sizes(), [1, 1, 1]);
    assert_eq!(world.order, [0, 1, 2]);
}

#[test]
fn a_large_record_does_not_wait_for_ever_behind_small_ones_of_other_shards() {
    let config = unlimited().in_flight_requests_max(1).request_bytes_max(10_000).linger(Duration::ZERO);
    let mut world = World::new(config.build().unwrap(), 4);
    let keys: Vec<String> = (0..4).map(|shard| key_for(&world.map, shard)).collect();
    let mut tag = 1;
    let mut small = |world: &mut World| {
        for key in &keys[1..] {
            for _ in 0..5 {
                world.push(tag, key, 1_000).unwrap();
                tag += 1;
            }
        }
    };
    small(&mut world);
    world.settle();
    world.push(0, &keys[0], 9_500).unwrap();
    for _ in 0..10 {
        small(&mut world);
        world.run_for(millis(20));
    }
    assert!(world.delay(0) < millis(100), "the large record took {:?}", world.delay(0));
}

#[test]
fn shards_take_turns() {
    let config = unlimited().in_flight_requests_max(1).build().unwrap();
    let mut world = World::new(config, 4);
    let keys: Vec<String> = (0..4).map(|shard| key_for(&world.map, shard)).collect();
    for tag in 0..4_000 {
        let shard = if tag < 3_900 { 0 } else { 1 + tag as usize % 3 };
        world.push(tag, &keys[shard], 10).unwrap();
    }
    world.run_until_done();
    let late = (3_900..4_000).map(|tag| world.delay(tag)).max().unwrap();
    assert!(late <= millis(60), "a shard with little to send waited {late:?} behind one with much");
}

#[test]
fn requests_are_bounded_and_the_next_goes_when_one_returns() {
    let mut world = World::new(unlimited().in_flight_requests_max(3).build().unwrap(), 4);
    for tag in 0..5_000 {
        world.push(tag, &format!("k{tag}"), 10).unwrap();
    }
    world.settle();
    assert_eq!(world.stats().requests_in_flight, 3);
    world.run_until_done();
    assert_eq!(world.request_sizes(), [500; 10]);
}

#[test]
fn an_explicit_hash_key_decides_the_shard_even_when_it_is_zero() {
    let mut world = World::new(Config::default(), 4);
    for (tag, hash_key) in [(0, HashKey::MIN), (1, HashKey::MAX)] {
        world.push_record(tag, record(tag, "same", 10).with_explicit_hash_key(hash_key)).unwrap();
    }
    world.run_until_done();
    assert_eq!(world.delivered[&0].1.shard_id, "shardId-000000000000".into());
    assert_eq!(world.delivered[&1].1.shard_id, "shardId-000000000003".into());
    assert_eq!(world.stale_events, 0, "both went where they were predicted to go");
}

// S-24
#[test]
fn only_a_stream_that_spreads_records_itself_takes_them_without_a_key() {
    let keyless = |tag: u64| Record::without_partition_key(tag.to_be_bytes().to_vec()).unwrap();
    let mut world = World::new(Config::default(), 4);
    let refused = world.push_record(0, keyless(0)).unwrap_err();
    assert_eq!(refused.reason, PushErrorReason::PartitionKeyMissing);

    let mut world = World::with_map(Config::default(), ShardMap::auto(NonZeroU32::new(4).unwrap()));
    world.push_record(0, keyless(0)).unwrap();
    world.push(1, "a key all the same", 10).unwrap();
    world.run_until_done();
    assert_eq!(world.delivered.len(), 2);
    assert_eq!(world.stale_events, 0, "no shard was predicted, so none can surprise");
}

#[test]
fn flush_ends_the_wait_for_company() {
    let mut world = World::new(Config::builder().linger(Duration::from_secs(60)).build().unwrap(), 4);
    for tag in 0..7 {
        world.push(tag, &format!("k{tag}"), 10).unwrap();
    }
    world.settle();
    assert!(world.arrivals.is_empty());
    world.batcher.flush(world.now);
    world.settle();
    assert_eq!(world.request_sizes(), [7]);
    world.push(7, "k", 10).unwrap();
    world.run_for(millis(59_000));
    assert_eq!(world.request_sizes(), [7], "what comes after a flush lingers as before");
}

#[test]
fn the_announcement_of_room_takes_no_room_until_it_is_polled() {
    let mut world = World::new(Config::builder().buffer_records_max(1).build().unwrap(), 1);
    world.push(0, "k", 10).unwrap();
    assert_eq!(world.push(1, "k", 10).unwrap_err().reason, PushErrorReason::Full);
    world.batcher.flush(world.now);
    let request = world.batcher.poll_request().unwrap();
    let stored =
        RecordOutcome::Stored { shard_id: "shardId-000000000000".into(), sequence_number: "1".into() };
    world.batcher.handle_response(world.now, request, Ok(Response::new(vec![stored])));
    assert!(matches!(world.batcher.poll_event(), Some(Event::Delivered { tag: 0, .. })));
    // A program that takes one event at a time pushes before it polls the next.
    world.push(2, "k", 10).unwrap();
    assert!(matches!(world.batcher.poll_event(), Some(Event::Unblocked)));
    assert!(world.batcher.poll_event().is_none());
}
