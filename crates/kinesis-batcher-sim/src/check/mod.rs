//! What must hold, watched from outside: one checker for each of the core's invariants.
//!
//! A checker sees what a batcher is given and what it gives, and never its inside. It keeps its own account, so that
//! a mistake in the batcher's bookkeeping is not repeated in the check.

mod batching;
mod by_shard;
mod fullness;
mod honesty;
mod i01;
mod i02;
mod i03;
mod i04;
mod i05;
mod i06;
mod i07;
mod i08;
mod i09;
mod i10;
mod i12;
mod i13;
mod liveness;
mod observation;
mod paired;
mod patience;
mod per_producer;
mod restraint;
mod timely;

use std::fmt;
use std::time::Duration;

use kinesis_batcher_core::{Event, RecordOutcome, RequestError, Response, ShardMap, Timestamp};
use kinesis_model::{Meaning, NO_ANSWER, entry_meaning};

use crate::caller::Polling;
use crate::ledger::Ledger;
use crate::options::Options;
use crate::service::EntryReply;

pub use i09::run_twice;
use per_producer::PerProducer;

pub use observation::{Cause, Observation, Records, RequestView, SentRecord};
pub use paired::{Paired, run_paired};

/// Watches one invariant.
pub trait Checker {
    /// Which.
    fn invariant(&self) -> Invariant;

    /// Something happened.
    ///
    /// # Errors
    /// [`Breach`] when it shows that the invariant does not hold.
    fn observe(&mut self, scene: &Scene<'_>, observation: &Observation<'_>) -> Result<(), Breach>;

    /// The simulation is over and every producer was given the time to drain.
    ///
    /// # Errors
    /// [`Breach`] when something is left that the invariant rules out.
    fn finish(&mut self, scene: &Scene<'_>) -> Result<(), Breach> {
        let _ = scene;
        Ok(())
    }
}

/// When something is observed, and what is known of the records.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Scene<'a> {
    /// The simulation's time.
    pub now: Timestamp,
    /// The latest time that the producer at hand was told. A batcher's promises hold by this clock, which may be slow,
    /// coarse or set back. For what concerns no producer it is `now`.
    pub clock: Timestamp,
    /// The records that have not ended; one that ends just now is still there.
    pub ledger: &'a Ledger,
}

/// What a checker found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach(Box<(Option<u64>, String)>);

impl Breach {
    /// A breach that concerns no single record.
    #[must_use]
    pub fn new(what: impl Into<String>) -> Self {
        Self(Box::new((None, what.into())))
    }

    /// A breach that shows in this record.
    #[must_use]
    pub fn of_record(number: u64, what: impl Into<String>) -> Self {
        Self(Box::new((Some(number), what.into())))
    }
}

/// One of the core's invariants, numbered as in the documentation of `kinesis-batcher-core`, or what only a simulation
/// can see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Invariant {
    /// Every accepted tag comes back in exactly one event.
    I1,
    /// Every request respects the limits on records, bytes and sizes.
    I2,
    /// A shard is sent no more than its limits.
    I3,
    /// The buffer is bounded.
    I4,
    /// While something is queued, something will happen.
    I5,
    /// Deadlines make progress.
    I6,
    /// A backward step of time changes nothing.
    I7,
    /// Attempts and time to live are bounded.
    I8,
    /// The same inputs give the same outputs.
    I9,
    /// A shard that may not be sent to never delays another.
    I10,
    /// With ordering on, no key's records overtake each other.
    I11,
    /// Accepted = delivered + failed + held.
    I12,
    /// An error that says nothing about a record fails none; the producer holds, and probes.
    I13,
    /// When faults stop, everything drains.
    Liveness,
    /// What a receipt says is what the service did.
    Honesty,
    /// What was delivered, a consumer reads.
    Readable,
    /// A request goes when it is full or due, not before.
    Batching,
    /// After failures in a row, waits grow.
    Restraint,
    /// A producer that has a full stream for itself uses it, and is refused little.
    Fullness,
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Which invariants are watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checks(u32);

impl Checks {
    /// Every one.
    pub const ALL: Self = Self(u32::MAX);
    /// None, for speed.
    pub const NONE: Self = Self(0);

    /// The same without this one.
    #[must_use]
    pub fn without(self, invariant: Invariant) -> Self {
        Self(self.0 & !(1 << invariant as u32))
    }

    /// The same with this one.
    #[must_use]
    pub fn with(self, invariant: Invariant) -> Self {
        Self(self.0 | 1 << invariant as u32)
    }

    /// Whether this one is watched.
    #[must_use]
    pub fn has(self, invariant: Invariant) -> bool {
        self.0 & 1 << invariant as u32 != 0
    }
}

/// An invariant that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Violation {
    /// Which.
    pub invariant: Invariant,
    /// When, since the beginning of the run.
    pub at: Duration,
    /// Whose; `None` when it concerns no single producer.
    pub producer: Option<u32>,
    /// The record that shows it, if one does.
    pub record: Option<u64>,
    /// What happened, in words.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {:?}", self.invariant, self.at)?;
        if let Some(producer) = self.producer {
            write!(f, ", producer {producer}")?;
        }
        if let Some(record) = self.record {
            write!(f, ", record {record}")?;
        }
        write!(f, ": {}", self.what)
    }
}

/// The checkers of one run.
pub(crate) struct Checkers {
    all: Vec<Box<dyn Checker>>,
    violations: Vec<Violation>,
    began: Timestamp,
}

impl Checkers {
    pub(crate) fn new(options: &Options, others: Vec<Box<dyn Checker>>, began: Timestamp) -> Self {
        let mut all = every_checker();
        if let Some(checker) = fullness::ShardsAreFull::of(options) {
            all.push(Box::new(checker));
        }
        // A program that polls late shows flushes, deadlines and events after what it did since.
        if options.caller.polling == Polling::Prompt {
            all.push(PerProducer::<timely::NothingGoesLate>::checker());
            all.push(PerProducer::<patience::RepetitionsWait>::checker());
        }
        all.retain(|checker| options.checks.has(checker.invariant()));
        all.extend(others);
        Self { all, violations: Vec::new(), began }
    }

    #[inline]
    pub(crate) fn show(&mut self, scene: &Scene<'_>, observation: &Observation<'_>) {
        for checker in &mut self.all {
            if let Err(breach) = checker.observe(scene, observation) {
                let invariant = checker.invariant();
                note(
                    &mut self.violations,
                    scene.now.since(self.began),
                    invariant,
                    observation.producer(),
                    breach,
                );
            }
        }
    }

    pub(crate) fn finish(&mut self, scene: &Scene<'_>) {
        for checker in &mut self.all {
            if let Err(breach) = checker.finish(scene) {
                note(&mut self.violations, scene.now.since(self.began), checker.invariant(), None, breach);
            }
        }
    }

    pub(crate) fn violated(
        &mut self,
        at: Timestamp,
        invariant: Invariant,
        producer: Option<u32>,
        breach: Breach,
    ) {
        note(&mut self.violations, at.since(self.began), invariant, producer, breach);
    }

    pub(crate) fn has_violations(&self) -> bool {
        !self.violations.is_empty()
    }

    pub(crate) fn into_violations(self) -> Vec<Violation> {
        self.violations
    }
}

fn note(
    violations: &mut Vec<Violation>,
    at: Duration,
    invariant: Invariant,
    producer: Option<u32>,
    breach: Breach,
) {
    if violations.len() < VIOLATIONS_MAX {
        let (record, what) = *breach.0;
        violations.push(Violation { invariant, at, producer, record, what });
    }
}

/// A checker, or two, for each invariant that can be seen in a single run.
fn every_checker() -> Vec<Box<dyn Checker>> {
    vec![
        Box::new(i01::EachTagOnce::default()),
        PerProducer::<i02::RequestLimits>::checker(),
        PerProducer::<i03::ShardWindows>::checker(),
        PerProducer::<i04::BufferBound>::checker(),
        PerProducer::<i05::SomethingWillHappen>::checker(),
        PerProducer::<i06::DeadlinesMoveOn>::checker(),
        PerProducer::<i07::BackwardChangesNothing>::checker(),
        PerProducer::<i08::AttemptsAndAge>::checker(),
        PerProducer::<i10::FreeShardsGo>::checker(),
        PerProducer::<i12::FiguresAddUp>::checker(),
        PerProducer::<i13::NoneFailsForAnother>::checker(),
        PerProducer::<liveness::TheEndIsLast>::checker(),
        PerProducer::<honesty::ReceiptsAreTrue>::checker(),
        PerProducer::<batching::NothingGoesEarly>::checker(),
        PerProducer::<restraint::WaitsGrow>::checker(),
    ]
}

/// The record that an event ends.
fn tag_of(event: &Event<u64>) -> Option<u64> {
    match event {
        Event::Delivered { tag, .. } | Event::Failed { tag, .. } => Some(*tag),
        _ => None,
    }
}

/// Whether every record was stored by the shard that the map gives; by any where shards are not known.
fn is_stored_as_predicted(
    map: &ShardMap,
    scene: &Scene<'_>,
    request: RequestView<'_>,
    outcome: &Result<Response, RequestError>,
) -> bool {
    let Ok(response) = outcome else { return false };
    response.outcomes.len() == request.request.len()
        && request.sent().zip(&response.outcomes).all(|(sent, outcome)| {
            let RecordOutcome::Stored { shard_id, .. } = outcome else { return false };
            let facts = sent.numbers.first().and_then(|&number| scene.ledger.record(number));
            let Some(facts) = facts else { return false };
            map.shards().get(map.index_of(facts.hash_key)).is_none_or(|shard| shard.id == *shard_id)
        })
}

/// Whether a response stored nothing, for an error that says nothing about a record: it holds the producer as a refusal
/// of the whole request does (S-16).
fn is_of_account(response: &Response) -> bool {
    let refuses = |outcome| entry_failure(outcome).is_some_and(Meaning::is_about_the_account);
    let stores = |outcome: &RecordOutcome| matches!(outcome, RecordOutcome::Stored { .. });
    response.outcomes.iter().any(refuses) && !response.outcomes.iter().any(stores)
}

/// What the failure of one entry means, by the table of errors; `None` when it is stored.
fn entry_failure(outcome: &RecordOutcome) -> Option<Meaning> {
    match outcome {
        RecordOutcome::Stored { .. } => None,
        RecordOutcome::Failed(error) => Some(entry_meaning(error.code().as_str())),
        _ => Some(NO_ANSWER),
    }
}

/// The first few say what is wrong; the rest follow from them.
const VIOLATIONS_MAX: usize = 20;
