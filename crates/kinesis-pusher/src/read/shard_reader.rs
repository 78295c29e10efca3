//! One shard, from a place in it to its end.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_sdk_kinesis::primitives::DateTime;
use aws_sdk_kinesis::types::Record;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::Instant;

use super::failure::{Failure, FailureKind};
use super::service::{Page, Position, Service};
use super::shard_tree::ListedShard;

/// Reads one shard.
pub(super) struct ShardReader {
    pub(super) service: Arc<Service>,
    pub(super) shard_id: Arc<str>,
    /// Closed shards are read to their end in any case.
    pub(super) is_closed: bool,
    pub(super) position: Position,
    /// Records that arrived before are left out. Some emulators begin at the trim horizon when nothing is newer.
    pub(super) not_before: Option<DateTime>,
    /// End behind the records that an open shard held at this time; `None` follows it.
    pub(super) until: Option<Start>,
    pub(super) events: mpsc::Sender<Event>,
}

/// When reading began, by the monotonic clock and by the time of day.
#[derive(Clone, Copy, Debug)]
pub(super) struct Start {
    instant: Instant,
    time: DateTime,
}

/// What a reader reports.
pub(super) enum Event {
    /// Records, in order.
    Records(ReadRecords),
    /// No more of this shard.
    Ended { shard_id: Arc<str>, end: Result<End, Failure> },
}

/// A page of one shard.
pub(super) struct ReadRecords {
    pub(super) shard_id: Arc<str>,
    pub(super) records: Vec<Record>,
    /// Goes with the records when they have been printed.
    pub(super) _slot: OwnedSemaphorePermit,
}

/// Why there is no more.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The shard was closed and has been read to its end. These are its children, as far as the service names them.
    Closed(Vec<ListedShard>),
    /// Everything that the shard held at the start has been read.
    CaughtUp,
}

impl Start {
    pub(super) fn now() -> Self {
        Self { instant: Instant::now(), time: SystemTime::now().into() }
    }

    /// Whether a page that was asked for at `called` reaches beyond the start.
    ///
    /// A page that ends `behind` the latest record holds everything older than that: no clock but this one is compared.
    /// Some emulators return zero on every page, so a page with records has to show one that arrived after the start,
    /// in whole seconds, as emulators stamp no finer.
    fn is_passed(&self, called: Instant, behind: Duration, last: Option<&Record>) -> bool {
        let arrived_later = |record: &Record| {
            record.approximate_arrival_timestamp.is_some_and(|arrival| arrival.secs() > self.time.secs())
        };
        behind <= called.duration_since(self.instant) && last.is_none_or(arrived_later)
    }
}

impl ShardReader {
    /// Reads on until there is no more, and reports the end.
    pub(super) async fn run(mut self) {
        let end = self.read().await;
        // The receiver is gone when reading is being stopped.
        let _ = self.events.send(Event::Ended { shard_id: Arc::clone(&self.shard_id), end }).await;
    }

    async fn read(&mut self) -> Result<End, Failure> {
        let mut expired = 0;
        let Some(mut iterator) = self.iterator().await? else { return Ok(End::Closed(vec![])) };
        loop {
            let called = Instant::now();
            let page = match self.service.records(&iterator).await {
                Ok(page) => page,
                Err(failure) if failure.kind == FailureKind::IteratorExpired && expired < EXPIRED_MAX => {
                    expired += 1;
                    match self.iterator().await? {
                        Some(renewed) => iterator = renewed,
                        None => return Ok(End::Closed(vec![])),
                    }
                    continue;
                }
                Err(failure) => return Err(failure),
            };
            expired = 0;
            let Page { records, next, children, behind, slot } = page;
            // An empty page alone says nothing: the service skips through a shard in steps.
            let is_at_tip = records.is_empty() && behind.is_zero();
            let is_enough = !self.is_closed
                && self.until.is_some_and(|start| start.is_passed(called, behind, records.last()));
            self.hand_on(records, slot).await;
            match next {
                Some(_) if is_enough => return Ok(End::CaughtUp),
                Some(next) => iterator = next,
                None => return Ok(End::Closed(children)),
            }
            let pause = if is_at_tip && !self.is_closed { IDLE_PAUSE } else { PAGE_PAUSE };
            tokio::time::sleep_until(called + pause).await;
        }
    }

    /// An iterator behind the last record that was handed on.
    async fn iterator(&mut self) -> Result<Option<String>, Failure> {
        let now = SystemTime::now();
        let iterator = self.service.shard_iterator(&self.shard_id, &self.position).await?;
        if let Position::Latest = self.position {
            // Should this iterator expire before a record came, the latest would be later by then.
            self.position = Position::At(now.into());
        }
        Ok(iterator)
    }

    async fn hand_on(&mut self, mut records: Vec<Record>, slot: OwnedSemaphorePermit) {
        let Some(last) = records.last() else { return };
        self.position = Position::After(last.sequence_number.clone());
        if let Some(time) = self.not_before {
            // In whole seconds, as emulators stamp no finer: better one too many than one lost.
            let is_due = |arrival: DateTime| arrival.secs() >= time.secs();
            records.retain(|record| record.approximate_arrival_timestamp.is_none_or(is_due));
        }
        let page = ReadRecords { shard_id: Arc::clone(&self.shard_id), records, _slot: slot };
        // The receiver is gone when reading is being stopped.
        let _ = self.events.send(Event::Records(page)).await;
    }
}

/// Iterators live for five minutes; one that is expired as soon as it is made comes from a clock that is wrong.
const EXPIRED_MAX: u32 = 3;
/// A shard takes five calls a second, from all its readers together.
const PAGE_PAUSE: Duration = Duration::from_millis(200);
/// Leaves four of the five calls a second to others; the KCL waits as long.
const IDLE_PAUSE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn arrived(secs: i64) -> Record {
        let record =
            Record::builder().sequence_number("49").data(aws_sdk_kinesis::primitives::Blob::new(b"x"));
        record.approximate_arrival_timestamp(DateTime::from_secs(secs)).build().unwrap()
    }

    #[test]
    fn a_page_reaches_beyond_the_start_when_it_is_less_behind_than_the_start_is_ago() {
        let start = Start { instant: Instant::now(), time: DateTime::from_secs(100) };
        let called = start.instant + Duration::from_secs(5);
        let is_passed = |behind, last: Option<Record>| {
            start.is_passed(called, Duration::from_millis(behind), last.as_ref())
        };
        assert!(is_passed(0, None), "an empty page at the tip");
        assert!(is_passed(5_000, None));
        assert!(!is_passed(5_001, None), "the service skips through a shard in steps");
        assert!(is_passed(0, Some(arrived(101))), "others write");
        assert!(!is_passed(6_000, Some(arrived(101))));
        assert!(!is_passed(0, Some(arrived(100))), "an emulator that returns zero on every page");
        assert!(start.is_passed(start.instant, Duration::ZERO, None), "at once");
    }
}
