//! Records of which their senders were told, on their way to be counted under the lock.

use kinesis_batcher_core::Delivered;

use crate::sync::{AtomicBool, Mutex, MutexGuard, Ordering, PoisonError};
use crate::tag::Tag;
use crate::watchers::Returned;

/// Senders are told outside the lock. While a flush or a close waits, whoever has told takes the lock once more to say
/// so; at all other times nobody asks, and it is left here for the next who takes it.
#[derive(Default)]
pub(crate) struct Tellings {
    done: Mutex<Vec<Telling>>,
    /// Whether there is something in `done`; late by a moment at worst, so only for those who do not have to know.
    is_any: AtomicBool,
    /// Whether somebody waits for them. Changes under the state's lock.
    awaited: AtomicBool,
}

/// Of these records everybody was told.
pub(crate) struct Telling {
    pub(crate) returned: Returned,
    /// The memory of a request that was stored whole.
    pub(crate) emptied: Option<Delivered<Tag>>,
}

impl Tellings {
    /// Leaves one to be counted. True: somebody waits for it, so take the state's lock and count it now.
    #[must_use]
    pub(crate) fn leave(&self, telling: Telling) -> bool {
        self.lock().push(telling);
        self.is_any.store(true, Ordering::Relaxed);
        // Who waits says so before looking here. So either the look found this one, or the lock just now was taken
        // after the look, and what was said before it is seen.
        self.awaited.load(Ordering::Relaxed)
    }

    /// Takes what is there, under the state's lock; if `awaited`, misses nothing that was left by now and has all that
    /// is left later counted at once.
    pub(crate) fn collect(&self, awaited: bool, into: &mut Vec<Telling>) {
        self.awaited.store(awaited, Ordering::Relaxed);
        if awaited || self.is_any.load(Ordering::Relaxed) {
            self.is_any.store(false, Ordering::Relaxed);
            into.append(&mut self.lock());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Telling>> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
