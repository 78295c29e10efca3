//! The end of faults, and the end of the run.

use std::time::Duration;

use kinesis_batcher_core::limits::{
    RECORD_BYTES_MAX_CEILING, SHARD_BYTES_PER_SECOND, SHARD_RECORDS_PER_SECOND,
};
use kinesis_batcher_core::{Batcher, Ordering, ShardLimit};

use super::agenda::Item;
use super::{BEGIN, Simulation};
use crate::check::{Breach, Cause, Invariant, Observation, Scene};
use crate::faults::FaultKind;
use crate::network::STUCK_MAX;
use crate::options::Ending;

impl Simulation {
    /// Faults are over, and nothing more is offered.
    pub(super) fn heal(&mut self) {
        self.is_healed = true;
        self.meter.end_settled(self.now.since(BEGIN), &self.service);
        if self.trace.is_on() {
            self.trace.line(self.now.since(BEGIN), format_args!("   faults are over"));
        }
        self.conditions_change();
        for index in 0..self.producers.len() {
            self.producers[index].arrivals.stop();
            self.arrivals[index] = self.producers[index].arrivals.next_at();
        }
        let scene = Scene { now: self.now, clock: self.now, ledger: &self.ledger };
        self.checkers.show(&scene, &Observation::Healed);
        self.agenda.add(self.now.after(self.bound()), Item::Bound);
        let cause = match self.options.ending {
            Ending::Close => Cause::Close,
            Ending::Abort => Cause::Abort,
            Ending::Drain => return,
        };
        for index in 0..self.producers.len() {
            self.command(index, cause);
        }
    }

    /// Whether nothing is left to do.
    pub(super) fn is_done(&self) -> bool {
        self.is_healed && self.producers.iter().all(|producer| producer.is_drained)
    }

    /// Producers that were left alone and hold nothing are closed.
    pub(super) fn close_the_drained(&mut self) {
        for index in 0..self.producers.len() {
            let producer = &self.producers[index];
            if !producer.batcher.is_closed() && producer.waiting.is_empty() && producer.held() == 0 {
                self.command(index, Cause::Close);
            }
        }
    }

    /// It has taken too long.
    pub(super) fn bound_is_reached(&mut self) {
        self.is_over = true;
        for index in 0..self.producers.len() {
            let producer = &self.producers[index];
            if producer.is_drained {
                continue;
            }
            let stats = producer.batcher.stats();
            let what = format!(
                "faults ended {:?} ago and it still holds {} queued and {} in flight ({} wait outside); \
                 its deadline is {:?}",
                self.now.since(BEGIN).saturating_sub(self.options.duration),
                stats.records_queued,
                stats.records_in_flight,
                producer.waiting.len(),
                producer.deadline.map(|deadline| (deadline.at.since(BEGIN), deadline.reason)),
            );
            self.violated(Invariant::Liveness, Some(index as u32), Breach::new(what));
        }
    }

    /// After the last event there is none, whatever is called.
    pub(super) fn check_silence(&mut self) {
        for index in 0..self.producers.len() {
            let producer = &mut self.producers[index];
            let at = producer.clock.tell(self.now);
            producer.batcher.handle_timeout(at);
            producer.batcher.flush(at);
            let talks = producer.batcher.poll_request().is_some()
                || producer.batcher.poll_event().is_some()
                || producer.batcher.poll_timeout().is_some();
            if talks {
                let breach = Breach::new("it is drained, and still has something to say");
                self.violated(Invariant::Liveness, Some(index as u32), breach);
            }
        }
    }

    /// How long draining may take: what all of them hold, as if one shard had to take it all at the least rate that
    /// they and the service allow, after every wait that a fault may have left behind. In order it may be that one record
    /// goes a round trip. Generous, because waiting costs a simulation nothing; what will never drain is found all the
    /// same.
    fn bound(&self) -> Duration {
        let share = match self.options.config.shard_limit() {
            ShardLimit::Percent(percent) => u64::from(percent).min(100),
            ShardLimit::Off => 100,
        };
        let held = |count: fn(&Batcher<u64>) -> u64| -> u64 {
            self.producers.iter().map(|producer| count(&producer.batcher)).sum()
        };
        let bytes = held(|batcher| batcher.stats().buffered_bytes) + RECORD_BYTES_MAX_CEILING as u64;
        let records = held(|batcher| batcher.stats().records_queued + batcher.stats().records_in_flight);
        let waiting: u64 = self.producers.iter().map(|producer| producer.waiting.len() as u64).sum();
        let service = self.service.options();
        let left = u64::from(100 - service.accounting.others.percent_max().min(100));
        let slower = |ours: u64, theirs: u32| (ours * share / 100).min(u64::from(theirs) * left / 100).max(1);
        let seconds = bytes / slower(SHARD_BYTES_PER_SECOND, service.bytes_per_second_per_shard)
            + (records + waiting) / slower(SHARD_RECORDS_PER_SECOND, service.records_per_second_per_shard);
        let network = &self.options.network;
        // A body that was too large leaves requests small for good.
        let is_divided = self.faults.iter().any(|fault| matches!(fault.what, FaultKind::BodyTooLarge(_)));
        let one_by_one = match self.options.config.ordering() {
            Ordering::None if !is_divided => Duration::ZERO,
            _ => (network.out.max() + network.back.max())
                .saturating_mul(u32::try_from(records + waiting).unwrap_or(u32::MAX)),
        };
        // Rates that adapt begin at their floor where a shard was throttled all along.
        let patience = if self.options.config.adaptive_rates() { 16 } else { 4 };
        Duration::from_secs(patience * seconds)
            + one_by_one * 2
            + 4 * network.request_timeout
            + network.out.max() * 20
            + self.options.refresh.max() * 4
            + 4 * STUCK_MAX
    }
}
