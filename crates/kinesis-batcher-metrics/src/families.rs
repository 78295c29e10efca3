//! Every metric, with its name, its unit and where its value comes from.

use std::fmt;
use std::time::Duration;

use kinesis_batcher_driver::Histogram;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

use crate::labels::Labels;
use crate::shards::ShardRow;
use crate::view::{View, last_success_age, oldest_age, stalled_for};

/// A metric: one name, and a sample or more of each producer.
pub(crate) struct Family {
    /// Without the prefix, and without what the encoder appends: the unit, and `_total`.
    name: &'static str,
    help: &'static str,
    unit: Option<Unit>,
    values: Values,
}

enum Values {
    Counter(fn(&View<'_>) -> u64),
    /// A counter for each value of a label.
    Counters(&'static str, fn(&View<'_>) -> Vec<(&'static str, u64)>),
    Gauge(fn(&View<'_>) -> u64),
    Seconds(fn(&View<'_>) -> Duration),
    /// Of nanoseconds, told as seconds.
    Durations(for<'a> fn(&'a View<'_>) -> &'a Histogram),
    Sizes(for<'a> fn(&'a View<'_>) -> &'a Histogram),
    ShardCounter(fn(&ShardRow) -> u64),
    ShardGauge(fn(&ShardRow) -> u64),
    /// No sample where it gives none.
    ShardOptional(fn(&ShardRow) -> Option<u64>),
    ShardFraction(fn(&ShardRow) -> f64),
    ShardSeconds(fn(&ShardRow) -> Duration),
}

impl Family {
    pub(crate) fn encode(&self, encoder: &mut DescriptorEncoder<'_>, views: &[View<'_>]) -> fmt::Result {
        let name = format!("{PREFIX}{}", self.name);
        let mut metric =
            encoder.encode_descriptor(&name, self.help, self.unit.as_ref(), self.values.kind())?;
        views.iter().try_for_each(|view| self.encode_view(&mut metric, view))
    }

    fn encode_view(&self, metric: &mut MetricEncoder<'_>, view: &View<'_>) -> fmt::Result {
        let plain = Labels { stream: view.stream, own: None };
        match &self.values {
            Values::Counter(value) => counter(metric, plain, value(view)),
            Values::Counters(label, values) => values(view).into_iter().try_for_each(|(value, count)| {
                counter(metric, Labels { own: Some((label, value)), ..plain }, count)
            }),
            Values::Gauge(value) => gauge(metric, plain, value(view)),
            Values::Seconds(value) => metric.encode_family(&plain)?.encode_gauge(&value(view).as_secs_f64()),
            Values::Durations(of) => histogram(metric, plain, of(view), 1e9),
            Values::Sizes(of) => histogram(metric, plain, of(view), 1.0),
            shard_values => view.shards.iter().try_for_each(|row| {
                let labels = Labels { own: Some(("shard", &row.name)), ..plain };
                encode_shard(metric, labels, shard_values, row)
            }),
        }
    }
}

fn encode_shard(
    metric: &mut MetricEncoder<'_>,
    labels: Labels<'_>,
    values: &Values,
    row: &ShardRow,
) -> fmt::Result {
    match values {
        Values::ShardCounter(value) => counter(metric, labels, value(row)),
        Values::ShardGauge(value) => gauge(metric, labels, value(row)),
        Values::ShardOptional(value) => value(row).map_or(Ok(()), |value| gauge(metric, labels, value)),
        Values::ShardFraction(value) => metric.encode_family(&labels)?.encode_gauge(&value(row)),
        Values::ShardSeconds(value) => metric.encode_family(&labels)?.encode_gauge(&value(row).as_secs_f64()),
        // Those of the whole producer are dealt with above.
        _ => Ok(()),
    }
}

impl Values {
    fn kind(&self) -> MetricType {
        match self {
            Self::Counter(_) | Self::Counters(..) | Self::ShardCounter(_) => MetricType::Counter,
            Self::Durations(_) | Self::Sizes(_) => MetricType::Histogram,
            _ => MetricType::Gauge,
        }
    }
}

fn counter(metric: &mut MetricEncoder<'_>, labels: Labels<'_>, value: u64) -> fmt::Result {
    metric.encode_family(&labels)?.encode_counter::<NoLabelSet, _, f64>(&value, None)
}

fn gauge(metric: &mut MetricEncoder<'_>, labels: Labels<'_>, value: u64) -> fmt::Result {
    metric.encode_family(&labels)?.encode_gauge(&i64::try_from(value).unwrap_or(i64::MAX))
}

/// `scale` is how many of the histogram's unit make one of the metric's.
fn histogram(metric: &mut MetricEncoder<'_>, labels: Labels<'_>, of: &Histogram, scale: f64) -> fmt::Result {
    let bound = |bound: Option<u64>| bound.map_or(f64::INFINITY, |bound| bound as f64 / scale);
    let buckets: Vec<_> = of.buckets().map(|(upper, count)| (bound(upper), count)).collect();
    metric.encode_family(&labels)?.encode_histogram::<NoLabelSet>(
        of.sum() as f64 / scale,
        of.count(),
        &buckets,
        None,
    )
}

const PREFIX: &str = "kinesis_batcher_";

/// Names follow <https://prometheus.io/docs/practices/naming/>. `docs/OPERATIONS.md` says which question each answers.
pub(crate) static FAMILIES: &[Family] = &[
    Family {
        name: "records_accepted",
        help: "Records taken in: those in records with result success or failed, and those in buffer_records.",
        unit: None,
        values: Values::Counter(|view| view.snapshot.stats.records_accepted),
    },
    Family {
        name: "records",
        help: "Records that came to an end: success and failed. Those of success that took more than one attempt are told once more as recovered.",
        unit: None,
        values: Values::Counters("result", |view| {
            let stats = &view.snapshot.stats;
            vec![
                ("success", stats.records_delivered),
                ("failed", stats.records_failed),
                ("recovered", stats.records_recovered),
            ]
        }),
    },
    Family {
        name: "records_failed",
        help: "Records handed back, by reason.",
        unit: None,
        values: Values::Counters("reason", |view| {
            let stats = &view.snapshot.stats;
            vec![
                ("expired", stats.records_expired),
                ("attempts_exhausted", stats.records_exhausted),
                ("rejected", stats.records_rejected),
                ("permanent", stats.records_permanent),
                ("undelivered", stats.records_aborted),
            ]
        }),
    },
    Family {
        name: "records_refused",
        help: "Pushes refused because the buffer, or the shard's share of it, was full. Senders that wait for room push again.",
        unit: None,
        values: Values::Counter(|view| view.snapshot.stats.records_refused),
    },
    Family {
        name: "records_retried",
        help: "Times that a record was sent again.",
        unit: None,
        values: Values::Counter(|view| view.snapshot.stats.records_retried),
    },
    Family {
        name: "records_possibly_duplicated",
        help: "Records of which an attempt with unknown outcome may have stored another copy.",
        unit: None,
        values: Values::Counter(|view| view.snapshot.stats.records_possibly_duplicated),
    },
    Family {
        name: "accepted",
        help: "Bytes of data and partition keys taken in.",
        unit: Some(Unit::Bytes),
        values: Values::Counter(|view| view.snapshot.stats.bytes_accepted),
    },
    Family {
        name: "delivered",
        help: "Bytes of data and partition keys delivered.",
        unit: Some(Unit::Bytes),
        values: Values::Counter(|view| view.snapshot.stats.bytes_delivered),
    },
    Family {
        name: "kinesis_records_delivered",
        help: "Kinesis records stored; an aggregate is one.",
        unit: None,
        values: Values::Counter(|view| view.snapshot.stats.kinesis_records_delivered),
    },
    Family {
        name: "kinesis_records_throttled",
        help: "Times that a shard throttled a Kinesis record.",
        unit: None,
        values: Values::Counter(|view| view.snapshot.stats.records_throttled),
    },
    Family {
        name: "push_delay",
        help: "From when a record was accepted to when it was delivered.",
        unit: Some(Unit::Seconds),
        values: Values::Durations(|view| &view.snapshot.histograms.push_delay),
    },
    Family {
        name: "request_duration",
        help: "From when a PutRecords request was sent to when its outcome was known.",
        unit: Some(Unit::Seconds),
        values: Values::Durations(|view| &view.snapshot.histograms.request_duration),
    },
    Family {
        name: "requests",
        help: "PutRecords requests that came back, by outcome; answered ones may hold records that failed.",
        unit: None,
        values: Values::Counters("outcome", |view| {
            let stats = &view.snapshot.stats;
            vec![
                ("answered", stats.requests_answered),
                ("throttled", stats.requests_throttled),
                ("transient", stats.requests_transient),
                ("credentials", stats.requests_credentials),
                ("account", stats.requests_account),
                ("too_large", stats.requests_too_large),
                ("rejected", stats.requests_rejected),
            ]
        }),
    },
    Family {
        name: "request_entries",
        help: "Kinesis records of each PutRecords request; the service takes 500.",
        unit: None,
        values: Values::Sizes(|view| &view.snapshot.histograms.request_entries),
    },
    Family {
        name: "request",
        help: "Bytes of data and partition keys of each PutRecords request; the service takes 10 MiB.",
        unit: Some(Unit::Bytes),
        values: Values::Sizes(|view| &view.snapshot.histograms.request_bytes),
    },
    Family {
        name: "user_records_per_kinesis_record",
        help: "User records of each Kinesis record delivered; 1 without aggregation.",
        unit: None,
        values: Values::Sizes(|view| &view.snapshot.histograms.user_records),
    },
    Family {
        name: "buffer_records",
        help: "Records held, queued and in flight.",
        unit: None,
        values: Values::Gauge(|view| {
            view.snapshot.stats.records_queued + view.snapshot.stats.records_in_flight
        }),
    },
    Family {
        name: "buffer_max_records",
        help: "Records that may be held.",
        unit: None,
        values: Values::Gauge(|view| view.config.buffer_records_max() as u64),
    },
    Family {
        name: "buffer",
        help: "Bytes of data and partition keys held, queued and in flight.",
        unit: Some(Unit::Bytes),
        values: Values::Gauge(|view| view.snapshot.stats.buffered_bytes),
    },
    Family {
        name: "buffer_max",
        help: "Bytes of data and partition keys that may be held.",
        unit: Some(Unit::Bytes),
        values: Values::Gauge(|view| view.config.buffer_bytes_max() as u64),
    },
    Family {
        name: "records_in_flight",
        help: "Records in requests that are on their way.",
        unit: None,
        values: Values::Gauge(|view| view.snapshot.stats.records_in_flight),
    },
    Family {
        name: "requests_in_flight",
        help: "PutRecords requests on their way.",
        unit: None,
        values: Values::Gauge(|view| view.snapshot.stats.requests_in_flight),
    },
    Family {
        name: "requests_in_flight_allowed",
        help: "Requests that may be on their way at once now; fewer than configured while requests fail.",
        unit: None,
        values: Values::Gauge(|view| view.snapshot.stats.requests_in_flight_allowed),
    },
    Family {
        name: "last_success_age",
        help: "Since a shard last stored a record, or since the start before the first.",
        unit: Some(Unit::Seconds),
        values: Values::Seconds(|view| last_success_age(&view.snapshot)),
    },
    Family {
        name: "stalled",
        help: "How long records have been held while nothing was stored; 0 while records flow or none are held.",
        unit: Some(Unit::Seconds),
        values: Values::Seconds(|view| stalled_for(&view.snapshot)),
    },
    Family {
        name: "writable",
        help: "0 while the stream cannot be written to at all (missing, no permission, KMS, credentials, clock) and records are held; 1 otherwise.",
        unit: None,
        values: Values::Gauge(|view| u64::from(view.snapshot.hold.is_none())),
    },
    Family {
        name: "holds",
        help: "Times that the stream turned out not to be writable at all.",
        unit: None,
        values: Values::Counter(|view| view.snapshot.stats.holds),
    },
    Family {
        name: "aggregation_suspended",
        help: "1 while aggregation is configured and off, because the stream has AUTO record distribution.",
        unit: None,
        values: Values::Gauge(|view| u64::from(view.snapshot.stats.aggregation_suspended)),
    },
    Family {
        name: "oldest_record_age",
        help: "How long the oldest record that is queued has waited.",
        unit: Some(Unit::Seconds),
        values: Values::Seconds(|view| oldest_age(&view.snapshot)),
    },
    Family {
        name: "open_shards",
        help: "Open shards of the stream, by the map in use.",
        unit: None,
        values: Values::Gauge(|view| view.snapshot.stats.open_shards),
    },
    Family {
        name: "shard_map_refreshes",
        help: "Times that the service was asked for the map of shards, by result.",
        unit: None,
        values: Values::Counters("result", |view| {
            let map = &view.snapshot.shard_map;
            vec![("success", map.refreshes_succeeded), ("failed", map.refreshes_failed)]
        }),
    },
    Family {
        name: "shard_map_age",
        help: "Since the map of shards was fetched.",
        unit: Some(Unit::Seconds),
        values: Values::Seconds(|view| view.snapshot.now.since(view.snapshot.shard_map.refreshed_at)),
    },
    Family {
        name: "shard_map_stale",
        help: "1 while replies show shards that the map does not know, or knows otherwise.",
        unit: None,
        values: Values::Gauge(|view| u64::from(view.snapshot.shard_map.is_stale)),
    },
    Family {
        name: "shard_records_sent",
        help: "Kinesis records sent to the shard, each attempt counted.",
        unit: None,
        values: Values::ShardCounter(|row| row.counters.records_sent),
    },
    Family {
        name: "shard_sent",
        help: "Bytes sent to the shard, each attempt counted.",
        unit: Some(Unit::Bytes),
        values: Values::ShardCounter(|row| row.counters.bytes_sent),
    },
    Family {
        name: "shard_records_throttled",
        help: "Times that the shard throttled a Kinesis record.",
        unit: None,
        values: Values::ShardCounter(|row| row.counters.records_throttled),
    },
    Family {
        name: "shard_allowed_records_per_second",
        help: "Kinesis records a second that the shard may be sent now; no sample without a limit.",
        unit: None,
        values: Values::ShardOptional(|row| row.records_per_second),
    },
    Family {
        name: "shard_allowed_bytes_per_second",
        help: "Bytes a second that the shard may be sent now; no sample without a limit.",
        unit: None,
        values: Values::ShardOptional(|row| row.bytes_per_second),
    },
    Family {
        name: "shard_utilisation_ratio",
        help: "What was sent to the shard in the last 5 to 10 seconds, against what it may be sent; of records and bytes, the higher.",
        unit: None,
        values: Values::ShardFraction(|row| row.utilisation),
    },
    Family {
        name: "shard_queued_records",
        help: "Records that wait for the shard.",
        unit: None,
        values: Values::ShardGauge(|row| row.records_queued),
    },
    Family {
        name: "shard_buffer",
        help: "Bytes of data and partition keys held for the shard, queued and in flight.",
        unit: Some(Unit::Bytes),
        values: Values::ShardGauge(|row| row.bytes_held),
    },
    Family {
        name: "shard_oldest_record_age",
        help: "How long the oldest record that waits for the shard has waited; 0 when none does.",
        unit: Some(Unit::Seconds),
        values: Values::ShardSeconds(|row| row.oldest_age),
    },
];
