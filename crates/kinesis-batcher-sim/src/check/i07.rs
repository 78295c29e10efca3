//! I7: a backward step of time changes nothing.

use super::{Breach, Cause, Checker, Invariant, Observation, Scene};

/// Compares what can be seen before and after a step back.
#[derive(Debug, Default)]
pub(super) struct BackwardChangesNothing {
    /// Requests and events since the last call was over.
    given_out: u64,
    /// The last call was a step back; what it brought is polled with the next, which asks for nothing either.
    stepped_back: bool,
}

impl Checker for BackwardChangesNothing {
    fn invariant(&self) -> Invariant {
        Invariant::I7
    }

    fn observe(&mut self, _scene: &Scene<'_>, observation: &Observation<'_>) -> Result<(), Breach> {
        match *observation {
            Observation::Requested { .. } | Observation::Event { .. } => {
                self.given_out += 1;
            }
            Observation::Settled { cause, deadline_before, stats_before, batcher, deadline, .. } => {
                let given_out = std::mem::take(&mut self.given_out);
                let stepped_back = std::mem::replace(&mut self.stepped_back, cause == Cause::StepBack);
                if stepped_back && cause == Cause::Spurious && given_out > 0 {
                    return Err(Breach::new(format!("a step back brought {given_out} requests and events")));
                }
                if cause != Cause::StepBack {
                    return Ok(());
                }
                if deadline != deadline_before {
                    return Err(Breach::new(format!(
                        "a step back moved the deadline from {deadline_before:?} to {deadline:?}"
                    )));
                }
                if stats_before.is_some_and(|before| *before != batcher.stats()) {
                    return Err(Breach::new("a step back changed the figures"));
                }
            }
            _ => {}
        }
        Ok(())
    }
}
