//! The loop that everybody writes first: lines of a file in batches of 500, some requests in flight, over the SDK's
//! own serializer and parser. No limits, no retries, no receipts, no signals.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use kinesis_batcher_tokio::{AwsOptions, connectivity};
use tokio::task::JoinSet;

use super::server::STREAM;

/// Sends the lines of a file, each under a random UUID as `kinesis-pusher push` does it, to the endpoint of the
/// environment.
pub(crate) async fn push(file: &Path) {
    let client = client().await;
    let mut lines = BufReader::new(File::open(file).expect("the input is there")).lines();
    let mut requests = JoinSet::new();
    loop {
        let batch = lines.by_ref().take(REQUEST_RECORDS).map(|line| entry(line.expect("the input is text")));
        let batch: Vec<_> = batch.collect();
        if batch.is_empty() {
            break;
        }
        if requests.len() == REQUESTS_IN_FLIGHT {
            requests.join_next().await.expect("there are requests").expect("no request panics");
        }
        requests.spawn(send(client.clone(), batch));
    }
    while let Some(request) = requests.join_next().await {
        request.expect("no request panics");
    }
}

pub(crate) async fn client() -> Client {
    let config = AwsOptions::default().load(&STREAM.parse().expect("a stream's name"), connectivity()).await;
    let config = config.expect("the environment is sound");
    Client::new(&config)
}

pub(crate) fn entry(line: String) -> PutRecordsRequestEntry {
    let entry = PutRecordsRequestEntry::builder().partition_key(uuid::Uuid::new_v4().to_string());
    entry.data(Blob::new(line)).build().expect("data and key are set")
}

pub(crate) async fn send(client: Client, batch: Vec<PutRecordsRequestEntry>) {
    let call = client.put_records().stream_name(STREAM).set_records(Some(batch));
    let reply = call.send().await.expect("the server answers");
    assert_eq!(reply.failed_record_count().unwrap_or_default(), 0, "the server takes every record");
}

/// As the service takes them.
pub(crate) const REQUEST_RECORDS: usize = 500;
/// As many as the command's own default.
pub(crate) const REQUESTS_IN_FLIGHT: usize = 16;
