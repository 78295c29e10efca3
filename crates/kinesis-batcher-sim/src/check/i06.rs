//! I6: `handle_timeout` at the deadline makes progress: the deadline moves on, and not by a hair each time.

use super::{Breach, Cause, Checker, Invariant, Observation, Scene};

/// Compares deadlines with the clock.
#[derive(Debug, Default)]
pub(super) struct DeadlinesMoveOn {
    second: u64,
    timeouts: u64,
    accepted: u64,
    answered: u64,
}

impl Checker for DeadlinesMoveOn {
    fn invariant(&self) -> Invariant {
        Invariant::I6
    }

    fn observe(&mut self, scene: &Scene<'_>, observation: &Observation<'_>) -> Result<(), Breach> {
        match *observation {
            Observation::Accepted { .. } => self.accepted += 1,
            Observation::Answered { .. } => self.answered += 1,
            Observation::Settled { cause, batcher, deadline, .. } => {
                if let Some(deadline) = deadline.filter(|deadline| deadline.at <= scene.clock) {
                    return Err(Breach::new(format!(
                        "everything was polled after {cause:?} at {:?}, and the deadline is {:?} for {:?}",
                        scene.clock, deadline.at, deadline.reason
                    )));
                }
                if cause == Cause::Timeout {
                    let shards = u64::from(batcher.stats().open_shards as u32);
                    return self.timeout(scene.clock.as_nanos(), shards);
                }
            }
            _ => {}
        }
        Ok(())
    }
}

impl DeadlinesMoveOn {
    fn timeout(&mut self, clock: u64, shards: u64) -> Result<(), Breach> {
        let second = clock / 1_000_000_000;
        if second != self.second {
            (self.second, self.timeouts, self.accepted, self.answered) = (second, 0, 0, 0);
        }
        self.timeouts += 1;
        let max = TIMEOUTS_MAX + shards * TIMEOUTS_PER_SHARD + 4 * (self.accepted + self.answered);
        if self.timeouts > max {
            return Err(Breach::new(format!("more than {max} deadlines came within a second")));
        }
        Ok(())
    }
}

/// Deadlines of one second that are nobody's: outages and map requests have a few.
const TIMEOUTS_MAX: u64 = 1_000;
/// Shards that wait for a limit are looked at on a tick of 8 ms at the most.
const TIMEOUTS_PER_SHARD: u64 = 300;
