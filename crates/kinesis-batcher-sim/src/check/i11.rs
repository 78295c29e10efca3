//! I11: with ordering on, no key's records overtake each other.
//!
//! A key is what decides the shard: the hash key. What counts is each record's first copy in the stream. A copy that arrives after its sender was told that the
//! outcome is unknown is nobody's first: no producer can call it back.

use std::collections::BTreeMap;

use kinesis_batcher_core::{Event, HashKey, Ordering};

use super::per_producer::PerProducer;
use super::{Breach, Checker, EntryReply, Invariant, Observation, Records, Scene};
use crate::window::Window;

/// Knows the last record of each key that was stored for the first time.
#[derive(Debug, Default)]
pub(super) struct OrderOfKeys {
    producers: PerProducer<Producer>,
    stored: Window<()>,
}

#[derive(Debug, Default)]
struct Producer {
    is_on: bool,
    /// By hash key: how many records had been accepted before the last one that was stored, and its number.
    last: BTreeMap<HashKey, (u64, u64)>,
}

impl OrderOfKeys {
    fn stored(&mut self, scene: &Scene<'_>, producer: u32, number: u64) -> Result<(), Breach> {
        let Some(facts) = scene.ledger.record(number) else { return Ok(()) };
        let Some(accepted) = facts.accepted else { return Ok(()) };
        if self.stored.insert(number, ()).is_some() {
            return Ok(());
        }
        let last = &mut self.producers.of(producer).last;
        match last.insert(facts.hash_key, (accepted.order, number)) {
            Some((order, overtaker)) if order > accepted.order => Err(Breach::of_record(
                number,
                format!("record {overtaker} has the same hash key, was pushed later and is stored already"),
            )),
            _ => Ok(()),
        }
    }

    fn call(
        &mut self,
        scene: &Scene<'_>,
        producer: u32,
        records: Records<'_>,
        replies: &[EntryReply],
    ) -> Result<(), Breach> {
        for (index, reply) in replies.iter().enumerate() {
            if reply.stored().is_some() {
                for &number in records.of_entry(index) {
                    self.stored(scene, producer, number)?;
                }
            }
        }
        Ok(())
    }
}

impl Checker for OrderOfKeys {
    fn invariant(&self) -> Invariant {
        Invariant::I11
    }

    fn observe(&mut self, scene: &Scene<'_>, observation: &Observation<'_>) -> Result<(), Breach> {
        match *observation {
            Observation::Began { producer, batcher } => {
                self.producers.of(producer).is_on = batcher.config().ordering() != Ordering::None;
                Ok(())
            }
            Observation::Stored { producer, records, replies, late: false, .. }
                if self.producers.of(producer).is_on =>
            {
                self.call(scene, producer, records, replies)
            }
            Observation::Event {
                event: Event::Delivered { tag, .. } | Event::Failed { tag, .. }, ..
            } => {
                self.stored.remove(*tag);
                Ok(())
            }
            Observation::Crashed { held, .. } => {
                held.iter().for_each(|&number| _ = self.stored.remove(number));
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
