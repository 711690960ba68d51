//! Vehicles' certificates: issuing them, revoking them, and the connections that they opened.

use std::collections::HashMap;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cardata_domain::Vin;
use cardata_store::Directory;
use cardata_store::directory::{DirectoryError, VehicleCertificate};
use jiff::{SignedDuration, Timestamp};
use rcgen::{
    CertificateParams, CertificateRevocationListParams, CertificateSigningRequestParams, DnType,
    DnValue, ExtendedKeyUsagePurpose, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, PublicKeyData,
    RevokedCertParams, SerialNumber,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use thiserror::Error;
use time::OffsetDateTime;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout};

use crate::secret;
use crate::tls::vehicles::tell;
use crate::tls::{TlsError, VehicleTrust, VehicleVerifier};

/// How long a list of revoked certificates is good for those who read its file; a new one comes each day.
const LIST_VALIDITY: SignedDuration = SignedDuration::from_hours(7 * 24);
/// From how long before its issue a certificate is good, for clocks that are behind.
const GRACE: SignedDuration = SignedDuration::from_hours(24);
/// How long to wait for connections that were told to close.
const CLOSING_PATIENCE: Duration = Duration::from_secs(5);
const SERIAL_LENGTH: usize = 16;

/// An authority that is ours: it issues vehicles' certificates, and revokes them.
pub struct Authority {
    pem: String,
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
    list_file: PathBuf,
}

/// Vehicles' certificates, and the connections that they opened.
pub struct Certificates {
    verifier: Arc<VehicleVerifier>,
    /// `None` where somebody else issues the certificates.
    authority: Option<Authority>,
    open: Mutex<HashMap<Vin, Vec<Open>>>,
    /// How many connections there were.
    entered: AtomicU64,
    /// Held while a list is made, so that an older one never replaces a newer one.
    publishing: tokio::sync::Mutex<()>,
}

/// A connection that a certificate opened.
struct Open {
    id: u64,
    chain: Arc<[CertificateDer<'static>]>,
    close: oneshot::Sender<Closing>,
}

/// Held by a connection that was told to close, until it is closed.
pub(super) type Closing = mpsc::Sender<()>;

/// A connection's entry; it is gone when this is dropped.
pub(super) struct Entered<'a> {
    certificates: &'a Certificates,
    vin: Vin,
    id: u64,
    /// Told when the certificate is good no longer.
    pub(super) closing: oneshot::Receiver<Closing>,
}

/// Why there is no certificate, or none was revoked.
#[derive(Debug, Error)]
pub enum CertificatesError {
    /// Somebody else issues the certificates.
    #[error("vehicles' certificates are issued and revoked by an authority of the operator's own")]
    NotOurs,
    /// What should ask for a certificate does not.
    #[error("is no certificate signing request in PEM form (PKCS #10) that can be used: {0}")]
    Request(rcgen::Error),
    /// Somebody else's request.
    #[error("has a common name that is not the vehicle's VIN")]
    ForeignRequest,
    /// The certificate or the list can't be signed.
    #[error("the authority can't sign")]
    Sign(#[from] rcgen::Error),
    /// The list can't be used.
    #[error("the new list of revoked certificates can't be used")]
    List(#[from] TlsError),
    /// The list's file can't be written.
    #[error("the list of revoked certificates can't be written to {}", .path.display())]
    Write {
        /// Where to.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The directory failed.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
}

/// A new certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// In PEM form.
    pub pem: String,
    /// What the directory keeps of it.
    pub row: VehicleCertificate,
}

/// What became of a vehicle's certificates.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Revoked {
    /// The serial numbers of those that were good until now.
    pub serials: Vec<String>,
    /// Connections that were open.
    pub closed: usize,
    /// From the wish to the last connection's end.
    pub took: Duration,
}

impl Authority {
    /// The authority of `certificate`, with its private key, both in PEM form. `list_file` is where the list of revoked
    /// certificates is written.
    ///
    /// # Errors
    /// [`rcgen::Error`]: they are none.
    pub fn new(certificate: &str, key: &str, list_file: PathBuf) -> Result<Self, rcgen::Error> {
        let issuer = Issuer::from_ca_cert_pem(certificate, KeyPair::from_pem(key)?)?;
        let der = CertificateDer::from_pem_slice(certificate.as_bytes())
            .map_err(|_| rcgen::Error::CouldNotParseCertificate)?;
        Ok(Self { pem: certificate.to_owned(), certificate: der, issuer, list_file })
    }

    /// The authority's own certificate in PEM form.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Signs `key` as that of `vin`. To be kept in the directory before it is handed out.
    ///
    /// # Errors
    /// [`CertificatesError::Sign`].
    pub fn issue(
        &self,
        vin: Vin,
        key: &impl PublicKeyData,
        validity: SignedDuration,
        now: Timestamp,
    ) -> Result<Issued, CertificatesError> {
        let mut serial: [u8; SERIAL_LENGTH] = secret::random();
        // Positive, and always of the same length.
        serial[0] = serial[0] & 0x7f | 0x40;
        // A certificate's times are whole seconds.
        let until = now.checked_add(validity).unwrap_or(Timestamp::MAX).as_second();
        let expires_at = Timestamp::from_second(until).unwrap_or(Timestamp::MAX);
        let mut params = CertificateParams::default();
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        params.distinguished_name.push(DnType::CommonName, vin.as_str());
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        params.not_before = date_time(now.checked_sub(GRACE).unwrap_or(now));
        params.not_after = date_time(expires_at);
        let pem = params.signed_by(key, &self.issuer)?.pem();
        let serial = secret::hex(&serial);
        let row = VehicleCertificate { serial, vin, issued_at: now, expires_at, revoked_at: None };
        Ok(Issued { pem, row })
    }

    /// Grants a request in PEM form. Nothing of it counts but the key, which the sender must have.
    ///
    /// # Errors
    /// [`CertificatesError`] when it is none, or names something else than the vehicle.
    pub fn grant(
        &self,
        vin: Vin,
        request: &str,
        validity: SignedDuration,
        now: Timestamp,
    ) -> Result<Issued, CertificatesError> {
        let request = CertificateSigningRequestParams::from_pem(request)
            .map_err(CertificatesError::Request)?;
        let name = request.params.distinguished_name.get(&DnType::CommonName);
        let is_own = match name {
            None => true,
            Some(DnValue::Utf8String(text)) => text == vin.as_str(),
            Some(DnValue::PrintableString(text)) => text.as_str() == vin.as_str(),
            Some(DnValue::Ia5String(text)) => text.as_str() == vin.as_str(),
            Some(_) => false,
        };
        if !is_own {
            return Err(CertificatesError::ForeignRequest);
        }
        self.issue(vin, &request.public_key, validity, now)
    }

    fn list(
        &self,
        revoked: &[VehicleCertificate],
        now: Timestamp,
    ) -> Result<rcgen::CertificateRevocationList, CertificatesError> {
        let certificate = |one: &VehicleCertificate| RevokedCertParams {
            serial_number: SerialNumber::from_slice(&unhex(&one.serial)),
            revocation_time: date_time(one.revoked_at.unwrap_or(now)),
            reason_code: None,
            invalidity_date: None,
        };
        let number = now.as_microsecond().to_be_bytes();
        let params = CertificateRevocationListParams {
            this_update: date_time(now),
            next_update: date_time(now.checked_add(LIST_VALIDITY).unwrap_or(Timestamp::MAX)),
            crl_number: SerialNumber::from_slice(&number),
            issuing_distribution_point: None,
            revoked_certs: revoked.iter().map(certificate).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        Ok(params.signed_by(&self.issuer)?)
    }

    fn trust(&self, list: &rcgen::CertificateRevocationList) -> VehicleTrust {
        VehicleTrust {
            authorities: vec![self.certificate.clone()],
            revocation_lists: vec![CertificateRevocationListDer::from(list.der().to_vec())],
        }
    }

    /// Writes the file so that who reads it sees all of it.
    fn write(&self, pem: &str) -> Result<(), CertificatesError> {
        let path = &self.list_file;
        let folder = path.parent().unwrap_or(path);
        let written = tempfile::NamedTempFile::new_in(folder).and_then(|mut file| {
            file.write_all(pem.as_bytes())?;
            // It is for everybody; whoever may look into the folder.
            file.as_file().set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
            file.as_file().sync_all()?;
            file.persist(path).map_err(|error| error.error)
        });
        written.map(drop).map_err(|source| CertificatesError::Write { path: path.clone(), source })
    }
}

impl Certificates {
    /// Certificates of `authority`. Nothing counts as revoked until [`Certificates::publish`].
    ///
    /// # Errors
    /// [`CertificatesError`]: the authority can't be used.
    pub fn ours(authority: Authority, now: Timestamp) -> Result<Self, CertificatesError> {
        let verifier = VehicleVerifier::new(authority.trust(&authority.list(&[], now)?))?;
        Ok(Self { authority: Some(authority), ..Self::theirs(verifier) })
    }

    /// Certificates of somebody else's authority.
    pub fn theirs(verifier: Arc<VehicleVerifier>) -> Self {
        Self {
            verifier,
            authority: None,
            open: Mutex::default(),
            entered: AtomicU64::default(),
            publishing: tokio::sync::Mutex::default(),
        }
    }

    /// What looks at the certificates that vehicles show.
    pub fn verifier(&self) -> &Arc<VehicleVerifier> {
        &self.verifier
    }

    /// Who issues certificates here.
    ///
    /// # Errors
    /// [`CertificatesError::NotOurs`].
    pub fn authority(&self) -> Result<&Authority, CertificatesError> {
        self.authority.as_ref().ok_or(CertificatesError::NotOurs)
    }

    /// Makes a new list of what the directory says is revoked, believes it, and writes it to its file. Does nothing where
    /// somebody else issues the certificates.
    ///
    /// # Errors
    /// [`CertificatesError`]; where only the file is missing, the list is believed all the same.
    pub async fn publish(
        &self,
        directory: &dyn Directory,
        now: Timestamp,
    ) -> Result<(), CertificatesError> {
        let Some(authority) = &self.authority else { return Ok(()) };
        let _publishing = self.publishing.lock().await;
        let revoked = directory.revoked_certificates(now).await?;
        let list = authority.list(&revoked, now)?;
        self.verifier.replace(authority.trust(&list))?;
        authority.write(&list.pem()?)
    }

    /// Revokes a vehicle's certificate of this serial number, or all of the vehicle's, and closes the connections that they
    /// opened. What was revoked before is made sure of again.
    ///
    /// # Errors
    /// [`CertificatesError`]; to be tried again.
    pub async fn revoke(
        &self,
        directory: &dyn Directory,
        vin: Vin,
        serial: Option<&str>,
        now: Timestamp,
    ) -> Result<Revoked, CertificatesError> {
        self.authority()?;
        let began = Instant::now();
        let serials = directory.revoke_certificates(vin, serial, now).await?;
        let published = self.publish(directory, now).await;
        // Also when the file could not be written.
        let closed = self.close_bad(Some(vin), now).await;
        published?;
        Ok(Revoked { serials, closed, took: began.elapsed() })
    }

    /// Closes the connections whose certificates are good no longer, of one vehicle or of all; how many.
    pub async fn close_bad(&self, vin: Option<Vin>, now: Timestamp) -> usize {
        let candidates: Vec<_> = {
            let open = self.open();
            let of_vehicle = |vin: Vin, own: &[Open]| {
                own.iter().map(|one| (vin, one.id, one.chain.clone())).collect::<Vec<_>>()
            };
            match vin {
                Some(vin) => open.get(&vin).map(|own| of_vehicle(vin, own)).unwrap_or_default(),
                None => open.iter().flat_map(|(vin, own)| of_vehicle(*vin, own)).collect(),
            }
        };
        let (closing, mut closed) = mpsc::channel(1);
        let mut count = 0;
        for (vin, id, chain) in candidates {
            if self.check(&chain, now) {
                // Thousands take a while, which belongs to others as well.
                tokio::task::coop::consume_budget().await;
                continue;
            }
            if let Some(close) = self.leave(vin, id) {
                // It may have closed by itself.
                count += usize::from(close.send(closing.clone()).is_ok());
            }
        }
        drop(closing);
        // Ends when the last of them is closed; one that does not in time is gone, or about to be.
        let _ = timeout(CLOSING_PATIENCE, closed.recv()).await;
        count
    }

    /// Enters a connection of `vin`, whose certificate is followed by those that vouch for it.
    pub(super) fn enter(&self, vin: Vin, chain: Arc<[CertificateDer<'static>]>) -> Entered<'_> {
        let (close, closing) = oneshot::channel();
        let id = self.entered.fetch_add(1, Ordering::Relaxed);
        self.open().entry(vin).or_default().push(Open { id, chain, close });
        Entered { certificates: self, vin, id, closing }
    }

    /// Whether a certificate is good at this moment; one that is not is counted.
    pub(super) fn check(&self, chain: &[CertificateDer<'_>], now: Timestamp) -> bool {
        self.verifier.check(chain, now).inspect_err(tell).is_ok()
    }

    fn leave(&self, vin: Vin, id: u64) -> Option<oneshot::Sender<Closing>> {
        let mut open = self.open();
        let own = open.get_mut(&vin)?;
        let place = own.iter().position(|one| one.id == id)?;
        let left = own.swap_remove(place);
        if own.is_empty() {
            open.remove(&vin);
        }
        Some(left.close)
    }

    fn open(&self) -> MutexGuard<'_, HashMap<Vin, Vec<Open>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.certificates.leave(self.vin, self.id);
    }
}

/// The serial number of a certificate in PEM form, in lower-case hexadecimal.
pub fn serial_of(pem: &str) -> Option<String> {
    use x509_parser::prelude::{FromDer as _, X509Certificate};
    let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).ok()?;
    let (_, certificate) = X509Certificate::from_der(&certificate).ok()?;
    Some(secret::hex(certificate.raw_serial()))
}

/// `at` as certificates have it, in whole seconds.
fn date_time(at: Timestamp) -> OffsetDateTime {
    let since_1970 = Duration::from_secs(u64::try_from(at.as_second()).unwrap_or_default());
    rcgen::date_time_ymd(1970, 1, 1) + since_1970
}

/// The bytes of a serial number; what is no hexadecimal counts as zero.
fn unhex(text: &str) -> Vec<u8> {
    let pairs = text.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap_or_default());
    pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap_or_default()).collect()
}

#[cfg(test)]
mod tests;
