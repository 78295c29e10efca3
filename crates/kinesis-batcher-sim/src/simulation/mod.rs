//! Actors in virtual time: producers with their links and clocks, the stream, and the world that they share.

mod agenda;
mod clock;
mod credentials;
mod disturbance;
mod ending;
mod flight;
mod link;
mod offer;
mod producer;
mod reader;
mod stream;
mod text;
mod wire;
mod world;

use kinesis_batcher_core::Timestamp;

use crate::check::{Breach, Checker, Checkers, Invariant};
use crate::faults::{Fault, Faults};
use crate::options::{Ending, Options};
use crate::report::Report;
use crate::service::{Kinesis, time};
use crate::workload::POISON;
use kinesis_model::Rng;

use agenda::Item;
use producer::Producer;
use stream::Stream;
use text::EventText;
use world::World;

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

/// Runs a simulation with checkers of one's own besides those that [`Options::checks`] names.
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
    root: Rng,
    world: World,
    stream: Stream,
    /// By number.
    producers: Vec<Producer>,
    /// When each producer does something by itself next.
    due: Vec<Timestamp>,
    faults: Vec<Fault>,
    /// Batchers are called without a reason.
    is_mischievous: bool,
    sample_at: Timestamp,
    steps: u64,
    /// Steps since time moved.
    steps_in_place: u32,
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
        let producers = options.producers;
        let checkers = Checkers::new(&options, checkers, BEGIN);
        let mut simulation = Self {
            seed,
            world: World::new(seed, &root, options, checkers),
            root,
            stream: Stream::new(service),
            producers: Vec::new(),
            due: Vec::new(),
            faults,
            is_mischievous: false,
            sample_at: Timestamp::MAX,
            steps: 0,
            steps_in_place: 0,
        };
        for _ in 0..producers {
            simulation.start();
        }
        simulation.plan();
        simulation
    }

    fn plan(&mut self) {
        let (agenda, options) = (&mut self.world.agenda, &self.world.options);
        let end = options.duration;
        for (index, fault) in self.faults.iter().enumerate().filter(|(_, fault)| fault.from < end) {
            agenda.add(BEGIN.after(fault.from), Item::FaultBegins(index));
            if fault.from < fault.to && fault.to < end {
                agenda.add(BEGIN.after(fault.to), Item::FaultEnds);
            }
        }
        agenda.add(BEGIN.after(options.settling.min(end)), Item::SteadyBegins);
        if let Some(every) = options.refresh_every {
            agenda.add(BEGIN.after(every), Item::RefreshAll);
        }
        agenda.add(BEGIN.after(end), Item::Heal);
        self.sample_at = options.interval.map_or(Timestamp::MAX, |interval| BEGIN.after(interval));
    }

    /// Another producer starts.
    fn start(&mut self) {
        if self.world.is_healed {
            return;
        }
        let number = self.producers.len() as u32;
        let mut producer = Producer::new(number, &self.world, &self.root, self.stream.map().clone());
        self.world.log(format_args!("p{number} starts"));
        self.world.meter.producer_starts();
        producer.begin(&mut self.world);
        self.due.push(producer.due_at());
        self.producers.push(producer);
        self.conditions_change();
    }

    fn run(mut self) -> Report {
        while !self.world.is_over && !self.is_done() {
            self.step();
            if self.world.options.stops_at_violation && self.world.checkers.has_violations() {
                self.world.is_over = true;
            }
        }
        if !self.world.is_over {
            self.check_silence();
            self.world.finish();
        }
        let elapsed = self.world.elapsed();
        Report {
            seed: self.seed,
            options: self.world.options,
            totals: self.world.meter.totals,
            delay: self.world.meter.delays.percentiles(),
            steady: self.world.meter.steady(),
            series: self.world.meter.points,
            violations: self.world.checkers.into_violations(),
            elapsed,
            steps: self.steps,
            digest: self.world.digest,
            trace: self.world.trace.into_text(),
        }
    }

    /// Jumps to the next event. The seed decides which of several at the same time comes first.
    fn step(&mut self) {
        let producer_at = self.due.iter().copied().min().unwrap_or(Timestamp::MAX);
        let agenda_at = self.world.agenda.next_at();
        let at = producer_at.min(agenda_at).min(self.stream.due_at);
        if self.sample_at <= at {
            // Not on the agenda, where it would change the run that it looks at.
            self.world.now = self.sample_at;
            self.sample();
            return;
        }
        self.steps += 1;
        if at > self.world.now {
            self.world.now = at;
            self.steps_in_place = 0;
        } else {
            self.steps_in_place += 1;
            if self.steps_in_place > STEPS_IN_PLACE_MAX {
                let what = format!("{STEPS_IN_PLACE_MAX} steps without time moving on: a busy loop");
                self.world.violated(Invariant::I6, None, Breach::new(what));
                self.world.is_over = true;
                return;
            }
        }
        let now = self.world.now;
        let ready = [self.stream.due_at <= now, agenda_at <= now, producer_at <= now];
        match pick(&mut self.world.rng.ties, ready.into_iter()) {
            0 => self.stream.act(&mut self.world),
            1 => {
                if let Some(item) = self.world.agenda.pop() {
                    self.happen(item);
                }
            }
            _ => {
                let producer = self.next_producer(producer_at);
                self.producers[producer].act(&mut self.world);
                self.due[producer] = self.producers[producer].due_at();
            }
        }
        if self.is_mischievous {
            self.mischief();
        }
        if self.world.is_healed && self.world.options.ending == Ending::Drain {
            self.close_the_drained();
        }
    }

    /// One of the producers that do something by themselves at this time.
    fn next_producer(&mut self, at: Timestamp) -> usize {
        pick(&mut self.world.rng.ties, self.due.iter().map(|&due| due == at))
    }

    fn happen(&mut self, item: Item) {
        match item {
            Item::Arrive(flight) => self.arrive(flight),
            Item::Answer(flight) => self.answer(flight),
            Item::GiveUp { flight, arrives_at } => self.give_up(flight, arrives_at),
            Item::ArriveCopy(copy) => self.arrive_copy(&copy),
            Item::ReadMap { producer, answered_at } => self.read_map(producer, answered_at),
            Item::GiveMap { producer, map } => {
                let world = &mut self.world;
                let it = &mut self.producers[producer as usize];
                if it.paused_until > world.now {
                    world.agenda.add(it.paused_until, Item::GiveMap { producer, map });
                } else if !it.is_crashed {
                    it.give_map(world, *map);
                }
                self.due[producer as usize] = it.due_at();
            }
            Item::Poll(producer) => {
                let world = &mut self.world;
                let it = &mut self.producers[producer as usize];
                if it.paused_until > world.now {
                    world.agenda.add(it.paused_until, Item::Poll(producer));
                } else if !it.is_crashed {
                    it.poll_later(world);
                }
                self.due[producer as usize] = it.due_at();
            }
            Item::Command { producer, cause } => self.command(producer, cause),
            Item::Start => self.start(),
            Item::RefreshAll => self.refresh_all(),
            Item::FaultBegins(fault) => self.fault_begins(fault),
            Item::FaultEnds => self.conditions_change(),
            Item::SteadyBegins => {
                let (at, shards) = (self.world.elapsed(), self.stream.open_shards());
                self.world.meter.begin_steady(at, shards);
            }
            Item::Heal => self.heal(),
            Item::Bound => self.bound_is_reached(),
        }
    }

    fn sample(&mut self) {
        let world = &mut self.world;
        let elapsed = world.elapsed();
        world.meter.shards_are_open(elapsed, self.stream.open_shards());
        let alive = self.producers.iter().filter(|producer| !producer.is_crashed);
        world.meter.sample(elapsed, &self.stream.service, alive.map(|producer| &producer.batcher));
        self.sample_at = world.options.interval.map_or(Timestamp::MAX, |interval| world.now.after(interval));
    }
}

/// The index of one of those that are ready.
fn pick(rng: &mut Rng, ready: impl Iterator<Item = bool> + Clone) -> usize {
    let count = ready.clone().filter(|&is_ready| is_ready).count() as u64;
    let skip = if count > 1 { rng.below(count) as usize } else { 0 };
    ready.enumerate().filter(|(_, is_ready)| *is_ready).nth(skip).map_or(0, |(index, _)| index)
}

/// Late enough that a step back does not end before the epoch.
const BEGIN: Timestamp = Timestamp::from_millis(1_000_000);
/// A burst of so many records at one moment is not simulated; a batcher that turns in circles does as many at once.
const STEPS_IN_PLACE_MAX: u32 = 100_000;
