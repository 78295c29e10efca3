//! I5: while something is queued that may go, and a request may, there is a request or a deadline.

use kinesis_batcher_core::Ordering;

use super::{Breach, Checker, Invariant, Observation, Scene, is_of_account, tag_of};

/// Looks whether anything will ever happen.
#[derive(Debug, Default)]
pub(super) struct SomethingWillHappen {
    /// Records that are held and not on their way.
    queued: u64,
    requests_in_flight: u64,
    /// Requests that may be on their way at least: all until one fails, then one more for each answer.
    requests_allowed: u64,
    requests_max: u64,
}

impl Checker for SomethingWillHappen {
    fn invariant(&self) -> Invariant {
        Invariant::I5
    }

    fn observe(&mut self, scene: &Scene<'_>, observation: &Observation<'_>) -> Result<(), Breach> {
        let held = |numbers: &[u64]| {
            numbers.iter().filter(|&&number| scene.ledger.record(number).is_some()).count() as u64
        };
        match *observation {
            Observation::Began { batcher, .. } => {
                let config = batcher.config();
                // Where order is kept, what is queued may wait for what is on its way.
                let is_in_order = config.ordering() != Ordering::None;
                self.requests_max = if is_in_order { 1 } else { config.in_flight_requests_max() as u64 };
                self.requests_allowed = self.requests_max;
            }
            Observation::Accepted { .. } => self.queued += 1,
            Observation::Requested { request, .. } => {
                self.requests_in_flight += 1;
                self.queued = self.queued.saturating_sub(held(request.records.all()));
            }
            Observation::Answered { request, outcome, meaning, .. } => {
                self.requests_in_flight -= 1;
                self.queued += held(request.records.all());
                let is_failed = meaning.is_some_and(|meaning| !meaning.is_about_records())
                    || outcome.as_ref().is_ok_and(is_of_account);
                let allowed = if is_failed { 1 } else { self.requests_allowed + 1 };
                self.requests_allowed = allowed.min(self.requests_max);
            }
            Observation::Event { event, .. } => {
                if let Some(facts) = tag_of(event).and_then(|number| scene.ledger.record(number)) {
                    self.queued = self.queued.saturating_sub(u64::from(!facts.in_flight));
                }
            }
            Observation::Settled { deadline: None, .. }
                if self.queued > 0 && self.requests_in_flight < self.requests_allowed =>
            {
                return Err(Breach::new(format!(
                    "{} records are queued, {} requests on their way, and there is no deadline",
                    self.queued, self.requests_in_flight
                )));
            }
            _ => {}
        }
        Ok(())
    }
}
