//! What will happen, in order.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use kinesis_batcher_core::{ShardMap, Timestamp};

use super::flight::{FlightId, LateCopy};

/// Things to come, the earliest first; what was put down first comes first at the same time.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    heap: BinaryHeap<Entry>,
    next: u64,
}

/// Something to come.
#[derive(Debug)]
pub(super) enum Item {
    /// A request reaches the service.
    Arrive(FlightId),
    /// A request comes back to its producer.
    Answer(FlightId),
    /// A producer gives a request up that is still on its way.
    GiveUp { flight: FlightId, arrives_at: Timestamp },
    /// A request that was given up reaches the service.
    ArriveLate(Box<LateCopy>),
    /// The service reads its shards for a producer that asked.
    ReadMap { producer: u32, answered_at: Timestamp },
    /// A producer gets a map.
    GiveMap { producer: u32, map: Box<ShardMap> },
    /// Producers list the shards without having been asked to.
    RefreshAll,
    /// A fault begins.
    FaultBegins(usize),
    /// A fault ends.
    FaultEnds,
    /// The figures count from here on.
    Settle,
    /// A point of the series.
    Sample,
    /// Faults are over.
    Heal,
    /// Everything must have drained.
    Bound,
}

impl Agenda {
    pub(super) fn add(&mut self, at: Timestamp, item: Item) {
        self.heap.push(Entry { at, order: self.next, item });
        self.next += 1;
    }

    #[inline]
    pub(super) fn next_at(&self) -> Timestamp {
        self.heap.peek().map_or(Timestamp::MAX, |entry| entry.at)
    }

    pub(super) fn pop(&mut self) -> Option<Item> {
        self.heap.pop().map(|entry| entry.item)
    }
}

#[derive(Debug)]
struct Entry {
    at: Timestamp,
    order: u64,
    item: Item,
}

impl Ord for Entry {
    /// Reversed, because the heap gives out the greatest.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_comes_first_and_of_two_at_once_the_one_put_down_first() {
        let mut agenda = Agenda::default();
        agenda.add(Timestamp::from_millis(2), Item::Heal);
        agenda.add(Timestamp::from_millis(1), Item::Sample);
        agenda.add(Timestamp::from_millis(1), Item::Settle);
        assert_eq!(agenda.next_at(), Timestamp::from_millis(1));
        assert!(matches!(agenda.pop(), Some(Item::Sample)));
        assert!(matches!(agenda.pop(), Some(Item::Settle)));
        assert!(matches!(agenda.pop(), Some(Item::Heal)));
        assert_eq!(agenda.next_at(), Timestamp::MAX);
    }
}
