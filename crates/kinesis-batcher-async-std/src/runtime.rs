//! async-io as the driver's runtime.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Instant;

use async_executor::Executor;
use async_io::Timer;
use kinesis_batcher_driver::{AsyncTimer, Runtime};

/// async-io's timers, and an executor, as a [`Runtime`] for the driver.
///
/// The producer may be used from any thread and any executor; its own tasks run on the executor that is chosen here.
/// Timers need no executor: async-io's reactor has a thread, should nobody else drive it.
#[derive(Clone)]
pub struct AsyncIoRuntime {
    spawner: Spawner,
}

#[derive(Clone)]
enum Spawner {
    Global,
    Executor(Weak<Executor<'static>>),
    Function(Arc<dyn Fn(Task) + Send + Sync>),
}

/// What the driver spawns.
type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

impl AsyncIoRuntime {
    /// Spawns on the global executor that `async_std::task::spawn` spawns on too. It starts its threads with the first
    /// task and lives as long as the process.
    #[must_use]
    pub fn global() -> Self {
        Self { spawner: Spawner::Global }
    }

    /// Spawns on an executor of the program's own; `smol::Executor` is this type.
    ///
    /// It is not kept alive: the producer's tasks end with the executor's last [`Arc`], and whoever waits for the
    /// producer is then released with an error. Somebody has to [run](Executor::run) it.
    #[must_use]
    pub fn on(executor: &Arc<Executor<'static>>) -> Self {
        Self { spawner: Spawner::Executor(Arc::downgrade(executor)) }
    }

    /// Spawns by a function, such as `|task| smol::spawn(task).detach()`.
    ///
    /// It must run the task to its end, or drop it when the executor shuts down. It is kept by the producer's tasks, so
    /// an executor that it owns is never dropped while a producer lives; [`on`](Self::on) does not have that trap.
    #[must_use]
    pub fn spawning_with(
        spawn: impl Fn(Pin<Box<dyn Future<Output = ()> + Send>>) + Send + Sync + 'static,
    ) -> Self {
        Self { spawner: Spawner::Function(Arc::new(spawn)) }
    }
}

/// [`AsyncIoRuntime::global`]
impl Default for AsyncIoRuntime {
    fn default() -> Self {
        Self::global()
    }
}

impl Runtime for AsyncIoRuntime {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn new_timer(&self, at: Instant) -> Pin<Box<dyn AsyncTimer>> {
        Box::pin(AsyncIoTimer(Timer::at(at)))
    }

    fn spawn(&self, task: Task) {
        match &self.spawner {
            Spawner::Global => async_global_executor::spawn(task).detach(),
            Spawner::Executor(executor) => match executor.upgrade() {
                Some(executor) => executor.spawn(task).detach(),
                // The driver learns from this that the executor is gone.
                None => drop(task),
            },
            Spawner::Function(spawn) => spawn(task),
        }
    }
}

impl fmt::Debug for AsyncIoRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.spawner {
            Spawner::Global => "AsyncIoRuntime(global)",
            Spawner::Executor(_) => "AsyncIoRuntime(executor)",
            Spawner::Function(_) => "AsyncIoRuntime(function)",
        })
    }
}

struct AsyncIoTimer(Timer);

impl AsyncTimer for AsyncIoTimer {
    fn reset(mut self: Pin<&mut Self>, at: Instant) {
        self.0.set_at(at);
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(cx).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_for_an_executor_that_is_gone_is_dropped() {
        struct Told(Arc<()>);
        let told = Arc::new(());
        let executor = Arc::new(Executor::new());
        let runtime = AsyncIoRuntime::on(&executor);
        drop(executor);
        let held = Told(Arc::clone(&told));
        runtime.spawn(Box::pin(async move {
            let _held = &held.0;
            std::future::pending::<()>().await;
        }));
        assert_eq!(Arc::strong_count(&told), 1, "nothing of the task is left");
    }
}
