//! The end of faults, and the end of the run.

use std::time::Duration;

use kinesis_batcher_core::{Batcher, Ordering, ShardLimit};
use kinesis_model::limits::{RECORD_BYTES_MAX_CEILING, SHARD_BYTES_PER_SECOND, SHARD_RECORDS_PER_SECOND};

use super::agenda::Item;
use super::link::STUCK_MAX;
use super::producer::Producer;
use super::{BEGIN, Simulation};
use crate::check::{Breach, Cause, Invariant, Observation};
use crate::faults::FaultKind;
use crate::options::Ending;

impl Simulation {
    /// Faults are over, and nothing more is offered.
    pub(super) fn heal(&mut self) {
        let world = &mut self.world;
        world.is_healed = true;
        world.meter.end_steady(world.now.since(BEGIN), &self.stream.service);
        world.log(format_args!("   faults are over"));
        for producer in &mut self.producers {
            producer.arrivals.stop();
        }
        self.conditions_change();
        self.world.show(self.world.now, &Observation::Healed);
        self.world.agenda.add(self.world.now.after(self.bound()), Item::Bound);
        let cause = match self.world.options.ending {
            Ending::Close => Cause::Close,
            Ending::Abort => Cause::Abort,
            Ending::Drain => return,
        };
        for index in 0..self.producers.len() {
            self.command(index as u32, cause);
        }
    }

    /// Whether nothing is left to do.
    pub(super) fn is_done(&self) -> bool {
        self.world.is_healed && self.producers.iter().all(Producer::has_ended)
    }

    /// Closes producers that were left alone and hold nothing.
    pub(super) fn close_the_drained(&mut self) {
        for index in 0..self.producers.len() {
            let producer = &self.producers[index];
            if !producer.is_crashed
                && !producer.batcher.is_closed()
                && producer.waiting.is_empty()
                && producer.held() == 0
            {
                self.command(index as u32, Cause::Close);
            }
        }
    }

    /// Draining has taken too long.
    pub(super) fn bound_is_reached(&mut self) {
        self.world.is_over = true;
        for producer in self.producers.iter().filter(|producer| !producer.has_ended()) {
            let stats = producer.batcher.stats();
            let what = format!(
                "faults ended {:?} ago and it still holds {} queued and {} in flight ({} wait outside); \
                 its deadline is {:?}",
                self.world.elapsed().saturating_sub(self.world.options.duration),
                stats.records_queued,
                stats.records_in_flight,
                producer.waiting.len(),
                producer.deadline.map(|deadline| (deadline.at.since(BEGIN), deadline.reason)),
            );
            self.world.violated(Invariant::Liveness, Some(producer.number), Breach::new(what));
        }
    }

    /// After the last event there is none, whatever is called.
    pub(super) fn check_silence(&mut self) {
        for producer in self.producers.iter_mut().filter(|producer| producer.is_drained) {
            let at = producer.clock.read(self.world.now);
            producer.batcher.handle_timeout(at);
            producer.batcher.flush(at);
            let talks = producer.batcher.poll_request().is_some()
                || producer.batcher.poll_event().is_some()
                || producer.batcher.poll_timeout().is_some();
            if talks {
                let breach = Breach::new("it is drained, and still has something to say");
                self.world.violated(Invariant::Liveness, Some(producer.number), breach);
            }
        }
    }

    /// How long draining may take: everything that is held, as if one shard had to take it all at the least rate that
    /// producer and service allow, after every wait that a fault may have left behind. In order it may be that one
    /// record goes a round trip. Generous, because waiting costs a simulation nothing; what will never drain is found
    /// all the same.
    fn bound(&self) -> Duration {
        let options = &self.world.options;
        let share = match options.config.shard_limit() {
            ShardLimit::Percent(percent) => u64::from(percent).min(100),
            ShardLimit::Off => 100,
        };
        let alive = || self.producers.iter().filter(|producer| !producer.has_ended());
        let held = |count: fn(&Batcher<u64>) -> u64| -> u64 {
            alive().map(|producer| count(&producer.batcher)).sum()
        };
        let bytes = held(|batcher| batcher.stats().buffered_bytes) + RECORD_BYTES_MAX_CEILING as u64;
        let waiting: u64 = alive().map(|producer| producer.waiting.len() as u64).sum();
        let records =
            held(|batcher| batcher.stats().records_queued + batcher.stats().records_in_flight) + waiting;
        let service = self.stream.service.options();
        let left = u64::from(100 - service.accounting.others.percent_max().min(100));
        let slower = |ours: u32, theirs: u32| {
            (u64::from(ours) * share / 100).min(u64::from(theirs) * left / 100).max(1)
        };
        let seconds = bytes / slower(SHARD_BYTES_PER_SECOND, service.bytes_per_second_per_shard)
            + records / slower(SHARD_RECORDS_PER_SECOND, service.records_per_second_per_shard);
        let times = |duration: Duration, count: u64| {
            duration.saturating_mul(u32::try_from(count).unwrap_or(u32::MAX))
        };
        // A body that was too large leaves requests small for good.
        let is_divided = self.faults.iter().any(|fault| matches!(fault.what, FaultKind::BodyTooLarge(_)));
        let round_trip = options.network.round_trip_max();
        let one_by_one = match options.config.ordering() {
            Ordering::None if !is_divided => Duration::ZERO,
            _ => times(round_trip, records),
        };
        // Rates that adapt begin at their floor where a shard was throttled all along.
        let patience = if options.config.adaptive_rates() { 16 } else { 4 };
        let standing_still = alive().map(|producer| producer.clock.stands_still_for(self.world.now)).max();
        Duration::from_secs(patience * seconds)
            + one_by_one * 2
            + 4 * options.network.request_timeout
            + round_trip * 20
            + options.network.transfer(2 * bytes)
            + options.refresh.max() * 4
            + 4 * STUCK_MAX
            + times(options.caller.polling.delay_max(), 2 * records + 1_000)
            + standing_still.unwrap_or_default()
    }
}
