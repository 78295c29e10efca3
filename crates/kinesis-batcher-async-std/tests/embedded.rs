//! Against ferrokinesis, a server that nobody here wrote.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::*;
use kinesis_batcher_async_std::Config;
use kinesis_batcher_local::{EmbeddedKinesis, EmbeddedOptions};

#[test]
fn what_goes_in_comes_out_once() {
    async_std::task::block_on(async {
        let kinesis = EmbeddedKinesis::start(EmbeddedOptions::default()).unwrap();
        kinesis.create_stream("clicks", 4).await.unwrap();
        let config = Config::builder().linger(Duration::from_millis(20)).build().unwrap();
        let producer = builder(&kinesis.endpoint_url(), "clicks").config(config).connect().await.unwrap();
        let outcomes = send(&producer, "limited", 3_000).await;
        assert_all_delivered(&outcomes);
        let stored = kinesis.stored_records("clicks").await.unwrap();
        assert_eq!(stored.len(), 3_000);
        kinesis.shutdown().await;
    });
}
