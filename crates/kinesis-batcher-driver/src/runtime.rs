//! What the driver needs of an async runtime.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

/// An async runtime: a clock, timers and tasks.
///
/// The runtime crates implement it for tokio and others. For one of your own, three small methods are enough; the
/// sockets are the business of the [`Transport`](crate::Transport).
pub trait Runtime: Send + Sync + 'static {
    /// The present time of the clock that [`new_timer`](Self::new_timer) goes by. A runtime with a virtual clock
    /// answers with virtual time.
    fn now(&self) -> Instant;

    /// A timer that is ready from `at` on.
    fn new_timer(&self, at: Instant) -> Pin<Box<dyn AsyncTimer>>;

    /// Runs `future` to its end in the background.
    ///
    /// A runtime that shuts down drops the futures it did not finish, and those it is given later: the driver learns
    /// of the shutdown by that and releases everybody who waits.
    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>);
}

/// A timer that can be set again.
pub trait AsyncTimer: Send {
    /// Sets the timer to `at`, whether it has been ready or not. The task that polled it last need not be woken.
    fn reset(self: Pin<&mut Self>, at: Instant);

    /// Ready once the time has come; else the task is woken then. Polled again only after a
    /// [`reset`](Self::reset).
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()>;
}
