//! What a shard takes.

use std::time::Duration;

use kinesis_batcher_core::Timestamp;
use kinesis_batcher_core::limits::RECORD_BYTES_MAX_DEFAULT;

use super::options::ServiceOptions;

/// The limits of one shard at work.
///
/// A record above 1 MiB draws its first mebibyte from the shard's ordinary bucket and the rest from a third one, which
/// holds 10 MiB and refills at the shard's rate. The service says only that such a record depletes a tank that refills
/// at once while smaller records go on (S-09); it publishes no figures.
#[derive(Clone, Debug)]
pub(super) struct ShardMeter {
    records: Bucket,
    bytes: Bucket,
    large: Bucket,
    at: Timestamp,
}

impl ShardMeter {
    /// Full buckets.
    pub(super) fn full(options: &ServiceOptions, now: Timestamp) -> Self {
        let records = u64::from(options.records_per_second_per_shard);
        let bytes = u64::from(options.bytes_per_second_per_shard);
        Self {
            records: Bucket::full(records, options.burst),
            bytes: Bucket::full(bytes, options.burst),
            large: Bucket::of_capacity(bytes, LARGE_BYTES * BILLION),
            at: now,
        }
    }

    /// Takes a record of so many bytes, or leaves all as it is.
    pub(super) fn admit(&mut self, now: Timestamp, bytes: usize) -> bool {
        if now > self.at {
            let elapsed = i128::from(now.as_nanos() - self.at.as_nanos());
            self.records.refill(elapsed);
            self.bytes.refill(elapsed);
            self.large.refill(elapsed);
            self.at = now;
        }
        let ordinary = bytes.min(RECORD_BYTES_MAX_DEFAULT);
        let large = bytes - ordinary;
        let admitted =
            self.records.has(1) && self.bytes.has(ordinary) && (large == 0 || self.large.has(large));
        if admitted {
            self.records.take(1);
            self.bytes.take(ordinary);
            self.large.take(large);
        }
        admitted
    }
}

/// Counts in billionths, so that a refill by nanoseconds is exact.
#[derive(Clone, Debug)]
struct Bucket {
    per_second: i128,
    capacity: i128,
    available: i128,
}

impl Bucket {
    /// What comes in during `burst`, at least one unit.
    fn full(per_second: u64, burst: Duration) -> Self {
        // Options bound both: below 2^32 units a second for an hour are below 2^75 billionths.
        let capacity = i128::from(per_second) * burst.as_nanos().cast_signed();
        Self::of_capacity(per_second, capacity.max(BILLION))
    }

    fn of_capacity(per_second: u64, capacity: i128) -> Self {
        Self { per_second: i128::from(per_second), capacity, available: capacity }
    }

    fn refill(&mut self, elapsed_nanos: i128) {
        self.available = (self.available + elapsed_nanos * self.per_second).min(self.capacity);
    }

    /// Whether there is so much; of a unit larger than the bucket, whether it is full.
    fn has(&self, units: usize) -> bool {
        self.available >= (units as i128 * BILLION).min(self.capacity)
    }

    /// Takes so much, into debt if need be.
    fn take(&mut self, units: usize) {
        self.available -= units as i128 * BILLION;
    }
}

const BILLION: i128 = 1_000_000_000;

/// One of the largest records.
const LARGE_BYTES: i128 = 10 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn meter(burst: Duration) -> ShardMeter {
        let options = ServiceOptions { burst, ..ServiceOptions::default() };
        ShardMeter::full(&options, Timestamp::ZERO)
    }

    fn admitted(meter: &mut ShardMeter, now: Timestamp, records: usize, bytes: usize) -> usize {
        (0..records).filter(|_| meter.admit(now, bytes)).count()
    }

    // S-08, one of the possibilities
    #[test]
    fn a_full_bucket_holds_the_burst_and_refills_at_the_rate() {
        let mut meter = meter(Duration::from_millis(200));
        assert_eq!(admitted(&mut meter, Timestamp::ZERO, 900, 1), 200, "200 ms worth at once");
        assert_eq!(admitted(&mut meter, Timestamp::from_nanos(999_999), 9, 1), 0, "refused just before");
        assert_eq!(admitted(&mut meter, Timestamp::from_millis(1), 9, 1), 1, "allowed exactly at");
        assert_eq!(admitted(&mut meter, Timestamp::from_millis(90_000), 900, 1), 200, "no more than full");
    }

    #[test]
    fn bytes_are_limited_apart_from_records() {
        let mut meter = meter(Duration::from_secs(1));
        assert_eq!(admitted(&mut meter, Timestamp::ZERO, 100, 64 << 10), 16, "16 times 64 KiB are 1 MiB");
        assert_eq!(admitted(&mut meter, Timestamp::from_millis(500), 100, 64 << 10), 8);
    }

    #[test]
    fn a_record_larger_than_the_bucket_leaves_a_debt() {
        let mut meter = meter(Duration::from_millis(500));
        assert!(meter.admit(Timestamp::ZERO, 1 << 20), "a full bucket lets it through");
        assert!(!meter.admit(Timestamp::from_millis(500), 1), "half a second pays the debt and no more");
        assert!(meter.admit(Timestamp::from_millis(501), 1));
    }

    // S-09
    #[test]
    fn the_largest_records_come_from_a_tank_of_their_own() {
        let mut meter = meter(Duration::from_secs(1));
        assert!(meter.admit(Timestamp::ZERO, 10 << 20));
        assert!(!meter.admit(Timestamp::ZERO, 1), "the first mebibyte came from the ordinary bucket");
        assert_eq!(admitted(&mut meter, Timestamp::from_millis(1_000), 20, 64 << 10), 16, "small ones go on");
        assert!(!meter.admit(Timestamp::from_millis(2_000), 10 << 20), "the tank has 3 of 9 MiB");
        assert!(meter.admit(Timestamp::from_millis(8_000), 10 << 20));
    }

    #[test]
    fn time_that_stands_still_or_goes_back_refills_nothing() {
        let mut meter = meter(Duration::from_secs(1));
        let later = Timestamp::from_millis(5_000);
        assert_eq!(admitted(&mut meter, later, 2_000, 1), 1_000);
        assert_eq!(admitted(&mut meter, Timestamp::ZERO, 10, 1), 0);
        assert_eq!(admitted(&mut meter, later, 10, 1), 0);
    }
}
