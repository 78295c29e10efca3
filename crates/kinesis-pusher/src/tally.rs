//! The ends of records, as the producer's threads report them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::destination::Failed;

/// Counts deliveries and keeps failures until the ledger takes them.
///
/// Cheap and never blocking, as it is called on the threads that carry requests: what touches a disk is done by who
/// takes the failures. There are never more of those than the producer's buffer and one batch hold, because a batch is
/// only sent after they were taken.
#[derive(Default)]
pub(crate) struct Tally {
    delivered: AtomicU64,
    recovered: AtomicU64,
    possibly_duplicated: AtomicU64,
    failed: Mutex<Vec<Failed>>,
}

/// Deliveries so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Deliveries {
    /// Records the stream has.
    pub(crate) delivered: u64,
    /// Of those, the ones that took more than one attempt.
    pub(crate) recovered: u64,
    /// Of those, the ones an earlier attempt may have stored as well.
    pub(crate) possibly_duplicated: u64,
}

impl Tally {
    /// A record is in the stream after so many attempts.
    pub(crate) fn delivered(&self, attempts: u32, possible_duplicate: bool) {
        // Nothing is read through these counters, so their order among each other does not matter.
        self.delivered.fetch_add(1, Ordering::Relaxed);
        if attempts > 1 {
            self.recovered.fetch_add(1, Ordering::Relaxed);
        }
        if possible_duplicate {
            self.possibly_duplicated.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A record is not in the stream, as far as anyone knows.
    pub(crate) fn failed(&self, failed: Failed) {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).push(failed);
    }

    /// Deliveries so far; complete once the destination has closed.
    pub(crate) fn deliveries(&self) -> Deliveries {
        Deliveries {
            delivered: self.delivered.load(Ordering::Relaxed),
            recovered: self.recovered.load(Ordering::Relaxed),
            possibly_duplicated: self.possibly_duplicated.load(Ordering::Relaxed),
        }
    }

    /// Failures since the last call.
    pub(crate) fn take_failed(&self) -> Vec<Failed> {
        std::mem::take(&mut *self.failed.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
