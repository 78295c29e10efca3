//! Everything at once, in many orders.

use std::sync::{Arc, Mutex};

use kinesis_batcher_core::{RequestError, ServiceError};

use super::*;
use crate::Completion;

/// Senders of all kinds, a transport that fails in all ways, tasks that run in an order drawn from a seed: each record
/// accepted completes once, and nobody waits for ever (the test runtime panics when everybody does).
#[test]
fn every_record_completes_once_in_any_order_of_tasks() {
    for seed in 1..=150 {
        one_world(seed);
    }
}

fn one_world(seed: u64) {
    let runtime = TestRuntime::with_seed(seed);
    let transport = Arc::new(MockTransport::new(&runtime, shards(4), move |number, _| {
        let draw = (number as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(17) ^ seed;
        let latency = MILLI * (draw % 7) as u32;
        match draw % 16 {
            0 => Answer::Hang,
            1 => Answer::Throttled,
            2 => Answer::Error(RequestError::outcome_unknown("reset")),
            3 => Answer::Error(RequestError::refused(500, ServiceError::from_code("InternalFailure"))),
            4 => Answer::Error(RequestError::not_sent("refused")),
            _ => Answer::Stored,
        }
        .after(latency)
    }));
    let completed = Arc::new(Mutex::new(vec![0u32; 400]));
    let handler = Arc::clone(&completed);
    let config = eager().buffer_records_max(5 + (seed % 40) as usize).linger(MILLI * (seed % 5) as u32);
    let producer = Producer::builder()
        .config(config.in_flight_requests_max(1 + (seed % 6) as usize).build().unwrap())
        .request_timeout(50 * MILLI)
        .on_completion(move |completion| {
            let Completion::Delivered { tag, .. } = completion else { panic!("nothing fails for good here") };
            handler.lock().unwrap()[tag as usize] += 1;
        })
        .start(Arc::new(runtime.clone()), transport.clone(), shards(4));
    let awaited = Arc::new(Mutex::new(0));
    for sender in 0..8u64 {
        let (producer, clock, awaited) = (producer.clone(), runtime.clone(), Arc::clone(&awaited));
        crate::Runtime::spawn(
            &runtime,
            Box::pin(async move {
                let tags = sender * 50..sender * 50 + 50;
                match sender % 4 {
                    0 => producer.send_all(tags.map(|tag| (record(tag), tag))).await.unwrap(),
                    1 => {
                        for tag in tags {
                            producer.send_and_forget((record(tag), tag)).await.unwrap();
                        }
                    }
                    2 => {
                        for tag in tags {
                            // A sender without patience: it tries again until it gets in.
                            while producer.try_send_and_forget((record(tag), tag)).is_err() {
                                clock.sleep(MILLI).await;
                            }
                            if tag % 10 == 0 {
                                producer.flush().await.unwrap();
                            }
                        }
                    }
                    _ => {
                        for tag in tags {
                            producer.send(record(tag)).await.unwrap().await.unwrap();
                            *awaited.lock().unwrap() += 1;
                        }
                    }
                }
            }),
        );
    }
    let report = runtime.block_on(async {
        while producer.stats().records_delivered < 400 {
            runtime.sleep(10 * MILLI).await;
        }
        producer.close(SECOND).await
    });
    assert_eq!((report.delivered, report.failed, report.undelivered.len()), (400, 0, 0), "seed {seed}");
    assert_eq!(*awaited.lock().unwrap(), 100, "seed {seed}: each delivery is awaited once");
    for (tag, count) in completed.lock().unwrap().iter().enumerate() {
        let expected = u32::from(tag / 50 % 4 != 3);
        assert_eq!(*count, expected, "seed {seed}: record {tag} completed {count} times");
    }
    runtime.run_for(MILLI);
    assert_eq!(runtime.tasks(), 0, "seed {seed}: every task has ended");
}
