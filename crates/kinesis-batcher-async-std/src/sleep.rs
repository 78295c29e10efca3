//! Waiting, for the SDK.

use std::time::Duration;

use async_io::Timer;
use aws_smithy_async::rt::sleep::{AsyncSleep, Sleep};

/// async-io's timers as the SDK's [`AsyncSleep`]. They need no executor.
#[derive(Clone, Copy, Debug, Default)]
pub struct AsyncIoSleep;

impl AsyncSleep for AsyncIoSleep {
    fn sleep(&self, duration: Duration) -> Sleep {
        // What is longer than the clock can express never ends.
        let timer = Timer::after(duration);
        Sleep::new(async move {
            timer.await;
        })
    }
}
