//! A Kinesis that misbehaves on command.
//!
//! [`HostileKinesis`] serves one stream and three operations (PutRecords, ListShards, DescribeStreamSummary) and holds
//! its clients to the service's rules. What it accepts, it stores; what it did to whom can be asked afterwards.
//!
//! It speaks JSON, and to a PutRecords request in CBOR it answers in CBOR, whatever it does to it.
//!
//! How a call ends is decided in this order:
//! 0. A request in CBOR is refused if [so told](HostileKinesis::refuse_cbor).
//! 1. A request that is [too large](HostileKinesis::limit_bodies), whose access key is
//!    [expired](HostileKinesis::expire_access_key_id) or [refused](HostileKinesis::refuse_access_key_id), or whose
//!    signature has the [wrong time](HostileKinesis::check_signature_times) is refused. Scripted faults wait for a call
//!    that gets past this.
//! 2. [`next_put`](HostileKinesis::next_put) and [`next`](HostileKinesis::next): a queue, one fault a call.
//! 3. [`every`](HostileKinesis::every): a standing fault, once the queue is empty.
//! 4. [`swarm`](HostileKinesis::swarm): faults drawn at random from a seed.
//! 5. The service's rules, [poison](HostileKinesis::poison), and the limits of the shards.
//!
//! ```
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use kinesis_batcher_local::hostile::{Entries, EntryError, Fault, HostileKinesis, HostileOptions};
//!
//! let kinesis = HostileKinesis::start(HostileOptions::default())?;
//! kinesis.next_put(Fault::FailEntries(Entries::First(2), EntryError::throttled()));
//! kinesis.next_put(Fault::ResetAfterStoring);
//! // … let a client of kinesis.endpoint_url() send ten records …
//! kinesis.wait_until(|seen| seen.stored().len() >= 10).await?;
//! assert_eq!(kinesis.put_requests()[0].entries_stored, 8);
//! # Ok(())
//! # }
//! ```

mod clock;
mod connection;
mod fault;
mod limits;
mod metadata;
mod observed;
mod options;
mod put_records;
mod rejection;
mod script;
mod server;
mod stream;
mod swarm;

pub use fault::{Entries, EntryError, Fault};
pub use limits::{Accounting, Law, Others, ShardLimits};
pub use observed::{Observed, Operation, PutRequest, Stored};
pub use options::{Distribution, HostileOptions, StreamMode};
pub use rejection::Rejection;
pub use server::{HostileKinesis, StillWaiting};
pub use stream::ReshardError;
pub use swarm::Mix;
