//! A model of Amazon Kinesis Data Streams as a state machine without I/O.
//!
//! It is written from `docs/SERVICE.md` and depends on no other crate of this workspace: a producer and the tests that
//! judge it must not share a mistake about the service. Comments cite facts of that page by their numbers (S-NN).
//!
//! [`Kinesis`] is one stream. [`ShardMeter`] is the accounting of one shard, for servers that model the rest by
//! themselves. [`meaning`] says what an error means.

#![forbid(unsafe_code)]

mod accounting;
mod entry;
mod faults;
mod hash_key;
mod ids;
mod kinesis;
pub mod limits;
mod meaning;
mod options;
mod refusal;
mod rng;
mod scaling;
mod shards;
#[cfg(test)]
mod tests;
mod time;

pub use accounting::{Accounting, Law, Others, ShardLimits, ShardMeter};
pub use entry::{EntryReply, PutEntry, PutReply};
pub use faults::{AccountFault, ServiceFaults};
pub use hash_key::{explicit_hash_key, hash_key};
pub use ids::{NoSuchShard, SequenceNumber, ShardId};
pub use kinesis::{Kinesis, Numbering, OpenShard};
pub use meaning::{Cause, Meaning, NO_ANSWER, NOT_SENT, Stored, entry_meaning, meaning};
pub use options::{Distribution, Permits, ServiceOptions, StreamMode};
pub use refusal::{Malformed, Refusal};
pub use rng::Rng;
pub use shards::ReshardError;
pub use time::Time;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
