//! Records that failed, as the producer's threads report them.

use std::sync::{Mutex, PoisonError};

use crate::destination::Failed;

/// Keeps failures until the ledger takes them.
///
/// Cheap to add to, as that is done on the threads that carry requests: what touches a disk is done by who takes the failures.
/// There are never more of them than the producer's buffer and one batch hold, because a batch is only sent after
/// they were taken.
#[derive(Default)]
pub(crate) struct Failures(Mutex<Vec<Failed>>);

impl Failures {
    /// A record is not in the stream, as far as anyone knows.
    pub(crate) fn add(&self, failed: Failed) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(failed);
    }

    /// Failures since the last call.
    pub(crate) fn take(&self) -> Vec<Failed> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
