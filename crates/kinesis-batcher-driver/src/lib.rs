//! The async engine of kinesis-batcher: a [`Producer`] on any runtime, over any transport.
//!
//! This crate opens no socket and names no runtime and no SDK. It joins three things: the state machine of
//! [`kinesis_batcher_core`], which decides what to send and when; a [`Runtime`], which tells the time and runs tasks;
//! and a [`Transport`], which carries requests to the service.
//!
//! It is for authors of runtime crates and of transports. A service on tokio wants `kinesis-batcher-tokio`, which is
//! this crate with both filled in; what a [`Producer`] does is told here all the same.
//!
//! # How it works
//!
//! - One `std::sync::Mutex` holds the core and the queue of those who wait for room. Keys are hashed and records
//!   checked before it is taken, by [`Record::new`]. Nothing is awaited under it, and nobody's code runs: wakers,
//!   receipts, completion handlers and new requests are collected, and seen to after it is released.
//! - Whoever changes the core moves on what the change makes possible: a sender that fills a request starts it, a reply
//!   that makes room lets waiting senders in, a deadline that comes nearer wakes the task of the timer.
//! - Each request is a task of its own, so that signing, encoding and reading spread over the runtime's threads. When
//!   it is answered, the same task takes the next request that is due.
//! - Every request comes back to the core, whatever happens to its task: a transport that panics, hangs or is
//!   dropped leaves an unknown outcome, never a hole.
//! - Every task of a producer carries a guard. A runtime that shuts down drops its tasks, and by that releases all who
//!   wait: senders, deliveries, flushes and closes.
//!
//! # Example
//!
//! A transport that stores nothing, and what a program does with a producer:
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use kinesis_batcher_driver::{
//!     BoxFuture, Config, DescribeError, Producer, PutRecords, Record, RecordOutcome, RequestError, Response, Runtime, ShardMap,
//!     Transport,
//! };
//!
//! struct Nowhere;
//!
//! impl Transport for Nowhere {
//!     fn put_records<'a>(&'a self, request: &'a PutRecords) -> BoxFuture<'a, Result<Response, RequestError>> {
//!         let stored = || RecordOutcome::Stored { shard_id: "shardId-000000000000".into(), sequence_number: "1".into() };
//!         Box::pin(async move { Ok(Response::new(request.records().map(|_| stored()).collect())) })
//!     }
//!
//!     fn describe(&self) -> BoxFuture<'_, Result<ShardMap, DescribeError>> {
//!         Box::pin(async { Ok(ShardMap::uniform(std::num::NonZeroU32::MIN)) })
//!     }
//! }
//!
//! async fn program(runtime: Arc<dyn Runtime>) -> Result<(), Box<dyn std::error::Error>> {
//!     let config = Config::builder().linger(Duration::from_millis(20)).build()?;
//!     let producer = Producer::builder().config(config).connect(runtime, Arc::new(Nowhere)).await?;
//!
//!     let delivery = producer.send(Record::new("user-7", "hello")?).await?;
//!     let receipt = delivery.await?;
//!     println!("stored in {}", receipt.shard_id);
//!
//!     producer.send_and_forget(Record::new("user-8", "nobody waits for this one")?).await?;
//!     let report = producer.close(Duration::from_secs(10)).await;
//!     assert_eq!(report.delivered, 2);
//!     Ok(())
//! }
//! ```

#![forbid(unsafe_code)]

mod admission;
mod builder;
mod close;
mod delivery;
mod effects;
mod epochs;
mod error;
mod flush;
mod guarded;
mod observer;
mod producer;
mod record;
mod refresh_task;
mod request_task;
mod runtime;
mod send;
mod shared;
mod signal;
mod sink;
mod snapshot;
mod state;
mod sync;
mod tag;
mod tellings;
#[cfg(test)]
#[cfg(not(shuttle))]
mod tests;
mod timer_task;
mod transport;
mod trouble;
mod waiters;
mod watchers;

pub use builder::ProducerBuilder;
pub use close::{Close, CloseReport};
pub use delivery::Delivery;
pub use error::{DeliveryError, RuntimeStopped, SendAllError, SendError};
pub use flush::Flush;
#[doc(no_inline)]
pub use futures_core::future::BoxFuture;
#[doc(no_inline)]
pub use kinesis_batcher_core::{
    AlreadyAggregated, Bytes, Config, ConfigBuilder, ConfigError, ErrorClass, ErrorCode, Failure,
    FailureReason, HashKey, Histogram, Histograms, Hold, Ordering, PartitionKey, PushErrorReason, Receipt,
    Record, RecordError, RecordOutcome, RequestError, RequestRecord, Response, SequenceNumber, ServiceError,
    Shard, ShardId, ShardLimit, ShardMap, ShardMapError, ShardStats, Stats, Timestamp,
};
pub use observer::Observer;
pub use producer::Producer;
pub use record::{Completion, TaggedRecord};
pub use runtime::{AsyncTimer, Runtime};
pub use send::{SendAll, SendAndForget, SendRecord};
pub use sink::RecordSink;
pub use snapshot::{ShardMapStatus, Snapshot};
pub use transport::{DescribeError, PutRecords, Transport};
