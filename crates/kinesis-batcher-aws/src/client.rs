//! The SDK's client, and its renewal when credentials are refused.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::retry::RetryConfig;
use aws_sdk_kinesis::config::{Builder, Config, IdentityCache, Region, StalledStreamProtectionConfig};
use kinesis_batcher_driver::ServiceError;

use crate::clock::{Measure, ServiceClock};
use crate::put_records::{Acceptance, Template};

/// A client whose credentials can be forgotten.
///
/// The SDK keeps credentials until the time they say they expire at, and those without such a time for 15 minutes. When
/// the service refuses them before that (a rotated key, a revoked session), it would go on with them; so the cache is
/// replaced. Connections live in the HTTP client and stay open. The clock stays, too.
pub(crate) struct RenewableClient {
    config: Config,
    clock: ServiceClock,
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
        let mut builder = Builder::from(config);
        let is_clock_fixed = config.disable_clock_skew_correction().unwrap_or(false);
        let clock = ServiceClock::new(config.time_source().unwrap_or_default(), is_clock_fixed);
        builder = builder
            // One retry policy, the core's.
            .retry_config(RetryConfig::disabled())
            // The driver's time-out covers it, and a record's upload is no stream.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .identity_cache(identity_cache())
            .time_source(clock.clone())
            // The SDK's own correction would come on top of the clock's, and is lost with each client.
            .disable_clock_skew_correction(true)
            .interceptor(Measure(clock.clone()));
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
            clock,
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
        let keeper = TemplateKeeper {
            current: Arc::clone(&self.current),
            renewals: current.renewals,
            kept: Arc::default(),
        };
        (current.client.clone(), keeper)
    }

    pub(crate) fn template(&self) -> Option<Arc<Template>> {
        self.lock().template.clone()
    }

    /// Drops this template, and no other.
    pub(crate) fn drop_template(&self, template: &Arc<Template>) {
        self.lock().drop_template(template);
    }

    /// Whether the endpoint takes CBOR.
    pub(crate) fn cbor(&self) -> &Acceptance {
        &self.cbor
    }

    pub(crate) fn clock(&self) -> &ServiceClock {
        &self.clock
    }

    /// How many clients there were before the present one.
    pub(crate) fn renewals(&self) -> u64 {
        self.lock().renewals
    }

    /// Forgets the credentials that a request of the client after so many renewals was refused with; the next request
    /// asks for them anew.
    ///
    /// With sixteen requests in flight, sixteen replies say the same; one of them renews the client. Refusals of the
    /// renewed one count once `gap` has passed.
    pub(crate) fn forget_credentials(&self, renewals: u64, gap: Duration, refusal: &ServiceError) {
        let now = Instant::now();
        let mut current = self.lock();
        let is_early = current.renewed_at.is_some_and(|at| now.saturating_duration_since(at) < gap);
        if current.renewals != renewals || is_early {
            return;
        }
        current.renewed_at = Some(now);
        current.renewals += 1;
        current.template = None;
        current.client = Client::from_conf(self.config.to_builder().identity_cache(identity_cache()).build());
        drop(current);
        tracing::info!(
            code = refusal.code().as_str(),
            request_id = refusal.request_id(),
            "the service refuses the credentials; they are loaded again"
        );
    }

    fn lock(&self) -> MutexGuard<'_, Current> {
        lock(&self.current)
    }
}

impl Current {
    fn drop_template(&mut self, template: &Arc<Template>) {
        if self.template.as_ref().is_some_and(|current| Arc::ptr_eq(current, template)) {
            self.template = None;
        }
    }
}

/// Where a request of one client leaves what it goes out with.
#[derive(Clone)]
pub(crate) struct TemplateKeeper {
    current: Arc<Mutex<Current>>,
    renewals: u64,
    kept: Arc<OnceLock<Arc<Template>>>,
}

impl TemplateKeeper {
    /// Keeps it, unless there is another client by now.
    pub(crate) fn keep(&self, template: Template) {
        let template = self.kept.get_or_init(|| Arc::new(template));
        let mut current = lock(&self.current);
        if current.renewals == self.renewals {
            current.template = Some(Arc::clone(template));
        }
    }

    /// Drops what was kept here, unless another request has replaced it.
    pub(crate) fn drop_kept(&self) {
        if let Some(template) = self.kept.get() {
            lock(&self.current).drop_template(template);
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

fn identity_cache() -> aws_sdk_kinesis::config::SharedIdentityCache {
    IdentityCache::lazy().load_timeout(CREDENTIALS_TIMEOUT).build()
}

/// For all places that may hold credentials together. Asking a metadata service that is not there takes three
/// seconds, a role in another account a round trip or two.
const CREDENTIALS_TIMEOUT: Duration = Duration::from_secs(15);
