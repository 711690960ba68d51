//! Vehicles over real TLS: whose certificate opens what, and what becomes of what they publish.

use std::net::SocketAddr;

use cardata_domain::Sequence;
use jiff::SignedDuration;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, HandshakeKind, RootCertStore};
use serde_json::json;
use tokio::net::TcpListener;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream as ClientStream;

use super::*;
use crate::door::{Door, Limits};
use crate::stream::listener;
use crate::test_platform::{ADMIN_TOKEN, World, vehicle};
use crate::tls::{Certificate, CurrentCertificate, OldestVersion, Tls};

const OWN: &str = "WBY00000000000001";
const OTHER: &str = "WBY00000000000002";
const SOC: &str = "vehicle.drivetrain.batteryManagement.header";
const LATE: Duration = Duration::from_secs(20);

/// A platform whose vehicles' listener listens, and what it shows.
struct Road {
    world: World,
    to: SocketAddr,
    server: CertifiedIssuer<'static, KeyPair>,
    metrics: PrometheusHandle,
    _recording: metrics::LocalRecorderGuard<'static>,
}

/// A vehicle's connection.
struct Car(ClientStream<TcpStream>);

impl Road {
    async fn new() -> Self {
        // Leaked: the guard borrows it for as long as the test.
        let recorder = Box::leak(Box::new(PrometheusBuilder::new().build_recorder()));
        let metrics = recorder.handle();
        let recording = metrics::set_default_local_recorder(recorder);
        let world = World::new().await;
        // Certificates are looked at with the system's clock, too.
        world.clock.set(now());
        for vin in [OWN, OTHER] {
            world.platform.directory.put_vehicle(&vehicle(vin)).await.unwrap();
        }
        let server = authority("server");
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        let shown = params.signed_by(&key, &server).unwrap().der().clone();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let shown = CurrentCertificate::new("test", &Certificate::new(vec![shown], key).unwrap());
        let verifier = world.platform.vehicle_certificates.verifier().clone();
        let tls = Tls::new(OldestVersion::V13, &shown, &shown, verifier).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = listener.local_addr().unwrap();
        let door = Arc::new(Door::new("test", Limits::NONE));
        let serving = listener::run(
            world.platform.clone(),
            listener,
            tls.vehicles_mqtt,
            door,
            |platform, stream, _, stopping| Box::pin(serve(platform, stream, stopping)),
        );
        world.platform.tasks.spawn("test", serving);
        Self { world, to, server, metrics, _recording: recording }
    }

    /// TLS with a certificate that the operator issues for `vin`, and its serial number.
    async fn enrolled(&self, vin: &str) -> (ClientConfig, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, vin);
        let request = params.serialize_request(&key).unwrap().pem().unwrap();
        let path = format!("/admin/v1/vehicles/{vin}/certificates");
        let body = json!({"csr": request}).to_string();
        let issued = self.world.call("POST", &path, ADMIN_TOKEN, body).await.json();
        let pem = issued["certificate"].as_str().unwrap();
        let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        (self.client(certificate, &key), issued["serial"].as_str().unwrap().to_owned())
    }

    /// TLS that shows `certificate`.
    fn client(&self, certificate: CertificateDer<'static>, key: &KeyPair) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.server.as_ref().der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![certificate], key)
            .unwrap()
    }

    /// Connects as a vehicle does; nothing where the server ends it first.
    async fn connect(&self, client: &ClientConfig) -> Option<Car> {
        let stream = TcpStream::connect(self.to).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let stream =
            TlsConnector::from(Arc::new(client.clone())).connect(name, stream).await.ok()?;
        let mut car = Car(stream);
        // Keep-alive of 60 seconds, clean session, client id `v`.
        let hello = b"\x10\x0d\0\x04MQTT\x04\x02\0\x3c\0\x01v";
        car.0.write_all(hello).await.ok()?;
        let mut answer = [0; 4];
        let read = timeout(LATE, car.0.read_exact(&mut answer)).await.expect("an answer or an end");
        read.ok()?;
        assert_eq!(answer, [0x20, 2, 0, 0]);
        Some(car)
    }

    async fn kept(&self, vin: &str) -> Vec<String> {
        let journal = &self.world.platform.journal;
        let events = journal.read(vin.parse().unwrap(), Sequence(0), 1000).await.unwrap();
        events.iter().map(|kept| kept.event.entries()[0].value().as_plain().to_owned()).collect()
    }

    fn assert_counted(&self, row: &str) {
        let rendered = self.metrics.render();
        assert!(rendered.contains(row), "{row} is missing:\n{rendered}");
    }
}

impl Car {
    async fn publish(&mut self, topic: &str, packet_id: u16, first: u8, payload: &[u8]) {
        let mut packet = vec![first];
        let mut length = 4 + topic.len() + payload.len();
        while length > 0x7f {
            packet.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
            length >>= 7;
        }
        packet.push(u8::try_from(length).unwrap());
        packet.extend(u16::try_from(topic.len()).unwrap().to_be_bytes());
        packet.extend_from_slice(topic.as_bytes());
        packet.extend(packet_id.to_be_bytes());
        packet.extend_from_slice(payload);
        self.0.write_all(&packet).await.unwrap();
    }

    /// Publishes to the own topic of [`OWN`].
    async fn report(&mut self, packet_id: u16, payload: &[u8]) {
        self.publish(&topic(OWN), packet_id, 0x32, payload).await;
    }

    async fn assert_acknowledged(&mut self, packet_id: u16) {
        let mut answer = [0; 4];
        timeout(LATE, self.0.read_exact(&mut answer)).await.expect("a PUBACK in time").unwrap();
        let [high, low] = packet_id.to_be_bytes();
        assert_eq!(answer, [0x40, 2, high, low]);
    }

    async fn assert_ended(&mut self) {
        let read = timeout(LATE, self.0.read_to_end(&mut Vec::new())).await;
        // With or without a proper end of TLS.
        assert!(matches!(read.expect("an end in time"), Ok(0) | Err(_)));
    }
}

#[expect(clippy::disallowed_methods, reason = "TLS looks at the system's clock as well")]
fn now() -> Timestamp {
    Timestamp::now()
}

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn topic(vin: &str) -> String {
    format!("vehicles/{vin}/telemetry")
}

fn event(vin: &str, at: Timestamp, value: &serde_json::Value) -> Vec<u8> {
    json!({"vin": vin, "timestamp": at, "data": {SOC: {"timestamp": at, "value": value}}})
        .to_string()
        .into_bytes()
}

#[tokio::test]
async fn an_enrolled_vehicle_is_let_in_and_what_it_publishes_is_kept_before_it_is_acknowledged() {
    let road = Road::new().await;
    let (client, _) = road.enrolled(OWN).await;
    let mut car = road.connect(&client).await.unwrap();
    for number in 1..=3 {
        car.report(number, &event(OWN, now(), &number.into())).await;
        car.assert_acknowledged(number).await;
        assert_eq!(road.kept(OWN).await.len(), usize::from(number));
    }
}

#[tokio::test]
async fn a_certificate_of_another_authority_or_that_expired_opens_nothing() {
    let road = Road::new().await;
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, OWN);
    let foreign = params.signed_by(&key, &authority("foreign")).unwrap().der().clone();
    assert!(road.connect(&road.client(foreign, &key)).await.is_none());
    road.assert_counted("vehicle_certificates_refused_total{reason=\"foreign\"} 1");

    let ours = road.world.platform.vehicle_certificates.authority().unwrap();
    let validity = SignedDuration::from_hours(1);
    let long_ago = now() - SignedDuration::from_hours(48);
    let expired = ours.issue(OWN.parse().unwrap(), &key, validity, long_ago).unwrap();
    let expired = CertificateDer::from_pem_slice(expired.pem.as_bytes()).unwrap();
    assert!(road.connect(&road.client(expired, &key)).await.is_none());
    road.assert_counted("vehicle_certificates_refused_total{reason=\"expired\"} 1");
    road.assert_counted("mqtt_handshakes_failed_total{outcome=\"failed\"} 2");
}

#[tokio::test]
async fn a_vehicle_that_was_never_added_and_a_name_that_is_no_vin_are_told_so() {
    let road = Road::new().await;
    let ours = road.world.platform.vehicle_certificates.authority().unwrap();
    let key = KeyPair::generate().unwrap();
    let unknown = "WBY00000000000009".parse().unwrap();
    let issued = ours.issue(unknown, &key, SignedDuration::from_hours(1), now()).unwrap();
    let certificate = CertificateDer::from_pem_slice(issued.pem.as_bytes()).unwrap();
    let stream = TcpStream::connect(road.to).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let client = Arc::new(road.client(certificate, &key));
    let mut car = Car(TlsConnector::from(client).connect(name, stream).await.unwrap());
    car.0.write_all(b"\x10\x0d\0\x04MQTT\x04\x02\0\x3c\0\x01v").await.unwrap();
    let mut answer = [0; 4];
    timeout(LATE, car.0.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(answer, [0x20, 2, 0, 5]);
    car.assert_ended().await;
    road.assert_counted("vehicle_connections_ended_total{reason=\"unknown_vehicle\"} 1");
}

#[tokio::test]
async fn revoking_closes_the_vehicles_connections_and_keeps_it_out_also_with_a_ticket() {
    let road = Road::new().await;
    let (client, serial) = road.enrolled(OWN).await;
    let (renewed, _) = road.enrolled(OWN).await;
    let (other, _) = road.enrolled(OTHER).await;
    // The first connection brings a ticket, with which the second one begins.
    let mut car = road.connect(&client).await.unwrap();
    let resumed = road.connect(&client).await.unwrap();
    assert_eq!(resumed.0.get_ref().1.handshake_kind(), Some(HandshakeKind::Resumed));
    drop(resumed);
    let mut renewed_car = road.connect(&renewed).await.unwrap();
    let mut other_car = road.connect(&other).await.unwrap();

    let path = format!("/admin/v1/vehicles/{OWN}/certificates/{serial}");
    let answer = road.world.call("DELETE", &path, ADMIN_TOKEN, "").await.json();
    assert_eq!(answer["serials"], json!([serial]));
    assert!(answer["connections_closed"].as_u64().unwrap() >= 1, "{answer}");
    car.assert_ended().await;
    assert!(road.connect(&client).await.is_none(), "its ticket opens nothing");
    let mut forgetful = client.clone();
    forgetful.resumption = rustls::client::Resumption::disabled();
    assert!(road.connect(&forgetful).await.is_none());
    road.assert_counted("vehicle_certificates_refused_total{reason=\"revoked\"}");

    renewed_car.report(1, &event(OWN, now(), &1.into())).await;
    renewed_car.assert_acknowledged(1).await;
    other_car.publish(&topic(OTHER), 1, 0x32, &event(OTHER, now(), &1.into())).await;
    other_car.assert_acknowledged(1).await;

    // It stays so after a restart.
    let platform = &road.world.platform;
    platform.vehicle_certificates.publish(&*platform.directory, now()).await.unwrap();
    assert!(road.connect(&client).await.is_none());
}

#[tokio::test]
async fn what_comes_again_is_acknowledged_and_not_kept_twice() {
    let road = Road::new().await;
    let (client, _) = road.enrolled(OWN).await;
    let message = event(OWN, now(), &1.into());
    let mut car = road.connect(&client).await.unwrap();
    car.report(1, &message).await;
    car.assert_acknowledged(1).await;
    drop(car);
    // With DUP set, and as a vehicle that forgot its session.
    let mut car = road.connect(&client).await.unwrap();
    car.publish(&topic(OWN), 1, 0x3a, &message).await;
    car.assert_acknowledged(1).await;
    car.report(2, &message).await;
    car.assert_acknowledged(2).await;
    assert_eq!(road.kept(OWN).await, ["1"]);
    road.assert_counted("ingest_events_total{source=\"mqtt\",outcome=\"repeated\"} 2");
}

#[tokio::test]
async fn what_can_never_be_taken_is_acknowledged_counted_and_not_kept() {
    let road = Road::new().await;
    let (client, _) = road.enrolled(OWN).await;
    let mut car = road.connect(&client).await.unwrap();
    let year = SignedDuration::from_hours(365 * 24);
    let mut long = event(OWN, now(), &1.into());
    long.resize(EVENT_LENGTH_MAX + 1, b' ');
    let unknown_form = json!({"vin": OWN, "timestamp": now(), "data": {"no descriptor":
        {"timestamp": now(), "value": 1}}});
    for (packet_id, payload) in (1..).zip([
        event(OTHER, now(), &1.into()),
        b"not json".to_vec(),
        Vec::new(),
        event(OWN, now(), &serde_json::Value::Null),
        event(OWN, now(), &json!({"a": 1})),
        event(OWN, now() + year, &1.into()),
        long,
        unknown_form.to_string().into_bytes(),
    ]) {
        car.report(packet_id, &payload).await;
        car.assert_acknowledged(packet_id).await;
    }
    assert_eq!(road.kept(OWN).await, [""; 0]);
    assert_eq!(road.kept(OTHER).await, [""; 0]);
    road.assert_counted("ingest_events_total{source=\"mqtt\",outcome=\"foreign_vin\"} 1");
    road.assert_counted("ingest_events_total{source=\"mqtt\",outcome=\"refused\"} 7");

    // The vehicle goes on: a clock a year behind is late, a mebibyte is allowed.
    car.report(9, &event(OWN, now() - year, &9.into())).await;
    car.assert_acknowledged(9).await;
    let mut large = event(OWN, now(), &10.into());
    large.resize(EVENT_LENGTH_MAX, b' ');
    car.report(10, &large).await;
    car.assert_acknowledged(10).await;
    assert_eq!(road.kept(OWN).await, ["9", "10"]);
}

#[tokio::test]
async fn another_vehicles_topic_ends_the_connection_after_what_came_before_it_was_kept() {
    let road = Road::new().await;
    let (client, _) = road.enrolled(OWN).await;
    let mut car = road.connect(&client).await.unwrap();
    car.report(1, &event(OWN, now(), &1.into())).await;
    car.publish(&topic(OTHER), 2, 0x32, &event(OTHER, now(), &2.into())).await;
    car.assert_acknowledged(1).await;
    car.assert_ended().await;
    assert_eq!((road.kept(OWN).await, road.kept(OTHER).await), (vec!["1".to_owned()], Vec::new()));
    road.assert_counted("vehicle_connections_ended_total{reason=\"foreign_topic\"} 1");
}

#[tokio::test]
async fn while_too_much_is_waiting_a_vehicle_is_not_acknowledged_and_loses_nothing() {
    let road = Road::new().await;
    let (client, _) = road.enrolled(OWN).await;
    let mut car = road.connect(&client).await.unwrap();
    let share = road.world.platform.ingest.room.share(usize::MAX).await;
    for number in 1..=3 {
        car.report(number, &event(OWN, now(), &number.into())).await;
    }
    let answered = timeout(Duration::from_millis(50), car.0.read(&mut [0])).await;
    assert!(answered.is_err(), "nothing is acknowledged before it is on disk");
    assert_eq!(road.kept(OWN).await, [""; 0]);
    drop(share);
    for number in 1..=3 {
        car.assert_acknowledged(number).await;
    }
    assert_eq!(road.kept(OWN).await, ["1", "2", "3"]);
}
