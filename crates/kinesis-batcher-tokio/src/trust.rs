//! The certificates to trust.

use kinesis_batcher_aws::CaBundle;
use tokio_rustls::rustls::RootCertStore;

/// The certificates of the bundle, else those of the platform.
///
/// # Errors
/// One line that names the file, or says that the platform has none.
pub(crate) fn roots(ca_bundle: &CaBundle) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let Some(path) = ca_bundle.path() else {
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
        (_, 0) => Ok(roots),
        (_, _) => Err(format!("{named} has a certificate that cannot be read")),
    }
}

const NO_ROOTS: &str = "no root certificates on this machine; install ca-certificates or set SSL_CERT_FILE";
