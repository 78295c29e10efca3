//! Faults that a seed chooses.

use super::{Fault, Faults};
use crate::options::Options;

impl Faults {
    /// The faults of this seed.
    pub(crate) fn resolve(&self, seed: u64, options: &Options) -> Vec<Fault> {
        let _ = (seed, options);
        match self {
            Self::Plan(faults) => faults.clone(),
            _ => vec![],
        }
    }
}

impl Options {
    /// Everything chosen by the seed.
    #[must_use]
    pub fn of_seed(seed: u64) -> Self {
        let _ = seed;
        Self::default()
    }
}
