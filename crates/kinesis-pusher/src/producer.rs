//! The producer as a [`Destination`].

use std::sync::Arc;
use std::time::Duration;

use kinesis_batcher_core::limits::REQUEST_RECORDS_MAX;
use kinesis_batcher_core::{Record, ServiceError};
use kinesis_batcher_driver::{DeliveryError, Producer, SendAllError, SendError, TaggedRecord};

use crate::destination::{Counts, Destination, Failed, Refused};
use crate::failures::Failures;
use crate::input::Origin;

/// A handler that adds what failed to `failures`.
pub(crate) fn add_to(failures: &Arc<Failures>) -> impl Fn(u64, DeliveryError) + Send + Sync + use<> {
    let failures = Arc::clone(failures);
    move |tag, error| {
        let (record, failure) = error.into_parts();
        failures.add(Failed {
            origin: Origin::from_tag(tag),
            record,
            reason: (&failure).into(),
            attempts: failure.attempts,
            possibly_stored: failure.possibly_stored,
        });
    }
}

impl Destination for Producer {
    async fn send_all(&self, records: Vec<(Record, Origin)>) -> Result<(), Refused> {
        let tagged = records.into_iter().map(|(record, origin)| (record, origin.to_tag()));
        self.send_all(tagged).await.map_err(refused)
    }

    async fn close(&self, within: Duration) {
        // What it hands back has gone to the handler already, like every other failure.
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

    fn hold(&self) -> Option<ServiceError> {
        self.hold().map(|hold| hold.error)
    }

    fn counts(&self) -> Counts {
        let stats = self.stats();
        Counts {
            delivered: stats.records_delivered,
            recovered: stats.records_recovered,
            possibly_duplicated: stats.records_possibly_duplicated,
            requests: stats.requests_sent,
            kinesis_records: stats.kinesis_records_delivered,
            throttled: stats.records_throttled,
            holds: stats.holds,
            aggregation_suspended: stats.aggregation_suspended,
        }
    }
}

fn refused(error: SendAllError) -> Refused {
    let SendAllError { refused: SendError { reason, record, tag }, rest } = error;
    debug_assert!(!reason.is_full(), "send_all waits for room: {reason}");
    let untried = |TaggedRecord { record, tag }| (record, Origin::from_tag(tag));
    Refused { record: (record, Origin::from_tag(tag)), reason, rest: rest.into_iter().map(untried).collect() }
}
