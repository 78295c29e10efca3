//! Records on their way into a batcher.

use std::collections::VecDeque;

use kinesis_batcher_core::{PushErrorReason, Record};

use super::{BEGIN, Simulation};
use crate::check::{Cause, Observation, Scene};

impl Simulation {
    /// A producer is asked to send what comes now.
    pub(super) fn offer(&mut self, index: usize) {
        let producer = &mut self.producers[index];
        let records = producer.arrivals.take();
        self.arrivals[index] = producer.arrivals.next_at();
        for _ in 0..records {
            let number = self.next_record;
            self.next_record += 1;
            let producer = &mut self.producers[index];
            let (record, facts) = producer.maker.make(index as u32, number, &self.keys);
            self.meter.totals.records_offered += 1;
            self.meter.totals.bytes_offered += u64::from(facts.bytes);
            self.ledger.offer(number, facts);
            if let Err((record, reason)) = self.push(index, record, number) {
                let producer = &mut self.producers[index];
                let room = producer.waiting.len() < self.options.workload.waiting_max as usize;
                if reason.is_full() && room {
                    producer.waiting.push_back((record, number));
                } else {
                    self.drop_record(number);
                }
            }
            if !self.options.workload.pushes_together {
                self.drive(index, Cause::Push);
            }
        }
        if self.options.workload.pushes_together {
            self.drive(index, Cause::Push);
        }
    }

    /// There is room: what waits is offered again, in its order. A record whose shard is still full does not hold up
    /// those behind it.
    pub(super) fn offer_again(&mut self, index: usize) {
        let mut waiting = std::mem::take(&mut self.producers[index].waiting);
        let mut still = VecDeque::new();
        while let Some((record, number)) = waiting.pop_front() {
            match self.push(index, record, number) {
                Ok(()) => {}
                Err((record, PushErrorReason::Full)) => {
                    still.push_back((record, number));
                    break;
                }
                Err((record, PushErrorReason::ShardFull)) => still.push_back((record, number)),
                Err(_) => self.drop_record(number),
            }
        }
        still.append(&mut waiting);
        self.producers[index].waiting = still;
    }

    /// What waits is given up.
    pub(super) fn drop_waiting(&mut self, index: usize) {
        for (_, number) in std::mem::take(&mut self.producers[index].waiting) {
            self.drop_record(number);
        }
    }

    fn push(&mut self, index: usize, record: Record, number: u64) -> Result<(), (Record, PushErrorReason)> {
        let producer = &mut self.producers[index];
        let at = producer.clock.tell(self.now);
        let clock = producer.clock.told();
        let refused = match producer.batcher.push(at, record, number) {
            Ok(()) => {
                self.ledger.accept(number, clock, self.now, producer.accepted);
                producer.accepted += 1;
                self.meter.totals.records_accepted += 1;
                None
            }
            Err(refused) => {
                self.meter.totals.records_refused += 1;
                Some(refused)
            }
        };
        if self.trace.is_on()
            && let Some(facts) = self.ledger.record(number)
        {
            let told = refused.as_ref().map_or("accepted".into(), |refused| refused.reason.to_string());
            let at = self.now.since(BEGIN);
            self.trace.line(at, format_args!("p{index} push {number} ({facts}): {told}"));
        }
        let scene = Scene { now: self.now, clock, ledger: &self.ledger };
        let producer = index as u32;
        match refused {
            None => {
                self.checkers.show(&scene, &Observation::Accepted { producer, record: number });
                Ok(())
            }
            Some(refused) => {
                let reason = refused.reason;
                self.checkers.show(&scene, &Observation::Refused { producer, record: number, reason });
                Err((refused.record, reason))
            }
        }
    }

    fn drop_record(&mut self, number: u64) {
        self.meter.totals.records_dropped += 1;
        self.ledger.end(number);
    }
}
