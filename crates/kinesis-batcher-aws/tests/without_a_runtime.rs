//! The transport on an executor of a few lines, over an HTTP client that answers from a list: no tokio, no sockets.
#![allow(clippy::unwrap_used)]

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_smithy_async::rt::sleep::{AsyncSleep, SharedAsyncSleep, Sleep};
use aws_smithy_async::time::SystemTimeSource;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use futures::executor::block_on;
use kinesis_batcher_aws::{
    AwsTransport, ConnectError, Credentials, Region, SdkConfig, SharedCredentialsProvider, StreamDescription,
    StreamMode, Wire,
};
use kinesis_batcher_driver::{PutRecords, Record, RecordOutcome, Transport};

/// Answers each operation from a list; the last answer stays.
#[derive(Clone, Debug, Default)]
struct Service {
    answers: Arc<Mutex<HashMap<&'static str, VecDeque<String>>>>,
    calls: Arc<Mutex<Vec<(String, String)>>>,
    slept: Arc<Mutex<Duration>>,
}

impl Service {
    fn answer(self, operation: &'static str, body: impl Into<String>) -> Self {
        self.answers.lock().unwrap().entry(operation).or_default().push_back(body.into());
        self
    }

    fn calls_of(&self, operation: &str) -> usize {
        self.calls.lock().unwrap().iter().filter(|(called, _)| called == operation).count()
    }

    fn slept(&self) -> Duration {
        *self.slept.lock().unwrap()
    }

    fn config(&self) -> SdkConfig {
        let connector = SharedHttpConnector::new(self.clone());
        SdkConfig::builder()
            .region(Region::from_static("eu-west-1"))
            .credentials_provider(SharedCredentialsProvider::new(Credentials::for_tests()))
            .http_client(http_client_fn(move |_, _| connector.clone()))
            .sleep_impl(SharedAsyncSleep::new(self.clone()))
            .time_source(SystemTimeSource::new())
            .build()
    }

    fn connect(&self) -> Result<(AwsTransport, StreamDescription), ConnectError> {
        block_on(AwsTransport::connect(&self.config(), "clicks".parse().unwrap()))
    }
}

impl HttpConnector for Service {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap();
        let operation = target.rsplit('.').next().unwrap().to_owned();
        let body = String::from_utf8(request.body().bytes().unwrap().to_vec()).unwrap();
        let mut answers = self.answers.lock().unwrap();
        let answers = answers.get_mut(&*operation).unwrap_or_else(|| panic!("{operation} was not expected"));
        let answer = if answers.len() > 1 { answers.pop_front().unwrap() } else { answers[0].clone() };
        self.calls.lock().unwrap().push((operation, body));
        let status = if answer.contains("__type") { 400 } else { 200 };
        HttpConnectorFuture::ready(Ok(HttpResponse::new(status.try_into().unwrap(), SdkBody::from(answer))))
    }
}

/// Time passes at once, and is counted. The long sleeps are the SDK's time-outs, which do not come to pass.
impl AsyncSleep for Service {
    fn sleep(&self, duration: Duration) -> Sleep {
        if duration > Duration::from_secs(5) {
            return Sleep::new(std::future::pending());
        }
        *self.slept.lock().unwrap() += duration;
        Sleep::new(std::future::ready(()))
    }
}

fn summary(status: &str, more: &str) -> String {
    format!(
        r#"{{"StreamDescriptionSummary":{{"StreamName":"clicks","StreamARN":"arn","StreamStatus":"{status}",
        "RetentionPeriodHours":24,"StreamCreationTimestamp":1.0,"EnhancedMonitoring":[],"OpenShardCount":2{more}}}}}"#
    )
}

/// Two shards that divide the key space, or leave a gap between them.
fn shards(gap: u128) -> String {
    let middle = u128::MAX / 2;
    let shard = |number: u32, first: u128, last: u128| {
        format!(
            r#"{{"ShardId":"shardId-{number:012}","HashKeyRange":{{"StartingHashKey":"{first}","EndingHashKey":"{last}"}},
            "SequenceNumberRange":{{"StartingSequenceNumber":"1"}}}}"#
        )
    };
    format!(r#"{{"Shards":[{},{}]}}"#, shard(0, 0, middle - gap), shard(1, middle + 1, u128::MAX))
}

const DENIED: &str = r#"{"__type":"AccessDeniedException","Message":"User is not authorized"}"#;

#[test]
fn a_stream_is_described_with_its_mode_and_its_record_limit() {
    let more = r#","StreamModeDetails":{"StreamMode":"ON_DEMAND"},"MaxRecordSizeInKiB":4096"#;
    let service = Service::default()
        .answer("DescribeStreamSummary", summary("UPDATING", more))
        .answer("ListShards", shards(0));
    let (_, description) = service.connect().unwrap();
    assert_eq!(description.mode, Some(StreamMode::OnDemand));
    assert_eq!(description.shards.shards().len(), 2);
    assert_eq!(description.shards.record_bytes_max(), 4 << 20);
}

#[test]
fn a_stream_that_is_being_created_is_waited_for() {
    let service = Service::default()
        .answer("DescribeStreamSummary", summary("CREATING", ""))
        .answer("DescribeStreamSummary", summary("CREATING", ""))
        .answer("DescribeStreamSummary", summary("ACTIVE", ""))
        .answer("ListShards", shards(0));
    service.connect().unwrap();
    assert_eq!(service.slept(), Duration::from_secs(2));
}

#[test]
fn a_stream_that_is_never_created_is_not_waited_for_for_ever() {
    let service = Service::default().answer("DescribeStreamSummary", summary("CREATING", ""));
    let error = service.connect().unwrap_err();
    assert_eq!(error, ConnectError::BeingCreated { stream: "clicks".into() });
    assert_eq!(service.slept(), Duration::from_secs(30));
}

#[test]
fn a_stream_that_is_being_deleted_is_refused() {
    let service = Service::default().answer("DescribeStreamSummary", summary("DELETING", ""));
    assert_eq!(service.connect().unwrap_err(), ConnectError::BeingDeleted { stream: "clicks".into() });
}

#[test]
fn shards_that_do_not_fit_together_are_listed_again() {
    let service = Service::default()
        .answer("DescribeStreamSummary", summary("UPDATING", ""))
        .answer("ListShards", shards(5))
        .answer("ListShards", shards(0));
    assert_eq!(service.connect().unwrap().1.shards.shards().len(), 2);
    let service = Service::default()
        .answer("DescribeStreamSummary", summary("UPDATING", ""))
        .answer("ListShards", shards(5));
    assert!(matches!(service.connect().unwrap_err(), ConnectError::Shards { .. }));
    assert_eq!(service.calls_of("ListShards"), 3, "there is an end to it");
}

#[test]
fn a_listing_without_end_comes_to_one() {
    let endless = shards(0).replace("]}", r#"],"NextToken":"again"}"#);
    let service = Service::default()
        .answer("DescribeStreamSummary", summary("ACTIVE", ""))
        .answer("ListShards", endless);
    let error = service.connect().unwrap_err();
    assert!(matches!(error, ConnectError::Service { operation: "ListShards", .. }), "{error}");
}

// S-26
#[test]
fn without_both_permissions_the_message_names_them() {
    let service = Service::default().answer("DescribeStreamSummary", DENIED).answer("ListShards", DENIED);
    let message = service.connect().unwrap_err().to_string();
    assert!(message.contains("kinesis:DescribeStreamSummary and kinesis:ListShards"), "{message}");
    assert!(message.contains("User is not authorized"), "{message}");
}

// S-32
#[test]
fn records_go_out_as_the_api_wants_them_and_outcomes_come_back_in_order() {
    for wire in [Wire::Lean, Wire::Sdk] {
        records_go_out_and_outcomes_come_back(wire);
    }
}

fn records_go_out_and_outcomes_come_back(wire: Wire) {
    let service = Service::default()
        .answer("DescribeStreamSummary", summary("ACTIVE", ""))
        .answer("ListShards", shards(0))
        .answer(
            "PutRecords",
            r#"{"FailedRecordCount":0,"Records":[
            {"ShardId":"shardId-000000000001","SequenceNumber":"21"},
            {"ErrorCode":"InternalFailure","ErrorMessage":"Internal Service Failure"},
            {"ShardId":null,"SequenceNumber":null}]}"#,
        );
    let (transport, _) = service.connect().unwrap();
    let transport = transport.with_wire(wire);
    let record = |key: &str| Record::new(key, "hello").unwrap();
    let request = PutRecords::of_records([
        record("a"),
        record("b").with_explicit_hash_key(17.into()),
        Record::without_partition_key("").unwrap(),
    ]);
    let response = block_on(transport.put_records(&request.unwrap())).unwrap();
    assert!(matches!(response.outcomes[0], RecordOutcome::Stored { .. }));
    assert!(matches!(response.outcomes[1], RecordOutcome::Failed(_)));
    assert_eq!(response.outcomes[2], RecordOutcome::Unknown);
    let (_, body) = service.calls.lock().unwrap().last().unwrap().clone();
    assert!(body.contains(r#""StreamName":"clicks""#) && !body.contains("StreamARN"), "{body}");
    assert!(body.contains(r#""ExplicitHashKey":"17""#), "{body}");
    assert!(body.contains(r#""Data":"aGVsbG8=""#), "{body}");
    assert_eq!(body.matches("PartitionKey").count(), 2, "a record without a key has none: {body}");
}
