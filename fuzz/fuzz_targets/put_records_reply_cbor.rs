//! Whatever the bytes, reading them as a reply in CBOR ends in outcomes or a reason, half a reply is none, and what can be
//! read can be written as JSON.
#![no_main]

// The reader is no part of the crate's interface, so its files are compiled in.
#[path = "../../crates/kinesis-batcher-aws/src/put_records"]
mod put_records {
    #[path = "cbor"]
    pub mod cbor {
        mod scan;
        pub mod scanner;
        pub mod transcode;
    }
    pub mod entry;
    #[path = "json/escape.rs"]
    pub mod json;
    pub mod reply;
    pub mod scan;
}

use put_records::cbor::scanner::Scanner;
use put_records::cbor::transcode::to_json;
use put_records::reply::read_reply;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let json = to_json(data);
    let Ok(response) = read_reply(Scanner::new(data), data.len(), None) else { return };
    assert!(response.outcomes.len() <= data.len(), "an entry takes a byte");
    for end in [data.len() / 2, data.len().saturating_sub(1)] {
        let half = &data[..end];
        assert!(
            half.is_empty() || read_reply(Scanner::new(half), end, None).is_err(),
            "half a reply was taken for whole"
        );
    }
    if let Ok(json) = json {
        std::str::from_utf8(&json).expect("JSON is text");
    }
});
