//! The sandbox's own certificate authority, and other secrets in its data folder.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use cardata_server::ingest::certificates;
use cardata_server::tls::Certificate;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::secret_file;

/// Signs the server's certificates, and is the vehicles' authority. Kept between runs, so that it has to be trusted once.
pub(super) struct Authority {
    /// The certificate to trust.
    pub(super) ca_file: PathBuf,
    data_dir: PathBuf,
    ca_der: CertificateDer<'static>,
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// How long a server certificate is good: what public authorities allow at the most.
const SERVER_VALIDITY: SignedDuration = SignedDuration::from_hours(397 * 24);
const CA_VALIDITY: SignedDuration = SignedDuration::from_hours(3650 * 24);

impl Authority {
    /// Opens the authority in `data_dir`, or makes one.
    pub(super) fn open(data_dir: &Path, now: Timestamp) -> anyhow::Result<Self> {
        let (ca_file, key_file) = (data_dir.join("ca.pem"), data_dir.join("ca.key"));
        if !key_file.exists() && !ca_file.exists() {
            let key = KeyPair::generate()?;
            let certificate = ca_params(now)?.self_signed(&key)?;
            secret_file::write(&key_file, &key.serialize_pem())?;
            std::fs::write(&ca_file, certificate.pem())
                .with_context(|| format!("{} can't be written", ca_file.display()))?;
        }
        let damaged = || {
            format!(
                "{} or {} is damaged; delete both for a new authority",
                ca_file.display(),
                key_file.display()
            )
        };
        let pem = std::fs::read_to_string(&ca_file).with_context(damaged)?;
        let key = KeyPair::from_pem(&std::fs::read_to_string(&key_file).with_context(damaged)?)
            .with_context(damaged)?;
        let ca_der = CertificateDer::from_pem_slice(pem.as_bytes()).with_context(damaged)?;
        let issuer = Issuer::from_ca_cert_pem(&pem, key).with_context(damaged)?;
        Ok(Self {
            ca_file: std::path::absolute(&ca_file)?,
            data_dir: data_dir.to_owned(),
            ca_der,
            pem,
            issuer,
        })
    }

    /// A fresh certificate for servers called `names`.
    pub(super) fn server(&self, names: &[String], now: Timestamp) -> anyhow::Result<Certificate> {
        self.server_until(names, now, SERVER_VALIDITY)
    }

    /// The same that ends so soon, to the second.
    pub(super) fn short_lived_server(
        &self,
        names: &[String],
        now: Timestamp,
        expires_in: Duration,
    ) -> anyhow::Result<Certificate> {
        self.server_until(names, now, expires_in.try_into()?)
    }

    fn server_until(
        &self,
        names: &[String],
        now: Timestamp,
        validity: SignedDuration,
    ) -> anyhow::Result<Certificate> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(names)
            .context("--tls-name takes host names and IP addresses")?;
        params.distinguished_name.push(DnType::CommonName, "OpenCarData sandbox");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = self.sign(params, &key, now, validity)?;
        let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(anyhow::Error::msg)?;
        Ok(Certificate::new(vec![certificate, self.ca_der.clone()], key)?)
    }

    /// The same for vehicles, whose certificates it issues and revokes.
    pub(super) fn of_vehicles(&self) -> anyhow::Result<certificates::Authority> {
        let (pem, key) = (&self.pem, self.issuer.key().serialize_pem());
        let list_file = self.data_dir.join("vehicles.crl");
        Ok(certificates::Authority::new(pem, &key, list_file)?)
    }

    fn sign(
        &self,
        mut params: CertificateParams,
        key: &KeyPair,
        now: Timestamp,
        validity: SignedDuration,
    ) -> anyhow::Result<CertificateDer<'static>> {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        set_validity(&mut params, now, validity)?;
        Ok(params.signed_by(key, &self.issuer)?.der().clone())
    }
}

fn ca_params(now: Timestamp) -> anyhow::Result<CertificateParams> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "OpenCarData sandbox CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    set_validity(&mut params, now, CA_VALIDITY)?;
    Ok(params)
}

/// From a day before `now`, for clocks that are behind.
fn set_validity(
    params: &mut CertificateParams,
    now: Timestamp,
    validity: SignedDuration,
) -> anyhow::Result<()> {
    let date = |at: Timestamp| {
        let at = TimeZone::UTC.to_datetime(at);
        let (date, time) = (at.date(), at.time());
        let midnight = rcgen::date_time_ymd(
            date.year().into(),
            u8::try_from(date.month())?,
            u8::try_from(date.day())?,
        );
        let since = time.duration_since(jiff::civil::Time::midnight()).as_secs();
        Ok::<_, anyhow::Error>(midnight + Duration::from_secs(since.try_into()?))
    };
    params.not_before = date(now.checked_sub(SignedDuration::from_hours(24))?)?;
    params.not_after = date(now.checked_add(validity)?)?;
    Ok(())
}

/// The operator's bearer token of this data folder; made when it is missing.
pub(super) fn admin_token(data_dir: &Path) -> anyhow::Result<String> {
    let file = data_dir.join("admin-token");
    if !file.exists() {
        secret_file::write(&file, &cardata_server::secret::token())?;
    }
    let token = std::fs::read_to_string(&file)
        .with_context(|| format!("{} can't be read", file.display()))?;
    Ok(token.trim().to_owned())
}
