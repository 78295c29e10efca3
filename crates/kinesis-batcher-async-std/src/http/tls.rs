//! TLS by rustls.

use std::fmt;
use std::io;
use std::sync::{Arc, OnceLock};

use futures_rustls::TlsConnector;
use futures_rustls::pki_types::ServerName;
use futures_rustls::rustls::crypto::ring;
use futures_rustls::rustls::{self, ClientConfig, RootCertStore};

use super::error::DialError;
use super::io::Socket;

/// The TLS client. Root certificates are looked for with the first handshake: a machine without any can still reach an
/// emulator.
pub(super) struct Tls {
    connector: OnceLock<Result<TlsConnector, &'static str>>,
}

impl Tls {
    pub(super) fn with_platform_roots() -> Self {
        Self { connector: OnceLock::new() }
    }

    /// Speaks TLS with the server that `host` names, and with no other.
    pub(super) async fn handshake(
        &self,
        host: &str,
        socket: Box<dyn Socket>,
    ) -> Result<Box<dyn Socket>, DialError> {
        let connector = match self.connector.get_or_init(connector) {
            Ok(connector) => connector,
            Err(reason) => return Err(DialError::Setup((*reason).to_owned())),
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

fn connector() -> Result<TlsConnector, &'static str> {
    let mut roots = RootCertStore::empty();
    // Some platforms list certificates that cannot be read; the others will do.
    let (usable, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if usable == 0 {
        return Err(NO_ROOTS);
    }
    // As for tokio's sockets: one provider, whatever others a program has linked.
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring has cipher suites for the versions that rustls calls safe")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

/// What rustls says, with the server's name: its own text leaves open whose certificate it means.
fn refused(host: &str, error: io::Error) -> DialError {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
    match cause {
        Some(rustls::Error::InvalidCertificate(reason)) => DialError::Failed(format!(
            "the certificate of {host} is not accepted: {reason}; if its authority is your own, put it into the file \
             that SSL_CERT_FILE names"
        )),
        Some(cause) => DialError::Failed(format!("no TLS with {host}: {cause}")),
        None => DialError::Io(error),
    }
}

const NO_ROOTS: &str = "no root certificates on this machine; install ca-certificates or set SSL_CERT_FILE";
