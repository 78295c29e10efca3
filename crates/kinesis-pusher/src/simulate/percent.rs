//! Shares as people write them.

/// `10%` or `0.5%` as millionths; 100 % at most, four digits behind the point at most.
pub(super) fn millionths(text: &str) -> Option<u32> {
    let hundredth_percents = decimal(text.strip_suffix('%')?, 4)?;
    (hundredth_percents <= 1_000_000).then_some(hundredth_percents)
}

/// A decimal number, times ten to the power of `digits`.
pub(super) fn decimal(text: &str, digits: usize) -> Option<u32> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !all_digits(whole) || !all_digits(fraction) || fraction.len() > digits.max(1) {
        return None;
    }
    format!("{whole}{fraction:0<digits$}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_exact() {
        for (text, expected) in
            [("10%", 100_000), ("0.5%", 5_000), ("100%", 1_000_000), ("0.0001%", 1), ("0%", 0)]
        {
            assert_eq!(millionths(text), Some(expected), "{text}");
        }
        for text in ["10", "%", "101%", "-1%", "1.%", ".5%", "0.00001%", "1e1%", "99999999999%"] {
            assert_eq!(millionths(text), None, "{text:?} is no share");
        }
    }

    #[test]
    fn decimals_are_scaled() {
        assert_eq!(decimal("1", 3), Some(1_000));
        assert_eq!(decimal("1.25", 3), Some(1_250));
        assert_eq!(decimal("0.9999", 3), None);
    }
}
