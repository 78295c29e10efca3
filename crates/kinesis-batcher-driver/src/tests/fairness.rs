//! Many senders at once.

use std::sync::{Arc, Mutex};

use kinesis_batcher_core::Record;

use super::*;

#[test]
fn the_slowest_of_a_thousand_senders_takes_less_than_twice_the_median() {
    let World { runtime, producer, .. } = world(eager().buffer_records_max(64).in_flight_requests_max(8));
    let times = Arc::new(Mutex::new(vec![]));
    for sender in 0..1_000 {
        let (producer, clock, times) = (producer.clone(), runtime.clone(), Arc::clone(&times));
        // Every tenth sender has large records.
        let bytes = if sender % 10 == 0 { 5_000 } else { 50 };
        crate::Runtime::spawn(
            &runtime,
            Box::pin(async move {
                for number in 0..20 {
                    let record = Record::new(format!("{sender}-{number}"), vec![b'.'; bytes]).unwrap();
                    drop(producer.send(record).await.unwrap());
                }
                times.lock().unwrap().push(clock.elapsed());
            }),
        );
    }
    let report = runtime.block_on(async {
        while times.lock().unwrap().len() < 1_000 {
            runtime.sleep(MILLI).await;
        }
        producer.close(60 * SECOND).await
    });
    assert_eq!(report.delivered, 20_000);
    let mut times = times.lock().unwrap().clone();
    times.sort_unstable();
    let (median, slowest) = (times[500], times[999]);
    assert!(slowest <= 2 * median, "the slowest took {slowest:?}, the median {median:?}");
}

#[test]
fn senders_get_in_in_the_order_in_which_they_came() {
    let World { runtime, producer, transport } = world(eager().buffer_records_max(1));
    runtime.block_on(async {
        producer.send_and_forget(record(0)).await.unwrap();
        let mut sending: Vec<_> = (1..50).map(|n| Box::pin(producer.send(record(n)))).collect();
        for future in &mut sending {
            assert!(futures::poll!(future.as_mut()).is_pending());
        }
        // The last is polled first: the order of arrival counts, not that of wake-ups.
        for future in sending.into_iter().rev() {
            let _delivery = future.await.unwrap();
        }
        producer.flush().await.unwrap();
    });
    assert_eq!(transport.stored(), (0..50).map(|n| n.to_string()).collect::<Vec<_>>());
}
