//! What all actors share.

use std::fmt;
use std::time::Duration;

use kinesis_batcher_core::{Ordering, Timestamp};

use super::BEGIN;
use super::agenda::Agenda;
use super::flight::{Flight, Members};
use super::reader::Reader;
use crate::check::{Breach, Checkers, Invariant, Observation, Scene};
use crate::ledger::Ledger;
use crate::meter::Meter;
use crate::options::Options;
use crate::trace::Trace;
use crate::window::Window;
use crate::workload::KeySpace;
use kinesis_model::Rng;

/// Time, the agenda, randomness and the trace, with the books that are kept of the run.
pub(super) struct World {
    pub(super) now: Timestamp,
    pub(super) options: Options,
    pub(super) agenda: Agenda,
    pub(super) rng: Rngs,
    /// Requests on their way, by number.
    pub(super) flights: Window<Flight>,
    pub(super) keys: KeySpace,
    pub(super) ledger: Ledger,
    pub(super) checkers: Checkers,
    /// `None` when [`Invariant::Readable`] is not watched.
    pub(super) reader: Option<Reader>,
    pub(super) meter: Meter,
    pub(super) trace: Trace,
    pub(super) digest: u64,
    /// Faults are over.
    pub(super) is_healed: bool,
    /// The run ends before everything has drained.
    pub(super) is_over: bool,
    /// Their memory is used again.
    pub(super) spare_members: Vec<Members>,
    next_record: u64,
    next_request: u64,
}

/// A stream of randomness for each concern, so that one more draw in one does not move the others.
pub(super) struct Rngs {
    pub(super) reply: Rng,
    pub(super) listing: Rng,
    pub(super) reshard: Rng,
    pub(super) timers: Rng,
    pub(super) mischief: Rng,
    pub(super) ties: Rng,
}

impl World {
    pub(super) fn new(seed: u64, root: &Rng, options: Options, checkers: Checkers) -> Self {
        Self {
            now: BEGIN,
            agenda: Agenda::new(root.fork("agenda")),
            rng: Rngs {
                reply: root.fork("reply"),
                listing: root.fork("listing"),
                reshard: root.fork("reshard"),
                timers: root.fork("timers"),
                mischief: root.fork("mischief"),
                ties: root.fork("ties"),
            },
            flights: Window::new(),
            keys: KeySpace::new(options.workload.keys, options.workload.key_text),
            ledger: Ledger::default(),
            checkers,
            reader: options.checks.has(Invariant::Readable).then(|| {
                let keeps_order = options.config.ordering() != Ordering::None;
                Reader::new(keeps_order && options.checks.has(Invariant::I11), root.fork("reader"))
            }),
            meter: Meter::default(),
            trace: Trace::new(options.trace_lines_max),
            digest: seed,
            is_healed: false,
            is_over: false,
            spare_members: Vec::new(),
            next_record: 0,
            next_request: 0,
            options,
        }
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.now.since(BEGIN)
    }

    pub(super) fn next_record(&mut self) -> u64 {
        self.next_record += 1;
        self.next_record - 1
    }

    pub(super) fn next_request(&mut self) -> u64 {
        self.next_request += 1;
        self.next_request - 1
    }

    pub(super) fn flight_mut(&mut self, number: u64) -> &mut Flight {
        self.flights.get_mut(number).expect(ON_ITS_WAY)
    }

    pub(super) fn take_flight(&mut self, number: u64) -> Flight {
        self.flights.remove(number).expect(ON_ITS_WAY)
    }

    /// Shows the checkers an observation. `clock` is the latest time that the producer at hand has read.
    #[inline]
    pub(super) fn show(&mut self, clock: Timestamp, observation: &Observation<'_>) {
        let scene = Scene { now: self.now, clock, ledger: &self.ledger };
        self.checkers.show(&scene, observation);
    }

    /// The run is over and every producer was given the time to drain.
    pub(super) fn finish(&mut self) {
        self.read();
        let scene = Scene { now: self.now, clock: self.now, ledger: &self.ledger };
        self.checkers.finish(&scene);
    }

    /// A record has failed or was lost.
    pub(super) fn forget(&mut self, number: u64) {
        self.ledger.end(number);
        if let Some(reader) = &mut self.reader {
            reader.forget(number);
        }
    }

    /// The consumer reads all that is stored.
    pub(super) fn read(&mut self) {
        let now = self.now;
        let read = self.reader.as_mut().map(|reader| reader.read(now));
        self.was_read(read);
    }

    /// Another stream will have the name.
    pub(super) fn stream_is_deleted(&mut self) {
        let now = self.now;
        let read = self.reader.as_mut().map(|reader| reader.stream_is_deleted(now));
        self.was_read(read);
    }

    fn was_read(&mut self, read: Option<Result<(), (u32, Invariant, Breach)>>) {
        if let Some(Err((producer, invariant, breach))) = read {
            self.violated(invariant, Some(producer), breach);
        }
    }

    /// The service stored some entries of a request: counts them and their copies, and shows them to the consumer and
    /// the checkers.
    pub(super) fn stored(&mut self, clock: Timestamp, stored: &Observation<'_>) {
        let Observation::Stored { entries, records, replies, service, .. } = stored else { return };
        self.meter.stored(entries, replies);
        for (index, reply) in replies.iter().enumerate() {
            if reply.stored().is_some() {
                for &number in records.of_entry(index) {
                    self.meter.totals.duplicates_stored += u64::from(self.ledger.stored(number));
                }
            }
        }
        if self.reader.as_ref().is_some_and(|reader| reader.is_due(self.now)) {
            self.read();
        }
        if let Some(reader) = &mut self.reader {
            reader.stored(service, *records, replies);
        }
        self.show(clock, stored);
    }

    pub(super) fn violated(&mut self, invariant: Invariant, producer: Option<u32>, breach: Breach) {
        self.checkers.violated(self.now, invariant, producer, breach);
    }

    /// Writes a line of the trace. Ask [`Trace::is_on`] first where the arguments cost something.
    pub(super) fn log(&mut self, what: fmt::Arguments<'_>) {
        if self.trace.is_on() {
            self.trace.line(self.now.since(BEGIN), what);
        }
    }

    /// Mixes an output of a batcher into the digest.
    #[inline]
    pub(super) fn stir(&mut self, kind: u64, first: u64, second: u64) {
        let word = self.now.as_nanos() ^ kind << 56 ^ first.rotate_left(20) ^ second.rotate_left(40);
        self.digest = (self.digest ^ word).wrapping_mul(DIGEST_FACTOR);
        self.digest ^= self.digest >> 32;
    }
}

const ON_ITS_WAY: &str = "a flight is on the agenda once at a time and leaves with its answer";
/// An odd number of random bits (from π).
const DIGEST_FACTOR: u64 = 0x2437_54F5_A308_D313;
