//! The cases, each a function over the runtime. Their names are the claims.
#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "these are tests, and their names say what they are about"
)]

pub mod cancelling;
pub mod delivery;
pub mod ending;
pub mod faults;
pub mod room;
pub mod senders;
pub mod timers;
pub mod tls;
pub mod transport;

use kinesis_batcher_driver::Producer;
use kinesis_batcher_local::hostile::{HostileKinesis, HostileOptions};

use crate::subject::{Subject, Target};

const STREAM: &str = "hostile";

fn hostile() -> HostileKinesis {
    HostileKinesis::start(HostileOptions::default()).unwrap()
}

fn target(kinesis: &HostileKinesis) -> Target {
    Target::new(kinesis.endpoint_url(), STREAM)
}

async fn producer(subject: &impl Subject, kinesis: &HostileKinesis) -> Producer {
    subject.connect(target(kinesis)).await.unwrap()
}
