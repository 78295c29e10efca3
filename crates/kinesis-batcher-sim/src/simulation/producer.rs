//! One producer: a batcher and the program around it.

use std::collections::VecDeque;
use std::time::Duration;

use kinesis_batcher_core::{Batcher, Deadline, Delivered, Event, Record, ShardMap, Timestamp};

use super::agenda::Item;
use super::clock::Clock;
use super::credentials::Credentials;
use super::link::Link;
use super::world::World;
use super::{BEGIN, EventText};
use crate::caller::{Caller, Calls, Polling};
use crate::check::{Cause, Observation};
use crate::workload::{Arrivals, Maker};
use kinesis_model::Rng;

/// A producer from its start to its end. One that restarts after a crash is another producer, with the next number.
pub(super) struct Producer {
    pub(super) number: u32,
    pub(super) batcher: Batcher<u64>,
    pub(super) clock: Clock,
    pub(super) link: Link,
    pub(super) credentials: Credentials,
    pub(super) caller: Caller,
    pub(super) arrivals: Arrivals,
    pub(super) maker: Maker,
    /// Refused records that are offered again when there is room.
    pub(super) waiting: VecDeque<(Record, u64)>,
    /// The deadline that was polled last.
    pub(super) deadline: Option<Deadline>,
    /// When its timer fires.
    wake_at: Timestamp,
    /// Until then its process stands still.
    pub(super) paused_until: Timestamp,
    /// How many records were accepted.
    pub(super) accepted: u64,
    /// The batcher announced room.
    pub(super) is_unblocked: bool,
    /// The batcher has drained.
    pub(super) is_drained: bool,
    pub(super) is_crashed: bool,
    /// A listing of the shards is under way.
    pub(super) is_refreshing: bool,
    /// Why the batcher was called since everything was polled.
    unpolled: Option<Cause>,
    poll_is_planned: bool,
    /// Memory of delivered records, on its way back to the batcher.
    pub(super) emptied: Option<Delivered<u64>>,
    /// Empty; its memory is used again.
    pub(super) events: Vec<Event<u64>>,
    pub(super) rng: Rng,
}

impl Producer {
    pub(super) fn new(number: u32, world: &World, root: &Rng, map: ShardMap) -> Self {
        let options = &world.options;
        let rng = root.fork("producer").fork(&number.to_string());
        let remaining = options.duration.saturating_sub(world.elapsed());
        let map = if options.caller.starts_without_map { ShardMap::unknown() } else { map };
        Self {
            number,
            batcher: Batcher::new(options.config.clone(), map, rng.fork("batcher").next(), world.now),
            clock: Clock::new(world.now),
            link: Link::new(options.network, rng.fork("link")),
            credentials: Credentials::new(),
            caller: options.caller,
            arrivals: Arrivals::new(&options.workload, world.now, remaining, rng.fork("arrivals")),
            maker: Maker::new(&options.workload, rng.fork("records")),
            waiting: VecDeque::new(),
            deadline: None,
            wake_at: Timestamp::MAX,
            paused_until: Timestamp::ZERO,
            accepted: 0,
            is_unblocked: false,
            is_drained: false,
            is_crashed: false,
            is_refreshing: false,
            unpolled: None,
            poll_is_planned: false,
            emptied: None,
            events: Vec::new(),
            rng: rng.fork("program"),
        }
    }

    /// Begins: a batcher without a map asks for one.
    pub(super) fn begin(&mut self, world: &mut World) {
        let began = Observation::Began { producer: self.number, batcher: &self.batcher };
        world.show(self.clock.latest(), &began);
        if self.batcher.shard_map().is_unknown() {
            self.called(world, Cause::Spurious);
        }
    }

    /// When it does something by itself next.
    pub(super) fn due_at(&self) -> Timestamp {
        if self.is_crashed {
            return Timestamp::MAX;
        }
        self.wake_at.min(self.arrivals.next_at()).max(self.paused_until)
    }

    /// Whether nothing more comes of it.
    pub(super) fn has_ended(&self) -> bool {
        self.is_drained || self.is_crashed
    }

    pub(super) fn held(&self) -> u64 {
        let stats = self.batcher.stats();
        stats.records_queued + stats.records_in_flight
    }

    /// Its timer fires, or records come.
    pub(super) fn act(&mut self, world: &mut World) {
        let (wakes, arrives) = (self.wake_at <= world.now, self.arrivals.next_at() <= world.now);
        if wakes && (!arrives || world.rng.ties.one_in(2)) {
            self.wake(world);
        } else {
            self.offer(world);
        }
    }

    fn wake(&mut self, world: &mut World) {
        let reason = self.deadline.map(|deadline| deadline.reason);
        world.log(format_args!("p{} timeout {reason:?}", self.number));
        let at = self.clock.read(world.now);
        self.batcher.handle_timeout(at);
        // Armed again once everything is polled. A deadline that has not moved fires again, which is found out as a
        // busy loop.
        self.wake_at = Timestamp::MAX;
        self.called(world, Cause::Timeout);
    }

    /// The batcher was called: polls it, at once or later.
    pub(super) fn called(&mut self, world: &mut World, cause: Cause) {
        let is_command = |cause| matches!(cause, Cause::Flush | Cause::Close | Cause::Abort);
        if !self.unpolled.is_some_and(is_command) {
            self.unpolled = Some(cause);
        }
        match self.caller.polling {
            Polling::Prompt => self.poll(world),
            Polling::Late(by) => self.plan_poll(world, by),
            Polling::Partial { again, .. } => {
                self.poll(world);
                if self.unpolled.is_some() {
                    self.plan_poll(world, again);
                }
            }
        }
    }

    fn plan_poll(&mut self, world: &mut World, within: Duration) {
        if !std::mem::replace(&mut self.poll_is_planned, true) {
            let after = Duration::from_nanos(self.rng.below(within.as_nanos() as u64).max(1));
            world.agenda.add(world.now.after(after), Item::Poll(self.number));
        }
    }

    /// A poll that was planned.
    pub(super) fn poll_later(&mut self, world: &mut World) {
        self.poll_is_planned = false;
        self.poll(world);
        if self.unpolled.is_some() {
            self.plan_poll(world, self.caller.polling.delay_max());
        }
    }

    fn poll(&mut self, world: &mut World) {
        let (mut requests, mut events) = match self.caller.polling {
            Polling::Partial { requests, events, .. } => (requests.max(1), events.max(1)),
            Polling::Prompt | Polling::Late(_) => (u32::MAX, u32::MAX),
        };
        let is_all = match self.caller.calls {
            Calls::Single => self.poll_requests_then_events(world, &mut requests, &mut events),
            Calls::Batch => self.poll_events_before_each_request(world, &mut requests, &mut events),
        };
        if is_all {
            self.polled(world);
        }
    }

    /// The loop of the core's documentation. Says whether nothing is left.
    fn poll_requests_then_events(&mut self, world: &mut World, requests: &mut u32, events: &mut u32) -> bool {
        loop {
            let mut is_all = false;
            while *requests > 0 && !is_all {
                match self.batcher.poll_request() {
                    Some(request) => self.launch(world, request),
                    None => is_all = true,
                }
                *requests -= u32::from(!is_all);
            }
            loop {
                if *events == 0 {
                    is_all = false;
                    break;
                }
                let Some(event) = self.batcher.poll_event() else { break };
                self.note(world, &event);
                *events -= 1;
            }
            if !std::mem::take(&mut self.is_unblocked) {
                return is_all;
            }
            self.offer_again(world);
        }
    }

    /// The loop of the drivers. Says whether nothing is left.
    fn poll_events_before_each_request(
        &mut self,
        world: &mut World,
        requests: &mut u32,
        events: &mut u32,
    ) -> bool {
        let mut is_all = false;
        loop {
            while let Some(event) = self.batcher.poll_event() {
                is_all = false;
                self.note(world, &event);
                *events -= 1;
                if *events == 0 {
                    return false;
                }
            }
            if std::mem::take(&mut self.is_unblocked) {
                is_all = false;
                self.offer_again(world);
                continue;
            }
            // Building requests may have made events.
            if is_all {
                return true;
            }
            if *requests == 0 {
                return false;
            }
            match self.batcher.poll_unsealed_request() {
                Some(request) => {
                    *requests -= 1;
                    self.launch(world, request.seal());
                }
                None => is_all = true,
            }
        }
    }

    /// Everything was polled.
    fn polled(&mut self, world: &mut World) {
        let Some(cause) = self.unpolled.take() else { return };
        let deadline_before = self.deadline;
        let deadline = self.batcher.poll_timeout();
        self.deadline = deadline;
        if deadline != deadline_before || self.wake_at == Timestamp::MAX {
            self.arm(world);
        }
        if world.trace.is_on() && cause != Cause::Push {
            let stats = self.batcher.stats();
            let (queued, in_flight) = (stats.records_queued, stats.records_in_flight);
            let (requests, allowed) = (stats.requests_in_flight, stats.requests_in_flight_allowed);
            let deadline = deadline.map(|deadline| (deadline.at.since(BEGIN), deadline.reason));
            world.log(format_args!(
                "p{} has {queued} queued, {in_flight} in {requests}/{allowed} requests; next {deadline:?}",
                self.number
            ));
        }
        let settled = Observation::Settled {
            producer: self.number,
            cause,
            deadline_before,
            stats_before: None,
            batcher: &self.batcher,
            deadline,
        };
        world.show(self.clock.latest(), &settled);
    }

    /// Sets the timer to the deadline, by its own clock.
    pub(super) fn arm(&mut self, world: &mut World) {
        self.wake_at = match self.deadline {
            None => Timestamp::MAX,
            Some(deadline) => {
                let late = self.link.conditions.timers_late.as_nanos() as u64;
                let late = if late == 0 { 0 } else { world.rng.timers.below(late) };
                self.clock.shows_at(deadline.at).after(Duration::from_nanos(late)).max(world.now)
            }
        };
    }

    /// An event of the batcher.
    pub(super) fn note(&mut self, world: &mut World, event: &Event<u64>) {
        world.show(self.clock.latest(), &Observation::Event { producer: self.number, event });
        world.log(format_args!("p{} {}", self.number, EventText(event)));
        match event {
            Event::Delivered { tag, receipt } => {
                world.stir(1, *tag, u64::from(receipt.attempts));
                world.meter.totals.records_possibly_duplicated += u64::from(receipt.possible_duplicate);
                if let Some(facts) = world.ledger.end(*tag) {
                    if let Some(reader) = &mut world.reader {
                        reader.delivered(*tag);
                    }
                    let accepted_at = facts.accepted.map_or(world.now, |accepted| accepted.now);
                    let sampled = world.options.interval.is_some();
                    let delay = world.now.since(accepted_at);
                    world.meter.delivered(facts.producer, facts.bytes, delay, sampled);
                }
            }
            Event::Failed { tag, failure, .. } => {
                world.stir(2, *tag, u64::from(failure.attempts));
                world.meter.totals.records_possibly_duplicated += u64::from(failure.possibly_stored);
                world.meter.failed(&failure.reason);
                world.forget(*tag);
            }
            Event::ShardMapStale => {
                world.stir(3, u64::from(self.number), 0);
                world.meter.totals.shard_maps_asked_for += 1;
                self.refresh(world);
            }
            Event::Unblocked => {
                world.stir(4, u64::from(self.number), 0);
                world.meter.totals.unblocked += 1;
                self.is_unblocked = true;
            }
            Event::Drained => {
                world.stir(5, u64::from(self.number), 0);
                self.is_drained = true;
            }
            _ => {}
        }
    }

    /// Lists the shards, one listing at a time.
    pub(super) fn refresh(&mut self, world: &mut World) {
        if std::mem::replace(&mut self.is_refreshing, true) {
            return;
        }
        let rng = &mut world.rng.listing;
        let takes = world.options.refresh.draw(rng).saturating_add(self.link.conditions.map_slow);
        let read_after = Duration::from_nanos(rng.between(0, takes.as_nanos() as u64));
        let answered_at = world.now.after(takes);
        world.agenda.add(world.now.after(read_after), Item::ReadMap { producer: self.number, answered_at });
    }

    /// A listing came back.
    pub(super) fn give_map(&mut self, world: &mut World, map: ShardMap) {
        world.meter.totals.shard_maps += 1;
        self.is_refreshing = false;
        let at = self.clock.read(world.now);
        world.log(format_args!("p{} gets {map:?}", self.number));
        world.show(self.clock.latest(), &Observation::MapGiven { producer: self.number, map: &map });
        self.batcher.handle_shard_map(at, map);
        self.called(world, Cause::ShardMap);
    }

    /// A command to the batcher.
    pub(super) fn command(&mut self, world: &mut World, cause: Cause) {
        let at = self.clock.read(world.now);
        match cause {
            Cause::Flush => self.batcher.flush(at),
            Cause::Close => self.batcher.close(at),
            Cause::Abort => self.batcher.abort(at),
            _ => return,
        }
        world.log(format_args!("p{} {cause:?}", self.number));
        if cause != Cause::Flush {
            self.drop_waiting(world);
        }
        self.called(world, cause);
    }

    /// Its process ends. Records that it holds are gone; requests on their way may still arrive.
    pub(super) fn crash(&mut self, world: &mut World) {
        world.log(format_args!("p{} crashes", self.number));
        self.drop_waiting(world);
        self.is_crashed = true;
        let held = world.ledger.iter().filter(|(_, facts)| facts.producer == self.number);
        let held: Vec<u64> = held.map(|(number, _)| number).collect();
        world.meter.totals.records_lost += held.len() as u64;
        let requests = world.flights.iter().filter(|(_, flight)| flight.producer == self.number);
        let requests: Vec<u64> = requests.map(|(number, _)| number).collect();
        let crashed = Observation::Crashed { producer: self.number, held: &held, requests: &requests };
        world.show(self.clock.latest(), &crashed);
        for number in held {
            world.forget(number);
        }
    }

    /// `handle_timeout` for no reason.
    pub(super) fn call_in_vain(&mut self, world: &mut World) {
        let at = self.clock.read(world.now);
        self.batcher.handle_timeout(at);
        self.called(world, Cause::Spurious);
    }

    /// `handle_timeout` with an earlier time. Only a program that has polled everything can see that it changes nothing.
    pub(super) fn step_back(&mut self, world: &mut World, back: Duration) {
        if self.unpolled.is_some() {
            return;
        }
        let latest = self.clock.latest();
        let earlier = Timestamp::from_nanos(latest.as_nanos().saturating_sub(back.as_nanos() as u64));
        let (stats, deadline_before) = (self.batcher.stats(), self.deadline);
        self.batcher.handle_timeout(earlier);
        let observation = Observation::Settled {
            producer: self.number,
            cause: Cause::StepBack,
            deadline_before,
            stats_before: Some(&stats),
            batcher: &self.batcher,
            deadline: self.batcher.poll_timeout(),
        };
        world.show(latest, &observation);
        self.unpolled = Some(Cause::Spurious);
        self.poll(world);
    }
}
