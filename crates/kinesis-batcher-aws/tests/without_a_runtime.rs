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
    AwsTransport, ConnectError, ConnectOptions, Credentials, RecordDistribution, Region, SdkConfig,
    SharedCredentialsProvider, StreamDescription, StreamMode, Wire,
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
        self.connect_with(ConnectOptions::default())
    }

    fn connect_with(
        &self,
        options: ConnectOptions,
    ) -> Result<(AwsTransport, StreamDescription), ConnectError> {
        block_on(AwsTransport::connect(&self.config(), "clicks".parse().unwrap(), options))
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
        let status = match &*answer {
            "" => 503,
            answer if answer.contains("__type") => 400,
            _ => 200,
        };
        HttpConnectorFuture::ready(Ok(HttpResponse::new(status.try_into().unwrap(), SdkBody::from(answer))))
    }
}

/// Time passes at once, and is counted when it is waited for. The long sleeps are the SDK's time-outs, which do not come
/// to pass; the short ones among them are dropped before they are waited for.
impl AsyncSleep for Service {
    fn sleep(&self, duration: Duration) -> Sleep {
        if duration > Duration::from_secs(5) {
            return Sleep::new(std::future::pending());
        }
        let slept = Arc::clone(&self.slept);
        Sleep::new(async move { *slept.lock().unwrap() += duration })
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
const THROTTLED: &str = r#"{"__type":"LimitExceededException","Message":"Rate exceeded"}"#;
/// The page of a proxy with status 503.
const OUT_OF_ORDER: &str = "";
const AUTO: &str = r#","RecordDistributionStrategy":"AUTO""#;

fn aggregating() -> ConnectOptions {
    ConnectOptions::default().aggregation(true)
}

#[test]
fn aggregation_is_refused_where_the_distribution_is_unknown_and_the_remedies_are_named() {
    let service = Service::default().answer("DescribeStreamSummary", DENIED).answer("ListShards", shards(0));
    let error = service.connect_with(aggregating()).unwrap_err();
    assert!(matches!(error, ConnectError::UnknownDistribution { .. }), "{error}");
    for part in ["kinesis:DescribeStreamSummary", "record_distribution", "--record-distribution", "clicks"] {
        assert!(error.to_string().contains(part), "{part}: {error}");
    }
    assert!(service.connect().is_ok(), "without aggregation it does not matter");
}

#[test]
fn a_distribution_that_is_stated_by_hand_is_used_where_the_summary_is_denied() {
    let service = Service::default().answer("DescribeStreamSummary", DENIED).answer("ListShards", shards(0));
    let stated = |distribution| service.connect_with(aggregating().record_distribution(distribution));
    let (_, by_key) = stated(RecordDistribution::PartitionKey).unwrap();
    assert_eq!((by_key.shards.is_auto(), by_key.shards.shards().len()), (false, 2));
    let (_, auto) = stated(RecordDistribution::Auto).unwrap();
    assert_eq!((auto.shards.is_auto(), auto.shards.open_shards()), (true, 2));
}

#[test]
fn the_services_word_on_the_distribution_beats_the_users() {
    let service = Service::default().answer("DescribeStreamSummary", summary("ACTIVE", AUTO));
    let stated = aggregating().record_distribution(RecordDistribution::PartitionKey);
    assert!(service.connect_with(stated).unwrap().1.shards.is_auto());
}

#[test]
fn a_summary_that_is_denied_later_leaves_distribution_and_record_limit_as_they_were() {
    let more = format!(r#"{AUTO},"MaxRecordSizeInKiB":4096"#);
    let service = Service::default()
        .answer("DescribeStreamSummary", summary("ACTIVE", &more))
        .answer("DescribeStreamSummary", DENIED)
        .answer("ListShards", shards(0));
    let (transport, _) = service.connect_with(aggregating()).unwrap();
    for _ in 0..3 {
        let later = block_on(transport.describe_stream()).unwrap().shards;
        assert!(later.is_auto());
        assert_eq!(later.record_bytes_max(), 4 << 20);
    }
}

#[test]
fn a_throttled_summary_is_asked_for_until_it_comes_where_aggregation_needs_it() {
    let mut service = Service::default();
    for _ in 0..12 {
        service = service.answer("DescribeStreamSummary", THROTTLED);
    }
    let service =
        service.answer("DescribeStreamSummary", summary("ACTIVE", AUTO)).answer("ListShards", shards(0));
    let connected = service.connect_with(aggregating().timeout(Duration::from_secs(3_600)));
    assert!(connected.unwrap().1.shards.is_auto());
    assert_eq!(service.calls_of("DescribeStreamSummary"), 13);
}

#[test]
fn without_aggregation_the_list_of_shards_is_enough_to_start_and_the_summary_comes_later() {
    for passing in [THROTTLED, OUT_OF_ORDER] {
        let service = Service::default()
            .answer("DescribeStreamSummary", passing)
            .answer("DescribeStreamSummary", passing)
            .answer("DescribeStreamSummary", passing)
            .answer("DescribeStreamSummary", summary("ACTIVE", r#","MaxRecordSizeInKiB":4096"#))
            .answer("ListShards", shards(0));
        let (transport, description) = service.connect().unwrap();
        assert_eq!(service.calls_of("DescribeStreamSummary"), 3);
        assert_eq!((description.shards.shards().len(), description.mode), (2, None));
        let later = block_on(transport.describe_stream()).unwrap();
        assert_eq!(later.shards.record_bytes_max(), 4 << 20);
    }
}

#[test]
fn a_failure_that_does_not_pass_ends_with_the_time_out_and_names_the_last_cause() {
    let service =
        Service::default().answer("DescribeStreamSummary", THROTTLED).answer("ListShards", OUT_OF_ORDER);
    let error = service.connect_with(ConnectOptions::default().timeout(Duration::from_secs(20))).unwrap_err();
    assert!(
        matches!(&error, ConnectError::TimedOut { error, .. } if matches!(**error, ConnectError::Unavailable { .. }))
    );
    let message = error.to_string();
    for part in ["https://kinesis.eu-west-1.amazonaws.com", "503", "gave up after", "in 20 s"] {
        assert!(message.contains(part), "{part}: {message}");
    }
    assert!(service.slept() <= Duration::from_secs(20), "{:?}", service.slept());
    assert!(service.calls_of("ListShards") > 5, "it was patient");
}

#[test]
fn a_stream_that_is_missing_or_denied_is_an_error_at_once() {
    let missing = r#"{"__type":"ResourceNotFoundException","Message":"Stream clicks not found"}"#;
    for refusal in [missing, r#"{"__type":"UnrecognizedClientException"}"#] {
        let service = Service::default().answer("DescribeStreamSummary", refusal);
        assert!(service.connect().is_err());
        assert_eq!((service.calls_of("DescribeStreamSummary"), service.slept()), (1, Duration::ZERO));
    }
}

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
