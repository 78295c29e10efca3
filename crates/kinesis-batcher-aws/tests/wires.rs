//! All ways over the wire send the same requests and make the same of the same replies.
#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_smithy_async::rt::sleep::{AsyncSleep, SharedAsyncSleep, Sleep};
use aws_smithy_async::time::StaticTimeSource;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use futures::executor::block_on;
use kinesis_batcher_aws::{
    AwsTransport, Credentials, Region, SdkConfig, SharedCredentialsProvider, StreamId, Wire,
};
use kinesis_batcher_driver::{PutRecords, Record, RecordOutcome, RequestError, Response, Transport};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

/// The wires that must do as the SDK's own does.
const OTHERS: [Wire; 2] = [Wire::Lean, Wire::Direct];

/// Answers requests with a reply, and keeps the last request.
#[derive(Clone, Debug)]
struct Service {
    reply: Reply,
    /// Whether to answer with that reply already, or with one that all wires read.
    begun: Arc<AtomicBool>,
    last: Arc<Mutex<Option<Sent>>>,
}

#[derive(Clone, Debug)]
struct Reply {
    status: u16,
    headers: Vec<(&'static str, &'static str)>,
    body: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq)]
struct Sent {
    uri: String,
    /// The number that the orchestrator gives each request.
    is_numbered: bool,
    /// Without those that differ from call to call.
    headers: Vec<(String, String)>,
    body: serde_json::Value,
}

impl Service {
    fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self::answering(Reply { status, headers: vec![], body: body.into() })
    }

    fn answering(reply: Reply) -> Self {
        Self { reply, begun: Arc::default(), last: Arc::default() }
    }

    fn transport(&self, wire: Wire, stream: StreamId) -> AwsTransport {
        let connector = SharedHttpConnector::new(self.clone());
        let config = SdkConfig::builder()
            .region(Region::from_static("eu-west-1"))
            .credentials_provider(SharedCredentialsProvider::new(Credentials::for_tests()))
            .http_client(http_client_fn(move |_, _| connector.clone()))
            .sleep_impl(SharedAsyncSleep::new(Never))
            .time_source(StaticTimeSource::from_secs(1_767_225_600))
            .build();
        AwsTransport::new(&config, stream).unwrap().with_wire(wire)
    }

    fn outcome(&self, wire: Wire) -> Result<Response, RequestError> {
        let request = PutRecords::of_records([Record::new("k", "v").unwrap()]).unwrap();
        self.send(wire, "clicks".parse().unwrap(), &request)
    }

    /// Sends the request twice, for one wire learns from the first; what comes of the second counts.
    fn send(&self, wire: Wire, stream: StreamId, request: &PutRecords) -> Result<Response, RequestError> {
        let transport = self.transport(wire, stream);
        self.begun.store(false, Ordering::Relaxed);
        block_on(transport.put_records(request)).unwrap();
        self.begun.store(true, Ordering::Relaxed);
        block_on(transport.put_records(request))
    }
}

impl HttpConnector for Service {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        const OF_EACH_CALL: [&str; 3] = ["authorization", "amz-sdk-invocation-id", "content-length"];
        let body = request.body().bytes().unwrap();
        assert_eq!(request.headers().get("content-length").unwrap(), body.len().to_string());
        let is_numbered = request.headers().get("amz-sdk-invocation-id").is_some();
        let headers = request.headers().iter().filter(|(name, _)| !OF_EACH_CALL.contains(name));
        let mut headers: Vec<_> = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        headers.sort();
        let body = serde_json::from_slice(body).unwrap();
        *self.last.lock().unwrap() = Some(Sent { uri: request.uri().to_owned(), is_numbered, headers, body });
        if !self.begun.load(Ordering::Relaxed) {
            let good = HttpResponse::new(200.try_into().unwrap(), SdkBody::from(r#"{"Records":[]}"#));
            return HttpConnectorFuture::ready(Ok(good));
        }
        let reply = &self.reply;
        let mut response =
            HttpResponse::new(reply.status.try_into().unwrap(), SdkBody::from(reply.body.clone()));
        for (name, value) in &reply.headers {
            response.headers_mut().insert(*name, *value);
        }
        HttpConnectorFuture::ready(Ok(response))
    }
}

#[derive(Debug)]
struct Never;

impl AsyncSleep for Never {
    fn sleep(&self, _: Duration) -> Sleep {
        Sleep::new(std::future::pending())
    }
}

/// What was read, or what the failure means; the words of a message are each wire's own.
fn meaning(outcome: Result<Response, RequestError>) -> Result<Vec<RecordOutcome>, (String, String, bool)> {
    outcome.map(|response| response.outcomes).map_err(|error| {
        (format!("{:?}", error.class()), error.error().code().to_string(), error.is_outcome_unknown())
    })
}

fn assert_all_read_alike(reply: &[u8]) {
    let service = Service::new(200, reply);
    let expected = meaning(service.outcome(Wire::Sdk));
    for wire in OTHERS {
        let text = String::from_utf8_lossy(reply);
        assert_eq!(meaning(service.outcome(wire)), expected, "{wire:?} reads {text} otherwise than the SDK");
    }
}

/// The JSON text of a string: plain, escaped, beyond the basic plane, half of a pair, and what is no escape.
fn string() -> impl Strategy<Value = String> {
    let usual = prop_oneof![
        Just("shardId-000000000007".to_owned()),
        "[1-9][0-9]{55}",
        "[0-9]{1,60}",
        Just("ProvisionedThroughputExceededException".to_owned()),
        Just(String::new()),
    ];
    let part = prop_oneof![
        4 => "[a-zA-Z0-9 é😀\u{7f}\t]{0,4}",
        2 => select(vec![r#"\""#, r"\\", r"\/", r"\b", r"\f", r"\n", r"\r", r"\t", r"\u0041", r"\u00e9", r"\u0000"])
            .prop_map(str::to_owned),
        1 => select(vec![r"\ud83d\ude00", r"\uD83D\uDE00", r"\ud800", r"\udc00", r"\ud83dx", r"\ud83d\u0041", r"\u12", r"\x"])
            .prop_map(str::to_owned),
    ];
    prop_oneof![3 => usual, 1 => vec(part, 0..4).prop_map(|parts| parts.concat())]
        .prop_map(|text| format!("\"{text}\""))
}

fn number() -> impl Strategy<Value = String> {
    let odd = [
        "0",
        "-0",
        "1e400",
        "-1.5E-3",
        "1E+2",
        "123456789012345678901234567890",
        "0.10",
        "01",
        "1.",
        ".5",
        "-",
        "1e",
        "+1",
        "NaN",
        "0x1",
    ];
    prop_oneof![any::<i64>().prop_map(|number| number.to_string()), select(odd.map(str::to_owned).to_vec())]
}

/// Any value, or what is nearly one.
fn value() -> impl Strategy<Value = String> {
    let literal = select(["null", "true", "false", "nul", "nullx", "True", ""].map(str::to_owned).to_vec());
    let leaf = prop_oneof![3 => string(), 1 => number(), 1 => literal];
    leaf.prop_recursive(4, 16, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(|values| format!("[{}]", values.join(","))),
            vec((string(), inner), 0..4).prop_map(object),
        ]
    })
}

fn object(fields: Vec<(String, String)>) -> String {
    let fields: Vec<String> = fields.into_iter().map(|(name, value)| format!("{name}:{value}")).collect();
    format!("{{{}}}", fields.join(","))
}

fn field_of_an_entry() -> impl Strategy<Value = (String, String)> {
    let known =
        select(vec!["SequenceNumber", "ShardId", "ErrorCode", "ErrorMessage", r"Shard\u0049d", "shardId"]);
    let known = known.prop_map(|name| format!("\"{name}\""));
    prop_oneof![
        12 => (known.clone(), string()),
        2 => (known.clone(), Just("null".to_owned())),
        1 => (known, value()),
        1 => (string(), value()),
    ]
}

fn entry() -> impl Strategy<Value = String> {
    let stored = "[1-9][0-9]{55}"
        .prop_map(|number| format!(r#"{{"SequenceNumber":"{number}","ShardId":"shardId-000000000001"}}"#));
    prop_oneof![10 => stored, 10 => vec(field_of_an_entry(), 0..6).prop_map(object), 1 => value()]
}

/// A reply, or nearly one, without the fields that only the SDK looks at.
fn reply() -> impl Strategy<Value = String> {
    let entries =
        vec(entry(), 0..5).prop_map(|entries| ("\"Records\"".to_owned(), format!("[{}]", entries.join(","))));
    let other = (prop_oneof![string(), Just("\"Records\"".to_owned())], value());
    vec(prop_oneof![3 => entries, 1 => other], 0..3).prop_map(object)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn replies_are_read_alike(reply in reply(), space in select(vec!["", " ", "\r\n\t"])) {
        let spaced = reply.replace("\":", &format!("\"{space}:{space}")).replace("},{", &format!("}}{space},{space}{{"));
        assert_all_read_alike(format!("{space}{spaced}{space}").as_bytes());
    }

    #[test]
    fn damaged_replies_are_read_alike(
        reply in reply(),
        cut in option::of(any::<prop::sample::Index>()),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        more in select(vec!["", "x", "{}", ",", "\0"]),
    ) {
        let mut reply = reply.into_bytes();
        for (at, byte) in damage {
            let at = at.index(reply.len());
            reply[at] = byte;
        }
        if let Some(cut) = cut {
            reply.truncate(cut.index(reply.len()));
        }
        reply.extend_from_slice(more.as_bytes());
        assert_all_read_alike(&reply);
    }

    #[test]
    fn requests_are_the_same_json_under_the_same_headers(
        records in vec((".{1,40}|[ -~]{1,256}", vec(any::<u8>(), 0..70), option::of(any::<u128>())), 1..6),
        keyless in vec(vec(any::<u8>(), 0..9), 0..2),
        stream in select(vec!["clicks", "arn:aws:kinesis:eu-west-1:123456789012:stream/clicks"]),
    ) {
        let keyed = records.into_iter().map(|(key, data, explicit)| {
            let record = Record::new(key, data).unwrap();
            explicit.map_or(record.clone(), |key| record.with_explicit_hash_key(key.into()))
        });
        let keyless = keyless.into_iter().map(|data| Record::without_partition_key(data).unwrap());
        let request = PutRecords::of_records(keyed.chain(keyless)).unwrap();
        let sent = |wire| {
            let service = Service::new(200, r#"{"Records":[]}"#);
            service.send(wire, stream.parse().unwrap(), &request).unwrap();
            let sent = service.last.lock().unwrap().take().unwrap();
            assert_eq!(sent.is_numbered, wire != Wire::Direct, "{wire:?} goes past the orchestrator, or not");
            (sent.uri, sent.headers, sent.body)
        };
        let expected = sent(Wire::Sdk);
        for wire in OTHERS {
            prop_assert_eq!(sent(wire), expected.clone());
        }
    }
}

#[test]
fn the_generated_replies_are_neither_all_readable_nor_all_broken() {
    let mut runner = TestRunner::deterministic();
    let replies = (0..400).map(|_| reply().new_tree(&mut runner).unwrap().current());
    let readable = replies.filter(|reply| Service::new(200, &**reply).outcome(Wire::Sdk).is_ok()).count();
    assert!((80..320).contains(&readable), "{readable} of 400 can be read");
}

#[test]
fn a_reply_may_be_nested_as_deep_as_the_sdk_reads_and_no_deeper() {
    for depth in [10, 125, 126, 127, 128, 129, 100_000] {
        let (open, close) = ("[".repeat(depth), "]".repeat(depth));
        assert_all_read_alike(format!(r#"{{"Unknown":{open}{close},"Records":[]}}"#).as_bytes());
        assert_all_read_alike(format!(r#"{{"Records":[{{"Unknown":{open}{close}}}]}}"#).as_bytes());
        assert_all_read_alike(format!(r#"{{"Records":{open}{close}}}"#).as_bytes());
    }
}

#[test]
fn odd_replies_are_read_alike() {
    let cases: [&[u8]; 14] = [
        b"",
        b" \n",
        b"null",
        b"[]",
        b"{}",
        b"<html>",
        br#"{"Records":null}"#,
        br#"{"Records":[null]}"#,
        br#"{"Records":[{}],"Records":null}"#,
        br#"{"Records":[{},{}],"Records":[{"ShardId":"a","SequenceNumber":"1","ShardId":"b","SequenceNumber":null}]}"#,
        b"{\"Records\":[{\"ErrorCode\":\"\xff\"}]}",
        b"{\"Unknown\":\"\xff\",\"Records\":[{\"ShardId\":\"\xc3\xa9\",\"SequenceNumber\":\"1\"}]}",
        b"{\"\xff\":1,\"Records\":[]}",
        b"{\"Unknown\":{\"\xff\":1},\"Records\":[]}",
    ];
    for reply in cases {
        assert_all_read_alike(reply);
    }
}

#[test]
fn nonsense_in_a_field_that_nobody_needs_is_no_reason_to_doubt_what_was_stored() {
    let entry = r#"{"ShardId":"shardId-000000000001","SequenceNumber":"21"}"#;
    for field in [r#""FailedRecordCount":"none""#, r#""FailedRecordCount":1e99"#, r#""EncryptionType":7"#] {
        let service = Service::new(200, format!(r#"{{{field},"Records":[{entry}]}}"#));
        assert!(service.outcome(Wire::Sdk).unwrap_err().is_outcome_unknown(), "the SDK refuses {field}");
        for wire in OTHERS {
            let outcomes = service.outcome(wire).unwrap().outcomes;
            assert!(matches!(outcomes[..], [RecordOutcome::Stored { .. }]), "{field}: {outcomes:?}");
        }
    }
    for count in ["0", "1", "2", "-7", "null"] {
        assert_all_read_alike(format!(r#"{{"FailedRecordCount":{count},"Records":[{entry}]}}"#).as_bytes());
    }
}

#[test]
fn refusals_mean_the_same() {
    let statuses = [201, 204, 301, 400, 403, 404, 413, 429, 500, 502, 503];
    let bodies = [
        r#"{"__type":"ProvisionedThroughputExceededException","message":"Rate exceeded"}"#,
        r#"{"__type":"com.amazonaws.kinesis.v20131202#AccessDeniedException","Message":"no"}"#,
        r#"{"__type":"ExpiredTokenException","message":"The security token is expired"}"#,
        r#"{"__type":"ValidationException","message":"1 validation error\ndetected"}"#,
        r#"{"__type":"ValidationException","message":5}"#,
        r#"{"__type":"AccessDeniedException","message":5}"#,
        r#"{"__type":"ResourceNotFoundException"}"#,
        r#"{"code":"ThrottlingException","__type":"InternalFailure"}"#,
        r#"{"__type":7}"#,
        r#"{"message":"no code"}"#,
        "<html><body>503 Service Unavailable</body></html>",
        "{",
        "",
    ];
    let headers = [vec![], vec![("x-amzn-errortype", "KMSThrottlingException:http://internal/")]];
    for status in statuses {
        for body in bodies {
            for headers in &headers {
                let reply = Reply { status, headers: headers.clone(), body: body.into() };
                let service = Service::answering(reply);
                let expected = service.outcome(Wire::Sdk);
                for wire in OTHERS {
                    let outcome = service.outcome(wire);
                    if (200..300).contains(&status) {
                        assert_eq!(
                            meaning(outcome),
                            meaning(expected.clone()),
                            "{status} {body} by {wire:?}"
                        );
                    } else {
                        assert_eq!(outcome, expected, "{status} {body} by {wire:?}");
                    }
                }
            }
        }
    }
}
