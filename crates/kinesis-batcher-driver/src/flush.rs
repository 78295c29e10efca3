//! The future of `flush`.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::error::RuntimeStopped;
use crate::producer::Producer;
use crate::shared::Shared;
use crate::watchers::Watcher;

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
    watcher: Option<Watcher>,
}

impl Flushing {
    pub(crate) fn new() -> Self {
        Self { watcher: None }
    }

    pub(crate) fn poll(
        &mut self,
        shared: &Arc<Shared>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), RuntimeStopped>> {
        let waker = cx.waker().clone();
        let watcher = self.watcher.take().or_else(|| {
            shared.change(|state, now, _| {
                state.batcher.flush(now);
                state.watchers.new_flush()
            })
        });
        let mut state = shared.lock();
        match watcher.filter(|watcher| !state.watchers.is_over(*watcher)) {
            Some(watcher) => {
                let former = state.watchers.watch(watcher, waker);
                drop(state);
                drop(former);
                self.watcher = Some(watcher);
                Poll::Pending
            }
            None => Poll::Ready(if state.runtime_stopped { Err(RuntimeStopped) } else { Ok(()) }),
        }
    }

    pub(crate) fn give_up(&mut self, shared: &Shared) {
        if let Some(watcher) = self.watcher.take() {
            let waker = shared.lock().watchers.give_up(watcher);
            drop(waker);
        }
    }
}
