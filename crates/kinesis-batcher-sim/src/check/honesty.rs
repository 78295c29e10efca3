//! Receipts and failures tell what the service did.

use std::collections::BTreeMap;

use kinesis_batcher_core::{
    Event, Failure, FailureReason, HashKey, Receipt, Record, RecordOutcome, RequestError, Response,
    SequenceNumber, ShardId, ShardMap,
};
use kinesis_model::{Meaning, entry_meaning};

use super::{Breach, Checker, EntryReply, Invariant, Observation, Records, RequestView, Scene};
use crate::service::sequence_number;
use crate::window::Window;

/// Remembers each stored copy of a record until its end is told.
#[derive(Debug, Default)]
pub(super) struct ReceiptsAreTrue {
    records: Window<State>,
    /// Of every shard that the producer knew.
    ranges: BTreeMap<ShardId, (HashKey, HashKey)>,
}

#[derive(Clone, Debug, Default)]
struct State {
    copies: Vec<Copy>,
    /// What the producer was told last, which may be the wrong shard.
    told: Option<(ShardId, SequenceNumber)>,
    /// The producer was told of an attempt that it cannot know what was stored.
    in_doubt: bool,
    /// The last thing that the service said against it.
    verdict: Verdict,
}

/// What speaks against trying a record again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Verdict {
    /// Nothing.
    #[default]
    None,
    /// It was rejected, and nothing else was in the request.
    Rejected,
    /// It, or its request, was refused for good.
    Permanent,
}

impl Verdict {
    fn of(meaning: Meaning, alone: bool) -> Self {
        if meaning.is_about_the_account() {
            Self::Permanent
        } else if meaning.is_about_records() && alone {
            Self::Rejected
        } else {
            Self::None
        }
    }
}

/// Where a record is.
#[derive(Clone, Debug)]
struct Copy {
    /// Over all shards, no two are the same.
    sequence_number: SequenceNumber,
    /// Its place in the aggregate that it is in.
    sub_sequence_number: Option<u32>,
}

impl Checker for ReceiptsAreTrue {
    fn invariant(&self) -> Invariant {
        Invariant::Honesty
    }

    fn observe(&mut self, scene: &Scene<'_>, observation: &Observation<'_>) -> Result<(), Breach> {
        match *observation {
            Observation::Began { batcher, .. } => self.learn(batcher.shard_map()),
            Observation::MapGiven { map, .. } => self.learn(map),
            Observation::Accepted { record, .. } => {
                self.records.insert(record, State::default());
            }
            // Of a request that was given up the producer knows nothing; of one that the network duplicated, it cannot
            // know.
            Observation::Stored { records, replies, late: false, .. } => self.stored(records, replies),
            Observation::Answered { request, outcome, meaning, .. } => {
                self.answered(request, outcome, meaning);
            }
            Observation::Event { event: Event::Delivered { tag, receipt }, .. } => {
                return self.delivered(scene, *tag, receipt);
            }
            Observation::Event { event: Event::Failed { tag, record, failure }, .. } => {
                return self.failed(scene, *tag, record, failure);
            }
            Observation::Crashed { held, .. } => {
                held.iter().for_each(|&number| _ = self.records.remove(number));
            }
            _ => {}
        }
        Ok(())
    }
}

impl ReceiptsAreTrue {
    fn learn(&mut self, map: &ShardMap) {
        for shard in map.shards() {
            self.ranges.insert(shard.id.clone(), (shard.first, shard.last));
        }
    }

    fn stored(&mut self, records: Records<'_>, replies: &[EntryReply]) {
        for (index, reply) in replies.iter().enumerate() {
            let Some((_, number)) = reply.stored() else { continue };
            let sequence_number = sequence_number(number);
            let numbers = records.of_entry(index);
            for (place, &number) in (0u32..).zip(numbers) {
                // One that has ended was told to be a possible duplicate then, if it could be one.
                let Some(state) = self.records.get_mut(number) else { continue };
                let copy = Copy {
                    sequence_number: sequence_number.clone(),
                    sub_sequence_number: (numbers.len() > 1).then_some(place),
                };
                state.copies.push(copy);
            }
        }
    }

    fn answered(
        &mut self,
        request: RequestView<'_>,
        outcome: &Result<Response, RequestError>,
        meaning: Option<Meaning>,
    ) {
        match (outcome, meaning) {
            (Ok(response), None) => {
                for (index, outcome) in response.outcomes.iter().enumerate() {
                    let numbers = request.records.of_entry(index);
                    match outcome {
                        RecordOutcome::Stored { shard_id, sequence_number } => {
                            self.change(numbers, |state| {
                                state.told = Some((shard_id.clone(), sequence_number.clone()));
                            });
                        }
                        RecordOutcome::Failed(error) => {
                            let meaning = entry_meaning(error.code().as_str());
                            self.change(numbers, |state| {
                                state.verdict = Verdict::of(meaning, true);
                                state.in_doubt |= meaning.leaves_doubt();
                            });
                        }
                        _ => self.doubt(numbers),
                    }
                }
            }
            (_, Some(meaning)) => {
                if outcome.is_err() {
                    let verdict = Verdict::of(meaning, request.request.len() == 1);
                    self.change(request.records.all(), |state| state.verdict = verdict);
                }
                if meaning.leaves_doubt() {
                    self.doubt(request.records.all());
                }
            }
            (Err(_), None) => {}
        }
    }

    fn doubt(&mut self, numbers: &[u64]) {
        self.change(numbers, |state| state.in_doubt = true);
    }

    fn change(&mut self, numbers: &[u64], change: impl Fn(&mut State)) {
        for &number in numbers {
            if let Some(state) = self.records.get_mut(number) {
                change(state);
            }
        }
    }

    fn delivered(&mut self, scene: &Scene<'_>, number: u64, receipt: &Receipt) -> Result<(), Breach> {
        let Some(state) = self.records.remove(number) else { return Ok(()) };
        let Receipt { shard_id, sequence_number, sub_sequence_number, .. } = receipt;
        let is_told =
            state.told.as_ref().is_some_and(|told| (&told.0, &told.1) == (shard_id, sequence_number));
        let is_there = state.copies.iter().any(|copy| {
            copy.sequence_number == *sequence_number && copy.sub_sequence_number == *sub_sequence_number
        });
        if !is_told || !is_there {
            let what = format!(
                "its receipt names {shard_id}, {sequence_number}, {sub_sequence_number:?}; the service did not"
            );
            return Err(Breach::of_record(number, what));
        }
        state.check_mark(number, receipt.possible_duplicate, 1)?;
        self.check_shard(scene, number, receipt)
    }

    /// Consumers drop what they find in an aggregate of a shard that does not own it.
    fn check_shard(&mut self, scene: &Scene<'_>, number: u64, receipt: &Receipt) -> Result<(), Breach> {
        let known = self.ranges.get(&receipt.shard_id);
        let (Some(&(first, last)), Some(facts)) = (known, scene.ledger.record(number)) else { return Ok(()) };
        let is_lost = receipt.sub_sequence_number.is_some() && !(first..=last).contains(&facts.hash_key);
        if is_lost {
            let what =
                format!("it is in an aggregate of {}, which does not own its hash key", receipt.shard_id);
            return Err(Breach::of_record(number, what));
        }
        Ok(())
    }

    fn failed(
        &mut self,
        scene: &Scene<'_>,
        number: u64,
        record: &Record,
        failure: &Failure,
    ) -> Result<(), Breach> {
        let Some(state) = self.records.remove(number) else { return Ok(()) };
        if let Some(facts) = scene.ledger.record(number) {
            let is_whole = record.bytes() == facts.bytes as usize
                && record.hash_key() == facts.hash_key
                && record.explicit_hash_key().is_some() == facts.hash_key_is_explicit
                && (facts.is_aggregate || record.data().starts_with(&number.to_le_bytes()));
            if !is_whole {
                return Err(Breach::of_record(number, "it is handed back as something else than was pushed"));
            }
        }
        let (verdict, needed) = match failure.reason {
            FailureReason::Rejected(_) => (state.verdict, Verdict::Rejected),
            FailureReason::Permanent(_) => (state.verdict, Verdict::Permanent),
            _ => (Verdict::None, Verdict::None),
        };
        if verdict != needed {
            let what =
                format!("it is told to be {needed:?}, and what the service said of it alone is {verdict:?}");
            return Err(Breach::of_record(number, what));
        }
        state.check_mark(number, failure.possibly_stored, 0)
    }
}

impl State {
    /// Marked as a possible duplicate if there can be, or is, more than the `expected` copies, and only then.
    fn check_mark(&self, number: u64, marked: bool, expected: usize) -> Result<(), Breach> {
        let copies = self.copies.len();
        let must = self.in_doubt || copies > expected;
        match (must, marked) {
            (true, false) => Err(Breach::of_record(
                number,
                format!(
                    "{copies} copies of it are stored, in doubt: {}, and it is not marked",
                    self.in_doubt
                ),
            )),
            (false, true) => {
                Err(Breach::of_record(number, "it is marked as a possible duplicate without any reason"))
            }
            _ => Ok(()),
        }
    }
}
