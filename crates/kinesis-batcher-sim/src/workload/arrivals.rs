//! One producer's records, in time.

use std::time::Duration;

use kinesis_batcher_core::Timestamp;

use super::{Rate, Spacing, Workload};
use kinesis_model::Rng;

/// When one producer is offered how many records.
#[derive(Debug)]
pub(crate) struct Arrivals {
    rate: Rate,
    spacing: Spacing,
    began: Timestamp,
    duration: u64,
    at: Timestamp,
    records: u32,
    rng: Rng,
}

impl Arrivals {
    /// The first arrival is anywhere within the first interval, so that producers do not march in step.
    pub(crate) fn new(workload: &Workload, began: Timestamp, duration: Duration, mut rng: Rng) -> Self {
        let duration = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let first = workload.rate.step(0, duration);
        Self {
            rate: workload.rate,
            spacing: workload.spacing,
            began,
            duration,
            at: began.after(Duration::from_nanos(rng.below(first.after))),
            records: first.records,
            rng,
        }
    }

    /// When the next records come; [`Timestamp::MAX`] when none come any more.
    pub(crate) fn next_at(&self) -> Timestamp {
        self.at
    }

    /// How many come then, and goes on to the ones after them.
    pub(crate) fn take(&mut self) -> u32 {
        let records = self.records;
        let elapsed = self.at.since(self.began).as_nanos() as u64;
        let step = self.rate.step(elapsed, self.duration);
        let after = match self.spacing {
            Spacing::Even => step.after,
            Spacing::Random => self.rng.between(0, step.after.saturating_mul(2)),
        };
        self.records = step.records;
        let ended = elapsed.saturating_add(after) >= self.duration;
        self.at = if ended { Timestamp::MAX } else { self.at.after(Duration::from_nanos(after)) };
        records
    }

    /// No more records come.
    pub(crate) fn stop(&mut self) {
        self.at = Timestamp::MAX;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered(rate: Rate, spacing: Spacing) -> u64 {
        let workload = Workload { rate, spacing, ..Workload::default() };
        let mut arrivals =
            Arrivals::new(&workload, Timestamp::from_millis(7), Duration::from_secs(4), Rng::new(2));
        let mut records = 0;
        while arrivals.next_at() < Timestamp::MAX {
            records += u64::from(arrivals.take());
        }
        records
    }

    #[test]
    fn a_rate_is_what_comes() {
        assert!((3_999..=4_000).contains(&offered(Rate::Constant(1_000), Spacing::Even)));
        let random = offered(Rate::Constant(1_000), Spacing::Random);
        assert!((3_900..4_100).contains(&random), "{random} records came in 4 s");
        let ramp = offered(Rate::Ramp { from: 0, to: 1_000 }, Spacing::Even);
        assert!((1_800..2_100).contains(&ramp), "{ramp} records came on a ramp");
        let waves = Rate::Waves { low: 0, high: 1_000, period: Duration::from_secs(1) };
        let waves = offered(waves, Spacing::Even);
        assert!((1_900..2_100).contains(&waves), "{waves} records came in waves");
        let bursts = Rate::Bursts { records: 500, every: Duration::from_secs(1) };
        assert_eq!(offered(bursts, Spacing::Even), 2_000);
    }
}
