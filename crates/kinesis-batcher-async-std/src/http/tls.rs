//! TLS by rustls.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use futures_rustls::TlsConnector;
use futures_rustls::pki_types::ServerName;
use futures_rustls::rustls::crypto::ring;
use futures_rustls::rustls::{self, ClientConfig, RootCertStore};
use kinesis_batcher_aws::CaBundle;

use super::error::DialError;
use super::io::Socket;

/// The TLS client. Certificates are looked for with the first handshake: a machine without any can still reach an
/// emulator. A handshake that finds none fails, and the next one looks again.
pub(super) struct Tls {
    ca_bundle: CaBundle,
    connector: OnceLock<TlsConnector>,
}

impl Tls {
    pub(super) fn new(ca_bundle: CaBundle) -> Self {
        Self { ca_bundle, connector: OnceLock::new() }
    }

    /// Speaks TLS with the server that `host` names, and with no other.
    pub(super) async fn handshake(
        &self,
        host: &str,
        socket: Box<dyn Socket>,
    ) -> Result<Box<dyn Socket>, DialError> {
        let connector = match self.connector.get() {
            Some(connector) => connector,
            None => {
                let roots = roots(self.ca_bundle.path()).map_err(DialError::Setup)?;
                self.connector.get_or_init(|| connector(roots))
            }
        };
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| DialError::Setup(format!("{host} is no name that a certificate can have")))?;
        match connector.connect(name, socket).await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) => Err(refused(host, error)),
        }
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls(..)")
    }
}

/// The certificates to trust.
fn roots(ca_bundle: Option<PathBuf>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let Some(path) = ca_bundle else {
        // Some platforms list certificates that cannot be read; the others will do.
        let (usable, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return if usable == 0 { Err(NO_ROOTS.to_owned()) } else { Ok(roots) };
    };
    let named = format!("the CA bundle {} (AWS_CA_BUNDLE, or ca_bundle in the profile)", path.display());
    let loaded = rustls_native_certs::load_certs_from_paths(Some(&path), None);
    if let Some(error) = loaded.errors.first() {
        return Err(format!("{named} cannot be read: {error}"));
    }
    match roots.add_parsable_certificates(loaded.certs) {
        (0, _) => Err(format!("{named} has no certificate in PEM form")),
        _ => Ok(roots),
    }
}

fn connector(roots: RootCertStore) -> TlsConnector {
    // As for tokio's sockets: one provider, whatever others a program has linked.
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring has cipher suites for the versions that rustls calls safe")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    TlsConnector::from(Arc::new(config))
}

/// What rustls says, with the server's name: its own text leaves open whose certificate it means.
fn refused(host: &str, error: io::Error) -> DialError {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
    match cause {
        Some(rustls::Error::InvalidCertificate(reason)) => DialError::Failed(format!(
            "the certificate of {host} is not accepted: {reason}; if its authority is your own, put it into the file \
             that AWS_CA_BUNDLE or SSL_CERT_FILE names"
        )),
        Some(cause) => DialError::Failed(format!("no TLS with {host}: {cause}")),
        None => DialError::Io(error),
    }
}

const NO_ROOTS: &str = "no root certificates on this machine; install ca-certificates or set SSL_CERT_FILE";
