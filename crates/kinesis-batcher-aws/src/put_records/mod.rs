//! PutRecords: the request out, the reply back, and what an error means.

mod body;
mod json;
mod lean;
mod reply;
mod sdk;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use kinesis_batcher_driver::{PutRecords, RecordOutcome, RequestError, Response, ServiceError};

use crate::error_chain::{deepest_message, find_in_chain, is_not_connected, one_line};
use crate::stream_id::StreamId;
use crate::wire::Wire;

/// Sends the request once.
pub(crate) async fn put_records(
    client: &Client,
    wire: Wire,
    stream: &StreamId,
    request: &PutRecords,
) -> Result<Response, RequestError> {
    let result = match wire {
        Wire::Lean => lean::put_records(client, stream, request).await,
        Wire::Sdk => sdk::put_records(client, stream, request).await,
    };
    result.map_err(|error| request_error(&error))
}

/// What an entry of a reply says, with the fields that are there and not null.
///
/// `FailedRecordCount` is not looked at: it has been seen to disagree with the entries.
struct Entry<S> {
    shard_id: Option<S>,
    sequence_number: Option<S>,
    error_code: Option<S>,
    error_message: Option<S>,
}

impl<S: AsRef<str>> Entry<S> {
    fn outcome(&self, errors: &mut Errors) -> RecordOutcome {
        if let Some(code) = text(&self.error_code).filter(|code| !code.is_empty()) {
            return RecordOutcome::Failed(errors.shared(code, text(&self.error_message).unwrap_or_default()));
        }
        match (text(&self.shard_id), text(&self.sequence_number)) {
            (Some(shard_id), Some(sequence_number)) => {
                RecordOutcome::Stored { shard_id: shard_id.into(), sequence_number: sequence_number.into() }
            }
            _ => RecordOutcome::Unknown,
        }
    }
}

fn text<S: AsRef<str>>(field: &Option<S>) -> Option<&str> {
    field.as_ref().map(AsRef::as_ref)
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

    fn entry<'a>(
        shard_id: Option<&'a str>,
        sequence_number: Option<&'a str>,
        error: Option<(&'a str, &'a str)>,
    ) -> Entry<&'a str> {
        let (error_code, error_message) = error.unzip();
        Entry { shard_id, sequence_number, error_code, error_message }
    }

    #[test]
    fn each_entry_speaks_for_itself() {
        let mut errors = Errors::default();
        let throttled = Some(("ProvisionedThroughputExceededException", "Rate exceeded"));
        let outcomes = [
            entry(Some("shardId-000000000001"), Some("17"), None),
            entry(None, None, throttled),
            entry(Some("shardId-000000000001"), Some("17"), throttled),
            entry(None, None, None),
            entry(Some("shardId-000000000001"), None, None),
            entry(None, None, Some(("", "no code is no error"))),
        ]
        .map(|entry| entry.outcome(&mut errors));
        assert!(matches!(&outcomes[0], RecordOutcome::Stored { shard_id, .. }
            if shard_id.to_string() == "shardId-000000000001"));
        let RecordOutcome::Failed(error) = &outcomes[1] else { panic!("it has an error code") };
        assert_eq!(error.code().class(), ErrorClass::Throttled);
        assert_eq!(outcomes[1], outcomes[2], "an error code counts, whatever stands beside it");
        assert!(outcomes[3..].iter().all(|outcome| *outcome == RecordOutcome::Unknown), "{outcomes:?}");
    }

    #[test]
    fn a_page_of_html_says_nothing_about_what_was_stored() {
        let error = refused(503, None, "");
        assert!(error.is_outcome_unknown());
        assert_eq!(error.error().code().as_str(), "HttpStatus503");
    }
}
