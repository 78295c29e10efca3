//! From the reader to the producer, with an eye on the signals.

use std::pin::pin;
use std::time::Duration;

use kinesis_batcher_core::{PushErrorReason, Record};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use super::hold_notes::HoldNotes;
use crate::cli::write_duration;
use crate::destination::{Destination, Refused};
use crate::input::{Batch, InputError, Origin, Reader};
use crate::ledger::Ledger;
use crate::output;
use crate::progress::Progress;
use crate::reason::Reason;
use crate::signals::{Signals, Stop};
use crate::verify::Fingerprints;

/// Moves records until the input ends, a signal asks it to stop, or the ledger does.
pub(crate) struct Pump<'d, D> {
    /// Where the records go.
    pub(crate) destination: &'d D,
    /// Where their ends are written down.
    pub(crate) ledger: Ledger,
    /// What the user sees meanwhile.
    pub(crate) progress: Progress,
    /// What was read in, where it is going to be compared.
    pub(crate) fingerprints: Option<Fingerprints>,
    /// Whether the user reads that the stream cannot be written to: with `--fail-fast` the failures say it.
    pub(crate) notes_holds: bool,
    signals: Signals,
    seen: Stop,
    drain_timeout: Duration,
    drain_until: Option<Instant>,
    /// There is no time left.
    forced: bool,
    tick: Interval,
    hold_notes: HoldNotes,
    aggregation_noted: bool,
}

/// How the reading ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Everything was read.
    Complete,
    /// A signal came first.
    Stopped,
    /// The ledger had enough.
    GaveUp,
    /// An input could not be read, or not to its end.
    Failed(InputError),
}

impl<'d, D: Destination> Pump<'d, D> {
    /// A pump that has moved nothing yet.
    ///
    /// # Panics
    /// Outside a tokio runtime with time.
    pub(crate) fn new(
        destination: &'d D,
        ledger: Ledger,
        progress: Progress,
        signals: Signals,
        drain_timeout: Duration,
    ) -> Self {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            destination,
            ledger,
            progress,
            fingerprints: None,
            notes_holds: true,
            signals,
            seen: Stop::Run,
            drain_timeout,
            drain_until: None,
            forced: false,
            tick,
            hold_notes: HoldNotes::default(),
            aggregation_noted: false,
        }
    }

    /// Reads and sends, and returns when every record that was read has its end in the ledger.
    pub(crate) async fn run(&mut self, mut reader: Reader) -> Ending {
        let destination = self.destination;
        let ending = self.feed(&mut reader).await;
        if self.forced {
            reader.into_rest().iter().for_each(|batch| self.hand_back(batch));
        } else {
            tokio::select! {
                biased;
                () = self.watch() => {}
                () = destination.close(Duration::MAX) => {}
            }
        }
        if self.forced {
            destination.close(Duration::ZERO).await;
        }
        self.show();
        ending
    }

    async fn feed(&mut self, reader: &mut Reader) -> Ending {
        loop {
            // Before the next batch: failures must not pile up, and a letter that cannot be written ends the reading.
            self.ledger.settle();
            if self.ledger.must_stop() {
                return Ending::GaveUp;
            }
            self.wait_while_held().await;
            self.hold_back().await;
            let next = tokio::select! {
                biased;
                () = self.watch_ledger() => None,
                next = reader.next() => next,
            };
            match next {
                None if self.ledger.must_stop() => return Ending::GaveUp,
                Some(Ok(batch)) => self.feed_batch(batch).await,
                Some(Err(error)) => return Ending::Failed(error),
                None if reader.is_complete() => return Ending::Complete,
                None => return Ending::Stopped,
            }
        }
    }

    /// Waits while the stream cannot be written to: what is not read is safe where it is. A signal ends the wait.
    async fn wait_while_held(&mut self) {
        while self.seen == Stop::Run && !self.forced && self.destination.hold().is_some() {
            tokio::select! {
                biased;
                () = self.watch() => {}
                () = tokio::time::sleep(HOLD_POLL) => {}
            }
            self.ledger.settle();
            if self.ledger.must_stop() {
                return;
            }
        }
    }

    /// Lets records go before there are more of them. What waits behind thousands of others has left the processor's
    /// caches by the time it is sent, which costs more than all that is done to it. For a moment only: if it is an outage
    /// that takes up the requests, the buffer is there to be filled.
    async fn hold_back(&mut self) {
        for _ in 0..HOLD_BACK_MAX {
            if self.forced || !self.destination.is_saturated() {
                return;
            }
            tokio::select! {
                biased;
                () = self.watch() => {}
                () = tokio::time::sleep(HOLD_BACK) => {}
            }
        }
    }

    async fn feed_batch(&mut self, mut batch: Batch) {
        self.ledger.read_bytes(batch.input_bytes);
        let ledger = &mut self.ledger;
        let end = batch.bad.iter().position(|(_, origin, bad)| {
            ledger.bad(*origin, bad);
            ledger.must_stop()
        });
        if let Some(end) = end {
            // What comes after the end of the reading counts as never read.
            batch.cut_after_bad(end);
        }
        ledger.read_records(batch.len(), batch.last());
        if let Some(fingerprints) = &mut self.fingerprints {
            batch.records.iter().for_each(|(record, _)| fingerprints.read_in(record));
        }
        self.send(batch.records).await;
    }

    async fn send(&mut self, mut records: Vec<(Record, Origin)>) {
        let destination = self.destination;
        while !records.is_empty() {
            let mut sending = pin!(destination.send_all(records));
            let sent = tokio::select! {
                biased;
                () = self.watch() => {
                    // To drop it would lose what it holds; a producer that is closed makes it hand that back.
                    let ((), sent) = tokio::join!(destination.close(Duration::ZERO), sending);
                    sent
                }
                sent = &mut sending => sent,
            };
            let Err(Refused { record: (record, origin), reason, rest }) = sent else { return };
            if reason == PushErrorReason::Closed {
                self.ledger.undelivered(origin, &record);
                rest.iter().for_each(|(record, origin)| self.ledger.undelivered(*origin, record));
                return;
            }
            self.ledger.refused(origin, &record, &Reason::from(reason));
            if self.ledger.must_stop() {
                self.ledger.unread(rest.len());
                if let Some(fingerprints) = &mut self.fingerprints {
                    rest.iter().for_each(|(record, _)| fingerprints.unread(record));
                }
                return;
            }
            records = rest;
        }
    }

    /// Shows progress, settles failures and minds the signals, and returns when there is no time left. May be dropped
    /// and called again.
    async fn watch(&mut self) {
        while !self.forced {
            self.watch_once().await;
        }
    }

    /// As [`watch`](Self::watch), and returns too when the ledger ends the reading: a pipe can be silent for ever.
    async fn watch_ledger(&mut self) {
        while !self.forced && !self.ledger.must_stop() {
            self.watch_once().await;
        }
    }

    async fn watch_once(&mut self) {
        let deadline = self.drain_until;
        tokio::select! {
            biased;
            () = self.signals.reached(self.seen.next()) => self.obey(),
            () = until(deadline) => self.forced = true,
            _ = self.tick.tick() => self.show(),
        }
    }

    fn obey(&mut self) {
        self.seen = self.signals.stop();
        if self.seen == Stop::AtOnce {
            self.forced = true;
            return;
        }
        self.drain_until = Some(Instant::now() + self.drain_timeout);
        output::note(&format!(
            "stopping: what was read is delivered for at most {}; a second signal stops at once",
            write_duration(self.drain_timeout)
        ));
    }

    /// Accounts for what was read and will not be sent.
    fn hand_back(&mut self, batch: &Batch) {
        self.ledger.read_bytes(batch.input_bytes);
        self.ledger.read_records(batch.len(), batch.last());
        for (record, origin) in &batch.records {
            self.ledger.undelivered(*origin, record);
        }
        for (_, origin, bad) in &batch.bad {
            self.ledger.bad(*origin, bad);
        }
    }

    fn show(&mut self) {
        self.ledger.settle();
        for note in self.ledger.take_notes() {
            output::note(&note);
        }
        let counts = self.destination.counts();
        if counts.aggregation_suspended && !self.aggregation_noted {
            self.aggregation_noted = true;
            output::warning(AGGREGATION_SUSPENDED);
        }
        let hold = self.destination.hold().filter(|_| self.notes_holds);
        if let Some(line) = self.hold_notes.update(Instant::now(), hold.as_ref(), counts.delivered) {
            output::note(&line);
        }
        self.progress.show(self.ledger.position(counts.delivered));
    }
}

/// Until then, or for ever.
async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// A tick of the runtime's clock.
const HOLD_BACK: Duration = Duration::from_millis(1);

/// Seldom enough to cost nothing, and short against the seconds between two probes.
const HOLD_POLL: Duration = Duration::from_millis(20);

const AGGREGATION_SUSPENDED: &str = "the stream distributes records itself (AUTO record distribution), where consumers drop \
     aggregates: records go one by one, without --aggregate";

/// A batch is some 700 lines of a log, so that 35,000 lines a second go into the buffer during an outage.
const HOLD_BACK_MAX: u32 = 20;

/// Ten times a second looks smooth and costs nothing.
const TICK: Duration = Duration::from_millis(100);
