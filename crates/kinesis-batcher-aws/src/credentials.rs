//! Credentials that outlast an absence of the place they come from.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::credential_feature::AwsCredentialFeature;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, Result as CredentialsResult, future};
use aws_smithy_async::time::SharedTimeSource;

/// A provider whose last credentials stay in use while it has none.
///
/// A credentials file that is just being written, or an STS that is out of reach, is no reason to stop as long as the
/// last credentials have not expired. Those of an instance's metadata service stay in use beyond that, as in all AWS
/// SDKs. The provider is asked again after [`REUSE`].
pub(crate) struct LastKnown<P> {
    provider: P,
    clock: SharedTimeSource,
    last: Mutex<Option<Credentials>>,
}

impl<P: ProvideCredentials> LastKnown<P> {
    pub(crate) fn new(provider: P, clock: SharedTimeSource) -> Self {
        Self { provider, clock, last: Mutex::default() }
    }

    async fn load(&self) -> CredentialsResult {
        match self.provider.provide_credentials().await {
            Ok(credentials) => {
                *self.lock() = Some(credentials.clone());
                Ok(credentials)
            }
            Err(error) => self.reuse(&error).ok_or(error),
        }
    }

    fn reuse(&self, error: &CredentialsError) -> Option<Credentials> {
        let credentials = self.last()?;
        tracing::warn!(
            error = crate::error_chain::deepest_message(error),
            "no credentials were found; the last known ones stay in use"
        );
        Some(credentials)
    }

    /// The last credentials, to be used for a while.
    fn last(&self) -> Option<Credentials> {
        let mut credentials = self.lock().clone()?;
        let now = self.clock.now();
        let again_at = now.checked_add(REUSE)?;
        let expiry = credentials.expiry().filter(|_| !is_of_instance(&credentials)).unwrap_or(again_at);
        *credentials.expiry_mut() = Some(expiry.min(again_at));
        (expiry > now).then_some(credentials)
    }
}

impl<P> LastKnown<P> {
    fn lock(&self) -> MutexGuard<'_, Option<Credentials>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<P: ProvideCredentials> ProvideCredentials for LastKnown<P> {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.load())
    }

    /// For a provider that takes too long.
    fn fallback_on_interrupt(&self) -> Option<Credentials> {
        self.provider.fallback_on_interrupt().or_else(|| self.last())
    }
}

impl<P: fmt::Debug> fmt::Debug for LastKnown<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LastKnown").field(&self.provider).finish()
    }
}

/// Whether they come from the metadata service of an instance (IMDS).
fn is_of_instance(credentials: &Credentials) -> bool {
    let features = credentials.get_property::<Vec<AwsCredentialFeature>>();
    features.is_some_and(|features| features.contains(&AwsCredentialFeature::CredentialsImds))
}

/// How long credentials stay in use before the provider is asked again.
const REUSE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::{SystemTime, UNIX_EPOCH};

    use aws_smithy_async::time::StaticTimeSource;
    use futures::executor::block_on;

    use super::*;

    const NOW: u64 = 1_767_225_600;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[derive(Debug)]
    struct Provider {
        credentials: Credentials,
        is_away: AtomicBool,
    }

    impl ProvideCredentials for Provider {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            future::ProvideCredentials::ready(match self.is_away.load(Ordering::Relaxed) {
                true => Err(CredentialsError::provider_error("away")),
                false => Ok(self.credentials.clone()),
            })
        }
    }

    /// The expiry of what is provided after the provider has gone away.
    fn expiry_while_away(expiry: Option<SystemTime>, is_of_instance: bool) -> Option<SystemTime> {
        let mut credentials = Credentials::new("AKID", "secret", None, expiry, "test");
        if is_of_instance {
            credentials.set_property(vec![AwsCredentialFeature::CredentialsImds]);
        }
        let provider = Provider { credentials, is_away: AtomicBool::new(true) };
        let clock = SharedTimeSource::new(StaticTimeSource::from_secs(NOW));
        let provider = LastKnown::new(provider, clock);
        assert!(block_on(provider.provide_credentials()).is_err(), "there are none yet");
        provider.provider.is_away.store(false, Ordering::Relaxed);
        assert_eq!(block_on(provider.provide_credentials()).unwrap().expiry(), expiry);
        provider.provider.is_away.store(true, Ordering::Relaxed);
        let reused = block_on(provider.provide_credentials()).ok();
        assert_eq!(reused, provider.fallback_on_interrupt(), "the same after a time-out");
        assert!(reused.as_ref().is_none_or(|reused| reused.access_key_id() == "AKID"));
        reused.map(|reused| reused.expiry().expect("they are asked for again"))
    }

    #[test]
    fn the_last_credentials_stay_in_use_until_they_expire() {
        assert_eq!(expiry_while_away(None, false), Some(at(NOW + 60)));
        assert_eq!(expiry_while_away(Some(at(NOW + 3_600)), false), Some(at(NOW + 60)));
        assert_eq!(expiry_while_away(Some(at(NOW + 5)), false), Some(at(NOW + 5)));
        assert_eq!(expiry_while_away(Some(at(NOW)), false), None);
    }

    #[test]
    fn those_of_an_instance_stay_in_use_even_then() {
        assert_eq!(expiry_while_away(Some(at(NOW - 3_600)), true), Some(at(NOW + 60)));
    }
}
