//! What must hold whatever is done to a batcher, and ways to read what to do from arbitrary bytes. The property tests,
//! the fuzz targets and the replay of their corpus all run these.

#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    missing_docs,
    missing_debug_implementations,
    clippy::print_stderr,
    reason = "each user takes a part"
)]

mod model;
mod op;
mod operations;
mod responses;
mod shard_maps;
mod told;

pub use model::the_promises_hold;
pub use op::{Answer, Op};
pub use operations::operations_hold;
pub use responses::responses_hold;
pub use shard_maps::shard_maps_hold;
