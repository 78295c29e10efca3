//! The end is told when all has come back, once, and nothing follows. (That it comes within a bound after the faults,
//! the simulation itself sees to.)

use kinesis_batcher_core::Event;

use super::{Breach, Checker, Invariant, Observation, Scene};

/// Waits for the end.
#[derive(Debug, Default)]
pub(super) struct TheEndIsLast {
    held: u64,
    is_drained: bool,
}

impl Checker for TheEndIsLast {
    fn invariant(&self) -> Invariant {
        Invariant::Liveness
    }

    fn observe(&mut self, _scene: &Scene<'_>, observation: &Observation<'_>) -> Result<(), Breach> {
        match *observation {
            Observation::Accepted { record, .. } => {
                self.held += 1;
                if self.is_drained {
                    return Err(Breach::of_record(record, "it was accepted after the end was told"));
                }
            }
            Observation::Requested { .. } if self.is_drained => {
                return Err(Breach::new("a request goes after the end was told"));
            }
            Observation::Event { event, .. } => return self.event(event),
            Observation::Settled { batcher, .. }
                if batcher.is_closed() && self.held == 0 && !self.is_drained =>
            {
                return Err(Breach::new("it is closed and holds nothing, and the end was not told"));
            }
            _ => {}
        }
        Ok(())
    }
}

impl TheEndIsLast {
    fn event(&mut self, event: &Event<u64>) -> Result<(), Breach> {
        if self.is_drained {
            return Err(Breach::new("an event came after the end was told"));
        }
        match event {
            // One too many is for I1 to find.
            Event::Delivered { .. } | Event::Failed { .. } => self.held = self.held.saturating_sub(1),
            Event::Drained => {
                self.is_drained = true;
                if self.held > 0 {
                    return Err(Breach::new(format!("the end was told, and {} records are held", self.held)));
                }
            }
            _ => {}
        }
        Ok(())
    }
}
