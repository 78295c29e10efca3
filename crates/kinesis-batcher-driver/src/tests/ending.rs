//! Closing, dropping, and runtimes that go away.

use std::sync::{Arc, Mutex};
use std::task::Poll;

use futures::FutureExt;
use kinesis_batcher_core::{FailureReason, PushErrorReason};

use super::*;
use crate::{Completion, RuntimeStopped};

#[test]
fn a_close_delivers_what_is_held_and_reports_it() {
    let World { runtime, producer, transport } = world(Config::builder().linger(60 * SECOND));
    let report = runtime.block_on(async {
        producer.send_all((0..700).map(record)).await.unwrap();
        producer.close(10 * SECOND).await
    });
    assert_eq!((report.delivered, report.failed, report.undelivered.len()), (700, 0, 0));
    assert_eq!(transport.stored().len(), 700);
    assert!(runtime.elapsed() < SECOND, "a close waits neither for the linger nor for its deadline");
    let refused = producer.try_send(record(1)).unwrap_err();
    assert_eq!(refused.reason, PushErrorReason::Closed);
    runtime.run_for(MILLI);
    assert_eq!(runtime.tasks(), 0, "the tasks end with the producer");
}

#[test]
fn a_close_ends_at_its_deadline_though_no_request_ever_comes_back() {
    let seen = Arc::new(Mutex::new(vec![]));
    let handler = Arc::clone(&seen);
    let World { runtime, producer, transport } = world_with(eager().in_flight_requests_max(2), |builder| {
        builder.on_completion(move |completion| handler.lock().unwrap().push(completion))
    });
    transport.answer(|_, _| Answer::Hang.after(MILLI));
    let (report, delivery) = runtime.block_on(async {
        let delivery = producer.send(record(5_000)).await.unwrap();
        producer.send_all((0..5_000).map(|n| (record(n), n))).await.unwrap();
        (producer.close(7 * SECOND).await, delivery)
    });
    assert_eq!(runtime.elapsed(), 7 * SECOND);
    assert_eq!((report.delivered, report.failed), (0, 0));
    assert_eq!(report.undelivered.len(), 5_001);
    let sent = report.undelivered.iter().filter(|undelivered| undelivered.failure().possibly_stored).count();
    assert!((1..=1_000).contains(&sent), "{sent} records were in the two requests that hung");
    assert_eq!(transport.in_flight.load(std::sync::atomic::Ordering::Relaxed), 0, "the calls were dropped");
    assert_eq!(delivery.now_or_never().unwrap().unwrap_err().failure().reason, FailureReason::Aborted);
    assert_eq!(seen.lock().unwrap().len(), 5_000, "the handler was told of each as well");
    assert!(seen.lock().unwrap().iter().all(|completion| matches!(completion, Completion::Failed { .. })));
}

#[test]
fn a_close_gives_waiting_senders_their_records_back() {
    let World { runtime, producer, transport } = world(eager().buffer_records_max(1));
    transport.answer(|_, _| Answer::Stored.after(SECOND));
    runtime.block_on(async {
        producer.send_and_forget(record(0)).await.unwrap();
        let mut one = Box::pin(producer.send(record(1)));
        let mut many = Box::pin(producer.send_all((2..10).map(|n| (record(n), n))));
        assert!(futures::poll!(one.as_mut()).is_pending());
        assert!(futures::poll!(many.as_mut()).is_pending());
        let mut close = Box::pin(producer.close(10 * SECOND));
        assert!(futures::poll!(close.as_mut()).is_pending());
        let refused = one.now_or_never().expect("it is told at once").unwrap_err();
        assert_eq!((refused.reason, refused.record), (PushErrorReason::Closed, record(1)));
        let refused = many.now_or_never().expect("it is told at once").unwrap_err();
        assert_eq!(refused.refused.tag, 2);
        assert_eq!(refused.rest.len(), 7);
        assert_eq!(close.await.delivered, 1);
    });
}

#[test]
fn the_first_of_two_deadlines_counts_and_both_closes_end() {
    let World { runtime, producer, transport } = world(eager());
    transport.answer(|_, _| Answer::Hang.after(MILLI));
    let clone = producer.clone();
    let (long, short) = runtime.block_on(async {
        producer.send_all((0..10).map(record)).await.unwrap();
        futures::join!(producer.close(20 * SECOND), clone.close(2 * SECOND))
    });
    assert_eq!(runtime.elapsed(), 2 * SECOND);
    assert_eq!(long.undelivered.len() + short.undelivered.len(), 10, "each record is handed back once");
}

#[test]
fn dropping_the_last_handle_delivers_what_is_held_and_ends_the_tasks() {
    let World { runtime, producer, transport } = world(Config::builder().linger(60 * SECOND));
    let clone = producer.clone();
    for number in 0..10 {
        producer.try_send_and_forget(record(number)).unwrap();
    }
    drop(producer);
    runtime.run_for(SECOND);
    assert_eq!(transport.stored().len(), 0, "a clone is left, so the records linger");
    drop(clone);
    runtime.run_for(SECOND);
    assert_eq!(transport.stored().len(), 10);
    assert_eq!(runtime.tasks(), 0);
    assert_eq!(Arc::strong_count(&transport), 1, "nothing of the producer is left");
}

#[test]
fn deliveries_outlive_the_handle() {
    let World { runtime, producer, .. } = world(eager());
    let delivery = producer.try_send(record(1)).unwrap();
    drop(producer);
    runtime.block_on(delivery).unwrap();
}

#[test]
fn a_runtime_that_goes_away_releases_everybody() {
    let World { runtime, producer, transport } = world(eager().buffer_records_max(12));
    transport.answer(|_, _| Answer::Hang.after(MILLI));
    let deliveries: Vec<_> = std::iter::from_fn(|| producer.try_send(record(0)).ok()).collect();
    let held = deliveries.len() as u64;
    let mut waiting = Box::pin(producer.send(record(0)));
    let mut flush = Box::pin(producer.flush());
    runtime.block_on(async {
        runtime.sleep(MILLI * 2).await;
        assert!(futures::poll!(waiting.as_mut()).is_pending());
        assert!(futures::poll!(flush.as_mut()).is_pending());
    });
    runtime.shut_down();
    for delivery in deliveries {
        let error = delivery.now_or_never().expect("it is told at once").unwrap_err();
        assert_eq!(error.failure().reason, FailureReason::Aborted);
        assert!(error.failure().possibly_stored, "it was on its way");
    }
    let refused = waiting.now_or_never().expect("it is told at once").unwrap_err();
    assert_eq!(refused.reason, PushErrorReason::Closed);
    assert_eq!(flush.now_or_never().expect("it is told at once"), Err(RuntimeStopped));
    assert_eq!(producer.try_send(record(4)).unwrap_err().reason, PushErrorReason::Closed);
    let report = producer.close(SECOND).now_or_never().expect("nothing is held");
    assert_eq!((report.delivered, report.failed), (0, held));
}

#[test]
fn a_close_in_progress_ends_with_its_runtime() {
    let World { runtime, producer, transport } = world(eager());
    transport.answer(|_, _| Answer::Hang.after(MILLI));
    runtime.block_on(async {
        producer.send_all((0..3).map(record)).await.unwrap();
        let mut close = Box::pin(producer.close(1_000 * SECOND));
        assert!(futures::poll!(close.as_mut()).is_pending());
        runtime.shut_down();
        let Poll::Ready(report) = futures::poll!(close.as_mut()) else { panic!("nothing is held any more") };
        assert_eq!(report.undelivered.len(), 3);
    });
}

#[test]
fn a_producer_on_a_runtime_that_is_gone_refuses_records() {
    let World { runtime, transport, .. } = world(eager());
    runtime.shut_down();
    let producer = Producer::builder().start(Arc::new(runtime), transport, shards(4));
    assert_eq!(producer.try_send(record(1)).unwrap_err().reason, PushErrorReason::Closed);
    producer.close(SECOND).now_or_never().expect("nothing is held");
}
