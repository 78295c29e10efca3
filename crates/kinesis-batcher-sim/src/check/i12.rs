//! I12: accepted = delivered + failed + held, always, and every other figure adds up too.

use kinesis_batcher_core::{Batcher, Event, FailureReason, Stats};
use kinesis_model::Cause as Failure;

use super::per_producer::PerProducer;
use super::{Breach, Checker, Invariant, Kind, Observation, Scene, entry_failure};

/// Counts along.
#[derive(Debug, Default)]
pub(super) struct FiguresAddUp {
    producers: PerProducer<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
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
    settled: u64,
}

impl Checker for FiguresAddUp {
    fn invariant(&self) -> Invariant {
        Invariant::I12
    }

    fn kinds(&self) -> &'static [Kind] {
        &[Kind::Accepted, Kind::Refused, Kind::Requested, Kind::Answered, Kind::Event, Kind::Settled]
    }

    fn observe(&mut self, _scene: &Scene<'_>, observation: &Observation<'_>) -> Result<(), Breach> {
        let Some(producer) = observation.producer() else { return Ok(()) };
        let counts = self.producers.of(producer);
        match *observation {
            Observation::Accepted { .. } => counts.accepted += 1,
            Observation::Refused { reason, .. } => counts.refused += u64::from(reason.is_full()),
            Observation::Requested { request, .. } => {
                counts.requests += 1;
                counts.requests_in_flight += 1;
                counts.records_in_flight += request.records.all().len() as u64;
            }
            Observation::Answered { request, outcome, meaning, .. } => {
                counts.requests_in_flight -= 1;
                counts.records_in_flight -= request.records.all().len() as u64;
                *counts.requests_that(meaning.map(|meaning| meaning.cause)) += 1;
                if let (Ok(response), None) = (outcome, meaning) {
                    let causes = response.outcomes.iter().filter_map(entry_failure);
                    counts.entries_throttled +=
                        causes.filter(|meaning| meaning.cause == Failure::Throttled).count() as u64;
                }
            }
            Observation::Event { event, .. } => counts.event(event),
            Observation::Settled { batcher, .. } => return counts.compare(batcher),
            _ => {}
        }
        Ok(())
    }
}

impl Counts {
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

    fn event(&mut self, event: &Event<u64>) {
        match event {
            Event::Delivered { receipt, .. } => {
                self.delivered += 1;
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
            ("the reasons of failures", reasons(&stats), self.failed),
            ("the outcomes of requests", outcomes(&stats), self.requests),
        ];
        if let Some((name, told, counted)) = figures.into_iter().find(|(_, told, counted)| told != counted) {
            return Err(Breach::new(format!("{name}: {told} are told and {counted} were counted")));
        }
        self.settled += 1;
        if self.settled.is_multiple_of(SHARDS_EVERY) { self.compare_shards(batcher, held) } else { Ok(()) }
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

/// Looking at each shard after each call would cost more than all the rest.
const SHARDS_EVERY: u64 = 1_000;
