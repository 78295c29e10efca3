//! Flushes and closes that wait for records to come back.

use std::collections::BTreeMap;
use std::task::Waker;

use crate::epochs::{Epochs, FlushEpoch};

/// Counts the records that are held, and knows who waits for which of them to come back.
///
/// A record counts as held until whoever waits for it has been told. That happens outside the lock, after the core has
/// let go of it, so that "flushed" and "closed" mean: delivered or failed, *and* told.
#[derive(Debug)]
pub(crate) struct Watchers {
    epochs: Epochs,
    wakers: BTreeMap<Watcher, Waker>,
    next: u64,
    is_closing: bool,
}

/// Who waits, and for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Watcher {
    epoch: FlushEpoch,
    key: u64,
}

/// Records that came back, by the epoch in which they were accepted.
#[derive(Debug, Default)]
pub(crate) struct Returned(Vec<(u32, u64)>);

impl Watchers {
    pub(crate) fn new() -> Self {
        Self { epochs: Epochs::new(), wakers: BTreeMap::new(), next: 0, is_closing: false }
    }

    /// The epoch for the next record's tag; [`accepted`](Self::accepted) follows if it gets in.
    pub(crate) fn epoch(&self) -> u32 {
        self.epochs.present()
    }

    /// So many records of the present epoch got in.
    pub(crate) fn accepted(&mut self, records: u64) {
        self.epochs.enter(records);
    }

    /// Those who wait for these have been told. The wakers of flushes that end by it, to be woken outside the lock.
    pub(crate) fn told(&mut self, returned: Returned) -> Vec<Waker> {
        let mut ended = false;
        for (epoch, records) in returned.0 {
            ended |= self.epochs.leave(epoch, records);
        }
        if !ended || self.wakers.is_empty() {
            return vec![];
        }
        let waiting = self.wakers.split_off(&Watcher { epoch: self.epochs.oldest(), key: 0 });
        std::mem::replace(&mut self.wakers, waiting).into_values().collect()
    }

    /// Whether nothing is held.
    pub(crate) fn is_idle(&self) -> bool {
        self.epochs.is_empty()
    }

    /// Everybody's waker, to be woken outside the lock.
    pub(crate) fn wake_all(&mut self) -> Vec<Waker> {
        std::mem::take(&mut self.wakers).into_values().collect()
    }

    /// One who waits for all that is held now; `None` when nothing is.
    pub(crate) fn new_flush(&mut self) -> Option<Watcher> {
        let epoch = self.epochs.end_present()?;
        Some(self.new_watcher(epoch))
    }

    /// One who waits for the end.
    pub(crate) fn new_close(&mut self) -> Watcher {
        self.is_closing = true;
        self.new_watcher(FlushEpoch::NEVER)
    }

    /// Whether a flush or a close may be waiting.
    pub(crate) fn is_any_waiting(&self) -> bool {
        self.is_closing || self.epochs.is_past_held()
    }

    /// Whether what this flush waits for has come back.
    pub(crate) fn is_over(&self, watcher: Watcher) -> bool {
        self.epochs.is_over(watcher.epoch)
    }

    /// Whom to wake. The former waker comes back, to be dropped outside the lock.
    pub(crate) fn watch(&mut self, watcher: Watcher, waker: Waker) -> Option<Waker> {
        self.wakers.insert(watcher, waker)
    }

    /// Somebody goes away. Their waker comes back, to be dropped outside the lock.
    pub(crate) fn give_up(&mut self, watcher: Watcher) -> Option<Waker> {
        self.wakers.remove(&watcher)
    }

    #[cfg(test)]
    pub(crate) fn is_unwatched(&self) -> bool {
        self.wakers.is_empty()
    }

    fn new_watcher(&mut self, epoch: FlushEpoch) -> Watcher {
        self.next += 1;
        Watcher { epoch, key: self.next }
    }
}

impl Returned {
    pub(crate) fn add(&mut self, epoch: u32) {
        match self.0.last_mut() {
            Some((last, records)) if *last == epoch => *records += 1,
            _ => self.0.push((epoch, 1)),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
