//! ListShards and DescribeStreamSummary.

use serde::Deserialize;
use serde_json::{Value, json};

use super::put_records::StreamReference;
use super::stream::{Shard, Stream};
use super::{Rejection, StreamMode};
use crate::routing::sequence_number;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListShards {
    #[serde(flatten)]
    stream: StreamReference,
    next_token: Option<String>,
    max_results: Option<usize>,
    exclusive_start_shard_id: Option<String>,
    stream_creation_timestamp: Option<Value>,
    shard_filter: Option<ShardFilter>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ShardFilter {
    r#type: String,
    shard_id: Option<String>,
}

/// The body of a reply to ListShards. The filters of times are taken for `FROM_TRIM_HORIZON`, the default.
pub(crate) fn list_shards(stream: &Stream, body: &[u8]) -> Result<Vec<u8>, Rejection> {
    let input: ListShards = parse(body)?;
    let (open_only, after) = match &input.next_token {
        Some(token) => {
            // S-10
            let names_more = input.stream.stream_name.is_some()
                || input.stream.stream_arn.is_some()
                || input.exclusive_start_shard_id.is_some()
                || input.stream_creation_timestamp.is_some();
            if names_more {
                return Err(Rejection::invalid_argument(
                    "NextToken cannot be provided together with what names a stream or a shard.",
                ));
            }
            parse_token(token)?
        }
        None => {
            input.stream.check(stream)?;
            let filter = input.shard_filter;
            let open_only = filter.as_ref().is_some_and(|filter| filter.r#type == "AT_LATEST");
            let after_filter = filter.and_then(|filter| filter.shard_id);
            (open_only, input.exclusive_start_shard_id.or(after_filter).unwrap_or_default())
        }
    };
    if input.max_results.is_some_and(|results| !(1..=MAX_RESULTS_MAX).contains(&results)) {
        return Err(Rejection::validation("MaxResults must be between 1 and 10000."));
    }
    let page = stream.options.list_shards_page.min(input.max_results.unwrap_or(usize::MAX));
    let mut listed = stream
        .shards()
        .iter()
        .filter(|shard| shard.description.shard_id > after && (shard.description.open || !open_only));
    let shards: Vec<&Shard> = listed.by_ref().take(page.max(1)).collect();
    let mut reply = json!({ "Shards": shards.iter().map(|shard| describe_shard(shard)).collect::<Vec<_>>() });
    if let (Some(last), Some(_)) = (shards.last(), listed.next()) {
        reply["NextToken"] = Value::String(token(open_only, &last.description.shard_id));
    }
    Ok(reply.to_string().into_bytes())
}

/// The body of a reply to DescribeStreamSummary.
pub(crate) fn describe_stream_summary(stream: &Stream, body: &[u8]) -> Result<Vec<u8>, Rejection> {
    let reference: StreamReference = parse(body)?;
    reference.check(stream)?;
    let options = &stream.options;
    let mut reply = json!({ "StreamDescriptionSummary": {
        "StreamName": options.stream_name,
        "StreamARN": stream.arn(),
        "StreamStatus": "ACTIVE",
        "StreamModeDetails": { "StreamMode": options.stream_mode.as_str() },
        "RetentionPeriodHours": 24,
        "StreamCreationTimestamp": 1_767_225_600.0,
        "EnhancedMonitoring": [{ "ShardLevelMetrics": [] }],
        "EncryptionType": "NONE",
        "OpenShardCount": stream.open_count(),
        "ConsumerCount": 0,
        "MaxRecordSizeInKiB": options.record_size_max_kib,
    }});
    // S-26: the field is there for on-demand streams alone.
    if options.stream_mode == StreamMode::OnDemand {
        reply["StreamDescriptionSummary"]["RecordDistributionStrategy"] =
            options.distribution.as_str().into();
    }
    Ok(reply.to_string().into_bytes())
}

fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Rejection> {
    serde_json::from_slice(body).map_err(|_| Rejection::serialization("Not the JSON of this operation."))
}

fn describe_shard(shard: &Shard) -> Value {
    let description = &shard.description;
    let mut range = json!({ "StartingSequenceNumber": sequence_number(shard.first_sequence) });
    if let Some(last) = shard.last_sequence {
        range["EndingSequenceNumber"] = Value::String(sequence_number(last));
    }
    let mut listed = json!({
        "ShardId": description.shard_id,
        "HashKeyRange": {
            "StartingHashKey": description.starting_hash_key.to_string(),
            "EndingHashKey": description.ending_hash_key.to_string(),
        },
        "SequenceNumberRange": range,
    });
    if let Some(parent) = &description.parent_shard_id {
        listed["ParentShardId"] = Value::String(parent.clone());
    }
    if let Some(parent) = &description.adjacent_parent_shard_id {
        listed["AdjacentParentShardId"] = Value::String(parent.clone());
    }
    listed
}

/// A token carries all that the next page needs: the filter, and the shard it goes on after.
fn token(open_only: bool, after: &str) -> String {
    format!("{}/{after}", if open_only { OPEN } else { ALL })
}

fn parse_token(token: &str) -> Result<(bool, String), Rejection> {
    match token.split_once('/') {
        Some((OPEN, after)) => Ok((true, after.to_owned())),
        Some((ALL, after)) => Ok((false, after.to_owned())),
        _ => Err(Rejection::new(400, "ExpiredNextTokenException", "The token is not one of this server's.")),
    }
}

/// `ListShardsInputLimit`; a page has at most 1,000 shards all the same (S-10).
const MAX_RESULTS_MAX: usize = 10_000;

const OPEN: &str = "open";
const ALL: &str = "all";
