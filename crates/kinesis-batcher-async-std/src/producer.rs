//! A producer on async-std or smol.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use kinesis_batcher_aws::{
    AwsOptions, AwsTransport, ConnectError, ConnectOptions, ProvideCredentials, RecordDistribution,
    SdkConfig, SharedCredentialsProvider, StreamId, StreamIdError, Wire,
};
use kinesis_batcher_driver::{Completion, Config, DeliveryError, ShardMap};

use crate::http::connectivity;
use crate::runtime::AsyncIoRuntime;

/// Sends records to one stream, on async-std or smol.
///
/// It is the driver's [`Producer`](kinesis_batcher_driver::Producer), connected: all of its methods are here by
/// [`Deref`], and what takes a reference to that one takes a reference to this one. A type of its own it is only so
/// that `Producer::connect` can stand here, where runtime and SDK are known.
///
/// ```no_run
/// use kinesis_batcher_async_std::{Producer, Record};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let producer = Producer::connect("clicks").await?;
/// let delivery = producer.send(Record::new("user-7", r#"{"page":"/"}"#)?).await?;
/// println!("stored in {}", delivery.await?.shard_id);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Producer {
    inner: kinesis_batcher_driver::Producer,
}

impl Producer {
    /// Connects to a stream, by name or ARN, with the settings of the environment and the AWS files.
    ///
    /// # Errors
    /// [`ConnectError`]: no such stream, no permission, no credentials, no network, … in one line that says what to do.
    pub async fn connect(stream: impl Into<String>) -> Result<Self, ConnectError> {
        Self::builder(stream).connect().await
    }

    /// Settings for a connection to a stream, by name or ARN.
    pub fn builder(stream: impl Into<String>) -> ProducerBuilder {
        ProducerBuilder {
            stream: stream.into(),
            aws: AwsOptions::default(),
            sdk_config: None,
            runtime: AsyncIoRuntime::global(),
            wire: Wire::default(),
            options: ConnectOptions::default(),
            producer: kinesis_batcher_driver::Producer::builder(),
        }
    }
}

impl Deref for Producer {
    type Target = kinesis_batcher_driver::Producer;

    fn deref(&self) -> &Self::Target {
        &self.inner
    }
}

impl From<Producer> for kinesis_batcher_driver::Producer {
    fn from(producer: Producer) -> Self {
        producer.inner
    }
}

impl fmt::Debug for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.inner, f)
    }
}

/// Settings for a [`Producer`].
///
/// ```no_run
/// use std::time::Duration;
/// use kinesis_batcher_async_std::{Config, Producer};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let producer = Producer::builder("arn:aws:kinesis:eu-west-1:123456789012:stream/clicks")
///     .profile("ingest")
///     .config(Config::builder().linger(Duration::from_millis(20)).build()?)
///     .connect()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "settings take effect with connect"]
pub struct ProducerBuilder {
    stream: String,
    aws: AwsOptions,
    sdk_config: Option<SdkConfig>,
    runtime: AsyncIoRuntime,
    wire: Wire,
    options: ConnectOptions,
    producer: kinesis_batcher_driver::ProducerBuilder,
}

impl ProducerBuilder {
    /// The executor of the producer's own tasks; [`AsyncIoRuntime::global`], async-std's, unless set.
    pub fn runtime(mut self, runtime: AsyncIoRuntime) -> Self {
        self.runtime = runtime;
        self
    }

    /// Batching, limits, buffer and retries.
    pub fn config(mut self, config: Config) -> Self {
        self.options = self.options.aggregation(config.aggregation());
        self.producer = self.producer.config(config);
        self
    }

    /// The region; unset, it comes from the environment, the profile, the stream's ARN or the instance.
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.aws.region = Some(region.into());
        self
    }

    /// The profile in the AWS files; unset, it is that of `AWS_PROFILE`, or `default`.
    pub fn profile(mut self, profile: impl Into<String>) -> Self {
        self.aws.profile = Some(profile.into());
        self
    }

    /// Where the service is, such as `http://127.0.0.1:4567`; unset, it comes from the environment or the profile, or is
    /// the region's own.
    pub fn endpoint_url(mut self, url: impl Into<String>) -> Self {
        self.aws.endpoint_url = Some(url.into());
        self
    }

    /// Credentials of the program's own; unset, they come from where the AWS CLI takes them.
    pub fn credentials(mut self, credentials: impl ProvideCredentials + 'static) -> Self {
        self.aws.credentials = Some(SharedCredentialsProvider::new(credentials));
        self
    }

    /// A config of the SDK that the program has anyway. Region, profile, endpoint and credentials set here are then not
    /// looked at. Its HTTP client and timers are used if it has any.
    pub fn sdk_config(mut self, config: SdkConfig) -> Self {
        self.sdk_config = Some(config);
        self
    }

    /// How requests are written and replies are read; unset, the lean way.
    pub fn wire(mut self, wire: Wire) -> Self {
        self.wire = wire;
        self
    }

    /// How long connecting may take; 30 s unless set. Within it, throttled calls, outages of the service and a stream
    /// that is being created are waited for, with jitter. Anything else that is wrong is an error at once.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.options = self.options.timeout(timeout);
        self
    }

    /// The stream's record distribution, for credentials that may not call DescribeStreamSummary. The service's own
    /// word wins where it is known. With [aggregation](kinesis_batcher_driver::ConfigBuilder::aggregation), one of them
    /// is needed.
    pub fn record_distribution(mut self, distribution: impl Into<Option<RecordDistribution>>) -> Self {
        self.options = self.options.record_distribution(distribution);
        self
    }

    /// How long one PutRecords request may take; 30 s unless set. Then its records are sent again, marked as possible
    /// duplicates.
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.producer = self.producer.request_timeout(timeout);
        self
    }

    /// How often to ask for the stream's shards, besides the times that replies show them to have changed; 5 min unless
    /// set, less up to a tenth drawn at random. `None`: only when replies show it.
    pub fn refresh_interval(mut self, interval: impl Into<Option<Duration>>) -> Self {
        self.producer = self.producer.refresh_interval(interval);
        self
    }

    /// Calls `handler` with what became of each record that was sent without a delivery; see the driver's
    /// [`on_completion`](kinesis_batcher_driver::ProducerBuilder::on_completion).
    pub fn on_completion(mut self, handler: impl Fn(Completion) + Send + Sync + 'static) -> Self {
        self.producer = self.producer.on_completion(handler);
        self
    }

    /// Calls `handler` with the tag of each record that was sent without a delivery and will not be sent any more, and with
    /// the record; see the driver's [`on_failure`](kinesis_batcher_driver::ProducerBuilder::on_failure).
    pub fn on_failure(mut self, handler: impl Fn(u64, DeliveryError) + Send + Sync + 'static) -> Self {
        self.producer = self.producer.on_failure(handler);
        self
    }

    /// Looks the stream up and starts a producer. May be awaited on any executor.
    ///
    /// # Errors
    /// [`ConnectError`]: no such stream, no permission, no credentials, no network, … in one line that says what to do.
    /// Throttling and outages are errors only when the [time-out](Self::connect_timeout) is over.
    pub async fn connect(self) -> Result<Producer, ConnectError> {
        let (config, stream) = self.settled().await?;
        let (transport, description) = AwsTransport::connect(&config, stream, self.options).await?;
        let transport = Arc::new(transport.with_wire(self.wire));
        let inner = self.producer.start(Arc::new(self.runtime), transport, description.shards);
        Ok(Producer { inner })
    }

    /// Starts a producer without a call to the service. May be awaited on any executor.
    ///
    /// For a service that must come up while its stream, its credentials or its network are not there yet. Records are
    /// buffered, and sent once the stream has been described; [`hold`](kinesis_batcher_driver::Producer::hold) and the
    /// log say why it has not been. Only settings are errors, the service is not asked. Without a region in the settings
    /// or the stream's ARN, the instance metadata service is asked for it, for two seconds at most.
    ///
    /// # Errors
    /// [`ConnectError::Setting`], [`ConnectError::NoSuchProfile`], [`ConnectError::NoRegion`],
    /// [`ConnectError::WrongRegion`] and [`ConnectError::Invalid`].
    pub async fn connect_lazy(self) -> Result<Producer, ConnectError> {
        let (config, stream) = self.settled().await?;
        let transport = AwsTransport::new(&config, stream)?.with_options(self.options);
        let transport = Arc::new(transport.with_wire(self.wire));
        let inner = self.producer.start(Arc::new(self.runtime), transport, ShardMap::unknown());
        Ok(Producer { inner })
    }

    /// The config of the SDK, and the stream.
    async fn settled(&self) -> Result<(SdkConfig, StreamId), ConnectError> {
        let stream: StreamId =
            self.stream.parse().map_err(|error: StreamIdError| ConnectError::Invalid(error.to_string()))?;
        let config = match &self.sdk_config {
            Some(config) => complete(config),
            None => self.aws.load(&stream, connectivity()).await?,
        };
        Ok((config, stream))
    }
}

/// Adds what a config lacks that was made for another runtime, or without one.
fn complete(config: &SdkConfig) -> SdkConfig {
    let mut builder = config.to_builder();
    let ours = connectivity();
    if config.http_client().is_none() {
        builder.set_http_client(Some(ours.http_client));
    }
    if config.sleep_impl().is_none() {
        builder.set_sleep_impl(Some(ours.sleep));
    }
    if config.time_source().is_none() {
        builder = builder.time_source(aws_smithy_async::time::SystemTimeSource::new());
    }
    builder.build()
}
