//! A signal that is raised once and heard by all.

use std::collections::BTreeMap;
use std::task::{Context, Poll, Waker};

use crate::sync::{AtomicBool, Mutex, MutexGuard, Ordering, PoisonError};

/// Tells everything that is under way to stop. It stays raised.
///
/// It has a lock of its own, so that requests that start and end do not contend with senders.
#[derive(Debug, Default)]
pub(crate) struct Signal {
    raised: AtomicBool,
    listeners: Mutex<Listeners>,
}

#[derive(Debug, Default)]
struct Listeners {
    wakers: BTreeMap<u64, Waker>,
    next: u64,
}

impl Signal {
    /// Raises the signal and wakes all who listen.
    pub(crate) fn raise(&self) {
        let wakers = {
            let mut listeners = self.lock();
            // Under the lock, so that a listener that saw it lowered is registered by now.
            self.raised.store(true, Ordering::Release);
            std::mem::take(&mut listeners.wakers)
        };
        wakers.into_values().for_each(Waker::wake);
    }

    pub(crate) fn listen(&self) -> Listener<'_> {
        Listener { signal: self, registered: None }
    }

    fn lock(&self) -> MutexGuard<'_, Listeners> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One who waits for the signal.
pub(crate) struct Listener<'a> {
    signal: &'a Signal,
    registered: Option<(u64, Waker)>,
}

impl Listener<'_> {
    /// Ready once the signal is raised.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.signal.raised.load(Ordering::Acquire) {
            return Poll::Ready(());
        }
        if self.registered.as_ref().is_some_and(|(_, waker)| waker.will_wake(cx.waker())) {
            return Poll::Pending;
        }
        let waker = cx.waker().clone();
        let former = {
            let mut listeners = self.signal.lock();
            if self.signal.raised.load(Ordering::Acquire) {
                return Poll::Ready(());
            }
            let key = self.registered.as_ref().map_or_else(
                || {
                    listeners.next += 1;
                    listeners.next
                },
                |(key, _)| *key,
            );
            let former = listeners.wakers.insert(key, waker.clone());
            self.registered = Some((key, waker));
            former
        };
        // Outside the lock: the last waker of a task may drop what the task left behind.
        drop(former);
        Poll::Pending
    }
}

impl Drop for Listener<'_> {
    fn drop(&mut self) {
        if let Some((key, _)) = self.registered {
            let waker = self.signal.lock().wakers.remove(&key);
            drop(waker);
        }
    }
}

#[cfg(test)]
#[cfg(not(shuttle))]
mod tests {
    use super::*;

    #[test]
    fn a_raised_signal_is_heard_by_those_before_and_after() {
        let signal = Signal::default();
        let mut cx = Context::from_waker(Waker::noop());
        let mut early = signal.listen();
        assert!(early.poll(&mut cx).is_pending());
        signal.raise();
        assert!(early.poll(&mut cx).is_ready());
        assert!(signal.listen().poll(&mut cx).is_ready());
    }

    #[test]
    fn a_listener_that_goes_away_leaves_nothing_behind() {
        let signal = Signal::default();
        let mut listener = signal.listen();
        assert!(listener.poll(&mut Context::from_waker(Waker::noop())).is_pending());
        drop(listener);
        assert!(signal.lock().wakers.is_empty());
    }
}
