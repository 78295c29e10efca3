//! The core and the aggregation format without an operating system's library: no std, no libc, nothing linked but the
//! crates themselves. All that is needed is an allocator, somebody to tell the time and somebody to carry requests.
//!
//! It runs on Linux only because a test has to run it somewhere. `platform.rs` is all that this takes.

#![no_std]
#![no_main]

extern crate alloc;

mod platform;

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;
use core::time::Duration;

use kinesis_aggregation::{Decoded, decode};
use kinesis_batcher_core::{
    Batcher, Config, Event, HashKey, Record, RecordOutcome, Response, ShardMap, Timestamp,
};
use platform::{Console, exit};

/// Small records through a batcher that aggregates, over a wire that takes 20 ms, by a clock that is a number.
fn run() -> Result<(), &'static str> {
    let shards = ShardMap::uniform(4.try_into().map_err(|_| "four is not zero")?);
    let config = Config::builder().aggregation(true).linger(Duration::from_millis(50)).build();
    let mut now = Timestamp::ZERO;
    let mut batcher = Batcher::new(config.map_err(|_| "the configuration")?, shards, SEED, now);
    for number in 0..RECORDS {
        let mut key = String::new();
        write!(key, "user-{}", number % 100).map_err(|_| "a key")?;
        let record =
            Record::new(key, &b"a hundred bytes would be more like it"[..]).map_err(|_| "a record")?;
        batcher.push(now, record, number).map_err(|_| "there is room for all of them")?;
    }
    batcher.close(now);

    let (mut delivered, mut unpacked, mut kinesis_records) = (0, 0, 0);
    let mut on_the_wire = Vec::new();
    loop {
        while let Some(request) = batcher.poll_request() {
            on_the_wire.push((now.after(Duration::from_millis(20)), request));
        }
        while let Some(event) = batcher.poll_event() {
            match event {
                Event::Delivered { .. } => delivered += 1,
                Event::Drained if delivered == RECORDS && unpacked == RECORDS => {
                    let _ = writeln!(Console, "{delivered} records delivered as {kinesis_records}");
                    return Ok(());
                }
                _ => return Err("a record was not delivered"),
            }
        }
        let arrival = on_the_wire.first().map_or(Timestamp::MAX, |(at, _)| *at);
        let deadline = batcher.poll_timeout().map_or(Timestamp::MAX, |deadline| deadline.at);
        now = arrival.min(deadline);
        if now == Timestamp::MAX {
            return Err("nothing is to come, and not all are delivered");
        }
        if now < arrival {
            batcher.handle_timeout(now);
            continue;
        }
        let (_, request) = on_the_wire.remove(0);
        let mut outcomes = Vec::new();
        for (index, record) in request.records().enumerate() {
            kinesis_records += 1;
            unpacked += match decode(record.data()) {
                Decoded::Aggregate(members) => members.iter().count() as u32,
                _ => 1,
            };
            let mut number = String::new();
            write!(number, "{}", 1_000_000 + index).map_err(|_| "a number")?;
            let key = record.partition_key().unwrap_or_default();
            let key = record.explicit_hash_key().unwrap_or_else(|| HashKey::of_partition_key(key));
            let map = batcher.shard_map();
            outcomes.push(RecordOutcome::Stored {
                shard_id: map.shards()[map.index_of(key)].id.clone(),
                sequence_number: (&*number).into(),
            });
        }
        batcher.handle_response(now, request, Ok(Response::new(outcomes)));
    }
}

const RECORDS: u32 = 5_000;
/// From a source of randomness where there is one; a number in flash memory will do.
const SEED: u64 = 42;

pub extern "C" fn start() -> ! {
    match run() {
        Ok(()) => exit(0),
        Err(what) => {
            let _ = writeln!(Console, "{what}");
            exit(1)
        }
    }
}
