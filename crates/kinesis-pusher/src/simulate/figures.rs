//! How figures are written.

use std::time::Duration;

/// Three digits that count: `4.2ms`, `140ms`, `1.35s`, `98s`.
pub(super) fn time(time: Duration) -> String {
    let millis = time.as_secs_f64() * 1_000.0;
    match millis {
        m if m < 9.95 => format!("{m:.1}ms"),
        m if m < 999.5 => format!("{m:.0}ms"),
        m if m < 9_995.0 => format!("{:.2}s", m / 1_000.0),
        m if m < 99_950.0 => format!("{:.1}s", m / 1_000.0),
        m => format!("{:.0}s", m / 1_000.0),
    }
}

/// A share as per cent with one digit behind the point.
pub(super) fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// Rounded to so many decimals, so that JSON has no digits that mean nothing.
pub(super) fn rounded(value: f64, decimals: i32) -> f64 {
    let scale = 10f64.powi(decimals);
    (value * scale).round() / scale
}

/// A part of a whole; nothing of nothing is 0.
pub(super) fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// So many in an interval, as so many a second.
pub(super) fn per_second(count: u64, interval: Duration) -> u64 {
    let nanos = interval.as_nanos().max(1);
    u64::try_from((u128::from(count) * 1_000_000_000 + nanos / 2) / nanos).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_the_digits_that_count() {
        for (micros, text) in [
            (0, "0.0ms"),
            (4_240, "4.2ms"),
            (140_000, "140ms"),
            (999_600, "1.00s"),
            (12_340_000, "12.3s"),
            (301_000_000, "301s"),
        ] {
            assert_eq!(time(Duration::from_micros(micros)), text);
        }
    }

    #[test]
    fn counts_become_rates() {
        assert_eq!(per_second(150, Duration::from_millis(500)), 300);
        assert_eq!(per_second(1, Duration::ZERO), 1_000_000_000);
        assert_eq!(rounded(0.123_456, 3), 0.123);
    }
}
