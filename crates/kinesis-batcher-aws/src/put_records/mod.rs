//! PutRecords: the request out, the reply back, and what an error means.

mod body;
mod cbor;
mod direct;
mod entry;
mod in_cbor;
mod json;
mod lean;
mod reply;
mod scan;
mod sdk;
mod transmission;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_kinesis::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kinesis::operation::put_records::PutRecordsError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use kinesis_batcher_driver::{PutRecords, RequestError, Response, ServiceError};

use crate::client::RenewableClient;
use crate::error_chain::{deepest_message, find_in_chain, is_not_connected, one_line};
use crate::stream_id::StreamId;
use crate::wire::Wire;
use direct::Encoding;

pub(crate) use cbor::Acceptance;
pub(crate) use direct::Template;

/// Sends the request once.
pub(crate) async fn put_records(
    client: &RenewableClient,
    wire: Wire,
    stream: &StreamId,
    request: &PutRecords,
) -> Result<Response, RequestError> {
    let result = match wire {
        Wire::Sdk => sdk::put_records(&client.get(), stream, request).await,
        Wire::Lean => lean::put_records(&client.get(), stream, request).await,
        Wire::Direct | Wire::Cbor | Wire::CborToAws => match client.template() {
            None => learn(client, stream, request).await,
            Some(template) if wire == Wire::Cbor || wire == Wire::CborToAws && template.is_to_aws() => {
                in_cbor::put_records(client, template, stream, request).await
            }
            Some(template) => repeat(client, &template, Encoding::Json, stream, request).await,
        },
    };
    result.map_err(|error| request_error(&error))
}

/// Sends the request through the orchestrator, and keeps what it went out with.
async fn learn(
    client: &RenewableClient,
    stream: &StreamId,
    request: &PutRecords,
) -> Result<Response, SdkError<PutRecordsError, HttpResponse>> {
    let (current, keeper) = client.get_to_learn();
    let result = lean::put_records_and_learn(&current, keeper, stream, request).await;
    match result {
        Ok(_) => client.cbor().json_succeeded(),
        Err(_) => client.drop_template(),
    }
    result
}

/// Sends the request as the template went out.
async fn repeat(
    client: &RenewableClient,
    template: &Template,
    encoding: Encoding,
    stream: &StreamId,
    request: &PutRecords,
) -> Result<Response, SdkError<PutRecordsError, HttpResponse>> {
    let body = match encoding {
        Encoding::Json => json::body(stream, request).into(),
        Encoding::Cbor => cbor::body(stream, request),
    };
    let result = template.send(encoding, body).await;
    if result.is_err() {
        client.drop_template();
    }
    result
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

    #[test]
    fn a_page_of_html_says_nothing_about_what_was_stored() {
        let error = refused(503, None, "");
        assert!(error.is_outcome_unknown());
        assert_eq!(error.error().code().as_str(), "HttpStatus503");
    }
}
