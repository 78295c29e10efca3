//! What a batcher keeps the distributions of.

use crate::histogram::{Histogram, Scale};

/// Distributions of what a [`Batcher`](crate::Batcher) has done, apart from [`Stats`](crate::Stats) because they are
/// larger: a kilobyte and a half.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Histograms {
    /// Nanoseconds from when a record was accepted to when it was delivered, one for each record delivered: their
    /// number is [`Stats::records_delivered`](crate::Stats::records_delivered).
    pub push_delay: Histogram,
    /// Nanoseconds from when a request was handed out to when it came back, whatever its outcome.
    pub request_duration: Histogram,
    /// Kinesis records of each request handed out, 1 to 500; an aggregate is one.
    pub request_entries: Histogram,
    /// Bytes of data and partition keys of each request handed out, what the service's 10 MiB limit counts.
    pub request_bytes: Histogram,
    /// User records of each Kinesis record delivered; 1 without aggregation. Their sum is
    /// [`Stats::records_delivered`](crate::Stats::records_delivered), their number
    /// [`Stats::kinesis_records_delivered`](crate::Stats::kinesis_records_delivered).
    pub user_records: Histogram,
}

impl Histograms {
    pub(crate) const fn new() -> Self {
        Self {
            push_delay: Histogram::new(&DURATIONS),
            request_duration: Histogram::new(&DURATIONS),
            request_entries: Histogram::new(&ENTRIES),
            request_bytes: Histogram::new(&BYTES),
            user_records: Histogram::new(&MEMBERS),
        }
    }
}

const MS: u64 = 1_000_000;
const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// One millisecond, less than which no call to the service takes, to five minutes, the time to live unless configured.
/// Six in a decade: neighbours differ by half, so that a percentile is told with an error of a fifth.
#[rustfmt::skip]
pub(crate) static DURATIONS: Scale = Scale::new(&[
    MS, 3 * MS / 2, 2 * MS, 3 * MS, 5 * MS, 7 * MS,
    10 * MS, 15 * MS, 20 * MS, 30 * MS, 50 * MS, 70 * MS,
    100 * MS, 150 * MS, 200 * MS, 300 * MS, 500 * MS, 700 * MS,
    1_000 * MS, 1_500 * MS, 2_000 * MS, 3_000 * MS, 5_000 * MS, 7_000 * MS,
    10_000 * MS, 15_000 * MS, 20_000 * MS, 30_000 * MS, 50_000 * MS, 70_000 * MS,
    100_000 * MS, 150_000 * MS, 200_000 * MS, 300_000 * MS,
]);
/// Up to 500, which a request may have.
pub(crate) static ENTRIES: Scale = Scale::new(&[1, 2, 5, 10, 20, 50, 100, 200, 350, 500]);
/// Up to 10 MiB, which a request may have; 1 MiB is what a shard takes in a second, 5 MiB was the limit before 2025.
#[rustfmt::skip]
pub(crate) static BYTES: Scale = Scale::new(&[
    KIB, 4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB, 512 * KIB,
    MIB, 2 * MIB, 3 * MIB, 4 * MIB, 5 * MIB, 8 * MIB, 10 * MIB,
]);
/// An aggregate of 50 KiB, the size unless configured, has some five hundred records of 100 B.
pub(crate) static MEMBERS: Scale =
    Scale::new(&[1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000]);
