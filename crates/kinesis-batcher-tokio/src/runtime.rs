//! tokio as the driver's runtime.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use kinesis_batcher_driver::{AsyncTimer, Runtime};
use tokio::runtime::{Handle, TryCurrentError};
use tokio::time::Sleep;

/// tokio as a [`Runtime`] for the driver. It goes by tokio's clock, paused or not.
///
/// The producer may be used from any thread and any executor; its own tasks and timers run here.
#[derive(Clone, Debug)]
pub struct TokioRuntime {
    handle: Handle,
}

impl TokioRuntime {
    /// The runtime behind this handle. It needs its time driver ([`enable_time`]).
    ///
    /// [`enable_time`]: tokio::runtime::Builder::enable_time
    #[must_use]
    pub fn new(handle: Handle) -> Self {
        Self { handle }
    }

    /// The runtime this is called in.
    ///
    /// # Errors
    /// Outside of a tokio runtime.
    pub fn current() -> Result<Self, TryCurrentError> {
        Handle::try_current().map(Self::new)
    }
}

impl Runtime for TokioRuntime {
    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }

    fn new_timer(&self, at: Instant) -> Pin<Box<dyn AsyncTimer>> {
        // A close may be awaited on another executor.
        let _entered = self.handle.enter();
        Box::pin(TokioTimer(Box::pin(tokio::time::sleep_until(at.into()))))
    }

    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) {
        drop(self.handle.spawn(future));
    }
}

struct TokioTimer(Pin<Box<Sleep>>);

impl AsyncTimer for TokioTimer {
    fn reset(mut self: Pin<&mut Self>, at: Instant) {
        self.0.as_mut().reset(at.into());
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn a_timer_goes_by_the_paused_clock_and_can_be_set_again() {
        let runtime = TokioRuntime::current().unwrap();
        let start = runtime.now();
        let mut timer = runtime.new_timer(start + Duration::from_secs(3_600));
        poll_fn(|cx| timer.as_mut().poll(cx)).await;
        assert_eq!(runtime.now() - start, Duration::from_secs(3_600));
        timer.as_mut().reset(start + Duration::from_secs(7_200));
        poll_fn(|cx| timer.as_mut().poll(cx)).await;
        assert_eq!(runtime.now() - start, Duration::from_secs(7_200));
    }

    #[test]
    fn outside_of_a_runtime_there_is_none() {
        assert!(TokioRuntime::current().is_err());
    }
}
