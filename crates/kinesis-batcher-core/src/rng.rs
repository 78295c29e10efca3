//! Randomness for jitter, from a seed the caller gives.

/// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", OOPSLA 2014).
///
/// Jitter needs no secrecy, only that two producers with two seeds spread out and that one seed always gives the
/// same run.
#[derive(Clone, Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A value from 0 to `max`, both included.
    pub(crate) fn up_to(&mut self, max: u64) -> u64 {
        // The high half of a 128-bit product is uniform to within 2^-64, which jitter cannot tell from exact.
        ((u128::from(self.next()) * (u128::from(max) + 1)) >> 64) as u64
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_reach_both_ends_of_the_range_and_nothing_beyond() {
        let mut rng = Rng::new(7);
        let mut seen = [false; 4];
        for _ in 0..200 {
            seen[rng.up_to(3) as usize] = true;
        }
        assert_eq!(seen, [true; 4], "two hundred draws from four values must show each");
        assert_eq!(rng.up_to(0), 0);
        let _ = rng.up_to(u64::MAX);
    }
}
