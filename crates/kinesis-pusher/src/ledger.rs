//! The accounts of a run: every record that was read gets exactly one end here.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kinesis_batcher_core::Record;

use crate::cli::OnBadRecord;
use crate::dead_letters::{DeadLetter, DeadLetters};
use crate::destination::{Counts, Failed};
use crate::failures::Failures;
use crate::input::{BadRecord, Origin};
use crate::progress::Position;
use crate::reason::{Kind, Reason};
use crate::summary::{Summary, grouped};

/// Counts records, keeps what was not delivered, and finds the words for it.
pub(crate) struct Ledger {
    failures: Arc<Failures>,
    /// All but what the destination counts.
    totals: Summary,
    /// Failed records that are in the stream all the same, perhaps.
    failed_possibly_stored: u64,
    lost: BTreeMap<Kind, u64>,
    last_read: Option<Origin>,
    file_names: Arc<[String]>,
    dead_letters: Option<DeadLetters>,
    on_bad_record: OnBadRecord,
    must_stop: bool,
    /// A letter that could not be written is a loss of its own, whatever the records come to.
    letters_failed: bool,
    notes: Vec<String>,
    notes_left: u32,
}

impl Ledger {
    /// An empty ledger. `file_names` are the ones [`Origin::file`] numbers.
    pub(crate) fn new(
        failures: Arc<Failures>,
        file_names: Arc<[String]>,
        dead_letters: Option<DeadLetters>,
        on_bad_record: OnBadRecord,
    ) -> Self {
        Self {
            failures,
            totals: Summary::default(),
            failed_possibly_stored: 0,
            lost: BTreeMap::new(),
            last_read: None,
            file_names,
            dead_letters,
            on_bad_record,
            must_stop: false,
            letters_failed: false,
            notes: Vec::new(),
            notes_left: NOTES_MAX,
        }
    }

    /// Bytes were taken from the input.
    pub(crate) fn read_bytes(&mut self, bytes: u64) {
        self.totals.bytes_read += bytes;
    }

    /// So many records were taken from the input, up to this place; the calls below say what became of each.
    pub(crate) fn read_records(&mut self, records: usize, last: Option<Origin>) {
        self.totals.records_read += records as u64;
        self.last_read = last.or(self.last_read);
    }

    /// So many records that were counted as read are not sent for want of a reason to go on; they count as never
    /// read.
    pub(crate) fn unread(&mut self, records: usize) {
        self.totals.records_read -= records as u64;
    }

    /// Takes what failed meanwhile.
    pub(crate) fn settle(&mut self) {
        for Failed { origin, record, reason, attempts, possibly_stored } in self.failures.take() {
            self.totals.records_retried += u64::from(attempts > 1);
            self.failed_possibly_stored += u64::from(possibly_stored);
            self.lose(origin, &reason, attempts, Some(&record), record.data(), None);
            match reason.kind {
                // Thousands can be left at a stop, and the reason is the same for all of them.
                Kind::Undelivered => {}
                Kind::Permanent => self.after_permanent(origin, &reason),
                _ => self.note_record(origin, &reason),
            }
        }
    }

    /// The record was read, and the run stopped before the producer took it.
    pub(crate) fn undelivered(&mut self, origin: Origin, record: &Record) {
        let reason = Reason::new(Kind::Undelivered, "stopped before it was sent");
        self.lose(origin, &reason, 0, Some(record), record.data(), None);
    }

    /// What was read cannot be sent.
    pub(crate) fn bad(&mut self, origin: Origin, bad: &BadRecord) {
        self.lose(origin, &bad.reason, 0, None, &bad.data, bad.truncated_from_bytes);
        self.after_bad(origin, &bad.reason);
    }

    /// The stream does not take the record.
    pub(crate) fn refused(&mut self, origin: Origin, record: &Record, reason: &Reason) {
        self.lose(origin, reason, 0, Some(record), record.data(), None);
        self.after_bad(origin, reason);
    }

    /// Whether nothing more may be read: a bad record with `--on-bad-record fail`, one that could not be kept, or with
    /// `--fail-fast` a stream that takes none.
    pub(crate) fn must_stop(&self) -> bool {
        self.must_stop
    }

    /// Lines for stderr since the last call.
    pub(crate) fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    /// How far it is, with so many records delivered.
    pub(crate) fn position(&self, records_delivered: u64) -> Position {
        Position {
            bytes_read: self.totals.bytes_read,
            records_read: self.totals.records_read,
            records_delivered,
            records_failed: self.totals.records_failed + self.totals.records_undelivered,
        }
    }

    /// The last record that was read, as `file:line`.
    pub(crate) fn last_read(&self) -> Option<String> {
        self.last_read.map(|origin| self.place(origin))
    }

    /// Closes the accounts once every record has its end. The second part is false when a dead letter was lost.
    pub(crate) fn close(&mut self, counts: Counts, elapsed: Duration) -> (Summary, bool) {
        self.settle();
        if let Some(Err(problem)) = self.dead_letters.as_mut().map(DeadLetters::finish) {
            self.letters_failed = true;
            self.notes.push(format!("error: {problem}"));
        }
        self.note_losses();
        let mut summary = self.totals.clone();
        summary.records_delivered = counts.delivered;
        summary.records_recovered = counts.recovered;
        summary.records_retried += counts.recovered;
        summary.records_possibly_duplicated =
            counts.possibly_duplicated.saturating_sub(self.failed_possibly_stored);
        summary.requests = counts.requests;
        summary.kinesis_records = counts.kinesis_records;
        summary.throttled = counts.throttled;
        summary.holds = counts.holds;
        summary.aggregation_suspended = counts.aggregation_suspended;
        summary.elapsed_seconds = elapsed.as_secs_f64();
        if !elapsed.is_zero() {
            summary.records_per_second = summary.records_delivered as f64 / summary.elapsed_seconds;
        }
        debug_assert!(summary.adds_up(), "every record that was read has one end: {summary:?}");
        (summary, !self.letters_failed)
    }

    fn after_bad(&mut self, origin: Origin, reason: &Reason) {
        match self.on_bad_record {
            OnBadRecord::Skip => self.note_record(origin, reason),
            OnBadRecord::Fail => {
                self.must_stop = true;
                let place = self.place(origin);
                self.notes.push(format!(
                    "error: {place}: {reason}; nothing after it was read (--on-bad-record skip would go on)"
                ));
            }
        }
    }

    /// The first of them ends the reading; every other one would say the same.
    fn after_permanent(&mut self, origin: Origin, reason: &Reason) {
        if !self.must_stop {
            self.must_stop = true;
            let place = self.place(origin);
            self.notes.push(format!("error: {place}: {reason}; nothing more is read (--fail-fast)"));
        }
    }

    fn lose(
        &mut self,
        origin: Origin,
        reason: &Reason,
        attempts: u32,
        record: Option<&Record>,
        data: &[u8],
        truncated_from_bytes: Option<u64>,
    ) {
        match reason.kind {
            Kind::Undelivered => self.totals.records_undelivered += 1,
            _ => self.totals.records_failed += 1,
        }
        self.totals.records_expired += u64::from(reason.kind == Kind::Expired);
        *self.lost.entry(reason.kind).or_default() += 1;
        let Some(letters) = &mut self.dead_letters else { return };
        let letter = DeadLetter {
            file: &self.file_names[origin.file as usize],
            line: origin.line,
            reason: &reason.to_string(),
            attempts,
            request_id: reason.request_id.as_deref(),
            partition_key: record.and_then(Record::partition_key),
            data,
            truncated_from_bytes,
        };
        if let Err(problem) = letters.write(&letter)
            && !self.letters_failed
        {
            self.letters_failed = true;
            self.must_stop = true;
            self.notes.push(format!("error: {problem}; nothing more was read"));
        }
    }

    fn note_record(&mut self, origin: Origin, reason: &Reason) {
        if self.notes_left == 0 {
            return;
        }
        self.notes_left -= 1;
        let place = self.place(origin);
        self.notes.push(format!("{place}: {reason}"));
        if self.notes_left == 0 {
            self.notes.push("further records that are not delivered are only counted".to_owned());
        }
    }

    fn note_losses(&mut self) {
        let total: u64 = self.lost.values().sum();
        if total == 0 {
            return;
        }
        let kinds: Vec<String> =
            self.lost.iter().map(|(kind, count)| format!("{} {}", grouped(*count), kind.label())).collect();
        let (were, they_are) =
            if total == 1 { ("record was", "it is") } else { ("records were", "they are") };
        let kept = match &self.dead_letters {
            None => format!("{they_are} kept nowhere (--dead-letters FILE would)"),
            Some(letters) if letters.written() == total => {
                format!("{they_are} in '{}'", letters.path().display())
            }
            Some(letters) => {
                format!("'{}' holds only {} of them", letters.path().display(), grouped(letters.written()))
            }
        };
        let (total, kinds) = (grouped(total), kinds.join(", "));
        self.notes.push(format!("error: {total} {were} not delivered ({kinds}); {kept}"));
    }

    fn place(&self, origin: Origin) -> String {
        let name = match self.file_names[origin.file as usize].as_str() {
            "-" => "stdin",
            name => name,
        };
        format!("{name}:{}", origin.line)
    }
}

/// Records named one by one on stderr; the rest would bury what matters.
const NOTES_MAX: u32 = 10;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use bytes::Bytes;

    use super::*;
    use crate::input::Sources;

    fn ledger(on_bad_record: OnBadRecord, dead_letters: Option<&Path>) -> Ledger {
        let sources = Sources::check(&[]).unwrap();
        let letters = dead_letters.map(|path| DeadLetters::open(path, &sources).unwrap());
        Ledger::new(Arc::default(), Arc::new(["a.csv".to_owned(), "-".to_owned()]), letters, on_bad_record)
    }

    fn at(line: u64) -> Origin {
        Origin { file: 0, line }
    }

    fn record() -> Record {
        Record::new("key", "data").unwrap()
    }

    fn failed(origin: Origin, kind: Kind, attempts: u32) -> Failed {
        let reason = Reason::new(kind, "it failed");
        Failed { origin, record: record(), reason, attempts, possibly_stored: kind == Kind::Expired }
    }

    fn bad(kind: Kind) -> BadRecord {
        BadRecord {
            reason: Reason::new(kind, "it is bad"),
            data: Bytes::from_static(b"bad"),
            truncated_from_bytes: None,
        }
    }

    #[test]
    fn every_end_of_a_record_is_counted_once() {
        let mut ledger = ledger(OnBadRecord::Skip, None);
        ledger.read_records(9, Some(at(9)));
        ledger.unread(1);
        ledger.read_bytes(100);
        ledger.failures.add(failed(at(4), Kind::Expired, 5));
        ledger.failures.add(failed(at(5), Kind::Rejected, 1));
        ledger.bad(at(6), &bad(Kind::NotJson));
        ledger.refused(at(7), &record(), &Reason::new(Kind::TooLarge, "too large"));
        ledger.undelivered(at(8), &record());
        let counts = Counts {
            delivered: 3,
            recovered: 2,
            possibly_duplicated: 2,
            requests: 9,
            kinesis_records: 3,
            throttled: 2,
            holds: 1,
            ..Counts::default()
        };
        let (summary, letters_kept) = ledger.close(counts, Duration::from_secs(2));
        assert!(summary.adds_up(), "{summary:?}");
        assert!(letters_kept, "without a file there is no letter to lose");
        let expected = Summary {
            records_read: 8,
            records_delivered: 3,
            records_failed: 4,
            records_expired: 1,
            records_undelivered: 1,
            records_retried: 3,
            records_recovered: 2,
            records_possibly_duplicated: 1,
            bytes_read: 100,
            requests: 9,
            kinesis_records: 3,
            throttled: 2,
            holds: 1,
            aggregation_suspended: false,
            elapsed_seconds: 2.0,
            records_per_second: 1.5,
            verified: None,
        };
        assert_eq!(summary, expected);
        assert_eq!(
            ledger.take_notes().last().unwrap(),
            "error: 5 records were not delivered (1 too large, 1 not JSON, 1 rejected, 1 expired, 1 undelivered at \
             the stop); they are kept nowhere (--dead-letters FILE would)"
        );
    }

    #[test]
    fn whatever_is_not_delivered_gets_a_letter() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("dead");
        let mut ledger = ledger(OnBadRecord::Skip, Some(&path));
        ledger.read_records(4, Some(at(4)));
        ledger.bad(at(1), &bad(Kind::NoKey));
        ledger.refused(at(2), &record(), &Reason::new(Kind::TooLarge, "too large for this stream"));
        ledger.failures.add(failed(at(3), Kind::AttemptsExhausted, 4));
        ledger.settle();
        ledger.undelivered(Origin { file: 1, line: 4 }, &record());
        let (_, letters_kept) = ledger.close(Counts::default(), Duration::ZERO);
        assert!(letters_kept);
        let text = std::fs::read_to_string(&path).unwrap();
        let letters: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(letters.len(), 4);
        assert_eq!(letters[0]["partition_key"], serde_json::Value::Null);
        assert_eq!(letters[1]["partition_key"], "key");
        assert_eq!(letters[2]["attempts"], 4);
        assert_eq!((letters[3]["file"].as_str(), letters[3]["line"].as_u64()), (Some("-"), Some(4)));
        assert!(ledger.take_notes().last().unwrap().ends_with(&format!("they are in '{}'", path.display())));
    }

    #[test]
    fn a_bad_record_stops_the_reading_only_when_it_is_asked_to() {
        let mut skipping = ledger(OnBadRecord::Skip, None);
        skipping.read_records(1, Some(at(1)));
        skipping.bad(at(1), &bad(Kind::NoKey));
        assert!(!skipping.must_stop());
        let mut failing = ledger(OnBadRecord::Fail, None);
        failing.read_records(1, Some(at(17)));
        failing.failures.add(failed(at(17), Kind::Expired, 1));
        failing.settle();
        assert!(!failing.must_stop(), "a record that expires is not a bad one");
        failing.bad(at(17), &bad(Kind::NoKey));
        assert!(failing.must_stop());
        let note = failing.take_notes().pop().unwrap();
        assert!(note.starts_with("error: a.csv:17: it is bad; nothing after it was read"), "{note}");
    }

    #[test]
    fn a_stream_that_takes_no_record_ends_the_reading_and_is_said_once() {
        let mut ledger = ledger(OnBadRecord::Skip, None);
        ledger.read_records(2, Some(at(2)));
        ledger.failures.add(failed(at(1), Kind::Permanent, 1));
        ledger.failures.add(failed(at(2), Kind::Permanent, 1));
        ledger.settle();
        assert!(ledger.must_stop());
        assert_eq!(
            ledger.take_notes(),
            ["error: a.csv:1: it failed; nothing more is read (--fail-fast)".to_owned()]
        );
    }

    #[test]
    fn a_flood_of_losses_is_counted_and_not_listed() {
        let mut ledger = ledger(OnBadRecord::Skip, None);
        for line in 1..=1_000 {
            ledger.read_records(1, Some(at(line)));
            ledger.bad(at(line), &bad(Kind::NotJson));
        }
        let notes = ledger.take_notes();
        assert_eq!(notes.len(), NOTES_MAX as usize + 1);
        ledger.close(Counts::default(), Duration::ZERO);
        assert!(
            ledger.take_notes()[0].starts_with("error: 1,000 records were not delivered (1,000 not JSON)")
        );
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_letter_that_cannot_be_written_stops_the_reading_and_is_never_silent() {
        let mut ledger = ledger(OnBadRecord::Skip, Some(Path::new("/dev/full")));
        for line in 1..=3 {
            ledger.read_records(1, Some(at(line)));
            ledger.bad(at(line), &bad(Kind::NotJson));
        }
        assert!(ledger.must_stop());
        let (_, letters_kept) = ledger.close(Counts::default(), Duration::ZERO);
        assert!(!letters_kept);
        let notes = ledger.take_notes();
        let reports = notes.iter().filter(|note| note.contains("cannot write dead letters")).count();
        assert_eq!(reports, 1, "it is said once: {notes:?}");
        assert!(notes.last().unwrap().contains("'/dev/full' holds only 0 of them"), "{notes:?}");
    }
}
