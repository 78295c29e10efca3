//! What the producer allocates for records that nobody waits for, counted at the allocator.

#![allow(clippy::unwrap_used)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kinesis_batcher_tokio::{
    BoxFuture, Bytes, Config, DescribeError, PartitionKey, PutRecords, Record, RecordOutcome, RequestError,
    Response, SequenceNumber, ShardId, ShardLimit, ShardMap, TokioRuntime, Transport,
};

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call is passed on to the system's allocator unchanged; counting touches no memory of its own.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promises are the ones that `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const RECORDS: usize = 100_000;

/// Takes every record at once, in the one shard that there is.
struct Nowhere {
    shard_id: ShardId,
    sequence_number: SequenceNumber,
}

impl Transport for Nowhere {
    fn put_records<'a>(&'a self, request: &'a PutRecords) -> BoxFuture<'a, Result<Response, RequestError>> {
        let outcome = |_| RecordOutcome::Stored {
            shard_id: self.shard_id.clone(),
            sequence_number: self.sequence_number.clone(),
        };
        Box::pin(async move { Ok(Response::new(request.records().map(outcome).collect())) })
    }

    fn describe(&self) -> BoxFuture<'_, Result<ShardMap, DescribeError>> {
        Box::pin(async { Ok(ShardMap::uniform(NonZeroU32::MIN)) })
    }
}

/// One test, because tests of one binary run side by side and would count each other.
#[test]
fn records_that_nobody_waits_for_cost_no_allocation_of_their_own() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    for aggregation in [false, true] {
        for handler in [false, true] {
            runtime.block_on(check(aggregation, handler));
        }
    }
}

async fn check(aggregation: bool, handler: bool) {
    let config = Config::builder().shard_limit(ShardLimit::Off).buffer_records_max(8_000);
    let config = config.aggregation(aggregation).build().unwrap();
    let mut builder = kinesis_batcher_driver::Producer::builder().config(config);
    if handler {
        builder = builder.on_completion(drop);
    }
    let transport = Nowhere {
        shard_id: "shardId-000000000000".into(),
        sequence_number: "49545115243490985018280067714973144582180062593244200961".into(),
    };
    let shards = ShardMap::uniform(NonZeroU32::MIN);
    let producer = builder.start(Arc::new(TokioRuntime::current().unwrap()), Arc::new(transport), shards);

    let all_at_once = || async {
        for _ in 0..RECORDS / 500 {
            producer.send_all((0..500).map(|_| record())).await.unwrap();
        }
        producer.flush().await.unwrap();
    };
    let one_by_one = || async {
        for _ in 0..RECORDS {
            producer.send_and_forget(record()).await.unwrap();
        }
        producer.flush().await.unwrap();
    };
    // The first time, buffers grow to their size.
    all_at_once().await;
    let a_record = allocations_of(all_at_once()).await as f64 / RECORDS as f64;
    let how = format!("aggregation: {aggregation}, handler: {handler}");
    assert!(a_record < 0.05, "sent by the hundreds, a record costs {a_record} allocations ({how})");
    let a_record = allocations_of(one_by_one()).await as f64 / RECORDS as f64;
    assert!(a_record < 0.05, "sent by itself, a record costs {a_record} allocations ({how})");
    let report = producer.close(Duration::from_secs(10)).await;
    assert_eq!(report.delivered, 3 * RECORDS as u64);
    let aggregates = producer.stats().kinesis_records_delivered;
    assert_eq!(aggregates < report.delivered / 100, aggregation, "aggregates were sent where they should be");
}

async fn allocations_of(run: impl Future<Output = ()>) -> u64 {
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    run.await;
    ALLOCATIONS.load(Ordering::Relaxed) - before
}

/// Key and data are the caller's, and not counted.
fn record() -> Record {
    let key = PartitionKey::from_shared(Bytes::from_static(b"customer-0000000000001")).unwrap();
    Record::new(key, Bytes::from_static(&[b'x'; 100])).unwrap()
}
