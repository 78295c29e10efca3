//! The name of a shard.

use alloc::sync::Arc;
use core::fmt;

use crate::digits::eight_digits;

/// The name of a shard, such as `shardId-000000000007`.
///
/// The service numbers its shards with twelve digits (S-20 fixes no form); such a name is held as its number, so that the one in each
/// record's receipt costs no allocation. Any other name is kept as it is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(Repr);

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Repr {
    Numbered(u64),
    Named(Arc<str>),
}

impl ShardId {
    /// The shard of this name. No name is refused: names come from the service.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self(number_of(name).map_or_else(|| Repr::Named(Arc::from(name)), Repr::Numbered))
    }

    /// The shard whose name is `shardId-` and these digits, for who reads them out of a reply. `None` if one of them is none.
    #[must_use]
    pub fn from_digits(digits: &[u8; 12]) -> Option<Self> {
        number_of_digits(digits).map(|number| Self(Repr::Numbered(number)))
    }
}

impl From<&str> for ShardId {
    fn from(name: &str) -> Self {
        Self::new(name)
    }
}

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Repr::Numbered(number) => write!(f, "{PREFIX}{number:0DIGITS$}"),
            Repr::Named(name) => f.write_str(name),
        }
    }
}

impl fmt::Debug for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The number in a name of the service's usual form.
fn number_of(name: &str) -> Option<u64> {
    number_of_digits(name.strip_prefix(PREFIX)?.as_bytes().try_into().ok()?)
}

fn number_of_digits(digits: &[u8; DIGITS]) -> Option<u64> {
    let mut padded = [b'0'; 16];
    padded[16 - DIGITS..].copy_from_slice(digits);
    let [high, low] = padded.as_chunks::<8>().0 else { return None };
    Some(eight_digits(*high)? * 100_000_000 + eight_digits(*low)?)
}

const PREFIX: &str = "shardId-";
const DIGITS: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn every_name_comes_back_as_it_was() {
        for name in [
            "shardId-000000000000",
            "shardId-999999999999",
            "shardId-123456789012",
            "shardId-7",
            "shardId-00000000000x",
            "",
            "é",
        ] {
            assert_eq!(ShardId::new(name).to_string(), name);
        }
    }

    #[test]
    fn the_digits_of_a_name_make_the_same_shard_as_the_name() {
        assert_eq!(ShardId::from_digits(b"123456789012"), Some(ShardId::new("shardId-123456789012")));
        assert_eq!(ShardId::from_digits(b"00000000000x"), None);
    }

    #[test]
    fn shards_compare_by_name() {
        assert_eq!(ShardId::new("shardId-000000000003"), ShardId::from("shardId-000000000003"));
        assert_ne!(ShardId::new("shardId-000000000003"), ShardId::new("shardId-3"));
    }
}
