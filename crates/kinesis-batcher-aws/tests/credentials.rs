//! What becomes of a request for which there are no credentials in time.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use aws_credential_types::provider::future;
use aws_smithy_async::rt::sleep::{AsyncSleep, SharedAsyncSleep, Sleep};
use aws_smithy_async::time::StaticTimeSource;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use futures::executor::block_on;
use kinesis_batcher_aws::{
    AwsTransport, ProvideCredentials, Region, SdkConfig, SharedCredentialsProvider, Wire,
};
use kinesis_batcher_driver::{PutRecords, Record, Transport};

#[test]
fn a_request_whose_credentials_did_not_come_in_time_was_not_sent() {
    let connector = SharedHttpConnector::new(Nobody);
    let config = SdkConfig::builder()
        .region(Region::from_static("eu-west-1"))
        .credentials_provider(SharedCredentialsProvider::new(Never))
        .http_client(http_client_fn(move |_, _| connector.clone()))
        .sleep_impl(SharedAsyncSleep::new(AtOnce))
        .time_source(StaticTimeSource::from_secs(1_767_225_600))
        .build();
    let request = PutRecords::of_records([Record::new("k", "v").unwrap()]).unwrap();
    for wire in [Wire::Sdk, Wire::Lean, Wire::Direct, Wire::Cbor] {
        let transport = AwsTransport::new(&config, "clicks".parse().unwrap()).unwrap().with_wire(wire);
        let error = block_on(transport.put_records(&request)).unwrap_err();
        assert_eq!(error.error().code().as_str(), "NotSent", "{wire:?}: {error}");
        assert!(!error.is_outcome_unknown(), "no record is stored: {error}");
        assert!(error.to_string().contains("timed out"), "{error}");
    }
}

/// Credentials that never come.
#[derive(Debug)]
struct Never;

impl ProvideCredentials for Never {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(std::future::pending())
    }
}

/// All time-outs come at once.
#[derive(Debug)]
struct AtOnce;

impl AsyncSleep for AtOnce {
    fn sleep(&self, _: Duration) -> Sleep {
        Sleep::new(std::future::ready(()))
    }
}

#[derive(Debug)]
struct Nobody;

impl HttpConnector for Nobody {
    fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
        panic!("nothing is sent without a signature")
    }
}
