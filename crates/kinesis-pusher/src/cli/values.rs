//! Values as people write them: `100ms`, `64MiB`, `none`.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use kinesis_batcher_core::{Config, ConfigBuilder};

/// A value, or the word that switches the limit off (`none`, `off`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OrNone<T>(pub(crate) Option<T>);

/// A parser of whole numbers within a range.
pub(crate) fn number<T>(range: RangeInclusive<T>) -> impl Fn(&str) -> Result<T, String> + Clone
where
    T: FromStr + PartialOrd + Display + Clone,
{
    move |text| match text.parse() {
        Ok(value) if range.contains(&value) => Ok(value),
        _ => Err(format!("must be a whole number from {} to {}", range.start(), range.end())),
    }
}

/// A parser of durations within a range.
pub(crate) fn duration_within(
    range: RangeInclusive<Duration>,
) -> impl Fn(&str) -> Result<Duration, String> + Clone {
    move |text| match duration(text)? {
        value if range.contains(&value) => Ok(value),
        _ => Err(format!(
            "must be from {} to {}",
            write_duration(*range.start()),
            write_duration(*range.end())
        )),
    }
}

/// A duration: `100ms`, `5s`, `1m`, `2h`, `7d`, or `0`.
///
/// # Errors
/// A sentence for the user.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    scaled(text, &DURATION_UNITS)
        .and_then(|nanos| u64::try_from(nanos).ok())
        .map(Duration::from_nanos)
        .ok_or_else(|| "must be a whole number with a unit (us, ms, s, m, h or d), such as 100ms".to_owned())
}

/// A number of bytes: `64MiB`, `1KiB`, `500MB`, or plain bytes.
///
/// # Errors
/// A sentence for the user.
pub(crate) fn size(text: &str) -> Result<usize, String> {
    scaled(text, &SIZE_UNITS).and_then(|bytes| usize::try_from(bytes).ok()).ok_or_else(|| {
        "must be bytes, or a whole number with a unit (KiB, MiB, GiB, KB, MB or GB), such as 64MiB".to_owned()
    })
}

/// A parser of one of the producer's settings: what `parse` makes of the text is checked by the core, which knows the
/// range and says it.
pub(crate) fn setting<T: Clone>(
    parse: impl Fn(&str) -> Result<T, String> + Clone,
    set: fn(ConfigBuilder, T) -> ConfigBuilder,
) -> impl Fn(&str) -> Result<T, String> + Clone {
    move |text| {
        let value = parse(text)?;
        match set(Config::builder(), value.clone()).build() {
            Ok(_) => Ok(value),
            Err(error) => Err(format!("must be {}", error.range())),
        }
    }
}

/// A whole number, for [`setting`] to find its range.
///
/// # Errors
/// A sentence for the user.
pub(crate) fn whole<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| "must be a whole number".to_owned())
}

/// Lets `word` stand for "no limit" beside what `parser` takes.
pub(crate) fn or_none<T>(
    word: &'static str,
    parser: impl Fn(&str) -> Result<T, String> + Clone,
) -> impl Fn(&str) -> Result<OrNone<T>, String> + Clone {
    move |text| {
        if text == word {
            return Ok(OrNone(None));
        }
        parser(text).map(|value| OrNone(Some(value))).map_err(|message| format!("{message}; or '{word}'"))
    }
}

/// A duration in its largest whole unit.
pub(crate) fn write_duration(value: Duration) -> String {
    let nanos = value.as_nanos();
    let whole = |&&(_, scale): &&(&str, u128)| nanos >= scale && nanos.is_multiple_of(scale);
    match DURATION_UNITS.iter().rfind(whole) {
        Some((unit, scale)) => format!("{}{unit}", nanos / scale),
        None if nanos == 0 => "0s".to_owned(),
        None => format!("{value:?}"),
    }
}

/// Digits and a unit as a number of the smallest unit; `None` for anything else and for what does not fit.
fn scaled(text: &str, units: &[(&str, u128)]) -> Option<u128> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u128 = number.parse().ok()?;
    let (_, scale) = units.iter().find(|(name, _)| *name == unit).or_else(|| {
        // Zero is zero in any unit.
        units.first().filter(|_| number == 0 && unit.is_empty())
    })?;
    number.checked_mul(*scale)
}

/// In nanoseconds, largest last.
const DURATION_UNITS: [(&str, u128); 6] = [
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];

/// In bytes.
const SIZE_UNITS: [(&str, u128); 7] = [
    ("", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_in_every_unit() {
        for (text, nanos) in [
            ("0", 0),
            ("0s", 0),
            ("250us", 250_000),
            ("100ms", 100_000_000),
            ("5s", 5_000_000_000),
            ("1m", 60_000_000_000),
            ("2h", 7_200_000_000_000),
            ("7d", 604_800_000_000_000),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_nanos(nanos)), "{text} is a duration");
        }
    }

    #[test]
    fn a_duration_without_a_unit_or_beyond_any_clock_is_refused() {
        let overflow = "340282366920938463463374607431768211455d";
        for text in ["5", "", "s", "-1s", "1.5s", "1 s", "1S", "99999999999999999999d", overflow] {
            assert!(duration(text).unwrap_err().contains("unit"), "{text:?} is no duration");
        }
    }

    #[test]
    fn sizes_are_read_in_binary_and_decimal_units_and_as_plain_bytes() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4_096),
            ("1KiB", 1_024),
            ("64MiB", 64 << 20),
            ("2GiB", 2 << 30),
            ("1MB", 1_000_000),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text} is a size");
        }
        for text in ["64M", "MiB", "1.5MiB", "-1", "64mib", "99999999999999999999GiB"] {
            assert!(size(text).unwrap_err().contains("64MiB"), "{text} is refused with an example");
        }
    }

    #[test]
    fn the_ends_of_a_range_are_inside_it() {
        let parse = number(1..=1_000u32);
        assert_eq!(parse("1"), Ok(1));
        assert_eq!(parse("1000"), Ok(1_000));
        for text in ["0", "1001", "-1", "many", "4294967296"] {
            assert_eq!(parse(text), Err("must be a whole number from 1 to 1000".to_owned()), "{text}");
        }
        let parse = duration_within(Duration::from_secs(1)..=Duration::from_secs(60));
        assert_eq!(parse("1s"), Ok(Duration::from_secs(1)));
        assert_eq!(parse("1m"), Ok(Duration::from_secs(60)));
        assert_eq!(parse("999ms"), Err("must be from 1s to 1m".to_owned()));
    }

    #[test]
    fn a_setting_is_checked_where_its_range_is_known() {
        let parse = setting(size, ConfigBuilder::request_bytes_max);
        assert_eq!(parse("10MiB"), Ok(10 << 20));
        assert_eq!(parse("11MiB"), Err("must be from 1024 to 10485760".to_owned()));
        assert!(parse("many").unwrap_err().contains("64MiB"), "what is no size at all is refused as such");
    }

    #[test]
    fn a_word_switches_a_limit_off_and_is_named_when_something_else_is_refused() {
        let parse = or_none("none", number(1..=9u32));
        assert_eq!(parse("none"), Ok(OrNone(None)));
        assert_eq!(parse("3"), Ok(OrNone(Some(3))));
        assert_eq!(parse("off"), Err("must be a whole number from 1 to 9; or 'none'".to_owned()));
    }

    #[test]
    fn a_duration_is_written_in_its_largest_whole_unit() {
        for (value, text) in [
            (Duration::from_secs(30), "30s"),
            (Duration::from_secs(90), "90s"),
            (Duration::from_secs(120), "2m"),
            (Duration::from_millis(1_500), "1500ms"),
            (Duration::ZERO, "0s"),
            (Duration::from_nanos(1), "1ns"),
        ] {
            assert_eq!(write_duration(value), text);
        }
    }
}
