//! Certificates from files, and real handshakes.

use std::net::SocketAddr;
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusBuilder;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::CipherSuite::TLS13_AES_256_GCM_SHA384;
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, HandshakeKind, RootCertStore};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::*;
use crate::door::{Door, Limits};
use crate::stream::listener;
use crate::test_platform::World;

/// An authority with a folder for what it issues.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Self { issuer, folder: tempfile::tempdir().unwrap() }
    }

    fn certificate(&self) -> CertificateDer<'static> {
        self.issuer.as_ref().der().clone()
    }

    /// A certificate for `localhost`, in PEM form, and its key.
    fn issue(&self) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    fn files(&self) -> CertificateFiles {
        let path = |name| self.folder.path().join(name);
        CertificateFiles { certificate: path("server.pem"), key: path("server.key") }
    }

    fn write(&self, (certificate, key): &(String, String)) {
        std::fs::write(self.files().certificate, certificate).unwrap();
        std::fs::write(self.files().key, key).unwrap();
    }

    /// Files with a certificate that are followed.
    async fn followed(&self) -> FollowedFiles {
        self.write(&self.issue());
        FollowedFiles::open("files", self.files()).await.unwrap().0
    }

    fn tls(&self, oldest: OldestVersion, shown: &FollowedFiles) -> Tls {
        let authorities = vec![self.certificate()];
        let trust = VehicleTrust { authorities, revocation_lists: Vec::new() };
        let verifier = VehicleVerifier::new(trust).unwrap();
        Tls::new(oldest, shown.current(), shown.current(), verifier).unwrap()
    }

    /// A client that trusts this authority.
    fn client(&self, versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
        ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(self.roots())
            .with_no_client_auth()
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate()).unwrap();
        roots
    }

    /// A client that shakes hands in full each time.
    fn forgetful(&self) -> ClientConfig {
        let mut client = self.client(&[&TLS13]);
        client.resumption = Resumption::disabled();
        client
    }
}

/// Listens and sends back what comes.
async fn echo(world: &World, tls: Arc<ServerConfig>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let door = Arc::new(Door::new("test", Limits::NONE));
    let serving = listener::run(world.platform.clone(), listener, tls, door, |_, stream, _, _| {
        Box::pin(async move {
            let (mut reader, mut writer) = tokio::io::split(stream);
            let _ = tokio::io::copy(&mut reader, &mut writer).await;
        })
    });
    world.platform.tasks.spawn("test", serving);
    address
}

async fn connect(client: &ClientConfig, to: SocketAddr) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(to).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = TlsConnector::from(Arc::new(client.clone())).connect(name, stream).await?;
    assert_echo(&mut stream).await;
    Ok(stream)
}

/// What comes back also brings a ticket.
async fn assert_echo(stream: &mut TlsStream<TcpStream>) {
    stream.write_all(b"hello").await.unwrap();
    let mut answer = [0; 5];
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read_exact(&mut answer));
    read.await.unwrap().unwrap();
    assert_eq!(&answer, b"hello");
}

fn shown(stream: &TlsStream<TcpStream>) -> CertificateDer<'static> {
    stream.get_ref().1.peer_certificates().unwrap()[0].clone()
}

fn certificate_of(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}

#[tokio::test]
async fn the_cipher_is_the_servers_choice_where_the_client_knows_it() {
    let (world, authority) = (World::new().await, Authority::new());
    let shown = authority.followed().await;
    let at = echo(&world, authority.tls(OldestVersion::V13, &shown).mqtt).await;
    let chosen = async |offered: CryptoProvider| {
        let client = ClientConfig::builder_with_provider(Arc::new(offered))
            .with_protocol_versions(&[&TLS13])
            .unwrap()
            .with_root_certificates(authority.roots())
            .with_no_client_auth();
        let stream = connect(&client, at).await.unwrap();
        stream.get_ref().1.negotiated_cipher_suite().unwrap().suite()
    };
    let mut offered = aws_lc_rs::default_provider();
    assert_ne!(offered.cipher_suites[0].suite(), TLS13_AES_128_GCM_SHA256);
    assert_eq!(chosen(offered.clone()).await, TLS13_AES_128_GCM_SHA256);
    offered.cipher_suites.retain(|suite| suite.suite() == TLS13_AES_256_GCM_SHA384);
    assert_eq!(chosen(offered).await, TLS13_AES_256_GCM_SHA384);
}

#[tokio::test]
async fn a_new_certificate_is_shown_from_then_on_and_open_connections_go_on() {
    let (world, authority) = (World::new().await, Authority::new());
    let mut files = authority.followed().await;
    let address = echo(&world, authority.tls(OldestVersion::V13, &files).mqtt).await;
    let mut earlier = connect(&authority.forgetful(), address).await.unwrap();
    let first = shown(&earlier);

    let second = authority.issue();
    authority.write(&second);
    files.reload().await.unwrap();
    let later = connect(&authority.forgetful(), address).await.unwrap();
    assert_eq!(shown(&later), certificate_of(&second.0));
    assert_ne!(shown(&later), first);
    assert_echo(&mut earlier).await;
    assert_eq!(shown(&earlier), first);
}

#[tokio::test]
async fn files_that_change_are_taken_when_they_have_settled() {
    let authority = Authority::new();
    let mut files = authority.followed().await;
    assert!(files.look().await.unwrap().is_none());
    let (certificate, key) = authority.issue();
    std::fs::write(authority.files().certificate, certificate).unwrap();
    assert!(files.look().await.unwrap().is_none(), "the key is still to come");
    std::fs::write(authority.files().key, key).unwrap();
    assert!(files.look().await.unwrap().is_none());
    assert!(files.look().await.unwrap().is_some());
    assert!(files.look().await.unwrap().is_none());
}

#[tokio::test]
async fn what_can_not_be_used_is_refused_once_and_the_old_certificate_stays() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let (world, authority) = (World::new().await, Authority::new());
    let mut files = authority.followed().await;
    let address = echo(&world, authority.tls(OldestVersion::V13, &files).mqtt).await;
    let first = shown(&connect(&authority.forgetful(), address).await.unwrap());

    authority.write(&(authority.issue().0, authority.issue().1));
    assert!(files.look().await.unwrap().is_none());
    assert!(matches!(files.look().await, Err(CertificateError::Mismatch(_))));
    assert!(files.look().await.unwrap().is_none());
    assert!(files.reload().await.is_err());
    std::fs::remove_file(authority.files().key).unwrap();
    assert!(files.look().await.unwrap().is_none());
    assert!(matches!(files.look().await, Err(CertificateError::Read { .. })));
    assert!(files.look().await.unwrap().is_none());

    assert_eq!(shown(&connect(&authority.forgetful(), address).await.unwrap()), first);
    let metrics = recorder.handle().render();
    assert!(metrics.contains("cardata_tls_reloads_total{outcome=\"refused\"} 3"), "{metrics}");
    assert!(metrics.contains("expires_at_seconds{certificate=\"files\"}"), "{metrics}");
}

#[tokio::test]
async fn what_is_wrong_with_a_file_is_said_with_its_name() {
    let authority = Authority::new();
    let (certificate, key) = authority.issue();
    let encrypted =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let unknown = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let cases = [
        ("", &*key, "server.pem holds no certificate in PEM form"),
        (&*key, &*key, "server.pem holds no certificate in PEM form"),
        (broken, &key, "server.pem holds no certificate in PEM form"),
        (&*certificate, "", "server.key holds no private key in PEM form"),
        (&certificate, &certificate, "server.key holds no private key in PEM form"),
        (&certificate, encrypted, "server.key is protected by a password"),
        (&certificate, unknown, "server.key can't be used"),
        (&certificate, &authority.issue().1, "server.key is not that of the first certificate in"),
    ];
    for (certificate, key, expected) in cases {
        authority.write(&(certificate.to_owned(), key.to_owned()));
        let Err(error) = FollowedFiles::open("files", authority.files()).await else {
            panic!("not refused: {expected}")
        };
        assert!(error.to_string().contains(expected), "{error}");
    }
    std::fs::remove_file(authority.files().certificate).unwrap();
    let error = FollowedFiles::open("files", authority.files()).await.err().unwrap();
    assert!(error.to_string().ends_with("server.pem can't be read"), "{error}");
}

#[tokio::test]
async fn a_client_resumes_with_a_ticket_but_not_at_another_listener() {
    let (world, authority) = (World::new().await, Authority::new());
    let files = authority.followed().await;
    let tls = authority.tls(OldestVersion::V12, &files);
    let (mqtt, http) = (echo(&world, tls.mqtt).await, echo(&world, tls.http).await);
    for version in [&TLS13, &TLS12] {
        let client = authority.client(&[version]);
        let kind =
            async |to| connect(&client, to).await.unwrap().get_ref().1.handshake_kind().unwrap();
        assert_eq!(kind(mqtt).await, HandshakeKind::Full, "{version:?}");
        assert_eq!(kind(mqtt).await, HandshakeKind::Resumed, "{version:?}");
        assert_eq!(kind(mqtt).await, HandshakeKind::Resumed, "{version:?}");
        assert_eq!(kind(http).await, HandshakeKind::Full, "{version:?}");
    }
}

#[tokio::test]
async fn tls_1_2_is_spoken_only_where_it_is_set() {
    let (world, authority) = (World::new().await, Authority::new());
    let files = authority.followed().await;
    for (oldest, is_taken) in [(OldestVersion::V13, false), (OldestVersion::V12, true)] {
        let tls = authority.tls(oldest, &files);
        for config in [tls.mqtt, tls.http] {
            let address = echo(&world, config).await;
            let old = connect(&authority.client(&[&TLS12]), address).await;
            assert_eq!(old.is_ok(), is_taken, "{oldest:?}");
            assert!(connect(&authority.client(&[&TLS13]), address).await.is_ok());
        }
    }
}

#[test]
fn a_certificate_is_for_its_names() {
    let (certificate, key) = Authority::new().issue();
    let certificate = Certificate::new(
        vec![certificate_of(&certificate)],
        PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
    );
    let certificate = certificate.unwrap();
    assert!(certificate.is_for("localhost"));
    assert!(!certificate.is_for("example.com") && !certificate.is_for("not a name"));
    assert!(certificate.expires_at() > Timestamp::UNIX_EPOCH);
}

#[tokio::test]
async fn whom_to_believe_about_vehicles_follows_its_files() {
    let authority = Authority::new();
    let (vehicle, _) = authority.issue();
    let chain = [certificate_of(&vehicle)];
    let path = |name: &str| authority.folder.path().join(name);
    let list = |revoked: &[&str]| {
        let number = rcgen::SerialNumber::from_slice(&[1]);
        let serial =
            x509_parser::parse_x509_certificate(&chain[0]).unwrap().1.raw_serial().to_vec();
        let revoked = revoked.iter().map(|_| rcgen::RevokedCertParams {
            serial_number: rcgen::SerialNumber::from_slice(&serial),
            revocation_time: rcgen::date_time_ymd(2020, 1, 1),
            reason_code: None,
            invalidity_date: None,
        });
        let params = rcgen::CertificateRevocationListParams {
            this_update: rcgen::date_time_ymd(2020, 1, 1),
            next_update: rcgen::date_time_ymd(2020, 1, 2),
            crl_number: number,
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: rcgen::KeyIdMethod::Sha256,
        };
        params.signed_by(&authority.issuer).unwrap().pem().unwrap()
    };
    std::fs::write(path("ca.pem"), authority.issuer.as_ref().pem()).unwrap();
    let files = TrustFiles { authorities: path("ca.pem"), revocation_lists: Some(path("crl.pem")) };
    let opened = FollowedTrust::open(files.clone()).await;
    assert!(matches!(opened.err(), Some(TrustError::Read { .. })));
    std::fs::write(path("crl.pem"), "no list").unwrap();
    let opened = FollowedTrust::open(files.clone()).await;
    assert!(matches!(opened.err(), Some(TrustError::NoList(_))));
    std::fs::write(path("crl.pem"), list(&[])).unwrap();
    let mut trust = FollowedTrust::open(files).await.unwrap();
    let now = Timestamp::constant(1_790_000_000, 0);
    let check = |trust: &FollowedTrust| trust.verifier().check(&chain, now);
    check(&trust).unwrap();

    std::fs::write(path("crl.pem"), list(&["it"])).unwrap();
    assert!(trust.look().await.unwrap().is_none(), "it may still be written");
    assert!(trust.look().await.unwrap().is_some());
    let revoked = rustls::Error::InvalidCertificate(rustls::CertificateError::Revoked);
    assert_eq!(check(&trust), Err(revoked.clone()));
    // What can't be used changes nothing.
    std::fs::write(path("ca.pem"), "no authority").unwrap();
    assert!(matches!(trust.reload().await, Err(TrustError::NoAuthority(_))));
    assert_eq!(check(&trust), Err(revoked));
    // Another authority's vehicles are strangers from then on.
    std::fs::write(path("ca.pem"), Authority::new().issuer.as_ref().pem()).unwrap();
    trust.reload().await.unwrap();
    // Of the same name, but with another key.
    let foreign = rustls::Error::InvalidCertificate(rustls::CertificateError::BadSignature);
    assert_eq!(check(&trust), Err(foreign));
}
