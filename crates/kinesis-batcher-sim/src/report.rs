//! What came of a run.

use std::fmt;
use std::time::Duration;

use crate::check::Violation;
use crate::histogram::Percentiles;
use crate::options::Options;
use crate::series::Point;

/// What came of a run. The same seed and options give the same report, byte for byte, on every machine.
///
/// Its text, by `Display`, is what was chosen, the figures, the series if there is one, and the violations.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// What was run, with every choice that was left to the seed.
    pub options: Options,
    /// Counts over the whole run.
    pub totals: Totals,
    /// From acceptance to receipt, of all records delivered.
    pub delay: Percentiles,
    /// The part of the run after [`Options::settling`] and before faults end.
    pub steady: Steady,
    /// Figures over time, if they were asked for.
    pub series: Vec<Point>,
    /// What did not hold; empty is good.
    pub violations: Vec<Violation>,
    /// How long the run took in virtual time, until everything had drained.
    pub elapsed: Duration,
    /// Steps of the simulation.
    pub steps: u64,
    /// A digest of everything that came out of the batchers, in order, with its time: two runs with the same digest
    /// did the same.
    pub digest: u64,
    /// What happened, a line for each step; empty unless asked for.
    pub trace: String,
}

impl Report {
    /// Whether every invariant that was watched held.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.violations.is_empty()
    }
}

/// Counts over a whole run. A *record* is what was pushed, an *entry* a Kinesis record: a record or an aggregate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Totals {
    /// Records offered to batchers for the first time.
    pub records_offered: u64,
    /// Records accepted.
    pub records_accepted: u64,
    /// Pushes refused, repeated offers counted one by one.
    pub records_refused: u64,
    /// Records never accepted: dropped because too many waited, or refused for good.
    pub records_dropped: u64,
    /// Records delivered.
    pub records_delivered: u64,
    /// Records failed, for whatever reason.
    pub records_failed: u64,
    /// Of those: expired.
    pub records_expired: u64,
    /// Of those: sent as often as allowed.
    pub records_exhausted: u64,
    /// Of those: refused for good.
    pub records_permanent: u64,
    /// Of those: rejected.
    pub records_rejected: u64,
    /// Of those: aborted.
    pub records_aborted: u64,
    /// Records that producers held when they crashed.
    pub records_lost: u64,
    /// Records whose receipt or failure says that there may be another copy.
    pub records_possibly_duplicated: u64,
    /// Copies stored of records that were stored before.
    pub duplicates_stored: u64,
    /// Bytes of data and partition keys offered.
    pub bytes_offered: u64,
    /// Bytes of data and partition keys delivered.
    pub bytes_delivered: u64,
    /// Requests made.
    pub requests: u64,
    /// Requests that the service refused as a whole.
    pub requests_refused: u64,
    /// Requests that came back with an unknown outcome or were never sent.
    pub requests_failed: u64,
    /// Requests that reached the service after they were given up.
    pub requests_late: u64,
    /// Requests that reached the service a second time.
    pub requests_duplicated: u64,
    /// Entries in requests.
    pub entries_sent: u64,
    /// Entries that the service stored.
    pub entries_stored: u64,
    /// Entries that the service throttled.
    pub entries_throttled: u64,
    /// Entries that the service failed for another reason.
    pub entries_failed: u64,
    /// Bytes of data and partition keys stored, envelopes of aggregates included.
    pub bytes_stored: u64,
    /// Times that a batcher said that there is room again.
    pub unblocked: u64,
    /// Times that a batcher asked for a new map.
    pub shard_maps_asked_for: u64,
    /// Maps given to batchers after their first.
    pub shard_maps: u64,
    /// Splits and merges that were asked for.
    pub reshards: u64,
}

/// Figures of the steady part of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Steady {
    /// How long it was.
    pub duration: Duration,
    /// Records offered.
    pub records_offered: u64,
    /// Records delivered.
    pub records_delivered: u64,
    /// Bytes of data and partition keys delivered.
    pub bytes_delivered: u64,
    /// Entries that the service stored.
    pub entries_stored: u64,
    /// Entries that the service throttled.
    pub entries_throttled: u64,
    /// Bytes that the service stored.
    pub bytes_stored: u64,
    /// Entries that the open shards could have stored by their limit on records.
    pub capacity_records: u64,
    /// Bytes that the open shards could have stored by their limit on bytes.
    pub capacity_bytes: u64,
    /// Jain's fairness index over the records that each producer delivered: a million when all delivered as many.
    pub fairness_millionths: u64,
    /// From acceptance to receipt.
    pub delay: Percentiles,
}

impl Steady {
    /// How much of the stream's capacity was used, in millionths: of records or of bytes, whichever is more.
    #[must_use]
    pub fn utilisation_millionths(&self) -> u64 {
        let records = millionths(self.entries_stored, self.capacity_records);
        records.max(millionths(self.bytes_stored, self.capacity_bytes))
    }

    /// How many of a million attempts the service throttled.
    #[must_use]
    pub fn throttled_millionths(&self) -> u64 {
        millionths(self.entries_throttled, self.entries_stored + self.entries_throttled)
    }

    /// Records delivered a second.
    #[must_use]
    pub fn records_per_second(&self) -> u64 {
        let nanos = self.duration.as_nanos().max(1);
        (u128::from(self.records_delivered) * 1_000_000_000 / nanos) as u64
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Totals {
            records_offered,
            records_accepted,
            records_refused,
            records_dropped,
            records_delivered,
            ..
        } = self.totals;
        writeln!(f, "seed       {}", self.seed)?;
        writeln!(f, "{}", self.options)?;
        writeln!(f, "elapsed    {:?} in {} steps", self.elapsed, self.steps)?;
        writeln!(
            f,
            "records    {records_offered} offered, {records_accepted} accepted, {records_refused} times refused, \
             {records_dropped} dropped, {records_delivered} delivered"
        )?;
        let totals = &self.totals;
        writeln!(
            f,
            "failed     {}: {} expired, {} exhausted, {} permanent, {} rejected, {} aborted; {} lost in crashes",
            totals.records_failed,
            totals.records_expired,
            totals.records_exhausted,
            totals.records_permanent,
            totals.records_rejected,
            totals.records_aborted,
            totals.records_lost
        )?;
        writeln!(
            f,
            "requests   {}: {} refused, {} without an outcome, {} late, {} duplicated",
            totals.requests,
            totals.requests_refused,
            totals.requests_failed,
            totals.requests_late,
            totals.requests_duplicated
        )?;
        writeln!(
            f,
            "entries    {} sent, {} stored, {} throttled, {} failed otherwise, {} bytes stored",
            totals.entries_sent,
            totals.entries_stored,
            totals.entries_throttled,
            totals.entries_failed,
            totals.bytes_stored
        )?;
        writeln!(
            f,
            "copies     {} stored twice, {} records marked as possible duplicates",
            totals.duplicates_stored, totals.records_possibly_duplicated
        )?;
        writeln!(
            f,
            "shards     {} reshards, {} maps asked for, {} taken in",
            totals.reshards, totals.shard_maps_asked_for, totals.shard_maps
        )?;
        writeln!(f, "delay      {}", self.delay)?;
        let steady = &self.steady;
        writeln!(
            f,
            "steady     {:?}: {} records/s delivered, {} of capacity, {} throttled, fairness {}",
            steady.duration,
            steady.records_per_second(),
            percent(steady.utilisation_millionths()),
            percent(steady.throttled_millionths()),
            percent(steady.fairness_millionths)
        )?;
        for point in &self.series {
            writeln!(f, "{point}")?;
        }
        writeln!(f, "digest     {:016x}", self.digest)?;
        for violation in &self.violations {
            writeln!(f, "VIOLATED   {violation}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Percentiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "p50 {}, p90 {}, p99 {}, p99.9 {}, max {}",
            millis(self.p50),
            millis(self.p90),
            millis(self.p99),
            millis(self.p999),
            millis(self.max)
        )
    }
}

/// One line.
impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:>9}: {:>8} offered {:>8} delivered {:>7} throttled {:>8} held {:>10} B  p50 {} p99 {}  {} shards",
            format!("{}.{:03} s", self.at.as_secs(), self.at.subsec_millis()),
            self.records_offered,
            self.records_delivered,
            self.entries_throttled,
            self.buffered_records,
            self.buffered_bytes,
            millis(self.delay.p50),
            millis(self.delay.p99),
            self.shards.len()
        )
    }
}

/// Milliseconds with three digits behind the point.
fn millis(duration: Duration) -> String {
    format!("{}.{:03} ms", duration.as_millis(), duration.subsec_micros() % 1_000)
}

/// Millionths as per cent with two digits behind the point.
fn percent(millionths: u64) -> String {
    format!("{}.{:02} %", millionths / 10_000, millionths / 100 % 100)
}

fn millionths(part: u64, whole: u64) -> u64 {
    (u128::from(part) * 1_000_000).checked_div(u128::from(whole)).map_or(0, |share| share as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_printed_with_fixed_digits() {
        assert_eq!(millis(Duration::from_micros(1_050)), "1.050 ms");
        assert_eq!([percent(1_000_000), percent(12_349)], ["100.00 %", "1.23 %"]);
    }

    #[test]
    fn use_is_that_of_the_scarcer_of_records_and_bytes() {
        let steady = Steady {
            entries_stored: 10,
            capacity_records: 100,
            bytes_stored: 95,
            capacity_bytes: 100,
            ..Steady::default()
        };
        assert_eq!(steady.utilisation_millionths(), 950_000);
    }
}
