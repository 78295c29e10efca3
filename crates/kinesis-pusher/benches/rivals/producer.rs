//! The producer as a library, on tokio.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kinesis_batcher_tokio::{Completion, Config, ConfigBuilder, Producer, Record, ShardLimit};

use super::common::plain_sdk::REQUEST_RECORDS;
use super::common::server::STREAM;
use super::input::lines;
use super::paced::Paced;

/// All lines of the file, as fast as it goes.
pub(crate) async fn all(file: &str) {
    let config = config().build().expect("in range");
    let producer = Producer::builder(STREAM).config(config).connect().await.expect("the server answers");
    let mut records = lines(file).map(record).peekable();
    let mut count = 0;
    while records.peek().is_some() {
        let batch: Vec<_> = records.by_ref().take(REQUEST_RECORDS).collect();
        count += batch.len() as u64;
        producer.send_all(batch).await.expect("the producer is open");
    }
    let report = producer.close(PATIENCE).await;
    assert_eq!(report.delivered, count, "everything is delivered");
}

/// So many lines a second, each as soon as it is due, as if each came from another task.
pub(crate) async fn paced(linger_millis: &str, file: &str, rate: &str) {
    let records: Vec<_> = lines(file).map(record).collect();
    let paced = Arc::new(Paced::new(records.len(), rate));
    let completed = Arc::clone(&paced);
    let linger = Duration::from_millis(linger_millis.parse().expect("a linger is a number"));
    let config = config().linger(linger).build().expect("in range");
    let producer =
        Producer::builder(STREAM).config(config).on_completion(move |completion| match completion {
            Completion::Delivered { tag, .. } => completed.acknowledged(tag),
            Completion::Failed { failure, .. } => panic!("nothing fails: {failure}"),
        });
    let producer = producer.connect().await.expect("the server answers");
    let mut records = (0..).zip(records);
    let mut sent = 0;
    while let Some(due) = paced.due(sent).await {
        sent = due.end;
        for (number, record) in records.by_ref().take((due.end - due.start) as usize) {
            producer.send_and_forget((record, number)).await.expect("the producer is open");
        }
    }
    producer.close(PATIENCE).await;
    paced.report();
}

/// No limits, as the others have none.
fn config() -> ConfigBuilder {
    Config::builder().shard_limit(ShardLimit::Off)
}

fn record(line: String) -> Record {
    Record::new(uuid::Uuid::new_v4().to_string(), Bytes::from(line)).expect("a valid record")
}

const PATIENCE: Duration = Duration::from_secs(60);
