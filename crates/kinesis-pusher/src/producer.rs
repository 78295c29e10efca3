//! The producer as a [`Destination`].

use std::sync::Arc;
use std::time::Duration;

use kinesis_batcher_core::Record;
use kinesis_batcher_core::limits::REQUEST_RECORDS_MAX;
use kinesis_batcher_driver::{Completion, Producer, SendAllError, SendError, TaggedRecord};

use crate::destination::{Destination, Failed, Refused, Traffic};
use crate::input::Origin;
use crate::tally::Tally;

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

impl Destination for Producer {
    async fn send_all(&self, records: Vec<(Record, Origin)>) -> Result<(), Refused> {
        let tagged = records.into_iter().map(|(record, origin)| (record, origin.to_tag()));
        self.send_all(tagged).await.map_err(refused)
    }

    async fn close(&self, within: Duration) {
        // What it hands back has gone to the tally already, like every other end.
        self.close(within).await;
    }

    fn is_saturated(&self) -> bool {
        let stats = self.stats();
        let requests = stats.requests_in_flight_allowed;
        // As many more as come back until somebody asks again, for requests that take a hundredth of a second.
        let next_requests = (requests / 8).max(1);
        stats.requests_in_flight >= requests
            && stats.records_queued >= next_requests * REQUEST_RECORDS_MAX as u64
    }

    fn traffic(&self) -> Traffic {
        let stats = self.stats();
        Traffic {
            requests: stats.requests_sent,
            kinesis_records: stats.kinesis_records_delivered,
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
