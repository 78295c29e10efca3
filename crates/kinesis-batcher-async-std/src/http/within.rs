//! Futures with an end.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use async_io::Timer;

/// Awaits `future` for at most `limit`, and without one for as long as it takes. `None` when the time is over.
pub(super) async fn within<T>(limit: Option<Duration>, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let Some(limit) = limit else { return Some(future.await) };
    let mut timer = None;
    poll_fn(|cx| {
        if let Poll::Ready(result) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(result));
        }
        // Not before it is needed: most futures here are ready or fail at once.
        let timer = timer.get_or_insert_with(|| Timer::after(limit));
        std::pin::Pin::new(timer).poll(cx).map(|_| None)
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_io::block_on;

    #[test]
    fn what_is_ready_beats_the_end_of_its_time() {
        assert_eq!(block_on(within(Some(Duration::ZERO), async { 7 })), Some(7));
    }

    #[test]
    fn what_never_ends_is_given_up() {
        assert_eq!(block_on(within(Some(Duration::from_millis(5)), std::future::pending::<()>())), None);
    }
}
