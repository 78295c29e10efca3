//! Requests on their way to the service, and replies on their way back.

use std::time::Duration;

use kinesis_batcher_core::{
    Event, HashKey, RecordOutcome, Request, RequestError, Response, ServiceError, Timestamp,
};
use kinesis_model::{Meaning, NO_ANSWER, NOT_SENT, meaning};

use super::Simulation;
use super::agenda::Item;
use super::flight::{Flight, RequestCopy};
use super::link::{Departure, Failing, Return};
use super::producer::Producer;
use super::stream::Stream;
use super::text::{NumbersText, ReplyText};
use super::world::World;
use crate::caller::Calls;
use crate::check::{Breach, Cause, Invariant, Observation, Records};
use crate::faults::Conditions;
use crate::service::{EntryReply, PutEntry, PutReply, sequence_number, shard_id, time};

impl Producer {
    /// A request leaves.
    pub(super) fn launch(&mut self, world: &mut World, request: Request<u64>) {
        let number = world.next_request();
        let mut members = world.spare_members.pop().unwrap_or_default();
        if let Err((entry, why)) = members.read(&request, &world.ledger, &world.keys) {
            let what = format!("entry {entry} of request {number} holds nothing that was pushed: {why}");
            world.violated(Invariant::Honesty, Some(self.number), Breach::new(what));
            // Without its records no checker can make sense of the request, nor of what follows.
            world.is_over = true;
            return;
        }
        world.ledger.set_in_flight(members.as_records().all(), true);
        let totals = &mut world.meter.totals;
        totals.requests += 1;
        totals.entries_sent += request.len() as u64;
        let first = members.as_records().all().first().copied().unwrap_or_default();
        world.stir(6, first, request.len() as u64 ^ (request.bytes() as u64) << 16);
        let departure = self.link.send(world.now, request.bytes() as u64);
        let numbers = NumbersText(members.as_records(), request.len());
        world.log(format_args!("p{} request {number} {request:?} {numbers}: {departure:?}", self.number));
        let flight = Flight {
            producer: self.number,
            number,
            request,
            members,
            sent_at: world.now,
            sent_at_clock: self.clock.latest(),
            outcome: None,
            meaning: None,
        };
        let (producer, request) = (self.number, flight.view());
        let requested = Observation::Requested { producer, request, batcher: &self.batcher };
        world.show(self.clock.latest(), &requested);
        if let Departure::Arrives { again_after: Some(after), .. } = departure {
            let copy = RequestCopy::of(&flight, true);
            world.agenda.add(world.now.after(after), Item::ArriveCopy(Box::new(copy)));
        }
        world.flights.insert(number, flight);
        let timeout = world.options.network.request_timeout;
        match departure {
            Departure::Fails { after, how } => world.fail_after(number, after, how),
            Departure::Arrives { after, .. } if after < timeout => {
                world.agenda.add(world.now.after(after), Item::Arrive(number));
            }
            Departure::Arrives { after, .. } => {
                let arrives_at = world.now.after(after);
                world.agenda.add(world.now.after(timeout), Item::GiveUp { flight: number, arrives_at });
            }
        }
    }

    /// A request comes back.
    fn answer(&mut self, world: &mut World, mut flight: Flight) {
        let (number, meaning) = (flight.number, flight.meaning);
        let outcome =
            flight.outcome.take().expect("an answer is put on the agenda together with its outcome");
        let at = match self.caller.calls {
            Calls::Single => self.clock.read(world.now),
            // The time is read before the lock is taken.
            Calls::Batch => {
                let took = world.now.since(flight.sent_at).as_nanos() as u64;
                let waited = self.rng.below(LOCK_WAIT_NANOS_MAX).min(took / 2);
                self.clock.read(Timestamp::from_nanos(world.now.as_nanos() - waited))
            }
        };
        world.ledger.set_in_flight(flight.members.as_records().all(), false);
        let (producer, request) = (self.number, flight.view());
        let answered = Observation::Answered { producer, request, outcome: &outcome, meaning };
        world.show(self.clock.latest(), &answered);
        match &outcome {
            Ok(response) => {
                let entries = response.outcomes.len();
                world.log(format_args!("p{producer} answer {number}: {entries} entries"));
            }
            Err(error) => world.log(format_args!("p{producer} answer {number}: {error}")),
        }
        let Flight { request, members, .. } = flight;
        world.spare_members.push(members);
        if let Err(error) = &outcome {
            self.credentials.refused(world.now, error.error().code().as_str());
        }
        match self.caller.calls {
            Calls::Single => self.batcher.handle_response(at, request, outcome),
            Calls::Batch => self.handle_answer(world, at, request, outcome),
        }
        self.called(world, Cause::Response);
    }

    /// As the drivers do it: the answer is read through before the lock is taken, records that were delivered together
    /// come back together, and their memory goes back to the batcher at once, later or never.
    fn handle_answer(
        &mut self,
        world: &mut World,
        at: Timestamp,
        request: Request<u64>,
        outcome: Result<Response, RequestError>,
    ) {
        let answered = request.answered(at, outcome);
        let Some(mut delivered) = self.batcher.handle_answer(at, answered) else { return };
        let mut events = std::mem::take(&mut self.events);
        delivered.tell(|tag, receipt| events.push(Event::Delivered { tag, receipt }));
        for event in events.drain(..) {
            self.note(world, &event);
        }
        self.events = events;
        let emptied = self.emptied.replace(delivered);
        if let Some(emptied) = emptied.filter(|_| !self.rng.one_in(4)) {
            self.batcher.take_back(emptied);
        }
    }
}

impl Simulation {
    /// A request reaches the service.
    pub(super) fn arrive(&mut self, number: u64) {
        let Self { world, stream, producers, .. } = self;
        let now = world.now;
        let flight = world.take_flight(number);
        let producer = &mut producers[flight.producer as usize];
        let entries: Vec<PutEntry<'_>> = flight
            .request
            .records()
            .map(|record| PutEntry {
                data: record.data(),
                partition_key: record.partition_key(),
                explicit_hash_key: record.explicit_hash_key().map(HashKey::value),
            })
            .collect();
        let (sent, records) = ((flight.number, flight.sent_at), flight.members.as_records());
        let reply = stream.put(world, producer, sent, records, &entries, false);
        let way = producer.link.reply(now, now.since(flight.sent_at));
        let text = ReplyText(&reply);
        world.log(format_args!("   service gets {} of p{}: {text}, {way:?}", sent.0, producer.number));
        world.meter.totals.requests_refused += u64::from(reply.refusal.is_some());
        drop(entries);
        let entries = flight.request.len();
        world.flights.insert(number, flight);
        let conditions = producer.link.conditions;
        match way {
            Return::Lost { after, how } => world.fail_after(number, after, how),
            Return::Comes { after } => {
                let (outcome, meaning) = match reply.answer() {
                    Ok(replies) => {
                        let response = world.response(&conditions, replies);
                        let is_whole = response.outcomes.len() == entries;
                        (Ok(response), (!is_whole).then_some(NO_ANSWER))
                    }
                    Err(refusal) => {
                        let (status, code) = refusal.status_and_code();
                        let error = RequestError::refused(status, ServiceError::from_code(code));
                        (Err(error), Some(meaning(status, code)))
                    }
                };
                world.answer_after(number, after, outcome, meaning);
            }
        }
    }

    /// A request comes back to its producer. One that crashed has forgotten it.
    pub(super) fn answer(&mut self, number: u64) {
        let world = &mut self.world;
        let index = world.flight_mut(number).producer as usize;
        let producer = &mut self.producers[index];
        if producer.is_crashed {
            drop(world.take_flight(number));
            return;
        }
        if producer.paused_until > world.now {
            world.agenda.add(producer.paused_until, Item::Answer(number));
            return;
        }
        let flight = world.take_flight(number);
        producer.answer(world, flight);
        self.due[index] = producer.due_at();
    }

    /// A producer gives a request up that is still on its way.
    pub(super) fn give_up(&mut self, number: u64, arrives_at: Timestamp) {
        let flight = self.world.flight_mut(number);
        let copy = RequestCopy::of(flight, false);
        flight.outcome = Some(Err(RequestError::outcome_unknown("timed out")));
        flight.meaning = Some(NO_ANSWER);
        self.world.meter.totals.requests_failed += 1;
        self.world.agenda.add(arrives_at.max(self.world.now), Item::ArriveCopy(Box::new(copy)));
        self.answer(number);
    }

    /// A copy of a request reaches the service. No reply to it comes back.
    pub(super) fn arrive_copy(&mut self, copy: &RequestCopy) {
        let Self { world, stream, producers, .. } = self;
        let producer = &producers[copy.producer as usize];
        let entries: Vec<PutEntry<'_>> = copy
            .entries
            .iter()
            .map(|entry| PutEntry {
                data: &entry.data,
                partition_key: entry.partition_key.as_deref(),
                explicit_hash_key: entry.explicit_hash_key.map(HashKey::value),
            })
            .collect();
        let (sent, records) = ((copy.number, copy.sent_at), copy.members.as_records());
        let reply = stream.put(world, producer, sent, records, &entries, true);
        let totals = &mut world.meter.totals;
        if copy.is_duplicate {
            totals.requests_duplicated += 1;
        } else {
            totals.requests_late += 1;
        }
        let (what, text) = (if copy.is_duplicate { "again" } else { "late" }, ReplyText(&reply));
        world.log(format_args!("   service gets {} of p{} {what}: {text}", copy.number, copy.producer));
    }
}

impl Stream {
    /// A request of this number, that left at this time, or a copy of it, reaches the service.
    fn put(
        &mut self,
        world: &mut World,
        producer: &Producer,
        (request, sent_at): (u64, Timestamp),
        records: Records<'_>,
        entries: &[PutEntry<'_>],
        late: bool,
    ) -> PutReply {
        let reply = match producer.credentials.refusal_of(sent_at) {
            Some(refusal) => PutReply::refused(refusal),
            None => self.service.put_records(time(world.now), entries),
        };
        let (producer, clock) = (producer.number, producer.clock.latest());
        let (replies, service) = (&reply.entries[..], &self.service);
        if !replies.is_empty() {
            let stored = Observation::Stored { producer, request, entries, records, replies, service, late };
            world.stored(clock, &stored);
        }
        self.watch(world);
        reply
    }
}

impl World {
    /// The reply as it reaches the producer, which may not be as the service sent it.
    fn response(&mut self, conditions: &Conditions, replies: Vec<EntryReply>) -> Response {
        let garbled = conditions.replies_are_garbled();
        let rng = &mut self.rng.reply;
        let mut outcomes: Vec<RecordOutcome> = replies
            .into_iter()
            .map(|reply| match reply {
                _ if garbled && rng.happens(conditions.no_verdict) => RecordOutcome::Unknown,
                EntryReply::Stored { .. } if garbled && rng.happens(conditions.wrong) => {
                    RecordOutcome::Failed(ServiceError::from_code("InternalFailure"))
                }
                EntryReply::Failed(_) if garbled && rng.happens(conditions.wrong) => {
                    RecordOutcome::Stored { shard_id: UNKNOWN_SHARD.into(), sequence_number: "1".into() }
                }
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
        if garbled && outcomes.len() > 1 && rng.happens(conditions.permuted) {
            let one = rng.below(outcomes.len() as u64) as usize;
            let other = rng.below(outcomes.len() as u64) as usize;
            outcomes.swap(one, other);
        }
        // Not both: one entry less and one more is a reply of the right length, and a lie that no producer can see.
        if garbled && rng.happens(conditions.too_short) {
            outcomes.truncate(rng.below(outcomes.len() as u64) as usize);
        } else if garbled && rng.happens(conditions.too_long) {
            outcomes.extend(outcomes.first().cloned());
        }
        Response::new(outcomes)
    }

    fn fail_after(&mut self, number: u64, after: Duration, how: Failing) {
        self.meter.totals.requests_failed += 1;
        let (error, meaning) = match how {
            Failing::NotSent => (RequestError::not_sent("connection refused"), NOT_SENT),
            Failing::Reset => (RequestError::outcome_unknown("connection reset"), NO_ANSWER),
            Failing::TimedOut => (RequestError::outcome_unknown("timed out"), NO_ANSWER),
            Failing::ServerError => {
                (RequestError::refused(503, ServiceError::from_code("")), meaning(503, ""))
            }
        };
        self.answer_after(number, after, Err(error), Some(meaning));
    }

    fn answer_after(
        &mut self,
        number: u64,
        after: Duration,
        outcome: Result<Response, RequestError>,
        meaning: Option<Meaning>,
    ) {
        let flight = self.flight_mut(number);
        (flight.outcome, flight.meaning) = (Some(outcome), meaning);
        self.agenda.add(self.now.after(after), Item::Answer(number));
    }
}

/// A shard that no stream has.
const UNKNOWN_SHARD: &str = "shardId-999999999999";
/// How long a thread waits for the lock of a batcher, at most.
const LOCK_WAIT_NANOS_MAX: u64 = 100_000;
