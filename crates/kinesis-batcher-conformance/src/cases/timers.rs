//! Timers, and the SDK's sleep.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use aws_smithy_async::rt::sleep::AsyncSleep;
use futures::future::{Either, select};
use futures::stream::{FuturesUnordered, StreamExt};
use kinesis_batcher_driver::{AsyncTimer, Runtime};

use super::*;
use crate::polls::is_pending;
use crate::subject::sleep;

const SOON: Duration = Duration::from_millis(10);

async fn ready(timer: &mut Pin<Box<dyn AsyncTimer>>) {
    poll_fn(|cx| timer.as_mut().poll(cx)).await;
}

fn is_ready_now(timer: &mut Pin<Box<dyn AsyncTimer>>) -> bool {
    timer.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready()
}

/// Waits for the timer, and asserts that its time has come by the runtime's own clock.
async fn ready_not_before(runtime: &Arc<dyn Runtime>, timer: &mut Pin<Box<dyn AsyncTimer>>, at: Instant) {
    ready(timer).await;
    assert!(runtime.now() >= at, "a timer was ready {:?} early", at - runtime.now());
}

pub fn timers_are_ready_in_the_order_of_their_times_and_never_early<S: Subject>() {
    let subject = S::start();
    subject.block_on(async {
        let runtime = subject.runtime();
        let start = runtime.now();
        let offsets = [60u64, 20, 100, 40, 80];
        let mut waiting: FuturesUnordered<_> = offsets
            .into_iter()
            .map(|offset| {
                let (runtime, at) = (&runtime, start + Duration::from_millis(offset));
                async move {
                    ready_not_before(runtime, &mut runtime.new_timer(at), at).await;
                    offset
                }
            })
            .collect();
        let mut order = Vec::new();
        while let Some(offset) = waiting.next().await {
            order.push(offset);
        }
        assert_eq!(order, [20, 40, 60, 80, 100]);
    });
}

pub fn a_timer_can_be_set_earlier_later_and_again<S: Subject>() {
    let subject = S::start();
    subject.block_on(async {
        let runtime = subject.runtime();
        let start = runtime.now();
        let mut timer = runtime.new_timer(start + Duration::from_secs(3_600));
        assert!(!is_ready_now(&mut timer), "an hour has not passed");
        timer.as_mut().reset(start + SOON);
        ready_not_before(&runtime, &mut timer, start + SOON).await;

        let later = runtime.now() + 5 * SOON;
        timer.as_mut().reset(runtime.now() + SOON);
        assert!(!is_ready_now(&mut timer));
        timer.as_mut().reset(later);
        ready_not_before(&runtime, &mut timer, later).await;

        let again = runtime.now() + SOON;
        timer.as_mut().reset(again);
        ready_not_before(&runtime, &mut timer, again).await;
    });
}

pub fn a_timer_for_a_time_that_has_come_is_ready_soon<S: Subject>() {
    let subject = S::start();
    subject.block_on(async {
        let runtime = subject.runtime();
        sleep(&runtime, SOON).await;
        let now = runtime.now();
        for at in [now, now - Duration::from_millis(5)] {
            ready(&mut runtime.new_timer(at)).await;
            let mut timer = runtime.new_timer(now + Duration::from_secs(3_600));
            assert!(!is_ready_now(&mut timer));
            timer.as_mut().reset(at);
            ready(&mut timer).await;
        }
        assert!(runtime.now() - now < Duration::from_secs(30), "none of them waited for its hour");
    });
}

pub fn a_timer_for_a_far_time_waits_and_can_be_called_back<S: Subject>() {
    let subject = S::start();
    subject.block_on(async {
        let runtime = subject.runtime();
        let now = runtime.now();
        let years = |years: u64| now.checked_add(Duration::from_secs(years * 365 * 24 * 3_600));
        for at in [1, 3, 100, 1_000].into_iter().filter_map(years) {
            let mut timer = runtime.new_timer(at);
            assert!(!is_ready_now(&mut timer));
            sleep(&runtime, SOON).await;
            assert!(!is_ready_now(&mut timer), "years have not passed");
            let soon = runtime.now() + SOON;
            timer.as_mut().reset(soon);
            ready_not_before(&runtime, &mut timer, soon).await;
        }
    });
}

pub fn a_timer_moves_to_the_task_that_polled_it_last<S: Subject>() {
    let subject = S::start();
    subject.block_on(async {
        let runtime = subject.runtime();
        let at = runtime.now() + 3 * SOON;
        let mut timer = runtime.new_timer(at);
        assert!(!is_ready_now(&mut timer), "polled first by a task that sleeps for ever");
        let (done, told) = futures::channel::oneshot::channel();
        subject.spawn(Box::pin(async move {
            ready(&mut timer).await;
            let _ = done.send(());
        }));
        told.await.expect("the task that polled it last is woken");
    });
}

pub fn the_sdk_sleeps_as_long_as_it_asks_for<S: Subject>() {
    let subject = S::start();
    subject.block_on(async {
        let sleep = subject.connectivity().sleep;
        sleep.sleep(Duration::ZERO).await;
        let start = Instant::now();
        sleep.sleep(2 * SOON).await;
        assert!(start.elapsed() >= 2 * SOON);
        let endless = pin!(sleep.sleep(Duration::MAX));
        match select(endless, sleep.sleep(SOON)).await {
            Either::Left(_) => panic!("all of time has passed"),
            Either::Right(((), mut endless)) => assert!(is_pending(endless.as_mut())),
        }
    });
}
