//! What producers are asked to send.

mod arrivals;
mod fixed_point;
mod keys;
mod maker;
mod rate;
mod sizes;

pub use keys::{KeyText, Keys};
pub use rate::{Rate, Spacing};
pub use sizes::Sizes;

pub(crate) use arrivals::Arrivals;
pub(crate) use keys::KeySpace;
pub(crate) use maker::{Maker, POISON, UserRecordView, number_of};

/// What each producer is asked to send.
///
/// Rates are of records offered: the loop is open, and what a full batcher refuses is not asked for less often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Workload {
    /// When records come.
    pub rate: Rate,
    /// How evenly.
    pub spacing: Spacing,
    /// Bytes of data in each.
    pub sizes: Sizes,
    /// Their partition keys.
    pub keys: Keys,
    /// What the keys look like.
    pub key_text: KeyText,
    /// Records with an explicit hash key, drawn evenly from the key space, in a million.
    pub explicit_hash_keys: u32,
    /// Records without a partition key, in a million. Only streams with `AUTO` distribution take them.
    pub without_key: u32,
    /// Records that are aggregates already, of one user record each, in a million.
    pub aggregates: u32,
    /// Records that make the service reject every request with them, in a million. One in an aggregate makes it
    /// reject the aggregate.
    pub poison: u32,
    /// Records that come at the same moment are all pushed before the batcher is polled, as by a program that holds its
    /// lock for many; otherwise it is polled after each.
    pub pushes_together: bool,
    /// Records a producer keeps and offers again when its batcher is full; what is refused beyond them is dropped.
    pub waiting_max: u32,
}

impl Default for Workload {
    fn default() -> Self {
        Self {
            rate: Rate::Constant(1_000),
            spacing: Spacing::Random,
            sizes: Sizes::Constant(100),
            keys: Keys::Uniform { keys: 10_000 },
            key_text: KeyText::Short,
            explicit_hash_keys: 0,
            without_key: 0,
            aggregates: 0,
            poison: 0,
            pushes_together: false,
            waiting_max: 100,
        }
    }
}
