//! A producer for Amazon Kinesis Data Streams as a pure state machine.
//!
//! This crate does **no I/O**. It opens no socket, reads no clock, starts no thread, draws on no global randomness
//! and logs nothing. It decides *what* to send and *when*: batching, routing to shards, limits of each shard,
//! retries, back-pressure and resharding. The embedding program does the sending.
//!
//! It is for authors of event loops (a proxy, a game, a WASM host, a thread without async) and of runtime crates. A
//! service on tokio wants `kinesis-batcher-tokio` instead.
//!
//! # The loop
//!
//! All is driven through a [`Batcher`]. After **any** call that takes `&mut self` and a time:
//!
//! 1. call [`poll_request`](Batcher::poll_request) until it gives `None`, and start sending each request;
//! 2. call [`poll_event`](Batcher::poll_event) until it gives `None`, and tell whoever waits;
//! 3. ask [`poll_timeout`](Batcher::poll_timeout) and arrange to call [`handle_timeout`](Batcher::handle_timeout)
//!    at that time, unless something else comes first.
//!
//! A request's outcome, whatever it is, comes back through [`handle_response`](Batcher::handle_response) together
//! with the request itself.
//!
//! ```
//! use kinesis_batcher_core::{
//!     Batcher, Config, Event, Record, RecordOutcome, Response, ShardMap, Timestamp,
//! };
//!
//! let shards = ShardMap::uniform(4.try_into()?);
//! let mut batcher = Batcher::new(Config::default(), shards, 42, Timestamp::ZERO);
//!
//! batcher.push(Timestamp::ZERO, Record::new("user-7", "hello")?, "my tag").map_err(|refused| refused.reason)?;
//! assert!(batcher.poll_request().is_none(), "the record waits for others");
//!
//! let deadline = batcher.poll_timeout().ok_or("something waits")?;
//! batcher.handle_timeout(deadline.at);
//! let request = batcher.poll_request().ok_or("it has waited long enough")?;
//!
//! // Here the request would go over the wire.
//! let outcomes = request.records().map(|_| RecordOutcome::Stored {
//!     shard_id: "shardId-000000000001".into(),
//!     sequence_number: "49545115243490985018280067714973144582180062593244200961".into(),
//! });
//! let response = Response::new(outcomes.collect());
//! batcher.handle_response(deadline.at, request, Ok(response));
//!
//! assert!(matches!(batcher.poll_event(), Some(Event::Delivered { tag: "my tag", .. })));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Time
//!
//! A [`Timestamp`] counts nanoseconds from an epoch the caller picks. Each input brings the present time as its first
//! argument; nothing else moves time. A time before the last one changes nothing: the batcher goes on with the later.
//! The same inputs with the same seed give the same outputs, byte for byte.
//!
//! # What holds at all times
//!
//! - **I1** Every accepted tag comes back in exactly one [`Event::Delivered`] or [`Event::Failed`].
//! - **I2** Every request respects the limits on records, bytes and sizes.
//! - **I3** In any window a shard is sent at most its burst (200 ms' worth), plus its rate times the window, plus one
//!   record; in any window of a second, a second's worth and one record. The rate is the configured share of the shard's
//!   limits or, after throttling, less. Records of a request that the service is known not to have stored are taken off
//!   again.
//! - **I4** Buffered bytes are those queued and in flight, and never above the bound.
//! - **I5** While something is queued and a request may go, there is a request or a deadline.
//! - **I6** `handle_timeout` at [`poll_timeout`](Batcher::poll_timeout)`().at` makes progress: the deadline moves on.
//! - **I7** A backward step of time changes nothing.
//! - **I8** No record is sent more often than allowed, nor handed out for sending after its time to live.
//! - **I9** The same inputs give the same outputs.
//! - **I10** A shard that may not be sent to never delays another.
//! - **I11** With [`Ordering::PartitionKey`], records of one hash key are stored in the order of their pushes: among
//!   those delivered, no first copy is stored before that of an earlier one. None is handed out for sending while an
//!   earlier one of its key is held, unless both are in one aggregate.
//! - **I12** Accepted = delivered + failed + held, always.
//! - **I13** No record fails before its time to live for an error that is not about it, unless
//!   [`fail_fast`](ConfigBuilder::fail_fast) asks for that.
//!
//! Property tests, scenario tests and debug assertions check them.
//!
//! # Panics
//!
//! Nothing that comes from outside makes the batcher panic: not a reply of the wrong length, nor an unknown shard or
//! error code, nor time standing still. A panic is a bug here, except that a [`Request`] must come back to the
//! batcher that made it.
//!
//! # Without std
//!
//! The crate is `no_std` and needs an allocator and 64-bit integers; pointers of 32 bits will do (WASM).
//! Where std is at hand, its feature `std` has checksums and hash keys computed with the widest vectors of the
//! processor. It changes nothing else.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod aggregate;
mod answered;
mod backoff;
mod batcher;
mod buffer;
mod config;
mod deadline;
mod digits;
mod entry;
mod error_code;
mod event;
mod events;
mod gate;
mod hash_key;
mod histogram;
mod histograms;
mod hold;
mod key_chains;
mod lane;
mod lanes;
pub mod limits;
mod pacer;
mod quarantine;
mod queue;
mod rate_controller;
mod rate_law;
mod record;
mod request;
mod response;
mod rng;
mod sequence_number;
mod shard_id;
mod shard_map;
mod stats;
mod time;

pub use answered::{Answered, Delivered};
pub use batcher::Batcher;
pub use bytes::Bytes;
pub use config::{AlreadyAggregated, Config, ConfigBuilder, ConfigError, Ordering, ShardLimit};
pub use deadline::{Deadline, DeadlineReason};
pub use error_code::{ErrorClass, ErrorCode, ServiceError};
pub use event::{Event, Failure, FailureReason, PushError, PushErrorReason, Receipt};
pub use hash_key::{HashKey, HashKeyError};
pub use histogram::Histogram;
pub use histograms::Histograms;
pub use hold::Hold;
pub use record::{PartitionKey, Record, RecordError};
pub use request::{Request, RequestRecord, UnsealedRequest};
pub use response::{RecordOutcome, RequestError, Response};
pub use sequence_number::SequenceNumber;
pub use shard_id::ShardId;
pub use shard_map::{Shard, ShardMap, ShardMapError};
pub use stats::{ShardStats, Stats};
pub use time::Timestamp;
