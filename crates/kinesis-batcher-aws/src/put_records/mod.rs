//! PutRecords: the request out, the reply back, and what an error means.

mod body;
mod call_error;
mod cbor;
mod direct;
mod entry;
mod in_cbor;
mod json;
mod lean;
mod refusal;
mod reply;
mod scan;
mod sdk;
mod transmission;

use std::sync::Arc;

use aws_smithy_runtime_api::client::identity::Identity;
use kinesis_batcher_driver::{PutRecords, RequestError, Response};

use crate::client::RenewableClient;
use crate::stream_id::StreamId;
use crate::wire::Wire;
use call_error::CallError;
use direct::Encoding;

pub(crate) use cbor::Acceptance;
pub(crate) use direct::Template;
pub(crate) use refusal::{REFUSED_GAP, Refusal};

/// Sends the request once. Credentials that are refused are loaded again by the next one.
pub(crate) async fn put_records(
    client: &RenewableClient,
    wire: Wire,
    stream: &StreamId,
    request: &PutRecords,
) -> Result<Response, RequestError> {
    let renewals = client.renewals();
    let result = match wire {
        Wire::Sdk => sdk::put_records(&client.get(), stream, request).await,
        Wire::Lean => lean::put_records(&client.get(), stream, request).await,
        Wire::Direct | Wire::Cbor | Wire::CborToAws => direct(client, wire, stream, request).await,
    };
    result.map_err(|error| {
        if let CallError::Refused(refusal) = &error
            && let Some(gap) = refusal.reload_gap()
        {
            client.forget_credentials(renewals, gap, refusal.error.error());
        }
        error.into()
    })
}

/// Past the orchestrator, if a request of the same credentials went through it before.
async fn direct(
    client: &RenewableClient,
    wire: Wire,
    stream: &StreamId,
    request: &PutRecords,
) -> Result<Response, CallError> {
    let Some(template) = client.template() else { return learn(client, stream, request).await };
    let identity = template.identity().await?;
    if !template.is_of(&identity) {
        client.drop_template(&template);
        return learn(client, stream, request).await;
    }
    if wire == Wire::Cbor || wire == Wire::CborToAws && template.is_to_aws() {
        return in_cbor::put_records(client, &template, &identity, stream, request).await;
    }
    repeat(client, &template, &identity, Encoding::Json, stream, request).await
}

/// Sends the request through the orchestrator, and keeps what it went out with.
async fn learn(
    client: &RenewableClient,
    stream: &StreamId,
    request: &PutRecords,
) -> Result<Response, CallError> {
    let (current, keeper) = client.get_to_learn();
    let result = lean::put_records_and_learn(&current, &keeper, stream, request).await;
    match result {
        Ok(_) => client.cbor().json_succeeded(),
        Err(_) => keeper.drop_kept(),
    }
    result
}

/// Sends the request as the template went out.
async fn repeat(
    client: &RenewableClient,
    template: &Arc<Template>,
    identity: &Identity,
    encoding: Encoding,
    stream: &StreamId,
    request: &PutRecords,
) -> Result<Response, CallError> {
    let body = match encoding {
        Encoding::Json => json::body(stream, request).into(),
        Encoding::Cbor => cbor::body(stream, request),
    };
    let result = template.send(client.clock(), identity, encoding, body).await;
    if result.is_err() {
        client.drop_template(template);
    }
    result
}
