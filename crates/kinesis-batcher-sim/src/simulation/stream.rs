//! The stream as the simulation sees it: the service, and the shards as they are listed.

use std::num::NonZeroU32;

use kinesis_batcher_core::{ShardMap, Timestamp};
use kinesis_model::ShardId;

use super::agenda::Item;
use super::world::World;
use crate::faults::{Conditions, FaultKind};
use crate::service::{Kinesis, shard_map, time, timestamp};

/// The service, with the shards as they were listed last, and before that.
pub(super) struct Stream {
    pub(super) service: Kinesis,
    /// When the service does something by itself.
    pub(super) due_at: Timestamp,
    version: u64,
    map: ShardMap,
    before: ShardMap,
}

impl Stream {
    pub(super) fn new(service: Kinesis) -> Self {
        let map = shard_map(&service);
        Self {
            due_at: service.poll_timeout().map_or(Timestamp::MAX, timestamp),
            version: service.map_version(),
            before: map.clone(),
            map,
            service,
        }
    }

    pub(super) fn map(&self) -> &ShardMap {
        &self.map
    }

    pub(super) fn open_shards(&self) -> u64 {
        u64::from(self.map.open_shards())
    }

    /// The service does what is due.
    pub(super) fn act(&mut self, world: &mut World) {
        self.service.handle_timeout(time(world.now));
        self.watch(world);
    }

    /// Notices changes of the service, and when it wants to be called again.
    pub(super) fn watch(&mut self, world: &mut World) {
        self.due_at = self.service.poll_timeout().map_or(Timestamp::MAX, timestamp);
        if self.service.map_version() != self.version {
            self.version = self.service.map_version();
            let map = shard_map(&self.service);
            self.before = std::mem::replace(&mut self.map, map);
            world.meter.shards_are_open(world.elapsed(), self.open_shards());
            world.log(format_args!("   service has {} open shards", self.map.open_shards()));
        }
    }

    /// Reads the shards for a producer under these conditions; `None` when the listing fails.
    pub(super) fn list(&self, world: &mut World, conditions: &Conditions) -> Option<ShardMap> {
        let rng = &mut world.rng.listing;
        if rng.happens(conditions.map_fails) {
            return None;
        }
        let listed = if rng.happens(conditions.map_stale) { &self.before } else { &self.map };
        if !listed.is_auto() && rng.happens(conditions.map_denied) {
            let open = NonZeroU32::new(listed.open_shards()).unwrap_or(NonZeroU32::MIN);
            return Some(ShardMap::count_only(open).with_record_bytes_max(listed.record_bytes_max()));
        }
        Some(listed.clone())
    }

    /// Takes over the conditions that are the service's own.
    pub(super) fn set_conditions(&mut self, world: &mut World, conditions: &Conditions) {
        self.service.set_faults(conditions.service);
        self.service.set_account_fault(conditions.account);
        self.service.set_body_bytes_max(conditions.body_bytes_max.map(|most| most as usize));
        self.watch(world);
    }

    /// A change that cannot be made because the shards are not as they were planned for is left out.
    pub(super) fn reshard(&mut self, world: &mut World, change: FaultKind) {
        let ids: Vec<ShardId> = self.service.open_shards().map(|shard| shard.id).collect();
        let at = world.rng.reshard.below(ids.len() as u64) as usize;
        let now = time(world.now);
        let done = match change {
            FaultKind::Split => self.service.split(now, ids[at]),
            FaultKind::Merge if ids.len() > 1 => {
                let left = at.min(ids.len() - 2);
                self.service.merge(now, ids[left], ids[left + 1])
            }
            FaultKind::ShardCount(count) => self.service.set_shard_count(now, count),
            _ => return,
        };
        world.meter.totals.reshards += u64::from(done.is_ok());
        self.watch(world);
    }
}

impl super::Simulation {
    /// The service reads its shards for a producer.
    pub(super) fn read_map(&mut self, producer: u32, answered_at: Timestamp) {
        let asker = &mut self.producers[producer as usize];
        match self.stream.list(&mut self.world, &asker.link.conditions) {
            Some(map) => {
                self.world.agenda.add(answered_at, Item::GiveMap { producer, map: Box::new(map) });
            }
            // The batcher is not told: it asks again by itself.
            None => asker.is_refreshing = false,
        }
    }

    pub(super) fn refresh_all(&mut self) {
        for producer in &mut self.producers {
            if !producer.has_ended() {
                producer.refresh(&mut self.world);
            }
        }
        if let Some(every) = self.world.options.refresh_every
            && !self.world.is_healed
        {
            self.world.agenda.add(self.world.now.after(every), Item::RefreshAll);
        }
    }
}
