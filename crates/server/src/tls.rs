//! TLS of the listeners: its versions, the certificates that are shown, and the tickets with which clients come back.
//!
//! A certificate can be replaced while the server runs: connections that are open keep what they agreed on, further ones
//! are shown the new one. [`FollowedFiles`] does so when files change.

mod files;
pub(crate) mod vehicles;

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use rustls::CipherSuite::TLS13_AES_128_GCM_SHA256;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{
    ClientHello, NoServerSessionStorage, ParsedCertificate, ResolvesServerCert,
    VerifierBuilderError,
};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{InconsistentKeys, ServerConfig, SupportedProtocolVersion};
use thiserror::Error;

pub use self::files::{
    CertificateError, CertificateFiles, FollowedFiles, FollowedTrust, TrustError, TrustFiles,
};
pub use self::vehicles::{VehicleTrust, VehicleVerifier};

/// TLS of each listener.
pub struct Tls {
    pub(crate) http: Arc<ServerConfig>,
    pub(crate) mqtt: Arc<ServerConfig>,
    pub(crate) vehicles_mqtt: Arc<ServerConfig>,
}

/// The oldest version of TLS that is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OldestVersion {
    /// TLS 1.2, for clients whose library knows nothing newer.
    V12,
    /// TLS 1.3, as the real service.
    V13,
}

/// Why TLS can't be set up.
#[derive(Debug, Error)]
pub enum TlsError {
    /// The library refuses a setting.
    #[error("TLS can't be set up")]
    Settings(#[from] rustls::Error),
    /// The vehicles' authority is none, or its list of revoked certificates.
    #[error("the vehicles' authority, or its list of revoked certificates, can't be used")]
    Authority(#[from] VerifierBuilderError),
}

impl Tls {
    /// Shows `public` to customers, and `vehicles` to vehicles, which have to show a certificate that `verifier` finds good.
    ///
    /// # Errors
    /// [`TlsError`] when the library refuses a setting.
    pub fn new(
        oldest: OldestVersion,
        public: &Arc<CurrentCertificate>,
        vehicles: &Arc<CurrentCertificate>,
        verifier: Arc<VehicleVerifier>,
    ) -> Result<Self, TlsError> {
        let provider = provider();
        let builder = || {
            ServerConfig::builder_with_provider(provider.clone())
                .with_protocol_versions(oldest.and_newer())
        };
        let mut http = builder()?.with_no_client_auth().with_cert_resolver(public.clone());
        http.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let mqtt = builder()?.with_no_client_auth().with_cert_resolver(public.clone());
        let vehicles_mqtt =
            builder()?.with_client_cert_verifier(verifier).with_cert_resolver(vehicles.clone());
        Ok(Self {
            http: with_order_and_tickets(http)?,
            mqtt: with_order_and_tickets(mqtt)?,
            vehicles_mqtt: with_order_and_tickets(vehicles_mqtt)?,
        })
    }
}

impl OldestVersion {
    fn and_newer(self) -> &'static [&'static SupportedProtocolVersion] {
        match self {
            Self::V12 => FROM_12,
            Self::V13 => FROM_13,
        }
    }
}

static FROM_12: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];
static FROM_13: &[&SupportedProtocolVersion] = &[&TLS13];

/// Chooses ciphers in our own order, and lets clients resume with tickets that only they keep. Each listener has keys of
/// its own: a ticket must not carry somebody from one to another, past what that one asks for.
fn with_order_and_tickets(mut config: ServerConfig) -> Result<Arc<ServerConfig>, rustls::Error> {
    config.ignore_client_order = true;
    config.ticketer = aws_lc_rs::Ticketer::new()?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    // Each use brings the next one.
    config.send_tls13_tickets = 1;
    Ok(Arc::new(config))
}

/// What is usual, but AES-128 first, which is as strong as the keys are exchanged: processors have instructions for its
/// SHA-256, and none for the SHA-384 of AES-256, which took a sixth of a connection's time (ADR-0023).
fn provider() -> Arc<CryptoProvider> {
    let mut provider = aws_lc_rs::default_provider();
    provider.cipher_suites.sort_by_key(|suite| suite.suite() != TLS13_AES_128_GCM_SHA256);
    Arc::new(provider)
}

/// A certificate with its chain and its private key, which fit together.
pub struct Certificate {
    key: Arc<CertifiedKey>,
    expires_at: Timestamp,
}

/// Why a certificate and a key can't be used.
#[derive(Debug, Error)]
pub enum UnusableCertificate {
    /// Not the private key of an algorithm that is known.
    #[error("the private key can't be used")]
    Key(#[source] rustls::Error),
    /// Nothing that can be shown.
    #[error("the certificate can't be read")]
    Certificate,
    /// They are not of one pair.
    #[error("the private key is not the certificate's")]
    Mismatch,
}

impl Certificate {
    /// The first of `chain` is the server's own, and `key` is its key; those that vouch for it follow.
    ///
    /// # Errors
    /// [`UnusableCertificate`]: nobody could be shown this.
    pub fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, UnusableCertificate> {
        let key = provider().key_provider.load_private_key(key);
        let key = CertifiedKey::new(chain, key.map_err(UnusableCertificate::Key)?);
        match key.keys_match() {
            Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
            Err(rustls::Error::InconsistentKeys(_)) => return Err(UnusableCertificate::Mismatch),
            Err(_) => return Err(UnusableCertificate::Certificate),
        }
        let expires_at =
            key.cert.first().and_then(expiry).ok_or(UnusableCertificate::Certificate)?;
        Ok(Self { key: Arc::new(key), expires_at })
    }

    /// When it ends.
    pub fn expires_at(&self) -> Timestamp {
        self.expires_at
    }

    /// Whether a client that looks for `host` would take it.
    pub fn is_for(&self, host: &str) -> bool {
        let certificate = self.key.end_entity_cert().and_then(ParsedCertificate::try_from);
        ServerName::try_from(host).is_ok_and(|name| {
            certificate.is_ok_and(|certificate| {
                rustls::client::verify_server_name(&certificate, &name).is_ok()
            })
        })
    }
}

fn expiry(certificate: &CertificateDer<'_>) -> Option<Timestamp> {
    use x509_parser::prelude::{FromDer as _, X509Certificate};
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    Timestamp::from_second(certificate.validity().not_after.timestamp()).ok()
}

/// What new connections are shown.
pub struct CurrentCertificate {
    label: &'static str,
    key: ArcSwap<CertifiedKey>,
}

impl CurrentCertificate {
    /// Shows `certificate`; `label` stands in the metric of when it ends.
    pub fn new(label: &'static str, certificate: &Certificate) -> Arc<Self> {
        let current = Self { label, key: ArcSwap::new(certificate.key.clone()) };
        current.tell_expiry(certificate);
        Arc::new(current)
    }

    /// Shows `certificate` from now on. Connections that are open go on.
    pub fn replace(&self, certificate: &Certificate) {
        self.key.store(certificate.key.clone());
        self.tell_expiry(certificate);
        metrics::counter!("cardata_tls_reloads_total", "outcome" => "replaced").increment(1);
    }

    fn tell_expiry(&self, certificate: &Certificate) {
        // Seconds in a Unix time are far below where a float loses any.
        #[expect(clippy::cast_precision_loss, reason = "exact for 285 million years")]
        let expires_at = certificate.expires_at.as_second() as f64;
        metrics::gauge!("cardata_tls_certificate_expires_at_seconds", "certificate" => self.label)
            .set(expires_at);
    }
}

impl fmt::Debug for CurrentCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CurrentCertificate").field("label", &self.label).finish_non_exhaustive()
    }
}

impl ResolvesServerCert for CurrentCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.key.load_full())
    }
}

#[cfg(test)]
mod tests;
