//! The AWS SDK for Rust as a transport for kinesis-batcher.
//!
//! This crate sends what it is told, once; [`Wire::Cbor`] has one exception. It batches nothing, retries nothing and needs
//! no runtime: the HTTP client and the timers come from the caller. Types of the SDK stop here.
//!
//! It is for authors of runtime crates, and for programs that bring an [`SdkConfig`] of their own to
//! [`AwsTransport::connect`]. A service on tokio wants `kinesis-batcher-tokio`.
//!
//! - [`AwsTransport`] is the [`Transport`](kinesis_batcher_driver::Transport) to one stream, by name or ARN.
//! - [`AwsOptions::load`] gathers region, credentials and endpoint from where the AWS CLI takes them.
//! - [`ConnectError`] says in one line why a stream cannot be written to, and what to do about it.
//!
//! # What must be permitted
//!
//! `kinesis:PutRecords`, and at least one of `kinesis:ListShards` (the limit of each shard is kept) and
//! `kinesis:DescribeStreamSummary` (the record size limit and the record distribution are known). With the second alone,
//! only the number of shards is known and limits are kept for the stream as a whole. Aggregation needs the second, or a
//! [record distribution](ConnectOptions::record_distribution) that is stated by hand (docs/SERVICE.md, S-24 and S-25).
//!
//! `docs/AWS_SETTINGS.md` lists the variables and profile entries that are heeded, and the hosts that are called.
//!
//! # What an error means
//!
//! A request fails in one of three ways, and the core treats them differently. *Not sent*: there was no connection, or
//! no credentials. *Refused*: the service or a proxy answered with an error. *Outcome unknown*: a time-out, a reset
//! connection, a reply that cannot be read, a status of 500 and above; the records may be stored, they are sent again,
//! and their receipts say that there may be duplicates.
//!
//! # What the wires rely on
//!
//! docs/SERVICE.md has each fact with its source: the protocol (S-32 to S-34), request ids (S-35), signatures and clocks
//! (S-36), hosts (S-37), TLS and HTTP/2 (S-39).

#![forbid(unsafe_code)]

mod client;
mod clock;
mod config;
mod connect_error;
mod credentials;
mod describe;
mod error_chain;
mod proxy;
mod put_records;
mod settings;
mod stream_id;
mod transport;
mod wire;

#[doc(no_inline)]
pub use aws_config::{Region, SdkConfig};
#[doc(no_inline)]
pub use aws_credential_types::Credentials;
#[doc(no_inline)]
pub use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
pub use config::{AwsOptions, CaBundle, Connectivity};
pub use connect_error::ConnectError;
pub use describe::{ConnectOptions, RecordDistribution, StreamDescription, StreamMode};
pub use error_chain::NotConnected;
pub use proxy::check_https_proxy;
pub use stream_id::{StreamId, StreamIdError};
pub use transport::AwsTransport;
pub use wire::Wire;
