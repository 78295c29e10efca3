//! A producer for Amazon Kinesis Data Streams on tokio.
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
//! use kinesis_batcher_tokio::{Producer, Record};
//!
//! #[tokio::main(flavor = "current_thread")]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
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
//! }
//! ```
//!
//! Credentials, region and endpoint come from where the AWS CLI takes them, or from the [builder](Producer::builder).
//! What the [`Producer`] can do is told [there](kinesis_batcher_driver::Producer); what must be permitted, in
//! [`kinesis_batcher_aws`]. Everything a program needs of either is re-exported here.

#![forbid(unsafe_code)]

mod http;
mod http_version;
mod https;
mod producer;
mod proxies;
mod runtime;
mod trust;

pub use http::{connectivity, connectivity_over};
pub use http_version::HttpVersion;
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
pub use runtime::TokioRuntime;
