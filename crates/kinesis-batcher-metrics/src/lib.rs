//! See a [`Producer`](kinesis_batcher_driver::Producer) work.
//!
//! This crate counts nothing by itself: the producer does, whether or not anybody looks, and what is told here is read from
//! it at the moment of asking. Nor does it send figures anywhere, or keep a producer open.
//!
//! - [`ProducerCollector`] is for services that have a [`prometheus_client`] registry: register it there.
//! - [`router`] is for services that have an axum router: `/metrics`, `/healthz`, `/readyz`, `/api/stats` and, at `/`, a
//!   status page whose heat map shows at a glance which shard is hot.
//! - [`serve`] is for programs that have neither: it serves that router with bounds on what a stranger can cost.
//!
//! The last two need the feature `http`, which is on unless switched off; HTTPS needs the feature `tls`. Which metric answers
//! which question is told in the repository's `docs/OPERATIONS.md`, beside a Grafana dashboard and alert rules.
//!
//! # Who may look
//!
//! Figures tell no payload, no partition key and no credential; they do tell names of shards and how busy a service is. Listen on
//! the loopback interface, which a bare port of a [`ListenAddress`] means, or set [`Credentials`] and serve HTTPS.

#![forbid(unsafe_code)]

mod collector;
mod families;
#[cfg(feature = "http")]
mod http;
mod labels;
mod shards;
mod view;

pub use collector::ProducerCollector;
#[cfg(feature = "http")]
pub use http::*;
