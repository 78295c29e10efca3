//! One shard, from a place in it to its end.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_sdk_kinesis::primitives::DateTime;
use aws_sdk_kinesis::types::Record;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::Instant;

use super::failure::{Failure, FailureKind};
use super::service::{Page, Position, Service};

/// Reads one shard.
pub(super) struct ShardReader {
    pub(super) service: Arc<Service>,
    pub(super) shard_id: Arc<str>,
    /// Closed shards are read to their end in any case.
    pub(super) is_closed: bool,
    pub(super) position: Position,
    /// Records that arrived before are left out. Some emulators begin at the trim horizon when nothing is newer.
    pub(super) not_before: Option<DateTime>,
    /// Whether to end at the tip of an open shard.
    pub(super) until_caught_up: bool,
    pub(super) events: mpsc::Sender<Event>,
}

/// What a reader tells.
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The shard was closed and has been read to its end.
    Closed,
    /// Everything that was there has been read.
    CaughtUp,
}

impl ShardReader {
    /// Reads on until there is no more, and tells so.
    pub(super) async fn run(mut self) {
        let end = self.read().await;
        // Nobody listens when everything is being stopped.
        let _ = self.events.send(Event::Ended { shard_id: Arc::clone(&self.shard_id), end }).await;
    }

    async fn read(&mut self) -> Result<End, Failure> {
        let mut expired = 0;
        let Some(mut iterator) = self.iterator().await? else { return Ok(End::Closed) };
        loop {
            let called = Instant::now();
            let page = match self.service.records(&iterator).await {
                Ok(page) => page,
                Err(failure) if failure.kind == FailureKind::IteratorExpired && expired < EXPIRED_MAX => {
                    expired += 1;
                    match self.iterator().await? {
                        Some(renewed) => iterator = renewed,
                        None => return Ok(End::Closed),
                    }
                    continue;
                }
                Err(failure) => return Err(failure),
            };
            expired = 0;
            let Page { records, next, is_at_tip, slot } = page;
            self.hand_on(records, slot).await;
            match next {
                Some(next) => iterator = next,
                None => return Ok(End::Closed),
            }
            if is_at_tip && self.until_caught_up && !self.is_closed {
                return Ok(End::CaughtUp);
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
        // Nobody listens when everything is being stopped.
        let _ = self.events.send(Event::Records(page)).await;
    }
}

/// Iterators live for five minutes; one that is expired as soon as it is made comes from a clock that is wrong.
const EXPIRED_MAX: u32 = 3;
/// A shard takes five calls a second, from all its readers together.
const PAGE_PAUSE: Duration = Duration::from_millis(200);
/// Leaves four of the five calls a second to others; the KCL waits as long.
const IDLE_PAUSE: Duration = Duration::from_secs(1);
