//! Transports that misbehave.

use kinesis_batcher_core::{FailureReason, RequestError, ServiceError};

use super::*;

#[test]
fn a_panic_in_the_transport_leaves_an_unknown_outcome_and_not_a_hang() {
    for panic in [Answer::Panic, Answer::PanicAtOnce] {
        let World { runtime, producer, transport } = world(eager());
        transport.answer(
            move |number, _| {
                if number == 0 { panic.clone().after(MILLI) } else { Answer::Stored.after(MILLI) }
            },
        );
        let receipt = runtime.block_on(async { producer.send(record(1)).await.unwrap().await.unwrap() });
        assert_eq!(receipt.attempts, 2);
        assert!(receipt.possible_duplicate, "the request may have been stored before the panic");
    }
}

#[test]
fn a_request_that_hangs_is_given_up_after_the_time_out_and_sent_again() {
    let World { runtime, producer, transport } =
        world_with(eager(), |builder| builder.request_timeout(3 * SECOND));
    transport.answer(
        |number, _| {
            if number == 0 { Answer::Hang.after(MILLI) } else { Answer::Stored.after(MILLI) }
        },
    );
    let receipt = runtime.block_on(async { producer.send(record(1)).await.unwrap().await.unwrap() });
    assert!(receipt.possible_duplicate);
    assert!((3 * SECOND..5 * SECOND).contains(&runtime.elapsed()), "it took {:?}", runtime.elapsed());
    assert_eq!(transport.in_flight.load(std::sync::atomic::Ordering::Relaxed), 0, "the call was dropped");
}

#[test]
fn a_throttled_record_is_sent_again_by_itself() {
    let World { runtime, producer, transport } = world(eager());
    transport.answer(
        |number, _| {
            if number < 5 { Answer::Throttled.after(MILLI) } else { Answer::Stored.after(MILLI) }
        },
    );
    let receipt = runtime.block_on(async { producer.send(record(1)).await.unwrap().await.unwrap() });
    assert_eq!(receipt.attempts, 6);
    assert!(!receipt.possible_duplicate, "a throttled record was not stored");
}

#[test]
fn a_record_that_fails_comes_back_to_its_delivery_with_the_reason() {
    let World { runtime, producer, transport } = world(eager().fail_fast(true));
    transport.answer(|_, _| {
        let error = ServiceError::new("AccessDeniedException", "no");
        Answer::Error(RequestError::refused(400, error)).after(MILLI)
    });
    let error = runtime.block_on(async { producer.send(record(1)).await.unwrap().await.unwrap_err() });
    assert!(matches!(error.failure().reason, FailureReason::Permanent(_)));
    assert_eq!(error.into_record(), record(1));
}

#[test]
fn a_producer_says_why_it_holds_and_goes_on_by_itself() {
    let World { runtime, producer, transport } = world(eager());
    let clock = runtime.clone();
    transport.answer(move |_, _| {
        if clock.elapsed() < 60 * SECOND {
            let error = ServiceError::new("AccessDeniedException", "no").with_request_id("d1");
            Answer::Error(RequestError::refused(400, error)).after(MILLI)
        } else {
            Answer::Stored.after(MILLI)
        }
    });
    runtime.block_on(async {
        let deliveries = producer.send_all((0..5_000).map(record));
        deliveries.await.unwrap();
        runtime.sleep(30 * SECOND).await;
        let hold = producer.hold().expect("it holds");
        assert_eq!((hold.error.message(), hold.error.request_id()), ("no", Some("d1")));
        assert_eq!(producer.snapshot().hold, Some(hold));
        producer.flush().await.unwrap();
    });
    assert_eq!(transport.stored().len(), 5_000);
    assert_eq!((producer.hold(), producer.stats().records_failed), (None, 0));
    assert!(transport.requests() < 120, "{} requests in a minute", transport.requests());
}

#[test]
fn a_producer_without_a_map_asks_for_one_and_then_sends() {
    let runtime = TestRuntime::new();
    let transport = Arc::new(MockTransport::new(&runtime, shards(4), |_, _| Answer::Stored.after(MILLI)));
    let builder = Producer::builder().config(eager().build().unwrap());
    let producer = builder.start(Arc::new(runtime.clone()), transport.clone(), ShardMap::unknown());
    let receipt = runtime.block_on(async { producer.send(record(1)).await.unwrap().await });
    assert_eq!(receipt.unwrap().attempts, 1);
    assert_eq!(producer.stats().open_shards, 4);
}

#[test]
fn an_outage_is_survived_and_costs_few_requests() {
    let World { runtime, producer, transport } = world(eager());
    let clock = runtime.clone();
    transport.answer(move |_, _| {
        if clock.elapsed() < 30 * SECOND {
            Answer::Error(RequestError::not_sent("down")).after(20 * MILLI)
        } else {
            Answer::Stored.after(MILLI)
        }
    });
    runtime.block_on(async {
        producer.send_all((0..5_000).map(record)).await.unwrap();
        producer.flush().await.unwrap();
    });
    assert_eq!(transport.stored().len(), 5_000);
    assert!(transport.requests() < 500, "{} requests in thirty seconds", transport.requests());
    assert!(runtime.elapsed() < 35 * SECOND, "it took {:?} to get going again", runtime.elapsed());
}
