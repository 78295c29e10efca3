//! Calls into a transport, which may hang or panic.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use crate::shared::Shared;

/// Why a call gave no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interrupted {
    TimedOut,
    Panicked,
    Stopped,
}

/// Runs `call` until it ends, panics, takes longer than `timeout`, or the producer stops.
pub(crate) async fn guarded<T>(
    shared: &Shared,
    timeout: Duration,
    call: impl Future<Output = T>,
) -> Result<T, Interrupted> {
    let mut call = pin!(call);
    let mut stop = shared.stop.listen();
    let mut timer = None;
    let deadline = shared.runtime.now().checked_add(timeout);
    std::future::poll_fn(|cx| {
        // The transport is shared across tasks anyway and must keep itself consistent; its future is not polled again.
        match catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(cx))) {
            Ok(Poll::Ready(result)) => return Poll::Ready(Ok(result)),
            Ok(Poll::Pending) => {}
            Err(_) => return Poll::Ready(Err(Interrupted::Panicked)),
        }
        if let Some(at) = deadline {
            let timer = timer.get_or_insert_with(|| shared.runtime.new_timer(at));
            if timer.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Err(Interrupted::TimedOut));
            }
        }
        stop.poll(cx).map(|()| Err(Interrupted::Stopped))
    })
    .await
}
