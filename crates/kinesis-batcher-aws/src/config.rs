//! Region, credentials and endpoint, from all the usual places, without a runtime.

use std::fmt;
use std::time::Duration;

use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::environment::region::EnvironmentVariableRegionProvider;
use aws_config::imds;
use aws_config::imds::region::ImdsRegionProvider;
use aws_config::meta::region::{ProvideRegion, RegionProviderChain};
use aws_config::profile::{ProfileFileCredentialsProvider, ProfileFileRegionProvider};
use aws_config::provider_config::ProviderConfig;
use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::{
    ProvideCredentials, Result as CredentialsResult, SharedCredentialsProvider, future,
};
use aws_smithy_async::rt::sleep::SharedAsyncSleep;
use aws_smithy_async::time::{SharedTimeSource, SystemTimeSource};
use aws_smithy_runtime_api::client::http::SharedHttpClient;

use crate::credentials::LastKnown;
use crate::stream_id::StreamId;

/// Where to find the service and who asks, as far as it is not left to the environment and the AWS files.
///
/// Whatever is unset comes from where the AWS CLI takes it: environment variables, the files in `~/.aws` with their
/// profiles and SSO sessions, a web identity, the container's or the instance's role.
#[derive(Clone, Debug, Default)]
pub struct AwsOptions {
    /// The region; else `AWS_REGION`, `AWS_DEFAULT_REGION`, the profile's, that of the stream's ARN, the instance's.
    pub region: Option<String>,
    /// The profile, whose credentials are then taken whatever the environment has; else `AWS_PROFILE`, else `default`,
    /// after the credentials of the environment.
    pub profile: Option<String>,
    /// The endpoint; else `AWS_ENDPOINT_URL_KINESIS`, `AWS_ENDPOINT_URL`, the profile's, the service's own.
    pub endpoint_url: Option<String>,
    /// Credentials of the program's own; else the default chain.
    pub credentials: Option<SharedCredentialsProvider>,
}

/// What a runtime brings along: a way to speak HTTP, and timers.
#[derive(Clone, Debug)]
pub struct Connectivity {
    /// Opens connections and speaks HTTP and TLS over them.
    pub http_client: SharedHttpClient,
    /// Waits.
    pub sleep: SharedAsyncSleep,
}

impl AwsOptions {
    /// Gathers a config for the SDK. Credentials are looked up with the first request, not here.
    ///
    /// A machine with neither region nor credentials is found out in seconds: the instance metadata service, which is
    /// asked last, is given one second and two tries.
    pub async fn load(&self, stream: &StreamId, connectivity: Connectivity) -> SdkConfig {
        let region = self.region(stream, &connectivity).await;
        let default_chain = || DefaultChain {
            connectivity: connectivity.clone(),
            region: region.clone(),
            profile: self.profile.clone(),
        };
        let clock = SharedTimeSource::new(SystemTimeSource::new());
        let credentials = self
            .credentials
            .clone()
            .unwrap_or_else(|| SharedCredentialsProvider::new(LastKnown::new(default_chain(), clock)));
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(connectivity.http_client)
            .sleep_impl(connectivity.sleep)
            .time_source(SystemTimeSource::new())
            .region(NoLookup(region))
            .credentials_provider(credentials);
        if let Some(profile) = &self.profile {
            loader = loader.profile_name(profile);
        }
        if let Some(url) = &self.endpoint_url {
            loader = loader.endpoint_url(url);
        }
        loader.load().await
    }

    async fn region(&self, stream: &StreamId, connectivity: &Connectivity) -> Option<Region> {
        if let Some(region) = &self.region {
            return Some(Region::new(region.clone()));
        }
        let config = connectivity.provider_config();
        let mut profile = ProfileFileRegionProvider::builder().configure(&config);
        if let Some(name) = &self.profile {
            profile = profile.profile_name(name);
        }
        let arn_region = stream.region().map(|region| Region::new(region.to_owned()));
        let instance =
            ImdsRegionProvider::builder().configure(&config).imds_client(connectivity.imds_client());
        RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
            .or_else(profile.build())
            .or_else(NoLookup(arn_region))
            .or_else(instance.build())
            .region()
            .await
    }
}

impl Connectivity {
    fn provider_config(&self) -> ProviderConfig {
        ProviderConfig::without_region()
            .with_http_client(self.http_client.clone())
            .with_sleep_impl(self.sleep.clone())
            .with_time_source(SystemTimeSource::new())
            .with_behavior_version(Some(BehaviorVersion::latest()))
    }

    fn imds_client(&self) -> imds::Client {
        imds::Client::builder()
            .configure(&self.provider_config())
            .max_attempts(2)
            .connect_timeout(Duration::from_secs(1))
            .read_timeout(Duration::from_secs(1))
            .build()
    }
}

/// The default chain of credentials, built anew each time it is asked.
///
/// The SDK's chain reads the files in `~/.aws` once in its life; a producer lives longer than a session, and what
/// `aws sso login` or a sidecar writes there must be seen. The client caches what this provides, so it is asked when
/// credentials expire and not for each request.
#[derive(Clone)]
struct DefaultChain {
    connectivity: Connectivity,
    region: Option<Region>,
    profile: Option<String>,
}

impl DefaultChain {
    async fn load(&self) -> CredentialsResult {
        let config = self
            .connectivity
            .provider_config()
            .with_region(self.region.clone())
            // Without this, a role whose issuer is out of reach would take a minute to fail.
            .with_retry_config(RetryConfig::standard().with_max_attempts(2));
        if let Some(profile) = &self.profile {
            // As with the AWS CLI, a profile that was asked for beats credentials in the environment: records would
            // else go to another account than the one that was named.
            let provider = ProfileFileCredentialsProvider::builder().configure(&config).profile_name(profile);
            return provider.build().provide_credentials().await;
        }
        let chain = DefaultCredentialsChain::builder()
            .configure(config)
            .imds_client(self.connectivity.imds_client())
            .region(NoLookup(self.region.clone()));
        chain.build().await.provide_credentials().await
    }
}

impl ProvideCredentials for DefaultChain {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.load())
    }
}

impl fmt::Debug for DefaultChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DefaultChain").field("profile", &self.profile).finish_non_exhaustive()
    }
}

/// A region that is known, or known to be unknown: nobody is to look for it again.
#[derive(Debug)]
struct NoLookup(Option<Region>);

impl ProvideRegion for NoLookup {
    fn region(&self) -> aws_config::meta::region::future::ProvideRegion<'_> {
        aws_config::meta::region::future::ProvideRegion::ready(self.0.clone())
    }
}
