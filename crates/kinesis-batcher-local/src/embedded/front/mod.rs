//! What stands between HTTP and ferrokinesis, and answers where ferrokinesis differs from the service.
//!
//! | operation | what the front adds |
//! |---|---|
//! | UpdateShardCount | splits and merges, so that shards name their parents |
//! | SplitShard, MergeShards | closed shards are refused; in force when answered |
//! | ListShards | ShardFilter, NextToken, pages of 1,000 shards |
//! | GetRecords | ChildShards at the end of a closed shard, MillisBehindLatest, pages of 10 MiB |
//! | GetShardIterator | AT_TIMESTAMP with nothing newer is LATEST |
//! | PutRecord, PutRecords | their records become visible together |
//! | all but these two | StreamARN in place of StreamName; timestamps of CBOR in milliseconds |
//!
//! ferrokinesis judges headers and input of every request, also of those that the front answers.

mod get_records;
mod list_shards;
mod shard_iterator;
mod wire;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_LENGTH, HeaderValue};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use ferrokinesis::actions::Operation;
use ferrokinesis::constants::SERIALIZATION_EXCEPTION;
use serde_json::{Value, json};

use super::BODY_BYTES_MAX;
use super::emulator::{Emulator, Refusal, validated};
use wire::Format;

/// Answers a request, alone or with the help of ferrokinesis, which is `next`.
pub(super) async fn serve(State(emulator): State<Emulator>, request: Request, next: Next) -> Response {
    let Some((operation, format)) = call_of(&request) else { return next.run(request).await };
    let (parts, body) = request.into_parts();
    // Before anything is locked: a client may take its time to send it.
    let Ok(body) = to_bytes(body, BODY_BYTES_MAX).await else { return too_large(format) };
    let call = Call { emulator: &emulator, operation, format, parts, next };
    match operation {
        Operation::PutRecord | Operation::PutRecords => {
            let _order = emulator.order.write().await;
            call.forward(body).await
        }
        _ => match format.parse(&body) {
            Some(input) => call.answer(input).await,
            // ferrokinesis knows what to say to that.
            None => call.forward(body).await,
        },
    }
}

/// A request that is being answered.
struct Call<'a> {
    emulator: &'a Emulator,
    operation: Operation,
    format: Format,
    parts: Parts,
    next: Next,
}

impl Call<'_> {
    async fn answer(self, mut input: Value) -> Response {
        self.name_stream(&mut input);
        let emulator = self.emulator;
        match self.operation {
            Operation::UpdateShardCount => {
                let admission = json!({ "StreamName": input["StreamName"] });
                let operation = self.operation;
                self.instead(Operation::DescribeStreamSummary, &admission, async {
                    emulator.execute(operation, &input).await
                })
                .await
            }
            Operation::SplitShard | Operation::MergeShards => {
                let _order = emulator.order.write().await;
                if let Err(refusal) = emulator.refuse_closed_shards(&input).await
                    && validated(self.operation, &input).is_ok()
                {
                    let admission = json!({ "StreamName": input["StreamName"] });
                    let refuse = async { Err(refusal) };
                    return self.instead(Operation::DescribeStreamSummary, &admission, refuse).await;
                }
                let format = self.format;
                let reply = self.forward(format.write(&input)).await;
                emulator.wait_until_settled(input["StreamName"].as_str().unwrap_or_default()).await;
                reply
            }
            Operation::ListShards => {
                let _order = emulator.order.read().await;
                let (admission, about) = match list_shards::stream_name(&input) {
                    Value::Null => (Operation::ListStreams, json!({})),
                    name => (Operation::DescribeStreamSummary, json!({ "StreamName": name })),
                };
                self.instead(admission, &about, async { list_shards::answer(&emulator.store, &input).await })
                    .await
            }
            Operation::GetRecords => {
                let _order = emulator.order.read().await;
                let mut admission = input.clone();
                admission["Limit"] = match &input["Limit"] {
                    // One record is enough to be judged; what is out of range stays so.
                    Value::Number(limit)
                        if limit.as_u64().is_some_and(|limit| limit > 0 && limit <= 10_000) =>
                    {
                        1.into()
                    }
                    Value::Null => 1.into(),
                    other => other.clone(),
                };
                self.instead(Operation::GetRecords, &admission, async {
                    get_records::answer(&emulator.store, &input).await
                })
                .await
            }
            Operation::GetShardIterator => {
                let _order = emulator.order.read().await;
                shard_iterator::correct(&emulator.store, &mut input).await;
                self.pass(&input).await
            }
            _ => self.pass(&input).await,
        }
    }

    /// Puts the stream's name in the place of its ARN where ferrokinesis takes only the name.
    fn name_stream(&self, input: &mut Value) {
        let takes_name = self.operation.validation_rules().iter().any(|(field, _)| *field == "StreamName");
        let Some(members) = input.as_object_mut().filter(|_| takes_name) else { return };
        let given = |field: &str| members.get(field).is_some_and(|value| !value.is_null());
        if given("StreamName") || given("NextToken") {
            // The service takes the ARN beside these where they agree, and the KCL sends it.
            members.remove("StreamARN");
        } else if let Some(name) = members.get("StreamARN").and_then(Value::as_str).and_then(name_in_arn) {
            let name = name.to_owned();
            members.remove("StreamARN");
            members.insert("StreamName".to_owned(), name.into());
        }
    }

    /// Asks ferrokinesis for another operation first, and answers where that succeeds: its headers and its refusals are
    /// those of the service.
    async fn instead(
        mut self,
        admission: Operation,
        input: &Value,
        answer: impl Future<Output = Result<Value, Refusal>>,
    ) -> Response {
        let target = format!("Kinesis_20131202.{admission}");
        let (Ok(target), format) = (HeaderValue::from_str(&target), self.format) else {
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        };
        self.parts.headers.insert(TARGET, target);
        let reply = self.forward(format.write(input)).await;
        if reply.status() != StatusCode::OK {
            return reply;
        }
        let (mut parts, _) = reply.into_parts();
        let body = match answer.await {
            Ok(output) => format.write(&output),
            Err(refusal) => {
                parts.status =
                    StatusCode::from_u16(refusal.status_code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                if let Ok(code) = HeaderValue::from_str(&refusal.body.error_type) {
                    parts.headers.insert("x-amzn-ErrorType", code);
                }
                format.write(&json!({
                    "__type": refusal.body.error_type, "message": refusal.body.message.unwrap_or_default(),
                }))
            }
        };
        parts.headers.insert(CONTENT_LENGTH, body.len().into());
        Response::from_parts(parts, Body::from(body))
    }

    /// Lets ferrokinesis answer; in CBOR, with timestamps as the service has them.
    async fn pass(self, input: &Value) -> Response {
        let (format, operation) = (self.format, self.operation);
        let reply = self.forward(format.write_request(input)).await;
        let streams = operation == Operation::SubscribeToShard;
        if format == Format::Json || streams || reply.status() != StatusCode::OK {
            return reply;
        }
        let (mut parts, body) = reply.into_parts();
        let Ok(body) = to_bytes(body, usize::MAX).await else {
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        };
        let body = crate::cbor::to_json(&body).map_or(body, |output| format.write(&output));
        parts.headers.insert(CONTENT_LENGTH, body.len().into());
        Response::from_parts(parts, Body::from(body))
    }

    async fn forward(mut self, body: Bytes) -> Response {
        self.parts.headers.insert(CONTENT_LENGTH, body.len().into());
        self.next.run(Request::from_parts(self.parts, Body::from(body))).await
    }
}

/// What a request asks for, where it is one that the front has something to add to.
fn call_of(request: &Request) -> Option<(Operation, Format)> {
    if request.method() != Method::POST {
        return None;
    }
    let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
    let operation = header(TARGET)?.strip_prefix("Kinesis_20131202.")?.parse().ok()?;
    let format = Format::of(header("content-type")?)?;
    Some((operation, format))
}

fn name_in_arn(arn: &str) -> Option<&str> {
    arn.rsplit_once(":stream/").map(|(_, name)| name)
}

fn too_large(format: Format) -> Response {
    let body =
        format.write(&json!({ "__type": SERIALIZATION_EXCEPTION, "Message": "Request body is too large" }));
    (StatusCode::PAYLOAD_TOO_LARGE, [("content-type", format.content_type())], body).into_response()
}

const TARGET: &str = "x-amz-target";
