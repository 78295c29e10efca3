//! The loop that joins producers, network and service in virtual time.

mod agenda;
mod ending;
mod flight;
mod offer;
mod producer;
mod stream;
mod wire;

use std::time::Duration;

use kinesis_batcher_core::{Batcher, Event, Timestamp};

use crate::check::{Breach, Cause, Checker, Checkers, Invariant, Kind, Observation, Scene};
use crate::faults::{Conditions, Fault, Faults};
use crate::ledger::Ledger;
use crate::meter::Meter;
use crate::options::{Ending, Options};
use crate::report::Report;
use crate::service::{Kinesis, shard_map, time};
use crate::trace::Trace;
use crate::workload::{Arrivals, KeySpace, Maker, POISON};
use kinesis_model::Rng;

use agenda::{Agenda, Item};
use flight::{Flights, Members};
use producer::{Clock, Producer, Signer};
use stream::Listed;

/// Runs a simulation from its beginning to its end.
///
/// Records are offered and faults happen for [`Options::duration`]. Then all faults are over and nothing more is
/// offered: every producer must drain within a bound, which follows from what it holds and may send, or
/// [`Invariant::Liveness`] is violated.
///
/// Nothing but the seed and the options decides what happens: the same two give the same report, byte for byte.
///
/// # Panics
/// When the core does, which is a bug there.
#[must_use]
pub fn run(seed: u64, options: &Options) -> Report {
    run_with(seed, options, Vec::new())
}

/// Runs a simulation that checkers of one's own watch too, besides those that [`Options::checks`] names.
///
/// # Panics
/// As [`run`].
#[must_use]
pub fn run_with(seed: u64, options: &Options, checkers: Vec<Box<dyn Checker>>) -> Report {
    let mut options = options.clone();
    options.producers = options.producers.max(1);
    options.faults = Faults::Plan(options.faults.resolve(seed, &options));
    Simulation::new(seed, options, checkers).run()
}

struct Simulation {
    seed: u64,
    options: Options,
    faults: Vec<Fault>,
    now: Timestamp,
    steps: u64,
    /// Steps since time moved.
    steps_in_place: u32,
    agenda: Agenda,
    producers: Vec<Producer>,
    /// When each producer's timer fires.
    wakes: Vec<Timestamp>,
    /// When each producer is offered its next records.
    arrivals: Vec<Timestamp>,
    service: Kinesis,
    /// When the service does something by itself.
    service_at: Timestamp,
    listed: Listed,
    flights: Flights,
    conditions: Conditions,
    keys: KeySpace,
    ledger: Ledger,
    checkers: Checkers,
    meter: Meter,
    trace: Trace,
    digest: u64,
    next_record: u64,
    next_request: u64,
    is_healed: bool,
    /// Why it ends before everything has drained.
    is_over: bool,
    members: Vec<Members>,
    rng: Rngs,
}

/// A stream of randomness for each concern, so that one more draw in one does not move the others.
struct Rngs {
    network: Rng,
    reply: Rng,
    listing: Rng,
    reshard: Rng,
    timers: Rng,
    mischief: Rng,
}

impl Simulation {
    fn new(seed: u64, options: Options, checkers: Vec<Box<dyn Checker>>) -> Self {
        let root = Rng::new(seed);
        let faults = match &options.faults {
            Faults::Plan(faults) => faults.clone(),
            Faults::None | Faults::Swarm => Vec::new(),
        };
        let mut service = Kinesis::new(options.service.clone(), root.fork("service").next(), time(BEGIN));
        if options.workload.poison > 0 {
            service.set_poison(POISON);
        }
        let map = shard_map(&service);
        let producers: Vec<Producer> = (0..options.producers)
            .map(|index| {
                let rng = root.fork("producer").fork(&index.to_string());
                let arrivals =
                    Arrivals::new(&options.workload, BEGIN, options.duration, rng.fork("arrivals"));
                Producer {
                    batcher: Batcher::new(
                        options.config.clone(),
                        map.clone(),
                        rng.fork("batcher").next(),
                        BEGIN,
                    ),
                    clock: Clock::new(BEGIN),
                    arrivals,
                    maker: Maker::new(&options.workload, rng.fork("records")),
                    waiting: std::collections::VecDeque::new(),
                    signer: Signer::new(),
                    deadline: None,
                    accepted: 0,
                    is_unblocked: false,
                    is_drained: false,
                    is_refreshing: false,
                }
            })
            .collect();
        let mut simulation = Self {
            seed,
            faults,
            now: BEGIN,
            steps: 0,
            steps_in_place: 0,
            agenda: Agenda::default(),
            wakes: vec![Timestamp::MAX; producers.len()],
            arrivals: producers.iter().map(|producer| producer.arrivals.next_at()).collect(),
            producers,
            listed: Listed::new(&service, map),
            service,
            service_at: Timestamp::MAX,
            flights: Flights::default(),
            conditions: Conditions::default(),
            keys: KeySpace::new(options.workload.keys, options.workload.key_text),
            ledger: Ledger::default(),
            checkers: Checkers::new(&options, checkers, BEGIN),
            meter: Meter::new(options.producers),
            trace: Trace::new(options.trace_lines_max),
            digest: seed,
            next_record: 0,
            next_request: 0,
            is_healed: false,
            is_over: false,
            members: Vec::new(),
            rng: Rngs {
                network: root.fork("network"),
                reply: root.fork("reply"),
                listing: root.fork("listing"),
                reshard: root.fork("reshard"),
                timers: root.fork("timers"),
                mischief: root.fork("mischief"),
            },
            options,
        };
        simulation.plan();
        simulation
    }

    fn plan(&mut self) {
        let end = self.options.duration;
        for (index, fault) in self.faults.iter().enumerate().filter(|(_, fault)| fault.from < end) {
            self.agenda.add(BEGIN.after(fault.from), Item::FaultBegins(index));
            if fault.from < fault.to && fault.to < end {
                self.agenda.add(BEGIN.after(fault.to), Item::FaultEnds);
            }
        }
        self.agenda.add(BEGIN.after(self.options.settling.min(end)), Item::Settle);
        if let Some(every) = self.options.refresh_every {
            self.agenda.add(BEGIN.after(every), Item::RefreshAll);
        }
        if let Some(interval) = self.options.interval {
            self.agenda.add(BEGIN.after(interval), Item::Sample);
        }
        self.agenda.add(BEGIN.after(end), Item::Heal);
        for producer in 0..self.producers.len() {
            let began =
                Observation::Began { producer: producer as u32, batcher: &self.producers[producer].batcher };
            self.checkers.show(&Scene { now: self.now, clock: self.now, ledger: &self.ledger }, &began);
        }
        self.watch_service();
    }

    fn run(mut self) -> Report {
        while !self.is_over && !self.is_done() {
            self.step();
            if self.options.stops_at_violation && self.checkers.has_violations() {
                self.is_over = true;
            }
        }
        if !self.is_over {
            self.check_silence();
            let scene = Scene { now: self.now, clock: self.now, ledger: &self.ledger };
            self.checkers.finish(&scene);
        }
        let elapsed = self.elapsed();
        Report {
            seed: self.seed,
            options: self.options,
            totals: self.meter.totals,
            delay: self.meter.delays.percentiles(),
            settled: self.meter.settled(),
            series: self.meter.points,
            violations: self.checkers.into_violations(),
            elapsed,
            steps: self.steps,
            digest: self.digest,
            trace: self.trace.into_text(),
        }
    }

    /// Jumps to the next thing that happens, and lets it happen.
    fn step(&mut self) {
        let (wake_at, waking) = earliest(&self.wakes);
        let (arrival_at, arriving) = earliest(&self.arrivals);
        let agenda_at = self.agenda.next_at();
        let at = wake_at.min(arrival_at).min(agenda_at).min(self.service_at);
        self.steps += 1;
        if at > self.now {
            self.now = at;
            self.steps_in_place = 0;
        } else {
            self.steps_in_place += 1;
            if self.steps_in_place > STEPS_IN_PLACE_MAX {
                let what = format!("{STEPS_IN_PLACE_MAX} steps without time moving on: a busy loop");
                self.violated(Invariant::I6, None, Breach::new(what));
                self.is_over = true;
                return;
            }
        }
        if self.service_at <= self.now {
            self.service.handle_timeout(time(self.now));
            self.watch_service();
        } else if agenda_at <= self.now {
            if let Some(item) = self.agenda.pop() {
                self.happen(item);
            }
        } else if wake_at <= self.now {
            self.wake(waking);
        } else {
            self.offer(arriving);
        }
        self.mischief();
        if self.is_healed && self.options.ending == Ending::Drain {
            self.close_the_drained();
        }
    }

    fn happen(&mut self, item: Item) {
        match item {
            Item::Arrive(flight) => self.arrive(flight),
            Item::Answer(flight) => self.answer(flight),
            Item::GiveUp { flight, arrives_at } => self.give_up(flight, arrives_at),
            Item::ArriveLate(copy) => self.arrive_late(&copy),
            Item::ReadMap { producer, answered_at } => self.read_map(producer, answered_at),
            Item::GiveMap { producer, map } => self.give_map(producer, *map),
            Item::RefreshAll => self.refresh_all(),
            Item::FaultBegins(fault) => self.fault_begins(fault),
            Item::FaultEnds => self.conditions_change(),
            Item::Settle => self.meter.settle(self.elapsed(), self.listed.open_shards()),
            Item::Sample => self.sample(),
            Item::Heal => self.heal(),
            Item::Bound => self.bound_is_reached(),
        }
    }

    /// A producer's timer fires.
    fn wake(&mut self, index: usize) {
        let producer = &mut self.producers[index];
        if self.trace.is_on() {
            let reason = producer.deadline.map(|deadline| deadline.reason);
            self.trace.line(self.now.since(BEGIN), format_args!("p{index} timeout {reason:?}"));
        }
        let at = producer.clock.tell(self.now);
        producer.batcher.handle_timeout(at);
        // Armed again below; a deadline that stays where it is fires again and is found out as a busy loop.
        self.wakes[index] = Timestamp::MAX;
        let deadline = producer.deadline;
        self.drive(index, Cause::Timeout);
        if self.producers[index].deadline == deadline {
            self.arm(index);
        }
    }

    /// What the core asks for after each call: all requests, all events, then the deadline.
    fn drive(&mut self, index: usize, cause: Cause) {
        let deadline_before = self.producers[index].deadline;
        loop {
            while let Some(request) = self.producers[index].batcher.poll_request() {
                self.launch(index, request);
            }
            while let Some(event) = self.producers[index].batcher.poll_event() {
                self.note(index, &event);
            }
            if !std::mem::take(&mut self.producers[index].is_unblocked) {
                break;
            }
            self.offer_again(index);
        }
        let producer = &mut self.producers[index];
        let deadline = producer.batcher.poll_timeout();
        producer.deadline = deadline;
        if deadline != deadline_before {
            self.arm(index);
        }
        if self.trace.is_on() && cause != Cause::Push {
            let stats = self.producers[index].batcher.stats();
            let (queued, in_flight) = (stats.records_queued, stats.records_in_flight);
            let (requests, allowed) = (stats.requests_in_flight, stats.requests_in_flight_allowed);
            let deadline = deadline.map(|deadline| (deadline.at.since(BEGIN), deadline.reason));
            self.trace.line(
                self.now.since(BEGIN),
                format_args!(
                    "p{index} has {queued} queued, {in_flight} in {requests}/{allowed} requests; next {deadline:?}"
                ),
            );
        }
        if self.checkers.want(Kind::Settled) {
            let producer = &self.producers[index];
            let settled = Observation::Settled {
                producer: index as u32,
                cause,
                deadline_before,
                stats_before: None,
                batcher: &producer.batcher,
                deadline,
            };
            let scene = Scene { now: self.now, clock: producer.clock.told(), ledger: &self.ledger };
            self.checkers.show(&scene, &settled);
        }
    }

    /// Sets a producer's timer to its batcher's deadline, by its own clock.
    fn arm(&mut self, index: usize) {
        let producer = &self.producers[index];
        self.wakes[index] = match producer.deadline {
            None => Timestamp::MAX,
            Some(deadline) => {
                let late = self.conditions.timers_late.as_nanos() as u64;
                let late = if late == 0 { 0 } else { self.rng.timers.below(late) };
                producer.clock.shows_at(deadline.at).after(Duration::from_nanos(late)).max(self.now)
            }
        };
    }

    fn note(&mut self, index: usize, event: &Event<u64>) {
        let producer = &self.producers[index];
        let scene = Scene { now: self.now, clock: producer.clock.told(), ledger: &self.ledger };
        self.checkers.show(&scene, &Observation::Event { producer: index as u32, event });
        if self.trace.is_on() {
            self.trace.line(self.now.since(BEGIN), format_args!("p{index} {}", stream::Told(event)));
        }
        match event {
            Event::Delivered { tag, receipt } => {
                self.stir(1, *tag, u64::from(receipt.attempts));
                self.meter.totals.records_possibly_duplicated += u64::from(receipt.possible_duplicate);
                if let Some(facts) = self.ledger.end(*tag) {
                    let accepted_at = facts.accepted.map_or(self.now, |acceptance| acceptance.now);
                    let sampled = self.options.interval.is_some();
                    self.meter.delivered(facts.producer, facts.bytes, self.now.since(accepted_at), sampled);
                }
            }
            Event::Failed { tag, failure, .. } => {
                self.stir(2, *tag, u64::from(failure.attempts));
                self.meter.totals.records_possibly_duplicated += u64::from(failure.possibly_stored);
                self.meter.failed(&failure.reason);
                self.ledger.end(*tag);
            }
            Event::ShardMapStale => {
                self.stir(3, index as u64, 0);
                self.meter.totals.shard_maps_asked_for += 1;
                self.refresh(index);
            }
            Event::Unblocked => {
                self.stir(4, index as u64, 0);
                self.meter.totals.unblocked += 1;
                self.producers[index].is_unblocked = true;
            }
            Event::Drained => {
                self.stir(5, index as u64, 0);
                self.producers[index].is_drained = true;
            }
            _ => {}
        }
    }

    /// Calls that nobody asked for.
    fn mischief(&mut self) {
        if self.conditions.spurious > 0 && self.rng.mischief.happens(self.conditions.spurious) {
            let index = self.rng.mischief.below(self.producers.len() as u64) as usize;
            let producer = &mut self.producers[index];
            let at = producer.clock.tell(self.now);
            producer.batcher.handle_timeout(at);
            self.drive(index, Cause::Spurious);
        }
        if self.conditions.step_back > 0 && self.rng.mischief.happens(self.conditions.step_back) {
            self.step_back();
        }
    }

    fn step_back(&mut self) {
        let index = self.rng.mischief.below(self.producers.len() as u64) as usize;
        let back = Duration::from_nanos(self.rng.mischief.below(STEP_BACK_NANOS_MAX));
        let producer = &mut self.producers[index];
        let told = producer.clock.told();
        let earlier = Timestamp::from_nanos(told.as_nanos().saturating_sub(back.as_nanos() as u64));
        let (stats, deadline_before) = (producer.batcher.stats(), producer.deadline);
        producer.batcher.handle_timeout(earlier);
        let observation = Observation::Settled {
            producer: index as u32,
            cause: Cause::StepBack,
            deadline_before,
            stats_before: Some(&stats),
            batcher: &producer.batcher,
            deadline: producer.batcher.poll_timeout(),
        };
        let scene = Scene { now: self.now, clock: told, ledger: &self.ledger };
        self.checkers.show(&scene, &observation);
        self.drive(index, Cause::Spurious);
    }

    fn sample(&mut self) {
        let elapsed = self.elapsed();
        self.meter.shards_are_open(elapsed, self.listed.open_shards());
        self.meter.sample(elapsed, &self.service, self.producers.iter().map(|producer| &producer.batcher));
        if let Some(interval) = self.options.interval {
            self.agenda.add(self.now.after(interval), Item::Sample);
        }
    }

    /// Mixes something that came out of a batcher into the digest.
    #[inline]
    fn stir(&mut self, kind: u64, first: u64, second: u64) {
        let word = self.now.as_nanos() ^ kind << 56 ^ first.rotate_left(20) ^ second.rotate_left(40);
        self.digest = (self.digest ^ word).wrapping_mul(DIGEST_FACTOR);
        self.digest ^= self.digest >> 32;
    }

    fn violated(&mut self, invariant: Invariant, producer: Option<u32>, breach: Breach) {
        self.checkers.violated(self.now, invariant, producer, breach);
    }

    fn elapsed(&self) -> Duration {
        self.now.since(BEGIN)
    }
}

/// The earliest of these, and whose it is: of several at once, the first's.
#[inline]
fn earliest(times: &[Timestamp]) -> (Timestamp, usize) {
    let (mut at, mut index) = (Timestamp::MAX, 0);
    for (candidate, &time) in times.iter().enumerate() {
        if time < at {
            (at, index) = (time, candidate);
        }
    }
    (at, index)
}

/// Late enough that a step back does not end before the epoch.
const BEGIN: Timestamp = Timestamp::from_millis(1_000_000);
/// A burst of so many records at one moment is not simulated; a batcher that turns in circles does as many at once.
const STEPS_IN_PLACE_MAX: u32 = 100_000;
const STEP_BACK_NANOS_MAX: u64 = 2_000_000_000;
/// An odd number of random bits (from π).
const DIGEST_FACTOR: u64 = 0x2437_54F5_A308_D313;
