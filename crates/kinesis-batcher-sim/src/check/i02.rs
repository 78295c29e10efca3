//! I2: every request respects the limits on records, bytes and sizes, and no more are on their way than allowed. One that
//! was too large as a whole (S-38) is not repeated as it was.

use std::collections::BTreeSet;

use kinesis_batcher_core::Batcher;
use kinesis_model::Cause as Failure;
use kinesis_model::limits::{PARTITION_KEY_CHARS_MAX, REQUEST_BYTES_MAX, REQUEST_RECORDS_MAX};

use super::{Breach, Checker, Invariant, Observation, RequestView, Scene};

/// Looks at each request as it goes.
#[derive(Debug, Default)]
pub(super) struct RequestLimits {
    in_flight: usize,
    /// What the service refused as too large, halved, at the least.
    too_large: Option<usize>,
    /// Records that were too large in a request of their own.
    too_large_alone: BTreeSet<u64>,
    /// A request was rejected: suspects go as they were grouped.
    searches: bool,
}

impl Checker for RequestLimits {
    fn invariant(&self) -> Invariant {
        Invariant::I2
    }

    fn observe(&mut self, _scene: &Scene<'_>, observation: &Observation<'_>) -> Result<(), Breach> {
        match *observation {
            Observation::Began { batcher, .. } => {
                let config = batcher.config();
                let (records, bytes) = (config.request_records_max(), config.request_bytes_max());
                if records > REQUEST_RECORDS_MAX || bytes > REQUEST_BYTES_MAX {
                    return Err(Breach::new(format!("requests may have {records} records of {bytes} B")));
                }
                Ok(())
            }
            Observation::Requested { request, batcher, .. } => {
                self.in_flight += 1;
                let in_flight = self.in_flight;
                let allowed = batcher.config().in_flight_requests_max();
                if in_flight > allowed {
                    return Err(Breach::new(format!(
                        "{in_flight} requests are on their way; {allowed} may be"
                    )));
                }
                self.check_size(request)?;
                check_request(request, batcher)
            }
            Observation::Answered { request, meaning, .. } => {
                self.in_flight -= 1;
                match meaning.map(|meaning| meaning.cause) {
                    Some(Failure::Rejected) => self.searches = true,
                    Some(Failure::TooLarge) => self.too_large(request),
                    _ => {}
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl RequestLimits {
    fn too_large(&mut self, view: RequestView<'_>) {
        let numbers = view.records.all();
        if numbers.len() > 1 {
            let half = (view.request.bytes() / 2).max(1);
            self.too_large = Some(self.too_large.map_or(half, |least| least.min(half)));
        } else {
            self.too_large_alone.extend(numbers);
        }
    }

    fn check_size(&self, view: RequestView<'_>) -> Result<(), Breach> {
        if let Some(number) = view.records.all().iter().find(|number| self.too_large_alone.contains(number)) {
            return Err(Breach::of_record(
                *number,
                "it was too large in a request of its own, and goes again",
            ));
        }
        let bytes = view.request.bytes();
        match self.too_large {
            Some(bytes_max) if bytes > bytes_max && view.request.len() > 1 && !self.searches => {
                let what =
                    format!("{bytes} B go in a request, though {bytes_max} B are half of what was too large");
                Err(Breach::new(what))
            }
            _ => Ok(()),
        }
    }
}

fn check_request(view: RequestView<'_>, batcher: &Batcher<u64>) -> Result<(), Breach> {
    let (config, map) = (batcher.config(), batcher.shard_map());
    let entries = view.request.len();
    let entries_max = config.request_records_max().min(REQUEST_RECORDS_MAX);
    if !(1..=entries_max).contains(&entries) {
        return Err(Breach::new(format!("a request has {entries} records; it may have 1 to {entries_max}")));
    }
    let record_bytes_max = map.record_bytes_max();
    let mut bytes = 0;
    for sent in view.sent() {
        let number = sent.numbers.first().copied().unwrap_or_default();
        if sent.bytes() > record_bytes_max {
            let what = format!(
                "it is in a Kinesis record of {} B; the stream takes {record_bytes_max} B",
                sent.bytes()
            );
            return Err(Breach::of_record(number, what));
        }
        match sent.partition_key() {
            None if map.is_auto() => {}
            None => {
                return Err(Breach::of_record(
                    number,
                    "it goes without a partition key, which the stream wants",
                ));
            }
            Some(key)
                if key.len() > PARTITION_KEY_CHARS_MAX && key.chars().count() > PARTITION_KEY_CHARS_MAX =>
            {
                return Err(Breach::of_record(number, "its partition key is longer than 256 characters"));
            }
            Some(_) => {}
        }
        bytes += sent.bytes();
    }
    if bytes != view.request.bytes() {
        return Err(Breach::new(format!("a request says {} B and has {bytes} B", view.request.bytes())));
    }
    let bytes_max = config.request_bytes_max();
    if bytes > REQUEST_BYTES_MAX || (bytes > bytes_max && entries > 1) {
        return Err(Breach::new(format!(
            "{entries} records of a request have {bytes} B; they may have {bytes_max}"
        )));
    }
    Ok(())
}
