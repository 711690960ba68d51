//! The certificates that a sandbox shows, and those that it takes: of its own authority, or of files.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use cardata_server::Clock as _;
use cardata_server::ingest::certificates::Certificates as VehicleCertificates;
use cardata_server::tls::{
    Certificate, CertificateError, CertificateFiles, CurrentCertificate, FollowedFiles,
    FollowedTrust, OldestVersion, Tls, TrustError, TrustFiles,
};

use super::authority::Authority;
use crate::clock::SystemClock;

/// Which TLS to speak, and under whose certificate.
#[derive(Debug, clap::Args)]
pub(super) struct TlsArgs {
    /// Further names or addresses for the server's certificate; the first one is how others reach the log-in page
    #[arg(long = "tls-name", value_name = "NAME", num_args = 1..)]
    pub(super) names: Vec<String>,
    /// The oldest version of TLS that is spoken
    #[arg(
        long = "tls-min",
        value_name = "VERSION",
        value_enum,
        default_value_t = Version::V13,
        env = "CARDATA_TLS_MIN"
    )]
    oldest: Version,
    /// Show customers this certificate instead of the sandbox's own: the server's first, then those that vouch for it
    /// (PEM); taken anew when the file changes, and on SIGHUP
    #[arg(long = "tls-cert", value_name = "FILE", requires = "key", env = "CARDATA_TLS_CERT")]
    certificate: Option<PathBuf>,
    /// The private key of --tls-cert, without a password (PEM)
    #[arg(
        long = "tls-key",
        value_name = "FILE",
        requires = "certificate",
        env = "CARDATA_TLS_KEY"
    )]
    key: Option<PathBuf>,
    /// Who vouches for --tls-cert (PEM): the CA file that clients are told to trust
    #[arg(long = "tls-ca", value_name = "FILE", requires = "certificate", env = "CARDATA_TLS_CA")]
    authority: Option<PathBuf>,
    /// Let vehicles in whose certificate one of these authorities issued, instead of the sandbox's own (PEM); taken anew
    /// when the file changes, and on SIGHUP
    #[arg(long = "vehicles-ca", value_name = "FILE", env = "CARDATA_VEHICLES_CA")]
    vehicles_authority: Option<PathBuf>,
    /// The certificates that --vehicles-ca revoked: a list (X.509 CRL) of each authority that issues them (PEM); taken anew
    /// like it
    #[arg(
        long = "vehicles-crl",
        value_name = "FILE",
        requires = "vehicles_authority",
        env = "CARDATA_VEHICLES_CRL"
    )]
    revocation_lists: Option<PathBuf>,
}

/// The versions that `--tls-min` knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Version {
    #[value(name = "1.2")]
    V12,
    #[value(name = "1.3")]
    V13,
}

impl TlsArgs {
    fn files(&self) -> Option<CertificateFiles> {
        let (certificate, key) = (self.certificate.clone()?, self.key.clone()?);
        Some(CertificateFiles { certificate, key })
    }

    fn trust(&self) -> Option<TrustFiles> {
        let (authorities, revocation_lists) =
            (self.vehicles_authority.clone()?, self.revocation_lists.clone());
        Some(TrustFiles { authorities, revocation_lists })
    }

    /// How others reach the sandbox.
    pub(super) fn public_name(&self) -> &str {
        self.names.first().map_or("localhost", String::as_str)
    }

    /// How programs on this machine reach it: under a name that is in the certificate.
    pub(super) fn local_name(&self) -> &str {
        if self.certificate.is_some() { self.public_name() } else { "localhost" }
    }
}

/// What the sandbox shows, and makes or reads anew while it runs.
pub(super) struct Certificates {
    pub(super) authority: Authority,
    /// For which the authority's certificates are.
    names: Vec<String>,
    /// Shown to vehicles, which trust the sandbox's authority, and to customers where there are no files.
    own: Arc<CurrentCertificate>,
    files: Option<FollowedFiles>,
    /// Where vehicles' certificates are those of somebody else's authority.
    trust: Option<FollowedTrust>,
    /// How clients are told to call the server.
    host: String,
    ca_file: Option<PathBuf>,
    oldest: OldestVersion,
}

impl Certificates {
    /// Makes a certificate for `names`, and reads the files if there are any.
    pub(super) async fn open(
        args: &TlsArgs,
        authority: Authority,
        names: Vec<String>,
    ) -> anyhow::Result<Self> {
        let own = authority.server(&names, SystemClock.now())?;
        let ca_file = args.authority.as_ref().map(std::path::absolute).transpose()?;
        let mut certificates = Self {
            own: CurrentCertificate::new("sandbox", &own),
            authority,
            names,
            files: None,
            trust: None,
            host: args.local_name().to_owned(),
            ca_file,
            oldest: match args.oldest {
                Version::V12 => OldestVersion::V12,
                Version::V13 => OldestVersion::V13,
            },
        };
        if let Some(files) = args.files() {
            let (files, certificate) = FollowedFiles::open("files", files)
                .await
                .context("--tls-cert and --tls-key can't be used")?;
            certificates.doubt(&certificate);
            certificates.files = Some(files);
        }
        if let Some(files) = args.trust() {
            let trust = FollowedTrust::open(files).await;
            certificates.trust =
                Some(trust.context("--vehicles-ca and --vehicles-crl can't be used")?);
        }
        Ok(certificates)
    }

    pub(super) fn tls(&self, vehicles: &VehicleCertificates) -> anyhow::Result<Tls> {
        let public = self.files.as_ref().map_or(&self.own, FollowedFiles::current);
        Ok(Tls::new(self.oldest, public, &self.own, vehicles.verifier().clone())?)
    }

    /// The vehicles' certificates: the sandbox's own, or those of somebody else's authority.
    pub(super) fn of_vehicles(&self) -> anyhow::Result<VehicleCertificates> {
        match &self.trust {
            Some(trust) => Ok(VehicleCertificates::theirs(trust.verifier().clone())),
            None => {
                Ok(VehicleCertificates::ours(self.authority.of_vehicles()?, SystemClock.now())?)
            }
        }
    }

    /// What clients have to trust.
    pub(super) fn ca_file(&self) -> PathBuf {
        self.ca_file.clone().unwrap_or_else(|| self.authority.ca_file.clone())
    }

    /// Makes the authority's certificate anew, and reads the files again.
    pub(super) async fn renew(&mut self, vehicles: &VehicleCertificates) {
        match self.authority.server(&self.names, SystemClock.now()) {
            Ok(own) => {
                self.own.replace(&own);
                tracing::info!("the sandbox's own certificate was made anew");
            }
            Err(error) => {
                let error = &*error as &dyn std::error::Error;
                tracing::error!(error, "no new certificate can be made; the old one is kept");
            }
        }
        if let Some(files) = &mut self.files {
            let reloaded = files.reload().await;
            self.tell(reloaded);
        }
        if let Some(trust) = &mut self.trust {
            let reloaded = trust.reload().await;
            follow(reloaded, vehicles).await;
        }
    }

    /// Shows customers a certificate of the sandbox's authority that ends so soon, or again the one of always; whether that
    /// could be done.
    pub(super) async fn show(
        &mut self,
        expires_in: Option<Duration>,
        vehicles: &VehicleCertificates,
    ) -> bool {
        let Some(expires_in) = expires_in else {
            self.renew(vehicles).await;
            return true;
        };
        match self.authority.short_lived_server(&self.names, SystemClock.now(), expires_in) {
            Ok(certificate) => {
                let public = self.files.as_ref().map_or(&self.own, FollowedFiles::current);
                public.replace(&certificate);
                tracing::info!(
                    "customers are shown a certificate that ends at {}",
                    certificate.expires_at()
                );
                true
            }
            Err(error) => {
                let error = &*error as &dyn std::error::Error;
                tracing::error!(error, "no certificate can be made that ends soon");
                false
            }
        }
    }

    /// Takes new files if they have come.
    pub(super) async fn look(&mut self, vehicles: &VehicleCertificates) {
        if let Some(files) = &mut self.files
            && let Some(reloaded) = files.look().await.transpose()
        {
            self.tell(reloaded);
        }
        if let Some(trust) = &mut self.trust
            && let Some(reloaded) = trust.look().await.transpose()
        {
            follow(reloaded, vehicles).await;
        }
    }

    fn tell(&self, reloaded: Result<Certificate, CertificateError>) {
        match reloaded {
            Ok(certificate) => {
                let expires_at = certificate.expires_at();
                tracing::info!("the certificate was replaced; the new one ends at {expires_at}");
                self.doubt(&certificate);
            }
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "a new certificate can't be used; the old one is kept");
            }
        }
    }

    /// Says what clients will not like about `certificate`.
    fn doubt(&self, certificate: &Certificate) {
        let expires_at = certificate.expires_at();
        if expires_at <= SystemClock.now() {
            tracing::warn!("the certificate ended at {expires_at}; clients will refuse it");
        }
        if !certificate.is_for(&self.host) {
            tracing::warn!(
                "the certificate is not for {}; tell a name that it is for with --tls-name",
                self.host
            );
        }
    }
}

/// Lets open connections follow what is believed about vehicles now.
async fn follow(reloaded: Result<(), TrustError>, vehicles: &VehicleCertificates) {
    match reloaded {
        Ok(()) => {
            let closed = vehicles.close_bad(None, SystemClock.now()).await;
            tracing::info!(
                "the vehicles' authority and its list were replaced; {closed} connections were closed"
            );
        }
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::error!(
                error,
                "the vehicles' authority and its list can't be used; the old ones are kept"
            );
        }
    }
}
