//! How large records are.

use kinesis_model::Rng;

/// Bytes of data in a record. A record has at least eight, which are its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Sizes {
    /// All have so many bytes.
    Constant(u32),
    /// Anything between these, both included.
    Uniform {
        /// The fewest.
        low: u32,
        /// The most.
        high: u32,
    },
    /// Small ones, and a large one now and then.
    Bimodal {
        /// Bytes of a small one.
        small: u32,
        /// Bytes of a large one. More than the stream takes is refused when it is pushed.
        large: u32,
        /// Large ones in a million.
        large_in_a_million: u32,
    },
}

impl Sizes {
    pub(crate) fn draw(&self, rng: &mut Rng) -> usize {
        let bytes = match *self {
            Self::Constant(bytes) => bytes,
            Self::Uniform { low, high } => rng.between(u64::from(low), u64::from(high)) as u32,
            Self::Bimodal { small, large, large_in_a_million } => {
                if rng.happens(large_in_a_million) {
                    large
                } else {
                    small
                }
            }
        };
        // A partition key of 256 characters of two bytes each, and the envelope of an aggregate, must fit beside it.
        (bytes as usize).clamp(BYTES_MIN, BYTES_MAX)
    }
}

const BYTES_MIN: usize = 8;
const BYTES_MAX: usize = (10 << 20) - 1_024;
