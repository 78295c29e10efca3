//! I5: while something is queued that may go, and a request may, there is a request or a deadline.

use super::per_producer::PerProducer;
use super::turns::Turns;
use super::{Breach, Checker, Invariant, Kind, Observation, Scene, tag_of};

/// Looks whether anything will ever happen.
#[derive(Debug, Default)]
pub(super) struct SomethingWillHappen {
    in_flight: PerProducer<u64>,
    turns: PerProducer<Turns>,
}

impl Checker for SomethingWillHappen {
    fn invariant(&self) -> Invariant {
        Invariant::I5
    }

    fn kinds(&self) -> &'static [Kind] {
        &[
            Kind::Began,
            Kind::Accepted,
            Kind::Requested,
            Kind::Answered,
            Kind::Event,
            Kind::MapGiven,
            Kind::Settled,
        ]
    }

    fn observe(&mut self, scene: &Scene<'_>, observation: &Observation<'_>) -> Result<(), Breach> {
        match *observation {
            Observation::Began { producer, batcher } => self.turns.of(producer).begin(batcher),
            Observation::Accepted { producer, record } => {
                self.turns.of(producer).accepted(scene, record);
            }
            Observation::Requested { producer, request, .. } => {
                *self.in_flight.of(producer) += 1;
                self.turns.of(producer).requested(request);
            }
            Observation::Answered { producer, request, .. } => {
                *self.in_flight.of(producer) -= 1;
                self.turns.of(producer).answered(request);
            }
            Observation::Event { producer, event } => {
                if let Some(number) = tag_of(event) {
                    self.turns.of(producer).ended(number);
                }
            }
            Observation::MapGiven { producer, map } => self.turns.of(producer).map_given(map),
            Observation::Settled { producer, batcher, deadline: None, .. } => {
                let (in_flight, stats) = (*self.in_flight.of(producer), batcher.stats());
                // With none on its way no answer will come either, whatever the batcher says it allows.
                let may_go = in_flight < stats.requests_in_flight_allowed.max(1);
                if stats.records_queued > 0 && may_go && self.turns.of(producer).any_may_go() {
                    return Err(Breach::new(format!(
                        "{} records are queued, {in_flight} requests on their way, and there is no deadline",
                        stats.records_queued
                    )));
                }
            }
            _ => {}
        }
        Ok(())
    }
}
