//! A transport that panics.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use kinesis_batcher_driver::{
    BoxFuture, DescribeError, Producer, PutRecords, RecordOutcome, RequestError, Response, ShardMap,
    Transport,
};

use super::*;
use crate::outcomes::record;
use crate::subject::{built, eager};

/// Panics before it returns a future, in the future's first poll, and in a later one; then it works, and so on.
#[derive(Default)]
struct Panicking {
    calls: AtomicUsize,
    stored: AtomicUsize,
}

impl Transport for Panicking {
    fn put_records<'a>(&'a self, request: &'a PutRecords) -> BoxFuture<'a, Result<Response, RequestError>> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        assert!(!call.is_multiple_of(4), "told to panic before there is a future");
        Box::pin(async move {
            assert!(call % 4 != 1, "told to panic in the first poll");
            futures::pending_once().await;
            assert!(call % 4 != 2, "told to panic in the second poll");
            self.stored.fetch_add(request.len(), Ordering::Relaxed);
            let stored = |_| RecordOutcome::Stored {
                shard_id: "shardId-000000000000".into(),
                sequence_number: "1".into(),
            };
            Ok(Response::new(request.records().map(stored).collect()))
        })
    }

    fn describe(&self) -> BoxFuture<'_, Result<ShardMap, DescribeError>> {
        panic!("told to panic when it is asked for shards")
    }
}

mod futures {
    use std::task::Poll;

    /// Pending once.
    pub(super) async fn pending_once() {
        let mut polled = false;
        std::future::poll_fn(|cx| {
            if std::mem::replace(&mut polled, true) {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }
}

pub fn a_transport_that_panics_costs_attempts_and_no_records<S: Subject>() {
    let subject = S::start();
    subject.block_on(async {
        let transport = Arc::new(Panicking::default());
        let shards = ShardMap::uniform(NonZeroU32::new(4).unwrap());
        let producer = Producer::builder()
            .config(built(eager().request_records_max(20)))
            .refresh_interval(Duration::from_millis(5))
            .start(subject.runtime(), Arc::clone(&transport) as Arc<dyn Transport>, shards);
        let mut deliveries = Vec::new();
        for number in 0..200 {
            deliveries.push(producer.send(record(number.to_string())).await.unwrap());
        }
        let mut doubtful = 0;
        for delivery in deliveries {
            doubtful += usize::from(delivery.await.unwrap().possible_duplicate);
        }
        assert!(doubtful > 0, "who knows what a transport did before it panicked");
        let report = producer.close(Duration::from_secs(30)).await;
        assert_eq!((report.delivered, transport.stored.load(Ordering::Relaxed)), (200, 200));
        let calls = transport.calls.load(Ordering::Relaxed);
        assert!(calls >= 4, "it was called {calls} times: too seldom to have panicked in each way");
    });
}
