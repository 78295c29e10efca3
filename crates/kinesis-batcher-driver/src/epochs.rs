//! Which records a flush waits for.

use std::collections::VecDeque;

/// Counts the records held by the epoch in which they were accepted. A flush ends the present epoch and waits until
/// no record of it, or of an earlier one, is held.
///
/// Counting all that is held would not do: under steady load that number never comes to zero.
#[derive(Debug)]
pub(crate) struct Epochs {
    /// The number of the oldest epoch that is kept.
    oldest: u64,
    /// Records held from the oldest epoch to the present one; never empty, and only the last may be zero while it is
    /// the first.
    held: VecDeque<u64>,
}

impl Epochs {
    pub(crate) fn new() -> Self {
        Self { oldest: 0, held: VecDeque::from([0]) }
    }

    /// The present epoch, for the next record's tag.
    pub(crate) fn present(&self) -> u32 {
        // Cut to 32 bits to keep tags small: only the distance from `oldest` matters, and that many flushes with
        // records outstanding in each cannot be held in memory.
        (self.oldest + self.held.len() as u64 - 1) as u32
    }

    /// So many records of the present epoch were accepted.
    pub(crate) fn enter(&mut self, records: u64) {
        *self.held.back_mut().expect("the present epoch is always kept") += records;
    }

    /// So many records of this epoch came back. True when flushes may have ended by it.
    pub(crate) fn leave(&mut self, epoch: u32, records: u64) -> bool {
        let index = epoch.wrapping_sub(self.oldest as u32) as usize;
        let held = self.held.get_mut(index).expect("an epoch is kept while records of it are held");
        *held -= records;
        *held == 0 && self.drop_finished()
    }

    /// Whether no record is held.
    pub(crate) fn is_empty(&self) -> bool {
        self.held.len() == 1 && self.held.front() == Some(&0)
    }

    /// Whether a record of an epoch that a flush has ended is held.
    pub(crate) fn is_past_held(&self) -> bool {
        self.held.len() > 1
    }

    /// Ends the present epoch. What to wait for; `None` when nothing is held.
    pub(crate) fn end_present(&mut self) -> Option<FlushEpoch> {
        if self.held.back() != Some(&0) {
            self.held.push_back(0);
        }
        (self.held.len() > 1).then(|| FlushEpoch(self.oldest + self.held.len() as u64 - 2))
    }

    /// Whether no record of this epoch or an earlier one is held.
    pub(crate) fn is_over(&self, epoch: FlushEpoch) -> bool {
        self.oldest > epoch.0
    }

    /// The oldest epoch of which records may be held; those before it are over.
    pub(crate) fn oldest(&self) -> FlushEpoch {
        FlushEpoch(self.oldest)
    }

    fn drop_finished(&mut self) -> bool {
        let before = self.oldest;
        while self.held.len() > 1 && self.held.front() == Some(&0) {
            self.held.pop_front();
            self.oldest += 1;
        }
        // Zero in the present epoch alone ends a flush of it too, but such a flush started a new epoch.
        self.oldest > before
    }
}

/// The last epoch that a flush waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FlushEpoch(u64);

impl FlushEpoch {
    /// An epoch that is never over.
    pub(crate) const NEVER: Self = Self(u64::MAX);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flush_waits_for_earlier_records_and_not_for_later_ones() {
        let mut epochs = Epochs::new();
        let first = epochs.present();
        epochs.enter(1);
        epochs.enter(1);
        let flush = epochs.end_present().expect("two records are held");
        let second = epochs.present();
        assert_ne!(first, second);
        epochs.enter(1);
        assert!(!epochs.leave(first, 1));
        assert!(!epochs.is_over(flush));
        assert!(epochs.leave(first, 1));
        assert!(epochs.is_over(flush), "the third record came after the flush");
    }

    #[test]
    fn records_that_come_back_out_of_order_hold_up_only_their_own_flush() {
        let mut epochs = Epochs::new();
        let first = epochs.present();
        epochs.enter(1);
        let flush_1 = epochs.end_present().expect("one record is held");
        let second = epochs.present();
        epochs.enter(1);
        let flush_2 = epochs.end_present().expect("two records are held");
        assert!(!epochs.leave(second, 1));
        assert!(!epochs.is_over(flush_2), "the first record is older than the second flush");
        assert!(epochs.leave(first, 1));
        assert!(epochs.is_over(flush_1) && epochs.is_over(flush_2));
    }

    #[test]
    fn flushing_again_and_again_with_nothing_in_between_keeps_one_epoch() {
        let mut epochs = Epochs::new();
        assert_eq!(epochs.end_present(), None);
        epochs.enter(1);
        let flush = epochs.end_present();
        for _ in 0..1_000 {
            assert_eq!(epochs.end_present(), flush);
        }
        assert_eq!(epochs.held.len(), 2);
    }
}
