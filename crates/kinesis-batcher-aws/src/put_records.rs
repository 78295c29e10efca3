//! PutRecords: the request out, the reply back, and what an error means.

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kinesis::operation::put_records::PutRecordsOutput;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{PutRecordsRequestEntry, PutRecordsResultEntry};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use kinesis_batcher_driver::{
    PutRecords, RecordOutcome, RequestError, RequestRecord, Response, SequenceNumber, ServiceError, ShardId,
};

use crate::error_chain::{deepest_message, find_in_chain, is_not_connected, one_line};
use crate::stream_id::StreamId;

/// Sends the request once.
pub(crate) async fn put_records(
    client: &Client,
    stream: &StreamId,
    request: &PutRecords,
) -> Result<Response, RequestError> {
    client
        .put_records()
        .set_stream_name(stream.stream_name())
        .set_stream_arn(stream.stream_arn())
        .set_records(Some(request.records().map(entry).collect()))
        .send()
        .await
        .map(response)
        .map_err(|error| request_error(&error))
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

/// `FailedRecordCount` is not looked at: it has been seen to disagree with the entries.
fn response(output: PutRecordsOutput) -> Response {
    let mut errors = Errors::default();
    Response::new(output.records.into_iter().map(|entry| outcome(entry, &mut errors)).collect())
}

fn outcome(entry: PutRecordsResultEntry, errors: &mut Errors) -> RecordOutcome {
    if let Some(code) = entry.error_code.filter(|code| !code.is_empty()) {
        return RecordOutcome::Failed(
            errors.shared(&code, entry.error_message.as_deref().unwrap_or_default()),
        );
    }
    match (entry.shard_id, entry.sequence_number) {
        (Some(shard_id), Some(sequence_number)) => RecordOutcome::Stored {
            shard_id: ShardId::new(&shard_id),
            sequence_number: SequenceNumber::new(&sequence_number),
        },
        _ => RecordOutcome::Unknown,
    }
}

/// The last error seen. Neighbours in a reply fail for the same reason and then share it.
#[derive(Default)]
struct Errors {
    last: Option<ServiceError>,
}

impl Errors {
    fn shared(&mut self, code: &str, message: &str) -> ServiceError {
        match &self.last {
            Some(error) if error.code().as_str() == code && error.message() == message => error.clone(),
            _ => self.last.insert(ServiceError::new(code, message)).clone(),
        }
    }
}

/// What a call without a usable reply says about its records.
fn request_error<E>(error: &SdkError<E, HttpResponse>) -> RequestError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    match error {
        SdkError::ServiceError(refusal) => {
            let status = refusal.raw().status().as_u16();
            refused(status, error.code(), error.message().unwrap_or_default())
        }
        SdkError::ResponseError(unreadable) => match unreadable.raw().status().as_u16() {
            // A success that cannot be read: the records are stored, most likely, but who knows which.
            200..300 => {
                RequestError::outcome_unknown(&format!("unreadable reply: {}", deepest_message(error)))
            }
            status => refused(status, None, ""),
        },
        SdkError::ConstructionFailure(_) => RequestError::not_sent(&deepest_message(error)),
        SdkError::DispatchFailure(failure)
            if failure.is_user()
                || is_not_connected(error)
                || find_in_chain::<CredentialsError>(error).is_some() =>
        {
            RequestError::not_sent(&deepest_message(error))
        }
        _ => RequestError::outcome_unknown(&deepest_message(error)),
    }
}

fn refused(status: u16, code: Option<&str>, message: &str) -> RequestError {
    let error = match code {
        Some(code) => ServiceError::new(code, &one_line(message)),
        // Proxies and load balancers answer with a status and a page of their own.
        None => ServiceError::new(&format!("HttpStatus{status}"), "the reply has no error code"),
    };
    RequestError::refused(status, error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use kinesis_batcher_driver::ErrorClass;

    fn result(
        shard: Option<&str>,
        sequence: Option<&str>,
        error: Option<(&str, &str)>,
    ) -> PutRecordsResultEntry {
        PutRecordsResultEntry::builder()
            .set_shard_id(shard.map(Into::into))
            .set_sequence_number(sequence.map(Into::into))
            .set_error_code(error.map(|(code, _)| code.into()))
            .set_error_message(error.map(|(_, message)| message.into()))
            .build()
    }

    #[test]
    fn each_entry_speaks_for_itself_whatever_the_count_says() {
        let throttled = Some(("ProvisionedThroughputExceededException", "Rate exceeded"));
        let output = PutRecordsOutput::builder()
            .failed_record_count(0)
            .records(result(Some("shardId-000000000001"), Some("17"), None))
            .records(result(None, None, throttled))
            .records(result(None, None, throttled))
            .records(result(None, None, None))
            .records(result(Some("shardId-000000000001"), None, None))
            .build()
            .unwrap();
        let outcomes = response(output).outcomes;
        assert!(matches!(&outcomes[0], RecordOutcome::Stored { shard_id, .. }
            if shard_id.to_string() == "shardId-000000000001"));
        let RecordOutcome::Failed(error) = &outcomes[1] else { panic!("it has an error code") };
        assert_eq!(error.code().class(), ErrorClass::Throttled);
        assert_eq!(outcomes[1], outcomes[2]);
        assert_eq!(outcomes[3..], [RecordOutcome::Unknown, RecordOutcome::Unknown]);
    }

    #[test]
    fn a_page_of_html_says_nothing_about_what_was_stored() {
        let error = refused(503, None, "");
        assert!(error.is_outcome_unknown());
        assert_eq!(error.error().code().as_str(), "HttpStatus503");
    }

    #[test]
    fn an_entry_shares_the_bytes_of_its_record() {
        let data = kinesis_batcher_driver::Bytes::from(vec![7; 1_000]);
        let record = kinesis_batcher_driver::Record::new("k", data.clone()).unwrap();
        let request = PutRecords::of_records([record]).unwrap();
        let entry = entry(request.records().next().unwrap());
        assert_eq!(entry.data().as_ref().as_ptr(), data.as_ptr());
    }
}
