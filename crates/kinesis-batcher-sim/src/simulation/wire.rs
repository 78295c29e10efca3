//! Requests on their way to the service, and replies on their way back.

use std::time::Duration;

use kinesis_batcher_core::{
    HashKey, RecordOutcome, Request, RequestError, Response, ServiceError, Timestamp,
};

use super::agenda::Item;
use super::flight::{Flight, FlightId, LateCopy};
use super::{BEGIN, Simulation};
use crate::check::{Breach, Cause, Invariant, Kind, Observation, Records, RequestView, Scene};
use crate::network::{Departure, Failing, Return};
use crate::service::{EntryReply, PutEntry, PutReply, Refusal, sequence_number, shard_id, time};

impl Simulation {
    /// A request leaves its producer.
    pub(super) fn launch(&mut self, index: usize, request: Request<u64>) {
        let number = self.next_request;
        self.next_request += 1;
        let mut members = self.members.pop().unwrap_or_default();
        if let Err(entry) = members.read(&request) {
            let what = format!("entry {entry} of request {number} holds nothing that was pushed");
            self.violated(Invariant::Honesty, Some(index as u32), Breach::new(what));
            // Without its records nobody can make sense of the request, nor of what follows.
            self.is_over = true;
            return;
        }
        let totals = &mut self.meter.totals;
        totals.requests += 1;
        totals.entries_sent += request.len() as u64;
        let first = members.as_records().all().first().copied().unwrap_or_default();
        self.stir(6, first, request.len() as u64 ^ (request.bytes() as u64) << 16);
        let departure = self.options.network.send(&self.conditions, &mut self.rng.network);
        if self.trace.is_on() {
            let at = self.now.since(BEGIN);
            let numbers = Numbers(members.as_records(), request.len());
            self.trace
                .line(at, format_args!("p{index} request {number} {request:?} {numbers}: {departure:?}"));
        }
        if self.checkers.want(Kind::Requested) {
            let producer = &self.producers[index];
            let scene = Scene { now: self.now, clock: producer.clock.told(), ledger: &self.ledger };
            let requested = Observation::Requested {
                producer: index as u32,
                request: RequestView {
                    number,
                    request: &request,
                    records: members.as_records(),
                    bytes: members.bytes(),
                },
                batcher: &producer.batcher,
            };
            self.checkers.show(&scene, &requested);
        }
        let flight =
            Flight { producer: index as u32, number, request, members, sent_at: self.now, outcome: None };
        let id = self.flights.insert(flight);
        let timeout = self.options.network.request_timeout;
        match departure {
            Departure::Fails { after, how } => self.fail_after(id, after, how),
            Departure::Arrives { after } if after < timeout => {
                self.agenda.add(self.now.after(after), Item::Arrive(id));
            }
            Departure::Arrives { after } => {
                let arrives_at = self.now.after(after);
                self.agenda.add(self.now.after(timeout), Item::GiveUp { flight: id, arrives_at });
            }
        }
    }

    /// A request reaches the service.
    pub(super) fn arrive(&mut self, id: FlightId) {
        let flight = self.flights.flight_mut(id);
        let entries: Vec<PutEntry<'_>> = flight
            .request
            .records()
            .map(|record| PutEntry {
                data: record.data(),
                partition_key: record.partition_key(),
                explicit_hash_key: record.explicit_hash_key().map(HashKey::value),
            })
            .collect();
        let signer = &self.producers[flight.producer as usize].signer;
        let reply = match signer.refusal_of(flight.sent_at) {
            Some(refusal) => PutReply::refused(refusal),
            None => self.service.put_records(time(self.now), &entries),
        };
        let sent_ago = self.now.since(flight.sent_at);
        let way = self.options.network.reply(&self.conditions, sent_ago, &mut self.rng.network);
        if self.trace.is_on() {
            let at = self.now.since(BEGIN);
            let (producer, number) = (flight.producer, flight.number);
            self.trace
                .line(at, format_args!("   service gets {number} of p{producer}: {}, {way:?}", Told(&reply)));
        }
        self.meter.totals.requests_refused += u64::from(reply.refusal.is_some());
        if !reply.entries.is_empty() {
            self.meter.stored(&entries, &reply.entries);
            let records = flight.members.as_records();
            for (index, reply) in reply.entries.iter().enumerate() {
                if reply.stored().is_some() {
                    for &number in records.of_entry(index) {
                        self.meter.totals.duplicates_stored += u64::from(self.ledger.stored(number));
                    }
                }
            }
            let stored = Observation::Stored {
                producer: flight.producer,
                request: flight.number,
                entries: &entries,
                records,
                replies: &reply.entries,
                service: &self.service,
                late: false,
            };
            let clock = self.producers[flight.producer as usize].clock.told();
            self.checkers.show(&Scene { now: self.now, clock, ledger: &self.ledger }, &stored);
        }
        drop(entries);
        self.watch_service();
        match way {
            Return::Lost { after, how } => self.fail_after(id, after, how),
            Return::Comes { after } => {
                let outcome = match reply.answer() {
                    Ok(replies) => Ok(self.response(replies)),
                    Err(refusal) => Err(refused(refusal)),
                };
                self.answer_after(id, after, outcome);
            }
        }
    }

    /// A request comes back to its producer.
    pub(super) fn answer(&mut self, id: FlightId) {
        let Flight { producer, number, request, members, outcome, .. } = self.flights.remove(id);
        let outcome = outcome.expect("an answer is put on the agenda together with its outcome");
        let index = producer as usize;
        let at = self.producers[index].clock.tell(self.now);
        if self.checkers.want(Kind::Answered) {
            let clock = self.producers[index].clock.told();
            let answered = Observation::Answered {
                producer,
                request: RequestView {
                    number,
                    request: &request,
                    records: members.as_records(),
                    bytes: members.bytes(),
                },
                outcome: &outcome,
            };
            self.checkers.show(&Scene { now: self.now, clock, ledger: &self.ledger }, &answered);
        }
        if self.trace.is_on() {
            let at = self.now.since(BEGIN);
            match &outcome {
                Ok(response) => {
                    let entries = response.outcomes.len();
                    self.trace.line(at, format_args!("p{index} answer {number}: {entries} entries"));
                }
                Err(error) => self.trace.line(at, format_args!("p{index} answer {number}: {error}")),
            }
        }
        self.members.push(members);
        if let Err(error) = &outcome {
            self.producers[index].signer.refused(self.now, error.error().code().as_str());
        }
        self.producers[index].batcher.handle_response(at, request, outcome);
        self.drive(index, Cause::Response);
    }

    /// A producer gives a request up that is still on its way.
    pub(super) fn give_up(&mut self, id: FlightId, arrives_at: Timestamp) {
        let flight = self.flights.flight_mut(id);
        let copy = LateCopy::of(flight);
        flight.outcome = Some(Err(RequestError::outcome_unknown("timed out")));
        self.meter.totals.requests_failed += 1;
        self.agenda.add(arrives_at, Item::ArriveLate(Box::new(copy)));
        self.answer(id);
    }

    /// A request that was given up reaches the service after all.
    pub(super) fn arrive_late(&mut self, copy: &LateCopy) {
        let entries: Vec<PutEntry<'_>> = copy
            .entries
            .iter()
            .map(|entry| PutEntry {
                data: &entry.data,
                partition_key: entry.partition_key.as_deref(),
                explicit_hash_key: entry.explicit_hash_key.map(HashKey::value),
            })
            .collect();
        let reply = match self.producers[copy.producer as usize].signer.refusal_of(copy.sent_at) {
            Some(refusal) => PutReply::refused(refusal),
            None => self.service.put_records(time(self.now), &entries),
        };
        self.meter.totals.requests_late += 1;
        if self.trace.is_on() {
            let at = self.now.since(BEGIN);
            let (producer, number) = (copy.producer, copy.number);
            self.trace
                .line(at, format_args!("   service gets {number} of p{producer} late: {}", Told(&reply)));
        }
        if !reply.entries.is_empty() {
            self.meter.stored(&entries, &reply.entries);
            let stored = Observation::Stored {
                producer: copy.producer,
                request: copy.number,
                entries: &entries,
                records: copy.members.as_records(),
                replies: &reply.entries,
                service: &self.service,
                late: true,
            };
            let clock = self.producers[copy.producer as usize].clock.told();
            self.checkers.show(&Scene { now: self.now, clock, ledger: &self.ledger }, &stored);
        }
        self.watch_service();
    }

    /// The reply as it reaches the producer, which may not be as the service sent it.
    fn response(&mut self, replies: Vec<EntryReply>) -> Response {
        let conditions = &self.conditions;
        let garbled = conditions.replies_are_garbled();
        let rng = &mut self.rng.reply;
        let mut outcomes: Vec<RecordOutcome> = replies
            .into_iter()
            .map(|reply| match reply {
                _ if garbled && rng.happens(conditions.no_verdict) => RecordOutcome::Unknown,
                EntryReply::Stored { shard_id: id, sequence_number: number } => {
                    let unknown = garbled && rng.happens(conditions.unknown_shard);
                    let shard_id = if unknown { UNKNOWN_SHARD.into() } else { shard_id(id) };
                    RecordOutcome::Stored { shard_id, sequence_number: sequence_number(number) }
                }
                EntryReply::Failed(code) | EntryReply::StoredBehind { code, .. } => {
                    RecordOutcome::Failed(ServiceError::from_code(code))
                }
            })
            .collect();
        // Not both: one entry less and one more is a reply of the right length, and a lie that nobody can see.
        if garbled && rng.happens(conditions.too_short) {
            outcomes.truncate(rng.below(outcomes.len() as u64) as usize);
        } else if garbled && rng.happens(conditions.too_long) {
            outcomes.extend(outcomes.first().cloned());
        }
        Response::new(outcomes)
    }

    fn fail_after(&mut self, id: FlightId, after: Duration, how: Failing) {
        self.meter.totals.requests_failed += 1;
        let error = match how {
            Failing::NotSent => RequestError::not_sent("connection refused"),
            Failing::Reset => RequestError::outcome_unknown("connection reset"),
            Failing::TimedOut => RequestError::outcome_unknown("timed out"),
            Failing::ServerError => RequestError::refused(503, ServiceError::from_code("")),
        };
        self.answer_after(id, after, Err(error));
    }

    fn answer_after(&mut self, id: FlightId, after: Duration, outcome: Result<Response, RequestError>) {
        self.flights.flight_mut(id).outcome = Some(outcome);
        self.agenda.add(self.now.after(after), Item::Answer(id));
    }
}

fn refused(refusal: Refusal) -> RequestError {
    let (status, code) = refusal.status_and_code();
    RequestError::refused(status, ServiceError::from_code(code))
}

/// The numbers of records entry by entry, those of an aggregate joined by `+`.
struct Numbers<'a>(Records<'a>, usize);

impl std::fmt::Display for Numbers<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self(records, entries) = self;
        for entry in 0..(*entries).min(NUMBERS_SHOWN) {
            f.write_str(if entry == 0 { "[" } else { " " })?;
            for (index, number) in records.of_entry(entry).iter().enumerate() {
                write!(f, "{}{number}", if index == 0 { "" } else { "+" })?;
            }
        }
        f.write_str(if *entries > NUMBERS_SHOWN { " …]" } else { "]" })
    }
}

/// What the service said, in short.
struct Told<'a>(&'a PutReply);

impl std::fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let PutReply { entries, refusal } = self.0;
        if let Some(refusal) = refusal {
            write!(f, "refused: {refusal}; ")?;
        }
        let stored = entries.iter().filter(|reply| reply.stored().is_some()).count();
        write!(f, "{stored} of {} stored", entries.len())?;
        for (index, reply) in entries.iter().enumerate().take(NUMBERS_SHOWN) {
            f.write_str(if index == 0 { ":" } else { "," })?;
            if let Some((shard_id, sequence_number)) = reply.stored() {
                write!(f, " {shard_id} {sequence_number}")?;
            }
            if let Some(code) = reply.code() {
                write!(f, " {code}")?;
            }
        }
        Ok(())
    }
}

/// A shard that no stream has.
const UNKNOWN_SHARD: &str = "shardId-999999999999";
/// So many records fit on a line.
const NUMBERS_SHOWN: usize = 20;
