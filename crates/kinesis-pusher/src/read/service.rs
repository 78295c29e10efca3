//! The calls of a reader, tried again for as long as that may help.

use std::future::Future;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::Builder;
use aws_sdk_kinesis::config::timeout::TimeoutConfig;
use aws_sdk_kinesis::primitives::DateTime;
use aws_sdk_kinesis::types::{ChildShard, HashKeyRange, Record, Shard, ShardIteratorType};
use kinesis_batcher_tokio::AwsTransport;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::failure::{Failure, FailureKind};
use super::shard_tree::ListedShard;

/// One stream.
pub(super) struct Service {
    transport: AwsTransport,
    pages: Arc<Semaphore>,
}

/// A place in a shard.
#[derive(Clone, Debug)]
pub(super) enum Position {
    TrimHorizon,
    Latest,
    At(DateTime),
    /// Behind the record with this sequence number.
    After(String),
}

/// What GetRecords returned.
pub(super) struct Page {
    pub(super) records: Vec<Record>,
    /// Where it goes on; `None` at the end of a closed shard.
    pub(super) next: Option<String>,
    /// The shards that a closed shard was split or merged into, as far as the service names them at its end.
    pub(super) children: Vec<ListedShard>,
    /// How far the page's end is behind the shard's latest record; zero where the service does not say.
    pub(super) behind: Duration,
    /// Held until the page has been printed, which bounds the pages in memory.
    pub(super) slot: OwnedSemaphorePermit,
}

impl Service {
    pub(super) fn new(transport: AwsTransport) -> Self {
        Self { transport, pages: Arc::new(Semaphore::new(PAGES_MAX)) }
    }

    /// Every shard, closed ones included.
    pub(super) async fn list_shards(&self) -> Result<Vec<ListedShard>, Failure> {
        let mut shards = vec![];
        let mut token: Option<String> = None;
        for _ in 0..LISTING_PAGES_MAX {
            let page = self.patiently(|client| {
                let call = client.list_shards();
                let call = match token.clone() {
                    // The token stands for the stream; the service refuses both.
                    Some(token) => call.next_token(token),
                    None => call.set_stream_name(self.stream_name()).set_stream_arn(self.stream_arn()),
                };
                let call = call.customize().config_override(timeouts());
                async { call.send().await.map_err(|error| Failure::of("ListShards", &error)) }
            });
            let page = page.await?;
            shards.extend(page.shards.unwrap_or_default().into_iter().map(listed));
            token = page.next_token;
            if token.is_none() {
                return Ok(shards);
            }
        }
        Err(Failure::nonsense("ListShards", format!("more than {LISTING_PAGES_MAX} pages")))
    }

    /// An iterator at a place in a shard; `None` when there is nothing behind it any more.
    pub(super) async fn shard_iterator(
        &self,
        shard_id: &str,
        position: &Position,
    ) -> Result<Option<String>, Failure> {
        let output = self.patiently(|client| {
            let call = client
                .get_shard_iterator()
                .set_stream_name(self.stream_name())
                .set_stream_arn(self.stream_arn())
                .shard_id(shard_id);
            let call = match position {
                Position::TrimHorizon => call.shard_iterator_type(ShardIteratorType::TrimHorizon),
                Position::Latest => call.shard_iterator_type(ShardIteratorType::Latest),
                Position::At(time) => {
                    call.shard_iterator_type(ShardIteratorType::AtTimestamp).timestamp(*time)
                }
                Position::After(number) => call
                    .shard_iterator_type(ShardIteratorType::AfterSequenceNumber)
                    .starting_sequence_number(number),
            };
            let call = call.customize().config_override(timeouts());
            async { call.send().await.map_err(|error| Failure::of("GetShardIterator", &error)) }
        });
        Ok(output.await?.shard_iterator)
    }

    /// What comes next, once there is room for it.
    pub(super) async fn records(&self, iterator: &str) -> Result<Page, Failure> {
        self.patiently(|client| {
            let pages = Arc::clone(&self.pages);
            let call = client
                .get_records()
                .shard_iterator(iterator)
                .set_stream_arn(self.stream_arn())
                .limit(PAGE_RECORDS_MAX)
                .customize()
                .config_override(timeouts());
            async {
                let slot = pages.acquire_owned().await.expect("nobody closes the semaphore");
                let output = call.send().await.map_err(|error| Failure::of("GetRecords", &error))?;
                let behind = output.millis_behind_latest.and_then(|ms| u64::try_from(ms).ok()).unwrap_or(0);
                let children = output.child_shards.unwrap_or_default().into_iter().map(child);
                Ok(Page {
                    children: children.collect(),
                    records: output.records,
                    next: output.next_shard_iterator,
                    behind: Duration::from_millis(behind),
                    slot,
                })
            }
        })
        .await
    }

    /// Tries until it works, until trying makes no sense, or until nothing has worked for too long.
    async fn patiently<T, Answer>(&self, call: impl Fn(Client) -> Answer) -> Result<T, Failure>
    where
        Answer: Future<Output = Result<T, Failure>>,
    {
        let started = Instant::now();
        let mut pause_max = PAUSE_MIN;
        loop {
            let failure = match call(self.transport.client()).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            match failure.kind {
                _ if started.elapsed() > PATIENCE => return Err(failure),
                FailureKind::IteratorExpired | FailureKind::Gone | FailureKind::Permanent => {
                    return Err(failure);
                }
                FailureKind::CredentialsExpired => {
                    // The transport forgets credentials that it finds expired; the next client asks for new ones.
                    let _ = self.transport.describe_stream().await;
                }
                FailureKind::Transient => {}
            }
            // Jitter, or readers that were throttled together would be throttled together again.
            tokio::time::sleep(rand::random_range(pause_max / 2..=pause_max)).await;
            pause_max = (pause_max * 2).min(PAUSE_MAX);
        }
    }

    fn stream_name(&self) -> Option<String> {
        let stream = self.transport.stream();
        stream.arn().is_none().then(|| stream.name().to_owned())
    }

    fn stream_arn(&self) -> Option<String> {
        self.transport.stream().arn().map(str::to_owned)
    }
}

fn listed(shard: Shard) -> ListedShard {
    let is_closed =
        shard.sequence_number_range().is_some_and(|range| range.ending_sequence_number().is_some());
    let range = shard.hash_key_range.as_ref().and_then(hash_keys);
    let parents = shard.parent_shard_id.into_iter().chain(shard.adjacent_parent_shard_id).collect();
    ListedShard { shard_id: shard.shard_id, parents, range, is_closed }
}

fn child(shard: ChildShard) -> ListedShard {
    let range = shard.hash_key_range.as_ref().and_then(hash_keys);
    ListedShard { shard_id: shard.shard_id, parents: shard.parent_shards, range, is_closed: false }
}

fn hash_keys(range: &HashKeyRange) -> Option<RangeInclusive<u128>> {
    Some(range.starting_hash_key().parse().ok()?..=range.ending_hash_key().parse().ok()?)
}

fn timeouts() -> Builder {
    Builder::new().timeout_config(TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT_TIMEOUT).build())
}

/// Pages in memory at once: fetched, and not printed yet. A page has 10 MiB at most.
const PAGES_MAX: usize = 8;
/// Half of what the service takes: at five pages a second, 100-byte records still come at more than the 2 MiB/s that
/// a shard gives.
const PAGE_RECORDS_MAX: i32 = 5_000;
/// A page has 1,000 shards, and the largest streams some 10,000.
const LISTING_PAGES_MAX: usize = 1_000;
/// A page of 10 MiB over a line of 4 Mbit/s.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(30);
/// As long as `push` goes on trying unless told otherwise.
const PATIENCE: Duration = Duration::from_secs(300);
/// A shard takes five calls a second.
const PAUSE_MIN: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(5);
