//! Records of one shard that wait, in the order of their pushes.

use crate::entry::{EntryId, EntryPool, NIL};

/// A linked list through an [`EntryPool`], oldest first.
#[derive(Debug)]
pub(crate) struct Queue {
    head: EntryId,
    tail: EntryId,
    len: u32,
    bytes: u64,
}

impl Queue {
    pub(crate) fn new() -> Self {
        Self { head: NIL, tail: NIL, len: 0, bytes: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.len as usize
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.head == NIL
    }

    /// Bytes of data and partition keys.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many entries, of how many bytes, a request might take from here. If only the oldest may go, its bytes are
    /// guessed: an average is known without a look at the entry.
    #[inline]
    pub(crate) fn sendable(&self, only_oldest: bool) -> (usize, u64) {
        if only_oldest && self.len > 1 {
            return (1, self.bytes / u64::from(self.len));
        }
        (self.len(), self.bytes)
    }

    /// The oldest entry.
    pub(crate) fn head(&self) -> Option<EntryId> {
        (self.head != NIL).then_some(self.head)
    }

    /// Appends an entry that was pushed after all others.
    pub(crate) fn push_back<T>(&mut self, pool: &mut EntryPool<T>, id: EntryId, bytes: usize) {
        if self.tail == NIL {
            self.head = id;
        } else {
            pool.set_link(self.tail, id);
        }
        self.tail = id;
        self.len += 1;
        self.bytes += bytes as u64;
    }

    /// Unlinks the oldest entry; it stays in the pool. `bytes` is its size.
    pub(crate) fn pop_front<T>(&mut self, pool: &EntryPool<T>, bytes: usize) -> Option<EntryId> {
        let id = self.head()?;
        self.head = pool.link(id);
        if self.head == NIL {
            self.tail = NIL;
        }
        self.len -= 1;
        self.bytes -= bytes as u64;
        Some(id)
    }

    /// Puts entries back where their pushes had put them. `ids` must be in that order too. Costs a step for each
    /// entry given and for each waiting one that is older than the last of them, which records in flight alone can be.
    pub(crate) fn merge<T>(&mut self, pool: &mut EntryPool<T>, ids: &[EntryId]) {
        let mut previous = NIL;
        let mut next = self.head;
        for &id in ids {
            let entry = pool.entry(id);
            let (rank, bytes) = (entry.rank(), entry.bytes());
            while next != NIL && pool.entry(next).rank() < rank {
                previous = next;
                next = pool.link(next);
            }
            pool.set_link(id, next);
            if previous == NIL {
                self.head = id;
            } else {
                pool.set_link(previous, id);
            }
            if next == NIL {
                self.tail = id;
            }
            previous = id;
            self.len += 1;
            self.bytes += bytes as u64;
        }
    }

    /// The entries, oldest first.
    pub(crate) fn ids<'a, T>(&self, pool: &'a EntryPool<T>) -> impl Iterator<Item = EntryId> + use<'a, T> {
        let head = self.head();
        core::iter::successors(head, |&id| Some(pool.link(id)).filter(|&next| next != NIL))
    }

    /// Empties the queue; the entries stay in the pool.
    pub(crate) fn clear(&mut self) {
        *self = Self::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::Entry;
    use crate::record::Record;
    use crate::time::Timestamp;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    fn insert(pool: &mut EntryPool<u64>, sequence: u64) -> EntryId {
        let record = Record::new("k", "value").expect("a valid record");
        pool.insert(Entry::new(record, sequence, Timestamp::ZERO, sequence))
    }

    proptest! {
        #[test]
        fn whatever_is_taken_and_put_back_the_order_of_pushes_holds(
            kept in prop::collection::vec(any::<bool>(), 1..40),
            returned_in_halves in any::<bool>(),
        ) {
            let mut pool = EntryPool::new();
            let mut queue = Queue::new();
            let mut taken = Vec::new();
            for (sequence, &keep) in kept.iter().enumerate() {
                let id = insert(&mut pool, sequence as u64);
                if keep {
                    queue.push_back(&mut pool, id, 6);
                } else {
                    taken.push(id);
                }
            }
            let middle = if returned_in_halves { taken.len() / 2 } else { 0 };
            queue.merge(&mut pool, &taken[middle..]);
            queue.merge(&mut pool, &taken[..middle]);
            let last = insert(&mut pool, kept.len() as u64);
            queue.push_back(&mut pool, last, 6);

            prop_assert_eq!(queue.len(), kept.len() + 1);
            prop_assert_eq!(queue.bytes(), 6 * (kept.len() as u64 + 1));
            let mut order = Vec::new();
            while let Some(id) = queue.pop_front(&pool, 6) {
                order.push(pool.remove(id).sequence);
            }
            prop_assert_eq!(order, (0..=kept.len() as u64).collect::<Vec<_>>());
            prop_assert!(queue.is_empty() && queue.bytes() == 0);
        }
    }
}
