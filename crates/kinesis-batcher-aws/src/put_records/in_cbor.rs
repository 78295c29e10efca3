//! PutRecords in CBOR where the endpoint takes it, and in JSON where not.
//!
//! An old emulator or a proxy may not take CBOR, and no record may be lost to that. A request that was refused, and
//! perhaps for its encoding, was not stored: it is sent again at once in JSON, and the outcome of that counts. If it
//! succeeds where CBOR did not, CBOR is not tried again.

use std::sync::Arc;

use aws_smithy_runtime_api::client::identity::Identity;
use kinesis_batcher_driver::{ErrorClass, PutRecords, Response};

use super::call_error::CallError;
use super::direct::{Encoding, Template};
use super::{learn, repeat};
use crate::client::RenewableClient;
use crate::stream_id::StreamId;

pub(super) async fn put_records(
    client: &RenewableClient,
    template: &Arc<Template>,
    identity: &Identity,
    stream: &StreamId,
    request: &PutRecords,
) -> Result<Response, CallError> {
    let Some(attempt) = client.cbor().attempt() else {
        return repeat(client, template, identity, Encoding::Json, stream, request).await;
    };
    let error = match repeat(client, template, identity, Encoding::Cbor, stream, request).await {
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
    if !error.is_outcome_unknown() {
        attempt.says_nothing();
    }
    // An endpoint may fall over CBOR, too. An attempt that is dropped counts as failed.
    Err(error)
}

/// Whether JSON may fare better. Such a request was refused as a whole, so it can be sent again.
fn may_be_for_the_encoding(error: &CallError, is_trial: bool) -> bool {
    let CallError::Refused(refusal) = error else { return false };
    match refusal.status {
        _ if error.is_outcome_unknown() => false,
        // Too slow, too large, too many: JSON is larger still.
        408 | 413 | 429 => false,
        415 => true,
        400..500 => match refusal.code.as_deref() {
            // A page of a proxy or an empty body.
            None => true,
            Some(
                "SerializationException" | "UnknownOperationException" | "UnsupportedMediaTypeException",
            ) => true,
            // An emulator that takes the body for something else misses fields in it.
            Some(_) => {
                is_trial && matches!(refusal.error.class(), ErrorClass::Rejected | ErrorClass::Account)
            }
        },
        _ => false,
    }
}
