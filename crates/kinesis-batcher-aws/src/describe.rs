//! A stream as the service describes it.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::Builder;
use aws_sdk_kinesis::config::retry::RetryConfig;
use aws_sdk_kinesis::config::timeout::TimeoutConfig;
use aws_sdk_kinesis::operation::list_shards::ListShardsOutput;
use aws_sdk_kinesis::types::{
    RecordDistributionStrategy, Shard as ListedShard, ShardFilter, ShardFilterType, StreamDescriptionSummary,
    StreamMode as SdkStreamMode, StreamStatus,
};
use aws_smithy_async::rt::sleep::{AsyncSleep, SharedAsyncSleep};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::BeforeTransmitInterceptorContextRef;
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use kinesis_batcher_driver::{HashKey, ServiceError, Shard, ShardMap};

use crate::connect_error::{CallError, ConnectError, Remedy, Target};

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
    /// Its owner splits and merges its shards.
    Provisioned,
    /// The service splits and merges its shards.
    OnDemand,
}

/// How a stream distributes records over its shards: its *record distribution strategy*.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecordDistribution {
    /// By the hash of the partition key, or the explicit hash key: `USER_PARTITION_KEY`.
    PartitionKey,
    /// The service picks a shard for each record, whatever its keys: `AUTO`. Aggregation is not supported there
    /// (docs/SERVICE.md, S-24 and S-25).
    Auto,
}

/// How to connect to a stream.
///
/// ```
/// use std::time::Duration;
/// use kinesis_batcher_aws::ConnectOptions;
///
/// let options = ConnectOptions::default().timeout(Duration::from_secs(60)).aggregation(true);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct ConnectOptions {
    timeout: Duration,
    record_distribution: Option<RecordDistribution>,
    aggregation: bool,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(30), record_distribution: None, aggregation: false }
    }
}

impl ConnectOptions {
    /// How long connecting may take; 30 s unless set.
    ///
    /// Within it, throttled calls, outages of the service and a stream that is being created are waited for, with
    /// a back-off that doubles up to 5 s and full jitter. Zero means one attempt at each call.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The stream's record distribution, for credentials that may not call DescribeStreamSummary.
    ///
    /// The service's own word wins where it is known.
    #[must_use]
    pub fn record_distribution(mut self, distribution: impl Into<Option<RecordDistribution>>) -> Self {
        self.record_distribution = distribution.into();
        self
    }

    /// Whether records will be aggregated. Then a connection needs to know the stream's record distribution.
    #[must_use]
    pub fn aggregation(mut self, aggregation: bool) -> Self {
        self.aggregation = aggregation;
        self
    }
}

/// What the service said last about a stream. It stays true while the service does not answer.
#[derive(Debug, Default)]
pub(crate) struct Memory(Mutex<Remembered>);

#[derive(Clone, Copy, Debug, Default)]
struct Remembered {
    distribution: Option<RecordDistribution>,
    record_bytes_max: Option<usize>,
    mode: Option<StreamMode>,
}

impl Memory {
    fn lock(&self) -> MutexGuard<'_, Remembered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Describes a stream, with either DescribeStreamSummary (S-11, S-26) or ListShards (S-10) forbidden if need be.
pub(crate) struct Describer<'a> {
    pub(crate) client: Client,
    pub(crate) target: &'a Target,
    pub(crate) sleep: &'a SharedAsyncSleep,
    pub(crate) options: &'a ConnectOptions,
    pub(crate) memory: &'a Memory,
}

impl Describer<'_> {
    /// Describes the stream for a connection, with patience for failures that pass.
    pub(crate) async fn connect(&self) -> Result<StreamDescription, ConnectError> {
        self.describe(Backoff::new(self.sleep, self.options.timeout, 0)).await
    }

    /// Describes the stream during operation, where the caller asks again by itself.
    pub(crate) async fn refresh(&self) -> Result<StreamDescription, ConnectError> {
        self.describe(Backoff::new(self.sleep, Duration::ZERO, REFRESH_RETRIES)).await
    }

    async fn describe(&self, mut backoff: Backoff<'_>) -> Result<StreamDescription, ConnectError> {
        let remembered = *self.memory.lock();
        let distribution = remembered.distribution.or(self.options.record_distribution);
        let needs_summary = self.options.aggregation && distribution.is_none();
        let summary = match self.summary(&mut backoff, needs_summary).await {
            Ok(summary) => Ok(summary),
            Err(CallError {
                error: ConnectError::AccessDenied { stream, message, request_id, .. }, ..
            }) if needs_summary => {
                return Err(ConnectError::UnknownDistribution { stream, message, request_id });
            }
            Err(failure @ CallError { error: ConnectError::AccessDenied { .. }, .. }) => Err(failure),
            // It is asked for again with the next refresh.
            Err(failure) if failure.remedy == Remedy::Retry && !needs_summary => Err(failure),
            Err(failure) => return Err(backoff.gave_up(failure)),
        };
        let remembered = match &summary {
            Ok(summary) => self.remember(summary),
            Err(_) => remembered,
        };
        let distribution = remembered.distribution.or(distribution);
        if let (Ok(summary), Some(RecordDistribution::Auto)) = (&summary, distribution) {
            return Ok(describe(ShardMap::auto(open_shards(summary)?), remembered));
        }
        backoff.begin_call();
        let shards = match (self.shard_map(&mut backoff).await, summary) {
            (Ok(shards), _) if distribution == Some(RecordDistribution::Auto) => {
                ShardMap::auto(NonZeroU32::new(shards.open_shards()).unwrap_or(NonZeroU32::MIN))
            }
            (Ok(shards), _) => shards,
            (Err(CallError { error: ConnectError::AccessDenied { .. }, .. }), Ok(summary)) => {
                ShardMap::count_only(open_shards(&summary)?)
            }
            (
                Err(CallError {
                    error: ConnectError::AccessDenied { stream, message, request_id, .. }, ..
                }),
                Err(CallError { error: ConnectError::AccessDenied { .. }, .. }),
            ) => {
                let actions = "kinesis:DescribeStreamSummary and kinesis:ListShards, or one of them,";
                return Err(ConnectError::AccessDenied { stream, actions, message, request_id });
            }
            // The number of shards would do, and the summary that has it did not come.
            (Err(CallError { error: ConnectError::AccessDenied { .. }, .. }), Err(failure)) => {
                return Err(backoff.gave_up(failure));
            }
            (Err(failure), _) => return Err(backoff.gave_up(failure)),
        };
        Ok(describe(shards, remembered))
    }

    fn remember(&self, summary: &StreamDescriptionSummary) -> Remembered {
        let distribution = match summary.record_distribution_strategy() {
            Some(RecordDistributionStrategy::Auto) => RecordDistribution::Auto,
            _ => RecordDistribution::PartitionKey,
        };
        let kib = summary.max_record_size_in_kib().and_then(|kib| usize::try_from(kib).ok());
        let remembered = Remembered {
            distribution: Some(distribution),
            record_bytes_max: kib.map(|kib| kib.saturating_mul(1_024)),
            mode: mode(summary),
        };
        *self.memory.lock() = remembered;
        remembered
    }

    /// The summary of a stream that exists. Where it is not needed, ListShards is asked after a few failures.
    async fn summary(
        &self,
        backoff: &mut Backoff<'_>,
        is_needed: bool,
    ) -> Result<StreamDescriptionSummary, CallError> {
        loop {
            let attempts_max = if is_needed { u32::MAX } else { SUMMARY_ATTEMPTS_MAX };
            let summary = backoff.patiently(attempts_max, |limit| self.summary_once(limit)).await?;
            let stream = || self.target.stream.to_string();
            match summary.stream_status() {
                StreamStatus::Creating if backoff.has_time(CREATION_POLL) => {
                    backoff.sleep(CREATION_POLL).await;
                }
                StreamStatus::Creating => return Err(ConnectError::BeingCreated { stream: stream() }.into()),
                StreamStatus::Deleting => return Err(ConnectError::BeingDeleted { stream: stream() }.into()),
                _ => return Ok(summary),
            }
        }
    }

    async fn summary_once(&self, limit: Duration) -> Result<StreamDescriptionSummary, CallError> {
        let stream = &self.target.stream;
        let called = CalledHost::default();
        let call = self
            .client
            .describe_stream_summary()
            .set_stream_name(stream.stream_name())
            .set_stream_arn(stream.stream_arn())
            .customize()
            .interceptor(called.clone())
            .config_override(overrides(limit));
        let output = call.send().await.map_err(|error| {
            self.target.error("DescribeStreamSummary", &called.or(&self.target.endpoint), &error)
        })?;
        let empty = || ConnectError::NotKinesis {
            endpoint: called.or(&self.target.endpoint),
            detail: "its description of the stream is empty".into(),
        };
        Ok(output.stream_description_summary.ok_or_else(empty)?)
    }

    /// The open shards. Pages taken while the stream is being resharded may not fit together; then they are taken
    /// again.
    async fn shard_map(&self, backoff: &mut Backoff<'_>) -> Result<ShardMap, CallError> {
        for _ in 1..LISTINGS_MAX {
            if let Ok(map) = ShardMap::known(self.list_shards(backoff).await?) {
                return Ok(map);
            }
            self.sleep.sleep(LISTING_PAUSE).await;
        }
        let map = ShardMap::known(self.list_shards(backoff).await?);
        Ok(map.map_err(|error| ConnectError::Shards { stream: self.target.stream.to_string(), error })?)
    }

    async fn list_shards(&self, backoff: &mut Backoff<'_>) -> Result<Vec<Shard>, CallError> {
        let mut shards = vec![];
        let mut next_token: Option<String> = None;
        for _ in 0..PAGES_MAX {
            let token = next_token.take();
            let page = backoff.patiently(u32::MAX, |limit| self.page_of_shards(token.clone(), limit)).await?;
            next_token = page.next_token;
            for listed in page.shards.unwrap_or_default() {
                shards.extend(self.open_shard(&listed)?);
            }
            if next_token.is_none() {
                return Ok(shards);
            }
        }
        let message = format!("more than {PAGES_MAX} pages");
        let error = ServiceError::new("TooManyPages", &message);
        Err(ConnectError::Service { operation: "ListShards", error }.into())
    }

    async fn page_of_shards(
        &self,
        token: Option<String>,
        limit: Duration,
    ) -> Result<ListShardsOutput, CallError> {
        let call = self.client.list_shards();
        let call = match token {
            // The token stands for the stream and the filter; the service refuses them beside it.
            Some(token) => call.next_token(token),
            None => call
                .set_stream_name(self.target.stream.stream_name())
                .set_stream_arn(self.target.stream.stream_arn())
                .shard_filter(open_shards_only()),
        };
        let called = CalledHost::default();
        let call = call.customize().interceptor(called.clone()).config_override(overrides(limit));
        call.send()
            .await
            .map_err(|error| self.target.error("ListShards", &called.or(&self.target.endpoint), &error))
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

/// Time and attempts for one description.
struct Backoff<'a> {
    sleep: &'a SharedAsyncSleep,
    /// How long it may take.
    budget: Duration,
    /// Retries of a call that are made although the time is over.
    retries_min: u32,
    started: Instant,
    slept: Duration,
    /// Failures of the present call.
    failures: u32,
}

impl<'a> Backoff<'a> {
    fn new(sleep: &'a SharedAsyncSleep, budget: Duration, retries_min: u32) -> Self {
        Self { sleep, budget, retries_min, started: Instant::now(), slept: Duration::ZERO, failures: 0 }
    }

    fn begin_call(&mut self) {
        self.failures = 0;
    }

    /// The time spent. Sleeping counts as long as it was meant to take, so that a timer that runs ahead of the clock
    /// cannot prolong it.
    fn spent(&self) -> Duration {
        self.started.elapsed().max(self.slept)
    }

    fn has_time(&self, pause: Duration) -> bool {
        self.spent() + pause <= self.budget
    }

    async fn sleep(&mut self, pause: Duration) {
        self.sleep.sleep(pause).await;
        self.slept += pause;
    }

    /// Makes a call until it succeeds, until it fails for good, or until time and attempts are over.
    async fn patiently<T, F>(
        &mut self,
        attempts_max: u32,
        call: impl Fn(Duration) -> F,
    ) -> Result<T, CallError>
    where
        F: Future<Output = Result<T, CallError>>,
    {
        self.begin_call();
        loop {
            let left = self.budget.saturating_sub(self.spent());
            let failure = match call(left.clamp(ATTEMPT_MIN, ATTEMPT_MAX)).await {
                Ok(result) => return Ok(result),
                Err(failure) => failure,
            };
            self.failures += 1;
            let pause = full_jitter(self.failures);
            let may_retry = match failure.remedy {
                Remedy::None => false,
                Remedy::RetryOnce => self.failures == 1,
                Remedy::Retry => self.failures < attempts_max,
            };
            if !may_retry || !(self.failures <= self.retries_min || self.has_time(pause)) {
                return Err(failure);
            }
            tracing::debug!(error = %failure.error, ?pause, "the stream could not be described; trying again");
            self.sleep(pause).await;
        }
    }

    /// The error for a failure after which no more attempts are made.
    fn gave_up(&self, failure: CallError) -> ConnectError {
        match failure.remedy {
            Remedy::Retry if self.failures > 1 && !self.budget.is_zero() => ConnectError::TimedOut {
                error: Box::new(failure.error),
                attempts: self.failures,
                after: self.budget,
            },
            _ => failure.error,
        }
    }
}

/// A pause before a retry: up to 200 ms after the first failure, then up to twice as long each time, up to 5 s. A fleet
/// that was throttled together must not come back together.
fn full_jitter(failures: u32) -> Duration {
    let longest = PAUSE_FIRST.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(PAUSE_MAX);
    // Keyed at random for each hasher; quality enough for a pause, without a generator to depend on.
    let random = RandomState::new().build_hasher().finish();
    longest.mul_f64((random >> 11) as f64 / (1_u64 << 53) as f64)
}

/// Remembers the host that a call went to. Names, ARNs and accounts have hosts of their own, so it is known only then.
#[derive(Clone, Debug, Default)]
struct CalledHost(Arc<Mutex<Option<String>>>);

impl CalledHost {
    fn or(&self, otherwise: &str) -> String {
        let called = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        called.unwrap_or_else(|| otherwise.to_owned())
    }
}

#[dyn_dispatch_hint]
impl Intercept for CalledHost {
    fn name(&self) -> &'static str {
        "CalledHost"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let uri = context.request().uri();
        let host = uri.strip_suffix('/').unwrap_or(uri);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(host.to_owned());
        Ok(())
    }
}

/// One attempt a call, because the retries are made here: the SDK's would count against the same limit of the account.
fn overrides(limit: Duration) -> Builder {
    let timeouts = TimeoutConfig::builder().operation_attempt_timeout(limit).build();
    Builder::new().retry_config(RetryConfig::disabled()).timeout_config(timeouts)
}

fn describe(shards: ShardMap, remembered: Remembered) -> StreamDescription {
    let shards = match remembered.record_bytes_max {
        Some(bytes) => shards.with_record_bytes_max(bytes),
        None => shards,
    };
    StreamDescription { shards, mode: remembered.mode }
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

fn open_shards_only() -> ShardFilter {
    ShardFilter::builder()
        .r#type(ShardFilterType::AtLatest)
        .build()
        .expect("the type is set, and nothing else required")
}

/// How often the summary is asked for where ListShards is enough to start. An account may ask 20 times a second (S-11).
const SUMMARY_ATTEMPTS_MAX: u32 = 3;
/// During operation, a failed refresh is repeated by the driver anyway.
const REFRESH_RETRIES: u32 = 2;
const PAUSE_FIRST: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// The time for one attempt, within what is left for all of them.
const ATTEMPT_MIN: Duration = Duration::from_secs(2);
const ATTEMPT_MAX: Duration = Duration::from_secs(10);
/// Creation takes some ten seconds.
const CREATION_POLL: Duration = Duration::from_secs(1);
/// A reshard closes and opens shards at one point in time; a second look comes after it.
const LISTINGS_MAX: usize = 3;
const LISTING_PAUSE: Duration = Duration::from_millis(300);
/// A page has 1,000 shards, and the largest streams some 10,000.
const PAGES_MAX: usize = 1_000;
