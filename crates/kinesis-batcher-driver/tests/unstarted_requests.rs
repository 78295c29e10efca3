//! Requests whose tasks the runtime dropped before it ran them.

// There, locks are the scheduler's; see interleavings.rs.
#![cfg(not(shuttle))]
#![allow(clippy::unwrap_used)]

use std::future::Future;
use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use futures::executor::block_on;
use kinesis_batcher_driver::{
    AsyncTimer, BoxFuture, Config, DescribeError, Producer, PutRecords, Record, RequestError, Response,
    Runtime, ShardMap, Transport,
};

/// A thread for each task, until it takes in no more. No timer of it ever fires.
#[derive(Default)]
struct Threads {
    is_full: AtomicBool,
    running: Mutex<Vec<JoinHandle<()>>>,
}

impl Runtime for Threads {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn new_timer(&self, _at: Instant) -> Pin<Box<dyn AsyncTimer>> {
        Box::pin(Never)
    }

    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) {
        if !self.is_full.load(Ordering::SeqCst) {
            self.running.lock().unwrap().push(thread::spawn(|| block_on(future)));
        }
    }
}

struct Never;

impl AsyncTimer for Never {
    fn reset(self: Pin<&mut Self>, _at: Instant) {}

    fn poll(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}

struct Unreachable;

impl Transport for Unreachable {
    fn put_records<'a>(&'a self, _request: &'a PutRecords) -> BoxFuture<'a, Result<Response, RequestError>> {
        unreachable!("no request's task is run")
    }

    fn describe(&self) -> BoxFuture<'_, Result<ShardMap, DescribeError>> {
        unreachable!("the map is not refreshed")
    }
}

#[test]
fn an_aggregate_of_a_task_that_never_ran_comes_back_record_by_record() {
    let runtime = Arc::new(Threads::default());
    // Nothing lingers for long enough to go before the flush, and what failed once has failed.
    let config = Config::builder().aggregation(true).linger(Duration::from_secs(3_600)).attempts_max(1);
    let producer = Producer::builder().config(config.build().unwrap()).refresh_interval(None).start(
        Arc::<Threads>::clone(&runtime),
        Arc::new(Unreachable),
        ShardMap::uniform(NonZeroU32::MIN),
    );
    runtime.is_full.store(true, Ordering::SeqCst);
    let records = ["one", "two"].map(|data| Record::new("key", data).unwrap());
    let deliveries = records.clone().map(|record| block_on(producer.send(record)).unwrap());
    block_on(producer.flush()).unwrap();
    for (delivery, record) in deliveries.into_iter().zip(records) {
        let failed = block_on(delivery).unwrap_err();
        assert_eq!(failed.record(), &record, "it comes back as it was sent");
        assert_eq!(failed.failure().attempts, 1, "its request was handed out, once");
    }
    let report = block_on(producer.close(Duration::from_secs(3_600)));
    assert_eq!((report.delivered, report.failed, report.undelivered.len()), (0, 2, 0));
    drop(producer);
    for task in runtime.running.lock().unwrap().drain(..) {
        task.join().unwrap();
    }
}
