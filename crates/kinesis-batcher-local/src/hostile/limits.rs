//! What a shard takes a second.

use std::time::{Duration, Instant};

/// A shard's limits. Bytes are data and partition key, before base64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShardLimits {
    /// Records a second, at least 1.
    pub records_per_second: u32,
    /// Bytes a second, at least 1.
    pub bytes_per_second: u32,
    /// How they are counted.
    pub window: LimitWindow,
}

/// How limits are counted. The service does not publish it (S-08).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitWindow {
    /// A bucket that holds what comes in one second and starts full. A record larger than the bucket is let through a
    /// full one and leaves a debt.
    TokenBucket,
    /// Seconds that begin with a record; each takes its limit, at whatever pace.
    FixedSecond,
}

impl ShardLimits {
    /// The service's: 1,000 records/s and 1 MiB/s (S-06, S-07), as token buckets.
    #[must_use]
    pub fn of_the_service() -> Self {
        Self { records_per_second: 1_000, bytes_per_second: 1 << 20, window: LimitWindow::TokenBucket }
    }
}

/// The limits of one shard at work.
#[derive(Debug)]
pub(crate) struct ShardMeter {
    limits: ShardLimits,
    records: Meter,
    bytes: Meter,
    /// When the bucket was filled up last, or when the second began; `None` before the first record.
    at: Option<Instant>,
}

impl ShardMeter {
    pub(crate) fn new(limits: ShardLimits) -> Self {
        Self {
            limits,
            records: Meter::full(limits.records_per_second),
            bytes: Meter::full(limits.bytes_per_second),
            at: None,
        }
    }

    /// Takes the record, or leaves both meters as they are.
    pub(crate) fn admit(&mut self, now: Instant, bytes: usize) -> bool {
        let elapsed = now.saturating_duration_since(*self.at.get_or_insert(now));
        match self.limits.window {
            LimitWindow::TokenBucket => {
                self.records.refill(elapsed);
                self.bytes.refill(elapsed);
                self.at = Some(now);
            }
            LimitWindow::FixedSecond if elapsed >= Duration::from_secs(1) => {
                *self = Self { at: Some(now), ..Self::new(self.limits) };
            }
            LimitWindow::FixedSecond => {}
        }
        let bytes = bytes as u64;
        let admitted = self.records.has(1) && self.bytes.has(bytes);
        if admitted {
            self.records.take(1);
            self.bytes.take(bytes);
        }
        admitted
    }
}

/// Counts in billionths, so that a refill by nanoseconds is exact.
#[derive(Debug)]
struct Meter {
    per_second: i128,
    available: i128,
}

impl Meter {
    fn full(per_second: u32) -> Self {
        let per_second = i128::from(per_second);
        Self { per_second, available: per_second * BILLION }
    }

    fn refill(&mut self, elapsed: Duration) {
        let nanos =
            i128::try_from(elapsed.as_nanos()).unwrap_or(i128::from(u64::MAX)).min(i128::from(u64::MAX));
        self.available = (self.available + nanos * self.per_second).min(self.per_second * BILLION);
    }

    fn has(&self, amount: u64) -> bool {
        self.available >= i128::from(amount).min(self.per_second) * BILLION
    }

    fn take(&mut self, amount: u64) {
        self.available -= i128::from(amount) * BILLION;
    }
}

const BILLION: i128 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(window: LimitWindow) -> ShardLimits {
        ShardLimits { records_per_second: 10, bytes_per_second: 1_000, window }
    }

    fn admitted(meter: &mut ShardMeter, now: Instant, records: usize, bytes: usize) -> usize {
        (0..records).filter(|_| meter.admit(now, bytes)).count()
    }

    #[test]
    fn a_token_bucket_starts_full_and_refills_at_its_rate() {
        let start = Instant::now();
        let mut meter = ShardMeter::new(limits(LimitWindow::TokenBucket));
        assert_eq!(admitted(&mut meter, start, 20, 1), 10, "a full bucket holds one second");
        let just_before = start + Duration::from_nanos(99_999_999);
        assert_eq!(admitted(&mut meter, just_before, 20, 1), 0, "a record comes every 100 ms, not before");
        assert_eq!(admitted(&mut meter, start + Duration::from_millis(100), 20, 1), 1);
        assert_eq!(admitted(&mut meter, start + Duration::from_secs(60), 20, 1), 10, "it does not overflow");
    }

    #[test]
    fn a_record_larger_than_the_bucket_leaves_a_debt() {
        let start = Instant::now();
        let mut meter = ShardMeter::new(limits(LimitWindow::TokenBucket));
        assert!(meter.admit(start, 3_000), "a full bucket lets it through");
        assert!(
            !meter.admit(start + Duration::from_millis(2_000), 1),
            "two seconds pay the debt and no more"
        );
        assert!(meter.admit(start + Duration::from_millis(2_001), 1));
    }

    #[test]
    fn a_fixed_second_takes_its_limit_and_then_nothing() {
        let start = Instant::now();
        let mut meter = ShardMeter::new(limits(LimitWindow::FixedSecond));
        assert_eq!(admitted(&mut meter, start, 20, 200), 5, "bytes count too");
        assert_eq!(admitted(&mut meter, start + Duration::from_millis(999), 20, 200), 0);
        assert_eq!(admitted(&mut meter, start + Duration::from_millis(1_000), 20, 200), 5);
    }

    #[test]
    fn a_fixed_second_begins_with_its_first_record_and_not_with_the_shard() {
        let start = Instant::now();
        let mut meter = ShardMeter::new(limits(LimitWindow::FixedSecond));
        let first = start + Duration::from_millis(900);
        assert_eq!(admitted(&mut meter, first, 20, 1), 10, "S-08, one of the possibilities");
        assert_eq!(
            admitted(&mut meter, start + Duration::from_millis(1_100), 20, 1),
            0,
            "it lasts until 1,900 ms"
        );
        assert_eq!(admitted(&mut meter, start + Duration::from_millis(1_900), 20, 1), 10);
    }
}
