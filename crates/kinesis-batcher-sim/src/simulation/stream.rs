//! The stream changes, producers learn of it, and faults come and go.

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use kinesis_batcher_core::{Event, ShardMap, Timestamp};
use kinesis_model::{Numbering, ShardId};

use super::agenda::Item;
use super::{BEGIN, Simulation};
use crate::check::{Cause, Observation, Scene};
use crate::faults::{Conditions, FaultKind};
use crate::service::{Kinesis, Refusal, shard_map, time, timestamp};

/// The shards as they were listed last, and before that.
pub(super) struct Listed {
    version: u64,
    map: ShardMap,
    before: ShardMap,
}

impl Listed {
    pub(super) fn new(service: &Kinesis, map: ShardMap) -> Self {
        Self { version: service.map_version(), before: map.clone(), map }
    }

    pub(super) fn open_shards(&self) -> u64 {
        u64::from(self.map.open_shards())
    }
}

impl Simulation {
    /// Notices what the service did, and when it wants to be called again.
    pub(super) fn watch_service(&mut self) {
        self.service_at = self.service.poll_timeout().map_or(Timestamp::MAX, timestamp);
        if self.service.map_version() != self.listed.version {
            self.listed.version = self.service.map_version();
            let map = shard_map(&self.service);
            self.listed.before = std::mem::replace(&mut self.listed.map, map);
            self.meter.shards_are_open(self.now.since(BEGIN), self.listed.open_shards());
            if self.trace.is_on() {
                let shards = self.listed.map.open_shards();
                self.trace.line(self.now.since(BEGIN), format_args!("   service has {shards} open shards"));
            }
        }
    }

    /// A producer lists the shards, one listing at a time.
    pub(super) fn refresh(&mut self, index: usize) {
        if std::mem::replace(&mut self.producers[index].is_refreshing, true) {
            return;
        }
        let rng = &mut self.rng.listing;
        let takes = self.options.refresh.draw(rng).saturating_add(self.conditions.map_slow);
        let read_after = Duration::from_nanos(rng.between(0, takes.as_nanos() as u64));
        let answered_at = self.now.after(takes);
        self.agenda.add(self.now.after(read_after), Item::ReadMap { producer: index as u32, answered_at });
    }

    pub(super) fn refresh_all(&mut self) {
        for index in 0..self.producers.len() {
            self.refresh(index);
        }
        if let Some(every) = self.options.refresh_every
            && !self.is_healed
        {
            self.agenda.add(self.now.after(every), Item::RefreshAll);
        }
    }

    /// The service reads its shards for a producer.
    pub(super) fn read_map(&mut self, producer: u32, answered_at: Timestamp) {
        let rng = &mut self.rng.listing;
        if rng.happens(self.conditions.map_fails) {
            // Nobody tells the batcher: it asks again by itself.
            self.producers[producer as usize].is_refreshing = false;
            return;
        }
        let listed =
            if rng.happens(self.conditions.map_stale) { &self.listed.before } else { &self.listed.map };
        let map = if !listed.is_auto() && rng.happens(self.conditions.map_denied) {
            let open = NonZeroU32::new(listed.open_shards()).unwrap_or(NonZeroU32::MIN);
            ShardMap::count_only(open).with_record_bytes_max(listed.record_bytes_max())
        } else {
            listed.clone()
        };
        self.agenda.add(answered_at, Item::GiveMap { producer, map: Box::new(map) });
    }

    pub(super) fn give_map(&mut self, producer: u32, map: ShardMap) {
        let index = producer as usize;
        self.meter.totals.shard_maps += 1;
        self.producers[index].is_refreshing = false;
        let at = self.producers[index].clock.tell(self.now);
        if self.trace.is_on() {
            self.trace.line(self.now.since(BEGIN), format_args!("p{index} gets {map:?}"));
        }
        let scene = Scene { now: self.now, clock: self.producers[index].clock.told(), ledger: &self.ledger };
        self.checkers.show(&scene, &Observation::MapGiven { producer, map: &map });
        self.producers[index].batcher.handle_shard_map(at, map);
        self.drive(index, Cause::ShardMap);
    }

    pub(super) fn fault_begins(&mut self, index: usize) {
        let fault = self.faults[index];
        if self.trace.is_on() {
            self.trace.line(self.now.since(BEGIN), format_args!("   fault {fault}"));
        }
        match fault.what {
            FaultKind::Split | FaultKind::Merge | FaultKind::ShardCount(_) => self.reshard(fault.what),
            FaultKind::ClockBack { producer, by } => {
                if let Some(producer) = self.producers.get_mut(producer as usize) {
                    producer.clock.set_back(by);
                }
            }
            FaultKind::ClockRight { producer } => {
                if let Some(producer) = self.producers.get_mut(producer as usize) {
                    producer.clock.set_right();
                }
            }
            FaultKind::ClockSkewed => self.signatures_fail(Refusal::InvalidSignature, Duration::ZERO),
            FaultKind::KeysRotated { reload } => self.signatures_fail(Refusal::UnrecognizedClient, reload),
            FaultKind::CreatedAgain(count) => {
                self.service.create_again(time(self.now), count, Numbering::Anew);
                self.watch_service();
            }
            FaultKind::Distribution(distribution) => {
                self.service.set_distribution(distribution);
                self.watch_service();
            }
            FaultKind::Flush { producer } => self.command(producer as usize, Cause::Flush),
            FaultKind::Close { producer } => self.command(producer as usize, Cause::Close),
            FaultKind::Abort { producer } => self.command(producer as usize, Cause::Abort),
            _ => {}
        }
        self.conditions_change();
    }

    fn signatures_fail(&mut self, refusal: Refusal, heals_in: Duration) {
        for producer in &mut self.producers {
            producer.signer.fails(refusal, heals_in);
        }
    }

    /// Sums up anew what is wrong.
    pub(super) fn conditions_change(&mut self) {
        let conditions = if self.is_healed {
            Conditions::default()
        } else {
            Conditions::at(self.now.since(BEGIN), &self.faults)
        };
        self.service.set_faults(conditions.service);
        self.service.set_account_fault(conditions.account);
        self.service.set_body_bytes_max(conditions.body_bytes_max.map(|most| most as usize));
        self.conditions = conditions;
        for index in 0..self.producers.len() {
            self.producers[index].clock.set_coarse(conditions.coarse);
            self.arm(index);
        }
        self.watch_service();
    }

    /// A command to a batcher.
    pub(super) fn command(&mut self, index: usize, cause: Cause) {
        let Some(producer) = self.producers.get_mut(index) else { return };
        let at = producer.clock.tell(self.now);
        match cause {
            Cause::Flush => producer.batcher.flush(at),
            Cause::Close => producer.batcher.close(at),
            Cause::Abort => producer.batcher.abort(at),
            _ => return,
        }
        if self.trace.is_on() {
            self.trace.line(self.now.since(BEGIN), format_args!("p{index} {cause:?}"));
        }
        if cause != Cause::Flush {
            self.drop_waiting(index);
        }
        self.drive(index, cause);
    }

    /// What cannot be done just now, because the shards are not as they were planned for, is left undone.
    fn reshard(&mut self, what: FaultKind) {
        let ids: Vec<ShardId> = self.service.open_shards().map(|shard| shard.id).collect();
        let at = self.rng.reshard.below(ids.len() as u64) as usize;
        let now = time(self.now);
        let done = match what {
            FaultKind::Split => self.service.split(now, ids[at]),
            FaultKind::Merge if ids.len() > 1 => {
                let left = at.min(ids.len() - 2);
                self.service.merge(now, ids[left], ids[left + 1])
            }
            FaultKind::ShardCount(count) => self.service.set_shard_count(now, count),
            _ => return,
        };
        self.meter.totals.reshards += u64::from(done.is_ok());
        self.watch_service();
    }
}

/// An event without keys and payload, in words.
pub(super) struct Told<'a>(pub(super) &'a Event<u64>);

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Event::Delivered { tag, receipt } => {
                write!(f, "delivered {tag} to {} as {}", receipt.shard_id, receipt.sequence_number)?;
                if let Some(number) = receipt.sub_sequence_number {
                    write!(f, " ({number})")?;
                }
                write!(f, ", attempts {}", receipt.attempts)?;
                if receipt.possible_duplicate { f.write_str(", possible duplicate") } else { Ok(()) }
            }
            Event::Failed { tag, failure, .. } => write!(f, "failed {tag}: {failure}"),
            other => write!(f, "{other:?}"),
        }
    }
}
