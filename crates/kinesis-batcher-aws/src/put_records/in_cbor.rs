//! PutRecords in CBOR where the endpoint takes it, and in JSON where not.
//!
//! Nobody who points this at an old emulator or through a proxy shall lose anything. A request that was refused, and
//! perhaps for its encoding, was not stored: it is sent again at once in JSON, and what comes of that is what the caller is
//! told. If that succeeds where CBOR did not, CBOR is not tried again.

use std::sync::Arc;

use aws_sdk_kinesis::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kinesis::operation::put_records::PutRecordsError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use kinesis_batcher_driver::{ErrorClass, PutRecords, Response};

use super::direct::{Encoding, Template};
use super::{learn, repeat, request_error};
use crate::client::RenewableClient;
use crate::stream_id::StreamId;

pub(super) async fn put_records(
    client: &RenewableClient,
    template: Arc<Template>,
    stream: &StreamId,
    request: &PutRecords,
) -> Result<Response, SdkError<PutRecordsError, HttpResponse>> {
    let Some(attempt) = client.cbor().attempt() else {
        return repeat(client, &template, Encoding::Json, stream, request).await;
    };
    let error = match repeat(client, &template, Encoding::Cbor, stream, request).await {
        Ok(response) => {
            attempt.succeeded();
            return Ok(response);
        }
        Err(error) => error,
    };
    if may_be_for_the_encoding(&error, attempt.is_trial()) {
        let result = learn(client, stream, request).await;
        if result.is_ok() {
            attempt.refused();
        } else {
            attempt.says_nothing();
        }
        return result;
    }
    if !request_error(&error).is_outcome_unknown() {
        attempt.says_nothing();
    }
    // An endpoint may fall over CBOR, too. The attempt is dropped without a word, which is held against it.
    Err(error)
}

/// Whether JSON may fare better. Such a request was refused as a whole, so it can be sent again.
fn may_be_for_the_encoding(error: &SdkError<PutRecordsError, HttpResponse>, is_trial: bool) -> bool {
    let Some(status) = error.raw_response().map(|response| response.status().as_u16()) else { return false };
    let refusal = request_error(error);
    let code = error.as_service_error().and_then(ProvideErrorMetadata::code);
    match status {
        _ if refusal.is_outcome_unknown() => false,
        // Too slow, too large, too many: JSON is larger still.
        408 | 413 | 429 => false,
        415 => true,
        400..500 => match code {
            // A page of a proxy or an empty body.
            None => true,
            Some(
                "SerializationException" | "UnknownOperationException" | "UnsupportedMediaTypeException",
            ) => true,
            // An emulator that takes the body for something else misses fields in it.
            Some(_) => is_trial && matches!(refusal.class(), ErrorClass::Rejected | ErrorClass::Account),
        },
        _ => false,
    }
}
