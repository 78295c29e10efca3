//! What is sent again, when, and for how long.

mod common;

use std::time::Duration;

use common::{Arrived, World, failed_with, is_code, key_for, millis, refused, store_all, stored, throttled};
use kinesis_batcher_core::{
    Config, FailureReason, RecordOutcome, RequestError, Response, ServiceError, ShardLimit, Timestamp,
};

// S-14, S-15, S-40
#[test]
fn only_what_failed_is_sent_again() {
    let mut world = World::new(Config::default(), 4);
    world.service(|arrival, map| {
        let outcome = |record: &Arrived| {
            if arrival.number == 0 && record.tag % 10 == 3 { throttled() } else { stored(record, map) }
        };
        Ok(Response::new(arrival.records.iter().map(outcome).collect()))
    });
    for tag in 0..100 {
        world.push(tag, &format!("k{tag}"), 10).unwrap();
    }
    world.run_until_done();
    let again: Vec<u64> =
        world.arrivals[1..].iter().flat_map(|arrival| &arrival.records).map(|r| r.tag).collect();
    assert_eq!(again.len(), 10);
    assert!(again.iter().all(|tag| tag % 10 == 3));
    assert_eq!(world.delivered.len(), 100);
    let stats = world.stats();
    assert_eq!((stats.records_retried, stats.records_recovered, stats.records_throttled), (10, 10, 10));
    assert_eq!(stats.records_possibly_duplicated, 0, "a throttled record was certainly not stored");
    assert_eq!(world.delivered[&3].1.attempts, 2);
}

// S-45
#[test]
fn a_code_nobody_has_heard_of_neither_loses_the_record_nor_stops_the_rest() {
    let mut world = World::new(Config::default(), 1);
    world.service(|arrival, map| {
        let outcome = |record: &Arrived| match (arrival.number, record.tag) {
            (0, 1) => failed_with("TotallyNewException"),
            (0, 2) => failed_with("InternalFailure"),
            _ => stored(record, map),
        };
        Ok(Response::new(arrival.records.iter().map(outcome).collect()))
    });
    for tag in 0..4 {
        world.push(tag, "k", 10).unwrap();
    }
    world.run_until_done();
    assert_eq!(world.delivered.len(), 4);
    let marked = |tag| world.delivered[&tag].1.possible_duplicate;
    assert_eq!(
        [0, 1, 2, 3].map(marked),
        [false, true, true, false],
        "S-49: a failed attempt may have stored it"
    );
    assert_eq!(world.stats().records_possibly_duplicated, 2);
}

#[test]
fn an_entry_that_says_nothing_is_sent_again_and_marked() {
    let mut world = World::new(Config::default(), 1);
    world.service(|arrival, map| {
        let outcome = |record: &Arrived| match (arrival.number, record.tag) {
            (0, 1) => RecordOutcome::Unknown,
            _ => stored(record, map),
        };
        Ok(Response::new(arrival.records.iter().map(outcome).collect()))
    });
    for tag in 0..3 {
        world.push(tag, "k", 10).unwrap();
    }
    world.run_until_done();
    let marked: Vec<u64> = world
        .delivered
        .iter()
        .filter(|(_, (_, receipt))| receipt.possible_duplicate)
        .map(|(&tag, _)| tag)
        .collect();
    assert_eq!(marked, [1]);
    assert_eq!(world.stats().records_possibly_duplicated, 1);
}

#[test]
fn a_reply_shorter_or_longer_than_the_request_is_not_believed() {
    for wrong in [0, 4, 6, 501] {
        let mut world = World::new(Config::default(), 1);
        world.service(move |arrival, map| {
            if arrival.number > 0 {
                return store_all(arrival, map);
            }
            Ok(Response::new(vec![stored(&arrival.records[0], map); wrong]))
        });
        for tag in 0..5 {
            world.push(tag, "k", 10).unwrap();
        }
        world.run_until_done();
        assert_eq!(world.delivered.len(), 5);
        assert!(
            world.delivered.values().all(|(_, receipt)| receipt.attempts == 2 && receipt.possible_duplicate),
            "after a reply with {wrong} entries for five records, each may be stored twice"
        );
    }
}

// S-23
#[test]
fn a_request_whose_outcome_is_unknown_marks_its_records_and_one_that_never_left_does_not() {
    for (error, marked) in [
        (RequestError::outcome_unknown("connection reset"), true),
        (RequestError::refused(500, ServiceError::from_code("InternalFailure")), true),
        (RequestError::refused(503, ServiceError::new("", "<html>")), true),
        (RequestError::not_sent("connection refused"), false),
        (RequestError::refused(400, ServiceError::from_code("ThrottlingException")), false),
        (RequestError::refused(400, ServiceError::from_code("ExpiredTokenException")), false),
    ] {
        let mut world = World::new(Config::default(), 2);
        let reply = error.clone();
        world.service(
            move |arrival, map| {
                if arrival.number == 0 { Err(reply.clone()) } else { store_all(arrival, map) }
            },
        );
        for tag in 0..10 {
            world.push(tag, &format!("k{tag}"), 10).unwrap();
        }
        world.run_until_done();
        assert_eq!(world.delivered.len(), 10, "{error} is worth another try");
        assert!(world.delivered.values().all(|(_, receipt)| receipt.possible_duplicate == marked), "{error}");
    }
}

#[test]
fn with_fail_fast_an_account_level_error_fails_its_records_at_once() {
    let config = Config::builder().fail_fast(true).build().unwrap();
    for code in ["AccessDeniedException", "ResourceNotFoundException", "KMSDisabledException"] {
        let mut world = World::new(config.clone(), 2);
        world.service(move |_, _| refused(code));
        world.push(0, "k", 10).unwrap();
        world.run_until_done();
        assert_eq!(world.arrivals.len(), 1, "{code} is not tried again");
        let (_, failure) = &world.failed[&0];
        assert!(matches!(&failure.reason, FailureReason::Permanent(error) if is_code(error, code)));
        assert_eq!((failure.attempts, failure.possibly_stored), (0, false));
    }
    let mut world = World::new(config, 1);
    world.service(|arrival, _| {
        Ok(Response::new(vec![failed_with("KMSNotFoundException"); arrival.records.len()]))
    });
    world.push(0, "k", 10).unwrap();
    world.run_until_done();
    assert_eq!(world.stats().records_permanent, 1, "a record can be refused by itself");
}

// S-43
#[test]
fn one_poison_record_fails_alone() {
    for poison in [0, 1, 250, 499] {
        let mut world = World::new(Config::builder().attempts_max(2).build().unwrap(), 8);
        world.service(move |arrival, map| {
            if arrival.records.iter().any(|record| record.tag == poison) {
                return refused("ValidationException");
            }
            store_all(arrival, map)
        });
        for tag in 0..500 {
            world.push(tag, &format!("k{tag}"), 10).unwrap();
        }
        world.run_until_done();
        assert_eq!(world.failed.keys().copied().collect::<Vec<_>>(), [poison]);
        assert!(matches!(world.failed[&poison].1.reason, FailureReason::Rejected(_)));
        assert_eq!(world.delivered.len(), 499);
        assert!(world.arrivals.len() <= 19, "it took {} requests to find one of 500", world.arrivals.len());
        let innocents = world.delivered.values().map(|(_, receipt)| receipt.attempts).max();
        assert_eq!(innocents, Some(1), "a request rejected for a neighbour is no attempt");
    }
}

#[test]
fn several_poison_records_fail_alone() {
    let mut world = World::new(Config::default(), 8);
    let bad = |tag: u64| tag % 100 == 7 || tag == 8;
    world.service(move |arrival, map| {
        if arrival.records.iter().any(|record| bad(record.tag)) {
            return refused("InvalidArgumentException");
        }
        store_all(arrival, map)
    });
    for tag in 0..2_000 {
        world.push(tag, &format!("k{tag}"), 10).unwrap();
    }
    world.run_until_done();
    assert!(world.failed.keys().all(|&tag| bad(tag)));
    assert_eq!(world.failed.len(), 21);
    assert_eq!(world.delivered.len(), 1_979);
}

/// 2,000 records a second for twenty seconds into eight shards; from the second second on, one in 2,000 is poison.
fn delays_with_poison(poison: bool) -> (Duration, Duration) {
    let mut world = World::new(Config::default(), 8);
    let bad = move |tag: u64| poison && tag % 2_000 == 1_999;
    world.service(move |arrival, map| {
        if arrival.records.iter().any(|record| bad(record.tag)) {
            return refused("ValidationException");
        }
        store_all(arrival, map)
    });
    for tag in 0..40_000 {
        world.push(tag, &format!("k{tag}"), 100).expect("there is room");
        if tag % 2 == 1 {
            world.run_for(millis(1));
        }
    }
    world.run_until_done();
    assert_eq!(world.failed.len(), if poison { 20 } else { 0 });
    assert!(world.failed.keys().all(|&tag| bad(tag)));
    let mut delays: Vec<_> = world.delivered.keys().map(|&tag| world.delay(tag)).collect();
    delays.sort();
    (delays[delays.len() / 2], delays[delays.len() * 99 / 100])
}

#[test]
fn a_poison_record_a_second_less_than_doubles_the_99th_percentile_of_its_neighbours() {
    let (_, healthy) = delays_with_poison(false);
    let (_, poisoned) = delays_with_poison(true);
    println!("99th percentile {healthy:?} without a poison record, {poisoned:?} with one a second");
    assert!(poisoned < 2 * healthy, "the 99th percentile rose from {healthy:?} to {poisoned:?}");
}

#[test]
fn a_record_is_sent_as_often_as_allowed_and_no_more() {
    let mut world = World::new(Config::builder().attempts_max(3).build().unwrap(), 1);
    world.service(|arrival, _| Ok(Response::new(vec![throttled(); arrival.records.len()])));
    world.push(0, "k", 10).unwrap();
    world.run_until_done();
    assert_eq!(world.arrivals.len(), 3);
    let (_, failure) = &world.failed[&0];
    assert_eq!(failure.attempts, 3);
    assert!(matches!(&failure.reason, FailureReason::AttemptsExhausted(error)
        if is_code(error, "ProvisionedThroughputExceededException")));
}

#[test]
fn an_expired_record_is_handed_back_in_time_with_the_last_error() {
    let config = Config::builder().time_to_live(Duration::from_secs(5)).build().unwrap();
    let mut world = World::new(config, 1);
    world.service(|_, _| Err(RequestError::outcome_unknown("timed out")));
    let start = world.now;
    for tag in 0..10 {
        world.push(tag, "k", 10).unwrap();
        world.run_for(millis(100));
    }
    world.run_until_done();
    assert_eq!(world.failed.len(), 10);
    for (tag, (at, failure)) in &world.failed {
        let age = at.since(start.after(millis(tag * 100)));
        assert!(
            age >= Duration::from_secs(5) && age <= millis(5_020),
            "record {tag} came back after {age:?}"
        );
        let FailureReason::Expired { last_error: Some(error) } = &failure.reason else {
            panic!("{failure:?}")
        };
        assert!(is_code(error, "OutcomeUnknown"));
        assert!(failure.possibly_stored, "an attempt timed out");
    }
    assert_eq!(world.stats().records_expired, 10);
}

#[test]
fn a_time_to_live_beyond_the_end_of_time_never_ends() {
    let mut world = World::new(Config::builder().time_to_live(Duration::MAX).build().unwrap(), 1);
    world.service(
        |arrival, map| if arrival.number < 20 { refused("Throttling") } else { store_all(arrival, map) },
    );
    world.push(0, "k", 10).unwrap();
    world.run_until_done();
    assert_eq!(world.delivered.len(), 1);
}

#[test]
fn a_record_that_lives_for_ever_survives_the_end_of_time() {
    for time_to_live in [None, Some(Duration::MAX)] {
        let mut world = World::new(Config::builder().time_to_live(time_to_live).build().unwrap(), 1);
        world.push(0, "k", 10).unwrap();
        world.batcher.handle_timeout(Timestamp::MAX);
        let request = world.batcher.poll_request().expect("it has lingered long enough");
        world.batcher.handle_response(Timestamp::MAX, request, Err(RequestError::not_sent("no route")));
        assert!(world.batcher.poll_event().is_none(), "it is neither expired nor lost");
        assert_eq!(world.held(), 1);
    }
}

#[test]
fn an_outage_costs_a_request_a_second_and_its_end_is_noticed_within_two() {
    let config = Config::builder().shard_limit(ShardLimit::Off).buffer_records_max(10_000).build().unwrap();
    let mut world = World::new(config, 16);
    let start = world.now;
    let outage = Duration::from_secs(30);
    world.service(move |arrival, map| {
        if arrival.at < start.after(outage) {
            Err(RequestError::outcome_unknown("503"))
        } else {
            store_all(arrival, map)
        }
    });
    let mut tag = 0;
    while world.push(tag, &format!("k{tag}"), 100).is_ok() {
        tag += 1;
    }
    assert!(tag > 9_000, "a buffer whose shards share the load holds nearly all it may: {tag}");
    world.run_for(outage);
    let probes = world.arrivals.len();
    assert!(probes < 120, "{probes} requests were made in an outage of thirty seconds");
    assert!(world.timeouts < 300, "{} timeouts were handled while nothing could be done", world.timeouts);
    assert_eq!(world.held(), tag, "nothing was lost");
    world.run_for(Duration::from_secs(2));
    assert_eq!(world.delivered.len() as u64, tag, "all was delivered within two seconds of its end");
    assert_eq!(world.stats().requests_in_flight_allowed, 16);
}

// S-17
#[test]
fn a_retry_does_not_overtake_what_was_pushed_before_it() {
    let mut world = World::new(Config::builder().in_flight_requests_max(1).build().unwrap(), 1);
    world.service(|arrival, map| {
        if arrival.number % 2 == 0 {
            Err(RequestError::not_sent("no route"))
        } else {
            store_all(arrival, map)
        }
    });
    for tag in 0..50 {
        world.push(tag, "k", 10).unwrap();
        world.run_for(millis(7));
    }
    world.run_until_done();
    assert_eq!(
        world.order,
        (0..50).collect::<Vec<_>>(),
        "with one request in flight the order of pushes is kept"
    );
}

#[test]
fn records_of_a_healthy_shard_pass_those_that_are_throttled_in_the_same_request() {
    let mut world = World::new(Config::default(), 2);
    let keys = [key_for(&world.map, 0), key_for(&world.map, 1)];
    let start = world.now;
    world.service(move |arrival, map| {
        let outcome = |record: &Arrived| {
            let hot = map.index_of(record.hash_key) == 0;
            if hot && arrival.at < start.after(millis(3_000)) { throttled() } else { stored(record, map) }
        };
        Ok(Response::new(arrival.records.iter().map(outcome).collect()))
    });
    for tag in 0..20 {
        world.push(tag, &keys[tag as usize % 2], 10).unwrap();
    }
    world.run_until_done();
    for tag in 0..20 {
        if tag % 2 == 1 {
            assert!(
                world.delay(tag) <= millis(120),
                "record {tag} of the healthy shard took {:?}",
                world.delay(tag)
            );
        } else {
            // A shard that took nothing for three seconds is asked for a few records a second at first.
            assert!(world.delay(tag) < millis(6_000), "record {tag} took {:?}", world.delay(tag));
        }
    }
}

#[test]
fn records_that_expired_in_a_rejected_request_are_handed_back_with_its_reply() {
    let mut world = World::new(Config::builder().time_to_live(millis(150)).build().unwrap(), 1);
    for tag in 0..4 {
        world.push(tag, "key", 10).unwrap();
    }
    world.run_to_request(|request| assert_eq!(request.len(), 4));
    world.now = world.now.after(millis(200));
    world.answer(refused("ValidationException"));
    assert_eq!(world.failed.len(), 4, "none stays for a later call");
    assert!(
        world.failed.values().all(|(_, failure)| matches!(failure.reason, FailureReason::Expired { .. }))
    );
    assert_eq!(world.batcher.poll_timeout(), None, "no deadline of the past is left");
}
