//! The task that keeps the shard map fresh.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use kinesis_batcher_core::ShardMap;

use crate::guarded::{Interrupted, guarded};
use crate::runtime::AsyncTimer;
use crate::shared::{Shared, TaskGuard, random_seed};
use crate::transport::DescribeError;

/// Asks for the map on an interval and when the core finds it stale, one call at a time, until nothing more is sent.
pub(crate) async fn run(guard: TaskGuard, interval: Option<Duration>) {
    let mut refresh = Refresh::new(guard.shared(), interval);
    while refresh.due(guard.shared()).await {
        match describe(guard.shared()).await {
            Ok(map) => {
                refresh.succeeded(guard.shared());
                tracing::debug!(open_shards = map.open_shards(), "shard map refreshed");
                guard.shared().change(|state, now, effects| state.handle_shard_map(now, map, effects));
            }
            Err(error) => {
                let wait = refresh.failed(guard.shared());
                guard.shared().lock().shard_map_failed();
                tracing::warn!(%error, retry_in = ?wait, "shard map refresh failed; the old map stays in use");
            }
        }
    }
    guard.end();
}

async fn describe(shared: &Shared) -> Result<ShardMap, DescribeError> {
    let call = guarded(shared, DESCRIBE_TIMEOUT, async { shared.transport.describe().await });
    call.await.unwrap_or_else(|interrupted| {
        Err(DescribeError::new(match interrupted {
            Interrupted::TimedOut => "no answer in time",
            Interrupted::Panicked => "the transport panicked",
            Interrupted::Stopped => "the producer stopped",
        }))
    })
}

/// When to ask again.
struct Refresh {
    interval: Option<Duration>,
    timer: Option<Pin<Box<dyn AsyncTimer>>>,
    /// What the timer is set to; `None` when it has been ready since.
    armed: Option<Instant>,
    /// Not before this, even if the map is stale.
    earliest: Instant,
    /// By then in any case; `None` for never.
    latest: Option<Instant>,
    failures: u32,
    rng: Rng,
}

impl Refresh {
    fn new(shared: &Shared, interval: Option<Duration>) -> Self {
        let mut refresh = Self {
            interval,
            timer: None,
            armed: None,
            earliest: shared.runtime.now(),
            latest: None,
            failures: 0,
            rng: Rng(random_seed()),
        };
        refresh.latest = refresh.next_latest(shared);
        refresh
    }

    /// Waits until it is time to ask; false when nothing more is sent.
    async fn due(&mut self, shared: &Shared) -> bool {
        poll_fn(|cx| {
            let waker = cx.waker().clone();
            let at = {
                let mut state = shared.lock();
                if state.stopping {
                    return Poll::Ready(false);
                }
                let at = if state.map_is_stale { Some(self.earliest) } else { self.latest };
                let former = state.refresh_waker.replace(waker);
                drop(state);
                drop(former);
                at
            };
            let Some(at) = at else { return Poll::Pending };
            if at <= shared.runtime.now() {
                return Poll::Ready(true);
            }
            let timer = match &mut self.timer {
                Some(timer) => {
                    if self.armed != Some(at) {
                        timer.as_mut().reset(at);
                    }
                    timer
                }
                None => self.timer.insert(shared.runtime.new_timer(at)),
            };
            self.armed = Some(at);
            timer.as_mut().poll(cx).map(|()| {
                self.armed = None;
                true
            })
        })
        .await
    }

    fn succeeded(&mut self, shared: &Shared) {
        self.failures = 0;
        self.earliest = shared.runtime.now() + GAP;
        self.latest = self.next_latest(shared);
    }

    /// How long to wait before the next try: exponential, the upper half of it drawn at random.
    fn failed(&mut self, shared: &Shared) -> Duration {
        let ceiling = GAP.saturating_mul(1 << self.failures.min(16)).min(BACKOFF_MAX);
        self.failures = self.failures.saturating_add(1);
        let wait = ceiling / 2 + (ceiling / 2).mul_f64(self.rng.unit());
        self.earliest = shared.runtime.now() + wait;
        self.latest = Some(self.earliest);
        wait
    }

    /// A tenth of the interval is drawn at random, or producers that start together would all ask together.
    fn next_latest(&mut self, shared: &Shared) -> Option<Instant> {
        let interval = self.interval?;
        shared.runtime.now().checked_add(interval.mul_f64(0.9 + 0.1 * self.rng.unit()))
    }
}

/// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014): jitter needs no more.
struct Rng(u64);

impl Rng {
    /// A number from 0 to 1.
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) as f64 / u64::MAX as f64
    }
}

/// Between two calls at the least, and the first wait after a failure. DescribeStreamSummary is limited to 20 calls
/// a second for a whole account, and a reshard takes minutes.
const GAP: Duration = Duration::from_secs(1);
/// Between two calls after many failures.
const BACKOFF_MAX: Duration = Duration::from_secs(60);
/// For a describe call with all its pages; a stream of 10,000 shards has ten.
const DESCRIBE_TIMEOUT: Duration = Duration::from_secs(60);
