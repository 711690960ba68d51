//! Whether a vehicle's certificate is good: who vouches for it, and who revoked it. Both can be replaced while the server
//! runs.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore,
    SignatureScheme,
};

use super::{TlsError, provider};

/// Whom to believe about vehicles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VehicleTrust {
    /// The authorities that vouch for vehicles.
    pub authorities: Vec<CertificateDer<'static>>,
    /// What they revoked. Where there is any list, there must be one of each authority that issued a vehicle's
    /// certificate: a certificate of which nobody says that it was not revoked is refused. Without a list, none is revoked.
    pub revocation_lists: Vec<CertificateRevocationListDer<'static>>,
}

/// Asks vehicles for a certificate, and looks whether it is good.
#[derive(Debug)]
pub struct VehicleVerifier(ArcSwap<Current>);

/// A verifier behind a pointer that can be swapped, which needs a type of a known size.
#[derive(Debug)]
struct Current(Arc<dyn ClientCertVerifier>);

impl VehicleVerifier {
    /// Believes `trust`.
    ///
    /// # Errors
    /// [`TlsError`]: it holds something that is no authority, or no list of revoked certificates.
    pub fn new(trust: VehicleTrust) -> Result<Arc<Self>, TlsError> {
        Ok(Arc::new(Self(ArcSwap::from_pointee(Current::new(trust)?))))
    }

    /// Believes `trust` from now on. Open connections go on.
    ///
    /// # Errors
    /// As [`VehicleVerifier::new`]; what was believed is believed further on.
    pub fn replace(&self, trust: VehicleTrust) -> Result<(), TlsError> {
        self.0.store(Arc::new(Current::new(trust)?));
        Ok(())
    }

    /// Looks at a certificate that is followed by those that vouch for it.
    pub(crate) fn check(&self, chain: &[CertificateDer<'_>], now: Timestamp) -> Result<(), Error> {
        let [own, others @ ..] = chain else { return Err(Error::NoCertificatesPresented) };
        let since_1970 = Duration::from_secs(u64::try_from(now.as_second()).unwrap_or_default());
        let now = UnixTime::since_unix_epoch(since_1970);
        self.0.load().0.verify_client_cert(own, others, now).map(drop)
    }
}

impl Current {
    fn new(trust: VehicleTrust) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        for authority in trust.authorities {
            roots.add(authority)?;
        }
        let has_lists = !trust.revocation_lists.is_empty();
        let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
            .with_crls(trust.revocation_lists)
            .only_check_end_entity_revocation()
            // They would be those of the start; a vehicle has one certificate to show anyway.
            .clear_root_hint_subjects();
        if !has_lists {
            builder = builder.allow_unknown_revocation_status();
        }
        Ok(Self(builder.build()?))
    }
}

impl ClientCertVerifier for VehicleVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.0.load().0.verify_client_cert(end_entity, intermediates, now).inspect_err(tell)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.load().0.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.load().0.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.load().0.supported_verify_schemes()
    }
}

/// Counts a certificate that is not good.
pub(crate) fn tell(error: &Error) {
    let reason = match error {
        Error::InvalidCertificate(error) => match error {
            CertificateError::Revoked => "revoked",
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => "expired",
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "not_yet_good"
            }
            CertificateError::UnknownIssuer | CertificateError::BadSignature => "foreign",
            CertificateError::UnknownRevocationStatus => "no_revocation_list",
            _ => "unusable",
        },
        _ => "unusable",
    };
    metrics::counter!("cardata_vehicle_certificates_refused_total", "reason" => reason)
        .increment(1);
}
