//! I4: what is buffered is what was accepted and has not ended, never above the bounds; whoever was refused is told.

use std::collections::BTreeMap;

use kinesis_batcher_core::{Batcher, Event, HashKey, PushErrorReason, ShardMap};

use super::{Breach, Checker, Invariant, Observation, Scene, is_stored_as_predicted};

/// Adds up what each producer holds.
#[derive(Debug, Default)]
pub(super) struct BufferBound {
    records: u64,
    bytes: u64,
    bytes_max: u64,
    records_max: u64,
    /// A push was refused for want of room, and nobody was told since that there is some.
    refused: bool,
    /// How often room may be announced: once after several refusals, and once more, since an announcement may
    /// wait to be polled while another push is refused.
    announcements_max: u32,
    /// Something ended since.
    released: bool,
    /// A record that was refused though so many more would have fit.
    turned_away: Option<(u64, u64)>,
    /// While the producer has its first map, and nothing failed: records and bytes that each shard holds.
    shares: Option<Shares>,
}

/// The part of the buffer that each shard has.
#[derive(Debug)]
struct Shares {
    map: ShardMap,
    held: BTreeMap<usize, (u64, u64)>,
    /// Bytes of all shards. They are free with the answer; records count until their events are taken.
    bytes: u64,
}

impl Checker for BufferBound {
    fn invariant(&self) -> Invariant {
        Invariant::I4
    }

    fn observe(&mut self, scene: &Scene<'_>, observation: &Observation<'_>) -> Result<(), Breach> {
        let bytes_of = |record| scene.ledger.record(record).map_or(0, |facts| u64::from(facts.bytes));
        match *observation {
            Observation::Began { batcher, .. } => {
                self.bytes_max = batcher.config().buffer_bytes_max() as u64;
                self.records_max = batcher.config().buffer_records_max() as u64;
                let map = batcher.shard_map();
                // Records that expired count until their events are taken, and are of no shard.
                let can_expire = batcher.config().time_to_live().is_some();
                self.shares = (map.shards().len() > 1 && !can_expire).then(|| Shares {
                    map: map.clone(),
                    held: BTreeMap::new(),
                    bytes: 0,
                });
                Ok(())
            }
            Observation::Accepted { record, .. } => {
                let (bytes, bytes_max) = (bytes_of(record), self.bytes_max);
                let records_free = self.records_max.saturating_sub(self.records);
                self.records += 1;
                self.bytes += bytes;
                let key = scene.ledger.record(record).map(|facts| facts.hash_key);
                let Some((shares, key)) = self.shares.as_mut().zip(key) else { return Ok(()) };
                shares.take(record, key, bytes, (records_free, bytes_max))
            }
            Observation::Answered { request, outcome, .. } => {
                // Suspects, and aggregates that were stored elsewhere, are of no shard for a while.
                self.shares = self
                    .shares
                    .take()
                    .filter(|shares| is_stored_as_predicted(&shares.map, scene, request, outcome));
                if let Some(shares) = &mut self.shares {
                    for facts in
                        request.records.all().iter().filter_map(|&number| scene.ledger.record(number))
                    {
                        shares.give_back(facts.hash_key, u64::from(facts.bytes));
                    }
                }
                Ok(())
            }
            Observation::MapGiven { map, .. } => {
                self.shares = self.shares.take().filter(|shares| shares.map == *map);
                Ok(())
            }
            Observation::Refused { record, reason, .. } => self.refuse(record, bytes_of(record), reason),
            Observation::Event { event, .. } => {
                match event {
                    Event::Delivered { tag, .. } | Event::Failed { tag, .. } => {
                        self.records = self.records.saturating_sub(1);
                        self.bytes = self.bytes.saturating_sub(bytes_of(*tag));
                        self.released = true;
                    }
                    Event::Unblocked => {
                        if self.announcements_max == 0 {
                            return Err(Breach::new("it is said that there is room, and nobody was refused"));
                        }
                        self.announcements_max -= 1;
                        self.refused = false;
                        self.event_waited();
                    }
                    _ => self.event_waited(),
                }
                Ok(())
            }
            Observation::Settled { batcher, .. } => self.settle(batcher),
            _ => Ok(()),
        }
    }
}

impl Shares {
    /// A shard that holds something may hold as much as is free besides, and no more.
    fn take(
        &mut self,
        record: u64,
        key: HashKey,
        bytes: u64,
        (records_free, bytes_max): (u64, u64),
    ) -> Result<(), Breach> {
        let bytes_free = bytes_max.saturating_sub(self.bytes);
        self.bytes += bytes;
        let (records, held) = self.held.entry(self.map.index_of(key)).or_default();
        let is_alone = *records == 0;
        *records += 1;
        *held += bytes;
        if !is_alone && (*records > records_free || *held > bytes_free) {
            let what = format!(
                "its shard holds {records} records of {held} B, and {records_free} of {bytes_free} B were free"
            );
            return Err(Breach::of_record(record, what));
        }
        Ok(())
    }

    fn give_back(&mut self, key: HashKey, bytes: u64) {
        if let Some((records, held)) = self.held.get_mut(&self.map.index_of(key)) {
            *records = records.saturating_sub(1);
            *held = held.saturating_sub(bytes);
        }
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

impl BufferBound {
    fn refuse(&mut self, record: u64, bytes: u64, reason: PushErrorReason) -> Result<(), Breach> {
        if reason.is_full() {
            (self.refused, self.released) = (true, false);
            self.announcements_max += 1;
        }
        let fits = self.bytes + bytes <= self.bytes_max;
        match reason {
            PushErrorReason::Full if fits && self.records < self.records_max => {
                self.turned_away = Some((record, self.records_max - self.records));
                Ok(())
            }
            PushErrorReason::ShardFull if self.records == 0 => {
                Err(Breach::of_record(record, "its shard is said to be full while nothing is held"))
            }
            _ => Ok(()),
        }
    }

    /// Events that wait to be polled count against the bound on records.
    fn event_waited(&mut self) {
        self.turned_away = self.turned_away.and_then(|(record, more)| Some((record, more.checked_sub(1)?)));
    }

    fn settle(&mut self, batcher: &Batcher<u64>) -> Result<(), Breach> {
        self.announcements_max = self.announcements_max.min(1);
        let buffered = batcher.stats().buffered_bytes;
        if buffered != self.bytes {
            return Err(Breach::new(format!(
                "{buffered} B are said to be buffered, and {} B are",
                self.bytes
            )));
        }
        if self.records > self.records_max || self.bytes > self.bytes_max {
            return Err(Breach::new(format!(
                "{} records of {} B are held; {} of {} B may be",
                self.records, self.bytes, self.records_max, self.bytes_max
            )));
        }
        if let Some((record, more)) = self.turned_away.take().filter(|&(_, more)| more > 0) {
            let what = format!("the buffer was said to be full, and {more} more records would have fit");
            return Err(Breach::of_record(record, what));
        }
        if self.refused && self.released && !batcher.is_closed() {
            return Err(Breach::new("a push was refused, room was made since, and nobody was told"));
        }
        Ok(())
    }
}
