//! The future of `flush`.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::epochs::FlushEpoch;
use crate::error::RuntimeStopped;
use crate::producer::Producer;
use crate::shared::Shared;
use crate::state::Watcher;

/// The future of [`Producer::flush`].
#[derive(Debug)]
#[must_use = "nothing is flushed until it is awaited"]
pub struct Flush<'a> {
    producer: &'a Producer,
    flushing: Flushing,
}

impl<'a> Flush<'a> {
    pub(crate) fn new(producer: &'a Producer) -> Self {
        Self { producer, flushing: Flushing::new() }
    }
}

impl Future for Flush<'_> {
    type Output = Result<(), RuntimeStopped>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let shared = Arc::clone(self.producer.shared());
        self.flushing.poll(&shared, cx)
    }
}

impl Drop for Flush<'_> {
    fn drop(&mut self) {
        self.flushing.give_up(self.producer.shared());
    }
}

/// A flush under way. Whoever drops it unfinished must call [`give_up`](Self::give_up) before.
#[derive(Debug)]
pub(crate) struct Flushing {
    waiting: Option<(FlushEpoch, Watcher)>,
}

impl Flushing {
    pub(crate) fn new() -> Self {
        Self { waiting: None }
    }

    pub(crate) fn poll(
        &mut self,
        shared: &Arc<Shared>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), RuntimeStopped>> {
        let waiting = match self.waiting {
            Some(waiting) => Some(waiting),
            None => shared.change(|state, now, _| {
                state.flush(now).map(|epoch| (epoch, state.new_watcher(Some(epoch))))
            }),
        };
        let waker = cx.waker().clone();
        let mut state = shared.lock();
        let stopped = state.runtime_stopped;
        let former = match waiting {
            Some((epoch, watcher)) if !state.epochs.is_over(epoch) => state.watchers.insert(watcher, waker),
            _ => {
                drop(state);
                self.waiting = None;
                return Poll::Ready(if stopped { Err(RuntimeStopped) } else { Ok(()) });
            }
        };
        drop(state);
        drop(former);
        self.waiting = waiting;
        Poll::Pending
    }

    pub(crate) fn give_up(&mut self, shared: &Shared) {
        if let Some((_, watcher)) = self.waiting.take() {
            let waker = shared.lock().watchers.remove(&watcher);
            drop(waker);
        }
    }
}
