//! Which partition keys records have.

use bytes::Bytes;
use kinesis_batcher_core::PartitionKey;

use super::fixed_point::inverse_power;
use kinesis_model::{Rng, hash_key};

/// How often each of a number of partition keys is used. All producers share the keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Keys {
    /// All equally often.
    Uniform {
        /// How many keys, from 1.
        keys: u32,
    },
    /// The n-th key in proportion to 1/n^s.
    Zipf {
        /// How many keys, from 1.
        keys: u32,
        /// s in thousandths: 1,000 is the classic distribution, more is steeper.
        exponent_milli: u32,
    },
    /// One key for so much of all records, the others equally often.
    Hot {
        /// How many keys, from 1.
        keys: u32,
        /// Of a hundred records, so many have the hot key.
        percent: u32,
    },
}

/// What keys look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyText {
    /// A few letters.
    Short,
    /// 256 characters of two bytes each, as long as a key may be.
    Long,
}

/// The keys, made once.
#[derive(Debug)]
pub(crate) struct KeySpace {
    keys: Vec<PartitionKey>,
    /// Of each key, by the model of the service: the core's own digests are for the checkers to compare.
    hash_keys: Vec<u128>,
    choice: Choice,
}

#[derive(Debug)]
enum Choice {
    Uniform,
    /// Sums of weights up to each key.
    Weighted(Vec<u64>),
    Hot {
        percent: u32,
    },
}

impl KeySpace {
    pub(crate) fn new(keys: Keys, text: KeyText) -> Self {
        let (count, choice) = match keys {
            Keys::Uniform { keys } => (keys.max(1), Choice::Uniform),
            Keys::Hot { keys, percent } => (keys.max(1), Choice::Hot { percent }),
            Keys::Zipf { keys, exponent_milli } => {
                let keys = keys.max(1);
                let mut sum = 0u64;
                // Scaled so that the sum of 2^32 weights would still fit.
                let sums = (1..=u64::from(keys)).map(|n| {
                    sum += (inverse_power(n, exponent_milli) >> 31).max(1);
                    sum
                });
                (keys, Choice::Weighted(sums.collect()))
            }
        };
        let keys: Vec<PartitionKey> = (0..count).map(|index| self::text(index, text)).collect();
        let hash_keys = keys.iter().map(|key| hash_key(key.as_str())).collect();
        Self { keys, hash_keys, choice }
    }

    /// Draws one, by its index.
    pub(crate) fn draw(&self, rng: &mut Rng) -> u32 {
        let count = self.keys.len() as u64;
        let index = match &self.choice {
            Choice::Uniform => rng.below(count),
            Choice::Weighted(sums) => {
                let at = rng.below(sums.last().copied().unwrap_or(1));
                sums.partition_point(|&sum| sum <= at) as u64
            }
            Choice::Hot { percent } => {
                if rng.below(100) < u64::from(*percent) || count == 1 {
                    0
                } else {
                    1 + rng.below(count - 1)
                }
            }
        };
        index as u32
    }

    /// What the service takes for the hash key of this key.
    pub(crate) fn hash_key(&self, index: u32) -> u128 {
        self.hash_keys[index as usize]
    }

    pub(crate) fn key(&self, index: u32) -> &PartitionKey {
        &self.keys[index as usize]
    }
}

fn text(index: u32, text: KeyText) -> PartitionKey {
    let digits = index.to_string();
    let padding = if text == KeyText::Long { 256 - 1 - digits.len() } else { 0 };
    let key = Bytes::from(format!("{}k{digits}", "é".repeat(padding)));
    PartitionKey::from_shared(key).expect("a letter, digits and up to 256 characters are a key")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(keys: Keys) -> Vec<u32> {
        let space = KeySpace::new(keys, KeyText::Short);
        let mut rng = Rng::new(9);
        let mut counts = vec![0; space.keys.len()];
        for _ in 0..100_000 {
            counts[space.draw(&mut rng) as usize] += 1;
        }
        counts
    }

    #[test]
    fn keys_are_used_as_often_as_their_distribution_says() {
        for count in counts(Keys::Uniform { keys: 10 }) {
            assert!((9_500..10_500).contains(&count), "one of ten keys was drawn {count} times of 100,000");
        }
        let zipf = counts(Keys::Zipf { keys: 100, exponent_milli: 1_000 });
        assert!((18_500..20_000).contains(&zipf[0]), "1 / (1 + 1/2 + … + 1/100) is 19.3 %, not {}", zipf[0]);
        assert!((9_200..10_100).contains(&zipf[1]), "the second is half as frequent, not {}", zipf[1]);
        let hot = counts(Keys::Hot { keys: 5, percent: 80 });
        assert!((79_000..81_000).contains(&hot[0]), "the hot key has 80 %, not {}", hot[0]);
        assert!(hot[1..].iter().all(|&count| (4_500..5_500).contains(&count)));
    }

    #[test]
    fn a_long_key_is_as_long_as_a_key_may_be() {
        let space = KeySpace::new(Keys::Uniform { keys: 1_000 }, KeyText::Long);
        for index in [0, 9, 10, 999] {
            assert_eq!(space.key(index).as_str().chars().count(), 256);
        }
        assert_ne!(space.key(1).as_str(), space.key(2).as_str());
        let short = KeySpace::new(Keys::Uniform { keys: 200 }, KeyText::Short);
        assert_eq!(short.key(120).as_str(), "k120");
    }
}
