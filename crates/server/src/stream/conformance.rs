//! What the specifications ask of a server, statement by statement, at the level of bytes.
//!
//! A test's name begins with the numbers of the statements that it shows: `mqtt_3_1_2_1_2_…` shows [MQTT-3.1.2-1] and
//! [MQTT-3.1.2-2], and `mqtt_3_1_0_1_mqtt_4_8_0_1_…` statements of two sections. All statements are listed in
//! `docs/reference/mqtt-conformance.md`, which `tests/tests/mqtt_conformance.rs` compares with the names here.

mod v311;
mod v5;

use std::collections::BTreeMap;

use cardata_mqtt::Version;
use metrics::LocalRecorderGuard;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

use super::test_peer::{
    ANNAS, ConnAck, Connect, Farewell, Peer, SOC, add_container, id_token, report, world,
};
use crate::profile::Profile;
use crate::test_platform::{Person, World};

/// A filter for all of Anna's cars.
const ALL: &str = "aa111192-d570-4d3d-8835-656ee00edcd7/+";
/// The topic of Anna's car.
const TOPIC: &str = "aa111192-d570-4d3d-8835-656ee00edcd7/WBY00000000000001";

/// A server, and Anna, whose client may see the state of charge of her car.
struct Stage {
    version: Version,
    world: World,
    token: String,
    metrics: PrometheusHandle,
    _recording: LocalRecorderGuard<'static>,
}

/// How the server ended a connection.
#[derive(Debug, PartialEq)]
struct Ended {
    /// The reason's word in the metric.
    reason: String,
    /// MQTT 5's good-bye.
    farewell: Option<Farewell>,
}

/// How the server refused a CONNECT.
#[derive(Debug, PartialEq)]
struct Refused {
    /// The reason's word in the metric.
    reason: String,
    connack: Option<ConnAck>,
}

impl Stage {
    async fn new(version: Version) -> Self {
        Self::with(version, Profile::open()).await
    }

    async fn with(version: Version, profile: Profile) -> Self {
        // The server's tasks run on the test's own thread, so a recorder of its own counts them alone.
        let recorder = Box::leak(Box::new(PrometheusBuilder::new().build_recorder()));
        let metrics = recorder.handle();
        let recording = metrics::set_default_local_recorder(recorder);
        let world = world(profile).await;
        add_container(&world, Person::Anna, Person::Anna.client_id(), SOC).await;
        let token = id_token(&world, Person::Anna).await;
        Self { version, world, token, metrics, _recording: recording }
    }

    /// A good CONNECT of Anna's with a clean session.
    fn connect(&self) -> Connect {
        Connect::new(self.version, Person::Anna, &self.token)
    }

    /// Connects with a clean session.
    async fn connected(&self) -> Peer {
        self.accepted(&self.connect()).await.0
    }

    /// Connects, and must be let in.
    async fn accepted(&self, connect: &Connect) -> (Peer, ConnAck) {
        let (peer, connack) = Peer::connect_with(&self.world, connect).await;
        assert_eq!(connack.code, 0, "{connack:?}");
        (peer, connack)
    }

    /// Connects with a session that is kept, and says whether it is an earlier one.
    async fn resumed(&self, client_id: &str) -> (Peer, bool) {
        let connect = match self.version {
            Version::V311 => self.connect(),
            Version::V5 => self.connect().property(0x11, &[0, 0, 1, 0]),
        };
        let (peer, connack) = self.accepted(&connect.client_id(client_id).clean(false)).await;
        (peer, connack.flags == 1)
    }

    /// Sends a CONNECT with this body, which must not be accepted.
    async fn refused(&self, body: &[u8]) -> Refused {
        self.refused_as(0x10, body).await
    }

    /// Sends a first packet, which must not be accepted.
    async fn refused_as(&self, first: u8, body: &[u8]) -> Refused {
        let before = self.closed();
        let mut peer = Peer::open(&self.world);
        peer.speak(self.version);
        peer.send(first, body).await;
        let connack = peer.connack().await;
        if let Some(connack) = &connack {
            assert_ne!(connack.code, 0, "{body:?} is accepted");
            assert_eq!(peer.receive().await, None, "nothing comes after a CONNACK that refuses");
        }
        Refused { reason: self.closed_since(&before), connack }
    }

    /// Sends a packet that ends a good connection.
    async fn ended(&self, first: u8, body: &[u8]) -> Ended {
        self.ended_on(&mut self.connected().await, first, body).await
    }

    /// Sends a packet that ends this connection.
    async fn ended_on(&self, peer: &mut Peer, first: u8, body: &[u8]) -> Ended {
        let before = self.closed();
        peer.send(first, body).await;
        let farewell = peer.farewell().await;
        Ended { reason: self.closed_since(&before), farewell }
    }

    /// Sends a packet, after a CONNECT if it is none, and a PINGREQ after it. Gives why the connection ended, if it did.
    async fn verdict(&self, first: u8, body: &[u8]) -> Option<String> {
        let mut peer =
            if first >> 4 == 1 { Peer::open(&self.world) } else { self.connected().await };
        let before = self.closed();
        peer.send(first, body).await;
        peer.send(0xC0, &[]).await;
        while let Some((first, _)) = peer.receive().await {
            if first == 0xD0 {
                return None;
            }
        }
        Some(self.closed_since(&before))
    }

    /// How many connections ended for which reason.
    fn closed(&self) -> BTreeMap<String, u64> {
        let metrics = self.metrics.render();
        let counted = metrics.lines().filter_map(|line| {
            let (reason, count) =
                line.strip_prefix("cardata_mqtt_closed_total{reason=\"")?.split_once("\"} ")?;
            Some((reason.to_owned(), count.parse::<u64>().unwrap()))
        });
        counted.collect()
    }

    /// Why a connection ended since `before`. Those that the tests themselves end don't count.
    fn closed_since(&self, before: &BTreeMap<String, u64>) -> String {
        let ours = ["connection_lost", "taken_over"];
        let is_new = |(reason, count): &(String, u64)| {
            !ours.contains(&reason.as_str()) && before.get(reason) != Some(count)
        };
        let (reason, _) = self.closed().into_iter().find(is_new).expect("a connection ended");
        reason
    }

    /// Anna's car reports a state of charge.
    async fn report(&self, number: u32) {
        report(&self.world, ANNAS, number).await;
    }
}
