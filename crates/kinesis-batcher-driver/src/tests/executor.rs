//! A runtime of one thread whose clock jumps to the next timer when there is nothing else to do.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use crate::{AsyncTimer, Runtime};

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Clones share one world. Nothing runs outside [`block_on`](Self::block_on).
#[derive(Clone)]
pub(super) struct TestRuntime {
    world: Arc<Mutex<Inner>>,
    start: Instant,
}

struct Inner {
    elapsed: Duration,
    tasks: BTreeMap<u64, Option<Task>>,
    ready: VecDeque<u64>,
    timers: BTreeMap<(Duration, u64), Waker>,
    next: u64,
    /// Picks the next task at random when not zero.
    seed: u64,
    shut_down: bool,
}

/// The future that `block_on` was given.
const MAIN: u64 = 0;
/// More turns than any test takes: beyond it something spins.
const TURNS_MAX: usize = 10_000_000;

impl TestRuntime {
    /// Tasks run in the order in which they were woken.
    pub(super) fn new() -> Self {
        Self::with_seed(0)
    }

    /// Tasks run in an order drawn from the seed.
    pub(super) fn with_seed(seed: u64) -> Self {
        let inner = Inner {
            elapsed: Duration::ZERO,
            tasks: BTreeMap::new(),
            ready: VecDeque::new(),
            timers: BTreeMap::new(),
            next: MAIN + 1,
            seed,
            shut_down: false,
        };
        Self { world: Arc::new(Mutex::new(inner)), start: Instant::now() }
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.lock().elapsed
    }

    pub(super) fn tasks(&self) -> usize {
        self.lock().tasks.len()
    }

    pub(super) async fn sleep(&self, duration: Duration) {
        let mut timer = self.new_timer(self.now() + duration);
        std::future::poll_fn(|cx| timer.as_mut().poll(cx)).await;
    }

    /// Drops all tasks, as a runtime does that shuts down, and those that are spawned from now on.
    pub(super) fn shut_down(&self) {
        let tasks = {
            let mut inner = self.lock();
            inner.shut_down = true;
            std::mem::take(&mut inner.tasks)
        };
        drop(tasks);
    }

    /// Runs until `future` is ready.
    ///
    /// # Panics
    /// When everybody waits and no timer is set: somebody was not woken.
    pub(super) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        self.lock().ready.push_back(MAIN);
        for _ in 0..TURNS_MAX {
            let Some(id) = self.next_ready() else {
                assert!(self.jump(), "everybody waits and no timer is set: a wake-up was lost");
                continue;
            };
            let waker = Waker::from(Arc::new(TaskWaker { id, world: Arc::clone(&self.world) }));
            let mut cx = Context::from_waker(&waker);
            if id == MAIN {
                if let Poll::Ready(result) = future.as_mut().poll(&mut cx) {
                    return result;
                }
                continue;
            }
            let Some(mut task) = self.lock().tasks.get_mut(&id).and_then(Option::take) else { continue };
            let poll = task.as_mut().poll(&mut cx);
            let mut inner = self.lock();
            if poll.is_pending() && !inner.shut_down {
                inner.tasks.insert(id, Some(task));
            } else {
                inner.tasks.remove(&id);
                drop(inner);
                drop(task);
            }
        }
        panic!("the world did not come to rest");
    }

    /// Runs everything that is ready or becomes so within `duration`.
    pub(super) fn run_for(&self, duration: Duration) {
        self.block_on(self.sleep(duration));
    }

    fn next_ready(&self) -> Option<u64> {
        let mut inner = self.lock();
        let index = match (inner.seed, inner.ready.len()) {
            (0, _) | (_, 0) => 0,
            (_, ready) => {
                // Xorshift (Marsaglia, 2003).
                inner.seed ^= inner.seed << 13;
                inner.seed ^= inner.seed >> 7;
                inner.seed ^= inner.seed << 17;
                (inner.seed % ready as u64) as usize
            }
        };
        inner.ready.remove(index)
    }

    /// Moves the clock to the next timer. False if there is none.
    fn jump(&self) -> bool {
        let mut inner = self.lock();
        let Some((&(at, _), _)) = inner.timers.first_key_value() else { return false };
        inner.elapsed = inner.elapsed.max(at);
        let later = inner.timers.split_off(&(at, u64::MAX));
        let due = std::mem::replace(&mut inner.timers, later);
        drop(inner);
        due.into_values().for_each(Waker::wake);
        true
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.world.lock().unwrap()
    }
}

impl Runtime for TestRuntime {
    fn now(&self) -> Instant {
        self.start + self.elapsed()
    }

    fn new_timer(&self, at: Instant) -> Pin<Box<dyn AsyncTimer>> {
        let id = {
            let mut inner = self.lock();
            inner.next += 1;
            inner.next
        };
        Box::pin(TestTimer { runtime: self.clone(), id, at: at.saturating_duration_since(self.start) })
    }

    fn spawn(&self, future: Task) {
        let mut inner = self.lock();
        if inner.shut_down {
            drop(inner);
            drop(future);
            return;
        }
        inner.next += 1;
        let id = inner.next;
        inner.tasks.insert(id, Some(future));
        inner.ready.push_back(id);
    }
}

struct TaskWaker {
    id: u64,
    world: Arc<Mutex<Inner>>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        let mut inner = self.world.lock().unwrap();
        if !inner.ready.contains(&self.id) {
            inner.ready.push_back(self.id);
        }
    }
}

struct TestTimer {
    runtime: TestRuntime,
    id: u64,
    at: Duration,
}

impl AsyncTimer for TestTimer {
    fn reset(mut self: Pin<&mut Self>, at: Instant) {
        let old = (self.at, self.id);
        self.at = at.saturating_duration_since(self.runtime.start);
        self.runtime.lock().timers.remove(&old);
    }

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut inner = self.runtime.lock();
        if inner.elapsed >= self.at {
            return Poll::Ready(());
        }
        inner.timers.insert((self.at, self.id), cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for TestTimer {
    fn drop(&mut self) {
        self.runtime.lock().timers.remove(&(self.at, self.id));
    }
}
