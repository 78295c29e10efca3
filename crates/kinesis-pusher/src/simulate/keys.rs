//! Partition keys as people describe them: `uniform`, `zipf:1.2`, `hot:30`.

use std::fmt;

use kinesis_batcher_sim::Keys;

use super::percent::decimal;

/// `--keys`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeysSpec {
    /// All equally often.
    Uniform,
    /// The n-th in proportion to 1/n^s; s in thousandths.
    Zipf(u32),
    /// One for so many per cent of all records.
    Hot(u32),
}

impl KeysSpec {
    /// Reads one.
    ///
    /// # Errors
    /// A sentence for the user.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let parsed = match text.split_once(':') {
            None if text == "uniform" => Some(Self::Uniform),
            Some(("zipf", s)) => decimal(s, 3).filter(|&s| s <= EXPONENT_MILLI_MAX).map(Self::Zipf),
            Some(("hot", percent)) => {
                let percent = percent.strip_suffix('%').unwrap_or(percent);
                percent.parse().ok().filter(|percent| (1..=100).contains(percent)).map(Self::Hot)
            }
            _ => None,
        };
        parsed.ok_or_else(|| {
            "must be uniform, zipf:S with S from 0 to 5 such as zipf:1.2, or hot:PERCENT with PERCENT from 1 to 100"
                .to_owned()
        })
    }

    /// The distribution over so many keys.
    pub(super) fn of(self, keys: u32) -> Keys {
        match self {
            Self::Uniform => Keys::Uniform { keys },
            Self::Zipf(exponent_milli) => Keys::Zipf { keys, exponent_milli },
            Self::Hot(percent) => Keys::Hot { keys, percent },
        }
    }
}

/// As written.
impl fmt::Display for KeysSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uniform => f.write_str("uniform"),
            Self::Zipf(milli) => write!(f, "zipf:{}", f64::from(*milli) / 1_000.0),
            Self::Hot(percent) => write!(f, "hot:{percent}"),
        }
    }
}

const EXPONENT_MILLI_MAX: u32 = 5_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_and_written_back() {
        for text in ["uniform", "zipf:1", "zipf:0.85", "hot:30"] {
            assert_eq!(KeysSpec::parse(text).map(|keys| keys.to_string()), Ok(text.to_owned()));
        }
        assert_eq!(KeysSpec::parse("hot:30%"), Ok(KeysSpec::Hot(30)));
        for text in ["", "zipf", "zipf:6", "zipf:x", "hot:0", "hot:101", "uniform:3"] {
            let message = KeysSpec::parse(text).expect_err("no keys");
            assert!(message.contains("zipf:S") && message.contains("hot:PERCENT"), "{text}: {message}");
        }
    }
}
