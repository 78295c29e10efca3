//! PutRecords: the service's rules, and what a fault makes of the reply.

use std::time::Instant;

use base64_simd::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use super::fault::Entry;
use super::options::Distribution;
use super::server::Kinesis;
use super::stream::Stream;
use super::{EntryError, Fault, Rejection, Stored};
use crate::routing::{hash_key, sequence_number};

/// A request whose body could be read.
pub(crate) struct Input {
    pub(crate) stream: StreamReference,
    pub(crate) records: Vec<Record>,
}

pub(crate) struct Record {
    data: Vec<u8>,
    partition_key: Option<String>,
    explicit_hash_key: Option<String>,
}

/// How a request names its stream.
#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct StreamReference {
    pub(crate) stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    pub(crate) stream_arn: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawInput<D> {
    #[serde(flatten)]
    stream: StreamReference,
    records: Option<Vec<RawRecord<D>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawRecord<D> {
    data: Option<D>,
    partition_key: Option<String>,
    explicit_hash_key: Option<String>,
}

impl Input {
    pub(crate) fn parse(body: &[u8], is_cbor: bool) -> Result<Self, Rejection> {
        if is_cbor {
            let raw = ciborium::from_reader(body)
                .map_err(|_| Rejection::serialization("Not the CBOR of PutRecords."))?;
            return Self::of(raw, |data: ciborium::Value| {
                data.into_bytes().map_err(|_| Rejection::serialization("Data is no byte string."))
            });
        }
        let raw = serde_json::from_slice(body)
            .map_err(|_| Rejection::serialization("Not the JSON of PutRecords."))?;
        Self::of(raw, |data: String| {
            STANDARD.decode_to_vec(data).map_err(|_| Rejection::serialization("Data is not base64."))
        })
    }

    fn of<D>(raw: RawInput<D>, bytes: impl Fn(D) -> Result<Vec<u8>, Rejection>) -> Result<Self, Rejection> {
        let records = raw.records.ok_or_else(|| must_not_be_null("records"))?;
        let records = records.into_iter().enumerate().map(|(position, record)| {
            let data = record
                .data
                .ok_or_else(|| must_not_be_null(&format!("records.{}.member.data", position + 1)))?;
            Ok(Record {
                data: bytes(data)?,
                partition_key: record.partition_key,
                explicit_hash_key: record.explicit_hash_key,
            })
        });
        Ok(Self { stream: raw.stream, records: records.collect::<Result<_, Rejection>>()? })
    }

    /// Data and partition keys.
    pub(crate) fn record_bytes(&self) -> usize {
        self.records.iter().map(Record::bytes).sum()
    }

    /// The service's rules; one entry that breaks them refuses them all.
    fn check(&self, stream: &Stream, poison: &[Vec<u8>]) -> Result<(), Rejection> {
        self.stream.check(stream)?;
        if !(1..=ENTRIES_MAX).contains(&self.records.len()) {
            return Err(must("records", "have length less than or equal to 500, and at least 1"));
        }
        for (position, record) in self.records.iter().enumerate() {
            record.check(stream, position + 1)?;
            if poison.iter().any(|prefix| record.data.starts_with(prefix)) {
                return Err(Rejection::validation("A record is poisoned."));
            }
        }
        if self.record_bytes() > REQUEST_BYTES_MAX {
            return Err(Rejection::invalid_argument("Records size exceeds 10 MB limit."));
        }
        Ok(())
    }
}

impl Record {
    fn bytes(&self) -> usize {
        self.data.len() + self.partition_key.as_deref().map_or(0, str::len)
    }

    /// `member` counts from 1, as the service does.
    fn check(&self, stream: &Stream, member: usize) -> Result<(), Rejection> {
        let field = |name| format!("records.{member}.member.{name}");
        let bytes_max = stream.options.record_size_max_kib as usize * 1_024;
        if self.bytes() > bytes_max {
            return Err(must(
                &field("data"),
                &format!("have length less than or equal to {bytes_max}, key included"),
            ));
        }
        match &self.partition_key {
            None if stream.options.distribution == Distribution::Auto => {}
            None => return Err(must_not_be_null(&field("partitionKey"))),
            Some(key) if (1..=PARTITION_KEY_CHARS_MAX).contains(&key.chars().count()) => {}
            Some(_) => return Err(must(&field("partitionKey"), "have length between 1 and 256")),
        }
        let Some(explicit) = &self.explicit_hash_key else { return Ok(()) };
        let digits = !explicit.is_empty() && explicit.bytes().all(|byte| byte.is_ascii_digit());
        if !digits || (explicit.starts_with('0') && explicit.len() > 1) {
            let pattern = "satisfy regular expression pattern: 0|([1-9]\\d{0,38})";
            return Err(must(&field("explicitHashKey"), pattern));
        }
        match explicit.parse::<u128>() {
            Ok(_) => Ok(()),
            Err(_) => Err(Rejection::invalid_argument("ExplicitHashKey must be in the range: [0, 2^128-1].")),
        }
    }

    /// Position of the shard this record belongs into, once it was checked.
    fn route(&self, stream: &mut Stream) -> usize {
        if stream.options.distribution == Distribution::Auto {
            return stream.route_automatically();
        }
        let explicit = self.explicit_hash_key.as_deref().and_then(|text| text.parse().ok());
        let key = self.partition_key.as_deref().unwrap_or_default();
        stream.route(explicit.unwrap_or_else(|| hash_key(key.as_bytes())))
    }
}

impl StreamReference {
    pub(crate) fn check(&self, stream: &Stream) -> Result<(), Rejection> {
        let by_name = self.stream_name.as_deref() == Some(stream.options.stream_name.as_str());
        let by_arn = self.stream_arn.as_deref() == Some(stream.arn().as_str());
        match (&self.stream_name, &self.stream_arn) {
            (None, None) => {
                Err(Rejection::invalid_argument("Either StreamName or StreamARN should be provided."))
            }
            (Some(_), Some(_)) if by_name && by_arn => Ok(()),
            (Some(_), None) if by_name => Ok(()),
            (None, Some(_)) if by_arn => Ok(()),
            _ => Err(Rejection::new(
                400,
                "ResourceNotFoundException",
                "The stream that was named does not exist under account 000000000000.",
            )),
        }
    }
}

/// Serves a request, as far as the fault lets it, and gives the body of the reply.
pub(crate) fn put_records(
    kinesis: &mut Kinesis,
    input: Input,
    fault: &Fault,
    request_index: usize,
) -> Result<Vec<u8>, Rejection> {
    input.check(&kinesis.stream, &kinesis.script.poison)?;
    let now = Instant::now();
    let mut failed = 0_u32;
    let mut entries = Vec::with_capacity(input.records.len());
    for (position, record) in input.records.into_iter().enumerate() {
        let shard = record.route(&mut kinesis.stream);
        let shard_id = kinesis.stream.shard_id(shard).to_owned();
        let partition_key = record.partition_key.as_deref().unwrap_or_default();
        let entry = Entry { position, shard_id: &shard_id, partition_key };
        if let Some(error) = fault.entry_error(&entry) {
            failed += 1;
            entries.push(failed_entry(error));
            continue;
        }
        if !kinesis.stream.admit(shard, now, record.bytes()) {
            failed += 1;
            let message = format!(
                "Rate exceeded for shard {shard_id} in stream {}.",
                kinesis.stream.options.stream_name
            );
            entries.push(failed_entry(&EntryError { message, ..EntryError::throttled() }));
            continue;
        }
        let number = sequence_number(kinesis.stream.next_sequence());
        entries.push(match fault {
            Fault::BlankEntries(blank) if blank.select(&entry) => json!({}),
            _ => json!({ "SequenceNumber": number, "ShardId": shard_id }),
        });
        kinesis.observed.put_requests[request_index].entries_stored += 1;
        kinesis.observed.stored.push(Stored {
            shard_id,
            sequence_number: number,
            partition_key: record.partition_key.unwrap_or_default(),
            explicit_hash_key: record.explicit_hash_key,
            data: record.data,
            request_index,
        });
    }
    Ok(reply_body(entries, failed, fault))
}

fn reply_body(mut entries: Vec<Value>, mut failed: u32, fault: &Fault) -> Vec<u8> {
    match fault {
        Fault::ClaimFailures(claimed) => failed = *claimed,
        Fault::FailEntriesUncounted(..) => failed = 0,
        Fault::FewerEntries(count) => entries.truncate(entries.len().saturating_sub(*count)),
        Fault::MoreEntries(count) => {
            let extra = entries.last().cloned().unwrap_or_default();
            entries.extend(std::iter::repeat_n(extra, *count));
        }
        Fault::EmptyReply => return Vec::new(),
        _ => {}
    }
    json!({ "EncryptionType": "NONE", "FailedRecordCount": failed, "Records": entries })
        .to_string()
        .into_bytes()
}

fn failed_entry(error: &EntryError) -> Value {
    json!({ "ErrorCode": error.code, "ErrorMessage": error.message })
}

fn must(field: &str, constraint: &str) -> Rejection {
    Rejection::validation(format!(
        "1 validation error detected: Value at '{field}' failed to satisfy constraint: Member must {constraint}"
    ))
}

fn must_not_be_null(field: &str) -> Rejection {
    must(field, "not be null")
}

/// Entries of a PutRecords request (S-01).
const ENTRIES_MAX: usize = 500;

/// Data and partition keys of a PutRecords request, before base64 (S-02).
const REQUEST_BYTES_MAX: usize = 10 << 20;

/// Unicode characters, not bytes (S-04).
const PARTITION_KEY_CHARS_MAX: usize = 256;
