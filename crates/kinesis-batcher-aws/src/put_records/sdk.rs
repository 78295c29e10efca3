//! PutRecords through the SDK's own types.

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::operation::RequestId;
use aws_sdk_kinesis::operation::put_records::PutRecordsOutput;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{PutRecordsRequestEntry, PutRecordsResultEntry};
use kinesis_batcher_driver::{PutRecords, RequestRecord, Response};

use super::call_error::CallError;
use super::entry::{Entry, Errors};
use super::transmission::Transmission;
use crate::stream_id::StreamId;

pub(super) async fn put_records(
    client: &Client,
    stream: &StreamId,
    request: &PutRecords,
) -> Result<Response, CallError> {
    let transmission = Transmission::default();
    client
        .put_records()
        .set_stream_name(stream.stream_name())
        .set_stream_arn(stream.stream_arn())
        .set_records(Some(request.records().map(entry).collect()))
        .customize()
        .interceptor(transmission.clone())
        .send()
        .await
        .map(response)
        .map_err(|error| transmission.error(&error))
}

fn entry(record: RequestRecord<'_>) -> PutRecordsRequestEntry {
    PutRecordsRequestEntry::builder()
        // Shares the bytes instead of copying them.
        .data(Blob::from_maybe_shared(record.data().clone()))
        .set_partition_key(record.partition_key().map(str::to_owned))
        .set_explicit_hash_key(record.explicit_hash_key().map(|key| key.to_string()))
        .build()
        .expect("the data is set, and nothing else is required")
}

fn response(output: PutRecordsOutput) -> Response {
    let request_id = output.request_id().map(str::to_owned);
    let mut errors = Errors::of_request(request_id.as_deref());
    Response::new(output.records.into_iter().map(|entry| fields(entry).outcome(&mut errors)).collect())
}

fn fields(entry: PutRecordsResultEntry) -> Entry<String> {
    Entry {
        shard_id: entry.shard_id,
        sequence_number: entry.sequence_number,
        error_code: entry.error_code,
        error_message: entry.error_message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_shares_the_bytes_of_its_record() {
        let data = kinesis_batcher_driver::Bytes::from(vec![7; 1_000]);
        let record = kinesis_batcher_driver::Record::new("k", data.clone()).unwrap();
        let request = PutRecords::of_records([record]).unwrap();
        let entry = entry(request.records().next().unwrap());
        assert_eq!(entry.data().as_ref().as_ptr(), data.as_ptr());
    }
}
