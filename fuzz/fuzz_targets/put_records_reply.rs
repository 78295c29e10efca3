//! Whatever the bytes, reading them as a reply in JSON ends in outcomes or a reason, and half a reply is none.
#![no_main]

// The reader is no part of the crate's interface, so its files are compiled in.
#[path = "../../crates/kinesis-batcher-aws/src/put_records"]
mod put_records {
    pub mod entry;
    #[path = "json/scanner.rs"]
    pub mod json;
    pub mod reply;
    pub mod scan;
}

use put_records::json::Scanner;
use put_records::reply::read_reply;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Ok(response) = read_reply(Scanner::new(data), data.len(), None) else { return };
    assert!(response.outcomes.len() <= data.len(), "an entry takes more than a byte");
    let whole = data.trim_ascii_end();
    for end in [whole.len() / 2, whole.len().saturating_sub(1)] {
        let half = &whole[..end];
        let is_empty = half.trim_ascii().is_empty();
        assert!(
            is_empty || read_reply(Scanner::new(half), end, None).is_err(),
            "half a reply was taken for whole"
        );
    }
});
