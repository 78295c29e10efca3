//! Whatever the listings, they are maps or errors, and a batcher goes from one map to the next.
#![no_main]

#[path = "../../crates/kinesis-batcher-core/tests/checks/mod.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::shard_maps_hold(data));
