//! Events to come, in order of time.

use std::collections::BTreeMap;

use kinesis_batcher_core::{ShardMap, Timestamp};

use crate::check::Cause;
use kinesis_model::Rng;

use super::flight::RequestCopy;

/// Events to come, the earliest first. The seed decides which of several at the same time comes first: nothing may
/// depend on the order in which they were added.
#[derive(Debug)]
pub(super) struct Agenda {
    items: BTreeMap<(Timestamp, u64), Item>,
    rng: Rng,
}

/// An event to come.
#[derive(Debug)]
pub(super) enum Item {
    /// The request with this number reaches the service.
    Arrive(u64),
    /// A request comes back to its producer.
    Answer(u64),
    /// A producer gives a request up that is still on its way.
    GiveUp { flight: u64, arrives_at: Timestamp },
    /// A copy of a request reaches the service: the producer has given it up, or the network duplicated it.
    ArriveCopy(Box<RequestCopy>),
    /// The service reads its shards for a producer that asked.
    ReadMap { producer: u32, answered_at: Timestamp },
    /// A producer gets a map.
    GiveMap { producer: u32, map: Box<ShardMap> },
    /// A producer polls its batcher.
    Poll(u32),
    /// A producer is given a command that came while it was paused.
    Command { producer: u32, cause: Cause },
    /// Another producer starts.
    Start,
    /// Producers list the shards without having been asked to.
    RefreshAll,
    /// A fault begins.
    FaultBegins(usize),
    /// A fault ends.
    FaultEnds,
    /// The steady part of the run begins.
    SteadyBegins,
    /// Faults are over.
    Heal,
    /// Everything must have drained.
    Bound,
}

impl Agenda {
    pub(super) fn new(rng: Rng) -> Self {
        Self { items: BTreeMap::new(), rng }
    }

    pub(super) fn add(&mut self, at: Timestamp, item: Item) {
        self.items.insert((at, self.rng.next()), item);
    }

    #[inline]
    pub(super) fn next_at(&self) -> Timestamp {
        self.items.first_key_value().map_or(Timestamp::MAX, |((at, _), _)| *at)
    }

    pub(super) fn pop(&mut self) -> Option<Item> {
        self.items.pop_first().map(|(_, item)| item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_comes_first_and_the_seed_orders_those_at_the_same_time() {
        let order = |seed| {
            let mut agenda = Agenda::new(Rng::new(seed));
            agenda.add(Timestamp::from_millis(2), Item::Heal);
            agenda.add(Timestamp::from_millis(1), Item::Poll(0));
            agenda.add(Timestamp::from_millis(1), Item::Poll(1));
            assert_eq!(agenda.next_at(), Timestamp::from_millis(1));
            let first = agenda.pop();
            assert!(matches!(agenda.pop(), Some(Item::Poll(_))));
            assert!(matches!(agenda.pop(), Some(Item::Heal)));
            assert_eq!(agenda.next_at(), Timestamp::MAX);
            matches!(first, Some(Item::Poll(0)))
        };
        let firsts = (0..100).filter(|&seed| order(seed)).count();
        assert!((25..75).contains(&firsts), "the one added first comes first under {firsts} of 100 seeds");
        assert_eq!(order(7), order(7));
    }
}
