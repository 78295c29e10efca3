//! A producer for Amazon Kinesis Data Streams on async-std and smol.
//!
//! Records go in one by one; requests go out full. Each shard's limits are kept, so that a hot shard slows down nobody
//! but itself. What the service throttles or fails is sent again, and only that. The buffer is bounded, and senders wait
//! for room instead of polling. Every record that was accepted is accounted for: with a receipt, or handed back with the
//! reason.
//!
//! It consumes nothing, and promises neither order nor exactly-once delivery: a record whose request got no readable
//! reply is sent again, and its receipt says that there may be a duplicate.
//!
//! ```no_run
//! use std::time::Duration;
//! use kinesis_batcher_async_std::{Producer, Record};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! async_std::task::block_on(async {
//!     let producer = Producer::connect("clicks").await?;
//!
//!     // Waits for room in the buffer, then for the service.
//!     let delivery = producer.send(Record::new("user-7", "hello")?).await?;
//!     let receipt = delivery.await?;
//!     println!("{} in {}", receipt.sequence_number, receipt.shard_id);
//!
//!     // Waits for room alone; the statistics tell of it.
//!     producer.send_and_forget(Record::new("user-8", "hello")?).await?;
//!
//!     let report = producer.close(Duration::from_secs(30)).await;
//!     println!("{} delivered, {} handed back", report.delivered, report.undelivered.len());
//!     Ok(())
//! })
//! # }
//! ```
//!
//! # smol
//!
//! async-std is discontinued, and its maintainers send its users to smol. This crate depends on neither: it is built on
//! async-io, the reactor that both of them are made of, so that one crate serves both and a program can move from one to
//! the other without touching its producer. What differs is the executor that the producer's own tasks run on:
//!
//! ```no_run
//! use kinesis_batcher_async_std::{AsyncIoRuntime, Producer, Record};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! smol::block_on(async {
//!     let on_smol = AsyncIoRuntime::spawning_with(|task| smol::spawn(task).detach());
//!     let producer = Producer::builder("clicks").runtime(on_smol).connect().await?;
//!
//!     producer.send(Record::new("user-7", "hello")?).await?.await?;
//!     Ok(())
//! })
//! # }
//! ```
//!
//! Without the call of `runtime` they run on the global executor that async-std uses, which works under smol too but
//! starts threads of its own beside smol's. An executor of the program's own goes in by [`AsyncIoRuntime::on`].
//!
//! # What it brings along
//!
//! Neither tokio's runtime nor its sockets or timers are in the dependency tree. HTTP is hyper's client connection over
//! async-io's sockets, TLS is rustls; see [`connectivity`], which serves other clients of the AWS SDK just as well.
//!
//! Credentials, region and endpoint come from where the AWS CLI takes them, or from the [builder](Producer::builder):
//! environment variables, the AWS files with their profiles and SSO sessions, web identities, the container's or the
//! instance's role. One thing is missing: the SDK runs a profile's `credential_process` on tokio alone, so here such a
//! profile has no credentials, and the error says so. Run the program yourself and give its answer to
//! [`ProducerBuilder::credentials`].
//!
//! What the [`Producer`] can do is told [there](kinesis_batcher_driver::Producer); what must be permitted, in
//! [`kinesis_batcher_aws`]. Everything a program needs of either is re-exported here.

#![forbid(unsafe_code)]

mod http;
mod producer;
mod runtime;
mod sleep;

pub use http::connectivity;
#[doc(no_inline)]
pub use kinesis_batcher_aws::{
    AwsOptions, AwsTransport, CaBundle, ConnectError, ConnectOptions, Connectivity, Credentials,
    ProvideCredentials, RecordDistribution, Region, SdkConfig, SharedCredentialsProvider, StreamDescription,
    StreamId, StreamIdError, StreamMode, Wire,
};
#[doc(no_inline)]
pub use kinesis_batcher_driver::{
    AlreadyAggregated, AsyncTimer, BoxFuture, Bytes, Close, CloseReport, Completion, Config, ConfigBuilder,
    ConfigError, Delivery, DeliveryError, DescribeError, ErrorClass, ErrorCode, Failure, FailureReason,
    Flush, HashKey, Histogram, Histograms, Hold, Observer, Ordering, PartitionKey, PushErrorReason,
    PutRecords, Receipt, Record, RecordError, RecordOutcome, RecordSink, RequestError, RequestRecord,
    Response, Runtime, RuntimeStopped, SendAll, SendAllError, SendAndForget, SendError, SendRecord,
    SequenceNumber, ServiceError, Shard, ShardId, ShardLimit, ShardMap, ShardMapError, ShardMapStatus,
    ShardStats, Snapshot, Stats, TaggedRecord, Timestamp, Transport,
};
pub use producer::{Producer, ProducerBuilder};
pub use runtime::AsyncIoRuntime;
pub use sleep::AsyncIoSleep;
