//! I5: while something is queued and a request may go, there is a request or a deadline.

use super::per_producer::PerProducer;
use super::{Breach, Checker, Invariant, Kind, Observation, Scene};

/// Looks whether anything will ever happen.
#[derive(Debug, Default)]
pub(super) struct SomethingWillHappen {
    in_flight: PerProducer<u64>,
}

impl Checker for SomethingWillHappen {
    fn invariant(&self) -> Invariant {
        Invariant::I5
    }

    fn kinds(&self) -> &'static [Kind] {
        &[Kind::Requested, Kind::Answered, Kind::Settled]
    }

    fn observe(&mut self, _scene: &Scene<'_>, observation: &Observation<'_>) -> Result<(), Breach> {
        match *observation {
            Observation::Requested { producer, .. } => *self.in_flight.of(producer) += 1,
            Observation::Answered { producer, .. } => *self.in_flight.of(producer) -= 1,
            Observation::Settled { producer, batcher, deadline: None, .. } => {
                let (in_flight, stats) = (*self.in_flight.of(producer), batcher.stats());
                // With none on its way no answer will come either, whatever the batcher says it allows.
                let may_go = in_flight < stats.requests_in_flight_allowed.max(1);
                if stats.records_queued > 0 && may_go {
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
