//! Which certificates a generator's clients take: those of the target's authority, each of them checked once. Clients in
//! the field are machines of their own; here, checking the same chain for each would take longer than the server's part.

use std::sync::{Arc, OnceLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, Error, SignatureScheme};

/// Remembers the certificate that was found good first, and whose it is. That its key is there is asked each time.
#[derive(Debug)]
pub(crate) struct Remembering {
    inner: Arc<WebPkiServerVerifier>,
    good: OnceLock<(CertificateDer<'static>, ServerName<'static>)>,
}

impl Remembering {
    pub(crate) fn new(inner: Arc<WebPkiServerVerifier>) -> Arc<Self> {
        Arc::new(Self { inner, good: OnceLock::new() })
    }
}

impl ServerCertVerifier for Remembering {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Some((certificate, name)) = self.good.get()
            && certificate == end_entity
            && name == server_name
        {
            return Ok(ServerCertVerified::assertion());
        }
        let verified = self.inner.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        )?;
        // Another thread may have been quicker, with as good a one.
        let _ = self.good.set((end_entity.clone().into_owned(), server_name.to_owned()));
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    use rustls::RootCertStore;
    use rustls::crypto::aws_lc_rs;

    use super::*;

    #[test]
    fn what_was_found_good_is_good_for_that_name_only_and_nothing_else_is() {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = params.self_signed(&key).unwrap();
        let issuer = Issuer::new(params, key);
        let of = |name: &str, issuer: &Issuer<'_, KeyPair>| {
            let params = CertificateParams::new([name.to_owned()]).unwrap();
            params.signed_by(&KeyPair::generate().unwrap(), issuer).unwrap().der().clone()
        };
        let mut roots = RootCertStore::empty();
        roots.add(authority.der().clone()).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
        let verifier = Remembering::new(inner.build().unwrap());
        let is_good = |certificate: &CertificateDer<'_>, name: &'static str| {
            let name = ServerName::try_from(name).unwrap();
            verifier.verify_server_cert(certificate, &[], &name, &[], UnixTime::now()).is_ok()
        };
        let good = of("localhost", &issuer);
        for _ in 0..2 {
            assert!(is_good(&good, "localhost"));
        }
        assert!(!is_good(&good, "elsewhere"));
        let stranger = KeyPair::generate().unwrap();
        let stranger = Issuer::new(CertificateParams::default(), stranger);
        assert!(!is_good(&of("localhost", &stranger), "localhost"));
        assert!(is_good(&of("localhost", &issuer), "localhost"), "another of the authority's");
    }
}
