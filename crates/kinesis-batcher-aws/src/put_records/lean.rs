//! PutRecords through the SDK's orchestrator, with a body and a reading of the reply of our own.
//!
//! The orchestrator takes the serializer and the deserializer of an operation from its config. An interceptor puts ours
//! there, so that everything else is the generated operation's: endpoint, credentials, signature, user agent, time-outs.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::operation::put_records::{PutRecords as SdkPutRecords, PutRecordsOutput};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeSerializationInterceptorContextMut, BeforeTransmitInterceptorContextRef, Error, Input, Output,
};
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse, OrchestratorError};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::client::runtime_plugin::RuntimePlugin;
use aws_smithy_runtime_api::client::ser_de::{
    DeserializeResponse, SerializeRequest, SharedRequestSerializer, SharedResponseDeserializer,
};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::ConfigBag;
use aws_types::request_id::RequestId;
use kinesis_batcher_driver::{PutRecords, Response};

use super::call_error::CallError;
use super::direct::Template;
use super::json::{self, Scanner, body};
use super::reply::read_reply;
use super::transmission::Transmission;
use crate::client::TemplateKeeper;
use crate::stream_id::StreamId;

pub(super) async fn put_records(
    client: &Client,
    stream: &StreamId,
    request: &PutRecords,
) -> Result<Response, CallError> {
    let exchange = Exchange::new(body(stream, request), None);
    send(client, stream, &exchange).await
}

/// Sends the request, and keeps what it goes out with as soon as it does: others need not wait for its reply.
pub(super) async fn put_records_and_learn(
    client: &Client,
    keeper: &TemplateKeeper,
    stream: &StreamId,
    request: &PutRecords,
) -> Result<Response, CallError> {
    let exchange = Exchange::new(body(stream, request), Some(keeper.clone()));
    send(client, stream, &exchange).await
}

async fn send(client: &Client, stream: &StreamId, exchange: &Exchange) -> Result<Response, CallError> {
    let transmission = Transmission::default();
    client
        .put_records()
        // The endpoint is chosen by them; the body has them already.
        .set_stream_name(stream.stream_name())
        .set_stream_arn(stream.stream_arn())
        .set_records(Some(vec![]))
        .customize()
        .interceptor(exchange.clone())
        .interceptor(transmission.clone())
        .send()
        .await
        .map_err(|error| transmission.error(&error))?;
    Ok(exchange.lock().response.take().expect("the call succeeds only after its reply was read"))
}

/// One request and its reply, shared with the orchestrator that carries them.
#[derive(Clone)]
struct Exchange(Arc<Mutex<State>>);

struct State {
    body: Option<Vec<u8>>,
    response: Option<Response>,
    keeper: Option<TemplateKeeper>,
}

impl Exchange {
    fn new(body: Vec<u8>, keeper: Option<TemplateKeeper>) -> Self {
        Self(Arc::new(Mutex::new(State { body: Some(body), response: None, keeper })))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Payloads and keys stay out of logs.
impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Exchange(..)")
    }
}

#[dyn_dispatch_hint]
impl Intercept for Exchange {
    fn name(&self) -> &'static str {
        "LeanPutRecords"
    }

    fn modify_before_serialization(
        &self,
        _: &mut BeforeSerializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        config
            .interceptor_state()
            .store_put(SharedRequestSerializer::new(self.clone()))
            .store_put(SharedResponseDeserializer::new(self.clone()));
        Ok(())
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(keeper) = self.lock().keeper.take()
            && let Some(template) = Template::of(context.request(), components, config)
        {
            keeper.keep(template);
        }
        Ok(())
    }
}

impl SerializeRequest for Exchange {
    fn serialize_input(&self, _: Input, _: &mut ConfigBag) -> Result<HttpRequest, BoxError> {
        let body = self.lock().body.take().ok_or("a request is written once")?;
        let length = body.len();
        let mut request = HttpRequest::new(SdkBody::from(body));
        request.set_method("POST")?;
        request.set_uri("/")?;
        let headers = request.headers_mut();
        headers.insert("content-type", json::CONTENT_TYPE);
        headers.insert("content-length", length.to_string());
        headers.insert("x-amz-target", "Kinesis_20131202.PutRecords");
        Ok(request)
    }
}

impl DeserializeResponse for Exchange {
    fn deserialize_nonstreaming_with_config(
        &self,
        response: &HttpResponse,
        config: &ConfigBag,
    ) -> Result<Output, OrchestratorError<Error>> {
        if !response.status().is_success() {
            return deserialize_error(response, config);
        }
        let reply = response.body().bytes().ok_or_else(|| OrchestratorError::other("no body was loaded"))?;
        let read = read_reply(Scanner::new(reply), reply.len(), response.headers().request_id());
        self.lock().response = Some(read.map_err(OrchestratorError::other)?);
        let output = PutRecordsOutput::builder().set_records(Some(vec![])).build();
        Ok(Output::erase(output.expect("the records are set, and nothing else is required")))
    }
}

/// The error as the generated operation reads it, by which the orchestrator decides about the connection.
fn deserialize_error(
    response: &HttpResponse,
    config: &ConfigBag,
) -> Result<Output, OrchestratorError<Error>> {
    let generated = SdkPutRecords::new().config();
    let generated = generated.as_ref().and_then(|layer| layer.load::<SharedResponseDeserializer>());
    generated
        .ok_or_else(|| OrchestratorError::other("the operation has no deserializer"))?
        .deserialize_nonstreaming_with_config(response, config)
}
