//! Powers without floating point, so that every machine computes the same ones.

/// 1 / n^(exponent / 1000) as a fraction of 2^62; at least 1. `n` starts at 1.
pub(super) fn inverse_power(n: u64, exponent_milli: u32) -> u64 {
    let log = log2(n.max(1)); // 32 bits behind the point
    let shift = (u128::from(log) * u128::from(exponent_milli) / 1_000) as u64;
    let (whole, fraction) = (shift >> 32, shift & 0xFFFF_FFFF);
    if whole >= 62 {
        return 1;
    }
    let mut result = ONE;
    let mut root = ONE / 2; // 2^(-1/2), 2^(-1/4), …
    for bit in (0..32).rev() {
        root = (root << 62).isqrt();
        if fraction >> bit & 1 == 1 {
            result = (result * root) >> 62;
        }
    }
    ((result >> whole) as u64).max(1)
}

/// The binary logarithm with 32 bits behind the point.
fn log2(n: u64) -> u64 {
    let whole = u64::from(n.ilog2());
    // In [1, 2) with 62 bits behind the point.
    let mut rest = u128::from(n) << 62 >> whole;
    let mut fraction = 0;
    for _ in 0..32 {
        rest = (rest * rest) >> 62;
        fraction <<= 1;
        if rest >= 2 * ONE {
            rest >>= 1;
            fraction |= 1;
        }
    }
    whole << 32 | fraction
}

const ONE: u128 = 1 << 62;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_are_as_exact_as_they_need_to_be() {
        let one = ONE as f64;
        for n in [1u64, 2, 3, 7, 10, 999, 1_000_000] {
            for exponent in [0u32, 500, 1_000, 1_200, 2_500] {
                let exact = (n as f64).powf(-f64::from(exponent) / 1_000.0);
                let ours = inverse_power(n, exponent) as f64 / one;
                let error = (ours - exact).abs() / exact;
                assert!(error < 1e-6 || exact < 1e-12, "{n}^-{exponent}/1000 is {ours}, not {exact}");
            }
        }
    }
}
