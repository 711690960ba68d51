//! What is measured: where it listens, and as whom to connect.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cardata_client::http::{TrustError, trusted_roots};
use cardata_client::ready_file::ReadyFile;
use rustls::CipherSuite::TLS13_AES_128_GCM_SHA256;
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::client::WebPkiServerVerifier;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use thiserror::Error;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use crate::trust::Remembering;

/// A server with MQTT over TLS, and an account there.
#[derive(Clone)]
pub struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) name: ServerName<'static>,
    pub(crate) tls: Arc<ClientConfig>,
    pub(crate) user_name: Arc<str>,
    pub(crate) password: Arc<str>,
    /// The first level of the topics: for a CarData service the customer's id.
    pub(crate) customer: Arc<str>,
    /// What is shown for it.
    pub(crate) text: Arc<str>,
}

/// How clients behave in TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handshakes {
    /// A full handshake for each connection.
    Full,
    /// Connections go on with tickets of earlier ones where the server gives them.
    Resumed,
}

/// Why there is nothing to measure.
#[derive(Debug, Error)]
pub enum TargetError {
    /// No address of an MQTT server.
    #[error("`{0}` is not an address such as mqtts://localhost:8883")]
    Address(String),
    /// The name is unknown, or nobody listens there.
    #[error("cannot connect to {address}")]
    Unreachable {
        /// Where.
        address: String,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The CA file gives no CA.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// TLS can't be set up.
    #[error("cannot set up TLS")]
    Tls(#[from] rustls::Error),
    /// A vehicle's certificate or key can't be read.
    #[error("cannot read the certificate and key of vehicle number {number} beside {}", .ca_file.display())]
    Certificate {
        /// Which of the customer's vehicles, from 1.
        number: usize,
        /// Where the CA is.
        ca_file: std::path::PathBuf,
        /// What is wrong with it.
        #[source]
        source: rustls::pki_types::pem::Error,
    },
}

const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// The account on a broker that takes any: as long as a customer's id and token, so that it has as much to read.
const ANYBODY: &str = "00000000-0000-4000-8000-000000000000";
const ANY_PASSWORD_LENGTH: usize = 700;

impl Target {
    /// A CarData service, as the customer `gcid` with a token.
    ///
    /// # Errors
    /// [`TargetError`] when it can't be reached.
    pub async fn cardata(
        ready: &ReadyFile,
        gcid: &str,
        token: &str,
        handshakes: Handshakes,
    ) -> Result<Self, TargetError> {
        let (host, port) = (ready.mqtt_host.as_str(), ready.mqtt_port);
        let tls = client_config(&ready.ca_file)?.with_no_client_auth();
        let found = Self::find(host, port, resuming(tls, handshakes)).await?;
        Ok(Self { user_name: gcid.into(), password: token.into(), customer: gcid.into(), ..found })
    }

    /// Any broker that takes everybody, at an address such as `mqtts://localhost:8883`.
    ///
    /// # Errors
    /// [`TargetError`] when it can't be reached.
    pub async fn plain(
        url: &str,
        ca_file: &Path,
        handshakes: Handshakes,
    ) -> Result<Self, TargetError> {
        let wrong = || TargetError::Address(url.to_owned());
        let (host, port) = url
            .strip_prefix("mqtts://")
            .and_then(|rest| rest.trim_end_matches('/').rsplit_once(':'))
            .ok_or_else(wrong)?;
        let port = port.parse().map_err(|_| wrong())?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let tls = client_config(ca_file)?.with_no_client_auth();
        let found = Self::find(host, port, resuming(tls, handshakes)).await?;
        let password = "p".repeat(ANY_PASSWORD_LENGTH).into();
        Ok(Self { user_name: ANYBODY.into(), password, customer: ANYBODY.into(), ..found })
    }

    /// The door for vehicles of a CarData service, as the `number`th vehicle, from 1, of those in `vins`.
    pub(crate) async fn vehicle(
        ready: &ReadyFile,
        vin: &str,
        number: usize,
    ) -> Result<Self, TargetError> {
        let file = |extension: &str| {
            ready.ca_file.with_file_name("vehicles").join(format!("{vin}.{extension}"))
        };
        let unreadable =
            |source| TargetError::Certificate { number, ca_file: ready.ca_file.clone(), source };
        let certificates: Result<Vec<_>, _> =
            CertificateDer::pem_file_iter(file("pem")).and_then(Iterator::collect);
        let key = PrivateKeyDer::from_pem_file(file("key")).map_err(unreadable)?;
        Self::with_certificate(ready, certificates.map_err(unreadable)?, key).await
    }

    /// The same, as whoever these certificates are of.
    pub(crate) async fn with_certificate(
        ready: &ReadyFile,
        certificates: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, TargetError> {
        let tls = client_config(&ready.ca_file)?.with_client_auth_cert(certificates, key)?;
        Self::find(&ready.mqtt_host, ready.vehicles_mqtt_port, tls).await
    }

    async fn find(host: &str, port: u16, tls: ClientConfig) -> Result<Self, TargetError> {
        let text =
            if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        let unreachable = |source| TargetError::Unreachable { address: text.clone(), source };
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| TargetError::Address(text.clone()))?;
        let mut last = io::ErrorKind::NotFound.into();
        for address in lookup_host((host, port)).await.map_err(unreachable)? {
            match timeout(CONNECT_WITHIN, TcpStream::connect(address)).await {
                Ok(Ok(_)) => {
                    let nobody: Arc<str> = "".into();
                    return Ok(Self {
                        address,
                        name,
                        tls: Arc::new(tls),
                        user_name: nobody.clone(),
                        password: nobody.clone(),
                        customer: nobody,
                        text: text.into(),
                    });
                }
                Ok(Err(error)) => last = error,
                Err(_) => last = io::ErrorKind::TimedOut.into(),
            }
        }
        Err(unreachable(last))
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Whether it is on this machine, where its process can be looked at.
    pub fn is_local(&self) -> bool {
        self.address.ip().is_loopback()
    }

    /// All of the customer's topics.
    pub(crate) fn filter(&self) -> String {
        format!("{}/+", self.customer)
    }
}

type WantsClientCert = rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert>;

fn client_config(ca_file: &Path) -> Result<WantsClientCert, TargetError> {
    let roots = Arc::new(trusted_roots(ca_file)?);
    let provider = Arc::new(provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider.clone()).build();
    let verifier = Remembering::new(verifier.map_err(|error| {
        rustls::Error::General(format!("no verifier can be made of the CA file: {error}"))
    })?);
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier))
}

/// Offers first what costs both sides least, so that the generator leaves room to the server: all targets are offered
/// the same.
fn provider() -> CryptoProvider {
    let mut provider = aws_lc_rs::default_provider();
    provider.kx_groups = vec![aws_lc_rs::kx_group::X25519];
    provider.cipher_suites.sort_by_key(|suite| suite.suite() != TLS13_AES_128_GCM_SHA256);
    provider
}

fn resuming(mut tls: ClientConfig, handshakes: Handshakes) -> ClientConfig {
    if handshakes == Handshakes::Full {
        tls.resumption = Resumption::disabled();
    }
    tls
}
