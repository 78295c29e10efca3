//! Whatever the bytes, decoding ends in an aggregate, a plain record or a reason, and what it yields is sound.
#![no_main]

#[path = "../../crates/kinesis-aggregation/tests/checks/mod.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::decodes_or_says_why(data));
