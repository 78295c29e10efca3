//! Records of rejected requests, until the one at fault stands alone.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use crate::entry::Entry;
use crate::time::Timestamp;

/// Groups of records to send apart from all others. Each came from a request that the service rejected for one
/// record without saying which; halving the groups finds it in at most nine rounds.
pub(crate) struct Quarantine<T> {
    groups: VecDeque<Vec<Entry<T>>>,
    /// No group can go before this: the limits of all their shards are used up.
    blocked_until: Timestamp,
    /// When the first record in it expires; perhaps one that has left since.
    expires_at: Timestamp,
}

impl<T> Quarantine<T> {
    pub(crate) fn new() -> Self {
        Self { groups: VecDeque::new(), blocked_until: Timestamp::ZERO, expires_at: Timestamp::MAX }
    }

    /// Takes in both halves of a rejected request.
    pub(crate) fn halve(&mut self, mut entries: Vec<Entry<T>>, time_to_live: Option<Duration>) {
        debug_assert!(entries.len() > 1, "a record that was rejected alone is at fault");
        self.expires_at =
            entries.iter().map(|entry| entry.expires_at(time_to_live)).fold(self.expires_at, Timestamp::min);
        let second = entries.split_off(entries.len() / 2);
        self.groups.push_back(entries);
        self.groups.push_back(second);
        self.blocked_until = Timestamp::ZERO;
    }

    /// Takes in what is left of a record that was taken out.
    pub(crate) fn put_back(&mut self, entry: Entry<T>, time_to_live: Option<Duration>) {
        self.expires_at = self.expires_at.min(entry.expires_at(time_to_live));
        self.groups.push_back(alloc::vec![entry]);
    }

    /// When a group may go; `None` while there is none.
    pub(crate) fn ready_at(&self) -> Option<Timestamp> {
        (!self.groups.is_empty()).then_some(self.blocked_until)
    }

    pub(crate) fn expires_at(&self) -> Option<Timestamp> {
        (self.expires_at != Timestamp::MAX).then_some(self.expires_at)
    }

    /// Takes from the first group of which any record may go now. `admit` takes a record's share of its shard's
    /// limits, or says when it will be there.
    pub(crate) fn next_group(
        &mut self,
        now: Timestamp,
        mut admit: impl FnMut(&Entry<T>) -> Result<(), Timestamp>,
    ) -> Option<Vec<Entry<T>>> {
        if self.ready_at()? > now {
            return None;
        }
        let mut earliest = Timestamp::MAX;
        for _ in 0..self.groups.len() {
            let group = self.groups.pop_front()?;
            let (mut ready, mut waiting) = (Vec::new(), Vec::new());
            for entry in group {
                match admit(&entry) {
                    Ok(()) => ready.push(entry),
                    Err(at) => {
                        earliest = earliest.min(at);
                        waiting.push(entry);
                    }
                }
            }
            if !waiting.is_empty() {
                self.groups.push_back(waiting);
            }
            if !ready.is_empty() {
                return Some(ready);
            }
        }
        self.blocked_until = earliest;
        None
    }

    /// Takes out every record that `leaves` names, such as the expired.
    pub(crate) fn extract(
        &mut self,
        leaves: impl Fn(&Entry<T>) -> bool,
        time_to_live: Option<Duration>,
    ) -> Vec<Entry<T>> {
        let mut left = Vec::new();
        self.expires_at = Timestamp::MAX;
        for group in &mut self.groups {
            let (leaving, staying) = core::mem::take(group).into_iter().partition(&leaves);
            *group = staying;
            left.extend::<Vec<_>>(leaving);
            self.expires_at = group
                .iter()
                .map(|entry| entry.expires_at(time_to_live))
                .fold(self.expires_at, Timestamp::min);
        }
        self.groups.retain(|group| !group.is_empty());
        left
    }

    /// Everything in it.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry<T>> {
        self.groups.iter().flatten()
    }

    /// Limits have changed: look again.
    pub(crate) fn unblock(&mut self) {
        self.blocked_until = Timestamp::ZERO;
    }
}
