//! What is known of a stream: its open shards, or only how many there are.

use alloc::vec::Vec;
use core::fmt;
use core::num::NonZeroU32;
use core::ops::{Range, RangeInclusive};

use crate::hash_key::HashKey;
use crate::limits::{RECORD_BYTES_MAX_CEILING, RECORD_BYTES_MAX_DEFAULT};
use crate::shard_id::ShardId;

/// One open shard and the part of the key space it owns, both ends included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Its name.
    pub id: ShardId,
    /// The lowest hash key it owns.
    pub first: HashKey,
    /// The highest hash key it owns.
    pub last: HashKey,
}

impl Shard {
    /// A shard that owns the keys from `first` to `last`, both included.
    #[must_use]
    pub fn new(id: impl Into<ShardId>, first: HashKey, last: HashKey) -> Self {
        Self { id: id.into(), first, last }
    }

    /// Whether a record with this hash key belongs here.
    #[must_use]
    pub fn owns(&self, key: HashKey) -> bool {
        self.first <= key && key <= self.last
    }
}

/// What a producer knows of the stream it writes to: where records go, and how large they may be.
///
/// There are four kinds. With the shards [known](ShardMap::known), each shard has a lane of its own with its own
/// limits. With [only their number](ShardMap::count_only), or on a stream whose service
/// [spreads records itself](ShardMap::auto), there is one lane with the limits of all shards together. While the map is
/// [not known yet](ShardMap::unknown), nothing is sent.
#[derive(Clone, PartialEq, Eq)]
pub struct ShardMap {
    kind: Kind,
    record_bytes_max: usize,
}

#[derive(Clone, PartialEq, Eq)]
enum Kind {
    Known(Ranges),
    CountOnly(NonZeroU32),
    Auto(NonZeroU32),
    Unknown,
}

impl ShardMap {
    /// A map of these open shards, in any order.
    ///
    /// # Errors
    /// [`ShardMapError`] unless the shards tile the key space: each hash key has exactly one owner. A listing taken
    /// in the middle of a reshard may not; list again.
    pub fn known(shards: Vec<Shard>) -> Result<Self, ShardMapError> {
        Ok(Self::of(Kind::Known(Ranges::new(shards)?)))
    }

    /// A stream of which only the number of open shards is known, because listing them is not permitted.
    #[must_use]
    pub fn count_only(open_shards: NonZeroU32) -> Self {
        Self::of(Kind::CountOnly(open_shards))
    }

    /// A stream with `AUTO` record distribution: the service picks the shard of each record, whatever its keys, and
    /// records need no partition key.
    #[must_use]
    pub fn auto(open_shards: NonZeroU32) -> Self {
        Self::of(Kind::Auto(open_shards))
    }

    /// A stream of which nothing is known yet. A producer that starts with this map takes records in, sends none, and
    /// asks for a map at once and again until it has one.
    #[must_use]
    pub fn unknown() -> Self {
        Self::of(Kind::Unknown)
    }

    /// `count` shards of equal size, named as the service names those of a new stream. For tests and simulations.
    #[must_use]
    pub fn uniform(count: NonZeroU32) -> Self {
        let count = u128::from(count.get());
        let step = u128::MAX / count;
        let shards = (0..count).map(|index| Shard {
            id: ShardId::new(&alloc::format!("shardId-{index:012}")),
            first: HashKey::new(index * step),
            last: HashKey::new(if index + 1 == count { u128::MAX } else { (index + 1) * step - 1 }),
        });
        Self::known(shards.collect())
            .expect("equal ranges, each starting where the one before ended, tile the space")
    }

    /// The same map for a stream that takes records of up to `bytes` bytes of data and partition key; 1 MiB unless
    /// said. The service reports it as `MaxRecordSizeInKiB`; values are brought into 1 MiB to 10 MiB.
    #[must_use]
    pub fn with_record_bytes_max(mut self, bytes: usize) -> Self {
        self.record_bytes_max = bytes.clamp(RECORD_BYTES_MAX_DEFAULT, RECORD_BYTES_MAX_CEILING);
        self
    }

    /// Bytes of data and partition key in one record, at most.
    #[must_use]
    pub fn record_bytes_max(&self) -> usize {
        self.record_bytes_max
    }

    /// How many shards are open; 0 while that is not known.
    #[must_use]
    pub fn open_shards(&self) -> u32 {
        match &self.kind {
            Kind::Known(ranges) => u32::try_from(ranges.shards.len()).unwrap_or(u32::MAX),
            Kind::CountOnly(count) | Kind::Auto(count) => count.get(),
            Kind::Unknown => 0,
        }
    }

    /// The open shards in the order of their keys; empty unless they are known.
    #[must_use]
    pub fn shards(&self) -> &[Shard] {
        match &self.kind {
            Kind::Known(ranges) => &ranges.shards,
            Kind::CountOnly(_) | Kind::Auto(_) | Kind::Unknown => &[],
        }
    }

    /// Whether the service spreads records itself and a record needs no partition key.
    #[must_use]
    pub fn is_auto(&self) -> bool {
        matches!(self.kind, Kind::Auto(_))
    }

    /// Whether nothing is known of the stream yet.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        matches!(self.kind, Kind::Unknown)
    }

    /// The index in [`shards`](Self::shards) of the owner of `key`; 0 where the shards are not known.
    #[must_use]
    pub fn index_of(&self, key: HashKey) -> usize {
        match &self.kind {
            Kind::Known(ranges) => ranges.index_of(key),
            Kind::CountOnly(_) | Kind::Auto(_) | Kind::Unknown => 0,
        }
    }

    /// The indexes of those that own some of a shard's keys; none where the shards are not known.
    pub(crate) fn owners_of(&self, shard: &Shard) -> Range<usize> {
        if self.shards().is_empty() {
            return 0..0;
        }
        self.index_of(shard.first)..self.index_of(shard.last) + 1
    }

    /// The keys of the shard with this index; all of them where the shards are not known.
    pub(crate) fn range_of(&self, index: usize) -> RangeInclusive<HashKey> {
        self.shards().get(index).map_or(HashKey::MIN..=HashKey::MAX, |shard| shard.first..=shard.last)
    }

    fn of(kind: Kind) -> Self {
        Self { kind, record_bytes_max: RECORD_BYTES_MAX_DEFAULT }
    }
}

impl fmt::Debug for ShardMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Known(_) => "known",
            Kind::CountOnly(_) => "count only",
            Kind::Auto(_) => "auto",
            Kind::Unknown => "unknown",
        };
        write!(f, "ShardMap({kind}, {} open, records <= {} B)", self.open_shards(), self.record_bytes_max)
    }
}

/// Shards that tile the key space, with an index from the leading bits of a key to the few shards it can be in.
#[derive(Clone, PartialEq, Eq)]
struct Ranges {
    shards: Vec<Shard>,
    /// `shards[i].first`, apart so that a search touches few cache lines.
    firsts: Vec<u128>,
    /// For each value of a key's leading bits, the last shard that starts at or before the lowest such key.
    by_leading_bits: Vec<u32>,
    shift: u32,
}

impl Ranges {
    fn new(mut shards: Vec<Shard>) -> Result<Self, ShardMapError> {
        shards.sort_by_key(|shard| shard.first);
        check_tiling(&shards)?;
        let firsts: Vec<u128> = shards.iter().map(|shard| shard.first.value()).collect();
        // Twice as many slots as shards: with shards of equal size a look-up then compares once or twice.
        let bits = (usize::BITS - firsts.len().leading_zeros() + 1).clamp(1, INDEX_BITS_MAX);
        let shift = u128::BITS - bits;
        let by_leading_bits = (0..1u128 << bits)
            .map(|slot| {
                let owner = firsts.partition_point(|&first| first <= slot << shift) - 1;
                u32::try_from(owner).expect("check_tiling refused more shards than u32 counts")
            })
            .collect();
        Ok(Self { shards, firsts, by_leading_bits, shift })
    }

    fn index_of(&self, key: HashKey) -> usize {
        let slot = (key.value() >> self.shift) as usize;
        let low = self.by_leading_bits[slot] as usize;
        let high = self.by_leading_bits.get(slot + 1).map_or(self.firsts.len() - 1, |&next| next as usize);
        low + self.firsts[low + 1..=high].partition_point(|&first| first <= key.value())
    }
}

/// Each hash key has exactly one owner.
fn check_tiling(shards: &[Shard]) -> Result<(), ShardMapError> {
    if shards.is_empty() {
        return Err(ShardMapError::Empty);
    }
    if u32::try_from(shards.len()).is_err() {
        return Err(ShardMapError::TooMany);
    }
    let mut expected = Some(0u128);
    for shard in shards {
        let first = shard.first.value();
        match expected {
            Some(key) if key == first && shard.first <= shard.last => {
                expected = shard.last.value().checked_add(1);
            }
            Some(key) if key < first => return Err(ShardMapError::Gap { at: HashKey::new(key) }),
            _ => return Err(ShardMapError::Overlap { shard: shard.id.clone() }),
        }
    }
    expected.map_or(Ok(()), |key| Err(ShardMapError::Gap { at: HashKey::new(key) }))
}

/// Why a list of shards is no map.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ShardMapError {
    /// There is no open shard.
    Empty,
    /// There are more than 2^32 shards.
    TooMany,
    /// A hash key has no owner.
    Gap {
        /// The lowest such key.
        at: HashKey,
    },
    /// A hash key has two owners, or a shard ends before it starts.
    Overlap {
        /// The shard at fault.
        shard: ShardId,
    },
}

impl fmt::Display for ShardMapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the stream has no open shard"),
            Self::TooMany => f.write_str("the stream has more shards than can be counted"),
            Self::Gap { at } => write!(f, "no open shard owns hash key {at}"),
            Self::Overlap { shard } => write!(f, "{shard} claims hash keys that another open shard owns"),
        }
    }
}

impl core::error::Error for ShardMapError {}

/// 2^17 slots are half a mebibyte: enough for 65,536 shards at one or two comparisons each.
const INDEX_BITS_MAX: u32 = 17;

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use proptest::prelude::*;

    fn count(n: u32) -> NonZeroU32 {
        NonZeroU32::new(n).expect("tests ask for at least one shard")
    }

    #[test]
    fn shards_that_do_not_tile_the_key_space_are_refused() {
        let half = HashKey::new(u128::MAX / 2);
        let above = HashKey::new(u128::MAX / 2 + 1);
        assert_eq!(ShardMap::known(vec![]), Err(ShardMapError::Empty));
        let low = Shard::new("low", HashKey::MIN, half);
        assert_eq!(ShardMap::known(vec![low.clone()]), Err(ShardMapError::Gap { at: above }));
        let high = Shard::new("high", above, HashKey::MAX);
        assert_eq!(ShardMap::known(vec![high.clone()]), Err(ShardMapError::Gap { at: HashKey::MIN }));
        let all = Shard::new("all", HashKey::MIN, HashKey::MAX);
        assert!(matches!(
            ShardMap::known(vec![all, high.clone()]),
            Err(ShardMapError::Overlap { shard }) if shard == high.id
        ));
        assert!(ShardMap::known(vec![high, low]).is_ok(), "the order of the list does not matter");
    }

    #[test]
    fn the_ends_of_every_range_belong_to_their_shard() {
        for shards in [1, 2, 3, 16, 1_000] {
            let map = ShardMap::uniform(count(shards));
            for (index, shard) in map.shards().iter().enumerate() {
                assert_eq!(map.index_of(shard.first), index);
                assert_eq!(map.index_of(shard.last), index);
            }
        }
    }

    #[test]
    fn the_record_limit_stays_within_what_the_service_offers() {
        let map = ShardMap::uniform(count(1));
        assert_eq!(map.record_bytes_max(), 1 << 20);
        assert_eq!(map.clone().with_record_bytes_max(usize::MAX).record_bytes_max(), 10 << 20);
        assert_eq!(map.with_record_bytes_max(0).record_bytes_max(), 1 << 20);
    }

    proptest! {
        #[test]
        fn an_uneven_map_finds_the_owner_that_a_linear_search_finds(
            cuts in prop::collection::btree_set(prop_oneof![1u128.., 1u128..1_000_000], 0..60),
            keys in prop::collection::vec(prop_oneof![any::<u128>(), 0u128..1_000_000], 1..40),
        ) {
            let mut shards = vec![];
            let mut first = 0;
            for (index, &cut) in cuts.iter().enumerate() {
                let id = alloc::format!("shardId-{index:012}");
                shards.push(Shard::new(id.as_str(), HashKey::new(first), HashKey::new(cut - 1)));
                first = cut;
            }
            shards.push(Shard::new("last", HashKey::new(first), HashKey::MAX));
            let map = ShardMap::known(shards).expect("cuts of the key space tile it");
            for key in keys.into_iter().chain(cuts).map(HashKey::new) {
                prop_assert!(map.shards()[map.index_of(key)].owns(key));
            }
        }
    }
}
