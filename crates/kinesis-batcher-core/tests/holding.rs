//! Errors that say nothing about a record fail none: the producer holds, probes, and resumes.

mod common;

use std::time::Duration;

use common::{Reply, World, failed_with, millis, refused, store_all};
use kinesis_batcher_core::{
    Config, FailureReason, RecordOutcome, RequestError, Response, ServiceError, ShardMap, Timestamp,
};

/// One of each kind: the stream, a permission, a key, a redirect, a wrong secret, a clock, rotated keys.
const ERRORS: [(u16, &str); 9] = [
    (400, "ResourceNotFoundException"),
    (400, "AccessDeniedException"),
    (400, "KMSDisabledException"),
    (302, "Redirect"),
    (403, "SignatureDoesNotMatch"),
    (403, "InvalidSignatureException"),
    (400, "UnrecognizedClientException"),
    (400, "ExpiredTokenException"),
    (404, ""),
];

fn error(status: u16, code: &str) -> Reply {
    Err(RequestError::refused(status, ServiceError::from_code(code)))
}

fn forever() -> Config {
    Config::builder().time_to_live(None).attempts_max(1).build().expect("in range")
}

#[test]
fn a_stream_that_is_away_for_a_minute_loses_nothing_and_its_return_is_noticed_within_two_seconds() {
    for (status, code) in ERRORS {
        let mut world = World::new(forever(), 4);
        let (start, back) = (world.now.after(millis(500)), world.now.after(millis(60_500)));
        world.service(move |arrival, map| {
            if arrival.at >= start && arrival.at < back {
                error(status, code)
            } else {
                store_all(arrival, map)
            }
        });
        for tag in 0..3_000 {
            world.push(tag, &format!("k{tag}"), 100).unwrap();
            world.run_for(millis(1));
        }
        let hold = world.batcher.hold().expect("the producer holds").clone();
        assert_eq!(hold.error.code().as_str(), code);
        assert!(hold.since >= start && hold.since <= start.after(millis(500)), "{hold:?}");
        assert!(hold.next_probe_at > hold.since);
        world.run_until_done();
        assert_eq!((world.delivered.len(), world.failed.len()), (3_000, 0), "{status} {code}");
        assert!(world.batcher.hold().is_none() && world.stats().holds == 1);
        let last = world.delivered.values().map(|(at, _)| *at).max().unwrap();
        assert!(last <= back.after(millis(3_000)), "{code}: the last record came at {last:?}");
        assert!(
            world.delivered.values().all(|(_, receipt)| receipt.attempts == 1 && !receipt.possible_duplicate)
        );
    }
}

#[test]
fn ten_minutes_with_a_full_buffer_cost_less_than_a_request_a_second_and_grow_nothing() {
    for (status, code) in ERRORS {
        let config = Config::builder().buffer_records_max(5_000).time_to_live(None).build().unwrap();
        let mut world = World::new(config, 4);
        world.service(move |_, _| error(status, code));
        let mut accepted = 0;
        while world.push(accepted, &format!("k{accepted}"), 100).is_ok() {
            accepted += 1;
        }
        let turns = world.timeouts;
        world.run_for(Duration::from_secs(600));
        let stats = world.stats();
        assert_eq!(stats.records_queued + stats.records_in_flight, accepted);
        assert!(world.arrivals.len() <= 600, "{code}: {} requests in ten minutes", world.arrivals.len());
        assert!(world.timeouts - turns <= 3_000, "{code}: {} turns of the loop", world.timeouts - turns);
        assert_eq!(stats.requests_in_flight_allowed, 1, "one probe at a time");
    }
}

#[test]
fn the_time_to_live_ends_a_record_that_is_held_and_names_the_cause() {
    let mut world = World::new(Config::builder().time_to_live(millis(3_000)).build().unwrap(), 1);
    world.service(|_, _| refused("AccessDeniedException"));
    world.push(0, "k", 10).unwrap();
    let accepted_at = world.now;
    world.run_until_done();
    let (at, failure) = &world.failed[&0];
    assert!(*at >= accepted_at.after(millis(3_000)), "not a moment earlier");
    let FailureReason::Expired { last_error: Some(error) } = &failure.reason else {
        panic!("{failure}");
    };
    assert_eq!(error.code().as_str(), "AccessDeniedException");
    assert_eq!((failure.attempts, failure.possibly_stored), (0, false));
    assert_eq!(world.batcher.hold(), None, "nothing is held that could show that the stream is back");
}

// S-16
#[test]
fn an_account_level_error_of_every_record_of_a_reply_holds_and_of_some_does_not() {
    let mut world = World::new(forever(), 1);
    let back = world.now.after(millis(20_000));
    world.service(move |arrival, map| {
        if arrival.at < back {
            return Ok(Response::new(vec![failed_with("KMSAccessDeniedException"); arrival.records.len()]));
        }
        store_all(arrival, map)
    });
    for tag in 0..100 {
        world.push(tag, "k", 10).unwrap();
    }
    world.run_for(millis(5_000));
    assert!(world.batcher.hold().is_some());
    assert!(world.arrivals.len() < 12, "{} requests in five seconds", world.arrivals.len());
    world.run_until_done();
    assert_eq!(world.delivered.len(), 100);

    let mut world = World::new(Config::builder().time_to_live(millis(3_000)).build().unwrap(), 1);
    world.service(|arrival, map| {
        let Ok(mut response) = store_all(arrival, map) else { unreachable!("it stores all") };
        for (outcome, record) in response.outcomes.iter_mut().zip(&arrival.records) {
            if record.tag == 7 {
                *outcome = failed_with("KMSAccessDeniedException");
            }
        }
        Ok(response)
    });
    for tag in 0..100 {
        world.push(tag, "k", 10).unwrap();
    }
    world.run_for(millis(500));
    assert_eq!(world.delivered.len(), 99, "those that were stored are delivered");
    world.push(100, "k", 10).unwrap();
    world.run_for(millis(2_000));
    assert_eq!(world.delivered.len(), 100, "and so are others, beside the one that is refused");
    world.run_until_done();
    assert_eq!(world.stats().records_expired, 1, "only its time to live ends it");
}

// S-21, S-22
#[test]
fn a_map_is_asked_for_when_a_hold_ends() {
    let mut world = World::new(forever(), 1);
    let back = world.now.after(millis(5_000));
    world.service(move |arrival, map| {
        if arrival.at < back { refused("ResourceNotFoundException") } else { store_all(arrival, map) }
    });
    world.push(0, "k", 10).unwrap();
    world.run_for(millis(4_900));
    assert_eq!(world.stale_events, 0);
    world.run_until_done();
    assert_eq!(world.stale_events, 1, "the stream may have been created again");
}

#[test]
fn with_fail_fast_expired_credentials_have_one_chance_to_be_renewed() {
    let config = Config::builder().fail_fast(true).build().unwrap();
    let mut world = World::new(config.clone(), 1);
    world.service(|arrival, map| {
        if arrival.number == 0 { refused("ExpiredTokenException") } else { store_all(arrival, map) }
    });
    world.push(0, "k", 10).unwrap();
    world.run_until_done();
    assert_eq!(world.delivered.len(), 1);

    let mut world = World::new(config, 1);
    world.service(|_, _| error(403, "SignatureDoesNotMatch"));
    world.push(0, "k", 10).unwrap();
    world.run_until_done();
    assert!(matches!(world.failed[&0].1.reason, FailureReason::Permanent(_)));
    assert_eq!(world.arrivals.len(), 2);
}

#[test]
fn requests_that_reach_no_shard_are_no_attempts() {
    for not_counted in [
        RequestError::not_sent("connection refused"),
        RequestError::no_credentials("no provider has any"),
        RequestError::refused(400, ServiceError::from_code("ExpiredTokenException")),
        RequestError::refused(400, ServiceError::from_code("AccessDeniedException")),
    ] {
        let mut world = World::new(Config::builder().attempts_max(2).build().unwrap(), 1);
        let reply = not_counted.clone();
        world.service(
            move |arrival, map| {
                if arrival.number < 10 { Err(reply.clone()) } else { store_all(arrival, map) }
            },
        );
        world.push(0, "k", 10).unwrap();
        world.run_until_done();
        assert_eq!(world.delivered[&0].1.attempts, 1, "{not_counted}");
        let stats = world.stats();
        assert_eq!((stats.records_retried, stats.records_recovered), (0, 0));
    }
}

// S-38
#[test]
fn a_request_that_is_too_large_is_divided_and_later_ones_are_smaller() {
    for limit in [20_000, 700] {
        let mut world = World::new(Config::builder().attempts_max(1).build().unwrap(), 8);
        world.service(
            move |arrival, map| {
                if arrival.bytes > limit { error(413, "") } else { store_all(arrival, map) }
            },
        );
        for tag in 0..2_000 {
            world.push(tag, &format!("k{tag}"), 500).unwrap();
        }
        world.run_until_done();
        assert_eq!(world.delivered.len(), 2_000);
        let refused = world.stats().requests_too_large;
        let first: Vec<_> = world.arrivals.iter().map(|arrival| arrival.bytes).take(20).collect();
        assert!(refused <= 160, "{refused} requests were too large: {first:?}");
        for tag in 2_000..4_000 {
            world.push(tag, &format!("k{tag}"), 500).unwrap();
        }
        world.run_until_done();
        assert_eq!(world.stats().requests_too_large, refused, "the size is remembered");
        assert_eq!(world.batcher.hold(), None);
    }
}

#[test]
fn a_record_that_is_too_large_alone_fails_and_harms_no_other() {
    let mut world = World::new(Config::default(), 2);
    world.service(
        |arrival, map| {
            if arrival.bytes > 20_000 { error(413, "") } else { store_all(arrival, map) }
        },
    );
    for tag in 0..100 {
        world.push(tag, &format!("k{tag}"), if tag == 50 { 30_000 } else { 1_000 }).unwrap();
    }
    world.run_until_done();
    assert_eq!(world.failed.keys().copied().collect::<Vec<_>>(), [50]);
    assert!(matches!(world.failed[&50].1.reason, FailureReason::Rejected(_)));
    assert_eq!(world.delivered.len(), 99);
}

#[test]
fn an_aggregate_that_is_too_large_is_divided() {
    let mut world = World::new(Config::builder().aggregation(true).attempts_max(1).build().unwrap(), 1);
    let (mut sizes, mut entries) = (vec![], 0);
    let mut serve = |world: &mut World| {
        while world.held() > 0 {
            world.run_to_request(|request| {
                sizes.push(request.bytes());
                entries = request.len();
            });
            let bytes = *sizes.last().unwrap();
            let stored = RecordOutcome::Stored {
                shard_id: "shardId-000000000000".into(),
                sequence_number: "1".into(),
            };
            let reply =
                if bytes > 10_000 { error(413, "") } else { Ok(Response::new(vec![stored; entries])) };
            world.answer(reply);
        }
    };
    for tag in 0..400 {
        world.push(tag, "k", 100).unwrap();
    }
    world.batcher.flush(world.now);
    serve(&mut world);
    assert_eq!((world.delivered.len(), world.failed.len()), (400, 0), "{sizes:?}");
    assert!(sizes.len() < 20, "{sizes:?}");
}

#[test]
fn a_producer_without_a_map_takes_records_asks_until_it_has_one_and_then_sends() {
    let mut world = World::with_map(Config::default(), ShardMap::unknown());
    world.push(0, "k", 10).unwrap();
    world.run_for(millis(20_000));
    assert_eq!((world.arrivals.len(), world.held()), (0, 1), "nothing is sent blindly");
    assert!((4..=6).contains(&world.stale_events), "asked {} times in 20 s", world.stale_events);
    world.map = ShardMap::uniform(2.try_into().unwrap());
    world.batcher.handle_shard_map(world.now, world.map.clone());
    world.run_until_done();
    assert_eq!(world.delivered.len(), 1);
}

#[test]
fn one_misrouted_record_has_the_map_asked_for_until_a_map_explains_it() {
    let mut world = World::new(Config::default(), 2);
    let split: ShardMap = ShardMap::uniform(4.try_into().unwrap());
    world.map = split.clone();
    let key = (0..).map(|n| format!("k{n}")).find(|key| world.shard_of(key) == 3).unwrap();
    world.push(0, &key, 10).unwrap();
    world.run_until_done();
    assert_eq!(world.stale_events, 1, "it is asked for at once");
    world.run_for(millis(20_000));
    assert!(world.stale_events >= 4, "an idle batcher asked {} times", world.stale_events);
    let old = world.batcher.shard_map().clone();
    world.batcher.handle_shard_map(world.now, old);
    world.run_for(millis(60_000));
    let before = world.stale_events;
    assert!(before >= 6, "a map that is as old explains nothing");
    world.batcher.handle_shard_map(world.now, split);
    world.run_for(millis(120_000));
    assert_eq!(world.stale_events, before, "this one explains it");
    assert_eq!(world.batcher.poll_timeout(), None, "and nothing is left to do");
}

#[test]
fn a_run_of_misrouted_records_has_the_map_asked_for_a_second_after_the_last_time() {
    let mut world = World::new(Config::default(), 4);
    // A stream that distributes records itself: every record lands in the first shard.
    world.service(|arrival, _| {
        let stored =
            RecordOutcome::Stored { shard_id: "shardId-000000000000".into(), sequence_number: "1".into() };
        Ok(Response::new(vec![stored; arrival.records.len()]))
    });
    let mut asked_at: Vec<Timestamp> = vec![];
    for tag in 0..400 {
        world.push(tag, &format!("k{tag}"), 10).unwrap();
        let before = world.stale_events;
        world.run_for(millis(100));
        if world.stale_events > before {
            asked_at.push(world.now);
        }
    }
    let first = asked_at[0];
    assert!(asked_at[1].since(first) <= millis(1_300), "{asked_at:?}");
    assert!(asked_at[2].since(first) <= millis(3_500), "{asked_at:?}");
    assert!(asked_at.len() <= 15, "but not without end: {asked_at:?}");
}
