//! The task that calls the core when a deadline has come.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use kinesis_batcher_core::Timestamp;

use crate::runtime::AsyncTimer;
use crate::shared::{Shared, TaskGuard};

/// Runs until everything is drained.
pub(crate) async fn run(guard: TaskGuard) {
    let mut clock = Clock { timer: None, armed: None };
    poll_fn(|cx| clock.poll(guard.shared(), cx)).await;
    guard.end();
}

struct Clock {
    timer: Option<Pin<Box<dyn AsyncTimer>>>,
    /// What the timer is set to; `None` when it has been ready since.
    armed: Option<Timestamp>,
}

impl Clock {
    fn poll(&mut self, shared: &Arc<Shared>, cx: &mut Context<'_>) -> Poll<()> {
        for _ in 0..TURNS_MAX {
            let waker = cx.waker().clone();
            let at = {
                let mut state = shared.lock();
                if state.drained {
                    return Poll::Ready(());
                }
                let at = state.batcher.poll_timeout().map(|deadline| deadline.at);
                state.timer_at = at;
                let former = state.timer_waker.replace(waker);
                drop(state);
                drop(former);
                at
            };
            let Some(at) = at else { return Poll::Pending };
            if !self.is_over(shared, at, cx) {
                return Poll::Pending;
            }
            shared.change(|state, now, _| state.batcher.handle_timeout(now));
        }
        // Other tasks of this thread want to run too.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Whether `at` has come; if not, the task is woken then.
    fn is_over(&mut self, shared: &Shared, at: Timestamp, cx: &mut Context<'_>) -> bool {
        // A time that the runtime cannot express never comes.
        let Some(instant) = shared.instant(at) else { return false };
        let timer = match &mut self.timer {
            Some(timer) => {
                if self.armed != Some(at) {
                    timer.as_mut().reset(instant);
                }
                timer
            }
            None => self.timer.insert(shared.runtime.new_timer(instant)),
        };
        self.armed = Some(at);
        let over = timer.as_mut().poll(cx).is_ready();
        if over {
            self.armed = None;
        }
        over
    }
}

/// Deadlines in a row before the task gives way. Few are ever due at once.
const TURNS_MAX: usize = 32;
