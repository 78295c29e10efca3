//! Whether a request got as far as the network, and to which endpoint.

use std::sync::{Arc, OnceLock};

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_kinesis::error::SdkError;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::BeforeTransmitInterceptorContextRef;
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;

use super::call_error::{CallError, endpoint};
use crate::error_chain::{deepest_message, find_in_chain};

/// Watches one request in the SDK's orchestrator.
///
/// Before it sends anything, the orchestrator asks for credentials, and a time-out of that looks like one of the service.
#[derive(Clone, Debug, Default)]
pub(super) struct Transmission {
    /// Set once the request is on its way.
    endpoint: Arc<OnceLock<String>>,
}

impl Transmission {
    /// The error of that request.
    pub(super) fn error<E>(&self, error: &SdkError<E, HttpResponse>) -> CallError
    where
        E: std::error::Error + 'static,
    {
        match self.endpoint.get() {
            Some(endpoint) => CallError::of_sent(endpoint, error),
            None if is_about_credentials(error) => CallError::NoCredentials(deepest_message(error)),
            None => CallError::NotSent(deepest_message(error)),
        }
    }
}

/// Before a request is sent, only the credentials are waited for.
fn is_about_credentials<E>(error: &SdkError<E, HttpResponse>) -> bool
where
    E: std::error::Error + 'static,
{
    matches!(error, SdkError::TimeoutError(_)) || find_in_chain::<CredentialsError>(error).is_some()
}

#[dyn_dispatch_hint]
impl Intercept for Transmission {
    fn name(&self) -> &'static str {
        "Transmission"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let _ = self.endpoint.set(endpoint(context.request().uri()));
        Ok(())
    }
}
