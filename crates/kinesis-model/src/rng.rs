//! Randomness from a seed, in independent streams.

/// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", OOPSLA 2014): the same numbers
/// on every machine.
///
/// Each concern of a simulation [forks](Rng::fork) a stream of its own, so that one more draw in one of them does not
/// move the others.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// The stream of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Another stream, decided by this one's state and the name. This one does not move.
    #[must_use]
    pub fn fork(&self, name: &str) -> Self {
        // FNV-1a over the name: streams need different starts, not secrecy.
        let named = name.bytes().fold(0xCBF2_9CE4_8422_2325u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
        });
        Self(mix(self.0 ^ mix(named)))
    }

    /// Any of the 2^64 values.
    #[expect(
        clippy::should_implement_trait,
        reason = "an endless stream of numbers is not used as an iterator"
    )]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN_GAMMA);
        mix(self.0)
    }

    /// A value from 0 to `bound - 1`; 0 when `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        // The high half of the product is uniform to within 2^-64.
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    /// A value from `low` to `high`, both included; `low` when `high` is lower.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        match high.saturating_sub(low).checked_add(1) {
            Some(values) => low + self.below(values),
            None => self.next(),
        }
    }

    /// Whether something happens that does so in `in_a_million` of a million cases.
    pub fn happens(&mut self, in_a_million: u32) -> bool {
        in_a_million > 0 && self.below(1_000_000) < u64::from(in_a_million)
    }

    /// A value from `low` to `high` (at least 1), both included, small ones as often as large ones: each doubling is as
    /// likely as the next.
    pub fn magnitude(&mut self, low: u64, high: u64) -> u64 {
        let low = low.max(1);
        let doublings = u64::from(high.max(low).ilog2() - low.ilog2());
        let floor = low << self.between(0, doublings);
        self.between(floor.min(high), floor.saturating_mul(2).min(high))
    }

    /// Whether something happens that does so once in `times`.
    pub fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// One of these.
    ///
    /// # Panics
    /// When there are none.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len() as u64) as usize]
    }
}

fn mix(value: u64) -> u64 {
    let mut z = value;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

const GOLDEN_GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_reaches_both_ends_of_a_range() {
        let mut rng = Rng::new(3);
        let mut seen = [false; 3];
        for _ in 0..200 {
            seen[(rng.between(5, 7) - 5) as usize] = true;
        }
        assert_eq!(seen, [true; 3], "two hundred draws of three values must show each");
        assert_eq!(rng.between(9, 4), 9);
        let _ = rng.between(0, u64::MAX);
    }

    #[test]
    fn a_magnitude_stays_in_its_range_and_is_often_small() {
        let mut rng = Rng::new(8);
        let drawn: Vec<u64> = (0..1_000).map(|_| rng.magnitude(3, 10_000)).collect();
        assert!(drawn.iter().all(|value| (3..=10_000).contains(value)));
        let small = drawn.iter().filter(|&&value| value < 200).count();
        assert!(
            (350..650).contains(&small),
            "half of the doublings lie below 200, not {small} of 1,000 values"
        );
    }

    #[test]
    fn streams_of_two_names_differ_and_drawing_from_one_does_not_move_the_other() {
        let root = Rng::new(1);
        let (mut first, mut second) = (root.fork("network"), root.fork("workload"));
        let expected = second.clone().next();
        let drawn: Vec<u64> = (0..10).map(|_| first.next()).collect();
        assert!(!drawn.contains(&expected), "streams of different names start elsewhere");
        assert_eq!(second.next(), expected);
    }

    #[test]
    fn what_never_happens_does_not_and_what_always_happens_does() {
        let mut rng = Rng::new(0);
        assert!((0..1_000).all(|_| !rng.happens(0)));
        assert!((0..1_000).all(|_| rng.happens(1_000_000)));
    }
}
