//! Many threads, other executors, and runtimes that go away.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use common::*;
use futures::executor::block_on;
use kinesis_batcher_local::hostile::{Fault, Operation};
use kinesis_batcher_tokio::{PushErrorReason, RuntimeStopped};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_wake_up_is_lost_among_many_threads() {
    let kinesis = hostile();
    let config = eager().buffer_records_max(40).in_flight_requests_max(4).linger(Duration::from_millis(1));
    let settings = builder(&kinesis.endpoint_url(), STREAM).config(config.build().unwrap());
    let producer = settings.connect().await.unwrap();
    let senders: Vec<_> = (0..32)
        .map(|sender| {
            let producer = producer.clone();
            tokio::spawn(async move {
                for number in 0..100 {
                    let data = format!("{sender}-{number}");
                    match (sender + number) % 4 {
                        0 => drop(producer.send(record(data)).await.unwrap().await.unwrap()),
                        1 => producer.send_and_forget(record(data)).await.unwrap(),
                        2 => producer.send_all([record(data)]).await.unwrap(),
                        _ => {
                            // Given up at random, then sent in earnest.
                            let patience = Duration::from_micros(200 * (number % 5));
                            let impatient =
                                tokio::time::timeout(patience, producer.send(record("impatient")));
                            drop(impatient.await);
                            producer.send_and_forget(record(data)).await.unwrap();
                            producer.flush().await.unwrap();
                        }
                    }
                }
            })
        })
        .collect();
    for sender in senders {
        tokio::time::timeout(Duration::from_secs(60), sender)
            .await
            .expect("a sender waits for ever")
            .unwrap();
    }
    let report = producer.close(Duration::from_secs(20)).await;
    let earnest = kinesis.stored().iter().filter(|stored| stored.data != b"impatient").count();
    assert_eq!(earnest, 3_200);
    assert_eq!(report.delivered, kinesis.stored().len() as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_slowest_of_a_thousand_senders_takes_less_than_twice_the_median() {
    let kinesis = hostile();
    let config = eager().buffer_records_max(500).build().unwrap();
    let producer = builder(&kinesis.endpoint_url(), STREAM).config(config).connect().await.unwrap();
    let start = Instant::now();
    let senders: Vec<_> = (0..1_000)
        .map(|sender| {
            let producer = producer.clone();
            tokio::spawn(async move {
                for number in 0..20 {
                    drop(producer.send(record(format!("{sender}-{number}"))).await.unwrap());
                }
                start.elapsed()
            })
        })
        .collect();
    let mut times = vec![];
    for sender in senders {
        times.push(sender.await.unwrap());
    }
    times.sort_unstable();
    let (median, slowest) = (times[500], times[999]);
    assert!(slowest <= 2 * median, "the slowest took {slowest:?}, the median {median:?}");
}

#[test]
fn flushes_and_closes_end_after_the_completion_handler_has_been_told() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let kinesis = hostile();
    let told = Arc::new(AtomicU64::new(0));
    let handler = Arc::clone(&told);
    let settings = builder(&kinesis.endpoint_url(), STREAM).on_completion(move |_| {
        // Slow on purpose: what waits must wait for it, and not only for the reply.
        std::thread::sleep(Duration::from_millis(2));
        handler.fetch_add(1, Ordering::SeqCst);
    });
    let producer = runtime.block_on(settings.connect()).unwrap();
    let records = || (0..30).map(|number| record(number.to_string()));
    for round in 1..=3 {
        block_on(producer.send_all(records())).unwrap();
        poll_without_being_woken(producer.flush()).unwrap();
        assert_eq!(told.load(Ordering::SeqCst), round * 30, "a flush ended before all was told");
    }
    block_on(producer.send_all(records())).unwrap();
    let report = poll_without_being_woken(producer.close(Duration::from_secs(10)));
    assert_eq!(told.load(Ordering::SeqCst), report.delivered, "a close ended before all was told");
}

/// Polls the future each millisecond, to catch what is true too early.
fn poll_without_being_woken<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    let mut cx = Context::from_waker(Waker::noop());
    loop {
        match future.as_mut().poll(&mut cx) {
            Poll::Ready(result) => return result,
            Poll::Pending => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}

#[test]
fn a_producer_works_from_threads_without_a_runtime() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let kinesis = hostile();
    let producer = runtime.block_on(producer(&kinesis));
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let producer = producer.clone();
            scope.spawn(move || {
                for number in 0..50 {
                    let delivery = block_on(producer.send(record(format!("{thread}-{number}")))).unwrap();
                    block_on(delivery).unwrap();
                }
            });
        }
    });
    let report = block_on(producer.close(Duration::from_secs(10)));
    assert_eq!((report.delivered, kinesis.stored().len()), (200, 200));
}

#[test]
fn dropping_the_runtime_releases_everybody() {
    let kinesis = hostile();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let config = eager().buffer_records_max(8).build().unwrap();
    let producer =
        runtime.block_on(builder(&kinesis.endpoint_url(), STREAM).config(config).connect()).unwrap();
    kinesis.every(Operation::PutRecords, Fault::HangBeforeStoring);
    let held: Vec<_> = std::iter::from_fn(|| producer.try_send(record("held")).ok()).collect();
    block_on(kinesis.wait_until(|seen| seen.held() > 0)).unwrap();
    let producer = Arc::new(producer);
    let waiting = [
        std::thread::spawn({
            let producer = Arc::clone(&producer);
            move || {
                let refused = block_on(producer.send(record("held"))).unwrap_err();
                assert_eq!(refused.reason, PushErrorReason::Closed);
            }
        }),
        std::thread::spawn({
            let producer = Arc::clone(&producer);
            move || assert!(matches!(block_on(producer.flush()), Err(RuntimeStopped { .. })))
        }),
        std::thread::spawn(move || {
            for delivery in held {
                assert!(block_on(delivery).unwrap_err().failure().possibly_stored);
            }
        }),
    ];
    runtime.shutdown_background();
    for thread in waiting {
        thread.join().unwrap();
    }
}
