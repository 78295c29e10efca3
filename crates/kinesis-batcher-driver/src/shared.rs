//! What a producer's handles and tasks have in common.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use kinesis_batcher_core::{Batcher, Config, ShardMap, Timestamp};

use crate::effects::Effects;
use crate::record::Handler;
use crate::runtime::Runtime;
use crate::signal::Signal;
use crate::state::State;
use crate::sync::{Mutex, MutexGuard, lock_soon};
use crate::tellings::Tellings;
use crate::transport::Transport;

/// The state behind its lock, and what needs none.
pub(crate) struct Shared {
    state: Mutex<State>,
    /// What the state has not heard of yet.
    pub(crate) tellings: Tellings,
    /// Tells requests and refreshes under way to stop: the last deadline is over, or nothing waits for them.
    pub(crate) stop: Signal,
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) handler: Option<Handler>,
    pub(crate) config: Config,
    pub(crate) request_timeout: Duration,
    /// Zero of the core's time.
    epoch: Instant,
}

impl Shared {
    pub(crate) fn new(
        config: Config,
        shards: ShardMap,
        runtime: Arc<dyn Runtime>,
        transport: Arc<dyn Transport>,
        handler: Option<Handler>,
        request_timeout: Duration,
    ) -> Self {
        let batcher = Batcher::new(config.clone(), shards, random_seed(), Timestamp::ZERO);
        Self {
            state: Mutex::new(State::new(batcher, handler.as_ref())),
            tellings: Tellings::default(),
            stop: Signal::default(),
            epoch: runtime.now(),
            runtime,
            transport,
            handler,
            config,
            request_timeout,
        }
    }

    /// Changes the state and sees to all that follows from it. Every change goes through here.
    pub(crate) fn change<R>(
        self: &Arc<Self>,
        change: impl FnOnce(&mut State, Timestamp, &mut Effects) -> R,
    ) -> R {
        // The clock is the runtime's code, so it is read before the lock is taken. Threads may then come in the
        // wrong order; the core does not let time step back.
        let (result, effects) = self.change_at_and_defer(self.now(), change);
        effects.run(self);
        result
    }

    /// As [`change`](Self::change), at a time that was read just before, and with the effects left to the caller, who
    /// must run them.
    pub(crate) fn change_at_and_defer<R>(
        &self,
        now: Timestamp,
        change: impl FnOnce(&mut State, Timestamp, &mut Effects) -> R,
    ) -> (R, Effects) {
        let mut effects = Effects::default();
        let mut state = self.lock();
        let result = change(&mut state, now, &mut effects);
        state.count_told(&self.tellings, &mut effects);
        state.pump(now, &mut effects);
        drop(state);
        (result, effects)
    }

    /// The state, to be looked at. Changes go through [`change`](Self::change).
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        lock_soon(&self.state)
    }

    /// The runtime's time; never ask under the lock.
    pub(crate) fn now(&self) -> Timestamp {
        self.timestamp(self.runtime.now())
    }

    pub(crate) fn timestamp(&self, instant: Instant) -> Timestamp {
        Timestamp::ZERO.after(instant.saturating_duration_since(self.epoch))
    }

    /// The runtime's time for the core's; `None` when it is out of the runtime's range, which is never.
    pub(crate) fn instant(&self, timestamp: Timestamp) -> Option<Instant> {
        self.epoch.checked_add(timestamp.since(Timestamp::ZERO))
    }
}

/// A number that differs from producer to producer, so that their jitter does.
pub(crate) fn random_seed() -> u64 {
    if cfg!(shuttle) {
        // An interleaving is repeated by its schedule alone.
        return 0;
    }
    RandomState::new().build_hasher().finish()
}

/// Held by each of the producer's tasks. A task that is dropped before it has ended was dropped with its runtime;
/// then nothing is sent any more, and everybody who waits is released.
pub(crate) struct TaskGuard {
    shared: Arc<Shared>,
    ended: bool,
}

impl TaskGuard {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, ended: false }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// The task has come to its end.
    pub(crate) fn end(mut self) {
        self.ended = true;
    }
}

impl Drop for TaskGuard {
    fn drop(&mut self) {
        if !self.ended {
            self.shared.change(State::runtime_stopped);
        }
    }
}
