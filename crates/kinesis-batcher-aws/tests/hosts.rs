//! The hosts that calls go to, beside the table of docs/AWS_SETTINGS.md that firewalls are configured by.
#![allow(clippy::unwrap_used)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_credential_types::provider::future;
use aws_smithy_async::rt::sleep::{AsyncSleep, SharedAsyncSleep, Sleep};
use aws_smithy_async::time::SystemTimeSource;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use aws_types::endpoint_config::AccountIdEndpointMode;
use futures::executor::block_on;
use kinesis_batcher_aws::{
    AwsTransport, ConnectOptions, Credentials, ProvideCredentials, Region, SdkConfig,
    SharedCredentialsProvider, Wire,
};
use kinesis_batcher_driver::{PutRecords, Record, Transport};

const DOCUMENT: &str = include_str!("../../../docs/AWS_SETTINGS.md");

/// Answers as the service does, and keeps the host of each call.
#[derive(Clone, Debug, Default)]
struct Service {
    calls: Arc<Mutex<Vec<(String, String)>>>,
}

impl HttpConnector for Service {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let operation = request.headers().get("x-amz-target").unwrap().rsplit('.').next().unwrap().to_owned();
        let host = request.uri().strip_prefix("https://").unwrap().trim_end_matches('/').to_owned();
        let answer = match &*operation {
            "DescribeStreamSummary" => {
                r#"{"StreamDescriptionSummary":{"StreamName":"clicks","StreamARN":"arn","StreamStatus":"ACTIVE",
                "RetentionPeriodHours":24,"StreamCreationTimestamp":1.0,"EnhancedMonitoring":[],"OpenShardCount":1}}"#
            }
            "ListShards" => {
                r#"{"Shards":[{"ShardId":"shardId-000000000000","HashKeyRange":{"StartingHashKey":"0",
                "EndingHashKey":"340282366920938463463374607431768211455"},
                "SequenceNumberRange":{"StartingSequenceNumber":"1"}}]}"#
            }
            _ => r#"{"Records":[{"ShardId":"shardId-000000000000","SequenceNumber":"1"}]}"#,
        };
        self.calls.lock().unwrap().push((operation, host));
        HttpConnectorFuture::ready(Ok(HttpResponse::new(200.try_into().unwrap(), SdkBody::from(answer))))
    }
}

#[derive(Debug)]
struct Never;

impl AsyncSleep for Never {
    fn sleep(&self, _: Duration) -> Sleep {
        Sleep::new(std::future::pending())
    }
}

/// A row of the document's table.
struct Row<'a> {
    text: &'a str,
    cells: Vec<&'a str>,
}

fn rows() -> Vec<Row<'static>> {
    let lines = DOCUMENT.lines().filter(|line| line.starts_with("| name |") || line.starts_with("| ARN |"));
    lines
        .map(|text| Row {
            text,
            cells: text.trim_matches('|').split('|').map(|cell| cell.trim().trim_matches('`')).collect(),
        })
        .collect()
}

/// The calls of a connection and one PutRecords, each with its host.
fn hosts(stream: &str, account_id: &str, fips: bool, dual_stack: bool) -> Vec<(String, String)> {
    let service = Service::default();
    let connector = SharedHttpConnector::new(service.clone());
    let mut credentials =
        Credentials::builder().access_key_id("AKID").secret_access_key("s").provider_name("t");
    if account_id != "no" {
        credentials = credentials.account_id("111122223333");
    }
    let mut config = SdkConfig::builder()
        .region(Region::from_static("eu-west-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials.build()))
        .http_client(http_client_fn(move |_, _| connector.clone()))
        .sleep_impl(SharedAsyncSleep::new(Never))
        .time_source(SystemTimeSource::new())
        .use_fips(fips)
        .use_dual_stack(dual_stack);
    if account_id == "mode disabled" {
        config = config.account_id_endpoint_mode(AccountIdEndpointMode::Disabled);
    }
    let connected =
        block_on(AwsTransport::connect(&config.build(), stream.parse().unwrap(), ConnectOptions::default()));
    let request = PutRecords::of_records([Record::new("k", "v").unwrap()]).unwrap();
    block_on(connected.unwrap().0.put_records(&request)).unwrap();
    service.calls.lock().unwrap().clone()
}

#[test]
fn calls_go_to_the_hosts_that_the_document_lists() {
    let rows = rows();
    assert_eq!(rows.len(), 16, "the table has a row for each case");
    for Row { text, cells } in rows {
        let [stream, account_id, fips, dual_stack, data, control] = cells[..] else { panic!("{text}") };
        let stream = match stream {
            "name" => "clicks",
            _ => "arn:aws:kinesis:eu-west-1:444455556666:stream/clicks",
        };
        let calls = hosts(stream, account_id, fips == "yes", dual_stack == "yes");
        let expected = |host: &str| {
            host.replace("REGION", "eu-west-1")
                .replace("ACCOUNT", "111122223333")
                .replace("OWNER", "444455556666")
        };
        for (operation, host) in calls {
            let documented = if operation == "PutRecords" { data } else { control };
            assert_eq!(host, expected(documented), "{operation} in the row {text}");
        }
    }
}

/// Provides credentials of the present account, to be asked for again with each call.
#[derive(Debug, Default)]
struct Switching(Arc<Mutex<String>>);

impl ProvideCredentials for Switching {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let account = self.0.lock().unwrap().clone();
        let credentials = Credentials::builder()
            .access_key_id(format!("AKID{account}"))
            .secret_access_key("s")
            .account_id(account)
            .expiry(std::time::UNIX_EPOCH)
            .provider_name("switching");
        future::ProvideCredentials::ready(Ok(credentials.build()))
    }
}

#[test]
fn with_credentials_of_another_account_calls_go_to_its_host() {
    for wire in [Wire::Sdk, Wire::Lean, Wire::Direct, Wire::Cbor] {
        let service = Service::default();
        let connector = SharedHttpConnector::new(service.clone());
        let account = Arc::new(Mutex::new(String::new()));
        let config = SdkConfig::builder()
            .region(Region::from_static("eu-west-1"))
            .credentials_provider(SharedCredentialsProvider::new(Switching(Arc::clone(&account))))
            .http_client(http_client_fn(move |_, _| connector.clone()))
            .sleep_impl(SharedAsyncSleep::new(Never))
            .time_source(SystemTimeSource::new())
            .build();
        let transport = AwsTransport::new(&config, "clicks".parse().unwrap()).unwrap().with_wire(wire);
        let request = PutRecords::of_records([Record::new("k", "v").unwrap()]).unwrap();
        // The second request to an account is the first that a direct wire sends by its template.
        let accounts = ["111122223333", "111122223333", "444455556666", "444455556666", "111122223333"];
        for present in accounts {
            present.clone_into(&mut account.lock().unwrap());
            block_on(transport.put_records(&request)).unwrap();
        }
        let calls = service.calls.lock().unwrap();
        let hosts: Vec<&str> = calls.iter().map(|(_, host)| host.as_str()).collect();
        let expected = accounts.map(|account| format!("{account}.data-kinesis.eu-west-1.amazonaws.com"));
        assert_eq!(hosts, expected, "{wire:?}");
    }
}
