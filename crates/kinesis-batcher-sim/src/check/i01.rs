//! I1: every accepted tag comes back in exactly one event.

use kinesis_batcher_core::Event;

use super::{Breach, Checker, Invariant, Observation, Scene};
use crate::window::Window;

/// Knows who holds which tag.
#[derive(Debug, Default)]
pub(crate) struct EachTagOnce {
    /// The producer of each accepted record that has not come back.
    held: Window<u32>,
}

impl Checker for EachTagOnce {
    fn invariant(&self) -> Invariant {
        Invariant::I1
    }

    fn observe(&mut self, _scene: &Scene<'_>, observation: &Observation<'_>) -> Result<(), Breach> {
        match *observation {
            Observation::Accepted { producer, record } => match self.held.insert(record, producer) {
                None => Ok(()),
                Some(_) => Err(Breach::of_record(record, "its tag was accepted twice")),
            },
            Observation::Event { producer, event } => match event {
                Event::Delivered { tag, .. } => self.ends(producer, *tag, "was delivered"),
                Event::Failed { tag, .. } => self.ends(producer, *tag, "failed"),
                _ => Ok(()),
            },
            Observation::Crashed { held, .. } => {
                held.iter().for_each(|&number| _ = self.held.remove(number));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn finish(&mut self, _scene: &Scene<'_>) -> Result<(), Breach> {
        match self.held.iter().next() {
            None => Ok(()),
            Some((record, producer)) => {
                let others = self.held.len() - 1;
                let what = format!(
                    "producer {producer} accepted it and it never came back, nor did {others} others"
                );
                Err(Breach::of_record(record, what))
            }
        }
    }
}

impl EachTagOnce {
    fn ends(&mut self, producer: u32, record: u64, how: &str) -> Result<(), Breach> {
        match self.held.remove(record) {
            Some(owner) if owner == producer => Ok(()),
            Some(owner) => {
                Err(Breach::of_record(record, format!("it {how}, but producer {owner} had accepted it")))
            }
            None => Err(Breach::of_record(
                record,
                format!("it {how}, though it was not held: it had ended before"),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Ledger;
    use kinesis_batcher_core::{Batcher, Config, Record, RecordOutcome, Response, ShardMap, Timestamp};

    fn delivered(tag: u64) -> Event<u64> {
        let one = std::num::NonZeroU32::MIN;
        let config = Config::builder().linger(std::time::Duration::ZERO).build().expect("in range");
        let mut batcher = Batcher::new(config, ShardMap::uniform(one), 0, Timestamp::ZERO);
        batcher.push(Timestamp::ZERO, Record::new("key", "data").expect("valid"), tag).expect("it fits");
        let request = batcher.poll_request().expect("nothing is waited for");
        let stored =
            RecordOutcome::Stored { shard_id: "shardId-000000000000".into(), sequence_number: "1".into() };
        batcher.handle_response(Timestamp::ZERO, request, Ok(Response::new(vec![stored])));
        batcher.poll_event().expect("it is delivered")
    }

    fn scene(ledger: &Ledger) -> Scene<'_> {
        Scene { now: Timestamp::ZERO, clock: Timestamp::ZERO, ledger }
    }

    #[test]
    fn a_tag_that_comes_back_once_is_well() {
        let (mut checker, ledger) = (EachTagOnce::default(), Ledger::default());
        let event = delivered(4);
        let seen = [
            Observation::Accepted { producer: 0, record: 4 },
            Observation::Event { producer: 0, event: &event },
        ];
        for observation in &seen {
            assert_eq!(checker.observe(&scene(&ledger), observation), Ok(()));
        }
        assert_eq!(checker.finish(&scene(&ledger)), Ok(()));
    }

    #[test]
    fn a_tag_that_comes_back_twice_or_never_is_found() {
        let (mut checker, ledger) = (EachTagOnce::default(), Ledger::default());
        let event = delivered(4);
        let twice = Observation::Event { producer: 0, event: &event };
        for record in [4, 5] {
            let accepted = Observation::Accepted { producer: 0, record };
            assert_eq!(checker.observe(&scene(&ledger), &accepted), Ok(()));
        }
        assert_eq!(checker.observe(&scene(&ledger), &twice), Ok(()));
        assert!(checker.observe(&scene(&ledger), &twice).is_err(), "its second event is one too many");
        assert!(checker.finish(&scene(&ledger)).is_err(), "record 5 never came back");
    }
}
