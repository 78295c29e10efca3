//! Whatever is built, its length is the one foretold and its records come back.
#![no_main]

#[path = "../../crates/kinesis-aggregation/tests/checks/mod.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::round_trips_as_told(data));
