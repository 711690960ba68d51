//! A certificate, and whom to believe about vehicles, from files that somebody else renews.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use thiserror::Error;

use super::{
    Certificate, CurrentCertificate, TlsError, UnusableCertificate, VehicleTrust, VehicleVerifier,
};

/// Where a certificate and its key are, both in PEM form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The server's own certificate first, then those that vouch for it.
    pub certificate: PathBuf,
    /// Its private key, without a password.
    pub key: PathBuf,
}

/// Why files give no certificate.
#[derive(Debug, Error)]
pub enum CertificateError {
    /// A file can't be read.
    #[error("{} can't be read", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// No certificate in PEM form.
    #[error("{} holds no certificate in PEM form, or a damaged one", .0.display())]
    NoCertificate(PathBuf),
    /// No private key in PEM form.
    #[error("{} holds no private key in PEM form, or a damaged one", .0.display())]
    NoKey(PathBuf),
    /// A private key under a password, which nobody is there to type.
    #[error("the private key in {} is protected by a password; take that off", .0.display())]
    EncryptedKey(PathBuf),
    /// Not the private key of an algorithm that is known.
    #[error("the private key in {} can't be used", .path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: rustls::Error,
    },
    /// They are not of one pair.
    #[error(
        "the private key in {} is not that of the first certificate in {}",
        .0.key.display(), .0.certificate.display()
    )]
    Mismatch(CertificateFiles),
}

/// Why files do not say whom to believe about vehicles.
#[derive(Debug, Error)]
pub enum TrustError {
    /// A file can't be read.
    #[error("{} can't be read", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// No certificate in PEM form.
    #[error("{} holds no certificate in PEM form, or a damaged one", .0.display())]
    NoAuthority(PathBuf),
    /// No list of revoked certificates in PEM form.
    #[error("{} holds no list of revoked certificates (X509 CRL) in PEM form, or a damaged one", .0.display())]
    NoList(PathBuf),
    /// They can be read, and can't be used.
    #[error(transparent)]
    Unusable(#[from] TlsError),
}

/// Where it stands whom to believe about vehicles, in PEM form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustFiles {
    /// The authorities.
    pub authorities: PathBuf,
    /// Their lists of revoked certificates, one for each authority that issues vehicles' certificates.
    pub revocation_lists: Option<PathBuf>,
}

impl TrustFiles {
    async fn read(&self) -> Result<VehicleTrust, TrustError> {
        let read = async |path: &Path| {
            let read = tokio::fs::read(path).await;
            read.map_err(|source| TrustError::Read { path: path.to_owned(), source })
        };
        let authorities = CertificateDer::pem_slice_iter(&read(&self.authorities).await?)
            .collect::<Result<Vec<_>, _>>()
            .ok()
            .filter(|authorities| !authorities.is_empty())
            .ok_or_else(|| TrustError::NoAuthority(self.authorities.clone()))?;
        let mut revocation_lists = Vec::new();
        if let Some(path) = &self.revocation_lists {
            revocation_lists = CertificateRevocationListDer::pem_slice_iter(&read(path).await?)
                .collect::<Result<Vec<_>, _>>()
                .ok()
                .filter(|lists| !lists.is_empty())
                .ok_or_else(|| TrustError::NoList(path.clone()))?;
        }
        Ok(VehicleTrust { authorities, revocation_lists })
    }
}

/// Believes about vehicles what files say, also when they change.
pub struct FollowedTrust {
    files: TrustFiles,
    verifier: Arc<VehicleVerifier>,
    followed: Followed<VehicleTrust>,
}

impl FollowedTrust {
    /// Believes what `files` say now.
    ///
    /// # Errors
    /// [`TrustError`] names the file and what is wrong with it.
    pub async fn open(files: TrustFiles) -> Result<Self, TrustError> {
        let trust = files.read().await?;
        let verifier = VehicleVerifier::new(trust.clone())?;
        Ok(Self { files, verifier, followed: Followed::new(trust) })
    }

    /// What looks at certificates.
    pub fn verifier(&self) -> &Arc<VehicleVerifier> {
        &self.verifier
    }

    /// Believes what the files say now.
    ///
    /// # Errors
    /// [`TrustError`]: what was believed is believed further on.
    pub async fn reload(&mut self) -> Result<(), TrustError> {
        let read = self.files.read().await;
        self.judge(read)
    }

    /// The same if that is new, and was the same at the last look; see [`FollowedFiles::look`].
    ///
    /// # Errors
    /// [`TrustError`]: what was believed is believed further on.
    pub async fn look(&mut self) -> Result<Option<()>, TrustError> {
        let read = self.files.read().await;
        if self.followed.is_due(read.as_ref().ok()) { self.judge(read).map(Some) } else { Ok(None) }
    }

    fn judge(&mut self, read: Result<VehicleTrust, TrustError>) -> Result<(), TrustError> {
        self.followed.judged(read.as_ref().ok());
        let replaced = read.and_then(|trust| Ok(self.verifier.replace(trust)?));
        let outcome = if replaced.is_ok() { "replaced" } else { "refused" };
        metrics::counter!("cardata_tls_reloads_total", "outcome" => outcome).increment(1);
        replaced
    }
}

/// What files hold; `None` where they can't be read.
type Contents<T> = Option<T>;

/// What files hold, and held at the last look.
struct Followed<T> {
    /// What was taken or refused last.
    judged: Option<T>,
    /// What was there at the last look, where that is something else.
    arriving: Option<Contents<T>>,
}

impl<T: Clone + PartialEq> Followed<T> {
    fn new(taken: T) -> Self {
        Self { judged: Some(taken), arriving: None }
    }

    /// Whether what is `seen` is new, and was the same at the last look.
    fn is_due(&mut self, seen: Option<&T>) -> bool {
        if seen == self.judged.as_ref() {
            self.arriving = None;
            return false;
        }
        let is_still = self.arriving.as_ref().is_some_and(|arriving| arriving.as_ref() == seen);
        if !is_still {
            self.arriving = Some(seen.cloned());
        }
        is_still
    }

    fn judged(&mut self, seen: Option<&T>) {
        *self = Self { judged: seen.cloned(), arriving: None };
    }
}

#[derive(Clone, PartialEq, Eq)]
struct Pair {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl CertificateFiles {
    async fn read(&self) -> Result<Pair, CertificateError> {
        Ok(Pair { certificate: read(&self.certificate).await?, key: read(&self.key).await? })
    }

    fn parse(&self, pair: &Pair) -> Result<Certificate, CertificateError> {
        let no_certificate = || CertificateError::NoCertificate(self.certificate.clone());
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pair.certificate).collect();
        let chain = chain.map_err(|_| no_certificate())?;
        if chain.is_empty() {
            return Err(no_certificate());
        }
        let key = PrivateKeyDer::from_pem_slice(&pair.key).map_err(|_| self.no_key(&pair.key))?;
        Certificate::new(chain, key).map_err(|error| match error {
            UnusableCertificate::Key(source) => {
                CertificateError::Key { path: self.key.clone(), source }
            }
            UnusableCertificate::Certificate => no_certificate(),
            UnusableCertificate::Mismatch => CertificateError::Mismatch(self.clone()),
        })
    }

    fn no_key(&self, pem: &[u8]) -> CertificateError {
        let is_encrypted = String::from_utf8_lossy(pem).contains("ENCRYPTED");
        let why =
            if is_encrypted { CertificateError::EncryptedKey } else { CertificateError::NoKey };
        why(self.key.clone())
    }
}

async fn read(path: &Path) -> Result<Vec<u8>, CertificateError> {
    let read = tokio::fs::read(path).await;
    read.map_err(|source| CertificateError::Read { path: path.to_owned(), source })
}

/// Shows what files hold, also when they change.
pub struct FollowedFiles {
    files: CertificateFiles,
    current: Arc<CurrentCertificate>,
    followed: Followed<Pair>,
}

impl FollowedFiles {
    /// Shows what `files` hold now; `label` stands in the metric of when that ends. Gives the certificate as well.
    ///
    /// # Errors
    /// [`CertificateError`] names the file and what is wrong with it.
    pub async fn open(
        label: &'static str,
        files: CertificateFiles,
    ) -> Result<(Self, Certificate), CertificateError> {
        let pair = files.read().await?;
        let certificate = files.parse(&pair)?;
        let current = CurrentCertificate::new(label, &certificate);
        Ok((Self { files, current, followed: Followed::new(pair) }, certificate))
    }

    /// What is shown.
    pub fn current(&self) -> &Arc<CurrentCertificate> {
        &self.current
    }

    /// Shows what the files hold now.
    ///
    /// # Errors
    /// [`CertificateError`]: what was shown is shown further on.
    pub async fn reload(&mut self) -> Result<Certificate, CertificateError> {
        let read = self.files.read().await;
        self.judge(read)
    }

    /// Shows what the files hold if that is new, and was the same at the last look: whoever replaces two files does so
    /// one after the other, and half of it fits nothing. `None` where nothing is to be done. The same error does not
    /// come again while the files stay as they are.
    ///
    /// # Errors
    /// [`CertificateError`]: what was shown is shown further on.
    pub async fn look(&mut self) -> Result<Option<Certificate>, CertificateError> {
        let read = self.files.read().await;
        if !self.followed.is_due(read.as_ref().ok()) {
            return Ok(None);
        }
        self.judge(read).map(Some)
    }

    fn judge(
        &mut self,
        read: Result<Pair, CertificateError>,
    ) -> Result<Certificate, CertificateError> {
        self.followed.judged(read.as_ref().ok());
        let certificate = read.and_then(|pair| self.files.parse(&pair)).inspect_err(|_| {
            metrics::counter!("cardata_tls_reloads_total", "outcome" => "refused").increment(1);
        })?;
        self.current.replace(&certificate);
        Ok(certificate)
    }
}
