//! Kinesis servers for development, tests and benchmarks, on loopback and nowhere else.
//!
//! This crate is no producer and knows nothing of the producers in this workspace: it shares no code with them, so
//! that it can bear witness to what they send. It checks no signatures, keeps everything in memory and
//! forgets it at the end. Do not put it where anybody else can reach it.
//!
//! It is for whoever tests a program that writes to Kinesis, with this workspace's producers or any other client.
//!
//! | server | feature | for | what it is |
//! |---|---|---|---|
//! | `EmbeddedKinesis` | `embedded` (default) | development, ordinary tests | a faithful Kinesis (ferrokinesis) with per-shard limits and resharding |
//! | `hostile::HostileKinesis` | `hostile` | tests of error handling | one stream that fails, hangs, resets and lies on command |
//! | `fast::FastKinesis` | `fast` | benchmarks | one stream that routes, stores and answers in well under a microsecond a record |
//! | `node::NodeKinesis` | `node` | a second opinion | kinesalite and kinesis-mock from npm, as child processes |
//!
//! All of them speak plain HTTP. The feature `tls` adds `tls::TlsFront`, which speaks TLS with HTTP/2 and HTTP/1.1 before
//! any of them, and TLS for `fast::FastKinesis` itself. The feature `relay` adds `relay::Relay`, a way to a server that
//! takes time and loses segments.
//!
//! The feature `client` adds `RawClient`, a blocking client that sends what it is told.
//!
//! # The contract
//! 1. `start` returns once the server listens: the first request cannot come too early. Port 0, the default, is any
//!    free port; `StartError` says what to do about one that is taken.
//! 2. A server runs on a thread of its own. It needs no runtime from its user, its methods may be awaited on any
//!    executor, and a client's busy or dropped runtime does not disturb it.
//! 3. Dropping a server stops it, cuts its connections and frees its port before `drop` returns.
//!
//! ```
//! # #[cfg(feature = "embedded")]
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use kinesis_batcher_local::{EmbeddedKinesis, EmbeddedOptions};
//!
//! let kinesis = EmbeddedKinesis::start(EmbeddedOptions::default())?;
//! kinesis.create_stream("clicks", 4).await?;
//! // Point a client at kinesis.endpoint_url(), any region, any credentials; then:
//! for record in kinesis.stored_records("clicks").await? {
//!     println!("{} {}", record.shard_id, record.sequence_number);
//! }
//! kinesis.shutdown().await;
//! # Ok(())
//! # }
//! ```

#[cfg(any(feature = "client", feature = "embedded"))]
mod cbor;
#[cfg(feature = "client")]
mod client;
#[cfg(feature = "embedded")]
mod embedded;
#[cfg(feature = "fast")]
pub mod fast;
#[cfg(feature = "hostile")]
pub mod hostile;
#[cfg(feature = "_http")]
mod http;
#[cfg(feature = "node")]
pub mod node;
mod record;
#[cfg(feature = "relay")]
pub mod relay;
#[cfg(feature = "_http")]
mod routing;
#[cfg(feature = "_server")]
mod server_thread;
#[cfg(feature = "tls")]
pub mod tls;

#[cfg(feature = "client")]
pub use client::{RawClient, RawReply};
#[cfg(feature = "embedded")]
pub use embedded::{EmbeddedError, EmbeddedKinesis, EmbeddedOptions};
pub use record::{ShardDescription, StoredRecord};
#[cfg(feature = "_server")]
pub use server_thread::StartError;
