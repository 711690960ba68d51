//! HTTPS to servers that one CA vouches for, with limits on time and size.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::RETRY_AFTER;
use reqwest::{Client, Method, RequestBuilder, Response, redirect};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier};
use rustls_platform_verifier::BuilderVerifierExt as _;
use serde::de::DeserializeOwned;
use thiserror::Error;

const CONNECT_WITHIN: Duration = Duration::from_secs(5);
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// Bytes of an answer that are read; no answer of the service comes near it.
const ANSWER_LENGTH_MAX: usize = 16 << 20;

/// Sends requests. Copies share their connections.
#[derive(Debug, Clone)]
pub struct Http {
    client: Client,
}

/// Why no requests can be sent at all.
#[derive(Debug, Error)]
pub enum TrustError {
    /// The CA file can't be read.
    #[error("cannot read the CA certificate {}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The CA file has no certificate in PEM form.
    #[error("{} holds no certificate in PEM form", .0.display())]
    NoCertificate(PathBuf),
    /// A certificate of the file can't be a root of trust.
    #[error("a certificate in {} can't be used as a CA", .path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: rustls::Error,
    },
    /// TLS can't be set up.
    #[error("cannot set up TLS")]
    Tls(#[from] rustls::Error),
    /// The HTTP client can't be set up.
    #[error("cannot set up the HTTP client")]
    Client(#[from] reqwest::Error),
}

/// A request got no answer: no connection, no trust, or no end in time.
#[derive(Debug)]
pub struct TransportError(Cause);

#[derive(Debug, Error)]
enum Cause {
    #[error(transparent)]
    Request(reqwest::Error),
    #[error("the answer is longer than {ANSWER_LENGTH_MAX} bytes")]
    TooLong,
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no answer from the server")
    }
}

impl Error for TransportError {
    /// The innermost cause: the layers between it and the request only say that there is one.
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        let mut innermost: &(dyn Error + 'static) = &self.0;
        while let Some(cause) = innermost.source() {
            innermost = cause;
        }
        Some(innermost)
    }
}

impl Http {
    /// Requests to servers whose certificate comes from a CA in `ca_file` (PEM); no other is trusted, and proxies of the
    /// environment are not used.
    ///
    /// # Errors
    /// [`TrustError`] when the file gives no CA.
    pub fn trusting_only(ca_file: &Path) -> Result<Self, TrustError> {
        Self::over(tls_trusting(trusted_roots(ca_file)?)?)
    }

    /// Requests to servers without TLS, such as the operator's listener; no certificate at all is trusted.
    ///
    /// # Errors
    /// [`TrustError`] when the HTTP client can't be set up.
    pub fn without_tls() -> Result<Self, TrustError> {
        Self::over(tls_trusting(RootCertStore::empty())?)
    }

    /// Requests over `tls`, which says whose certificates are good; proxies of the environment are not used.
    ///
    /// # Errors
    /// [`TrustError`] when the HTTP client can't be set up.
    pub fn over(tls: ClientConfig) -> Result<Self, TrustError> {
        let client = Client::builder()
            .tls_backend_preconfigured(tls)
            .connect_timeout(CONNECT_WITHIN)
            .timeout(ANSWER_WITHIN)
            // A redirected request would carry its token to wherever it is sent.
            .redirect(redirect::Policy::none())
            .no_proxy()
            .build()?;
        Ok(Self { client })
    }

    pub(crate) fn get(&self, url: &str) -> RequestBuilder {
        self.client.get(url)
    }

    pub(crate) fn post(&self, url: &str) -> RequestBuilder {
        self.client.post(url)
    }

    pub(crate) fn request(&self, method: Method, url: &str) -> RequestBuilder {
        self.client.request(method, url)
    }

    pub(crate) fn delete(&self, url: &str) -> RequestBuilder {
        self.client.delete(url)
    }
}

/// TLS to servers whose certificate comes from a CA in `ca_file` (PEM), or, without one, from one that this system trusts.
///
/// # Errors
/// [`TrustError`] when the file gives no CA, or the system tells none.
pub fn tls(ca_file: Option<&Path>) -> Result<ClientConfig, TrustError> {
    match ca_file {
        Some(file) => tls_trusting(trusted_roots(file)?),
        None => Ok(tls_builder()?.with_platform_verifier()?.with_no_client_auth()),
    }
}

fn tls_trusting(roots: RootCertStore) -> Result<ClientConfig, TrustError> {
    Ok(tls_builder()?.with_root_certificates(roots).with_no_client_auth())
}

fn tls_builder() -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, TrustError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    Ok(ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?)
}

/// The CAs in `ca_file` (PEM), for connections of other kinds to the same servers.
///
/// # Errors
/// [`TrustError`] when there is none.
pub fn trusted_roots(ca_file: &Path) -> Result<RootCertStore, TrustError> {
    let path = || ca_file.to_owned();
    let pem = std::fs::read(ca_file).map_err(|source| TrustError::Read { path: path(), source })?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|_| TrustError::NoCertificate(path()))?;
        roots.add(certificate).map_err(|source| TrustError::Unusable { path: path(), source })?;
    }
    if roots.is_empty() { Err(TrustError::NoCertificate(path())) } else { Ok(roots) }
}

/// An answer that came in whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<Duration>,
    body: Vec<u8>,
}

impl Answer {
    pub(crate) async fn to(request: RequestBuilder) -> Result<Self, TransportError> {
        Self::of(request.send().await.map_err(failed)?).await
    }

    pub(crate) async fn of(mut response: Response) -> Result<Self, TransportError> {
        let (status, retry_after) = (response.status().as_u16(), retry_after(&response));
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > ANSWER_LENGTH_MAX {
                return Err(TransportError(Cause::TooLong));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Self { status, retry_after, body })
    }

    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    pub(crate) fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.body).ok()
    }

    pub(crate) fn json<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(&self.body).ok()
    }
}

/// A request that failed. Addresses have VINs and codes in them, which errors must not repeat.
pub(crate) fn failed(error: reqwest::Error) -> TransportError {
    TransportError(Cause::Request(error.without_url()))
}

/// The header's form in seconds; its other one, a date, is never sent here.
fn retry_after(response: &Response) -> Option<Duration> {
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trust(ca_file: &str) -> Result<Http, TrustError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        std::fs::write(&path, ca_file).unwrap();
        Http::trusting_only(&path)
    }

    #[test]
    fn only_a_file_with_a_certificate_is_a_ca() {
        let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        assert!(trust(&key.cert.pem()).is_ok());
        assert!(matches!(trust(""), Err(TrustError::NoCertificate(_))));
        assert!(matches!(
            trust(&key.signing_key.serialize_pem()),
            Err(TrustError::NoCertificate(_))
        ));
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(matches!(trust(broken), Err(TrustError::Unusable { .. })));
        let missing = Http::trusting_only(Path::new("/nonexistent/ca.pem"));
        assert!(matches!(missing, Err(TrustError::Read { .. })));
    }
}
