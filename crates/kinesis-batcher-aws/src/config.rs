//! Region, credentials and endpoint, from all the usual places, without a runtime.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_config::ecs::EcsCredentialsProvider;
use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::imds;
use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_config::imds::region::ImdsRegionProvider;
use aws_config::meta::region::ProvideRegion;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::retry::RetryConfig;
use aws_config::web_identity_token::WebIdentityTokenCredentialsProvider;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{
    ProvideCredentials, Result as CredentialsResult, SharedCredentialsProvider, future,
};
use aws_smithy_async::rt::sleep::SharedAsyncSleep;
use aws_smithy_async::time::{SharedTimeSource, SystemTimeSource};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};

use crate::connect_error::ConnectError;
use crate::credentials::LastKnown;
use crate::error_chain::deepest_message;
use crate::settings::{Settings, check_endpoint, check_region, text};
use crate::stream_id::StreamId;

/// Where to find the service and who asks, as far as it is not left to the environment and the AWS files.
///
/// Unset options come from where the AWS CLI takes them: environment variables, the files in `~/.aws` with their
/// profiles and SSO sessions, a web identity, the container's or the instance's role. An empty option counts as unset.
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

/// A way to speak HTTP, and timers, as a runtime crate provides them.
#[derive(Clone, Debug)]
pub struct Connectivity {
    /// Opens connections and speaks HTTP and TLS over them.
    pub http_client: SharedHttpClient,
    /// Waits.
    pub sleep: SharedAsyncSleep,
    /// Names the certificates that the HTTP client trusts; [`AwsOptions::load`] fills it in from the settings.
    pub ca_bundle: CaBundle,
}

/// A file of PEM certificates to trust instead of those of the platform: `AWS_CA_BUNDLE`, or `ca_bundle` in a profile.
///
/// Clones share the path. The HTTP client keeps one, and reads the path when it first speaks TLS.
#[derive(Clone, Debug, Default)]
pub struct CaBundle(Arc<OnceLock<PathBuf>>);

impl CaBundle {
    /// Sets the path, unless it is set already.
    pub fn set(&self, path: PathBuf) {
        let _set_before = self.0.set(path);
    }

    /// The path, else that of `AWS_CA_BUNDLE`; `None` means the platform's certificates.
    #[must_use]
    pub fn path(&self) -> Option<PathBuf> {
        let from_environment =
            || std::env::var_os("AWS_CA_BUNDLE").filter(|path| !path.is_empty()).map(PathBuf::from);
        self.0.get().cloned().or_else(from_environment)
    }
}

impl AwsOptions {
    /// Gathers a config for the SDK. Credentials are looked up with the first request, not here.
    ///
    /// A machine with neither region nor credentials is found out in seconds: the instance metadata service, which is
    /// asked last, is given one second and two tries. `docs/AWS_SETTINGS.md` lists each variable and each entry of a
    /// profile with its effect.
    ///
    /// # Errors
    /// [`ConnectError::Setting`] for a variable, an entry of a profile or an option that cannot be used, and
    /// [`ConnectError::NoSuchProfile`] for a profile that is in none of the AWS files.
    pub async fn load(
        &self,
        stream: &StreamId,
        connectivity: Connectivity,
    ) -> Result<SdkConfig, ConnectError> {
        let region = self.region.clone().filter(|region| !region.is_empty());
        let endpoint_url = self.endpoint_url.clone().filter(|url| !url.is_empty());
        region.as_deref().map_or(Ok(()), check_region)?;
        endpoint_url.as_deref().map_or(Ok(()), check_endpoint)?;
        let settings = Settings::read(self).await?;
        if let Some(path) = &settings.ca_bundle {
            connectivity.ca_bundle.set(path.clone());
        }
        let region = match region.or_else(|| settings.region.clone()) {
            Some(region) => Some(Region::new(region)),
            None => self.distant_region(stream, &connectivity, &settings).await?,
        };
        let credentials = match &self.credentials {
            Some(provider) => SharedCredentialsProvider::new(Checked(provider.clone())),
            None => {
                let chain = DefaultChain {
                    imds: connectivity.imds_client(&settings)?,
                    connectivity: connectivity.clone(),
                    region: region.clone(),
                    settings: settings.clone(),
                    asked_for: self.profile.as_ref().is_some_and(|profile| !profile.is_empty()),
                };
                let clock = SharedTimeSource::new(SystemTimeSource::new());
                SharedCredentialsProvider::new(LastKnown::new(Checked(chain), clock))
            }
        };
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(connectivity.http_client)
            .sleep_impl(connectivity.sleep)
            .time_source(SystemTimeSource::new())
            // `AWS_MAX_ATTEMPTS` and `AWS_RETRY_MODE` have no effect on a producer, and the SDK panics on bad values.
            .retry_config(RetryConfig::standard())
            .profile_name(&settings.profile_name)
            .region(NoLookup(region))
            .credentials_provider(credentials);
        if let Some(url) = &endpoint_url {
            loader = loader.endpoint_url(url);
        }
        let config = loader.load().await;
        let settled = SettledEndpoint { config: config.clone(), endpoint_url: settings.endpoint_url };
        Ok(config.to_builder().service_config(settled).build())
    }

    /// The region of the stream's ARN, else of the instance.
    async fn distant_region(
        &self,
        stream: &StreamId,
        connectivity: &Connectivity,
        settings: &Settings,
    ) -> Result<Option<Region>, ConnectError> {
        if let Some(region) = stream.region() {
            return Ok(Some(Region::new(region.to_owned())));
        }
        let instance = ImdsRegionProvider::builder()
            .configure(&connectivity.provider_config())
            .imds_client(connectivity.imds_client(settings)?);
        Ok(instance.build().region().await)
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

    fn imds_client(&self, settings: &Settings) -> Result<imds::Client, ConnectError> {
        let mut client = imds::Client::builder()
            .configure(&self.provider_config())
            .max_attempts(2)
            .connect_timeout(Duration::from_secs(1))
            .read_timeout(Duration::from_secs(1));
        if let Some(url) = &settings.metadata_url {
            client = client.endpoint(url).map_err(|error| ConnectError::Setting {
                name: "the endpoint of the instance metadata service".to_owned(),
                problem: format!("cannot be used: {error}"),
            })?;
        } else if std::env::var_os("AWS_EC2_METADATA_SERVICE_ENDPOINT").is_some() {
            // It is blank, and the SDK would take that for the URL.
            client = client.endpoint(METADATA_URL).expect("the constant is a URL");
        }
        Ok(client.build())
    }
}

/// The endpoint for Kinesis as [`Settings`] resolved it, and the SDK's own answers about the other services.
#[derive(Debug)]
struct SettledEndpoint {
    config: SdkConfig,
    endpoint_url: Option<String>,
}

impl LoadServiceConfig for SettledEndpoint {
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        if key.service_id() == "Kinesis" && key.env() == "AWS_ENDPOINT_URL" {
            return self.endpoint_url.clone();
        }
        let value = self.config.service_config()?.load_config(key)?;
        Some(value).filter(|value| !value.trim().is_empty())
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
    imds: imds::Client,
    region: Option<Region>,
    settings: Settings,
    /// Whether the program named the profile: then its credentials are the only ones.
    asked_for: bool,
}

impl DefaultChain {
    /// The places, in the order of the AWS CLI; a place whose settings are blank is left out.
    fn places(&self) -> Vec<(String, SharedCredentialsProvider)> {
        let config = self
            .connectivity
            .provider_config()
            .with_region(self.region.clone())
            // Without this, a role whose issuer is out of reach would take a minute to fail.
            .with_retry_config(RetryConfig::standard().with_max_attempts(2));
        let name = &self.settings.profile_name;
        let profile = ProfileFileCredentialsProvider::builder().configure(&config).profile_name(name).build();
        let profile = (format!("profile '{name}'"), SharedCredentialsProvider::new(profile));
        if self.asked_for {
            // As with the AWS CLI, a profile that was asked for beats credentials in the environment: records would
            // else go to another account than the one that was named.
            return vec![profile];
        }
        let environment = SharedCredentialsProvider::new(EnvironmentVariableCredentialsProvider::new());
        let mut places = vec![("the environment".to_owned(), environment), profile];
        if self.settings.has_web_identity {
            let provider = WebIdentityTokenCredentialsProvider::builder().configure(&config).build();
            places.push(("the web identity".to_owned(), SharedCredentialsProvider::new(provider)));
        }
        if self.settings.has_container {
            let provider = EcsCredentialsProvider::builder().configure(&config).build();
            places.push(("the container's role".to_owned(), SharedCredentialsProvider::new(provider)));
        }
        let instance = ImdsCredentialsProvider::builder().configure(&config).imds_client(self.imds.clone());
        places.push(("the instance's role".to_owned(), SharedCredentialsProvider::new(instance.build())));
        places
    }

    async fn load(&self) -> CredentialsResult {
        let places = self.places();
        for (place, provider) in &places {
            match provider.provide_credentials().await {
                Err(error @ CredentialsError::CredentialsNotLoaded(_)) if !is_unfinished(&error) => {
                    tracing::debug!(place, "there are no credentials");
                }
                Err(error) => {
                    let cause = self.explain(&deepest_message(&error));
                    return Err(CredentialsError::provider_error(format!("{place}: {cause}")));
                }
                loaded => return loaded,
            }
        }
        let names: Vec<&str> = places.iter().map(|(name, _)| &**name).collect();
        Err(CredentialsError::not_loaded(format!("there are none in {}", names.join(", "))))
    }

    /// The cause in a user's words, where the SDK speaks of features of its crates.
    fn explain(&self, cause: &str) -> String {
        let profile = &self.settings.profile_name;
        if cause.contains("`credentials-login`") {
            return format!(
                "it holds a session of 'aws login', which this program cannot use; run eval \"$(aws configure \
                 export-credentials --profile {profile} --format env)\" first, or give another profile the entry \
                 credential_process = aws configure export-credentials --profile {profile} --format process"
            );
        }
        if cause.contains("`credentials-process`") {
            return "its credential_process cannot be run by this program; run it yourself and give the program its \
                    answer"
                .to_owned();
        }
        cause.to_owned()
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
        f.debug_struct("DefaultChain").field("profile", &self.settings.profile_name).finish_non_exhaustive()
    }
}

/// Whether the profile names a source that is not there: then it was meant, and the places after it were not.
fn is_unfinished(error: &CredentialsError) -> bool {
    deepest_message(error).contains("could not find source profile")
}

/// Credentials that fit into headers, or an error: the SDK panics on a key with a line break.
#[derive(Debug)]
struct Checked<P>(P);

impl<P: ProvideCredentials> Checked<P> {
    async fn load(&self) -> CredentialsResult {
        let credentials = self.0.provide_credentials().await?;
        let account_id = credentials.account_id().map(aws_credential_types::attributes::AccountId::as_str);
        let parts = [
            ("access key id", Some(credentials.access_key_id())),
            ("secret access key", Some(credentials.secret_access_key())),
            ("session token", credentials.session_token()),
            ("account id", account_id),
        ];
        for (part, value) in parts {
            let Some(value) = value else { continue };
            let problem = match text(value) {
                _ if value.trim().is_empty() && part != "session token" => "is empty".to_owned(),
                Ok(()) => continue,
                Err(problem) => problem,
            };
            return Err(CredentialsError::invalid_configuration(format!("the {part} {problem}")));
        }
        Ok(credentials)
    }
}

impl<P: ProvideCredentials> ProvideCredentials for Checked<P> {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.load())
    }

    fn fallback_on_interrupt(&self) -> Option<Credentials> {
        self.0.fallback_on_interrupt()
    }
}

/// Source: the documentation of the instance metadata service, which has this address on every instance.
const METADATA_URL: &str = "http://169.254.169.254";

/// A region that is known, or known to be unknown: nobody is to look for it again.
#[derive(Debug)]
struct NoLookup(Option<Region>);

impl ProvideRegion for NoLookup {
    fn region(&self) -> aws_config::meta::region::future::ProvideRegion<'_> {
        aws_config::meta::region::future::ProvideRegion::ready(self.0.clone())
    }
}
