//! The producer, as `push` sees it.

use std::sync::Arc;
use std::time::Duration;

use kinesis_batcher_core::Record;
use kinesis_batcher_driver::{Completion, Producer, SendAllError, SendError, TaggedRecord};

use crate::destination::{Destination, Failed, Refused, Traffic};
use crate::input::Origin;
use crate::tally::Tally;

/// A producer whose completions go to a tally.
pub(crate) struct Tallied {
    producer: Producer,
    tally: Arc<Tally>,
}

impl Tallied {
    /// The producer was built with [`completions`] of the same tally.
    pub(crate) fn new(producer: Producer, tally: Arc<Tally>) -> Self {
        Self { producer, tally }
    }
}

/// A completion handler that tells `tally` of every end.
pub(crate) fn completions(tally: &Arc<Tally>) -> impl Fn(Completion) + Send + Sync + use<> {
    let tally = Arc::clone(tally);
    move |completion| match completion {
        Completion::Delivered { receipt, .. } => {
            tally.delivered(receipt.attempts, receipt.possible_duplicate);
        }
        Completion::Failed { tag, record, failure } => {
            let origin = Origin::from_tag(tag);
            tally.failed(Failed { origin, record, reason: (&failure).into(), attempts: failure.attempts });
        }
    }
}

impl Destination for Tallied {
    async fn send_all(&self, records: Vec<(Record, Origin)>) -> Result<(), Refused> {
        let tagged = records.into_iter().map(|(record, origin)| (record, origin.to_tag()));
        self.producer.send_all(tagged).await.map_err(refused)
    }

    async fn close(&self, within: Duration) {
        self.producer.close(within).await;
        // What another thread took out of the producer just before the end may still be on its way to the tally.
        let accepted = self.producer.stats().records_accepted;
        for _ in 0..COMPLETION_WAITS_MAX {
            if self.tally.ends() >= accepted {
                break;
            }
            tokio::time::sleep(COMPLETION_WAIT).await;
        }
    }

    fn traffic(&self) -> Traffic {
        let stats = self.producer.stats();
        Traffic {
            requests: stats.requests_sent,
            kinesis_records: stats.records_delivered,
            throttled: stats.records_throttled,
        }
    }
}

fn refused(error: SendAllError) -> Refused {
    let SendAllError { refused: SendError { reason, record, tag }, rest } = error;
    debug_assert!(!reason.is_full(), "send_all waits for room: {reason}");
    let untried = |TaggedRecord { record, tag }| (record, Origin::from_tag(tag));
    Refused { record: (record, Origin::from_tag(tag)), reason, rest: rest.into_iter().map(untried).collect() }
}

/// A handler takes microseconds; half a minute covers a machine that swaps.
const COMPLETION_WAIT: Duration = Duration::from_millis(1);
const COMPLETION_WAITS_MAX: u32 = 30_000;
