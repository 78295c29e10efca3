//! Whatever is simulated, every promise is kept.
#![no_main]

#[path = "../../crates/kinesis-batcher-sim/tests/checks/mod.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::runs_keep_every_promise(data));
