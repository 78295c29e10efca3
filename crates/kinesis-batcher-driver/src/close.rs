//! The future of `close`.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::error::DeliveryError;
use crate::producer::Producer;
use crate::runtime::AsyncTimer;
use crate::state::State;
use crate::watchers::Watcher;

/// What a producer did in its life, from [`Producer::close`].
///
/// Records accepted = `delivered` + `failed` + `undelivered.len()`.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct CloseReport {
    /// Records stored.
    pub delivered: u64,
    /// Records that failed on their own account and were handed back when they did.
    pub failed: u64,
    /// Records that the deadline cut off, handed back. Each says how often it was sent, and whether an attempt may
    /// have stored it all the same. Those who wait for their deliveries have been told too.
    pub undelivered: Vec<DeliveryError>,
}

/// The future of [`Producer::close`].
#[must_use = "nothing is closed until it is awaited"]
pub struct Close<'a> {
    producer: &'a Producer,
    within: Duration,
    timer: Option<Pin<Box<dyn AsyncTimer>>>,
    watcher: Option<Watcher>,
    aborted: bool,
}

impl<'a> Close<'a> {
    pub(crate) fn new(producer: &'a Producer, within: Duration) -> Self {
        Self { producer, within, timer: None, watcher: None, aborted: false }
    }

    fn start(&mut self) -> Watcher {
        let shared = self.producer.shared();
        let runtime = &shared.runtime;
        // A deadline past the end of the runtime's time never comes.
        self.timer = runtime.now().checked_add(self.within).map(|at| runtime.new_timer(at));
        let watcher = shared.change(|state, now, effects| {
            state.undelivered.get_or_insert_default();
            state.close(now, effects);
            state.watchers.new_close()
        });
        *self.watcher.insert(watcher)
    }
}

impl Future for Close<'_> {
    type Output = CloseReport;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<CloseReport> {
        let watcher = self.watcher.unwrap_or_else(|| self.start());
        let shared = self.producer.shared();
        // Before the timer is polled, which may belong to a runtime that is gone.
        if let Some(report) = shared.lock().close_report() {
            return Poll::Ready(report);
        }
        if !self.aborted
            && let Some(timer) = &mut self.timer
            && timer.as_mut().poll(cx).is_ready()
        {
            self.aborted = true;
            shared.change(State::abort);
        }
        let waker = cx.waker().clone();
        let mut state = shared.lock();
        if let Some(report) = state.close_report() {
            return Poll::Ready(report);
        }
        let former = state.watchers.watch(watcher, waker);
        drop(state);
        drop(former);
        Poll::Pending
    }
}

impl Drop for Close<'_> {
    fn drop(&mut self) {
        if let Some(watcher) = self.watcher {
            let waker = self.producer.shared().lock().watchers.give_up(watcher);
            drop(waker);
        }
    }
}

impl std::fmt::Debug for Close<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Close")
            .field("within", &self.within)
            .field("aborted", &self.aborted)
            .finish_non_exhaustive()
    }
}
