//! Whatever the replies, a batcher keeps its accounts and panics at none.
#![no_main]

#[path = "../../crates/kinesis-batcher-core/tests/checks/mod.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::responses_hold(data));
