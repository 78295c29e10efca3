//! A simulated Kinesis in virtual time.

#![forbid(unsafe_code)]

mod rng;
mod service;

pub use rng::Rng;
pub use service::{
    Distribution, EntryReply, Kinesis, Malformed, OpenShard, Permits, PutEntry, Refusal, ReshardError,
    ServiceFaults, ServiceOptions, StreamMode,
};
