//! A request that was written to a connection may be stored, however the connection ends (S-23).
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::*;
use kinesis_batcher_local::hostile::Fault;
use kinesis_batcher_tokio::{
    AwsOptions, AwsTransport, Credentials, PutRecords, SharedCredentialsProvider, StreamId, Transport, Wire,
    connectivity,
};
use tokio::runtime::{Builder, Runtime};

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// The task that drives a connection runs where it was opened, and ends with that runtime.
#[test]
fn a_request_whose_connection_task_is_gone_may_be_stored() {
    for wire in [Wire::Sdk, Wire::Lean, Wire::Direct, Wire::Cbor] {
        // The connection returns to its pool on another thread, a moment after the reply. A request that comes sooner may go
        // over a connection of its own, which its own runtime keeps alive: that trial shows nothing.
        let shown = (0..TRIALS_MAX).any(|_| fails_as_unknown_on_the_open_connection(wire));
        assert!(shown, "{wire:?}: no request of {TRIALS_MAX} went over the open connection");
    }
}

/// False if the request waits on a connection of its own.
fn fails_as_unknown_on_the_open_connection(wire: Wire) -> bool {
    let kinesis = hostile();
    let (opening, sending) = (runtime(), runtime());
    let stream: StreamId = STREAM.parse().unwrap();
    let options = AwsOptions {
        region: Some("us-east-1".into()),
        endpoint_url: Some(kinesis.endpoint_url()),
        credentials: Some(SharedCredentialsProvider::new(Credentials::for_tests())),
        ..AwsOptions::default()
    };
    let request = PutRecords::of_records([record("once")]).unwrap();
    let transport = opening.block_on(async {
        let config = options.load(&stream, connectivity()).await.unwrap();
        let transport = AwsTransport::new(&config, stream).unwrap().with_wire(wire);
        // The second request of a direct wire is the first that does not go through the orchestrator.
        for _ in 0..2 {
            transport.put_records(&request).await.unwrap();
        }
        transport
    });
    kinesis.next_put(Fault::HangAfterStoring);
    let result = sending.block_on(async {
        let end = async {
            kinesis.wait_until(|seen| seen.held() > 0).await.unwrap();
            opening.shutdown_background();
        };
        tokio::join!(tokio::time::timeout(ENOUGH, transport.put_records(&request)), end).0
    });
    let Ok(result) = result else { return false };
    let error = result.unwrap_err();
    assert_eq!(kinesis.stored().len(), 3, "the server has stored it");
    assert!(error.is_outcome_unknown(), "{wire:?}: {error}");
    let address = kinesis.address().to_string();
    assert!(error.to_string().contains(&address), "{wire:?} names the endpoint: {error}");
    true
}

const TRIALS_MAX: u32 = 5;
/// The end of a connection task shows within milliseconds; the request's own time-out is longer than this.
const ENOUGH: Duration = Duration::from_secs(5);
