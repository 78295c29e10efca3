//! Whatever is done to a batcher, it keeps its promises.
#![no_main]

#[path = "../../crates/kinesis-batcher-core/tests/checks/mod.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::operations_hold(data));
