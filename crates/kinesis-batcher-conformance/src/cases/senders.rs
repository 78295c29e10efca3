//! A thousand at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::channel::{mpsc, oneshot};
use futures::{FutureExt, StreamExt};

use super::*;
use crate::outcomes::{Outcomes, record};
use crate::subject::eager;

const SENDERS: usize = 1_000;
const RECORDS_EACH: usize = 20;

/// Time is counted in records that were let in, so that it does not matter what else the machine does.
pub fn the_slowest_of_a_thousand_senders_takes_less_than_twice_the_median<S: Subject>() {
    let subject = S::start();
    subject.block_on(async {
        let kinesis = hostile();
        let target = target(&kinesis).with_config(eager().buffer_records_max(500));
        let producer = subject.connect(target).await.unwrap();
        let let_in = Arc::new(AtomicUsize::new(0));
        let (start, started) = oneshot::channel::<()>();
        let (finish, mut finished) = mpsc::unbounded();
        let started = started.shared();
        for sender in 0..SENDERS {
            let (producer, let_in) = (producer.clone(), Arc::clone(&let_in));
            let (started, finish) = (started.clone(), finish.clone());
            subject.spawn(Box::pin(async move {
                let _ = started.await;
                for number in 0..RECORDS_EACH {
                    drop(producer.send(record(format!("{sender}-{number}"))).await.unwrap());
                    let_in.fetch_add(1, Ordering::Relaxed);
                }
                finish.unbounded_send(let_in.load(Ordering::Relaxed)).unwrap();
            }));
        }
        drop(finish);
        start.send(()).unwrap();
        let mut times = Vec::new();
        while let Some(time) = finished.next().await {
            times.push(time);
        }
        assert_eq!(times.len(), SENDERS, "each sender has sent all it had");
        times.sort_unstable();
        let (median, slowest) = (times[SENDERS / 2], times[SENDERS - 1]);
        assert!(slowest <= 2 * median, "the slowest took {slowest} records, the median {median}");
        producer.flush().await.unwrap();
        assert_eq!(kinesis.stored().len(), SENDERS * RECORDS_EACH);
    });
}

pub fn senders_on_threads_without_a_runtime_get_receipts<S: Subject>() {
    let subject = S::start();
    let kinesis = hostile();
    let (finish, finished) = oneshot::channel();
    let producer = subject.block_on(producer(&subject, &kinesis));
    let threads: Vec<_> = (0..4)
        .map(|thread| {
            let producer = producer.clone();
            std::thread::spawn(move || {
                let name = format!("thread-{thread}");
                futures::executor::block_on(Outcomes::of_sending(&producer, &name, 50))
            })
        })
        .collect();
    let waiting = std::thread::spawn(move || {
        let mut outcomes = Outcomes::default();
        for thread in threads {
            outcomes.extend(thread.join().unwrap());
        }
        finish.send(outcomes).unwrap();
    });
    // Some runtimes run only while they are waited in.
    let outcomes = subject.block_on(finished).unwrap();
    waiting.join().unwrap();
    outcomes.assert_all_delivered();
    assert_eq!((outcomes.len(), kinesis.stored().len()), (200, 200));
}
