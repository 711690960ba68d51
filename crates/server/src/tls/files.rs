//! A certificate from files that somebody else renews.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use thiserror::Error;

use super::{Certificate, CurrentCertificate, UnusableCertificate};

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

/// What the two files hold; `None` where they can't be read.
type Contents = Option<Pair>;

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
    /// What was taken or refused last.
    judged: Contents,
    /// What was there at the last look, where that is something else.
    arriving: Option<Contents>,
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
        Ok((Self { files, current, judged: Some(pair), arriving: None }, certificate))
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
        let seen: Contents = read.as_ref().ok().cloned();
        if seen == self.judged {
            self.arriving = None;
            return Ok(None);
        }
        if self.arriving.as_ref() != Some(&seen) {
            self.arriving = Some(seen);
            return Ok(None);
        }
        self.judge(read).map(Some)
    }

    fn judge(
        &mut self,
        read: Result<Pair, CertificateError>,
    ) -> Result<Certificate, CertificateError> {
        self.arriving = None;
        self.judged = read.as_ref().ok().cloned();
        let certificate = read.and_then(|pair| self.files.parse(&pair)).inspect_err(|_| {
            metrics::counter!("cardata_tls_reloads_total", "outcome" => "refused").increment(1);
        })?;
        self.current.replace(&certificate);
        Ok(certificate)
    }
}
