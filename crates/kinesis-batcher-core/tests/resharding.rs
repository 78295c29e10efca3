//! Shards that split, merge and come to light.

mod common;

use std::num::NonZeroU32;
use std::time::Duration;

use common::{World, key_for, millis, store_all, throttled};
use kinesis_batcher_core::{Config, FailureReason, HashKey, Ordering, Record, Response, Shard, ShardMap};

fn shard(id: u32, first: u128, last: u128) -> Shard {
    Shard::new(format!("shardId-{id:012}").as_str(), HashKey::new(first), HashKey::new(last))
}

const HALF: u128 = u128::MAX / 2;

/// Shard 0 of one, split into 1 and 2.
fn split() -> ShardMap {
    ShardMap::known(vec![shard(1, 0, HALF), shard(2, HALF + 1, u128::MAX)])
        .expect("two halves tile the key space")
}

#[test]
fn a_record_stored_by_an_unforeseen_shard_is_delivered_and_not_sent_again() {
    let mut world = World::new(Config::default(), 1);
    world.map = split();
    for tag in 0..100 {
        world.push(tag, &format!("k{tag}"), 10).unwrap();
    }
    world.run_until_done();
    assert_eq!(world.delivered.len(), 100);
    assert_eq!(world.arrivals.len(), 1, "what is stored is not sent again");
    assert_eq!(world.stale_events, 1, "a hundred surprises ask for one new map");
}

#[test]
fn asking_for_a_map_that_does_not_come_backs_off() {
    let mut world = World::new(Config::default(), 1);
    world.map = split();
    for tag in 0..60_000 {
        world.push(tag, &format!("k{tag}"), 10).unwrap();
        world.run_for(millis(2));
    }
    assert!((4..12).contains(&world.stale_events), "asked {} times in two minutes", world.stale_events);
}

#[test]
fn a_map_that_was_taken_in_settles_the_matter_for_requests_still_under_way() {
    let mut world = World::new(Config::default(), 1);
    for tag in 0..10 {
        world.push(tag, &format!("k{tag}"), 10).unwrap();
    }
    world.map = split();
    world.run_for(millis(100));
    assert_eq!(world.stats().requests_in_flight, 1);
    world.batcher.handle_shard_map(world.now, split());
    world.run_until_done();
    assert_eq!(world.delivered.len(), 10);
    assert_eq!(world.stale_events, 0, "the answer agrees with the map that is in use by then");
}

#[test]
fn the_old_map_serves_until_the_new_one_is_in() {
    let mut world = World::new(Config::default(), 1);
    world.map = split();
    for tag in 0..5_000 {
        world.push(tag, &format!("k{tag}"), 100).unwrap();
    }
    world.run_for(Duration::from_secs(2));
    assert!(world.stale_events > 0);
    let sent: usize = world.request_sizes().iter().sum();
    assert!(
        (1_900..2_100).contains(&sent),
        "{sent} records were sent in two seconds under the limits of the old map"
    );
}

// S-19
#[test]
fn what_is_queued_follows_a_split_and_a_merge_in_order() {
    let mut world = World::new(Config::builder().in_flight_requests_max(1).build().unwrap(), 1);
    for tag in 0..1_000 {
        world.push(tag, &format!("k{}", tag % 10), 100).unwrap();
    }
    world.run_for(millis(50));
    world.map = split();
    world.batcher.handle_shard_map(world.now, split());
    world.run_for(millis(300));
    let merged = ShardMap::known(vec![shard(3, 0, u128::MAX)]).unwrap();
    world.map = merged.clone();
    world.batcher.handle_shard_map(world.now, merged);
    world.run_until_done();
    assert_eq!(world.delivered.len(), 1_000);
    for key in 0..10 {
        let of_key: Vec<u64> = world.order.iter().copied().filter(|tag| tag % 10 == key).collect();
        assert!(of_key.is_sorted(), "the records of key {key} arrived out of order");
    }
    assert_eq!(world.stats().shard_map_updates, 2);
}

#[test]
fn records_that_come_back_to_a_shard_that_is_gone_find_its_children() {
    let mut world = World::new(Config::default(), 1);
    world.service(|arrival, map| {
        if arrival.number == 0 {
            return Ok(Response::new(vec![throttled(); arrival.records.len()]));
        }
        store_all(arrival, map)
    });
    for tag in 0..100 {
        world.push(tag, &format!("k{tag}"), 100).unwrap();
    }
    world.run_for(millis(110));
    assert_eq!(world.stats().records_in_flight, 100);
    world.map = split();
    world.batcher.handle_shard_map(world.now, split());
    world.run_until_done();
    assert_eq!(world.delivered.len(), 100);
    assert_eq!(world.stale_events, 0);
    let shards: Vec<_> = world.batcher.shard_stats().map(|shard| shard.records_delivered).collect();
    assert_eq!(shards.iter().sum::<u64>(), 100, "the children stored what the parent refused: {shards:?}");
}

#[test]
fn a_shard_that_stays_keeps_its_limits_and_its_records() {
    let mut world = World::new(Config::default(), 2);
    let keys = [key_for(&world.map, 0), key_for(&world.map, 1)];
    for tag in 0..1_000 {
        world.push(tag, &keys[tag as usize % 2], 100).unwrap();
    }
    world.settle();
    let quarter = HALF / 2;
    world.map = ShardMap::known(vec![
        shard(2, 0, quarter),
        shard(3, quarter + 1, world.map.shards()[0].last.value()),
        world.map.shards()[1].clone(),
    ])
    .unwrap();
    world.batcher.handle_shard_map(world.now, world.map.clone());
    world.settle();
    assert_eq!(world.request_sizes(), [400], "no shard gets a second burst");
    let stays = world.batcher.shard_stats().nth(2).unwrap();
    assert_eq!((stays.records_sent, stays.records_queued), (200, 300));
    world.run_until_done();
    assert_eq!(world.delivered.len(), 1_000);
}

#[test]
fn a_stream_whose_shards_come_to_light_is_routed_from_then_on() {
    let mut world = World::with_map(Config::default(), ShardMap::count_only(NonZeroU32::new(2).unwrap()));
    for tag in 0..1_000 {
        world.push(tag, &format!("k{tag}"), 100).unwrap();
    }
    world.run_for(millis(50));
    world.map = split();
    world.batcher.handle_shard_map(world.now, split());
    world.run_until_done();
    assert_eq!(world.delivered.len(), 1_000);
    assert_eq!(world.batcher.shard_stats().count(), 2);
}

#[test]
fn records_that_a_changed_stream_no_longer_takes_are_handed_back_at_once() {
    let large = ShardMap::uniform(NonZeroU32::MIN).with_record_bytes_max(4 << 20);
    let mut world =
        World::with_map(Config::builder().linger(Duration::from_secs(10)).build().unwrap(), large);
    world.push(0, "k", 2 << 20).unwrap();
    world.push(1, "k", 100).unwrap();
    world.batcher.handle_shard_map(world.now, ShardMap::uniform(NonZeroU32::MIN));
    world.run_until_done();
    let (_, failure) = &world.failed[&0];
    assert_eq!(failure.reason, FailureReason::TooLarge { bytes: (2 << 20) + 1, bytes_max: 1 << 20 });
    assert_eq!(world.delivered.len(), 1);

    for before in [ShardMap::auto(NonZeroU32::MIN), ShardMap::unknown()] {
        let mut world = World::with_map(Config::default(), before);
        world.push_record(0, Record::without_partition_key(0u64.to_be_bytes().to_vec()).unwrap()).unwrap();
        world.push(1, "k", 100).unwrap();
        world.batcher.handle_shard_map(world.now, ShardMap::uniform(NonZeroU32::MIN));
        world.run_until_done();
        assert_eq!(world.failed[&0].1.reason, FailureReason::PartitionKeyMissing);
        assert_eq!(world.delivered.len(), 1);
    }

    // In order, each waits for the one before.
    let config = Config::builder().ordering(Ordering::PartitionKey).build().unwrap();
    let mut world = World::with_map(config, ShardMap::unknown());
    for tag in 0..5u64 {
        world.push_record(tag, Record::without_partition_key(tag.to_be_bytes().to_vec()).unwrap()).unwrap();
    }
    world.batcher.handle_shard_map(world.now, ShardMap::uniform(2.try_into().unwrap()));
    world.run_until_done();
    assert_eq!((world.failed.len(), world.arrivals.len()), (5, 0));
}

#[test]
fn many_reshards_leave_nothing_behind() {
    let mut world = World::new(Config::default(), 1);
    let mut tag = 0;
    for round in 0..200u32 {
        for _ in 0..10 {
            world.push(tag, &format!("k{tag}"), 10).unwrap();
            tag += 1;
        }
        let cut = u128::from(round + 1) * (u128::MAX / 300);
        world.map =
            ShardMap::known(vec![shard(2 * round + 10, 0, cut), shard(2 * round + 11, cut + 1, u128::MAX)])
                .unwrap();
        world.batcher.handle_shard_map(world.now, world.map.clone());
        world.run_for(millis(3));
    }
    world.run_until_done();
    assert_eq!(world.delivered.len() as u64, tag);
    assert!(world.batcher.poll_timeout().is_none(), "an idle batcher waits for nothing");
}
