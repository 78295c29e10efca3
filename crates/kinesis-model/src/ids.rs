//! Names of shards and of stored records.

use std::fmt;
use std::str::FromStr;

/// The name of a shard: `shardId-` and twelve digits. S-20 fixes no form; the service uses this one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(u32);

impl ShardId {
    /// The shard with this number.
    #[must_use]
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }
}

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "shardId-{:012}", self.0)
    }
}

impl fmt::Debug for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ShardId {
    type Err = NoSuchShard;

    /// Reads the name of a shard of this model.
    fn from_str(name: &str) -> Result<Self, NoSuchShard> {
        let digits = name.strip_prefix("shardId-").filter(|digits| digits.len() == 12);
        let digits = digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
        digits.and_then(|digits| digits.parse().ok()).map(Self).ok_or(NoSuchShard)
    }
}

/// The text is not the name of a shard of this model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoSuchShard;

impl fmt::Display for NoSuchShard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not the name of a shard of this model")
    }
}

impl std::error::Error for NoSuchShard {}

/// The number of a stored record: higher than that of any record stored in its shard before (S-20).
///
/// It has 56 digits, as the service's have as a rule.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SequenceNumber(u64);

impl SequenceNumber {
    /// The sequence number of this value.
    #[must_use]
    pub const fn new(value: u64) -> Self {
        Self(value)
    }

    /// Its value.
    #[must_use]
    pub const fn value(self) -> u64 {
        self.0
    }
}

impl fmt::Display for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "49{:054}", self.0)
    }
}

impl fmt::Debug for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // S-20
    #[test]
    fn sequence_numbers_have_56_digits_and_their_texts_order_as_they_do() {
        let texts = [0, 9, 10, u64::MAX].map(|value| SequenceNumber::new(value).to_string());
        assert!(texts.is_sorted() && texts.iter().all(|text| text.len() == 56), "{texts:?}");
    }

    #[test]
    fn a_shard_is_found_by_the_name_that_it_shows() {
        for number in [0, 7, u32::MAX] {
            assert_eq!(ShardId::new(number).to_string().parse(), Ok(ShardId::new(number)));
        }
        for name in ["", "shardId-7", "shardId-00000000000x", "shardId-999999999999", "shardId-+00000000007"]
        {
            assert_eq!(name.parse::<ShardId>(), Err(NoSuchShard), "{name}");
        }
    }
}
