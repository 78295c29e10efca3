//! Which lane is next.

use alloc::collections::BinaryHeap;
use alloc::vec::Vec;
use core::cmp::Reverse;
use core::time::Duration;

use crate::entry::{EntryId, EntryPool};
use crate::lane::{Lane, LaneState};
use crate::time::Timestamp;

/// All lanes, and who among them may send: the due in turn, the lingering and those whose aggregate is filling by the
/// age of their oldest record, the blocked by the end of their wait. No step looks at a lane that it does not move.
pub(crate) struct Lanes<T> {
    lanes: Vec<Lane<T>>,
    vacant: Vec<u32>,
    due: List,
    lingering: List,
    filling: List,
    /// Ends of waits. An entry counts only while its lane is blocked until that very time; others are left overs.
    blocked: BinaryHeap<Reverse<(Timestamp, u32)>>,
    /// Kinesis records, and their bytes, that one request might take from the due and the lingering lanes.
    sendable_records: usize,
    sendable_bytes: u64,
    /// A request takes one Kinesis record of a lane, and not as many as fit.
    only_oldest: bool,
    linger: Duration,
    /// Records pushed before this one were flushed: they do not linger.
    flushed_before: u64,
}

/// Ends of a list through `Lane::previous` and `Lane::next`.
#[derive(Clone, Copy, Debug)]
struct List {
    head: u32,
    tail: u32,
}

const NONE: u32 = u32::MAX;
const EMPTY: List = List { head: NONE, tail: NONE };

impl<T> Lanes<T> {
    pub(crate) fn new(linger: Duration, only_oldest: bool) -> Self {
        Self {
            lanes: Vec::new(),
            vacant: Vec::new(),
            due: EMPTY,
            lingering: EMPTY,
            filling: EMPTY,
            blocked: BinaryHeap::new(),
            sendable_records: 0,
            sendable_bytes: 0,
            only_oldest,
            linger,
            flushed_before: 0,
        }
    }

    pub(crate) fn add(&mut self, lane: Lane<T>) -> u32 {
        if let Some(index) = self.vacant.pop() {
            self.lanes[index as usize] = lane;
            return index;
        }
        self.lanes.push(lane);
        u32::try_from(self.lanes.len() - 1).expect("ShardMap refuses more shards than u32 counts")
    }

    pub(crate) fn lane(&self, index: u32) -> &Lane<T> {
        &self.lanes[index as usize]
    }

    pub(crate) fn lane_mut(&mut self, index: u32) -> &mut Lane<T> {
        &mut self.lanes[index as usize]
    }

    pub(crate) fn sendable_records(&self) -> usize {
        self.sendable_records
    }

    pub(crate) fn sendable_bytes(&self) -> u64 {
        self.sendable_bytes
    }

    pub(crate) fn any_due(&self) -> bool {
        self.due.head != NONE
    }

    /// When the oldest record that lingers will be due.
    pub(crate) fn linger_ends_at(&self) -> Option<Timestamp> {
        let heads = [self.lingering.head, self.filling.head].into_iter().filter(|&head| head != NONE);
        heads.map(|head| self.lane(head).due_at).min()
    }

    /// When the next blocked lane may send again; now and then a moment at which none does.
    pub(crate) fn block_ends_at(&self) -> Option<Timestamp> {
        self.blocked.peek().map(|Reverse((at, _))| *at)
    }

    /// Appends a record that was just pushed.
    pub(crate) fn append(
        &mut self,
        pool: &mut EntryPool<T>,
        now: Timestamp,
        index: u32,
        id: EntryId,
        bytes: usize,
    ) {
        if self.lane(index).state == LaneState::Filling {
            self.detach(index);
        }
        let lane = &mut self.lanes[index as usize];
        let before = lane.queue.sendable(self.only_oldest);
        lane.queue.push_back(pool, id, bytes);
        match lane.state {
            LaneState::Idle => self.reschedule(pool, now, index),
            LaneState::Due | LaneState::Lingering => {
                let after = lane.queue.sendable(self.only_oldest);
                self.sendable_records = self.sendable_records - before.0 + after.0;
                self.sendable_bytes = self.sendable_bytes - before.1 + after.1;
            }
            LaneState::Blocked | LaneState::Awaiting => {}
            LaneState::Filling | LaneState::Retired => unreachable!("{}", STRAY_LANE),
        }
    }

    /// Notes that a lane's aggregate has its first record.
    pub(crate) fn opened(&mut self, pool: &EntryPool<T>, now: Timestamp, index: u32) {
        if self.lane(index).state == LaneState::Idle {
            self.reschedule(pool, now, index);
        }
    }

    /// Whether a record that was accepted then, at that place in the order of pushes, waits no longer for others.
    pub(crate) fn is_due(&self, now: Timestamp, accepted_at: Timestamp, sequence: u64) -> bool {
        accepted_at.after(self.linger) <= now || sequence < self.flushed_before
    }

    /// Puts records back that were taken out to be sent; `ids` in the order of their pushes.
    pub(crate) fn put_back(&mut self, pool: &mut EntryPool<T>, now: Timestamp, index: u32, ids: &[EntryId]) {
        let turn = self.detach_with_turn(index);
        self.lane_mut(index).queue.merge(pool, ids);
        self.place(pool, now, index, turn);
    }

    /// Whether an aggregate whose oldest record was accepted then takes no more: it has lingered, and for long enough that
    /// records which come faster than they can go share one, however short the linger.
    pub(crate) fn is_past(&self, now: Timestamp, accepted_at: Timestamp, sequence: u64) -> bool {
        accepted_at.after(self.linger.max(AGGREGATE_SPAN_MIN)) <= now || sequence < self.flushed_before
    }

    /// Whether an aggregate with this oldest record goes along with a request that goes anyway.
    ///
    /// Aggregates of different shards begin at different moments. If each went alone when it has lingered, each would
    /// be a request of its own; those that are half way there join the first, and from then on begin together.
    pub(crate) fn is_ripe(&self, now: Timestamp, accepted_at: Timestamp, sequence: u64) -> bool {
        accepted_at.after(self.linger / 2) <= now || sequence < self.flushed_before
    }

    /// The lane whose turn it is, detached: take from it, then [`reschedule`](Self::reschedule) it.
    pub(crate) fn next_to_send(&mut self, pool: &EntryPool<T>, now: Timestamp) -> Option<u32> {
        let first = [self.due.head, self.lingering.head].into_iter().find(|&head| head != NONE);
        let index = first.or_else(|| {
            let head = Some(self.filling.head).filter(|&head| head != NONE)?;
            let (accepted_at, sequence) = self.lane(head).oldest(pool)?;
            self.is_ripe(now, accepted_at, sequence).then_some(head)
        })?;
        self.detach(index);
        Some(index)
    }

    /// Takes a lane out of whatever list it is in, to change it.
    pub(crate) fn detach(&mut self, index: u32) {
        let lane = &self.lanes[index as usize];
        let (previous, next) = (lane.previous, lane.next);
        let (records, bytes) = lane.queue.sendable(self.only_oldest);
        let list = match lane.state {
            LaneState::Due => &mut self.due,
            LaneState::Lingering => &mut self.lingering,
            LaneState::Filling => &mut self.filling,
            LaneState::Blocked | LaneState::Awaiting | LaneState::Idle => {
                self.lanes[index as usize].state = LaneState::Idle;
                return;
            }
            LaneState::Retired => return,
        };
        if previous == NONE {
            list.head = next;
        } else {
            self.lanes[previous as usize].next = next;
        }
        if next == NONE {
            list.tail = previous;
        } else {
            self.lanes[next as usize].previous = previous;
        }
        self.sendable_records -= records;
        self.sendable_bytes -= bytes;
        self.lanes[index as usize].state = LaneState::Idle;
    }

    /// As [`detach`](Self::detach), for a change after which a lane that is due keeps its turn, if nothing else moves
    /// meanwhile: give it to [`reschedule_at`](Self::reschedule_at). Sent to the end of the line whenever one of its
    /// records expires or comes back, a lane under overload would never be served.
    pub(crate) fn detach_with_turn(&mut self, index: u32) -> Turn {
        let lane = self.lane(index);
        let turn = if lane.state == LaneState::Due { Turn::Behind(lane.previous) } else { Turn::Last };
        self.detach(index);
        turn
    }

    /// As [`reschedule`](Self::reschedule), with the turn that a due lane had.
    pub(crate) fn reschedule_at(&mut self, pool: &EntryPool<T>, now: Timestamp, index: u32, turn: Turn) {
        self.place(pool, now, index, turn);
    }

    /// Puts a detached lane where it belongs now.
    pub(crate) fn reschedule(&mut self, pool: &EntryPool<T>, now: Timestamp, index: u32) {
        self.place(pool, now, index, Turn::Last);
    }

    /// Like [`reschedule`](Self::reschedule), for a lane whose head was too large for the rest of a request: it
    /// starts the next one, or large records would wait for ever behind small ones.
    pub(crate) fn reschedule_first(&mut self, pool: &EntryPool<T>, now: Timestamp, index: u32) {
        self.place(pool, now, index, Turn::First);
    }

    /// Moves lanes whose time has come.
    pub(crate) fn advance(&mut self, pool: &EntryPool<T>, now: Timestamp) {
        while let Some(index) = self.first_to_end_lingering(now) {
            self.detach(index);
            self.reschedule(pool, now, index);
        }
        while self.block_ends_at().is_some_and(|at| at <= now) {
            let Some(Reverse((_, index))) = self.blocked.pop() else { break };
            let lane = &self.lanes[index as usize];
            if lane.state == LaneState::Blocked && lane.blocked_until <= now {
                self.detach(index);
                self.reschedule(pool, now, index);
            }
        }
    }

    /// Records pushed before this one no longer linger. Looks at lanes that hold records and linger, and moves each.
    pub(crate) fn flush(&mut self, pool: &EntryPool<T>, now: Timestamp, before_sequence: u64) {
        self.flushed_before = before_sequence;
        while let Some(index) =
            [self.lingering.head, self.filling.head].into_iter().find(|&head| head != NONE)
        {
            self.detach(index);
            self.reschedule(pool, now, index);
        }
    }

    /// Marks a lane whose shard is gone and whose queue is empty. It stays until its last request has come back.
    pub(crate) fn retire(&mut self, index: u32) {
        self.detach(index);
        let lane = self.lane_mut(index);
        debug_assert!(lane.queue.is_empty(), "the records of a shard that is gone were moved first");
        lane.state = LaneState::Retired;
        lane.expiry_at = Timestamp::MAX;
        self.vacate_if_unused(index);
    }

    /// Frees the place of a retired lane that no request names any more.
    pub(crate) fn vacate_if_unused(&mut self, index: u32) {
        let lane = self.lane(index);
        if lane.state == LaneState::Retired && lane.requests_in_flight == 0 {
            debug_assert_eq!(lane.held.records, 0, "a lane without queue and requests holds nothing");
            self.vacant.push(index);
        }
    }

    fn place(&mut self, pool: &EntryPool<T>, now: Timestamp, index: u32, turn: Turn) {
        let lane = &self.lanes[index as usize];
        debug_assert_eq!(lane.state, LaneState::Idle, "a lane is detached before it is placed");
        let Some((accepted_at, sequence)) = lane.oldest(pool) else { return };
        let due = self.is_due(now, accepted_at, sequence);
        let lane = &mut self.lanes[index as usize];
        if lane.must_wait {
            lane.state = LaneState::Awaiting;
            return;
        }
        if lane.blocked_until > now {
            lane.state = LaneState::Blocked;
            self.blocked.push(Reverse((lane.blocked_until, index)));
            return;
        }
        let (records, bytes) = lane.queue.sendable(self.only_oldest);
        self.sendable_records += records;
        self.sendable_bytes += bytes;
        if due {
            lane.state = LaneState::Due;
            let previous = match turn {
                Turn::First => NONE,
                Turn::Behind(previous) => previous,
                Turn::Last => self.due.tail,
            };
            self.link_after(previous, index, LaneState::Due);
            return;
        }
        let due_at = accepted_at.after(self.linger);
        lane.due_at = due_at;
        lane.state = if lane.queue.is_empty() { LaneState::Filling } else { LaneState::Lingering };
        let state = lane.state;
        // A new record is the youngest: its place is the end, found at once. Only a lane that a full request left
        // half empty belongs further to the front.
        let mut previous = if state == LaneState::Filling { self.filling.tail } else { self.lingering.tail };
        while previous != NONE && self.lanes[previous as usize].due_at > due_at {
            previous = self.lanes[previous as usize].previous;
        }
        self.link_after(previous, index, state);
    }

    fn first_to_end_lingering(&self, now: Timestamp) -> Option<u32> {
        let heads = [self.lingering.head, self.filling.head];
        heads.into_iter().find(|&head| head != NONE && self.lane(head).due_at <= now)
    }

    /// Links a lane behind `previous`, or first where that is `NONE`.
    fn link_after(&mut self, previous: u32, index: u32, state: LaneState) {
        let list = match state {
            LaneState::Due => &mut self.due,
            LaneState::Filling => &mut self.filling,
            _ => &mut self.lingering,
        };
        let next = if previous == NONE { list.head } else { self.lanes[previous as usize].next };
        if previous == NONE {
            list.head = index;
        } else {
            self.lanes[previous as usize].next = index;
        }
        if next == NONE {
            list.tail = index;
        } else {
            self.lanes[next as usize].previous = index;
        }
        let lane = &mut self.lanes[index as usize];
        (lane.previous, lane.next) = (previous, next);
    }
}

/// Where a due lane goes among the due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    First,
    /// Behind this one, or first where that is `NONE`.
    Behind(u32),
    Last,
}

const STRAY_LANE: &str =
    "records are only routed to lanes of the present map, and a filling one was detached";

/// Much less than any time to live that makes sense, so that members of an aggregate expire at about the same time.
const AGGREGATE_SPAN_MIN: Duration = Duration::from_millis(100);
