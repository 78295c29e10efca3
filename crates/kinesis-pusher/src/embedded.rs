//! A Kinesis inside this process.

use kinesis_batcher_local::{EmbeddedError, EmbeddedKinesis, EmbeddedOptions};

use crate::exit::StartError;

/// A Kinesis with the service's limits of a shard, which forgets everything at the end.
pub(crate) struct Embedded {
    kinesis: EmbeddedKinesis,
}

/// What a stream holds.
pub(crate) struct Contents {
    /// Records in each shard, oldest shard first; of an aggregate, its members.
    pub(crate) records_by_shard: Vec<u64>,
}

impl Embedded {
    /// Starts it on a port of 127.0.0.1, 0 for any free one, and makes the streams.
    ///
    /// # Errors
    /// A port that is taken or not permitted; a stream that is named twice.
    pub(crate) async fn start(port: u16, streams: &[String], shards: u32) -> Result<Self, StartError> {
        let kinesis = EmbeddedKinesis::start(EmbeddedOptions { port, enforce_limits: true })
            .map_err(|error| StartError::new(error.to_string()))?;
        for (index, stream) in streams.iter().enumerate() {
            if streams[..index].contains(stream) {
                return Err(StartError::usage(format!("stream '{stream}' is named twice")));
            }
            kinesis
                .create_stream(stream, shards)
                .await
                .map_err(|error| StartError::new(format!("cannot create stream '{stream}': {error}")))?;
        }
        Ok(Self { kinesis })
    }

    /// Where it listens.
    pub(crate) fn port(&self) -> u16 {
        self.kinesis.address().port()
    }

    /// What a client takes as its endpoint.
    pub(crate) fn endpoint_url(&self) -> String {
        self.kinesis.endpoint_url()
    }

    /// Reads every record of a stream back, page by page, and gives key and data of each to `take`, which tells
    /// how many records it stands for.
    ///
    /// # Errors
    /// A sentence that says what went wrong.
    pub(crate) async fn read_back(
        &self,
        stream: &str,
        take: impl FnMut(&str, &[u8]) -> u64,
    ) -> Result<Contents, String> {
        self.read_all(stream, take).await.map_err(|error| format!("cannot read back: {error}"))
    }

    /// Answers what is under way and stops.
    pub(crate) async fn shutdown(self) {
        self.kinesis.shutdown().await;
    }

    async fn read_all(
        &self,
        stream: &str,
        mut take: impl FnMut(&str, &[u8]) -> u64,
    ) -> Result<Contents, EmbeddedError> {
        let mut records_by_shard = Vec::new();
        for shard in self.kinesis.shards(stream).await? {
            let mut records = 0;
            let mut after: Option<String> = None;
            loop {
                let page = self
                    .kinesis
                    .stored_in_shard(stream, &shard.shard_id, after.as_deref(), PAGE_RECORDS)
                    .await?;
                for record in &page {
                    records += take(&record.partition_key, &record.data);
                }
                if page.len() < PAGE_RECORDS {
                    break;
                }
                after = page.into_iter().next_back().map(|record| record.sequence_number);
            }
            records_by_shard.push(records);
        }
        Ok(Contents { records_by_shard })
    }
}

/// Some megabytes of short lines; of the largest records, a gigabyte, which the embedded Kinesis holds anyway.
const PAGE_RECORDS: usize = 1_000;
