//! GetRecords.

use ferrokinesis::constants::INVALID_ARGUMENT;
use ferrokinesis::sequence::{increment_sequence, parse_sequence};
use ferrokinesis::shard_iterator::{create_shard_iterator, decode_shard_iterator};
use ferrokinesis::store::Store;
use ferrokinesis::types::{Shard, Stream};
use ferrokinesis::util::current_time_ms;
use serde_json::{Value, json};

use super::super::emulator::Refusal;
use super::super::reshard::is_open;

/// The next page of a shard. ferrokinesis has found nothing wrong with the request.
pub(super) async fn answer(store: &Store, input: &Value) -> Result<Value, Refusal> {
    let iterator = input["ShardIterator"].as_str().unwrap_or_default();
    let (_, stream_name, shard_id, from) = decode_shard_iterator(iterator).map_err(|_| invalid_iterator())?;
    let stream = store.get_stream(&stream_name).await?;
    let (index, shard) = stream
        .shards
        .iter()
        .enumerate()
        .find(|(_, shard)| shard.shard_id == shard_id)
        .ok_or_else(invalid_iterator)?;
    let limit = input["Limit"].as_u64().and_then(|limit| usize::try_from(limit).ok()).unwrap_or(RECORDS_MAX);
    let now = current_time_ms();
    let trim_horizon = now.saturating_sub(u64::from(stream.retention_period_hours) * 3_600_000) / 1_000;

    let page =
        Page::read(store, &stream_name, index, &from, limit.min(RECORDS_MAX), trim_horizon as f64).await;
    let next = match &page.last {
        Some(number) => increment_sequence(&parse_sequence(number).map_err(|_| invalid_iterator())?, None),
        None => {
            let position = parse_sequence(&from).map_err(|_| invalid_iterator())?;
            // A position may be ahead of the clock, since records of a new shard are.
            increment_sequence(&position, Some(position.seq_time.unwrap_or(0).max(now)))
        }
    };
    let behind = match page.last_arrival {
        // Arrival is in whole seconds and up to one ahead: better too far behind than too close.
        Some(arrival) if page.has_more => (now + 1_000).saturating_sub((arrival * 1e3) as u64).max(1),
        _ => 0,
    };
    let is_at_end = !is_open(shard) && page.last.is_none();
    let mut output = json!({ "Records": page.records, "MillisBehindLatest": behind });
    if is_at_end {
        output["ChildShards"] = children(&stream, &shard_id);
    } else {
        output["NextShardIterator"] = create_shard_iterator(&stream_name, &shard_id, &next, now).into();
    }
    Ok(output)
}

/// What a call returns, and how far it came.
#[derive(Default)]
struct Page {
    records: Vec<Value>,
    /// The last sequence number that was passed, also of a record older than the retention period.
    last: Option<String>,
    last_arrival: Option<f64>,
    has_more: bool,
}

impl Page {
    /// At most `limit` records and 10 MiB of one shard, from a sequence number on.
    async fn read(
        store: &Store,
        stream_name: &str,
        shard: usize,
        from: &str,
        limit: usize,
        trim_horizon: f64,
    ) -> Self {
        let (mut page, mut bytes) = (Self::default(), 0);
        // The store is a sorted map by `{shard as hex}/{sequence number}`. The space sorts right after the number.
        let mut start = format!("{shard:08x}/{from}");
        let end = format!("{:08x}", shard + 1);
        loop {
            let chunk = CHUNK_RECORDS.min(limit + 1 - page.records.len());
            let found = store.get_records_range_limited(stream_name, &start, &end, chunk).await;
            let is_last = found.len() < chunk;
            for (key, record) in found {
                bytes += record.data.len() / 4 * 3 + record.partition_key.len();
                if page.records.len() == limit || (bytes > PAGE_BYTES_MAX && !page.records.is_empty()) {
                    page.has_more = true;
                    return page;
                }
                let number = key.split_once('/').map_or(key.as_str(), |(_, number)| number).to_owned();
                if record.approximate_arrival_timestamp >= trim_horizon {
                    page.records.push(json!({
                        "SequenceNumber": number,
                        "ApproximateArrivalTimestamp": seconds(record.approximate_arrival_timestamp),
                        "Data": record.data,
                        "PartitionKey": record.partition_key,
                    }));
                }
                page.last = Some(number);
                page.last_arrival = Some(record.approximate_arrival_timestamp);
                start = format!("{key} ");
            }
            if is_last {
                return page;
            }
        }
    }
}

/// The shards that a closed shard was split or merged into.
fn children(stream: &Stream, shard_id: &str) -> Value {
    let parents = |shard: &Shard| -> Vec<String> {
        shard.parent_shard_id.iter().chain(&shard.adjacent_parent_shard_id).cloned().collect()
    };
    let children = stream.shards.iter().filter_map(|shard| {
        let parents = parents(shard);
        parents.iter().any(|parent| parent == shard_id).then(|| {
            json!({
                "ShardId": shard.shard_id,
                "ParentShards": parents,
                "HashKeyRange": {
                    "StartingHashKey": shard.hash_key_range.starting_hash_key,
                    "EndingHashKey": shard.hash_key_range.ending_hash_key,
                },
            })
        })
    });
    children.collect()
}

/// Whole seconds are integers, which some clients insist on.
fn seconds(time: f64) -> Value {
    if time.fract() == 0.0 { (time as i64).into() } else { time.into() }
}

fn invalid_iterator() -> Refusal {
    Refusal::client_error(INVALID_ARGUMENT, Some("Invalid ShardIterator."))
}

/// The service's limits of a call (S-13).
const RECORDS_MAX: usize = 10_000;
const PAGE_BYTES_MAX: usize = 10 << 20;

/// Records copied from the store at once: 10,000 of 1 MiB would be 10 GB, of which a page takes 10 MiB.
const CHUNK_RECORDS: usize = 100;
