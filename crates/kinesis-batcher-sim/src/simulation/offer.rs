//! Records on their way into a batcher.

use std::collections::VecDeque;

use kinesis_batcher_core::{PushErrorReason, Record};

use super::producer::Producer;
use super::world::World;
use crate::caller::Calls;
use crate::check::{Cause, Observation};

impl Producer {
    /// The program is asked to send the records that come now.
    pub(super) fn offer(&mut self, world: &mut World) {
        let records = self.arrivals.take();
        if self.caller.calls == Calls::Batch {
            let made: Vec<(Record, u64)> = (0..records).map(|_| self.make(world)).collect();
            self.push_all(world, made);
            self.called(world, Cause::Push);
            return;
        }
        let together = world.options.workload.pushes_together;
        for _ in 0..records {
            let (record, number) = self.make(world);
            if let Err((record, reason)) = self.push(world, record, number) {
                self.keep_or_drop(world, record, number, reason);
            }
            if !together {
                self.called(world, Cause::Push);
            }
        }
        if together {
            self.called(world, Cause::Push);
        }
    }

    fn make(&mut self, world: &mut World) -> (Record, u64) {
        let number = world.next_record();
        let (record, facts) = self.maker.make(self.number, number, &world.keys);
        world.meter.totals.records_offered += 1;
        world.meter.totals.bytes_offered += u64::from(facts.bytes);
        world.ledger.offer(number, facts);
        (record, number)
    }

    /// There is room: records that wait are offered again, in their order. A record whose shard is still full does not
    /// hold up those behind it.
    pub(super) fn offer_again(&mut self, world: &mut World) {
        let mut waiting = std::mem::take(&mut self.waiting);
        let mut still = VecDeque::new();
        while let Some((record, number)) = waiting.pop_front() {
            match self.push(world, record, number) {
                Ok(()) => {}
                Err((record, PushErrorReason::Full)) => {
                    still.push_back((record, number));
                    break;
                }
                Err((record, PushErrorReason::ShardFull)) => still.push_back((record, number)),
                Err(_) => drop_record(world, number),
            }
        }
        still.append(&mut waiting);
        self.waiting = still;
    }

    /// Gives up the records that wait.
    pub(super) fn drop_waiting(&mut self, world: &mut World) {
        for (_, number) in std::mem::take(&mut self.waiting) {
            drop_record(world, number);
        }
    }

    fn keep_or_drop(&mut self, world: &mut World, record: Record, number: u64, reason: PushErrorReason) {
        if reason.is_full() && self.waiting.len() < world.options.workload.waiting_max as usize {
            self.waiting.push_back((record, number));
        } else {
            drop_record(world, number);
        }
    }

    fn push(
        &mut self,
        world: &mut World,
        record: Record,
        number: u64,
    ) -> Result<(), (Record, PushErrorReason)> {
        let at = self.clock.read(world.now);
        match self.batcher.push(at, record, number) {
            Ok(()) => {
                self.was_accepted(world, number);
                Ok(())
            }
            Err(refused) => {
                self.was_refused(world, number, refused.reason);
                Err((refused.record, refused.reason))
            }
        }
    }

    /// Pushes all of them: those behind one that is refused go in another call.
    fn push_all(&mut self, world: &mut World, records: Vec<(Record, u64)>) {
        let mut records = records.into_iter();
        let mut taken = Vec::new();
        while records.len() > 0 {
            let at = self.clock.read(world.now);
            let pushed =
                self.batcher.push_all(at, records.by_ref().inspect(|(_, number)| taken.push(*number)));
            let accepted = taken.len() - usize::from(pushed.is_err());
            for number in taken.drain(..).take(accepted) {
                self.was_accepted(world, number);
            }
            if let Err(refused) = pushed {
                self.was_refused(world, refused.tag, refused.reason);
                self.keep_or_drop(world, refused.record, refused.tag, refused.reason);
            }
        }
    }

    fn was_accepted(&mut self, world: &mut World, number: u64) {
        let clock = self.clock.latest();
        world.ledger.accept(number, clock, world.now, self.accepted);
        self.accepted += 1;
        world.meter.totals.records_accepted += 1;
        if let (Some(reader), Some(facts)) = (&mut world.reader, world.ledger.record(number)) {
            reader.accepted(number, facts);
        }
        self.log_push(world, number, None);
        world.show(clock, &Observation::Accepted { producer: self.number, record: number });
    }

    fn was_refused(&mut self, world: &mut World, number: u64, reason: PushErrorReason) {
        world.meter.totals.records_refused += 1;
        self.log_push(world, number, Some(reason));
        let refused = Observation::Refused { producer: self.number, record: number, reason };
        world.show(self.clock.latest(), &refused);
    }

    fn log_push(&self, world: &mut World, number: u64, refused: Option<PushErrorReason>) {
        if world.trace.is_on()
            && let Some(facts) = world.ledger.record(number).copied()
        {
            let outcome = refused.map_or("accepted".into(), |reason| reason.to_string());
            world.log(format_args!("p{} push {number} ({facts}): {outcome}", self.number));
        }
    }
}

fn drop_record(world: &mut World, number: u64) {
    world.meter.totals.records_dropped += 1;
    world.ledger.end(number);
}
