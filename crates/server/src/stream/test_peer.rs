//! A client for tests, at the level of bytes, over a pipe: real packets, real stores, no socket.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use cardata_contract::stream::parse;
use cardata_domain::ClientId;
use cardata_domain::container::{ContainerId, ContainerRequest};
use cardata_domain::vehicle::{Mapping, MappingType};
use cardata_mqtt::Version;
use cardata_store::directory::ContainerLimit;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream};
use tokio::time::timeout;

use super::connection;
use crate::attempts;
use crate::profile::Profile;
use crate::test_platform::{Person, SCOPES, START, World, vehicle};

pub(crate) const SOC: &str = "vehicle.drivetrain.batteryManagement.header";
pub(crate) const ODOMETER: &str = "vehicle.vehicle.travelledDistance";
pub(crate) const ANNAS: &str = "WBY00000000000001";
pub(crate) const BENS: &str = "WBY00000000000002";
/// Anna drives it, too, but may read nothing of it.
pub(crate) const SHARED: &str = "WBY00000000000003";

/// Anna and Ben with a car each, and one of Ben's that Anna drives as well.
pub(crate) async fn world(profile: Profile) -> World {
    with_vehicles(World::with(profile, None).await).await
}

/// `world` with the vehicles of both customers.
pub(crate) async fn with_vehicles(world: World) -> World {
    let mappings = [
        (Person::Anna, ANNAS, MappingType::Primary),
        (Person::Ben, BENS, MappingType::Primary),
        (Person::Ben, SHARED, MappingType::Primary),
        (Person::Anna, SHARED, MappingType::Secondary),
    ];
    for (person, vin, mapping_type) in mappings {
        world.platform.directory.put_vehicle(&vehicle(vin)).await.unwrap();
        let mapping =
            Mapping { gcid: person.gcid(), vin: vin.parse().unwrap(), mapping_type, since: START };
        world.platform.directory.put_mapping(&mapping).await.unwrap();
    }
    world
}

pub(crate) async fn id_token(world: &World, person: Person) -> String {
    world.log_in(person.client_id(), person, SCOPES).await.id_token
}

/// Registers a container and lets open connections know, as the REST API does.
pub(crate) async fn add_container(
    world: &World,
    person: Person,
    client_id: ClientId,
    descriptor: &str,
) -> ContainerId {
    let platform = &world.platform;
    let request =
        ContainerRequest::new("test", "test", &[descriptor.to_owned()], &platform.catalogue)
            .unwrap();
    let id = ContainerId::from_random(crate::secret::random());
    let container = request.register(id, person.gcid(), client_id, START);
    platform
        .directory
        .add_container(&container, ContainerLimit::ActivePerClient(10))
        .await
        .unwrap();
    platform.entitlements.refresh(person.gcid(), client_id).await.unwrap();
    id
}

pub(crate) async fn delete_container(world: &World, person: Person, id: ContainerId) {
    assert!(world.platform.directory.delete_container(id, START).await.unwrap());
    world.platform.entitlements.refresh(person.gcid(), person.client_id()).await.unwrap();
}

/// A vehicle reports `number` as its state of charge and as its odometer.
pub(crate) async fn report(world: &World, vin: &str, number: u32) {
    let at = "2026-07-27T12:37:58Z";
    let json = format!(
        r#"{{"vin":"{vin}","timestamp":"{at}","data":{{
            "{SOC}":{{"timestamp":"{at}","value":{number}}},
            "{ODOMETER}":{{"timestamp":"{at}","value":{number}}}}}}}"#
    );
    let event = parse(json.as_bytes(), &world.platform.catalogue).unwrap().event;
    world.platform.journal.append(vec![event], START).await.unwrap();
}

pub(crate) fn soc(number: i64) -> Vec<(String, i64)> {
    vec![(SOC.to_owned(), number)]
}

pub(crate) fn odometer(number: i64) -> Vec<(String, i64)> {
    vec![(ODOMETER.to_owned(), number)]
}

/// A CONNECT; what is not set is as a good client has it.
#[derive(Clone)]
pub(crate) struct Connect {
    pub(crate) version: Version,
    pub(crate) client_id: String,
    pub(crate) clean: bool,
    pub(crate) keep_alive: u16,
    /// Without their length; MQTT 5 only.
    pub(crate) properties: Vec<u8>,
    pub(crate) will: Option<Will>,
    pub(crate) user_name: Option<String>,
    pub(crate) password: Option<String>,
}

#[derive(Clone)]
pub(crate) struct Will {
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    pub(crate) properties: Vec<u8>,
    pub(crate) topic: String,
    pub(crate) payload: String,
}

impl Connect {
    /// Of `person` with the password `token`, with a clean session.
    pub(crate) fn new(version: Version, person: Person, token: &str) -> Self {
        Self {
            version,
            client_id: "peer".to_owned(),
            clean: true,
            keep_alive: 30,
            properties: Vec::new(),
            will: None,
            user_name: Some(person.gcid().to_string()),
            password: Some(token.to_owned()),
        }
    }

    pub(crate) fn client_id(self, client_id: &str) -> Self {
        Self { client_id: client_id.to_owned(), ..self }
    }

    pub(crate) fn clean(self, clean: bool) -> Self {
        Self { clean, ..self }
    }

    /// With one more property.
    pub(crate) fn property(mut self, identifier: u8, value: &[u8]) -> Self {
        self.properties.push(identifier);
        self.properties.extend(value);
        self
    }

    pub(crate) fn flags(&self) -> u8 {
        let will =
            self.will.as_ref().map_or(0, |will| 4 | will.qos << 3 | u8::from(will.retain) << 5);
        u8::from(self.clean) << 1
            | will
            | u8::from(self.password.is_some()) << 6
            | u8::from(self.user_name.is_some()) << 7
    }

    /// What follows the remaining length. The flags are its byte 7, the keep-alive time its bytes 8 and 9.
    pub(crate) fn body(&self) -> Vec<u8> {
        let mut body = b"\0\x04MQTT".to_vec();
        body.extend([if self.version == Version::V5 { 5 } else { 4 }, self.flags()]);
        body.extend(self.keep_alive.to_be_bytes());
        if self.version == Version::V5 {
            put_properties(&self.properties, &mut body);
        }
        put_text(&self.client_id, &mut body);
        if let Some(will) = &self.will {
            if self.version == Version::V5 {
                put_properties(&will.properties, &mut body);
            }
            put_text(&will.topic, &mut body);
            put_text(&will.payload, &mut body);
        }
        for text in [&self.user_name, &self.password].into_iter().flatten() {
            put_text(text, &mut body);
        }
        body
    }
}

/// A CONNACK, taken apart.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ConnAck {
    /// The acknowledge flags.
    pub(crate) flags: u8,
    /// The return code or reason code.
    pub(crate) code: u8,
    /// Without their length; MQTT 5 only.
    pub(crate) properties: Vec<u8>,
}

/// A client's end of a connection.
pub(crate) struct Peer {
    stream: DuplexStream,
    version: Version,
}

/// A packet: its first byte, and what follows the remaining length.
pub(crate) type Packet = (u8, Vec<u8>);

/// A delivery, taken apart.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Delivery {
    pub(crate) topic: String,
    /// Signal and value, in the message's order.
    pub(crate) values: Vec<(String, i64)>,
    pub(crate) qos: u8,
    pub(crate) packet_id: Option<u16>,
    pub(crate) duplicate: bool,
    pub(crate) retain: bool,
    /// Without their length; MQTT 5 only.
    pub(crate) properties: Vec<u8>,
}

impl Delivery {
    /// Takes a packet apart, which must be a PUBLISH.
    pub(crate) fn of(version: Version, (first, body): &Packet) -> Self {
        assert_eq!(first & 0xF0, 0x30, "a PUBLISH is expected");
        let topic_end = 2 + usize::from(u16::from_be_bytes([body[0], body[1]]));
        let qos = first >> 1 & 3;
        let (mut rest, mut packet_id) = (&body[topic_end..], None);
        if qos > 0 {
            packet_id = Some(u16::from_be_bytes([rest[0], rest[1]]));
            rest = &rest[2..];
        }
        let properties = match version {
            Version::V311 => Vec::new(),
            Version::V5 => take_properties(&mut rest),
        };
        let payload: serde_json::Value = serde_json::from_slice(rest).unwrap();
        let values = payload["data"].as_object().unwrap().iter();
        Self {
            topic: String::from_utf8(body[2..topic_end].to_vec()).unwrap(),
            values: values
                .map(|(name, entry)| (name.clone(), entry["value"].as_i64().unwrap()))
                .collect(),
            qos,
            packet_id,
            duplicate: first & 0x08 != 0,
            retain: first & 0x01 != 0,
            properties,
        }
    }
}

/// A DISCONNECT from the server, which only MQTT 5 has.
#[derive(Debug, PartialEq)]
pub(crate) struct Farewell {
    pub(crate) code: u8,
    /// The reason string.
    pub(crate) reason: String,
}

impl Peer {
    /// A connection on which nothing was said, from an address of its own.
    pub(crate) fn open(world: &World) -> Self {
        static ADDRESSES: AtomicU32 = AtomicU32::new(0x0A00_0000);
        let address = ADDRESSES.fetch_add(1, Ordering::Relaxed);
        Self::open_from(world, address.to_be_bytes())
    }

    /// A connection from `address`.
    pub(crate) fn open_from(world: &World, address: [u8; 4]) -> Self {
        let (client, server) = tokio::io::duplex(1 << 16);
        Self::over(world, client, server, address)
    }

    /// A connection from `address` over a pipe, of which the listener's end is `server`.
    pub(crate) fn over(
        world: &World,
        client: DuplexStream,
        server: impl AsyncRead + AsyncWrite + Send + 'static,
        address: [u8; 4],
    ) -> Self {
        let platform = world.platform.clone();
        let from = attempts::Peer::new(address.into());
        let serving = connection::serve(platform.clone(), server, from, platform.tasks.stopping());
        platform.tasks.spawn("test", serving);
        Self { stream: client, version: Version::V311 }
    }

    /// Reads and writes packets of `version` from now on.
    pub(crate) fn speak(&mut self, version: Version) {
        self.version = version;
    }

    /// Connects and gives the answer.
    pub(crate) async fn connect_with(world: &World, connect: &Connect) -> (Self, ConnAck) {
        let mut peer = Self::open(world);
        let connack = peer.introduce(connect).await.expect("a CONNACK is expected");
        (peer, connack)
    }

    /// Sends a CONNECT and gives the answer; `None` when the server closed the connection.
    pub(crate) async fn introduce(&mut self, connect: &Connect) -> Option<ConnAck> {
        self.speak(connect.version);
        self.send(0x10, &connect.body()).await;
        self.connack().await
    }

    /// The next packet, which must be a CONNACK; `None` when the server closed the connection.
    pub(crate) async fn connack(&mut self) -> Option<ConnAck> {
        let (first, body) = self.receive().await?;
        assert_eq!(first, 0x20, "a CONNACK is expected");
        let mut rest = &body[2..];
        let properties = if rest.is_empty() { Vec::new() } else { take_properties(&mut rest) };
        assert_eq!(rest, b"");
        Some(ConnAck { flags: body[0], code: body[1], properties })
    }

    /// Connects with 3.1.1 and gives the return code and whether the session was present.
    pub(crate) async fn connect(
        world: &World,
        user: &str,
        token: &str,
        id: &str,
        clean: bool,
    ) -> (Self, u8, bool) {
        let connect = Connect {
            user_name: Some(user.to_owned()),
            ..Connect::new(Version::V311, Person::Anna, token).client_id(id).clean(clean)
        };
        let (peer, connack) = Self::connect_with(world, &connect).await;
        (peer, connack.code, connack.flags == 1)
    }

    /// Connects with 3.1.1 as `person`, who must be let in.
    pub(crate) async fn connected(
        world: &World,
        person: Person,
        token: &str,
        id: &str,
        clean: bool,
    ) -> (Self, bool) {
        let (peer, code, present) =
            Self::connect(world, &person.gcid().to_string(), token, id, clean).await;
        assert_eq!(code, 0);
        (peer, present)
    }

    pub(crate) async fn send(&mut self, first: u8, body: &[u8]) {
        self.send_bytes(&packet(first, body)).await;
    }

    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) {
        // The server may have closed already; the test then sees that at its next read.
        let _ = self.stream.write_all(bytes).await;
    }

    /// The next packet; `None` when the server closed the connection.
    pub(crate) async fn receive(&mut self) -> Option<Packet> {
        timeout(Duration::from_secs(20), self.read()).await.expect("the server answers or closes")
    }

    /// The next bytes, as many as are wanted.
    pub(crate) async fn receive_bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.stream.read_exact(&mut bytes).await.expect("the server sends more");
        bytes
    }

    async fn read(&mut self) -> Option<Packet> {
        let first = self.stream.read_u8().await.ok()?;
        let (mut length, mut shift) = (0, 0);
        loop {
            let byte = self.stream.read_u8().await.ok()?;
            length |= usize::from(byte & 0x7F) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).await.ok()?;
        Some((first, body))
    }

    /// How the server ends the connection, which it must do with its next packet: the DISCONNECT that came before.
    pub(crate) async fn farewell(&mut self) -> Option<Farewell> {
        let (first, body) = self.receive().await?;
        assert_eq!(first, 0xE0, "a DISCONNECT or the end is expected, not {body:?}");
        let properties = take_properties(&mut &body[1..]);
        let reason = property(&properties, 0x1F).map(|text| text[2..].to_vec());
        let reason = String::from_utf8(reason.unwrap_or_default()).unwrap();
        assert_eq!(self.receive().await, None, "nothing comes after a DISCONNECT");
        Some(Farewell { code: body[0], reason })
    }

    /// Subscribes to one filter with these options, and gives the SUBACK's code.
    pub(crate) async fn subscribe(&mut self, filter: &str, options: u8) -> u8 {
        self.subscribe_all(&[(filter, options)]).await[0]
    }

    /// Subscribes to filters with their options, and gives the SUBACK's codes.
    pub(crate) async fn subscribe_all(&mut self, filters: &[(&str, u8)]) -> Vec<u8> {
        self.send(0x82, &subscribe(self.version, 1, &[], filters)).await;
        self.answer(0x90, 1).await
    }

    /// Unsubscribes, and gives the UNSUBACK's codes, which 3.1.1 does not have.
    pub(crate) async fn unsubscribe(&mut self, filters: &[&str]) -> Vec<u8> {
        self.send(0xA2, &unsubscribe(self.version, 2, filters)).await;
        self.answer(0xB0, 2).await
    }

    /// The codes of a SUBACK or UNSUBACK, which must come next. Where one refuses, MQTT 5 says why and nothing else.
    pub(crate) async fn answer(&mut self, expected: u8, packet_id: u16) -> Vec<u8> {
        let (first, body) = self.receive().await.expect("an answer is expected");
        assert_eq!((first, &body[..2]), (expected, &packet_id.to_be_bytes()[..]));
        let mut codes = &body[2..];
        if self.version == Version::V5 {
            let properties = take_properties(&mut codes);
            let why = property(&properties, 0x1F);
            assert_eq!(why.is_some(), codes.iter().any(|code| *code >= 0x80), "{body:?}");
            assert_eq!(properties.len(), why.map_or(0, |why| 1 + why.len()), "{body:?}");
        }
        codes.to_vec()
    }

    /// The next packet, which must be a delivery.
    pub(crate) async fn delivery(&mut self) -> Delivery {
        let packet = self.receive().await.expect("a PUBLISH is expected");
        Delivery::of(self.version, &packet)
    }

    /// The values of the next delivery.
    pub(crate) async fn values(&mut self) -> Vec<(String, i64)> {
        self.delivery().await.values
    }

    pub(crate) async fn ack(&mut self, delivery: &Delivery) {
        self.send(0x40, &delivery.packet_id.unwrap().to_be_bytes()).await;
    }

    /// Says good-bye, and waits until the server has closed the connection. What is not acknowledged stays so.
    pub(crate) async fn leave(mut self) {
        self.send(0xE0, &[]).await;
        while self.receive().await.is_some() {}
    }

    /// Whether nothing is on its way: the answer to a PINGREQ comes next.
    pub(crate) async fn is_quiet(&mut self) -> bool {
        self.send(0xC0, &[]).await;
        self.receive().await == Some((0xD0, Vec::new()))
    }
}

/// The bytes of a packet.
pub(crate) fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![first];
    put_length(body.len(), &mut packet);
    packet.extend(body);
    packet
}

/// The body of a SUBSCRIBE; `properties` without their length, for MQTT 5 only.
pub(crate) fn subscribe(
    version: Version,
    packet_id: u16,
    properties: &[u8],
    filters: &[(&str, u8)],
) -> Vec<u8> {
    let mut body = packet_id.to_be_bytes().to_vec();
    if version == Version::V5 {
        put_properties(properties, &mut body);
    }
    for (filter, options) in filters {
        put_text(filter, &mut body);
        body.push(*options);
    }
    body
}

/// The body of an UNSUBSCRIBE.
pub(crate) fn unsubscribe(version: Version, packet_id: u16, filters: &[&str]) -> Vec<u8> {
    let mut body = packet_id.to_be_bytes().to_vec();
    if version == Version::V5 {
        body.push(0);
    }
    for filter in filters {
        put_text(filter, &mut body);
    }
    body
}

pub(crate) fn text(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    put_text(text, &mut bytes);
    bytes
}

pub(crate) fn put_text(text: &str, body: &mut Vec<u8>) {
    body.extend(u16::try_from(text.len()).unwrap().to_be_bytes());
    body.extend(text.bytes());
}

pub(crate) fn put_properties(properties: &[u8], body: &mut Vec<u8>) {
    put_length(properties.len(), body);
    body.extend(properties);
}

fn put_length(mut length: usize, body: &mut Vec<u8>) {
    loop {
        let bits = u8::try_from(length % 128).unwrap();
        length /= 128;
        body.push(if length > 0 { bits | 0x80 } else { bits });
        if length == 0 {
            return;
        }
    }
}

/// Takes the properties that `bytes` begin with, without their length.
pub(crate) fn take_properties(bytes: &mut &[u8]) -> Vec<u8> {
    let length = usize::try_from(take_length(bytes)).unwrap();
    let (properties, rest) = bytes.split_at(length);
    *bytes = rest;
    properties.to_vec()
}

pub(crate) fn take_length(bytes: &mut &[u8]) -> u32 {
    let (mut length, mut shift) = (0, 0);
    loop {
        let (byte, rest) = bytes.split_first().expect("a length is expected");
        *bytes = rest;
        length |= u32::from(byte & 0x7F) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            return length;
        }
    }
}

/// The bytes of the values of one property, in their order.
pub(crate) fn all_properties(mut properties: &[u8], identifier: u8) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    while let Some((&next, rest)) = properties.split_first() {
        let text_length = |at: usize| 2 + usize::from(u16::from_be_bytes([rest[at], rest[at + 1]]));
        let length = match next {
            0x01 | 0x24 | 0x25 | 0x28..=0x2A => 1,
            0x13 | 0x21 | 0x22 | 0x23 => 2,
            0x02 | 0x11 | 0x27 => 4,
            0x0B => 1 + rest.iter().position(|byte| byte & 0x80 == 0).unwrap(),
            0x26 => text_length(0) + text_length(text_length(0)),
            _ => text_length(0),
        };
        let (value, others) = rest.split_at(length);
        if next == identifier {
            found.push(value.to_vec());
        }
        properties = others;
    }
    found
}

/// The bytes of a property's value; `None` when it is not there.
pub(crate) fn property(properties: &[u8], identifier: u8) -> Option<Vec<u8>> {
    all_properties(properties, identifier).into_iter().next()
}
