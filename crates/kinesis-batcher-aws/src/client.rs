//! The SDK's client, and its renewal when credentials expire.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::retry::RetryConfig;
use aws_sdk_kinesis::config::timeout::TimeoutConfig;
use aws_sdk_kinesis::config::{Builder, Config, IdentityCache, Region, StalledStreamProtectionConfig};

use crate::put_records::{Acceptance, Template};

/// A client whose credentials can be forgotten.
///
/// The SDK keeps credentials until the time they say they expire at. When the service finds them expired before that
/// (a rotated file, a revoked session, a clock that is wrong), it would go on with them; so the cache is replaced.
/// Connections live in the HTTP client and stay open.
pub(crate) struct RenewableClient {
    config: Config,
    current: Arc<Mutex<Current>>,
    /// Of the endpoint, which stays when the credentials change.
    cbor: Acceptance,
}

struct Current {
    client: Client,
    renewed_at: Option<Instant>,
    /// How many clients there were before this one.
    renewals: u64,
    /// What a request of this client went out with.
    template: Option<Arc<Template>>,
}

impl RenewableClient {
    /// # Panics
    /// When the config lacks an HTTP client, a sleep implementation or a time source; callers check.
    pub(crate) fn new(config: &SdkConfig, region: Option<Region>) -> Self {
        let mut builder = Builder::from(config)
            // One retry policy, the core's.
            .retry_config(RetryConfig::disabled())
            // The driver's time-out covers it, and a record's upload is no stream.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .identity_cache(identity_cache());
        if region.is_some() {
            builder = builder.region(region);
        }
        if config.behavior_version().is_none() {
            builder = builder.behavior_version(BehaviorVersion::latest());
        }
        let config = builder.build();
        let client = Client::from_conf(config.clone());
        Self {
            config,
            current: Arc::new(Mutex::new(Current { client, renewed_at: None, renewals: 0, template: None })),
            cbor: Acceptance::default(),
        }
    }

    pub(crate) fn get(&self) -> Client {
        self.lock().client.clone()
    }

    /// The client, and where to keep what a request of it went out with.
    pub(crate) fn get_to_learn(&self) -> (Client, TemplateKeeper) {
        let current = self.lock();
        let keeper = TemplateKeeper { current: Arc::clone(&self.current), renewals: current.renewals };
        (current.client.clone(), keeper)
    }

    pub(crate) fn template(&self) -> Option<Arc<Template>> {
        self.lock().template.clone()
    }

    pub(crate) fn drop_template(&self) {
        self.lock().template = None;
    }

    /// Whether the endpoint takes CBOR.
    pub(crate) fn cbor(&self) -> &Acceptance {
        &self.cbor
    }

    /// Forgets the credentials; the next request asks for them anew. At most once a second: with sixteen requests in
    /// flight, sixteen replies say that they have expired.
    pub(crate) fn forget_credentials(&self) {
        let now = Instant::now();
        let mut current = self.lock();
        if current.renewed_at.is_some_and(|at| now.saturating_duration_since(at) < RENEWAL_GAP) {
            return;
        }
        tracing::info!("credentials have expired; asking for new ones");
        current.renewed_at = Some(now);
        current.renewals += 1;
        current.template = None;
        current.client = Client::from_conf(self.config.to_builder().identity_cache(identity_cache()).build());
    }

    fn lock(&self) -> MutexGuard<'_, Current> {
        lock(&self.current)
    }
}

/// Where requests of one client leave what they go out with.
pub(crate) struct TemplateKeeper {
    current: Arc<Mutex<Current>>,
    renewals: u64,
}

impl TemplateKeeper {
    /// Keeps it, unless there is another client by now.
    pub(crate) fn keep(&self, template: Template) {
        let mut current = lock(&self.current);
        if current.renewals == self.renewals {
            current.template = Some(Arc::new(template));
        }
    }
}

fn lock(current: &Mutex<Current>) -> MutexGuard<'_, Current> {
    current.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for RenewableClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RenewableClient(..)")
    }
}

/// Settings for the calls that describe the stream: few, cheap, and safe to repeat.
pub(crate) fn describe_overrides() -> Builder {
    let retries =
        RetryConfig::standard().with_max_attempts(3).with_initial_backoff(Duration::from_millis(100));
    let timeouts = TimeoutConfig::builder().operation_attempt_timeout(Duration::from_secs(10)).build();
    Builder::new().retry_config(retries).timeout_config(timeouts)
}

fn identity_cache() -> aws_sdk_kinesis::config::SharedIdentityCache {
    IdentityCache::lazy().load_timeout(CREDENTIALS_TIMEOUT).build()
}

/// Between two renewals.
const RENEWAL_GAP: Duration = Duration::from_secs(1);
/// For all places that may hold credentials together. Asking a metadata service that is not there takes three
/// seconds, a role in another account a round trip or two.
const CREDENTIALS_TIMEOUT: Duration = Duration::from_secs(15);
