//! What a buffered record costs, counted at the allocator.

#![allow(clippy::print_stdout, reason = "the figures go into docs/BENCHMARKS.md")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use kinesis_batcher_core::{
    Batcher, Bytes, Config, ConfigBuilder, Ordering as Order, Record, RequestError, ShardLimit, ShardMap,
    Timestamp,
};

struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is passed on to the system's allocator unchanged; counting touches no memory of its own.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let live = LIVE.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(live, Ordering::Relaxed);
        // SAFETY: the caller's promises are the ones that `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const RECORDS: usize = 100_000;
const PAYLOAD: usize = 100;
const KEY: usize = 22;

/// One test, because tests of one binary run side by side and would count each other.
#[test]
fn a_buffered_record_costs_at_most_128_bytes_more_than_it_holds_and_an_outage_costs_nothing() {
    let count_only = ShardMap::count_only(NonZeroU32::new(16).unwrap());
    let plain = Config::builder();
    let overhead = overhead_and_outage(plain.clone(), count_only.clone());
    println!("a buffered record costs {overhead} bytes besides its payload and key");
    assert!(overhead <= 128, "a buffered record costs {overhead} bytes besides its payload and key");

    let known = ShardMap::uniform(NonZeroU32::new(16).unwrap());
    let overhead = overhead_and_outage(plain.clone().aggregation(true), known);
    println!("a record in an aggregate costs {overhead} bytes besides its payload and key");
    assert!(overhead <= 128, "a record in an aggregate costs {overhead} bytes besides its payload and key");

    // The worst case: a key for each.
    let overhead = overhead_and_outage(plain.ordering(Order::PartitionKey), count_only);
    println!("a record that is alone of its ordered key costs {overhead} bytes besides its payload and key");
    assert!(overhead <= 176, "a record of an ordered key costs {overhead} bytes besides its payload and key");
}

fn overhead_and_outage(config: ConfigBuilder, map: ShardMap) -> usize {
    let config = config
        .buffer_records_max(RECORDS * 2)
        .shard_limit(ShardLimit::Off)
        .time_to_live(None)
        .linger(Duration::from_secs(1))
        .build()
        .expect("the settings are valid");
    let mut now = Timestamp::ZERO;
    let mut batcher = Batcher::new(config, map, 1, now);

    let empty = LIVE.load(Ordering::Relaxed);
    for n in 0..RECORDS as u64 {
        let record = Record::new(format!("customer-{n:013}"), Bytes::from(vec![0; PAYLOAD])).expect("valid");
        batcher.push(now, record, n).expect("there is room");
    }
    let full = LIVE.load(Ordering::Relaxed);

    PEAK.store(full, Ordering::Relaxed);
    let end = now.after(Duration::from_secs(30));
    let mut requests = 0;
    while now < end {
        while let Some(request) = batcher.poll_request() {
            requests += 1;
            now = now.after(Duration::from_millis(20));
            batcher.handle_response(now, request, Err(RequestError::outcome_unknown("reset")));
        }
        assert!(batcher.poll_event().is_none());
        now = batcher.poll_timeout().expect("records are queued").at;
        batcher.handle_timeout(now);
    }
    let growth = PEAK.load(Ordering::Relaxed).saturating_sub(full);
    println!("an outage of 30 s made {requests} requests and grew memory by {growth} bytes");
    // One request's worth of entries is copied out of the pool for each request in flight.
    assert!(growth < 200_000, "an outage grew memory by {growth} bytes");
    assert_eq!(batcher.stats().records_queued, RECORDS as u64);
    ((full - empty) / RECORDS).saturating_sub(PAYLOAD + KEY)
}
