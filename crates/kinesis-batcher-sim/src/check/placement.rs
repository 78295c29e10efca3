//! An aggregate holds records of one shard only, by the map that its sender has.

use super::{Breach, Checker, Invariant, Observation, Scene};

/// Looks into aggregates as they go.
#[derive(Debug, Default)]
pub(super) struct AggregatesOfOneShard;

impl Checker for AggregatesOfOneShard {
    fn invariant(&self) -> Invariant {
        Invariant::Honesty
    }

    fn observe(&mut self, scene: &Scene<'_>, observation: &Observation<'_>) -> Result<(), Breach> {
        let Observation::Requested { request, batcher, .. } = *observation else { return Ok(()) };
        let map = batcher.shard_map();
        for sent in request.sent().filter(|sent| sent.numbers.len() > 1) {
            let first = sent.numbers[0];
            if map.shards().is_empty() {
                return Err(Breach::of_record(
                    first,
                    "it is aggregated though no two records can be said to share a shard",
                ));
            }
            let Some(outer) = sent.explicit_hash_key else {
                return Err(Breach::of_record(first, "it is in an aggregate that no hash key routes"));
            };
            let owner = map.index_of(outer);
            for &number in sent.numbers {
                let Some(facts) = scene.ledger.record(number) else { continue };
                if map.index_of(facts.hash_key) != owner {
                    let what = format!(
                        "it is in an aggregate for {}, which does not own it",
                        map.shards()[owner].id
                    );
                    return Err(Breach::of_record(number, what));
                }
            }
        }
        Ok(())
    }
}
