//! HTTP over tokio's sockets, for the SDK.

use std::error::Error;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use kinesis_batcher_aws::{CaBundle, Connectivity, NotConnected};

use crate::HttpVersion;
use crate::https::Https;
use crate::proxies::Proxies;
use crate::trust::roots;

/// An HTTP client and timers on tokio, for [`AwsOptions::load`](crate::AwsOptions::load).
///
/// HTTPS is rustls with the certificates of the [`CaBundle`], else with the root certificates of the platform
/// (`SSL_CERT_FILE` and `SSL_CERT_DIR` are heeded), speaks HTTP/1.1, and goes through the proxy that `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` name. Plain HTTP, which emulators
/// and the metadata services of instances and containers speak, never goes through a proxy.
#[must_use]
pub fn connectivity() -> Connectivity {
    connectivity_over(HttpVersion::default())
}

/// The same with another version of HTTP over TLS.
#[must_use]
pub fn connectivity_over(version: HttpVersion) -> Connectivity {
    let ca_bundle = CaBundle::default();
    let http = Http {
        version,
        ca_bundle: ca_bundle.clone(),
        proxies: Arc::new(Proxies::from_environment()),
        connectors: Mutex::default(),
    };
    Connectivity {
        http_client: SharedHttpClient::new(http),
        sleep: SharedAsyncSleep::new(TokioSleep::new()),
        ca_bundle,
    }
}

/// Keeps a connector, and with it a pool of connections, for each pair of time-outs. The SDK's calls use few.
#[derive(Debug)]
struct Http {
    version: HttpVersion,
    ca_bundle: CaBundle,
    proxies: Arc<Proxies>,
    connectors: Mutex<Vec<(Timeouts, SharedHttpConnector)>>,
}

/// To connect, and to read.
type Timeouts = (Option<Duration>, Option<Duration>);

impl HttpClient for Http {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let timeouts = (settings.connect_timeout(), settings.read_timeout());
        let mut connectors = self.connectors.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, connector)) = connectors.iter().find(|(known, _)| *known == timeouts) {
            return connector.clone();
        }
        let connector = SharedHttpConnector::new(BothSchemes {
            settings: settings.clone(),
            sleep: components.sleep_impl(),
            version: self.version,
            ca_bundle: self.ca_bundle.clone(),
            proxies: Arc::clone(&self.proxies),
            plain: OnceLock::new(),
            secure: OnceLock::new(),
        });
        connectors.push((timeouts, connector.clone()));
        connector
    }
}

/// A connector that looks for root certificates only when TLS is spoken: a machine without any can still reach an
/// emulator. It looks again with the next request until there are some.
#[derive(Debug)]
struct BothSchemes {
    settings: HttpConnectorSettings,
    sleep: Option<SharedAsyncSleep>,
    version: HttpVersion,
    ca_bundle: CaBundle,
    proxies: Arc<Proxies>,
    plain: OnceLock<Connector>,
    secure: OnceLock<Https>,
}

impl HttpConnector for BothSchemes {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        if !request.uri().starts_with("https:") {
            return call(self.plain.get_or_init(|| self.plain()), request, None);
        }
        match self.proxies.check(request.uri()).and_then(|()| self.secure()) {
            Ok(connector) => call(connector, request, Some(Arc::clone(&self.proxies))),
            Err(problem) => {
                HttpConnectorFuture::ready(Err(ConnectorError::user(NotConnected::new(problem).into())))
            }
        }
    }
}

impl BothSchemes {
    fn secure(&self) -> Result<&Https, String> {
        if let Some(connector) = self.secure.get() {
            return Ok(connector);
        }
        let roots = roots(&self.ca_bundle)?;
        Ok(self.secure.get_or_init(|| Https::new(&self.settings, roots, self.version)))
    }

    fn plain(&self) -> Connector {
        let tls = TlsContext::builder().with_trust_store(TrustStore::empty()).build();
        let mut builder = Connector::builder()
            .connector_settings(self.settings.clone())
            .proxy_config(ProxyConfig::disabled())
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .tls_context(tls.expect("a context with nothing but roots is always valid"));
        builder.set_sleep_impl(self.sleep.clone());
        builder.build()
    }
}

fn call(
    connector: &dyn HttpConnector,
    request: HttpRequest,
    proxies: Option<Arc<Proxies>>,
) -> HttpConnectorFuture {
    let url = request.uri().to_owned();
    let response = connector.call(request);
    HttpConnectorFuture::new(
        async move { response.await.map_err(|error| mark(error, &url, proxies.as_deref())) },
    )
}

/// Marks errors of requests that never had a connection.
fn mark(error: ConnectorError, url: &str, proxies: Option<&Proxies>) -> ConnectorError {
    if !failed_to_connect(&error) {
        return error;
    }
    let is_timeout = error.is_timeout();
    let marked = match proxies.and_then(|proxies| proxies.explain(url, &error)) {
        Some(explained) => NotConnected::new(explained),
        None => NotConnected::new(error.into_source()),
    };
    match is_timeout {
        true => ConnectorError::timeout(marked.into()),
        false => ConnectorError::io(marked.into()),
    }
}

fn failed_to_connect(error: &(dyn Error + 'static)) -> bool {
    std::iter::successors(Some(error), |&error| error.source())
        .find_map(|error| error.downcast_ref::<hyper_util::client::legacy::Error>())
        .is_some_and(hyper_util::client::legacy::Error::is_connect)
}
