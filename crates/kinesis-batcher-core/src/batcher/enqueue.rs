//! Taking records in: checks, and the way into a queue or an aggregate.

use alloc::boxed::Box;

use crate::aggregate::{OUTER_PARTITION_KEY, OpenAggregate, is_aggregate};
use crate::config::AlreadyAggregated;
use crate::entry::{Entry, Member};
use crate::event::PushErrorReason;
use crate::lane::Held;
use crate::record::Record;

use super::order::Unit;
use super::{Batcher, Phase};

/// How a record travels.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Carriage {
    /// As a Kinesis record of its own.
    Alone,
    /// In an aggregate, if it fits.
    Shared,
}

impl<T> Batcher<T> {
    /// Checks a record and counts it in, or says why not.
    pub(super) fn admit(&mut self, record: &Record, lane: u32) -> Result<Carriage, PushErrorReason> {
        if self.phase >= Phase::Closed {
            return Err(PushErrorReason::Closed);
        }
        if record.partition_key.is_empty() && !self.map.is_auto() && !self.map.is_unknown() {
            return Err(PushErrorReason::PartitionKeyMissing);
        }
        let bytes = record.bytes();
        let bytes_max = self.map.record_bytes_max().min(self.buffer.bytes_max());
        if bytes > bytes_max {
            return Err(PushErrorReason::TooLarge { bytes, bytes_max });
        }
        if self.is_order_impossible() {
            return Err(PushErrorReason::OrderImpossible);
        }
        let carriage = self.carriage(record)?;
        let shard: Option<Held> = (self.lane_of_shard.len() > 1).then(|| self.lanes.lane(lane).held);
        let admitted = self.buffer.admit(bytes, shard, self.events.records());
        self.stats.records_refused += u64::from(admitted.is_err());
        admitted.map(|()| carriage)
    }

    /// Lets an admitted record wait in its lane.
    pub(super) fn enqueue(&mut self, lane: u32, record: Record, tag: T, carriage: Carriage) {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        let bytes = record.bytes();
        self.stats.records_accepted += 1;
        if self.buffer.held().records == 1 {
            self.stats.held_since = Some(self.now);
        }
        self.stats.bytes_accepted += bytes as u64;
        self.lanes.lane_mut(lane).held.add(Held { records: 1, bytes: bytes as u64 });
        if carriage == Carriage::Shared {
            self.add_to_aggregate(lane, record, tag, sequence);
        } else {
            self.close_aggregate(lane);
            self.append(lane, Entry::new(record, tag, self.now, sequence));
        }
        self.arm_expiry_of_youngest(lane);
    }

    /// Ends a lane's aggregate, if it has one, and queues it.
    pub(super) fn close_aggregate(&mut self, lane: u32) {
        if let Some(entry) = self.lanes.lane_mut(lane).open.as_mut().and_then(|open| open.close()) {
            self.append(lane, entry);
        }
    }

    /// An aggregate for records of one lane, which may have so many bytes at least.
    pub(super) fn new_aggregate(&self, encoded_len_min: usize) -> OpenAggregate<T> {
        let outer_key_bytes = OUTER_PARTITION_KEY.len();
        let bytes_max =
            self.map.record_bytes_max().min(self.request_bytes_max).saturating_sub(outer_key_bytes);
        let encoded_len_max = self.config.aggregate_bytes_max().min(bytes_max).max(encoded_len_min);
        let records_max = self.config.aggregate_records_max();
        OpenAggregate::new(encoded_len_max, records_max, self.lane_of_shard.len())
    }

    fn carriage(&self, record: &Record) -> Result<Carriage, PushErrorReason> {
        // Consumers drop an aggregate of which a record lies outside its shard (S-25, S-28), so where shards are not
        // known, or the service distributes records itself, no two records can be said to share one.
        if !self.config.aggregation() || !self.may_aggregate() {
            return Ok(Carriage::Alone);
        }
        if !is_aggregate(&record.data) {
            return Ok(Carriage::Shared);
        }
        match self.config.already_aggregated() {
            AlreadyAggregated::SendAsIs => Ok(Carriage::Alone),
            AlreadyAggregated::Refuse => Err(PushErrorReason::AlreadyAggregated),
        }
    }

    fn add_to_aggregate(&mut self, lane: u32, record: Record, tag: T, sequence: u64) {
        // Members that were accepted at much the same time expire at much the same time: what has lingered is closed,
        // though it waits for a limit or an outage.
        let oldest = self.lanes.lane(lane).open.as_ref().and_then(|open| open.oldest());
        // Not where the lane is the unit of order: it sends one aggregate at a time, and small ones would pile up.
        if self.order.unit != Unit::Lane
            && oldest
                .is_some_and(|(accepted_at, sequence)| self.lanes.is_past(self.now, accepted_at, sequence))
        {
            self.close_aggregate(lane);
        }
        if self.lanes.lane(lane).open.is_none() {
            let open = Box::new(self.new_aggregate(0));
            self.lanes.lane_mut(lane).open = Some(open);
        }
        let mut rest = (record, Member { tag, accepted_at: self.now });
        for _ in 0..2 {
            let Some(open) = &mut self.lanes.lane_mut(lane).open else { break };
            let was_empty = open.is_empty();
            match open.push(rest.0, rest.1, sequence) {
                Ok(()) => {
                    if was_empty {
                        self.lanes.opened(&self.pool, self.now, lane);
                    }
                    return;
                }
                Err(refused) => rest = refused,
            }
            self.close_aggregate(lane);
        }
        // It is too large for any aggregate.
        let (record, member) = rest;
        self.append(lane, Entry::new(record, member.tag, member.accepted_at, sequence));
    }

    fn append(&mut self, lane: u32, entry: Entry<T>) {
        let bytes = entry.bytes();
        let id = self.pool.insert(entry);
        if self.park(id) {
            return;
        }
        self.lanes.append(&mut self.pool, self.now, lane, id, bytes);
    }
}
