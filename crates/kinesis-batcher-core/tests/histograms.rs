//! What is told of delays and sizes.

mod common;

use common::{World, failed_with, millis, refused, store_all, throttled};
use kinesis_batcher_core::{Config, Histogram, Response, ShardLimit, Timestamp};

/// How many values are above `from` and not above `to`.
fn between(histogram: &Histogram, from: u64, to: u64) -> u64 {
    histogram
        .buckets()
        .filter(|(bound, _)| bound.is_some_and(|bound| from < bound && bound <= to))
        .map(|(_, count)| count)
        .sum()
}

const MS: u64 = 1_000_000;

#[test]
fn the_push_delay_counts_each_record_from_its_own_push_to_its_delivery() {
    for aggregation in [false, true] {
        let config = Config::builder().aggregation(aggregation).shard_limit(ShardLimit::Off).build().unwrap();
        let mut world = World::new(config, 1);
        for tag in 0..10 {
            world.push(tag, "key", 10).unwrap();
            world.run_for(millis(6));
        }
        world.run_until_done();
        let delays = world.batcher.histograms().push_delay;
        assert_eq!(delays.count(), 10, "each record delivered counts once");
        let expected: u64 = (0..10).map(|tag| world.delay(tag).as_nanos() as u64).sum();
        assert_eq!(delays.sum(), u128::from(expected), "delays are told to the nanosecond in their sum");
        assert!(
            between(&delays, 30 * MS, 70 * MS) > 0,
            "the last record waited less than the first: {delays:?}"
        );
        assert!(between(&delays, 70 * MS, 200 * MS) > 0, "the first lingered: {delays:?}");
    }
}

#[test]
fn records_that_fail_have_no_push_delay_and_every_request_has_a_duration() {
    let mut world = World::new(Config::builder().shard_limit(ShardLimit::Off).build().unwrap(), 1);
    let mut answers = 0;
    world.service(move |arrival, map| {
        answers += 1;
        match answers {
            1 => refused("InternalFailure"),
            2 => Ok(Response::new(vec![failed_with("ValidationException"), throttled()])),
            _ => store_all(arrival, map),
        }
    });
    world.push(0, "key", 10).unwrap();
    world.push(1, "key", 10).unwrap();
    world.run_until_done();
    let (stats, histograms) = (world.stats(), world.batcher.histograms());
    assert_eq!((stats.records_delivered, stats.records_failed), (1, 1));
    assert_eq!(histograms.push_delay.count(), 1);
    assert_eq!(histograms.request_duration.count(), 3);
    assert_eq!(histograms.request_entries.sum(), 2 + 2 + 1);
    assert_eq!(histograms.request_entries.count(), stats.requests_sent);
    assert_eq!(histograms.request_bytes.sum(), u128::from(5 * stats.bytes_accepted / 2));
}

#[test]
fn user_records_are_told_for_each_kinesis_record_alone_or_aggregated() {
    let mut world = World::new(Config::builder().aggregation(true).build().unwrap(), 1);
    for tag in 0..30 {
        world.push(tag, "key", 10).unwrap();
    }
    world.run_until_done();
    world.push(30, "key", 10).unwrap();
    world.run_until_done();
    let (stats, members) = (world.stats(), world.batcher.histograms().user_records);
    assert_eq!(members.count(), stats.kinesis_records_delivered);
    assert_eq!(members.sum(), u128::from(stats.records_delivered));
    assert_eq!(
        (between(&members, 0, 1), between(&members, 20, 50)),
        (1, 1),
        "30 shared one, the last went alone"
    );
}

#[test]
fn a_producer_that_is_stuck_can_be_told_from_one_that_has_nothing_to_do() {
    let mut world = World::new(Config::builder().shard_limit(ShardLimit::Off).build().unwrap(), 1);
    assert_eq!((world.stats().held_since, world.stats().last_stored_at), (None, None));
    let first = world.now;
    world.push(0, "key", 10).unwrap();
    world.run_for(millis(10));
    world.push(1, "key", 10).unwrap();
    assert_eq!(world.stats().held_since, Some(first), "the second push does not start the wait over");
    world.run_until_done();
    assert_eq!(world.stats().held_since, None, "nothing is held");
    let stored_at = world.stats().last_stored_at;
    assert!(stored_at > Some(first) && stored_at <= Some(world.now));

    world.run_for(millis(60_000));
    let second = world.now;
    world.service(|_, _| refused("ExpiredTokenException"));
    world.push(2, "key", 10).unwrap();
    world.run_for(millis(2_000));
    let stats = world.stats();
    assert_eq!(stats.held_since, Some(second), "an idle minute is no wait");
    assert_eq!(stats.last_stored_at, stored_at);
    assert!(stats.requests_credentials > 0);
    assert_eq!((stats.requests_transient, stats.holds), (0, 1));
    let error = world.batcher.last_error().map(|error| error.code().as_str());
    assert_eq!(error, Some("ExpiredTokenException"), "it says why");
    world.service(store_all);
    world.run_until_done();
    assert!(world.batcher.last_error().is_none(), "and says no more once a request was answered");
    assert!(world.stats().last_stored_at > stored_at && second > Timestamp::ZERO);
}
