//! Records that wait behind an earlier one of their key.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::RangeInclusive;

use crate::entry::{Entry, EntryId, EntryPool, NIL};
use crate::hash_key::HashKey;

/// For each key at hand, the records behind the one that is ahead: the only one of the key that is queued, in flight or
/// set aside. Which one that is, is not remembered: there is exactly one while the key is here.
///
/// Chains run through the links of an [`EntryPool`], which parked entries do not need for a queue; a key costs some
/// forty bytes while it is at hand.
pub(crate) struct KeyChains {
    chains: BTreeMap<HashKey, Chain>,
}

/// What waits for one key, oldest first.
struct Chain {
    head: EntryId,
    tail: EntryId,
}

impl KeyChains {
    pub(crate) fn new() -> Self {
        Self { chains: BTreeMap::new() }
    }

    /// Parks a record that was pushed after all others of its key, if any of those is at hand. If not, it is now the
    /// one ahead, and `false` comes back.
    pub(crate) fn park<T>(&mut self, pool: &mut EntryPool<T>, id: EntryId) -> bool {
        let mut ahead = false;
        let chain = self.chains.entry(pool.entry(id).hash_key).or_insert_with(|| {
            ahead = true;
            Chain { head: NIL, tail: NIL }
        });
        if ahead {
            return false;
        }
        chain.append(pool, id);
        true
    }

    /// The record ahead of this key has ended: takes out the next, which is ahead from now on. Nothing happens to a key
    /// that is not at hand.
    pub(crate) fn next<T>(&mut self, pool: &mut EntryPool<T>, key: HashKey) -> Option<EntryId> {
        let chain = self.chains.get_mut(&key)?;
        let id = chain.head;
        if id == NIL {
            self.chains.remove(&key);
            return None;
        }
        chain.head = pool.link(id);
        pool.set_link(id, NIL);
        Some(id)
    }

    /// Whether a record of the key is at hand.
    pub(crate) fn is_at_hand(&self, key: HashKey) -> bool {
        self.chains.contains_key(&key)
    }

    /// The parked records with keys in a range, chain by chain.
    pub(crate) fn parked<'a, T>(
        &'a self,
        pool: &'a EntryPool<T>,
        keys: RangeInclusive<HashKey>,
    ) -> impl Iterator<Item = EntryId> + 'a {
        self.chains.range(keys).flat_map(|(_, chain)| chain.ids(pool))
    }

    /// The oldest parked record of each key in a range.
    pub(crate) fn heads(&self, keys: RangeInclusive<HashKey>) -> impl Iterator<Item = EntryId> {
        self.chains.range(keys).map(|(_, chain)| chain.head).filter(|&head| head != NIL)
    }

    /// Takes out every parked record that `leaves` names; those ahead are not asked about.
    pub(crate) fn extract<T>(
        &mut self,
        pool: &mut EntryPool<T>,
        leaves: impl Fn(&Entry<T>) -> bool,
    ) -> Vec<EntryId> {
        let mut left = Vec::new();
        for chain in self.chains.values_mut() {
            let ids: Vec<EntryId> = chain.ids(pool).collect();
            *chain = Chain { head: NIL, tail: NIL };
            for id in ids {
                if leaves(pool.entry(id)) {
                    left.push(id);
                } else {
                    chain.append(pool, id);
                }
            }
        }
        left
    }
}

impl Chain {
    fn append<T>(&mut self, pool: &mut EntryPool<T>, id: EntryId) {
        pool.set_link(id, NIL);
        if self.head == NIL {
            self.head = id;
        } else {
            pool.set_link(self.tail, id);
        }
        self.tail = id;
    }

    fn ids<T>(&self, pool: &EntryPool<T>) -> impl Iterator<Item = EntryId> {
        let head = Some(self.head).filter(|&head| head != NIL);
        core::iter::successors(head, |&id| Some(pool.link(id)).filter(|&next| next != NIL))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Record;
    use crate::time::Timestamp;

    fn insert(pool: &mut EntryPool<u64>, key: &str, sequence: u64) -> EntryId {
        let record = Record::new(key, "value").expect("a valid record");
        pool.insert(Entry::new(record, sequence, Timestamp::ZERO, sequence))
    }

    #[test]
    fn one_record_of_a_key_is_ahead_and_the_others_follow_in_the_order_of_their_pushes() {
        let (mut pool, mut keys) = (EntryPool::new(), KeyChains::new());
        let a: Vec<EntryId> = (0..4).map(|n| insert(&mut pool, "a", n)).collect();
        let b = insert(&mut pool, "b", 4);
        let (key_a, key_b) = (HashKey::of_partition_key("a"), HashKey::of_partition_key("b"));
        assert!(!keys.park(&mut pool, a[0]), "nothing is ahead of the first");
        assert!(a[1..].iter().all(|&id| keys.park(&mut pool, id)));
        assert!(!keys.park(&mut pool, b), "keys do not wait for each other");

        assert_eq!(keys.parked(&pool, HashKey::MIN..=HashKey::MAX).collect::<Vec<_>>(), a[1..]);
        assert_eq!(keys.extract(&mut pool, |entry| entry.sequence == 2), [a[2]]);
        assert_eq!(keys.next(&mut pool, key_a), Some(a[1]));
        assert_eq!(keys.next(&mut pool, key_a), Some(a[3]));
        assert!(keys.is_at_hand(key_a), "the last one is still ahead");
        assert_eq!(keys.next(&mut pool, key_a), None);
        assert!(!keys.is_at_hand(key_a) && keys.is_at_hand(key_b));
        assert_eq!(keys.next(&mut pool, key_a), None, "nothing happens to a key that is not at hand");
    }

    #[test]
    fn a_chain_that_ran_empty_while_its_key_is_at_hand_takes_records_again() {
        let (mut pool, mut keys) = (EntryPool::new(), KeyChains::new());
        let ids: Vec<EntryId> = (0..3).map(|n| insert(&mut pool, "a", n)).collect();
        let key = HashKey::of_partition_key("a");
        assert!(!keys.park(&mut pool, ids[0]) && keys.park(&mut pool, ids[1]));
        assert_eq!(keys.next(&mut pool, key), Some(ids[1]));
        assert!(keys.park(&mut pool, ids[2]), "the second is ahead");
        assert_eq!(keys.heads(key..=key).collect::<Vec<_>>(), [ids[2]]);
        assert_eq!(keys.next(&mut pool, key), Some(ids[2]));
    }
}
