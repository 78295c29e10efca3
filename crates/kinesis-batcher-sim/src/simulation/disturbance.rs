//! Faults begin and end.

use std::time::Duration;

use super::agenda::Item;
use super::producer::Producer;
use super::{BEGIN, Simulation};
use crate::check::Cause;
use crate::faults::{Conditions, FaultKind};
use crate::service::{Refusal, time};

impl Simulation {
    pub(super) fn fault_begins(&mut self, index: usize) {
        let fault = self.faults[index];
        self.world.log(format_args!("   fault {fault}"));
        match fault.what {
            FaultKind::Split | FaultKind::Merge | FaultKind::ShardCount(_) => {
                self.stream.reshard(&mut self.world, fault.what);
            }
            FaultKind::CreatedAgain { shards, numbering } => {
                self.world.stream_is_deleted();
                self.stream.service.create_again(time(self.world.now), shards, numbering);
                self.stream.watch(&mut self.world);
            }
            FaultKind::Distribution(distribution) => {
                self.stream.service.set_distribution(distribution);
                self.stream.watch(&mut self.world);
            }
            FaultKind::RecordBytesMax(bytes) => {
                self.stream.service.set_record_bytes_max(bytes as usize);
                self.stream.watch(&mut self.world);
            }
            FaultKind::Permits(permits) => {
                self.stream.service.set_permits(permits);
                self.stream.watch(&mut self.world);
            }
            FaultKind::ClockBack { producer, by } => self.of(producer, |it| it.clock.jump_back(by)),
            FaultKind::ClockForward { producer, by } => self.of(producer, |it| it.clock.jump_forward(by)),
            FaultKind::ClockRight { producer } => self.of(producer, |it| it.clock.set_right()),
            FaultKind::ClockSkewed => self.signatures_fail(Refusal::InvalidSignature, Duration::ZERO),
            FaultKind::KeysRotated { reload } => self.signatures_fail(Refusal::UnrecognizedClient, reload),
            FaultKind::Flush { producer } => self.command(producer, Cause::Flush),
            FaultKind::Close { producer } => self.command(producer, Cause::Close),
            FaultKind::Abort { producer } => self.command(producer, Cause::Abort),
            FaultKind::Pause { producer } => {
                let until = BEGIN.after(fault.to.min(self.world.options.duration));
                self.of(producer, |it| it.paused_until = it.paused_until.max(until));
            }
            FaultKind::Crash { producer, restarts_after } => self.crash(producer, restarts_after),
            FaultKind::Start => self.start(),
            _ => {}
        }
        self.conditions_change();
    }

    /// Sums up anew which faults there are, for the service and for each producer.
    pub(super) fn conditions_change(&mut self) {
        let (elapsed, is_healed) = (self.world.elapsed(), self.world.is_healed);
        let of = |producer| {
            if is_healed { Conditions::default() } else { Conditions::at(elapsed, &self.faults, producer) }
        };
        self.stream.set_conditions(&mut self.world, &of(None));
        self.is_mischievous = false;
        for producer in &mut self.producers {
            let conditions = of(Some(producer.number));
            self.is_mischievous |= conditions.spurious > 0 || conditions.step_back > 0;
            producer.clock.set_coarse(conditions.coarse);
            producer.link.conditions = conditions;
            producer.arm(&mut self.world);
            self.due[producer.number as usize] = producer.due_at();
        }
    }

    /// Calls without a reason.
    pub(super) fn mischief(&mut self) {
        let index = self.world.rng.mischief.below(self.producers.len() as u64) as usize;
        let producer = &mut self.producers[index];
        if producer.is_crashed || producer.paused_until > self.world.now {
            return;
        }
        let conditions = producer.link.conditions;
        if self.world.rng.mischief.happens(conditions.spurious) {
            producer.call_in_vain(&mut self.world);
        }
        if self.world.rng.mischief.happens(conditions.step_back) {
            let back = Duration::from_nanos(self.world.rng.mischief.below(STEP_BACK_NANOS_MAX));
            producer.step_back(&mut self.world, back);
        }
        self.due[index] = producer.due_at();
    }

    /// A command to a producer that has not ended; one that is paused gets it afterwards.
    pub(super) fn command(&mut self, producer: u32, cause: Cause) {
        let index = producer as usize;
        let Some(it) = self.producers.get_mut(index).filter(|it| !it.is_crashed) else { return };
        if it.paused_until > self.world.now {
            self.world.agenda.add(it.paused_until, Item::Command { producer, cause });
            return;
        }
        it.command(&mut self.world, cause);
        self.due[index] = it.due_at();
    }

    fn crash(&mut self, producer: u32, restarts_after: Option<Duration>) {
        let Some(it) = self.producers.get_mut(producer as usize).filter(|it| !it.has_ended()) else { return };
        it.crash(&mut self.world);
        if let Some(after) = restarts_after {
            self.world.agenda.add(self.world.now.after(after), Item::Start);
        }
    }

    fn signatures_fail(&mut self, refusal: Refusal, heals_in: Duration) {
        for producer in &mut self.producers {
            producer.credentials.fail(refusal, heals_in);
        }
    }

    fn of(&mut self, producer: u32, change: impl FnOnce(&mut Producer)) {
        if let Some(producer) = self.producers.get_mut(producer as usize) {
            change(producer);
        }
    }
}

const STEP_BACK_NANOS_MAX: u64 = 2_000_000_000;
