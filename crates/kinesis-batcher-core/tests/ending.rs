//! Back-pressure, close, abort, and time that misbehaves.

mod common;

use std::time::Duration;

use common::{World, key_for, millis, record, store_all, throttled};
use kinesis_batcher_core::{Config, FailureReason, PushErrorReason, RequestError, Response, Timestamp};

#[test]
fn a_full_buffer_gives_the_record_back_and_says_when_there_is_room() {
    let mut world = World::new(Config::builder().buffer_bytes_max(1_024).build().unwrap(), 1);
    for tag in 0..10 {
        world.push(tag, "k", 99).unwrap();
    }
    let refused = world.push(10, "k", 99).unwrap_err();
    assert_eq!((refused.reason, refused.tag), (PushErrorReason::Full, 10));
    assert_eq!(refused.record, record(10, "k", 99), "the record comes back unchanged");
    assert_eq!(world.stats().buffered_bytes, 1_000);
    world.run_for(millis(110));
    assert_eq!(world.unblocked_events, 0, "what is in flight is still held");
    world.run_until_done();
    assert_eq!(world.unblocked_events, 1);
    world.push(11, "k", 99).unwrap();
    world.run_until_done();
    assert_eq!(world.unblocked_events, 1, "nobody was refused since");
}

#[test]
fn the_number_of_records_is_bounded_too() {
    let mut world = World::new(Config::builder().buffer_records_max(3).build().unwrap(), 1);
    for tag in 0..3 {
        world.push(tag, "k", 10).unwrap();
    }
    assert_eq!(world.push(3, "k", 10).unwrap_err().reason, PushErrorReason::Full);
    assert_eq!(world.stats().records_refused, 1);
}

#[test]
fn a_hot_shard_does_not_take_the_whole_buffer() {
    let mut world = World::new(Config::builder().buffer_records_max(1_000).build().unwrap(), 4);
    let keys: Vec<String> = (0..4).map(|shard| key_for(&world.map, shard)).collect();
    let mut tag = 0;
    while world.push(tag, &keys[0], 10).is_ok() {
        tag += 1;
    }
    assert_eq!(world.push(10_000, &keys[0], 10).unwrap_err().reason, PushErrorReason::ShardFull);
    for shard in 1..4 {
        world.push(20_000 + shard, &keys[shard as usize], 10).expect("other shards still get in");
    }
}

#[test]
fn events_that_nobody_polls_fill_the_buffer_instead_of_memory() {
    let config = Config::builder().buffer_records_max(100).fail_fast(true).build().unwrap();
    let mut world = World::new(config, 1);
    for tag in 0..100 {
        world.push(tag, "k", 10).unwrap();
    }
    world.batcher.flush(world.now);
    let request = world.batcher.poll_request().expect("all of it is due");
    let error =
        RequestError::refused(400, kinesis_batcher_core::ServiceError::from_code("AccessDeniedException"));
    world.batcher.handle_response(world.now, request, Err(error));
    assert_eq!(world.push(100, "k", 10).unwrap_err().reason, PushErrorReason::Full);
    world.settle();
    assert_eq!((world.failed.len(), world.unblocked_events), (100, 1));
    world.push(101, "k", 10).unwrap();
}

#[test]
fn close_delivers_what_is_queued_and_drained_comes_last() {
    let mut world = World::new(Config::builder().linger(Duration::from_secs(60)).build().unwrap(), 4);
    for tag in 0..100 {
        world.push(tag, &format!("k{tag}"), 10).unwrap();
    }
    world.batcher.close(world.now);
    let refused = world.push(100, "k", 10).unwrap_err();
    assert_eq!(refused.reason, PushErrorReason::Closed);
    world.run_until_done();
    assert_eq!(world.delivered.len(), 100);
    assert!(world.drained);
    world.batcher.close(world.now);
    world.batcher.abort(world.now);
    world.settle();
    assert!(world.batcher.poll_timeout().is_none(), "a drained batcher waits for nothing");
}

#[test]
fn an_empty_batcher_is_drained_as_soon_as_it_is_closed() {
    let mut world = World::new(Config::default(), 4);
    world.batcher.close(world.now);
    world.settle();
    assert!(world.drained && world.batcher.is_drained());
}

#[test]
fn abort_hands_back_what_is_queued_at_once_and_what_is_in_flight_when_it_returns() {
    let mut world = World::new(Config::builder().in_flight_requests_max(1).build().unwrap(), 1);
    world.service(|arrival, map| {
        let mut response = store_all(arrival, map)?;
        response.outcomes[1] = throttled();
        Ok(response)
    });
    for tag in 0..300 {
        world.push(tag, "k", 10).unwrap();
    }
    world.batcher.flush(world.now);
    world.settle();
    let in_flight = world.stats().records_in_flight;
    assert_eq!(in_flight, 200);
    world.batcher.abort(world.now);
    world.settle();
    assert_eq!(world.failed.len(), 100);
    assert!(world.failed.values().all(|(_, failure)| failure.reason == FailureReason::Aborted));
    assert!(!world.drained, "a request is still on its way");
    world.run_until_done();
    assert_eq!(world.delivered.len(), 199);
    assert_eq!(world.failed[&1].1.reason, FailureReason::Aborted);
    assert_eq!(world.failed[&1].1.attempts, 1);
    assert!(world.drained);
    assert_eq!(world.stats().records_aborted, 101);
}

#[test]
fn stopping_does_not_wait_for_a_retry_that_sleeps() {
    let mut world = World::new(Config::default(), 1);
    world.service(|_, _| Err(RequestError::not_sent("no route")));
    world.push(0, "k", 10).unwrap();
    world.run_for(Duration::from_secs(20));
    assert!(world.batcher.poll_timeout().is_some_and(|deadline| deadline.at > world.now), "a retry sleeps");
    world.batcher.abort(world.now);
    world.settle();
    if world.held() > 0 {
        world.run_for(millis(20));
    }
    assert!(world.drained);
    assert_eq!(world.failed.len(), 1);
}

#[test]
fn records_under_suspicion_are_handed_back_by_abort_too() {
    let mut world = World::new(Config::default(), 1);
    world.service(|_, _| common::refused("ValidationException"));
    for tag in 0..100 {
        world.push(tag, "k", 10).unwrap();
    }
    world.run_for(millis(150));
    world.batcher.abort(world.now);
    world.run_until_done();
    assert_eq!(world.failed.len(), 100);
    assert!(world.drained);
}

#[test]
fn a_backward_step_of_time_changes_nothing() {
    let mut world = World::new(Config::default(), 1);
    world.push(0, "k", 10).unwrap();
    let deadline = world.batcher.poll_timeout().unwrap();
    world.batcher.handle_timeout(Timestamp::ZERO);
    world.batcher.push(Timestamp::ZERO, record(1, "k", 10), 1).unwrap();
    world.batcher.flush(Timestamp::ZERO);
    assert_eq!(deadline.at, world.now.after(millis(100)));
    let request = world.batcher.poll_request().expect("flushed");
    assert_eq!(request.len(), 2);
    world.batcher.handle_response(Timestamp::ZERO, request, Ok(Response::new(vec![])));
    assert!(world.batcher.poll_timeout().unwrap().at >= world.now, "waits are counted from the later time");
}

#[test]
fn a_spurious_timeout_does_nothing() {
    let mut world = World::new(Config::default(), 1);
    world.push(0, "k", 10).unwrap();
    let before = world.batcher.poll_timeout();
    for _ in 0..10 {
        world.batcher.handle_timeout(world.now);
    }
    assert_eq!(world.batcher.poll_timeout(), before);
    assert!(world.batcher.poll_request().is_none() && world.batcher.poll_event().is_none());
}

#[test]
fn handling_a_timeout_at_its_deadline_moves_the_deadline_on() {
    let mut world = World::new(Config::builder().time_to_live(Duration::from_secs(3)).build().unwrap(), 4);
    world.service(|arrival, map| {
        if arrival.number % 3 == 0 {
            return Err(RequestError::outcome_unknown("reset"));
        }
        let mut response = store_all(arrival, map)?;
        for outcome in response.outcomes.iter_mut().step_by(2) {
            *outcome = throttled();
        }
        Ok(response)
    });
    for tag in 0..5_000 {
        world.push(tag, &format!("k{tag}"), 100).unwrap();
    }
    // `run_for` fails after a million steps in which time stands still.
    world.run_for(Duration::from_secs(10));
    assert_eq!(world.held(), 0, "everything was delivered or expired");
    assert!(world.timeouts < 2_000, "{} timeouts for ten seconds", world.timeouts);
}

#[test]
fn figures_add_up_at_every_step() {
    let mut world =
        World::new(Config::builder().attempts_max(3).time_to_live(millis(400)).build().unwrap(), 2);
    world.service(|arrival, map| match arrival.number % 4 {
        0 => Err(RequestError::outcome_unknown("reset")),
        1 => common::refused("ValidationException"),
        2 => Ok(Response::new(vec![throttled(); arrival.records.len()])),
        _ => store_all(arrival, map),
    });
    for tag in 0..2_000 {
        world.push(tag, &format!("k{tag}"), 100).unwrap();
        world.run_for(millis(1));
        let stats = world.stats();
        let held = stats.records_queued + stats.records_in_flight;
        assert_eq!(stats.records_accepted, stats.records_delivered + stats.records_failed + held);
        let reasons = stats.records_expired
            + stats.records_exhausted
            + stats.records_rejected
            + stats.records_permanent
            + stats.records_aborted;
        assert_eq!(stats.records_failed, reasons);
        let outcomes = stats.requests_answered
            + stats.requests_throttled
            + stats.requests_transient
            + stats.requests_rejected
            + stats.requests_credentials
            + stats.requests_account
            + stats.requests_too_large;
        assert_eq!(stats.requests_sent, outcomes + stats.requests_in_flight);
    }
    world.run_until_done();
    assert!(world.stats().records_failed > 0 && world.stats().records_delivered > 0, "{:?}", world.stats());
    assert_eq!(world.stats().buffered_bytes, 0);
}
