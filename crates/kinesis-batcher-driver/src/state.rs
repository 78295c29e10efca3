//! Everything under the lock.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::task::Waker;

use kinesis_batcher_core::{
    Answered, Batcher, Event, FailureReason, PushError, PushErrorReason, ShardMap, Timestamp,
};

use crate::close::CloseReport;
use crate::effects::Effects;
use crate::error::DeliveryError;
use crate::record::{Completion, Handler, TaggedRecord};
use crate::snapshot::{ShardMapStatus, Snapshot};
use crate::tag::{Reply, Tag};
use crate::tellings::{Telling, Tellings};
use crate::trouble::Troubles;
use crate::waiters::{Line, Parcel, Refused, Ticket, Waiters};
use crate::watchers::Watchers;

/// The core and all who wait for something of it.
///
/// Whoever changes it calls [`pump`](Self::pump) before letting go of the lock and runs the [`Effects`] after: that is
/// the whole protocol, and [`Shared::change`](crate::shared::Shared::change) keeps it.
pub(crate) struct State {
    pub(crate) batcher: Batcher<Tag>,
    pub(crate) waiters: Waiters,
    pub(crate) watchers: Watchers,
    /// The timer's task, and what it was last told to wait for.
    pub(crate) timer_waker: Option<Waker>,
    pub(crate) timer_at: Option<Timestamp>,
    /// The task that refreshes the shard map, and whether it should.
    pub(crate) refresh_waker: Option<Waker>,
    pub(crate) map_is_stale: bool,
    shard_map: ShardMapStatus,
    troubles: Troubles,
    /// Records that were aborted, once somebody has asked for them.
    pub(crate) undelivered: Option<Vec<DeliveryError>>,
    /// How many there were.
    pub(crate) undelivered_count: u64,
    hears_of_deliveries: bool,
    hears_of_failures: bool,
    /// Empty; kept for its memory.
    told: Vec<Telling>,
    has_room: bool,
    /// Nothing more is sent: aborted, or drained.
    pub(crate) stopping: bool,
    pub(crate) drained: bool,
    pub(crate) runtime_stopped: bool,
}

impl State {
    /// A state whose effects call `handler`.
    pub(crate) fn new(batcher: Batcher<Tag>, handler: Option<&Handler>) -> Self {
        Self {
            batcher,
            waiters: Waiters::default(),
            watchers: Watchers::new(),
            timer_waker: None,
            timer_at: None,
            refresh_waker: None,
            map_is_stale: false,
            shard_map: ShardMapStatus::default(),
            troubles: Troubles::default(),
            undelivered: None,
            undelivered_count: 0,
            hears_of_deliveries: handler.is_some_and(Handler::hears_of_deliveries),
            hears_of_failures: handler.is_some(),
            told: Vec::new(),
            has_room: false,
            stopping: false,
            drained: false,
            runtime_stopped: false,
        }
    }

    /// Lets a newcomer's record in, unless somebody who came earlier waits for the same room.
    pub(crate) fn offer(&mut self, now: Timestamp, parcel: Parcel) -> Result<(), Refused> {
        match self.waiters.bars(parcel.record.hash_key(), self.batcher.shard_map()) {
            // A closed producer refuses for good, whoever waits.
            Some(reason) if !self.batcher.is_closed() => Err(Refused { reason, parcel }),
            _ => self.push(now, parcel),
        }
    }

    /// As [`offer`](Self::offer) for each of them, without a receipt, until one is refused.
    pub(crate) fn offer_all(
        &mut self,
        now: Timestamp,
        mut records: impl Iterator<Item = TaggedRecord>,
    ) -> Result<(), Refused> {
        if self.waiters.is_anybody_waiting() {
            return records.try_for_each(|TaggedRecord { record, tag }| {
                self.offer(now, Parcel { record, reply: Reply::Handler(tag) })
            });
        }
        let epoch = self.watchers.epoch();
        let mut offered = 0;
        let records = records.map(|TaggedRecord { record, tag }| {
            offered += 1;
            (record, Tag::forget(epoch, tag))
        });
        let pushed = self.batcher.push_all(now, records);
        self.watchers.accepted(offered - u64::from(pushed.is_err()));
        pushed.map_err(refused)
    }

    /// Queues a record that [`offer`](Self::offer) refused for want of room.
    pub(crate) fn wait(&mut self, refused: Refused, waker: Waker) -> Ticket {
        self.waiters.wait(refused, self.batcher.shard_map(), waker)
    }

    /// A waiter goes away. What it held is returned, to be dropped outside the lock.
    pub(crate) fn give_up(&mut self, ticket: Ticket) -> impl Sized + use<> {
        // Those behind it have not been tried since it came, and room that is there is not announced again.
        self.has_room = true;
        self.waiters.give_up(ticket)
    }

    pub(crate) fn handle_answer(&mut self, now: Timestamp, answered: Answered<Tag>, effects: &mut Effects) {
        if let Some(error) = answered.error() {
            effects.troubles.extend(self.troubles.request_failed(now, error));
        }
        let throttled_before = self.batcher.stats().records_throttled;
        effects.delivered = self.batcher.handle_answer(now, answered);
        let stored_at = self.batcher.stats().last_stored_at;
        effects.troubles.extend(self.troubles.hold(now, self.batcher.hold(), stored_at));
        let throttled = self.batcher.stats().records_throttled - throttled_before;
        effects.troubles.extend(self.troubles.throttled(now, throttled));
    }

    /// Whether aggregation is suspended, for the log.
    pub(crate) fn note_aggregation(&mut self, effects: &mut Effects) {
        let suspended = self.batcher.stats().aggregation_suspended;
        effects.troubles.extend(self.troubles.aggregation(suspended));
    }

    pub(crate) fn handle_shard_map(&mut self, now: Timestamp, map: ShardMap, effects: &mut Effects) {
        self.map_is_stale = false;
        self.shard_map.refreshes_succeeded += 1;
        self.shard_map.refreshed_at = now;
        self.batcher.handle_shard_map(now, map);
        self.note_aggregation(effects);
        self.waiters.reshard(self.batcher.shard_map());
        // Shares of the buffer and record limits may have changed for the better.
        self.has_room = true;
    }

    /// The service was asked for the map and gave none.
    pub(crate) fn shard_map_failed(&mut self) {
        self.shard_map.refreshes_failed += u64::from(!self.stopping);
    }

    pub(crate) fn snapshot(&self, now: Timestamp) -> Snapshot {
        Snapshot {
            now,
            stats: self.batcher.stats(),
            histograms: self.batcher.histograms(),
            shards: self.batcher.shard_stats().collect(),
            shard_map: ShardMapStatus { is_stale: self.map_is_stale, ..self.shard_map },
            hold: self.batcher.hold().cloned(),
            last_error: self.batcher.last_error().cloned(),
            is_closed: self.batcher.is_closed(),
        }
    }

    /// Takes no more records and delivers what is held. Senders who wait get theirs back.
    pub(crate) fn close(&mut self, now: Timestamp, effects: &mut Effects) {
        self.batcher.close(now);
        effects.wakers.extend(self.waiters.refuse_all(PushErrorReason::Closed));
    }

    /// Takes no more records, fails what is queued and gives up what is under way.
    pub(crate) fn abort(&mut self, now: Timestamp, effects: &mut Effects) {
        self.batcher.abort(now);
        effects.wakers.extend(self.waiters.refuse_all(PushErrorReason::Closed));
        self.stop(effects);
    }

    /// Tasks were dropped unfinished: nothing is sent any more, and nobody may wait for it.
    pub(crate) fn runtime_stopped(&mut self, now: Timestamp, effects: &mut Effects) {
        if !self.drained {
            self.runtime_stopped = true;
            self.abort(now, effects);
        }
    }

    /// Counts the records of which everybody was told.
    pub(crate) fn count_told(&mut self, tellings: &Tellings, effects: &mut Effects) {
        tellings.collect(self.watchers.is_any_waiting(), &mut self.told);
        if self.told.is_empty() {
            return;
        }
        for Telling { returned, emptied } in self.told.drain(..) {
            effects.wakers.extend(self.watchers.told(returned));
            if let Some(emptied) = emptied {
                self.batcher.take_back(emptied);
            }
        }
        self.wake_closes_at_the_end(effects);
    }

    /// What is to be told to a closer, once everything is drained and everybody told.
    pub(crate) fn close_report(&mut self) -> Option<CloseReport> {
        if !self.has_ended() {
            return None;
        }
        let stats = self.batcher.stats();
        let undelivered = self.undelivered.take().unwrap_or_default();
        Some(CloseReport {
            delivered: stats.records_delivered,
            failed: stats.records_failed - self.undelivered_count,
            undelivered,
        })
    }

    fn has_ended(&self) -> bool {
        self.drained && self.watchers.is_idle()
    }

    fn wake_closes_at_the_end(&mut self, effects: &mut Effects) {
        if self.has_ended() {
            effects.wakers.extend(self.watchers.wake_all());
        }
    }

    /// Moves everything that can be moved and says what is to be done outside the lock.
    pub(crate) fn pump(&mut self, now: Timestamp, effects: &mut Effects) {
        loop {
            while let Some(event) = self.batcher.poll_event() {
                self.handle_event(now, event, effects);
            }
            if std::mem::take(&mut self.has_room) {
                self.admit_waiters(now, effects);
                continue;
            }
            match self.batcher.poll_unsealed_request() {
                Some(request) => effects.requests.push(request),
                // Building requests may have brought events to light.
                None if !self.has_events(now, effects) => break,
                None => {}
            }
        }
        self.set_timer(effects);
    }

    /// One more look for an event; it is dealt with if there is one.
    fn has_events(&mut self, now: Timestamp, effects: &mut Effects) -> bool {
        let event = self.batcher.poll_event();
        let found = event.is_some();
        if let Some(event) = event {
            self.handle_event(now, event, effects);
        }
        found
    }

    fn handle_event(&mut self, now: Timestamp, event: Event<Tag>, effects: &mut Effects) {
        match event {
            Event::Delivered { tag, receipt } => match effects.returned(tag) {
                Reply::Delivery(sender) => effects.deliveries.push((sender, Ok(receipt))),
                Reply::Handler(tag) if self.hears_of_deliveries => {
                    effects.completions.push(Completion::Delivered { tag, receipt });
                }
                Reply::Handler(_) => {}
            },
            Event::Failed { tag, record, failure } => {
                let reply = effects.returned(tag);
                effects.troubles.extend(self.troubles.record_failed(now, &failure.reason));
                if failure.reason == FailureReason::Aborted
                    && let Some(undelivered) = &mut self.undelivered
                {
                    undelivered.push(DeliveryError::new(record.clone(), failure.clone()));
                    self.undelivered_count += 1;
                }
                match reply {
                    Reply::Delivery(sender) => {
                        effects.deliveries.push((sender, Err(DeliveryError::new(record, failure))));
                    }
                    Reply::Handler(tag) if self.hears_of_failures => {
                        effects.completions.push(Completion::Failed { tag, record, failure });
                    }
                    Reply::Handler(_) => effects.unclaimed.push(record),
                }
            }
            Event::ShardMapStale => {
                self.map_is_stale = true;
                effects.wakers.extend(self.refresh_waker.take());
            }
            Event::Unblocked => self.has_room = true,
            Event::Drained => {
                self.drained = true;
                self.stop(effects);
                effects.wakers.extend(self.timer_waker.take());
                self.wake_closes_at_the_end(effects);
            }
            // Events of later versions of the core: none can be about a record, or its tag would be lost.
            _ => {}
        }
    }

    /// Nothing more is sent: what is under way is given up.
    fn stop(&mut self, effects: &mut Effects) {
        self.stopping = true;
        effects.stop = true;
        effects.wakers.extend(self.refresh_waker.take());
    }

    /// Lets waiters in, those who came first before the others, until the buffer is full.
    fn admit_waiters(&mut self, now: Timestamp, effects: &mut Effects) {
        let mut heads: BinaryHeap<_> = self.waiters.heads().map(Reverse).collect();
        while let Some(Reverse((ticket, line))) = heads.pop() {
            let (parcel, place) = self.waiters.take(ticket).into_parts();
            let barred_by_shard = line == Line::WholeBuffer
                && self.waiters.bars_shard(parcel.record.hash_key(), self.batcher.shard_map());
            let refused = if barred_by_shard {
                Err(Refused { reason: PushErrorReason::ShardFull, parcel })
            } else {
                self.push(now, parcel)
            };
            match refused {
                Err(refused) if refused.reason.is_full() => {
                    let full = refused.reason == PushErrorReason::Full;
                    self.waiters.put_back(place, refused, self.batcher.shard_map());
                    if full {
                        break;
                    }
                    // Its shard's line goes no further; the line of the whole buffer does.
                    if line != Line::WholeBuffer {
                        continue;
                    }
                }
                answer => effects.wakers.push(self.waiters.answer(place, answer)),
            }
            heads.extend(self.waiters.head(line).map(|next| Reverse((next, line))));
        }
    }

    fn push(&mut self, now: Timestamp, parcel: Parcel) -> Result<(), Refused> {
        let tag = Tag::new(parcel.reply, self.watchers.epoch());
        self.batcher.push(now, parcel.record, tag).map_err(refused)?;
        self.watchers.accepted(1);
        Ok(())
    }

    /// Wakes the timer's task when it waits for longer than it should.
    ///
    /// It notes under the lock what it waits for, and leaves its waker there: a deadline that comes between its look
    /// and its sleep finds the waker and wakes it again.
    fn set_timer(&mut self, effects: &mut Effects) {
        let Some(deadline) = self.batcher.poll_timeout() else { return };
        if self.timer_at.is_none_or(|at| deadline.at < at)
            && let Some(waker) = self.timer_waker.take()
        {
            effects.wakers.push(waker);
        }
    }
}

fn refused(error: PushError<Tag>) -> Refused {
    let (reply, _) = error.tag.into_parts();
    Refused { reason: error.reason, parcel: Parcel { record: error.record, reply } }
}
