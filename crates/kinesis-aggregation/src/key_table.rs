use alloc::{vec, vec::Vec};

use crate::format::ENCODED_LEN_MAX;

/// Which keys a message's table holds already, and where.
///
/// An open-addressing hash table, 64 bytes for seven keys. It holds no text: a slot points at the key inside
/// the buffer that the message is being written to, which every method is therefore given.
///
/// Keys come from outside, so somebody may choose them to collide. That cannot slow a look-up down: it
/// tries [`GROUPS_PROBED_MAX`] groups and no more. A key that finds no slot free in them is left out, and
/// appears in the message's table as often as it is used: a few more bytes on the wire, which readers accept.
/// So there is no secret seed, and the same input always gives the same bytes.
#[derive(Default)]
pub(crate) struct KeyTable {
    /// As many as a power of two, or none.
    groups: Vec<Group>,
    /// Keys that have a slot.
    indexed: usize,
    /// Keys in the message's table, with or without a slot.
    len: usize,
}

/// Where a key is, or would be.
#[derive(Clone, Copy)]
pub(crate) struct Place<'k> {
    pub(crate) key: &'k [u8],
    /// The key's position in the message's table.
    pub(crate) index: usize,
    pub(crate) is_new: bool,
    hash: u64,
}

impl KeyTable {
    /// Finds `key` among those in `buffer`.
    pub(crate) fn find<'k>(&self, buffer: &[u8], key: &'k [u8]) -> Place<'k> {
        self.find_hashed(buffer, key, Self::hash(key))
    }

    /// What [`find_at_once`](Self::find_at_once) and [`find_hashed`](Self::find_hashed) take.
    #[inline(always)]
    pub(crate) fn hash(key: &[u8]) -> u64 {
        hash_of(key)
    }

    /// The index of `key`, if it is where one looks first: nearly every key that is there at all is.
    #[inline(always)]
    pub(crate) fn find_at_once(&self, buffer: &[u8], key: &[u8], hash: u64) -> Option<usize> {
        let group = self.groups.get(hash as usize & self.groups.len().wrapping_sub(1))?;
        let slot = group.slot(group.candidates(hash))?;
        slot.holds(buffer, key).then(|| slot.index())
    }

    pub(crate) fn find_hashed<'k>(&self, buffer: &[u8], key: &'k [u8], hash: u64) -> Place<'k> {
        for group in self.probe(hash) {
            let group = &self.groups[group];
            let mut candidates = group.candidates(hash);
            while let Some(slot) = group.slot(candidates) {
                if slot.holds(buffer, key) {
                    return Place { key, index: slot.index(), is_new: false, hash };
                }
                candidates &= candidates - 1;
            }
            if group.free_lane().is_some() {
                break;
            }
        }
        Place { key, index: self.len, is_new: true, hash }
    }

    /// Takes in the key of a new `place`, which was just written to `buffer`.
    pub(crate) fn insert(&mut self, buffer: &[u8], place: Place<'_>) {
        debug_assert!(place.is_new && place.index == self.len, "the place is from before another insertion");
        self.len += 1;
        let Some(slot) = Slot::new(buffer.len() - place.key.len(), place) else {
            return;
        };
        // Three quarters full is where groups begin to overflow often.
        if (self.indexed + 1) * 4 > self.groups.len() * LANES * 3 {
            self.grow(buffer);
        }
        // Full groups are bad luck only in a table that is well filled; in an almost empty one they are
        // intent, and growing would be what was intended.
        while !self.settle(slot, place.hash) {
            if self.indexed * 4 < self.groups.len() * LANES {
                return;
            }
            self.grow(buffer);
        }
        self.indexed += 1;
    }

    /// Forgets every key, in time proportional to the keys it held; keeps the allocation.
    pub(crate) fn clear(&mut self) {
        // Otherwise one large aggregate would make each small one after it pay for wiping the large table.
        self.groups.truncate((self.indexed * 2 / LANES).next_power_of_two());
        self.groups.fill(Group::default());
        self.indexed = 0;
        self.len = 0;
    }

    /// Memory held, in bytes.
    pub(crate) fn allocated_bytes(&self) -> usize {
        self.groups.capacity() * size_of::<Group>()
    }

    #[inline(always)]
    fn probe(&self, hash: u64) -> impl Iterator<Item = usize> + use<> {
        let groups = self.groups.len();
        (0..GROUPS_PROBED_MAX.min(groups)).map(move |step| (hash as usize).wrapping_add(step) & (groups - 1))
    }

    fn settle(&mut self, slot: Slot, hash: u64) -> bool {
        for group in self.probe(hash) {
            let group = &mut self.groups[group];
            if let Some(lane) = group.free_lane() {
                group.tags |= tag_of(hash) << (8 * lane);
                group.slots[lane] = slot;
                return true;
            }
        }
        false
    }

    #[cold]
    fn grow(&mut self, buffer: &[u8]) {
        let wanted = (self.groups.len() * 2).max(1);
        let old = core::mem::replace(&mut self.groups, vec![Group::default(); wanted]);
        self.indexed = 0;
        for slot in old.iter().flat_map(Group::taken) {
            let key = slot.key(buffer).expect("a slot points at a key that the buffer holds");
            // A key that collides on purpose may lose its slot here; see above for what that means.
            self.indexed += usize::from(self.settle(slot, hash_of(key)));
        }
    }
}

/// Where in the buffer a key is, in 24 bits; its position in the message's table, in 24; its length, in 16.
#[derive(Clone, Copy, Default)]
struct Slot(u64);

impl Slot {
    /// `None` if the key is too long. None that the service accepts is.
    fn new(start: usize, place: Place<'_>) -> Option<Self> {
        const { assert!(ENCODED_LEN_MAX <= 1 << 24, "positions in the buffer have 24 bits") };
        debug_assert!(
            start < ENCODED_LEN_MAX && place.index < ENCODED_LEN_MAX,
            "the builder keeps its limit"
        );
        let key_len = u16::try_from(place.key.len()).ok()?;
        Some(Self(start as u64 | (place.index as u64) << 24 | u64::from(key_len) << 48))
    }

    #[inline(always)]
    fn index(self) -> usize {
        (self.0 >> 24) as usize & 0xff_ffff
    }

    #[inline(always)]
    fn key(self, buffer: &[u8]) -> Option<&[u8]> {
        let start = self.0 as usize & 0xff_ffff;
        buffer.get(start..start + (self.0 >> 48) as usize)
    }

    #[inline(always)]
    fn holds(self, buffer: &[u8], key: &[u8]) -> bool {
        self.key(buffer).is_some_and(|held| is_same(held, key))
    }
}

/// A cache line of seven slots, which are looked through at once by a byte of hash that each has in `tags`;
/// zero says free. They fill from the first to the last.
#[derive(Clone, Copy, Default)]
#[repr(align(64))]
struct Group {
    tags: u64,
    slots: [Slot; LANES],
}

impl Group {
    /// A bit in the lane of each slot whose tag is that of `hash`; seldom, in another one too.
    #[inline(always)]
    fn candidates(&self, hash: u64) -> u64 {
        // The classic search for a zero byte; a borrow can only add lanes above a true match.
        let differing = self.tags ^ (tag_of(hash) * LOW_BITS);
        differing.wrapping_sub(LOW_BITS) & !differing & HIGH_BITS
    }

    /// The first of the candidates.
    #[inline(always)]
    fn slot(&self, candidates: u64) -> Option<&Slot> {
        self.slots.get(candidates.trailing_zeros() as usize / 8)
    }

    #[inline(always)]
    fn free_lane(&self) -> Option<usize> {
        let free = !self.tags & HIGH_BITS;
        (free != 0).then(|| free.trailing_zeros() as usize / 8)
    }

    fn taken(&self) -> impl Iterator<Item = Slot> {
        self.slots.iter().copied().take(self.free_lane().unwrap_or(LANES))
    }
}

/// A byte that is not zero, from the top bits: the bottom ones have chosen the group.
#[inline(always)]
fn tag_of(hash: u64) -> u64 {
    hash >> 56 | 0x80
}

/// `a == b`; for keys of the usual length, without a call.
#[inline(always)]
fn is_same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    if let (Some(a_first), Some(a_last)) = (a.first_chunk::<8>(), a.last_chunk::<8>())
        && let (Some(b_first), Some(b_last)) = (b.first_chunk::<8>(), b.last_chunk::<8>())
        && a.len() <= 16
    {
        return a_first == b_first && a_last == b_last;
    }
    a == b
}

/// Folded multiplication, sixteen bytes a step. It need only spread keys that nobody chose to collide.
#[inline(always)]
fn hash_of(key: &[u8]) -> u64 {
    // The length goes to the top, away from a short key's bytes: "\x03" and "\0\0" must differ.
    let mut hash = MULTIPLIERS[0] ^ (key.len() as u64) << 56;
    let mut rest = key;
    while rest.len() > 16
        && let Some((step, after)) = rest.split_first_chunk::<16>()
    {
        let step = u128::from_le_bytes(*step);
        hash = fold(hash ^ step as u64, MULTIPLIERS[1] ^ (step >> 64) as u64);
        rest = after;
    }
    // The first and the last half overlap unless 16 bytes are left: all are read, without a loop.
    let (low, high) = match (rest.first_chunk(), rest.last_chunk()) {
        (Some(first), Some(last)) => (u64::from_le_bytes(*first), u64::from_le_bytes(*last)),
        _ => match (rest.first_chunk(), rest.last_chunk()) {
            (Some(first), Some(last)) => {
                (u32::from_le_bytes(*first).into(), u32::from_le_bytes(*last).into())
            }
            _ => (rest.iter().fold(0, |low, &byte| low << 8 | u64::from(byte)), 0),
        },
    };
    fold(hash ^ low, MULTIPLIERS[1] ^ high)
}

#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

/// Slots in a group. An eighth would not fit into the cache line.
const LANES: usize = 7;

/// The lowest bit of each lane's tag.
const LOW_BITS: u64 = 0x01_0101_0101_0101;
/// The highest.
const HIGH_BITS: u64 = LOW_BITS << 7;

/// 28 slots: nobody's keys overflow them by chance in a table that is less than a quarter full, and looking
/// through them costs no more than the MD5 of the key, which somebody has to compute anyway.
const GROUPS_PROBED_MAX: usize = 4;

/// Fractional parts of e and √3, made odd.
const MULTIPLIERS: [u64; 2] = [0xb7e1_5162_8aed_2a6b, 0xbb67_ae85_84ca_a73b];

#[cfg(test)]
mod tests {
    use alloc::{format, string::String};

    use super::*;

    struct Keys {
        table: KeyTable,
        buffer: Vec<u8>,
    }

    impl Keys {
        fn new() -> Self {
            Self { table: KeyTable::default(), buffer: vec![0; 4] }
        }

        fn find<'k>(&self, key: &'k [u8]) -> Place<'k> {
            let place = self.table.find(&self.buffer, key);
            if let Some(index) = self.table.find_at_once(&self.buffer, key, place.hash) {
                assert_eq!(
                    (index, false),
                    (place.index, place.is_new),
                    "the quick look finds something else"
                );
            }
            place
        }

        fn add<'k>(&mut self, key: &'k [u8]) -> Place<'k> {
            let place = self.find(key);
            if place.is_new {
                self.buffer.extend_from_slice(key);
                self.table.insert(&self.buffer, place);
            }
            place
        }
    }

    #[test]
    fn every_key_is_found_again_at_the_index_it_was_given() {
        let mut keys = Keys::new();
        let texts: Vec<String> = (0..20_000).map(|n| format!("{:1$}", n, n % 200)).collect();
        for (index, text) in texts.iter().enumerate() {
            assert!(keys.add(text.as_bytes()).is_new, "{text:?} was found before it was added");
            let place = keys.add(text.as_bytes());
            assert_eq!((place.is_new, place.index), (false, index), "{text:?} was not found");
        }
        for (index, text) in texts.iter().enumerate() {
            assert_eq!(keys.add(text.as_bytes()).index, index, "{text:?} was lost");
        }
        assert_eq!(keys.table.len, keys.table.indexed, "a key that nobody chose was left without a slot");
    }

    #[test]
    fn keys_that_collide_cost_a_bounded_search_and_a_bounded_table() {
        let mut keys = Keys::new();
        // Eight bytes that cancel the multiplier: whatever the other eight are, the product is zero.
        let cancelling = MULTIPLIERS[1].to_le_bytes();
        for n in 0..10_000_u64 {
            let key = [n.to_le_bytes(), cancelling].concat();
            assert!(keys.add(&key).is_new);
            assert_eq!(
                keys.add(&key).is_new,
                n >= (GROUPS_PROBED_MAX * LANES) as u64,
                "key {n} should be found if it has a slot"
            );
        }
        let groups = keys.table.groups.len();
        assert!(groups <= 32, "collisions made the table grow to {groups} groups");
        assert_eq!(keys.table.indexed, GROUPS_PROBED_MAX * LANES);
    }

    #[test]
    fn a_cleared_table_holds_nothing_and_is_sized_for_what_it_held_last() {
        let mut keys = Keys::new();
        for n in 0..1_000 {
            keys.add(format!("key {n}").as_bytes());
        }
        let allocated = keys.table.allocated_bytes();
        keys.table.clear();
        assert!(keys.find(b"key 1").is_new, "a key outlived the clearing");
        assert_eq!(keys.table.allocated_bytes(), allocated, "the allocation is kept");
        keys.buffer.truncate(4);
        keys.add(b"one");
        keys.table.clear();
        assert_eq!(keys.table.groups.len(), 1, "a small table is left to wipe next time");
    }

    #[test]
    fn similar_short_keys_do_not_share_hashes() {
        let mut hashes: Vec<u64> = Vec::new();
        for a in 0..=255_u8 {
            hashes.push(hash_of(&[a]));
            hashes.extend((0..=255_u8).map(|b| hash_of(&[a, b])));
        }
        hashes.extend((0..100_000).map(|n| hash_of(format!("user-{n}").as_bytes())));
        let all = hashes.len();
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), all);
    }
}
