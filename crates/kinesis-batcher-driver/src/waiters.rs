//! Senders who wait for room in the buffer, and whose turn it is.

use std::collections::{BTreeMap, BTreeSet};
use std::task::Waker;

use kinesis_batcher_core::{HashKey, PushErrorReason, Record, ShardMap};

use crate::tag::Reply;

/// The queue of senders who wait for room.
///
/// Those who wait for the buffer as a whole stand in one line in the order in which they came: while anybody stands
/// there, nobody passes, or small records would slip into every gap and a large one would wait for ever. Those whose
/// shard has used up its share stand in a line of their shard, so that a hot shard holds up nobody else.
///
/// Bounded by the number of futures that the program holds: each waits with one record.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    waiters: BTreeMap<Ticket, Waiter>,
    whole_buffer: BTreeSet<Ticket>,
    /// By the shard's index in the map. Without empty lines.
    shards: BTreeMap<usize, BTreeSet<Ticket>>,
    next: u64,
}

/// A place in the queue; a lower one came earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(u64);

/// Where a waiter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Line {
    WholeBuffer,
    Shard(usize),
}

#[derive(Debug)]
enum Waiter {
    Waiting {
        parcel: Parcel,
        line: Line,
        waker: Waker,
    },
    /// It was let in, or refused for good, and has not asked yet.
    Answered(Result<(), Refused>),
}

/// A record on its way into the core.
#[derive(Debug)]
pub(crate) struct Parcel {
    pub(crate) record: Record,
    pub(crate) reply: Reply,
}

/// A record that the core did not take.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) reason: PushErrorReason,
    pub(crate) parcel: Parcel,
}

impl Waiters {
    /// Whether any newcomer may have to queue.
    pub(crate) fn is_anybody_waiting(&self) -> bool {
        !self.whole_buffer.is_empty() || !self.shards.is_empty()
    }

    /// Whether a newcomer with this hash key has to queue: somebody who came earlier waits for the same room.
    pub(crate) fn bars(&self, hash_key: HashKey, map: &ShardMap) -> Option<PushErrorReason> {
        if !self.whole_buffer.is_empty() {
            return Some(PushErrorReason::Full);
        }
        self.bars_shard(hash_key, map).then_some(PushErrorReason::ShardFull)
    }

    /// Whether somebody waits in the line of the shard that owns this hash key.
    pub(crate) fn bars_shard(&self, hash_key: HashKey, map: &ShardMap) -> bool {
        !self.shards.is_empty() && self.shards.contains_key(&map.index_of(hash_key))
    }

    /// Queues a record that was refused for want of room.
    pub(crate) fn wait(&mut self, refused: Refused, map: &ShardMap, waker: Waker) -> Ticket {
        let ticket = Ticket(self.next);
        self.next += 1;
        let line = line_of(refused.reason, &refused.parcel, map);
        self.stand(ticket, line);
        self.waiters.insert(ticket, Waiter::Waiting { parcel: refused.parcel, line, waker });
        ticket
    }

    /// The answer to a waiter, once. Without an answer, `waker` is the one to wake from now on; the former one comes
    /// back, to be dropped outside the lock.
    pub(crate) fn poll(&mut self, ticket: Ticket, waker: Waker) -> Result<Result<(), Refused>, Waker> {
        let waiter =
            self.waiters.get_mut(&ticket).expect("a ticket is valid until it is answered or given up");
        if let Waiter::Waiting { waker: former, .. } = waiter {
            return Err(std::mem::replace(former, waker));
        }
        match self.waiters.remove(&ticket) {
            Some(Waiter::Answered(answer)) => Ok(answer),
            _ => unreachable!("waiters without an answer returned above"),
        }
    }

    /// A waiter goes away. What it held is returned, to be dropped outside the lock.
    pub(crate) fn give_up(&mut self, ticket: Ticket) -> impl Sized + use<> {
        let waiter = self.waiters.remove(&ticket);
        if let Some(Waiter::Waiting { line, .. }) = waiter {
            self.leave(ticket, line);
        }
        waiter
    }

    /// The first of each line. Earlier arrivals come first.
    pub(crate) fn heads(&self) -> impl Iterator<Item = (Ticket, Line)> {
        let shards =
            self.shards.iter().filter_map(|(&shard, line)| Some((*line.first()?, Line::Shard(shard))));
        self.head(Line::WholeBuffer).map(|ticket| (ticket, Line::WholeBuffer)).into_iter().chain(shards)
    }

    /// The first of one line.
    pub(crate) fn head(&self, line: Line) -> Option<Ticket> {
        match line {
            Line::WholeBuffer => self.whole_buffer.first().copied(),
            Line::Shard(shard) => self.shards.get(&shard)?.first().copied(),
        }
    }

    /// Takes a waiter's record to try it. [`put_back`](Self::put_back) or [`answer`](Self::answer) follows.
    pub(crate) fn take(&mut self, ticket: Ticket) -> Trial {
        match self.waiters.remove(&ticket) {
            Some(Waiter::Waiting { parcel, line, waker }) => Trial { ticket, parcel, line, waker },
            _ => unreachable!("only tickets that stand in a line are tried"),
        }
    }

    /// The buffer has no room for it yet. Where it stands now; with the whole buffer full, that is where it stood.
    pub(crate) fn put_back(&mut self, place: Place, refused: Refused, map: &ShardMap) {
        let Place { ticket, line: old, waker } = place;
        let line = match refused.reason {
            PushErrorReason::ShardFull => line_of(refused.reason, &refused.parcel, map),
            _ => old,
        };
        if line != old {
            self.leave(ticket, old);
            self.stand(ticket, line);
        }
        self.waiters.insert(ticket, Waiter::Waiting { parcel: refused.parcel, line, waker });
    }

    /// It was let in or refused for good. Its waker, to be woken outside the lock.
    pub(crate) fn answer(&mut self, place: Place, answer: Result<(), Refused>) -> Waker {
        self.leave(place.ticket, place.line);
        self.waiters.insert(place.ticket, Waiter::Answered(answer));
        place.waker
    }

    /// Refuses everybody for this reason. Their wakers, to be woken outside the lock.
    pub(crate) fn refuse_all(&mut self, reason: PushErrorReason) -> Vec<Waker> {
        let tickets: Vec<Ticket> =
            self.whole_buffer.iter().chain(self.shards.values().flatten()).copied().collect();
        tickets
            .into_iter()
            .map(|ticket| {
                let (parcel, place) = self.take(ticket).into_parts();
                self.answer(place, Err(Refused { reason, parcel }))
            })
            .collect()
    }

    /// The shards have changed: everybody stands where the new map says.
    pub(crate) fn reshard(&mut self, map: &ShardMap) {
        for (_, line) in std::mem::take(&mut self.shards) {
            for ticket in line {
                let Some(Waiter::Waiting { parcel, line, .. }) = self.waiters.get_mut(&ticket) else {
                    unreachable!("only waiters without an answer stand in a line");
                };
                *line = line_of(PushErrorReason::ShardFull, parcel, map);
                let line = *line;
                self.stand(ticket, line);
            }
        }
    }

    fn stand(&mut self, ticket: Ticket, line: Line) {
        match line {
            Line::WholeBuffer => self.whole_buffer.insert(ticket),
            Line::Shard(shard) => self.shards.entry(shard).or_default().insert(ticket),
        };
    }

    fn leave(&mut self, ticket: Ticket, line: Line) {
        match line {
            Line::WholeBuffer => {
                self.whole_buffer.remove(&ticket);
            }
            Line::Shard(shard) => {
                let Some(line) = self.shards.get_mut(&shard) else { return };
                line.remove(&ticket);
                if line.is_empty() {
                    self.shards.remove(&shard);
                }
            }
        }
    }
}

/// A waiter whose record is being tried.
pub(crate) struct Trial {
    ticket: Ticket,
    parcel: Parcel,
    line: Line,
    waker: Waker,
}

impl Trial {
    pub(crate) fn into_parts(self) -> (Parcel, Place) {
        (self.parcel, Place { ticket: self.ticket, line: self.line, waker: self.waker })
    }
}

/// The place of a waiter whose record is being tried.
pub(crate) struct Place {
    ticket: Ticket,
    line: Line,
    waker: Waker,
}

fn line_of(reason: PushErrorReason, parcel: &Parcel, map: &ShardMap) -> Line {
    match reason {
        PushErrorReason::ShardFull => Line::Shard(map.index_of(parcel.record.hash_key())),
        _ => Line::WholeBuffer,
    }
}
