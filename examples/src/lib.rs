//! What the examples without async share: [`Kinesis`], a client by blocking HTTP, and
//! [`start_workers`], threads that use it.
//!
//! The programs are in `src/bin`; `README.md` lists them.

#![forbid(unsafe_code)]

mod kinesis;
mod workers;

pub use kinesis::{Kinesis, Target};
pub use workers::{Answer, Job, start_workers};

/// What the crates' READMEs show is compiled and, where it can be, run.
#[cfg(doctest)]
mod readmes {
    #[doc = include_str!("../../crates/kinesis-aggregation/README.md")]
    struct Aggregation;
    #[doc = include_str!("../../crates/kinesis-batcher-aws/README.md")]
    struct Aws;
    #[doc = include_str!("../../crates/kinesis-batcher-core/README.md")]
    struct Core;
    #[doc = include_str!("../../crates/kinesis-batcher-driver/README.md")]
    struct Driver;
    #[doc = include_str!("../../crates/kinesis-batcher-local/README.md")]
    struct Local;
    #[doc = include_str!("../../crates/kinesis-batcher-metrics/README.md")]
    struct Metrics;
    #[doc = include_str!("../../crates/kinesis-batcher-sim/README.md")]
    struct Sim;
    #[doc = include_str!("../../crates/kinesis-batcher-tokio/README.md")]
    struct Tokio;
}
