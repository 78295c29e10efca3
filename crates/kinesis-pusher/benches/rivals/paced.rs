//! A load of so many records a second, and what became of it.

use std::ops::Range;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// Who is late catches up, and latency counts from when a record was due.
pub(crate) struct Paced {
    count: u64,
    rate: u64,
    started: OnceLock<Instant>,
    latencies: Mutex<Vec<Duration>>,
}

impl Paced {
    pub(crate) fn new(count: usize, rate: &str) -> Self {
        let rate = rate.parse().expect("a rate is a number");
        let latencies = Mutex::new(Vec::with_capacity(count));
        Self { count: count as u64, rate, started: OnceLock::new(), latencies }
    }

    /// Waits until there are records due after the first `sent`; `None` once all were sent. A millisecond is as fine
    /// as timers are, tokio's as those of the rivals.
    pub(crate) async fn due(&self, sent: u64) -> Option<Range<u64>> {
        if sent == self.count {
            return None;
        }
        tokio::time::sleep_until(self.due_at(sent).into()).await;
        let elapsed = self.started().elapsed();
        let due = elapsed.as_nanos() * u128::from(self.rate) / 1_000_000_000 + 1;
        Some(sent..self.count.min(due as u64))
    }

    pub(crate) fn acknowledged(&self, number: u64) {
        let latency = self.due_at(number).elapsed();
        self.latencies.lock().unwrap_or_else(PoisonError::into_inner).push(latency);
    }

    /// Microseconds, one a line.
    pub(crate) fn report(&self) {
        for latency in &*self.latencies.lock().unwrap_or_else(PoisonError::into_inner) {
            println!("{}", latency.as_micros());
        }
    }

    fn due_at(&self, number: u64) -> Instant {
        self.started() + Duration::from_nanos(number * 1_000_000_000 / self.rate)
    }

    /// It starts when it is first asked.
    fn started(&self) -> Instant {
        *self.started.get_or_init(Instant::now)
    }
}
