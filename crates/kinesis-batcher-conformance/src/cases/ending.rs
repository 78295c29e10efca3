//! Flush, close, and handles and runtimes that go away.

use std::time::Duration;

use futures::executor::block_on;
use kinesis_batcher_driver::{FailureReason, PushErrorReason, Record, RuntimeStopped};
use kinesis_batcher_local::hostile::{Fault, Operation};

use super::*;
use crate::outcomes::record;
use crate::subject::{Ends, eager, sleep};

fn records(count: usize) -> impl Iterator<Item = Record> {
    (0..count).map(|number| record(number.to_string()))
}

pub fn a_flush_waits_for_all_that_was_accepted_before_it<S: Subject>() {
    let subject = S::start();
    subject.block_on(async {
        let kinesis = hostile();
        // Without the flush, nothing would be sent for a minute.
        let target = target(&kinesis).with_config(eager().linger(Duration::from_secs(60)));
        let producer = subject.connect(target).await.unwrap();
        for round in 1..=3 {
            producer.send_all(records(30)).await.unwrap();
            producer.flush().await.unwrap();
            assert_eq!(kinesis.stored().len(), round * 30, "a flush ended before all was stored");
        }
    });
}

pub fn a_close_delivers_what_is_held<S: Subject>() {
    let subject = S::start();
    subject.block_on(async {
        let kinesis = hostile();
        let target = target(&kinesis).with_config(eager().linger(Duration::from_secs(60)));
        let producer = subject.connect(target).await.unwrap();
        producer.send_all(records(700)).await.unwrap();
        let report = producer.close(Duration::from_secs(30)).await;
        assert_eq!((report.delivered, report.failed, report.undelivered.len()), (700, 0, 0));
        let refused = producer.send(record("late")).await.unwrap_err();
        assert_eq!((refused.reason, refused.record), (PushErrorReason::Closed, record("late")));
    });
}

pub fn a_close_ends_at_its_deadline_and_hands_back_the_rest<S: Subject>() {
    let subject = S::start();
    subject.block_on(async {
        let kinesis = hostile();
        let producer = producer(&subject, &kinesis).await;
        producer.send_all(records(40)).await.unwrap();
        producer.flush().await.unwrap();
        kinesis.every(Operation::PutRecords, Fault::HangAfterStoring);
        producer.send_all(records(1_000)).await.unwrap();
        kinesis.wait_until(|seen| seen.held() > 0).await.unwrap();
        let runtime = subject.runtime();
        let started = runtime.now();
        let report = producer.close(Duration::from_millis(200)).await;
        let elapsed = runtime.now() - started;
        assert!((Duration::from_millis(200)..Duration::from_secs(10)).contains(&elapsed), "{elapsed:?}");
        assert_eq!((report.delivered, report.failed, report.undelivered.len()), (40, 0, 1_000));
        let possibly_stored =
            report.undelivered.iter().filter(|error| error.failure().possibly_stored).count();
        let stored = kinesis.stored().len() - 40;
        assert!(
            possibly_stored >= stored && stored > 0,
            "{stored} are stored, {possibly_stored} are in doubt"
        );
        assert!(report.undelivered.iter().all(|error| error.failure().reason == FailureReason::Aborted));
    });
}

pub fn dropping_the_last_handle_delivers_in_the_background<S: Subject>() {
    let subject = S::start();
    subject.block_on(async {
        let kinesis = hostile();
        let target = target(&kinesis).with_config(eager().linger(Duration::from_secs(60)));
        let producer = subject.connect(target).await.unwrap();
        let deliveries: Vec<_> = records(50).map(|record| producer.try_send(record).unwrap()).collect();
        let clone = producer.clone();
        drop(producer);
        sleep(&subject.runtime(), Duration::from_millis(30)).await;
        assert_eq!(kinesis.stored().len(), 0, "a clone is left, so nothing is closed");
        drop(clone);
        for delivery in deliveries {
            delivery.await.unwrap();
        }
        assert_eq!(kinesis.stored().len(), 50);
    });
}

pub fn dropping_the_runtime_releases_everybody<S: Ends>() {
    let subject = S::start();
    let kinesis = hostile();
    let (producer, held) = subject.block_on(async {
        let target = target(&kinesis).with_config(eager().buffer_records_max(8));
        let producer = subject.connect(target).await.unwrap();
        kinesis.every(Operation::PutRecords, Fault::HangBeforeStoring);
        let held: Vec<_> = std::iter::from_fn(|| producer.try_send(record("held")).ok()).collect();
        kinesis.wait_until(|seen| seen.held() > 0).await.unwrap();
        (producer, held)
    });
    let (sender, flusher, closer) = (producer.clone(), producer.clone(), producer.clone());
    let threads = [
        std::thread::spawn(move || {
            // Of the same key: the other shards' share of the buffer is free.
            let late = || Record::new("key-held", "late").unwrap();
            let refused = block_on(sender.send(late())).unwrap_err();
            assert_eq!((refused.reason, refused.record), (PushErrorReason::Closed, late()));
        }),
        std::thread::spawn(move || assert!(matches!(block_on(flusher.flush()), Err(RuntimeStopped { .. })))),
        std::thread::spawn(move || {
            for delivery in held {
                assert!(block_on(delivery).unwrap_err().failure().possibly_stored);
            }
        }),
    ];
    subject.end();
    for thread in threads {
        thread.join().unwrap();
    }
    let report = block_on(closer.close(Duration::from_secs(60)));
    let stats = producer.stats();
    assert_eq!(report.delivered, 0);
    assert_eq!(stats.records_accepted, report.failed + report.undelivered.len() as u64);
}
