//! Whole runs of `push` against a producer that does as it is told.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clap::Parser;
use kinesis_batcher_core::{PushErrorReason, Record, ServiceError};
use tempfile::TempDir;
use tokio::sync::{Notify, watch};

use super::{Outcome, deliver};
use crate::cli::{Cli, Command, PushArgs};
use crate::dead_letters::DeadLetters;
use crate::destination::{Counts, Destination, Failed, Refused};
use crate::failures::Failures;
use crate::input::{Origin, Sources};
use crate::ledger::Ledger;
use crate::reason::{Kind, Reason};
use crate::signals::{Signals, Stop};
use crate::verify::{Difference, Fingerprints};

/// A producer with room for some records, which does with each what the test says.
struct Fake {
    room: usize,
    decide: fn(&Record) -> Verdict,
    is_saturated: bool,
    /// How often it was asked whether it is saturated.
    asked: AtomicU32,
    /// Why it cannot write at all.
    hold: Mutex<Option<ServiceError>>,
    failures: Arc<Failures>,
    state: Mutex<State>,
    changed: Notify,
}

enum Verdict {
    Deliver,
    Fail(Kind),
    Refuse,
    /// Until [`Fake::release`] or the end.
    Hold,
}

#[derive(Default)]
struct State {
    held: Vec<(Record, Origin)>,
    held_most: usize,
    released: bool,
    closed: bool,
    delivered: Vec<Record>,
}

impl Fake {
    fn new(room: usize, decide: fn(&Record) -> Verdict) -> Self {
        Self {
            room,
            decide,
            is_saturated: false,
            asked: AtomicU32::new(0),
            hold: Mutex::default(),
            failures: Arc::default(),
            state: Mutex::default(),
            changed: Notify::new(),
        }
    }

    async fn wait_until_full(&self) {
        self.wait_until(|state| state.held.len() == self.room).await;
    }

    async fn wait_until(&self, reached: impl Fn(&State) -> bool) {
        loop {
            let changed = self.changed.notified();
            if reached(&self.state.lock().unwrap()) {
                return;
            }
            changed.await;
        }
    }

    /// Delivers what is held, and whatever comes from now on.
    fn release(&self) {
        let mut state = self.state.lock().unwrap();
        state.released = true;
        for (record, _) in std::mem::take(&mut state.held) {
            state.delivered.push(record);
        }
        self.changed.notify_waiters();
    }

    /// `Ok(Some)` hands the record back for want of room.
    fn take(&self, record: Record, origin: Origin) -> Result<Option<Record>, (Record, PushErrorReason)> {
        let mut state = self.state.lock().unwrap();
        if state.closed {
            return Err((record, PushErrorReason::Closed));
        }
        if state.held.len() >= self.room {
            return Ok(Some(record));
        }
        match if state.released { Verdict::Deliver } else { (self.decide)(&record) } {
            Verdict::Deliver => state.delivered.push(record),
            Verdict::Fail(kind) => {
                self.failures.add(Failed {
                    origin,
                    record,
                    reason: Reason::new(kind, "told to"),
                    attempts: 2,
                    possibly_stored: false,
                });
            }
            Verdict::Refuse => return Err((record, PushErrorReason::TooLarge { bytes: 9, bytes_max: 8 })),
            Verdict::Hold => {
                state.held.push((record, origin));
                state.held_most = state.held_most.max(state.held.len());
                self.changed.notify_waiters();
            }
        }
        Ok(None)
    }
}

impl Destination for Fake {
    async fn send_all(&self, records: Vec<(Record, Origin)>) -> Result<(), Refused> {
        let mut records = records.into_iter();
        while let Some((mut record, origin)) = records.next() {
            loop {
                let changed = self.changed.notified();
                match self.take(record, origin) {
                    Ok(None) => break,
                    Ok(Some(back)) => record = back,
                    Err((record, reason)) => {
                        return Err(Refused { record: (record, origin), reason, rest: records.collect() });
                    }
                }
                changed.await;
            }
        }
        Ok(())
    }

    async fn close(&self, within: Duration) {
        {
            let mut state = self.state.lock().unwrap();
            state.closed = true;
            if within.is_zero() {
                for (record, origin) in std::mem::take(&mut state.held) {
                    let reason = Reason::new(Kind::Undelivered, "given up");
                    let failed = Failed { origin, record, reason, attempts: 1, possibly_stored: false };
                    self.failures.add(failed);
                }
            }
            self.changed.notify_waiters();
        }
        self.wait_until(|state| state.held.is_empty()).await;
    }

    fn is_saturated(&self) -> bool {
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.is_saturated
    }

    fn hold(&self) -> Option<ServiceError> {
        let holds = !self.state.lock().unwrap().held.is_empty();
        self.hold.lock().unwrap().clone().filter(|_| holds)
    }

    fn counts(&self) -> Counts {
        Counts { delivered: self.state.lock().unwrap().delivered.len() as u64, ..Counts::default() }
    }
}

/// A run with its own directory, input files and signals.
struct Run {
    dir: TempDir,
    files: Vec<PathBuf>,
    flags: Vec<&'static str>,
    signals: (watch::Sender<Stop>, Signals),
}

impl Run {
    fn of(contents: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let files = (0..contents.len()).map(|n| dir.path().join(format!("input-{n}"))).collect::<Vec<_>>();
        for (file, content) in files.iter().zip(contents) {
            std::fs::write(file, content).unwrap();
        }
        Self { dir, files, flags: Vec::new(), signals: Signals::manual() }
    }

    fn with(mut self, flags: &[&'static str]) -> Self {
        self.flags.extend(flags);
        self
    }

    fn letters_path(&self) -> PathBuf {
        self.dir.path().join("dead")
    }

    fn letters(&self) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(self.letters_path()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn stop(&self, stop: Stop) {
        self.signals.0.send(stop).unwrap();
    }

    async fn against(&self, fake: &Fake) -> Outcome {
        let args = push_args(&self.flags, &self.files);
        let sources = Sources::check(&args.files).unwrap();
        self.deliver(fake, args, sources).await
    }

    async fn deliver(&self, fake: &Fake, args: PushArgs, sources: Sources) -> Outcome {
        let letters = DeadLetters::open(&self.letters_path(), &sources).unwrap();
        let ledger =
            Ledger::new(Arc::clone(&fake.failures), sources.names(), Some(letters), args.input.on_bad_record);
        let fingerprints = Some(Fingerprints::default());
        let outcome =
            deliver(fake, args, sources, ledger, self.signals.1.clone(), fingerprints).await.unwrap();
        let summary = &outcome.summary;
        assert!(summary.adds_up(), "every record has one end: {summary:?}");
        let lost = summary.records_failed + summary.records_undelivered;
        assert_eq!(self.letters().len() as u64, lost, "whatever is lost has a letter");
        outcome
    }
}

fn push_args(flags: &[&str], files: &[PathBuf]) -> PushArgs {
    let fixed = ["kinesis-pusher", "push", "--stream", "s", "--progress", "never"].map(PathBuf::from);
    let flags = flags.iter().map(PathBuf::from);
    let cli = Cli::try_parse_from(fixed.into_iter().chain(flags).chain(files.iter().cloned())).unwrap();
    match cli.command {
        Command::Push(args) => *args,
        other => panic!("push was typed, not {other:?}"),
    }
}

#[tokio::test]
async fn everything_is_read_and_delivered_in_order() {
    let run = Run::of(&["a\nb\n", "c"]).with(&["--partition-key", "line"]);
    let fake = Fake::new(10, |_| Verdict::Deliver);
    let mut outcome = run.against(&fake).await;
    assert!(outcome.complete);
    assert_eq!((outcome.summary.records_delivered, outcome.summary.bytes_read), (3, 5));
    let delivered = std::mem::take(&mut fake.state.lock().unwrap().delivered);
    let keys: Vec<_> = delivered.iter().map(|record| record.partition_key().unwrap().to_owned()).collect();
    assert_eq!(keys, ["a", "b", "c"]);
    let fingerprints = outcome.fingerprints.as_mut().unwrap();
    for record in delivered {
        fingerprints.read_back(record.partition_key().unwrap(), record.data());
    }
    assert_eq!(fingerprints.difference(), Difference::default(), "what was read in can be compared");
}

#[tokio::test(start_paused = true)]
async fn a_destination_with_enough_to_do_is_waited_for_a_moment_and_then_filled() {
    let run = Run::of(&["a\n", "b\n", "c\n"]);
    let fake = Fake { is_saturated: true, ..Fake::new(3, |_| Verdict::Hold) };
    let (outcome, ()) = tokio::join!(run.against(&fake), async {
        fake.wait_until_full().await;
        fake.release();
    });
    assert!(outcome.complete, "an outage keeps nothing out that there is room for");
    assert_eq!(outcome.summary.records_delivered, 3);
    let asked = fake.asked.into_inner();
    assert!((60..=200).contains(&asked), "20 times before each batch, and not {asked} times");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_read_while_the_stream_cannot_be_written_to() {
    let run = Run::of(&["a\n", "b\n", "c\n"]);
    let fake = Fake::new(10, |_| Verdict::Hold);
    *fake.hold.lock().unwrap() = Some(ServiceError::from_code("ResourceNotFoundException"));
    let (outcome, ()) = tokio::join!(run.against(&fake), async {
        fake.wait_until(|state| !state.held.is_empty()).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(fake.state.lock().unwrap().held.len(), 1, "there is room, and one record to probe with");
        *fake.hold.lock().unwrap() = None;
        fake.release();
    });
    assert!(outcome.complete);
    assert_eq!(outcome.summary.records_delivered, 3);
}

#[tokio::test(start_paused = true)]
async fn a_signal_ends_the_wait_for_a_stream_that_cannot_be_written_to() {
    let run = Run::of(&["a\n", "b\n", "c\n"]).with(&["--drain-timeout", "5s"]);
    let fake = Fake::new(10, |_| Verdict::Hold);
    *fake.hold.lock().unwrap() = Some(ServiceError::from_code("ResourceNotFoundException"));
    let (outcome, ()) = tokio::join!(run.against(&fake), async {
        fake.wait_until(|state| !state.held.is_empty()).await;
        run.stop(Stop::Drain);
    });
    assert!(!outcome.complete);
    assert_eq!(outcome.summary.records_delivered, 0);
    assert!(outcome.summary.records_undelivered >= 1, "{:?}", outcome.summary);
}

#[tokio::test]
async fn no_input_is_delivered_completely() {
    let outcome = Run::of(&[""]).against(&Fake::new(1, |_| Verdict::Deliver)).await;
    assert!(outcome.complete);
    assert_eq!(outcome.summary.records_read, 0);
}

#[tokio::test]
async fn a_record_the_producer_gives_up_does_not_stop_the_others() {
    let run = Run::of(&["good\nexpires\nrejected\ngood\n"]).with(&["--partition-key", "line"]);
    let fake = Fake::new(10, |record| match &record.data()[..] {
        b"expires" => Verdict::Fail(Kind::Expired),
        b"rejected" => Verdict::Fail(Kind::Rejected),
        _ => Verdict::Deliver,
    });
    let outcome = run.against(&fake).await;
    assert!(!outcome.complete, "something was not delivered");
    let summary = outcome.summary;
    assert_eq!((summary.records_delivered, summary.records_failed, summary.records_expired), (2, 2, 1));
    assert_eq!(summary.records_retried, 2);
    let letters = run.letters();
    assert_eq!((letters[0]["line"].as_u64(), letters[0]["attempts"].as_u64()), (Some(2), Some(2)));
    assert_eq!(letters[1]["partition_key"], "rejected");
}

#[tokio::test]
async fn a_bad_record_ends_the_reading_and_what_came_before_it_is_delivered() {
    let run = Run::of(&["{}\n[]\nnope\n{}\n", "{}\n"]).with(&["--format", "ndjson"]);
    let outcome = run.against(&Fake::new(10, |_| Verdict::Deliver)).await;
    assert!(!outcome.complete);
    let summary = outcome.summary;
    assert_eq!((summary.records_read, summary.records_delivered, summary.records_failed), (3, 2, 1));
}

#[tokio::test]
async fn bad_records_are_skipped_into_the_dead_letters_when_asked_to() {
    let run =
        Run::of(&["{}\n[]\nnope\n{}\n", "{}\n"]).with(&["--format", "ndjson", "--on-bad-record", "skip"]);
    let outcome = run.against(&Fake::new(10, |_| Verdict::Deliver)).await;
    assert!(!outcome.complete, "a record was not delivered");
    let summary = outcome.summary;
    assert_eq!((summary.records_read, summary.records_delivered, summary.records_failed), (5, 4, 1));
    assert_eq!(run.letters()[0]["data_base64"], "bm9wZQ==");
}

#[tokio::test]
async fn a_record_this_stream_does_not_take_is_a_bad_record() {
    for (flag, delivered) in [("fail", 1), ("skip", 2)] {
        let run = Run::of(&["a\nlarge\nb\n"]).with(&["--on-bad-record", flag]);
        let refuse =
            |record: &Record| if record.data() == "large" { Verdict::Refuse } else { Verdict::Deliver };
        let outcome = run.against(&Fake::new(10, refuse)).await;
        let summary = outcome.summary;
        assert_eq!(
            (summary.records_delivered, summary.records_failed),
            (delivered, 1),
            "--on-bad-record {flag}"
        );
        assert!(run.letters()[0]["partition_key"].is_string(), "it had a key");
    }
}

#[tokio::test]
async fn reading_waits_for_room_and_goes_on_when_there_is_some() {
    let lines = "x\n".repeat(100_000);
    let run = Run::of(&[&lines]);
    let fake = Fake::new(10, |_| Verdict::Hold);
    let (outcome, ()) = tokio::join!(run.against(&fake), async {
        fake.wait_until_full().await;
        fake.release();
    });
    assert!(outcome.complete);
    assert_eq!(fake.state.lock().unwrap().held_most, 10, "no more than there was room for");
    assert_eq!(outcome.summary.records_delivered, 100_000);
}

#[tokio::test]
async fn a_second_signal_hands_back_everything_that_was_read() {
    let lines = "x\n".repeat(100_000);
    let run = Run::of(&[&lines]);
    let fake = Fake::new(10, |_| Verdict::Hold);
    let (outcome, ()) = tokio::join!(run.against(&fake), async {
        fake.wait_until_full().await;
        run.stop(Stop::Drain);
        tokio::task::yield_now().await;
        run.stop(Stop::AtOnce);
    });
    assert!(!outcome.complete);
    let summary = outcome.summary;
    assert_eq!(summary.records_delivered, 0);
    assert!(summary.records_undelivered >= 10, "what was held and what was read ahead: {summary:?}");
    assert!(summary.records_read < 100_000, "it did not read on");
}

#[tokio::test]
async fn a_drain_that_takes_too_long_hands_back_what_is_left() {
    let run = Run::of(&["a\nb\nc\n"]).with(&["--drain-timeout", "20ms"]);
    let fake = Fake::new(3, |_| Verdict::Hold);
    let (outcome, ()) = tokio::join!(run.against(&fake), async {
        fake.wait_until_full().await;
        run.stop(Stop::Drain);
    });
    assert_eq!(outcome.summary.records_undelivered, 3);
    assert_eq!(run.letters()[0]["reason"], "given up");
}

/// A pipe whose writer never leaves.
#[cfg(unix)]
fn silent_pipe(path: &Path, content: &str) -> std::fs::File {
    use std::io::Write;
    assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
    let mut pipe = std::fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    pipe.write_all(content.as_bytes()).unwrap();
    pipe
}

#[cfg(unix)]
#[tokio::test]
async fn a_first_signal_delivers_what_was_read_and_reads_no_more() {
    let mut run = Run::of(&[]);
    let path = run.dir.path().join("pipe");
    let _writer = silent_pipe(&path, "a\nb\nc\n");
    run.files = vec![path];
    let fake = Fake::new(3, |_| Verdict::Hold);
    let (outcome, ()) = tokio::join!(run.against(&fake), async {
        fake.wait_until_full().await;
        run.stop(Stop::Drain);
        fake.release();
    });
    assert_eq!(outcome.summary.records_delivered, 3);
    assert!(!outcome.complete, "a named input was not read to its end");
}

#[tokio::test]
async fn an_input_that_breaks_off_leaves_what_was_read_delivered() {
    let run = Run::of(&["a\n", "b\n"]);
    let args = push_args(&[], &run.files);
    let sources = Sources::check(&args.files).unwrap();
    std::fs::remove_file(&run.files[1]).unwrap();
    let outcome = run.deliver(&Fake::new(10, |_| Verdict::Deliver), args, sources).await;
    assert!(!outcome.complete);
    assert_eq!(outcome.summary.records_delivered, 1);
}
