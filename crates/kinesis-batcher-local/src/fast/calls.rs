//! What each operation does.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use super::answer::Answer;
use super::scan::{Malformed, scan};
use super::server::Shared;
use super::store::{NotBase64, Store};
use crate::http::Reply;
use crate::routing::{hash_key, sequence_number, shard_id};

/// Why a PutRecords request is refused.
pub(crate) enum Refusal {
    Malformed,
    Entries,
    ExplicitHashKey,
}

impl From<Malformed> for Refusal {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

impl From<NotBase64> for Refusal {
    fn from(_: NotBase64) -> Self {
        Self::Malformed
    }
}

impl From<Refusal> for Reply {
    fn from(refusal: Refusal) -> Self {
        let (code, message) = match refusal {
            Refusal::Malformed => {
                ("SerializationException", "Not the JSON or CBOR of PutRecords, or Data is not base64.")
            }
            Refusal::Entries => ("ValidationException", "Records must have 1 to 500 members."),
            Refusal::ExplicitHashKey => {
                ("InvalidArgumentException", "ExplicitHashKey must be in [0, 2^128-1].")
            }
        };
        Self::error(400, code, message)
    }
}

/// Stores the records of a request and writes its reply.
pub(crate) fn put_records<'a>(
    shared: &Shared,
    store: &mut Store,
    answer: &'a mut Answer,
    body: &[u8],
    is_cbor: bool,
) -> Result<&'a [u8], Refusal> {
    // Numbers are drawn for a full request: how many it takes is only known at its end, and gaps do no harm.
    let first = shared.sequence.fetch_add(ENTRIES_MAX, Ordering::Relaxed);
    let storing = shared.storing.load(Ordering::Relaxed);
    let mark = store.mark();
    answer.begin(first, is_cbor);
    let (mut records, mut record_bytes) = (0, 0);
    let scanned = scan::<Refusal>(body, is_cbor, |entry| {
        if records == ENTRIES_MAX {
            return Err(Refusal::Entries);
        }
        let key = entry.partition_key.as_ref();
        let shard = shared.route(match &entry.explicit_hash_key {
            None => hash_key(key),
            Some(explicit) => parse_hash_key(explicit)?,
        });
        let data_bytes = store.push(shard, first + records, key, &entry.data)?;
        answer.entry(&shared.shard_ids[shard as usize]);
        records += 1;
        record_bytes += (key.len() + data_bytes) as u64;
        Ok(())
    });
    let refused = scanned.and(if records == 0 { Err(Refusal::Entries) } else { Ok(()) });
    // Without storing, records are decoded all the same: both ways cost the server alike.
    if refused.is_err() || !storing {
        store.roll_back(&mark);
    }
    refused?;
    shared.records.fetch_add(records, Ordering::Relaxed);
    shared.record_bytes.fetch_add(record_bytes, Ordering::Relaxed);
    Ok(answer.finish())
}

/// All shards on one page, whatever the request says: they are all open.
pub(crate) fn list_shards(shared: &Shared) -> Reply {
    let mut ends = shared.starts[1..].iter().map(|start| start - 1).chain([u128::MAX]);
    let shards: Vec<Value> = (0..)
        .zip(&shared.starts)
        .map(|(number, start)| {
            json!({
                "ShardId": shard_id(number),
                "HashKeyRange": {
                    "StartingHashKey": start.to_string(),
                    "EndingHashKey": ends.next().unwrap_or(u128::MAX).to_string(),
                },
                "SequenceNumberRange": { "StartingSequenceNumber": sequence_number(0) },
            })
        })
        .collect();
    Reply::json(json!({ "Shards": shards }).to_string().into_bytes())
}

pub(crate) fn describe_stream_summary(shared: &Shared) -> Reply {
    let name = &shared.stream_name;
    let reply = json!({ "StreamDescriptionSummary": {
        "StreamName": name,
        "StreamARN": format!("arn:aws:kinesis:us-east-1:000000000000:stream/{name}"),
        "StreamStatus": "ACTIVE",
        "StreamModeDetails": { "StreamMode": "PROVISIONED" },
        "RetentionPeriodHours": 24,
        "StreamCreationTimestamp": 1_767_225_600.0,
        "EnhancedMonitoring": [{ "ShardLevelMetrics": [] }],
        "EncryptionType": "NONE",
        "OpenShardCount": shared.starts.len(),
        "ConsumerCount": 0,
        "MaxRecordSizeInKiB": RECORD_SIZE_MAX_KIB,
        "RecordDistributionStrategy": "USER_PARTITION_KEY",
    }});
    Reply::json(reply.to_string().into_bytes())
}

fn parse_hash_key(text: &[u8]) -> Result<u128, Refusal> {
    std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or(Refusal::ExplicitHashKey)
}

/// Entries of a PutRecords request (API reference of PutRecords, 2026).
const ENTRIES_MAX: u64 = 500;

/// The most that the service grants a stream (quotas of Kinesis Data Streams, 2026).
const RECORD_SIZE_MAX_KIB: u32 = 10_240;
