//! I12: accepted = delivered + failed + held, always, and every other figure adds up too.

use kinesis_batcher_core::{Batcher, Event, FailureReason, Stats, Timestamp};
use kinesis_model::Cause as Failure;

use super::{Breach, Checker, Invariant, Observation, Scene, entry_failure, tag_of};
use crate::window::Window;

/// FiguresAddUp along.
#[derive(Debug, Default)]
pub(super) struct FiguresAddUp {
    /// By record.
    last_sent_at: Window<Timestamp>,
    accepted: u64,
    refused: u64,
    delivered: u64,
    recovered: u64,
    failed: u64,
    expired: u64,
    exhausted: u64,
    aborted: u64,
    possibly_duplicated: u64,
    requests: u64,
    requests_in_flight: u64,
    records_in_flight: u64,
    answered: u64,
    /// Requests that failed, by cause.
    transient: u64,
    throttled: u64,
    credentials: u64,
    account: u64,
    too_large: u64,
    rejected: u64,
    entries_throttled: u64,
    records_rejected: u64,
    records_permanent: u64,
    bytes_accepted: u64,
    bytes_delivered: u64,
    kinesis_records: u64,
    /// The delays of delivered records until their last request, and until the producer took their events.
    push_delay: (u128, u128),
    /// The producer's clock was set back or is coarse, so that an answer can seem earlier than its request.
    is_clock_off: bool,
    /// Sums, as of the histograms of the same names.
    request_duration: u128,
    request_entries: u128,
    request_bytes: u128,
    settled: u64,
}

impl Checker for FiguresAddUp {
    fn invariant(&self) -> Invariant {
        Invariant::I12
    }

    fn observe(&mut self, scene: &Scene<'_>, observation: &Observation<'_>) -> Result<(), Breach> {
        match *observation {
            Observation::Accepted { record, .. } => {
                self.accepted += 1;
                self.bytes_accepted += scene.ledger.record(record).map_or(0, |facts| u64::from(facts.bytes));
            }
            Observation::Refused { reason, .. } => self.refused += u64::from(reason.is_full()),
            Observation::Requested { request, .. } => {
                self.requests += 1;
                self.requests_in_flight += 1;
                self.records_in_flight += request.records.all().len() as u64;
                self.request_entries += request.request.len() as u128;
                self.request_bytes += request.sent().map(|sent| sent.bytes() as u128).sum::<u128>();
            }
            Observation::Answered { request, outcome, meaning, .. } => {
                let sent_at = request.sent_at;
                self.is_clock_off |= scene.clock != scene.now;
                self.request_duration += scene.clock.since(sent_at).as_nanos();
                for &number in request.records.all() {
                    self.last_sent_at.insert(number, sent_at);
                }
                self.requests_in_flight -= 1;
                self.records_in_flight -= request.records.all().len() as u64;
                *self.requests_that(meaning.map(|meaning| meaning.cause)) += 1;
                if let (Ok(response), None) = (outcome, meaning) {
                    let causes = response.outcomes.iter().filter_map(entry_failure);
                    self.entries_throttled +=
                        causes.filter(|meaning| meaning.cause == Failure::Throttled).count() as u64;
                }
            }
            Observation::Event { event, .. } => {
                let sent_at = tag_of(event).and_then(|tag| self.last_sent_at.remove(tag));
                self.event(scene, event, sent_at);
            }
            Observation::Crashed { held, .. } => {
                held.iter().for_each(|&number| _ = self.last_sent_at.remove(number));
            }
            Observation::Settled { batcher, .. } => return self.compare(batcher),
            _ => {}
        }
        Ok(())
    }
}

impl FiguresAddUp {
    /// The counter of requests that were answered, or failed for this cause.
    fn requests_that(&mut self, cause: Option<Failure>) -> &mut u64 {
        match cause {
            None => &mut self.answered,
            Some(Failure::Failure) => &mut self.transient,
            Some(Failure::Throttled) => &mut self.throttled,
            Some(Failure::Credentials) => &mut self.credentials,
            Some(Failure::Account) => &mut self.account,
            Some(Failure::TooLarge) => &mut self.too_large,
            Some(Failure::Rejected) => &mut self.rejected,
        }
    }

    fn event(&mut self, scene: &Scene<'_>, event: &Event<u64>, sent_at: Option<Timestamp>) {
        match event {
            Event::Delivered { tag, receipt } => {
                self.delivered += 1;
                self.kinesis_records += u64::from(receipt.sub_sequence_number.is_none_or(|place| place == 0));
                if let Some(facts) = scene.ledger.record(*tag) {
                    self.bytes_delivered += u64::from(facts.bytes);
                    let accepted_at = facts.accepted.map_or(scene.clock, |accepted| accepted.at);
                    let sent_at = sent_at.unwrap_or(accepted_at);
                    self.push_delay.0 += sent_at.since(accepted_at).as_nanos();
                    self.push_delay.1 += scene.clock.since(accepted_at).as_nanos();
                }
                self.recovered += u64::from(receipt.attempts > 1);
                self.possibly_duplicated += u64::from(receipt.possible_duplicate);
            }
            Event::Failed { failure, .. } => {
                self.failed += 1;
                self.possibly_duplicated += u64::from(failure.possibly_stored);
                match failure.reason {
                    FailureReason::Expired { .. } => self.expired += 1,
                    FailureReason::AttemptsExhausted(_) => self.exhausted += 1,
                    FailureReason::Aborted => self.aborted += 1,
                    FailureReason::Permanent(_) => self.records_permanent += 1,
                    // It, or what the stream takes, was at fault.
                    _ => self.records_rejected += 1,
                }
            }
            _ => {}
        }
    }

    fn compare(&mut self, batcher: &Batcher<u64>) -> Result<(), Breach> {
        let stats = batcher.stats();
        let held = self.accepted - self.delivered - self.failed;
        let queued = held.wrapping_sub(self.records_in_flight);
        let figures = [
            ("records_accepted", stats.records_accepted, self.accepted),
            ("records_refused", stats.records_refused, self.refused),
            ("records_delivered", stats.records_delivered, self.delivered),
            ("records_recovered", stats.records_recovered, self.recovered),
            ("records_failed", stats.records_failed, self.failed),
            ("records_expired", stats.records_expired, self.expired),
            ("records_exhausted", stats.records_exhausted, self.exhausted),
            ("records_aborted", stats.records_aborted, self.aborted),
            ("records_possibly_duplicated", stats.records_possibly_duplicated, self.possibly_duplicated),
            ("records_queued", stats.records_queued, queued),
            ("records_in_flight", stats.records_in_flight, self.records_in_flight),
            ("requests_sent", stats.requests_sent, self.requests),
            ("requests_in_flight", stats.requests_in_flight, self.requests_in_flight),
            ("requests_answered", stats.requests_answered, self.answered),
            ("requests_transient", stats.requests_transient, self.transient),
            ("requests_throttled", stats.requests_throttled, self.throttled),
            ("requests_credentials", stats.requests_credentials, self.credentials),
            ("requests_account", stats.requests_account, self.account),
            ("requests_too_large", stats.requests_too_large, self.too_large),
            ("requests_rejected", stats.requests_rejected, self.rejected),
            ("records_throttled", stats.records_throttled, self.entries_throttled),
            ("records_rejected", stats.records_rejected, self.records_rejected),
            ("records_permanent", stats.records_permanent, self.records_permanent),
            ("bytes_accepted", stats.bytes_accepted, self.bytes_accepted),
            ("bytes_delivered", stats.bytes_delivered, self.bytes_delivered),
            ("kinesis_records_delivered", stats.kinesis_records_delivered, self.kinesis_records),
            ("the reasons of failures", reasons(&stats), self.failed),
            ("the outcomes of requests", outcomes(&stats), self.requests),
        ];
        if let Some((name, told, counted)) = figures.into_iter().find(|(_, told, counted)| told != counted) {
            return Err(Breach::new(format!("{name}: {told} are told and {counted} were counted")));
        }
        self.settled += 1;
        if self.settled.is_multiple_of(HISTOGRAMS_EVERY) || batcher.is_drained() {
            self.compare_histograms(batcher)?;
        }
        if self.settled.is_multiple_of(SHARDS_EVERY) { self.compare_shards(batcher, held) } else { Ok(()) }
    }

    fn compare_histograms(&self, batcher: &Batcher<u64>) -> Result<(), Breach> {
        let told = batcher.histograms();
        let (least, most) = self.push_delay;
        let least = if self.is_clock_off { 0 } else { least };
        let delay = told.push_delay.sum();
        if !(least..=most).contains(&delay) {
            return Err(Breach::new(format!(
                "the sum of push_delay is {delay}; it is between {least} and {most}"
            )));
        }
        let figures = [
            ("the number of push_delay", u128::from(told.push_delay.count()), u128::from(self.delivered)),
            ("the sum of request_duration", told.request_duration.sum(), self.request_duration),
            ("the sum of request_entries", told.request_entries.sum(), self.request_entries),
            ("the sum of request_bytes", told.request_bytes.sum(), self.request_bytes),
            ("the sum of user_records", told.user_records.sum(), u128::from(self.delivered)),
            (
                "the number of user_records",
                u128::from(told.user_records.count()),
                u128::from(self.kinesis_records),
            ),
        ];
        match figures.into_iter().find(|(_, told, counted)| told != counted) {
            Some((name, told, counted)) => {
                Err(Breach::new(format!("{name}: {told} is told and {counted} was counted")))
            }
            None => Ok(()),
        }
    }

    /// Suspects and what waits for a map belong to no shard, so that shards hold no more than all.
    fn compare_shards(&self, batcher: &Batcher<u64>, held: u64) -> Result<(), Breach> {
        let (mut records, mut bytes) = (0, 0);
        for shard in batcher.shard_stats() {
            records += shard.records_held;
            bytes += shard.bytes_held;
        }
        if records > held || bytes > batcher.stats().buffered_bytes {
            return Err(Breach::new(format!(
                "shards are said to hold {records} records, and {held} are held"
            )));
        }
        Ok(())
    }
}

fn reasons(stats: &Stats) -> u64 {
    stats.records_expired
        + stats.records_exhausted
        + stats.records_rejected
        + stats.records_permanent
        + stats.records_aborted
}

fn outcomes(stats: &Stats) -> u64 {
    stats.requests_answered
        + stats.requests_throttled
        + stats.requests_transient
        + stats.requests_rejected
        + stats.requests_credentials
        + stats.requests_account
        + stats.requests_too_large
        + stats.requests_in_flight
}

/// Histograms are copied to be looked at.
const HISTOGRAMS_EVERY: u64 = 64;
/// Looking at each shard after each call would cost more than all the rest.
const SHARDS_EVERY: u64 = 1_000;
