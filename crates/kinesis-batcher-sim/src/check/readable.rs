//! What was delivered, a consumer reads: one that applies the rule of the KCL on every stream (S-28).
//!
//! An aggregate is dropped whole if the hash key of one of its records lies outside the shard that it is read from. On
//! a stream that distributes records by itself that is nearly every aggregate (S-25).

use std::ops::RangeInclusive;

use kinesis_batcher_core::Event;

use super::{Breach, Checker, EntryReply, Invariant, Kind, Observation, Records, Scene, tag_of};
use crate::service::Kinesis;
use crate::window::Window;

/// Remembers of each record that was stored whether a consumer reads a copy of it.
#[derive(Debug, Default)]
pub(super) struct ConsumersRead {
    is_read: Window<bool>,
}

impl Checker for ConsumersRead {
    fn invariant(&self) -> Invariant {
        Invariant::Readable
    }

    fn kinds(&self) -> &'static [Kind] {
        &[Kind::Accepted, Kind::Stored, Kind::Event]
    }

    fn observe(&mut self, scene: &Scene<'_>, observation: &Observation<'_>) -> Result<(), Breach> {
        match *observation {
            Observation::Accepted { record, .. } => {
                self.is_read.insert(record, false);
            }
            Observation::Stored { records, replies, service, .. } => {
                self.stored(scene, records, replies, service);
            }
            Observation::Event { event, .. } => {
                let Some(number) = tag_of(event) else { return Ok(()) };
                let is_read = self.is_read.remove(number).unwrap_or(true);
                if matches!(event, Event::Delivered { .. }) && !is_read {
                    let what = "it was delivered, and consumers drop every aggregate that it is in";
                    return Err(Breach::of_record(number, what));
                }
            }
            _ => {}
        }
        Ok(())
    }
}

impl ConsumersRead {
    fn stored(&mut self, scene: &Scene<'_>, records: Records<'_>, replies: &[EntryReply], service: &Kinesis) {
        for (index, reply) in replies.iter().enumerate() {
            let Some((shard_id, _)) = reply.stored() else { continue };
            let numbers = records.of_entry(index);
            if numbers.len() > 1 {
                let Some(shard) = service.shard(shard_id) else { continue };
                let hash_keys = numbers.iter().filter_map(|&number| scene.ledger.record(number));
                if is_dropped(shard.first..=shard.last, hash_keys.map(|facts| facts.hash_key.value())) {
                    continue;
                }
            }
            for &number in numbers {
                if let Some(is_read) = self.is_read.get_mut(number) {
                    *is_read = true;
                }
            }
        }
    }
}

/// Whether the KCL drops an aggregate with records of these hash keys in a shard of this range.
fn is_dropped(range: RangeInclusive<u128>, mut hash_keys: impl Iterator<Item = u128>) -> bool {
    hash_keys.any(|hash_key| !range.contains(&hash_key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_record_of_another_shard_makes_the_kcl_drop_the_whole_aggregate() {
        let range = || 100..=199;
        assert!(!is_dropped(range(), [100, 150, 199].into_iter()), "S-28: all are within");
        assert!(is_dropped(range(), [100, 150, 200].into_iter()), "the last is not");
        assert!(is_dropped(range(), [99, 150, 199].into_iter()), "the first is not");
    }
}
