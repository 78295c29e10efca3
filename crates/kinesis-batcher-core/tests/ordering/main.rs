//! Records of one key are stored in the order of their pushes, whatever happens to requests.

#![allow(clippy::print_stdout, reason = "the figures go into docs/BENCHMARKS.md")]

mod stream;

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::time::Duration;

use kinesis_batcher_core::{
    Config, ConfigBuilder, Failure, FailureReason, HashKey, PushErrorReason, Record, RequestError,
    ServiceError, ShardLimit, ShardMap, Timestamp,
};

use stream::{
    Arrived, HALF, QUARTER, RTT, Reply, Stream, THROTTLED, aggregated, both_units, merged, millis, ordered,
    shard, split, stores,
};

#[test]
fn without_order_a_record_that_failed_comes_after_later_ones_so_these_tests_can_fail() {
    let mut stream = Stream::new(&Config::builder().linger(millis(10)), 1);
    stream.service(|number, records| {
        let mut codes = vec![None; records.len()];
        codes[0] = (number == 0).then_some(THROTTLED);
        Reply::Each(codes)
    });
    for tag in 0..5 {
        stream.push(tag, "k");
    }
    stream.run_until_done();
    assert_eq!(stream.overtakes(), 1);
}

#[test]
fn a_record_that_fails_or_is_throttled_holds_up_its_key_until_it_is_stored() {
    for (config, code) in both_units()
        .into_iter()
        .flat_map(|config| [THROTTLED, "InternalFailure"].map(|code| (config.clone(), code)))
    {
        let mut stream = Stream::new(&config, 2);
        stream.service(move |number, records| {
            let fails = |(index, _): (usize, &Arrived)| (index + number).is_multiple_of(3).then_some(code);
            Reply::Each(records.iter().enumerate().map(fails).collect())
        });
        for tag in 0..200 {
            stream.push(tag, &format!("k{}", tag % 7));
            stream.run_for(millis(1));
        }
        stream.run_until_done();
        assert!(stream.batcher.stats().records_retried > 10);
        stream.assert_all_in_order();
    }
}

#[test]
fn an_attempt_of_unknown_outcome_may_double_records_and_reorders_none() {
    for config in both_units() {
        let mut stream = Stream::new(&config, 2);
        stream.service(|number, records| match number % 4 {
            0 => Reply::Lost,
            1 => Reply::Refused(RequestError::outcome_unknown("timed out before the service saw it")),
            2 => Reply::Refused(RequestError::not_sent("no route")),
            _ => stores(records),
        });
        for tag in 0..200 {
            stream.push(tag, &format!("k{}", tag % 7));
            stream.run_for(millis(3));
        }
        stream.run_until_done();
        assert!(stream.copies.values().any(|&copies| copies > 1), "some were doubled");
        stream.assert_all_in_order();
    }
}

#[test]
fn a_record_at_fault_in_the_middle_of_a_key_leaves_the_others_in_order() {
    const POISON: u64 = 50;
    for config in both_units() {
        // Without sharing, or an aggregate would be at fault as a whole.
        let mut stream = Stream::new(&config.aggregate_records_max(1), 4);
        stream.service(|_, records| {
            if records.iter().any(|record| record.tags.contains(&POISON)) {
                return Reply::Refused(RequestError::refused(
                    400,
                    ServiceError::from_code("ValidationException"),
                ));
            }
            stores(records)
        });
        for tag in 0..100 {
            stream.push(tag, &format!("k{}", tag % 10));
        }
        stream.run_until_done();
        assert!(matches!(
            stream.failed[..],
            [(POISON, _, Failure { reason: FailureReason::Rejected(_), .. })]
        ));
        assert_eq!(stream.delivered.len(), 99);
        assert_eq!(stream.overtakes(), 0, "stored as {:?}", stream.stored);
    }
}

#[test]
fn an_aggregate_in_quarantine_holds_up_its_shard_and_no_other() {
    const POISON: u64 = 0;
    let mut stream = Stream::new(&aggregated(), 4);
    stream.service(|_, records| {
        if records.iter().any(|record| record.tags.contains(&POISON)) {
            return Reply::Refused(RequestError::refused(
                400,
                ServiceError::from_code("ValidationException"),
            ));
        }
        stores(records)
    });
    for tag in 0..400 {
        stream.push(tag, &format!("k{}", tag % 20));
        if tag % 20 == 0 {
            stream.run_for(millis(10));
        }
    }
    stream.run_until_done();
    let failed: BTreeSet<u64> = stream.failed.iter().map(|(tag, ..)| *tag).collect();
    assert!(
        failed.contains(&POISON) && failed.len() < 20,
        "its aggregate fails with it, and no other: {failed:?}"
    );
    assert_eq!(stream.delivered.len() + failed.len(), 400);
    assert_eq!(stream.overtakes(), 0);
}

#[test]
fn suspects_that_a_new_map_divides_go_one_by_one() {
    let mut stream = Stream::new(&aggregated().in_flight_requests_max(1), 2);
    stream.service(|number, records| match number {
        0 => Reply::Refused(RequestError::refused(400, ServiceError::from_code("ValidationException"))),
        _ if number.is_multiple_of(2) => Reply::Each(vec![Some(THROTTLED); records.len()]),
        _ => stores(records),
    });
    let keys: Vec<String> = (0..2).map(|shard| key_for(&stream.map, shard)).collect();
    for tag in 0..10 {
        stream.push(tag, &keys[tag as usize % 2]);
    }
    stream.run_for(millis(35));
    assert_eq!(stream.requests, 2, "one suspect is under way, the other waits");
    stream.reshard(ShardMap::count_only(NonZeroU32::MIN));
    stream.run_until_done();
    stream.assert_all_in_order();
}

#[test]
fn a_split_and_a_merge_reorder_nothing_while_requests_of_the_old_map_are_under_way() {
    for config in both_units() {
        let mut stream = Stream::new(&config.shard_limit(ShardLimit::Off), 1);
        // The old shard's requests come back late and half undone; those of the new shards would be quick.
        stream.service = Box::new(|number, records| {
            let fails =
                |(index, _): (usize, &Arrived)| (index + number).is_multiple_of(2).then_some(THROTTLED);
            let codes = records.iter().enumerate().map(fails).collect();
            (Reply::Each(codes), if number.is_multiple_of(3) { millis(300) } else { millis(5) })
        });
        let maps = [split(), merged(), split(), ShardMap::count_only(NonZeroU32::MIN), split()];
        for (round, map) in (0u64..).zip(maps) {
            for tag in round * 100..(round + 1) * 100 {
                stream.push(tag, &format!("k{}", tag % 13));
                stream.run_for(millis(1));
            }
            assert!(
                stream.batcher.stats().requests_in_flight > 0,
                "round {round} begins with requests under way"
            );
            stream.reshard(map);
            let stats = stream.batcher.stats();
            let of_shards: u64 = stream.batcher.shard_stats().map(|shard| shard.records_held).sum();
            assert!(of_shards <= stats.records_queued + stats.records_in_flight);
        }
        stream.run_until_done();
        stream.assert_all_in_order();
        let held: Vec<u64> = stream.batcher.shard_stats().map(|shard| shard.records_held).collect();
        assert_eq!(held, [0, 0], "what was parked was counted with the shard it moved to");
    }
}

#[test]
fn shards_that_a_reshard_leaves_alone_do_not_wait_for_it() {
    let mut stream = Stream::new(&aggregated(), 2);
    let keys: Vec<String> = (0..2).map(|shard| key_for(&stream.map, shard)).collect();
    stream.service = Box::new(|number, records| {
        (stores(records), if number == 0 { Duration::from_secs(10) } else { RTT })
    });
    stream.push(0, &keys[0]);
    stream.run_for(millis(20));
    assert_eq!(stream.in_flight.len(), 1, "the first shard's request hangs");
    let second = stream.map.shards()[1].clone();
    let last = second.first.value() - 1;
    stream.reshard(ShardMap::known(vec![shard(7, 0, QUARTER), shard(8, QUARTER + 1, last), second]).unwrap());
    stream.push(1, &keys[0]);
    stream.push(2, &keys[1]);
    stream.run_for(millis(100));
    assert!(stream.delivered.contains_key(&2), "the second shard goes on");
    assert!(!stream.delivered.contains_key(&1), "the key of the hanging request waits");
    stream.run_until_done();
    stream.assert_all_in_order();
}

#[test]
fn shards_split_apart_wait_each_for_the_shard_they_come_from() {
    let mut stream = Stream::new(&aggregated(), 2);
    let keys: Vec<String> = (0..2).map(|shard| key_for(&stream.map, shard)).collect();
    stream.service = Box::new(|number, records| {
        (stores(records), if number == 0 { Duration::from_secs(10) } else { RTT })
    });
    stream.push(0, &keys[0]);
    stream.run_for(millis(20));
    // Both split at once; only the first had a request under way.
    let quarters = [
        shard(10, 0, QUARTER),
        shard(11, QUARTER + 1, HALF - 1),
        shard(12, HALF, HALF + QUARTER),
        shard(13, HALF + QUARTER + 1, u128::MAX),
    ];
    stream.reshard(ShardMap::known(quarters.into()).unwrap());
    stream.push(1, &keys[0]);
    stream.push(2, &keys[1]);
    stream.run_for(millis(100));
    assert!(stream.delivered.contains_key(&2), "its shard comes from one without requests under way");
    assert!(!stream.delivered.contains_key(&1));
    // A merge while the first still hangs inherits the wait.
    stream.reshard(merged());
    stream.push(3, &keys[0]);
    stream.run_for(millis(100));
    assert!(!stream.delivered.contains_key(&3));
    stream.run_until_done();
    stream.assert_all_in_order();
}

#[test]
fn an_aggregate_stored_in_an_unknown_shard_holds_up_its_lane_until_a_map_tells() {
    let mut stream = Stream::new(&aggregated(), 1);
    stream.map = split();
    for tag in 0..20 {
        stream.push(tag, &format!("k{tag}"));
    }
    stream.run_for(millis(40));
    assert_eq!(stream.delivered.len(), 0, "nobody knows whether consumers keep the aggregate");
    for tag in 20..40 {
        stream.push(tag, &format!("k{}", tag - 20));
    }
    stream.run_for(millis(500));
    assert_eq!(stream.requests, 1, "what comes after it waits");
    stream.reshard(split());
    stream.run_until_done();
    stream.assert_all_in_order();
    assert!((0..20).all(|tag| stream.copies[&tag] == 2), "it was sent again in parts");
    assert!((20..40).all(|tag| stream.copies[&tag] == 1));
}

#[test]
fn small_aggregates_of_one_shard_wait_their_linger_because_a_request_takes_one_of_them() {
    let mut stream = Stream::new(&aggregated().aggregate_records_max(2).request_records_max(10), 1);
    for tag in 0..100 {
        stream.push(tag, &format!("k{tag}"));
    }
    stream.run_for(millis(9));
    assert_eq!(stream.requests, 0, "nothing is due, and no request would be full");
    stream.run_for(millis(1));
    assert_eq!(stream.requests, 1);
    stream.run_until_done();
    stream.assert_all_in_order();
}

#[test]
fn records_behind_one_that_waits_expire_in_their_own_time() {
    let mut stream = Stream::new(&ordered().time_to_live(millis(500)), 1);
    stream.service(|_, records| Reply::Each(vec![Some(THROTTLED); records.len()]));
    let start = stream.now;
    for tag in 0..10 {
        stream.push(tag, "k");
        stream.run_for(millis(30));
    }
    stream.run_until_done();
    let failed: Vec<u64> = stream.failed.iter().map(|(tag, ..)| *tag).collect();
    assert_eq!(failed, (0..10).collect::<Vec<_>>(), "in the order of their pushes");
    for (tag, at, failure) in &stream.failed {
        let late = at.since(start.after(millis(500 + 30 * tag)));
        assert!(late <= RTT, "record {tag} outlived its time by {late:?}");
        assert!(matches!(&failure.reason, FailureReason::Expired { last_error: Some(error) }
            if *error.code() == kinesis_batcher_core::ErrorCode::new(THROTTLED)));
    }
}

#[test]
fn records_behind_one_that_hangs_expire_once_it_is_back_and_without_a_busy_loop() {
    let mut stream = Stream::new(&ordered().time_to_live(millis(500)), 1);
    stream.service = Box::new(|_, records| (stores(records), Duration::from_secs(5)));
    for tag in 0..1_000 {
        stream.push(tag, "k");
    }
    stream.run_for(Duration::from_secs(1));
    assert!(stream.batcher.poll_timeout().is_none(), "nothing more happens before the response");
    stream.run_for(Duration::from_secs(5));
    assert_eq!(stream.delivered.len(), 1);
    let failed: Vec<u64> = stream.failed.iter().map(|(tag, ..)| *tag).collect();
    assert_eq!(failed, (1..1_000).collect::<Vec<_>>());
    assert_eq!((stream.held(), stream.requests), (0, 1));
}

#[test]
fn abort_hands_back_what_is_parked_with_the_rest_oldest_first() {
    for config in both_units() {
        let mut stream = Stream::new(&config, 2);
        for tag in 0..10 {
            stream.push(tag, &format!("k{}", tag % 3));
        }
        stream.run_for(millis(15));
        let in_flight = stream.batcher.stats().records_in_flight;
        assert!(in_flight > 0);
        for tag in 10..40 {
            stream.push(tag, &format!("k{}", tag % 3));
        }
        stream.batcher.abort(stream.now);
        stream.events();
        let failed: Vec<u64> = stream.failed.iter().map(|(tag, ..)| *tag).collect();
        assert_eq!(failed.len() as u64, 40 - in_flight);
        for key in stream.keys.values().collect::<BTreeSet<_>>() {
            let of_key: Vec<u64> = failed.iter().copied().filter(|tag| stream.keys[tag] == *key).collect();
            assert!(of_key.is_sorted(), "oldest first: {of_key:?}");
        }
        stream.run_until_done();
        assert!(stream.drained);
        assert_eq!(stream.overtakes(), 0);
    }
}

#[test]
fn close_drains_what_is_parked_and_flush_makes_it_due() {
    for config in both_units() {
        let mut stream = Stream::new(&config.linger(Duration::from_secs(100)), 2);
        let start = stream.now;
        for tag in 0..30 {
            stream.push(tag, &format!("k{}", tag % 3));
        }
        stream.batcher.flush(stream.now);
        stream.run_until_done();
        assert!(stream.now.since(start) <= RTT * 10, "flushed records follow each other without lingering");
        for tag in 30..60 {
            stream.push(tag, &format!("k{}", tag % 3));
        }
        stream.batcher.close(stream.now);
        stream.run_until_done();
        assert!(stream.drained);
        stream.assert_all_in_order();
    }
}

#[test]
fn a_record_that_has_lingered_behind_another_goes_at_once() {
    let mut stream = Stream::new(&ordered().linger(millis(50)), 1);
    let start = stream.now;
    for tag in 0..3 {
        stream.push(tag, "k");
    }
    stream.run_until_done();
    let delays: Vec<Duration> = stream.delivered.values().map(|at| at.since(start)).collect();
    assert_eq!(delays, [millis(70), millis(90), millis(110)], "one lingers, two follow");
}

#[test]
fn a_stream_that_spreads_records_itself_is_refused_in_words() {
    let auto = ShardMap::auto(NonZeroU32::new(2).unwrap());
    for config in both_units() {
        let mut stream = Stream::with_map(&config, auto.clone());
        let refused = stream.try_push(0, "k", 100).unwrap_err();
        assert_eq!(refused, PushErrorReason::OrderImpossible);
        assert!(refused.to_string().contains("cannot be kept in order"), "{refused}");

        let mut stream = Stream::new(&config, 1);
        for tag in 0..10 {
            stream.push(tag, "k");
        }
        stream.run_for(millis(15));
        let in_flight = stream.batcher.stats().records_in_flight;
        stream.service(|_, _| unreachable!("nothing is sent out of order"));
        for tag in 10..20 {
            stream.push(tag, "k");
        }
        stream.batcher.handle_shard_map(stream.now, auto.clone());
        stream.run_until_done();
        assert_eq!(stream.delivered.len() as u64, in_flight);
        let failed: Vec<u64> = stream.failed.iter().map(|(tag, ..)| *tag).collect();
        assert_eq!(failed, (in_flight..20).collect::<Vec<_>>(), "the rest is handed back in order");
        assert!(stream.failed.iter().all(|(.., failure)| failure.reason == FailureReason::OrderImpossible));
    }
}

#[test]
fn a_key_whose_request_hangs_delays_no_other() {
    let mut stream = Stream::new(&ordered(), 1);
    stream.service = Box::new(|number, records| {
        (stores(records), if number == 0 { Duration::from_secs(10) } else { RTT })
    });
    stream.push(0, "hangs");
    stream.run_for(millis(15));
    for tag in 1..100 {
        stream.push(tag, if tag % 10 == 0 { "hangs" } else { "goes" });
        stream.run_for(millis(1));
    }
    stream.run_for(Duration::from_secs(3));
    let held: BTreeSet<u64> =
        stream.keys.keys().copied().filter(|tag| !stream.delivered.contains_key(tag)).collect();
    assert_eq!(held, (0..100).step_by(10).collect(), "only the key that hangs waits");
    let oldest = stream.batcher.shard_stats().next().unwrap().oldest_accepted_at;
    assert!(
        oldest.is_some_and(|at| stream.now.since(at) > Duration::from_secs(2)),
        "and is seen to wait: {oldest:?}"
    );
    stream.run_until_done();
    stream.assert_all_in_order();
}

#[test]
fn what_is_parked_counts_against_the_buffer() {
    let mut stream = Stream::new(&ordered().buffer_records_max(10), 1);
    for tag in 0..10 {
        stream.push(tag, "k");
    }
    assert_eq!(stream.try_push(10, "k", 100), Err(PushErrorReason::Full));
    let stats = stream.batcher.stats();
    assert_eq!((stats.records_queued, stats.buffered_bytes), (10, 10 * 101));
    stream.run_for(millis(35));
    assert_eq!(stream.delivered.len(), 1);
    stream.push(10, "k");
    stream.run_until_done();
    stream.assert_all_in_order();
    assert_eq!(stream.batcher.stats().buffered_bytes, 0);
}

#[test]
fn the_hash_key_decides_and_not_the_partition_key() {
    let mut stream = Stream::new(&ordered(), 2);
    let record = |tag: u64, key: &str, hash_key: u128| {
        Record::new(key, tag.to_be_bytes().to_vec()).unwrap().with_explicit_hash_key(HashKey::new(hash_key))
    };
    stream.push_record(0, record(0, "a", 1)).unwrap();
    stream.push_record(1, record(1, "b", 1)).unwrap();
    stream.push_record(2, record(2, "a", 2)).unwrap();
    stream.run_for(millis(10));
    assert_eq!(
        stream.batcher.stats().records_in_flight,
        2,
        "the second waits for the first, the third does not"
    );
    stream.run_until_done();
    stream.assert_all_in_order();
}

#[test]
fn a_stream_of_which_only_the_size_is_known_keeps_order_too() {
    for config in both_units() {
        let mut stream = Stream::with_map(&config, ShardMap::count_only(NonZeroU32::new(4).unwrap()));
        stream.service(|number, records| {
            let fails =
                |(index, _): (usize, &Arrived)| (index + number).is_multiple_of(5).then_some(THROTTLED);
            Reply::Each(records.iter().enumerate().map(fails).collect())
        });
        for tag in 0..500 {
            stream.push(tag, &format!("k{}", tag % 50));
        }
        stream.run_until_done();
        stream.assert_all_in_order();
        assert!(
            stream.requests < 200,
            "records of different keys share requests; {} were made",
            stream.requests
        );
    }
}

#[test]
fn an_aggregate_grows_while_the_one_before_is_under_way() {
    let mut stream = Stream::new(&aggregated(), 1);
    // Ten times as long as a record lingers.
    stream.service = Box::new(|_, records| (stores(records), millis(100)));
    for tag in 0..2_000 {
        stream.push(tag, &format!("k{}", tag % 50));
        stream.run_for(millis(1));
    }
    assert!(stream.held() < 250, "{} records have piled up", stream.held());
    stream.run_until_done();
    stream.assert_all_in_order();
}

/// Fifty keys on four shards, 20 ms a round trip; in virtual time.
#[test]
fn fifty_keys_with_a_tenth_failing_are_never_overtaken() {
    let plain = Config::builder().linger(millis(10));
    for failing_percent in [0, 10] {
        println!("50 keys, 4 shards, 20 ms, {failing_percent} % failing: records a second, overtakes");
        for (name, config, is_ordered) in [
            ("unordered", plain.clone(), false),
            ("ordered", ordered(), true),
            ("unordered, aggregated", plain.clone().aggregation(true), false),
            ("ordered, aggregated", aggregated(), true),
        ] {
            let (time, overtakes) = time_for_fifty_keys(&config, RECORDS, failing_percent);
            println!("  {name}: {:.0}/s, {overtakes}", RECORDS as f64 / time.as_secs_f64());
            if is_ordered {
                assert_eq!(overtakes, 0, "{name}");
            } else if failing_percent > 0 {
                assert!(overtakes > 0, "failures reorder what nothing keeps in order");
            }
        }
    }
}

const RECORDS: u64 = 20_000;

fn time_for_fifty_keys(config: &ConfigBuilder, records: u64, failing_percent: u64) -> (Duration, usize) {
    let mut stream = Stream::new(config, 4);
    let mut random = 1u64;
    stream.service(move |_, records| {
        let outcomes = records.iter().map(|_| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((random >> 33) % 100 < failing_percent).then_some("InternalFailure")
        });
        Reply::Each(outcomes.collect())
    });
    let (start, mut tag) = (stream.now, 0);
    while tag < records {
        while tag < records && stream.try_push(tag, &format!("k{}", tag * 7 % 50), 500).is_ok() {
            tag += 1;
        }
        assert!(stream.step(Timestamp::MAX));
    }
    stream.run_until_done();
    assert_eq!(stream.delivered.len() as u64, records);
    (stream.now.since(start), stream.overtakes())
}

fn key_for(map: &ShardMap, shard: usize) -> String {
    let key = (0..).map(|n| format!("key-{n}"));
    let mut of_shard = key.filter(|key| map.index_of(HashKey::of_partition_key(key)) == shard);
    of_shard.next().expect("endless")
}
