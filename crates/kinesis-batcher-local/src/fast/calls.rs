//! What each operation does.

use std::sync::atomic::Ordering;

use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::Answer;
use super::scan::{Malformed, scan};
use super::server::Shared;
use super::store::{NotBase64, Store};
use crate::http::Reply;
use crate::routing::{hash_key, sequence_number, shard_id};

/// What of a listing concerns this server.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListShards {
    next_token: Option<String>,
    max_results: Option<usize>,
}

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

/// Open shards, page by page, whatever the request names: a page has 1,000 (S-10), and its token is the number of the
/// next page's first shard.
pub(crate) fn list_shards(shared: &Shared, body: &[u8]) -> Reply {
    let input: ListShards = match serde_json::from_slice(body) {
        Ok(input) => input,
        Err(_) => return Refusal::Malformed.into(),
    };
    let from = match input.next_token.as_deref().map(str::parse).unwrap_or(Ok(0_usize)) {
        Ok(from) if from < shared.starts.len() => from,
        _ => return Reply::error(400, "ExpiredNextTokenException", "The token is not one of this server's."),
    };
    let page = input.max_results.unwrap_or(PAGE_SHARDS).clamp(1, PAGE_SHARDS);
    let next = (from + page).min(shared.starts.len());
    let shards: Vec<Value> = (from..next)
        .map(|place| {
            let end = shared.starts.get(place + 1).map_or(u128::MAX, |start| start - 1);
            json!({
                "ShardId": shard_id(place as u32),
                "HashKeyRange": {
                    "StartingHashKey": shared.starts[place].to_string(),
                    "EndingHashKey": end.to_string(),
                },
                "SequenceNumberRange": { "StartingSequenceNumber": sequence_number(0) },
            })
        })
        .collect();
    let mut reply = json!({ "Shards": shards });
    if next < shared.starts.len() {
        reply["NextToken"] = next.to_string().into();
    }
    Reply::json(reply.to_string().into_bytes())
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
    }});
    Reply::json(reply.to_string().into_bytes())
}

fn parse_hash_key(text: &[u8]) -> Result<u128, Refusal> {
    // S-05: digits alone, and no leading zeros. The parser takes a plus sign, too.
    let is_canonical =
        text.iter().all(u8::is_ascii_digit) && (text.len() == 1 || text.first() != Some(&b'0'));
    let text = std::str::from_utf8(text).ok().filter(|_| is_canonical);
    text.and_then(|text| text.parse().ok()).ok_or(Refusal::ExplicitHashKey)
}

/// Entries of a PutRecords request (S-01).
const ENTRIES_MAX: u64 = 500;

/// Shards on a page of ListShards (S-10).
const PAGE_SHARDS: usize = 1_000;

/// The most that the service grants a stream (S-03).
const RECORD_SIZE_MAX_KIB: u32 = 10_240;
