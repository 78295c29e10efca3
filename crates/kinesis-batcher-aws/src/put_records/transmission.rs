//! Whether a request got as far as the network.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_sdk_kinesis::error::SdkError;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::BeforeTransmitInterceptorContextRef;
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;

use crate::error_chain::deepest_message;

/// Watches one request in the SDK's orchestrator.
///
/// Before it sends anything, the orchestrator asks for credentials, and a time-out of that looks like one of the service.
#[derive(Clone, Debug, Default)]
pub(super) struct Transmission {
    begun: Arc<AtomicBool>,
}

impl Transmission {
    /// The error of that request; a failure to make it, if nothing was sent.
    pub(super) fn error<E>(&self, error: SdkError<E, HttpResponse>) -> SdkError<E, HttpResponse>
    where
        E: std::error::Error + 'static,
    {
        match self.begun.load(Ordering::Relaxed) {
            true => error,
            false => SdkError::construction_failure(deepest_message(&error)),
        }
    }
}

#[dyn_dispatch_hint]
impl Intercept for Transmission {
    fn name(&self) -> &'static str {
        "Transmission"
    }

    fn read_before_transmit(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.begun.store(true, Ordering::Relaxed);
        Ok(())
    }
}
