//! Whatever the bytes, reading them as a reply ends in outcomes or a reason, and half a reply is none.
#![no_main]

// The reader is no part of the crate's interface, so its files are compiled in.
#[path = "../../crates/kinesis-batcher-aws/src/put_records/entry.rs"]
mod entry;
#[path = "../../crates/kinesis-batcher-aws/src/put_records/json.rs"]
mod json;
#[path = "../../crates/kinesis-batcher-aws/src/put_records/reply.rs"]
mod reply;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Ok(response) = reply::read_reply(data) else { return };
    assert!(response.outcomes.len() <= data.len(), "an entry takes more than a byte");
    let whole = data.trim_ascii_end();
    for end in [whole.len() / 2, whole.len().saturating_sub(1)] {
        let is_empty = whole[..end].trim_ascii().is_empty();
        assert!(is_empty || reply::read_reply(&whole[..end]).is_err(), "half a reply was taken for whole");
    }
});
