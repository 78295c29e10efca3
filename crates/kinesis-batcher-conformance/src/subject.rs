//! What the suite must know of a runtime.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use kinesis_batcher_aws::{ConnectError, Connectivity, Credentials};
use kinesis_batcher_driver::{
    AsyncTimer, BoxFuture, Completion, Config, ConfigBuilder, DeliveryError, Producer, Runtime, ShardLimit,
};

/// A runtime under test.
pub trait Subject: Sized + 'static {
    /// Whether its HTTP client can speak HTTP/2 over TLS.
    const SPEAKS_HTTP2: bool = false;

    /// Starts a runtime.
    fn start() -> Self;

    /// Runs a future to its end, on the runtime.
    fn block_on<F: Future>(&self, future: F) -> F::Output;

    /// Runs a task in the background.
    fn spawn(&self, task: BoxFuture<'static, ()>);

    /// Makes a producer in the way that the crate's users do. Called within [`block_on`](Self::block_on).
    fn connect(&self, target: Target) -> BoxFuture<'static, Result<Producer, ConnectError>>;

    /// The runtime, as the driver sees it. Called within [`block_on`](Self::block_on).
    fn runtime(&self) -> Arc<dyn Runtime>;

    /// The HTTP client and the timers, as the SDK sees them.
    fn connectivity(&self) -> Connectivity;
}

/// A runtime that can end before the process does. There are executors that cannot.
pub trait Ends: Subject {
    /// Ends the runtime and drops its tasks, without waiting for anything that they do.
    fn end(self);
}

/// Where a producer shall send, and how.
pub struct Target {
    /// The server.
    pub endpoint_url: String,
    /// The stream's name.
    pub stream: String,
    /// Batching, limits, buffer and retries.
    pub config: Config,
    /// How long one request may take.
    pub request_timeout: Duration,
    /// Speak HTTP/2 and nothing else, over TLS; HTTP/1.1 otherwise. Only for a [`Subject`] that can.
    pub http2: bool,
    /// Called with what becomes of records without a delivery.
    pub on_completion: Option<Box<dyn Fn(Completion) + Send + Sync>>,
    /// Called with those of them that fail; only where the other is not there.
    pub on_failure: Option<Box<dyn Fn(u64, DeliveryError) + Send + Sync>>,
}

impl Target {
    /// Requests soon, and no limits of ours.
    #[must_use]
    pub fn new(endpoint_url: impl Into<String>, stream: impl Into<String>) -> Self {
        Self {
            endpoint_url: endpoint_url.into(),
            stream: stream.into(),
            config: built(eager()),
            request_timeout: Duration::from_secs(30),
            http2: false,
            on_completion: None,
            on_failure: None,
        }
    }

    /// The same with other settings.
    #[must_use]
    pub fn with_config(mut self, config: ConfigBuilder) -> Self {
        self.config = built(config);
        self
    }

    /// The same with another patience.
    #[must_use]
    pub fn with_request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout;
        self
    }

    /// The same over HTTP/2, or over HTTP/1.1.
    #[must_use]
    pub fn with_http2(mut self, http2: bool) -> Self {
        self.http2 = http2;
        self
    }

    /// The same with a completion handler.
    #[must_use]
    pub fn on_completion(mut self, handler: impl Fn(Completion) + Send + Sync + 'static) -> Self {
        self.on_completion = Some(Box::new(handler));
        self
    }

    /// The same with a handler of failures.
    #[must_use]
    pub fn on_failure(mut self, handler: impl Fn(u64, DeliveryError) + Send + Sync + 'static) -> Self {
        self.on_failure = Some(Box::new(handler));
        self
    }

    /// The region to connect in.
    pub const REGION: &'static str = "us-east-1";

    /// The credentials to connect with.
    #[must_use]
    pub fn credentials() -> Credentials {
        Credentials::new("access", "secret", None, None, "conformance")
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target")
            .field("endpoint_url", &self.endpoint_url)
            .field("stream", &self.stream)
            .finish_non_exhaustive()
    }
}

pub(crate) fn eager() -> ConfigBuilder {
    Config::builder().linger(Duration::from_millis(5)).shard_limit(ShardLimit::Off)
}

pub(crate) fn built(config: ConfigBuilder) -> Config {
    config.build().expect("the settings of the suite are in their ranges")
}

/// Waits by the runtime's own timers.
pub(crate) async fn sleep(runtime: &Arc<dyn Runtime>, duration: Duration) {
    Sleep(runtime.new_timer(runtime.now() + duration)).await;
}

struct Sleep(Pin<Box<dyn AsyncTimer>>);

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(cx)
    }
}
