//! Rates that follow what shards take.

mod common;
mod contention;

use std::num::NonZeroU32;
use std::time::Duration;

use common::*;
use contention::{Contention, Outcome, Race};
use kinesis_batcher_core::{Batcher, Config, HashKey, Response, Shard, ShardLimit, ShardMap};
use kinesis_model::Accounting;

const SECOND: Duration = Duration::from_secs(1);

/// Producers that each have more than their part of every shard to send.
fn race(producers: usize, shards: u32, percent: u16, adaptive: bool) -> Race {
    let config = Config::builder()
        .shard_limit(ShardLimit::Percent(percent))
        .adaptive_rates(adaptive)
        .buffer_records_max(2_000)
        .time_to_live(None)
        .build()
        .expect("a test's configuration is valid");
    Race::new(Contention {
        producers,
        shards,
        records_per_second: 1_500 * u64::from(shards) / producers as u64,
        record_bytes: 100,
        config,
        round_trip: Duration::from_millis(20),
        accounting: Accounting::TOKEN_1_S,
        throttled_percent: 0,
    })
}

fn utilisation(outcome: &Outcome, shards: u32, seconds: u64) -> f64 {
    outcome.delivered() as f64 / (1_000 * u64::from(shards) * seconds) as f64
}

#[test]
fn producers_that_know_nothing_of_each_other_share_full_shards() {
    for producers in [2, 4, 16] {
        let mut race = race(producers, 8, 100, true);
        race.run(30 * SECOND);
        let outcome = race.run(20 * SECOND);
        let (utilisation, throttled) = (utilisation(&outcome, 8, 20), outcome.throttled_share());
        println!("{producers} producers: utilisation {utilisation:.3}, throttled {throttled:.4}");
        assert!(utilisation > 0.95, "{producers} producers use {utilisation:.3} of the stream");
        assert!(throttled < 0.02, "{throttled:.4} of what {producers} producers send is throttled");
        let fairness = outcome.fairness();
        assert!(fairness > 0.9, "shares of {producers} producers are as {fairness:.3}");
    }
}

#[test]
fn a_rate_set_too_high_costs_a_tenth_of_the_throttled_attempts_of_a_fixed_one_and_no_goodput() {
    let run = |adaptive| {
        let mut race = race(1, 4, 150, adaptive);
        race.run(5 * SECOND);
        race.run(20 * SECOND)
    };
    let (fixed, adaptive) = (run(false), run(true));
    println!(
        "fixed: {} throttled, {} stored; adaptive: {} throttled, {} stored",
        fixed.throttled,
        fixed.delivered(),
        adaptive.throttled,
        adaptive.delivered()
    );
    assert!(adaptive.throttled * 10 <= fixed.throttled, "throttled attempts are cut to a tenth at least");
    assert!(adaptive.delivered() * 100 >= fixed.delivered() * 96, "and the shard is used nearly as before");
}

// S-07: a shard that takes less than 1 MiB is found out
#[test]
fn a_shard_that_takes_half_is_sent_half_and_one_that_recovers_is_sent_all_again() {
    let mut race = race(1, 1, 100, true);
    race.run(5 * SECOND);
    race.scale_shard(0, 50);
    race.run(10 * SECOND);
    let halved = race.run(20 * SECOND);
    assert!(halved.throttled_share() < 0.03, "{:.4} of the attempts are throttled", halved.throttled_share());
    assert!(halved.delivered() >= 500 * 20 * 95 / 100, "{} records of 10,000 go", halved.delivered());
    race.scale_shard(0, 100);
    race.run(20 * SECOND);
    let whole = race.run(5 * SECOND);
    assert!(whole.delivered() >= 4_850, "after twenty seconds {} of 5,000 records go", whole.delivered());
}

#[test]
fn producers_that_leave_make_room_for_those_that_stay() {
    let mut race = race(16, 2, 100, true);
    race.setup.records_per_second = 1_000;
    race.run(30 * SECOND);
    race.active = 2;
    race.run(25 * SECOND);
    let outcome = race.run(10 * SECOND);
    let share = utilisation(&outcome, 2, 10);
    assert!(share > 0.95, "two producers that are left use {share:.3} of the stream");
}

/// A batcher of which the first shard has throttled everything for some time.
fn throttled_batcher() -> World {
    let mut world = World::new(Config::default(), 2);
    let shard_of_0 = key_for(&world.map, 0);
    world.service(|arrival, map| {
        let outcomes = arrival.records.iter().map(|record| match map.index_of(record.hash_key) {
            0 => throttled(),
            _ => stored(record, map),
        });
        Ok(Response::new(outcomes.collect()))
    });
    for tag in 0..100 {
        world.push(tag, &shard_of_0, 100).expect("there is room");
    }
    world.run_for(3 * SECOND);
    world
}

fn records_per_second(batcher: &Batcher<u64>) -> Vec<u64> {
    batcher.shard_stats().map(|shard| shard.records_per_second.expect("there is a limit")).collect()
}

#[test]
fn a_shard_that_throttles_is_slowed_down_and_its_neighbour_is_not() {
    let world = throttled_batcher();
    let rates = records_per_second(&world.batcher);
    assert!(rates[0] < 100, "the throttled shard may be sent {} records a second", rates[0]);
    assert_eq!(rates[1], 1_000);
}

#[test]
fn children_of_a_throttled_shard_begin_at_its_rate() {
    let mut world = throttled_batcher();
    let before = records_per_second(&world.batcher);
    let middle = HashKey::new(u128::MAX / 4);
    let after_middle = HashKey::new(u128::MAX / 4 + 1);
    let [parent, neighbour] = world.map.shards() else { panic!("two shards") };
    let map = ShardMap::known(vec![
        Shard::new("shardId-000000000002", parent.first, middle),
        Shard::new("shardId-000000000003", after_middle, parent.last),
        neighbour.clone(),
    ])
    .expect("the shards tile");
    world.batcher.handle_shard_map(world.now, map);
    assert_eq!(records_per_second(&world.batcher), [before[0], before[0], 1_000]);
}

#[test]
fn rates_stay_as_they_are_when_asked_to_and_where_shards_are_not_known() {
    let throttle_all = |world: &mut World| {
        world.service(|arrival, _| Ok(Response::new(arrival.records.iter().map(|_| throttled()).collect())));
        for tag in 0..100 {
            world.push(tag, "key", 100).expect("there is room");
        }
        world.run_for(3 * SECOND);
        assert!(world.stats().records_throttled > 0, "something was throttled");
    };
    let mut fixed = World::new(Config::builder().adaptive_rates(false).build().expect("valid"), 1);
    throttle_all(&mut fixed);
    assert_eq!(records_per_second(&fixed.batcher), [1_000]);

    let counted = ShardMap::count_only(NonZeroU32::new(5).expect("not zero"));
    let mut counted = World::with_map(Config::default(), counted);
    throttle_all(&mut counted);
    assert_eq!(records_per_second(&counted.batcher), [5_000], "one hot shard must not slow the others");

    let mut auto = World::with_map(Config::default(), ShardMap::auto(NonZeroU32::new(5).expect("not zero")));
    throttle_all(&mut auto);
    let before = records_per_second(&auto.batcher)[0];
    assert!(before < 5_000, "a stream that spreads records itself is full as one");
    auto.batcher.handle_shard_map(auto.now, ShardMap::auto(NonZeroU32::new(10).expect("not zero")));
    let after = records_per_second(&auto.batcher)[0];
    assert!(
        after.abs_diff(2 * before) <= 1,
        "twice the shards take twice of what they took: {before}, {after}"
    );
}
