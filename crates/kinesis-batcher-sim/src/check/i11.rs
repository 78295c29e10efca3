//! I11: with ordering on, no key's records overtake each other.
//!
//! What counts is each record's first copy in the stream. A copy that arrives after its sender was told that the
//! outcome is unknown is nobody's first: no producer can call it back.

use kinesis_batcher_core::Event;

use super::per_producer::PerProducer;
use super::{Breach, Checker, EntryReply, Invariant, Kind, Observation, Records, Scene};
use crate::window::Window;

/// Knows the last record of each key that was stored for the first time.
#[derive(Debug)]
pub(super) struct OrderOfKeys {
    is_on: bool,
    /// By producer and key: how many records had been accepted before the last one that was stored, and its number.
    last: PerProducer<Vec<Option<(u64, u64)>>>,
    stored: Window<()>,
}

impl OrderOfKeys {
    /// `is_on`: the batchers promise order.
    pub(super) fn new(is_on: bool) -> Self {
        Self { is_on, last: PerProducer::default(), stored: Window::new() }
    }

    fn stored(&mut self, scene: &Scene<'_>, producer: u32, number: u64) -> Result<(), Breach> {
        let Some(facts) = scene.ledger.record(number) else { return Ok(()) };
        let Some(accepted) = facts.accepted else { return Ok(()) };
        if self.stored.insert(number, ()).is_some() {
            return Ok(());
        }
        let last = self.last.of(producer);
        let key = facts.key as usize;
        if last.len() <= key {
            last.resize(key + 1, None);
        }
        match last[key] {
            Some((order, overtaker)) if order > accepted.order => Err(Breach::of_record(
                number,
                format!("record {overtaker} has the same key, was pushed later and is stored already"),
            )),
            _ => {
                last[key] = Some((accepted.order, number));
                Ok(())
            }
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
            if matches!(reply, EntryReply::Stored { .. }) {
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

    fn kinds(&self) -> &'static [Kind] {
        if self.is_on { &[Kind::Stored, Kind::Event] } else { &[] }
    }

    fn observe(&mut self, scene: &Scene<'_>, observation: &Observation<'_>) -> Result<(), Breach> {
        match *observation {
            Observation::Stored { producer, records, replies, late: false, .. } => {
                self.call(scene, producer, records, replies)
            }
            Observation::Event {
                event: Event::Delivered { tag, .. } | Event::Failed { tag, .. }, ..
            } => {
                self.stored.remove(*tag);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
