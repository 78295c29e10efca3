//! What the service tells about a stream.

use std::num::NonZeroU32;
use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::types::{
    RecordDistributionStrategy, Shard as ListedShard, ShardFilter, ShardFilterType, StreamDescriptionSummary,
    StreamMode as SdkStreamMode, StreamStatus,
};
use aws_smithy_async::rt::sleep::{AsyncSleep, SharedAsyncSleep};
use kinesis_batcher_driver::{HashKey, ServiceError, Shard, ShardMap};

use crate::client::describe_overrides;
use crate::connect_error::{ConnectError, Target};

/// A stream as the service describes it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StreamDescription {
    /// Its open shards, or their number where listing them is not permitted; its record size limit.
    pub shards: ShardMap,
    /// How its capacity is managed; `None` where describing it is not permitted, or the server does not say.
    pub mode: Option<StreamMode>,
}

/// How a stream's capacity is managed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StreamMode {
    /// By whoever splits and merges its shards.
    Provisioned,
    /// By the service.
    OnDemand,
}

/// Describes a stream, with either DescribeStreamSummary (S-11, S-26) or ListShards (S-10) forbidden if need be.
pub(crate) struct Describer<'a> {
    pub(crate) client: Client,
    pub(crate) target: &'a Target,
    pub(crate) sleep: &'a SharedAsyncSleep,
}

impl Describer<'_> {
    /// Asks for everything. A stream that is being created is waited for up to `patience`.
    pub(crate) async fn describe(&self, patience: Duration) -> Result<StreamDescription, ConnectError> {
        let summary = match self.summary(patience).await {
            Ok(summary) => Some(summary),
            Err(ConnectError::AccessDenied { .. }) => None,
            Err(error) => return Err(error),
        };
        let mode = summary.as_ref().and_then(mode);
        if let Some(summary) = &summary
            && summary.record_distribution_strategy() == Some(&RecordDistributionStrategy::Auto)
        {
            let shards = ShardMap::auto(open_shards(summary)?);
            return Ok(StreamDescription { shards: with_record_limit(shards, Some(summary)), mode });
        }
        let shards = match (self.shard_map().await, &summary) {
            (Err(ConnectError::AccessDenied { .. }), Some(summary)) => {
                ShardMap::count_only(open_shards(summary)?)
            }
            (Err(ConnectError::AccessDenied { stream, message, .. }), None) => {
                let actions = "kinesis:DescribeStreamSummary and kinesis:ListShards, or one of them,";
                return Err(ConnectError::AccessDenied { stream, actions, message });
            }
            (shards, _) => shards?,
        };
        Ok(StreamDescription { shards: with_record_limit(shards, summary.as_ref()), mode })
    }

    async fn summary(&self, patience: Duration) -> Result<StreamDescriptionSummary, ConnectError> {
        let mut waited = Duration::ZERO;
        loop {
            let summary = self.summary_once().await?;
            let stream = || self.target.stream.to_string();
            match summary.stream_status() {
                StreamStatus::Creating if waited < patience => {
                    self.sleep.sleep(CREATION_POLL).await;
                    waited += CREATION_POLL;
                }
                StreamStatus::Creating => return Err(ConnectError::BeingCreated { stream: stream() }),
                StreamStatus::Deleting => return Err(ConnectError::BeingDeleted { stream: stream() }),
                _ => return Ok(summary),
            }
        }
    }

    async fn summary_once(&self) -> Result<StreamDescriptionSummary, ConnectError> {
        let stream = &self.target.stream;
        let call = self
            .client
            .describe_stream_summary()
            .set_stream_name(stream.stream_name())
            .set_stream_arn(stream.stream_arn())
            .customize()
            .config_override(describe_overrides());
        let output = call.send().await.map_err(|error| self.target.error("DescribeStreamSummary", &error))?;
        output.stream_description_summary.ok_or_else(|| ConnectError::NotKinesis {
            endpoint: self.target.endpoint.clone(),
            detail: "its description of the stream is empty".into(),
        })
    }

    /// The open shards. Pages taken while the stream is being resharded may not fit together; then they are taken
    /// again.
    async fn shard_map(&self) -> Result<ShardMap, ConnectError> {
        for _ in 1..LISTINGS_MAX {
            if let Ok(map) = ShardMap::known(self.list_shards().await?) {
                return Ok(map);
            }
            self.sleep.sleep(LISTING_PAUSE).await;
        }
        ShardMap::known(self.list_shards().await?)
            .map_err(|error| ConnectError::Shards { stream: self.target.stream.to_string(), error })
    }

    async fn list_shards(&self) -> Result<Vec<Shard>, ConnectError> {
        let mut shards = vec![];
        let mut next_token: Option<String> = None;
        for _ in 0..PAGES_MAX {
            let call = self.client.list_shards();
            let call = match next_token.take() {
                // The token stands for the stream and the filter; the service refuses them beside it.
                Some(token) => call.next_token(token),
                None => call
                    .set_stream_name(self.target.stream.stream_name())
                    .set_stream_arn(self.target.stream.stream_arn())
                    .shard_filter(open_shards_only()),
            };
            let call = call.customize().config_override(describe_overrides());
            let page = call.send().await.map_err(|error| self.target.error("ListShards", &error))?;
            next_token = page.next_token;
            for listed in page.shards.unwrap_or_default() {
                shards.extend(self.open_shard(&listed)?);
            }
            if next_token.is_none() {
                return Ok(shards);
            }
        }
        let message = format!("more than {PAGES_MAX} pages");
        Err(ConnectError::Service {
            operation: "ListShards",
            error: ServiceError::new("TooManyPages", &message),
        })
    }

    /// The shard if it is open. Some servers do not know the filter and list closed ones too.
    fn open_shard(&self, listed: &ListedShard) -> Result<Option<Shard>, ConnectError> {
        if listed.sequence_number_range().is_some_and(|range| range.ending_sequence_number().is_some()) {
            return Ok(None);
        }
        let range = listed.hash_key_range().and_then(|range| {
            let first: HashKey = range.starting_hash_key().parse().ok()?;
            let last: HashKey = range.ending_hash_key().parse().ok()?;
            Some((first, last))
        });
        let (first, last) = range.ok_or_else(|| ConnectError::NotKinesis {
            endpoint: self.target.endpoint.clone(),
            detail: "a shard's range of hash keys cannot be read".into(),
        })?;
        Ok(Some(Shard::new(listed.shard_id(), first, last)))
    }
}

fn mode(summary: &StreamDescriptionSummary) -> Option<StreamMode> {
    match summary.stream_mode_details()?.stream_mode() {
        SdkStreamMode::OnDemand => Some(StreamMode::OnDemand),
        SdkStreamMode::Provisioned => Some(StreamMode::Provisioned),
        _ => None,
    }
}

fn open_shards(summary: &StreamDescriptionSummary) -> Result<NonZeroU32, ConnectError> {
    let count = u32::try_from(summary.open_shard_count()).ok().and_then(NonZeroU32::new);
    count.ok_or_else(|| ConnectError::Shards {
        stream: summary.stream_name().to_owned(),
        error: kinesis_batcher_driver::ShardMapError::Empty,
    })
}

fn with_record_limit(shards: ShardMap, summary: Option<&StreamDescriptionSummary>) -> ShardMap {
    match summary.and_then(|summary| usize::try_from(summary.max_record_size_in_kib()?).ok()) {
        Some(kib) => shards.with_record_bytes_max(kib.saturating_mul(1_024)),
        None => shards,
    }
}

fn open_shards_only() -> ShardFilter {
    ShardFilter::builder()
        .r#type(ShardFilterType::AtLatest)
        .build()
        .expect("the type is set, and nothing else required")
}

/// Creation takes some ten seconds.
const CREATION_POLL: Duration = Duration::from_secs(1);
/// A reshard closes and opens shards at one point in time; a second look comes after it.
const LISTINGS_MAX: usize = 3;
const LISTING_PAUSE: Duration = Duration::from_millis(300);
/// A page has 1,000 shards, and the largest streams some 10,000.
const PAGES_MAX: usize = 1_000;
