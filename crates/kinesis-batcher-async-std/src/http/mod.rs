//! HTTP over async-io's sockets, for the SDK.
//!
//! There are no background tasks: whoever waits for a reply drives the connection it comes on, and an idle connection
//! rests in the pool. So nothing here needs an executor, and a request costs no wake-up from one task to another.

mod body;
mod connection;
mod connector;
mod destination;
mod dial;
mod error;
mod io;
mod pool;
mod proxy;
#[cfg(test)]
mod tests;
mod tls;
mod within;

use std::sync::Arc;

use aws_smithy_async::rt::sleep::SharedAsyncSleep;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use kinesis_batcher_aws::{CaBundle, Connectivity};

use self::connector::{Connector, Network};
use crate::sleep::AsyncIoSleep;

/// An HTTP client and timers on async-io, for [`AwsOptions::load`](crate::AwsOptions::load) or any other client of the
/// AWS SDK. They need no executor and run wherever they are awaited.
///
/// HTTPS is rustls with the certificates of the [`CaBundle`], else with the root certificates of the platform
/// (`SSL_CERT_FILE` and `SSL_CERT_DIR` are heeded), and goes through the proxy that `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` name, with `CONNECT` over HTTP or HTTPS. Plain HTTP,
/// which emulators and the metadata services of instances and containers speak, never goes through a proxy.
///
/// The protocol is HTTP/1.1. A connection is used again for 60 s after a reply; at most 256 wait for that. A request
/// that a kept connection did not begin to write goes out on another one; one that may have reached the service is
/// never repeated here. Of a name with several addresses, the next one is tried when 250 ms have passed without a
/// connection (RFC 8305). The SDK's connect time-out is for name, TCP, proxy and TLS together; its read time-out is for
/// the time until the head of the reply.
#[must_use]
pub fn connectivity() -> Connectivity {
    let ca_bundle = CaBundle::default();
    Connectivity {
        http_client: SharedHttpClient::new(Http { network: Arc::new(Network::new(ca_bundle.clone())) }),
        sleep: SharedAsyncSleep::new(AsyncIoSleep),
        ca_bundle,
    }
}

/// All connectors share one pool: what they differ in, the time-outs, is no property of a connection.
#[derive(Debug)]
struct Http {
    network: Arc<Network>,
}

impl HttpClient for Http {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        _components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(Connector::new(Arc::clone(&self.network), settings))
    }
}
