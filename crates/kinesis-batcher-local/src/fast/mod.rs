//! A Kinesis that gets out of a benchmark's way.
//!
//! [`FastKinesis`] serves one stream. It routes each record to its shard, stores it, and answers with shard and
//! sequence number, in well under a microsecond a record; so what a benchmark measures is the client. It throttles
//! nothing, resharding is not for it, and of the service's rules it knows but the form of a request, its 1–500 entries
//! (S-01), the form of explicit hash keys (S-05) and the pages of ListShards (S-10). It speaks JSON, and PutRecords in CBOR as well.
//!
//! ```
//! # fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use kinesis_batcher_local::fast::{FastKinesis, FastOptions};
//!
//! let kinesis = FastKinesis::start(FastOptions { shards: 16, store: false, ..FastOptions::default() })?;
//! // … let a client of kinesis.endpoint_url() send to the stream "fast" …
//! println!("{} records in {} requests", kinesis.counters().records, kinesis.counters().requests);
//! # Ok(())
//! # }
//! ```

mod answer;
mod calls;
#[cfg(feature = "tls")]
mod http2;
mod scan;
mod server;
mod store;

pub use server::{FastCounters, FastKinesis, FastOptions};
