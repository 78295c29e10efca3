//! A certificate authority that lives as long as a test.

use std::fmt;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// A certificate authority with a key made for the occasion. Nobody trusts it who has not been given its
/// [certificate](Self::pem).
pub struct TestAuthority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl TestAuthority {
    /// A new authority, different from any other.
    ///
    /// # Panics
    /// When the operating system has no random numbers.
    #[must_use]
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect(HAS_RANDOM_NUMBERS);
        // Named after its key: clients tell authorities apart by name and would take one for the other.
        let name: String = key.public_key_raw().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        params.distinguished_name.push(DnType::CommonName, format!("test authority {name}"));
        let certificate = params.self_signed(&key).expect("the parameters are those of an authority");
        Self { pem: certificate.pem(), issuer: Issuer::new(params, key) }
    }

    /// Its certificate, for whoever shall trust it.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A certificate for a host name or an IP address, and its key.
    pub(super) fn issue(&self, host: &str) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        let params = CertificateParams::new(vec![host.to_owned()]).expect("the host is a name or an address");
        let key = KeyPair::generate().expect(HAS_RANDOM_NUMBERS);
        let certificate = params.signed_by(&key, &self.issuer).expect("the issuer may sign");
        (certificate.der().clone(), PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())))
    }
}

impl Default for TestAuthority {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for TestAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TestAuthority(..)")
    }
}

const HAS_RANDOM_NUMBERS: &str = "the operating system has random numbers";
