//! Packets to bytes (MQTT 3.1.1 and 5.0, §2 and §3 of each). PUBLISH is the hot path: no allocation but the buffer's own
//! growth.

use std::num::NonZeroU16;

use bytes::{BufMut, BytesMut};
use cardata_domain::{Gcid, Vin};

use crate::packet::{ConnAck, Outgoing, Publish, Qos, Version};
use crate::property;
use crate::reason::{ConnectRefusal, PUBLISH_REFUSED, SubscribeRefusal};

/// Writes packets for one connection.
#[derive(Debug, Clone)]
pub struct Encoder {
    version: Version,
    /// Whether reason strings may be sent with any packet (MQTT 5 §3.1.2.11.7).
    problem_information: bool,
    /// Bytes that a packet may have.
    packet_size_max: usize,
}

/// The bytes of a topic: GCID, slash and VIN.
const TOPIC_LENGTH: usize = Gcid::LENGTH + 1 + Vin::LENGTH;

impl Encoder {
    /// For a client that speaks `version`.
    pub fn new(version: Version) -> Self {
        Self { version, problem_information: true, packet_size_max: usize::MAX }
    }

    /// Leaves out reason strings where the client did not ask for them, and where they would make a packet too large.
    #[must_use]
    pub fn with_limits(self, problem_information: bool, packet_size_max: u32) -> Self {
        let packet_size_max = usize::try_from(packet_size_max).unwrap_or(usize::MAX);
        Self { problem_information, packet_size_max, ..self }
    }

    /// Writes `packet` to the end of `buffer`. A packet that the version does not have writes nothing. Gives false, and
    /// writes nothing, where the packet is larger than what the client takes. [MQTT-3.1.2-24]
    ///
    /// # Panics
    /// Never: lengths are made of what the types allow.
    pub fn encode(&self, packet: &Outgoing, buffer: &mut BytesMut) -> bool {
        let begin = buffer.len();
        self.write(packet, buffer);
        let fits = buffer.len() - begin <= self.packet_size_max;
        if !fits {
            buffer.truncate(begin);
        }
        fits
    }

    fn write(&self, packet: &Outgoing, buffer: &mut BytesMut) {
        match (packet, self.version) {
            (Outgoing::Publish(publish), _) => self.publish(publish, buffer),
            (Outgoing::PingResp, _) => buffer.put_slice(&[0xD0, 0]),
            (Outgoing::ConnAck(connack), Version::V311) => {
                buffer.put_slice(&[0x20, 2, u8::from(connack.session_present), 0]);
            }
            (Outgoing::ConnAck(connack), Version::V5) => connack_v5(connack, buffer),
            (Outgoing::ConnRefused { refusal, .. }, Version::V311) => {
                if let Some(code) = refusal.return_code() {
                    buffer.put_slice(&[0x20, 2, 0, code]);
                }
            }
            (Outgoing::ConnRefused { refusal, why }, Version::V5) => {
                self.refused_v5(*refusal, why, buffer);
            }
            (Outgoing::SubAck { packet_id, granted }, Version::V311) => {
                let mut body = BytesMut::with_capacity(2 + granted.len());
                body.put_u16(packet_id.get());
                body.extend(granted.iter().map(|granted| granted.map_or(0x80, Qos::level)));
                put_packet(0x90, &body, buffer);
            }
            (Outgoing::SubAck { packet_id, granted }, Version::V5) => {
                self.suback_v5(*packet_id, granted, buffer);
            }
            (Outgoing::UnsubAck { packet_id, .. }, Version::V311) => {
                put_packet(0xB0, &packet_id.get().to_be_bytes(), buffer);
            }
            (Outgoing::UnsubAck { packet_id, existed }, Version::V5) => {
                let mut body = BytesMut::with_capacity(3 + existed.len());
                body.put_u16(packet_id.get());
                body.put_u8(0);
                // "No subscription existed", MQTT 5 §3.11.3.
                body.extend(existed.iter().map(|existed| if *existed { 0 } else { 0x11 }));
                put_packet(0xB0, &body, buffer);
            }
            (Outgoing::PubRel { packet_id, known }, version) => {
                // "Packet Identifier not found", MQTT 5 §3.6.2.1.
                let code: &[u8] = if *known || version == Version::V311 { &[] } else { &[0x92] };
                put_packet(0x62, &[&packet_id.get().to_be_bytes(), code].concat(), buffer);
            }
            (Outgoing::PubComp { packet_id }, version) => {
                let code: &[u8] = if version == Version::V311 { &[] } else { &[0x92] };
                put_packet(0x70, &[&packet_id.get().to_be_bytes(), code].concat(), buffer);
            }
            (Outgoing::PublishRefused { packet_id, qos }, Version::V5) => {
                let first = if *qos == Qos::ExactlyOnce { 0x50 } else { 0x40 };
                let mut body = BytesMut::new();
                body.put_u16(packet_id.get());
                body.put_u8(0x87);
                let reason = self.reason(PUBLISH_REFUSED, body.len());
                // "If the Remaining Length is less than 4 there is no Property Length", MQTT 5 §3.4.2.2.1.
                if !reason.is_empty() {
                    put_properties(&reason, &mut body);
                }
                put_packet(first, &body, buffer);
            }
            (Outgoing::AuthSuccess { method }, Version::V5) => {
                let mut properties = BytesMut::new();
                put_text(property::AUTHENTICATION_METHOD, method, &mut properties);
                let mut body = BytesMut::new();
                body.put_u8(0);
                put_properties(&properties, &mut body);
                put_packet(0xF0, &body, buffer);
            }
            (Outgoing::Disconnect(reason), Version::V5) => {
                if let Some((code, why)) = reason.disconnect() {
                    let mut body = BytesMut::new();
                    body.put_u8(code);
                    self.put_reason(why, &mut body);
                    put_packet(0xE0, &body, buffer);
                }
            }
            (
                Outgoing::PublishRefused { .. }
                | Outgoing::AuthSuccess { .. }
                | Outgoing::Disconnect(_),
                Version::V311,
            ) => {}
        }
    }

    /// The bytes that `publish` has as a packet.
    pub fn publish_size(&self, publish: &Publish) -> usize {
        packet_size(self.publish_remaining(publish))
    }

    fn publish_remaining(&self, publish: &Publish) -> usize {
        let topic = 2 + if knows_alias(publish) { 0 } else { TOPIC_LENGTH };
        let packet_id = if publish.packet_id.is_some() { 2 } else { 0 };
        let properties = match self.version {
            Version::V311 => 0,
            Version::V5 => {
                let length = publish_properties(publish);
                length_of_length(length) + length
            }
        };
        topic + packet_id + properties + publish.payload.len()
    }

    fn publish(&self, publish: &Publish, buffer: &mut BytesMut) {
        let remaining = self.publish_remaining(publish);
        buffer.reserve(5 + remaining);
        let flags = u8::from(publish.duplicate) << 3 | publish.qos.level() << 1;
        buffer.put_u8(0x30 | flags | u8::from(publish.retain));
        put_length(remaining, buffer);
        if knows_alias(publish) {
            buffer.put_u16(0);
        } else {
            buffer.put_u16(u16::try_from(TOPIC_LENGTH).expect("a topic has 54 bytes"));
            buffer.put_slice(&publish.customer.to_bytes());
            buffer.put_u8(b'/');
            buffer.put_slice(publish.vin.as_bytes());
        }
        if let Some(packet_id) = publish.packet_id {
            buffer.put_u16(packet_id.get());
        }
        if self.version == Version::V5 {
            put_length(publish_properties(publish), buffer);
            if let Some(alias) = publish.alias {
                buffer.put_u8(property::TOPIC_ALIAS);
                buffer.put_u16(alias.number.get());
            }
            for identifier in &publish.identifiers {
                buffer.put_u8(property::SUBSCRIPTION_IDENTIFIER);
                put_length(identifier.get() as usize, buffer);
            }
            if let Some(gap) = &publish.gap {
                let gap = gap.to_string();
                buffer.put_u8(property::USER_PROPERTY);
                for text in [GAP_PROPERTY, &gap] {
                    put_string(text, buffer);
                }
            }
        }
        buffer.put_slice(&publish.payload);
    }

    fn refused_v5(&self, refusal: ConnectRefusal, why: &str, buffer: &mut BytesMut) {
        let mut body = BytesMut::new();
        body.put_slice(&[0, refusal.reason_code()]);
        self.put_reason(why, &mut body);
        put_packet(0x20, &body, buffer);
    }

    fn suback_v5(
        &self,
        packet_id: NonZeroU16,
        granted: &[Result<Qos, SubscribeRefusal>],
        buffer: &mut BytesMut,
    ) {
        let code = |granted: &Result<Qos, SubscribeRefusal>| match granted {
            Ok(qos) => qos.level(),
            Err(refusal) => refusal.reason_code(),
        };
        let mut refusals: Vec<SubscribeRefusal> = Vec::new();
        for refusal in granted.iter().filter_map(|granted| granted.err()) {
            if !refusals.contains(&refusal) {
                refusals.push(refusal);
            }
        }
        let whys: Vec<_> = refusals.iter().map(ToString::to_string).collect();
        let mut body = BytesMut::new();
        body.put_u16(packet_id.get());
        let reason = self.reason(&whys.join("; "), body.len() + granted.len());
        put_properties(&reason, &mut body);
        body.extend(granted.iter().map(code));
        put_packet(0x90, &body, buffer);
    }

    /// Writes the properties of a packet whose only one is a reason string, and which ends with them.
    fn put_reason(&self, why: &str, body: &mut BytesMut) {
        put_properties(&self.reason(why, body.len()), body);
    }

    /// The reason string as the only property of a packet that has so many `other` bytes; nothing if there is no reason,
    /// or it is not wanted or would make the packet too large.
    /// [MQTT-3.2.2-19] [MQTT-3.4.2-2] [MQTT-3.5.2-2] [MQTT-3.9.2-1] [MQTT-3.14.2-3]
    fn reason(&self, why: &str, other: usize) -> BytesMut {
        let length = 1 + 2 + why.len();
        let remaining = other + length_of_length(length) + length;
        let fits = packet_size(remaining) <= self.packet_size_max;
        let mut properties = BytesMut::new();
        if self.problem_information && fits && !why.is_empty() {
            put_text(property::REASON_STRING, why, &mut properties);
        }
        properties
    }
}

/// Says what this server does not have, so that no client asks for it (MQTT 5 §3.2.2.3).
fn connack_v5(connack: &ConnAck, buffer: &mut BytesMut) {
    let mut properties = BytesMut::new();
    if !connack.retain_available {
        properties.put_slice(&[property::RETAIN_AVAILABLE, 0]);
    }
    let shared = u8::from(connack.shared_available);
    properties.put_slice(&[property::SHARED_SUBSCRIPTION_AVAILABLE, shared]);
    properties.put_u8(property::MAXIMUM_PACKET_SIZE);
    properties.put_u32(PACKET_SIZE_MAX);
    if let Some(seconds) = connack.session_expiry_seconds {
        properties.put_u8(property::SESSION_EXPIRY_INTERVAL);
        properties.put_u32(seconds);
    }
    if let Some(seconds) = connack.keep_alive_seconds {
        properties.put_u8(property::SERVER_KEEP_ALIVE);
        properties.put_u16(seconds);
    }
    if let Some(client_id) = &connack.assigned_client_id {
        put_text(property::ASSIGNED_CLIENT_IDENTIFIER, client_id, &mut properties);
    }
    if let Some(method) = &connack.auth_method {
        put_text(property::AUTHENTICATION_METHOD, method, &mut properties);
    }
    let mut body = BytesMut::new();
    body.put_slice(&[u8::from(connack.session_present), 0]);
    put_properties(&properties, &mut body);
    put_packet(0x20, &body, buffer);
}

/// The user property that tells of a gap (wire §2.7).
const GAP_PROPERTY: &str = "cardata-gap";

/// Bytes that a packet from a client may have; the largest are long SUBSCRIBEs.
pub const PACKET_SIZE_MAX: u32 = 64 * 1024;

fn knows_alias(publish: &Publish) -> bool {
    publish.alias.is_some_and(|alias| alias.known)
}

fn publish_properties(publish: &Publish) -> usize {
    let alias = if publish.alias.is_some() { 3 } else { 0 };
    let identifiers =
        publish.identifiers.iter().map(|one| 1 + length_of_length(one.get() as usize));
    let gap = publish.gap.map_or(0, |gap| 1 + 2 + GAP_PROPERTY.len() + 2 + gap.to_string().len());
    alias + identifiers.sum::<usize>() + gap
}

fn put_packet(first: u8, body: &[u8], buffer: &mut BytesMut) {
    buffer.put_u8(first);
    put_length(body.len(), buffer);
    buffer.put_slice(body);
}

fn put_properties(properties: &[u8], body: &mut BytesMut) {
    put_length(properties.len(), body);
    body.put_slice(properties);
}

fn put_text(property: u8, text: &str, properties: &mut BytesMut) {
    properties.put_u8(property);
    put_string(text, properties);
}

fn put_string(text: &str, buffer: &mut BytesMut) {
    let length = u16::try_from(text.len()).expect("names and reasons of this server are short");
    buffer.put_u16(length);
    buffer.put_slice(text.as_bytes());
}

/// A variable byte integer (MQTT 5 §1.5.5): seven bits a byte, the lowest first.
fn put_length(mut length: usize, buffer: &mut BytesMut) {
    loop {
        let bits = u8::try_from(length % 128).expect("seven bits fit a byte");
        length /= 128;
        buffer.put_u8(if length > 0 { bits | 0x80 } else { bits });
        if length == 0 {
            return;
        }
    }
}

/// The bytes of a packet with `remaining` bytes after its length.
fn packet_size(remaining: usize) -> usize {
    1 + length_of_length(remaining) + remaining
}

fn length_of_length(length: usize) -> usize {
    match length {
        0..0x80 => 1,
        0x80..0x4000 => 2,
        0x4000..0x20_0000 => 3,
        _ => 4,
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use bytes::Bytes;

    use super::*;
    use jiff::Timestamp;

    use crate::packet::{Gap, TopicAlias};
    use crate::{CloseReason, ConnectRefusal};

    const GCID: &str = "aa111192-d570-4d3d-8835-656ee00edcd7";

    fn bytes(version: Version, packet: &Outgoing) -> Vec<u8> {
        let mut buffer = BytesMut::new();
        Encoder::new(version).encode(packet, &mut buffer);
        buffer.to_vec()
    }

    fn publish(payload: &[u8]) -> Publish {
        let vin = "WBY00000000000001".parse().unwrap();
        Publish::new(vin, GCID.parse().unwrap(), Bytes::copy_from_slice(payload))
    }

    #[test]
    fn a_publish_of_qos_1_has_its_topic_packet_id_and_payload() {
        let packet = Publish {
            qos: Qos::AtLeastOnce,
            packet_id: NonZeroU16::new(0x0102),
            duplicate: true,
            ..publish(&[b'x'; 100])
        };
        let mut expected = vec![0x3A, 0x9E, 1, 0, 54];
        expected.extend(format!("{GCID}/WBY00000000000001").bytes());
        expected.extend([1, 2]);
        expected.extend([b'x'; 100]);
        assert_eq!(bytes(Version::V311, &Outgoing::Publish(packet)), expected);
    }

    #[test]
    fn a_publish_of_qos_0_has_no_packet_id() {
        let encoded = bytes(Version::V311, &Outgoing::Publish(publish(b"{}")));
        assert_eq!(encoded[..4], [0x30, 58, 0, 54]);
        assert_eq!(encoded[58..], *b"{}");
    }

    #[test]
    fn a_publish_of_mqtt_5_carries_alias_and_identifiers() {
        let alias = |known| Some(TopicAlias { number: NonZeroU16::new(7).unwrap(), known });
        let identifiers = vec![NonZeroU32::new(300).unwrap()];
        let new = Publish { alias: alias(false), identifiers, ..publish(b"{}") };
        let encoded = bytes(Version::V5, &Outgoing::Publish(new));
        assert_eq!(encoded[..4], [0x30, 65, 0, 54]);
        assert_eq!(encoded[58..], *b"\x06\x23\0\x07\x0b\xac\x02{}");
        let known = Publish { alias: alias(true), ..publish(b"{}") };
        assert_eq!(bytes(Version::V5, &Outgoing::Publish(known)), *b"\x30\x08\0\0\x03\x23\0\x07{}");
    }

    #[test]
    fn a_publish_says_how_it_is_sent_and_whether_it_is_a_retained_one() {
        let first = |publish: Publish| bytes(Version::V311, &Outgoing::Publish(publish))[0];
        let exactly_once = Publish {
            qos: Qos::ExactlyOnce,
            packet_id: NonZeroU16::new(1),
            duplicate: true,
            ..publish(b"{}")
        };
        assert_eq!(first(exactly_once), 0x3C);
        assert_eq!(first(Publish { retain: true, ..publish(b"{}") }), 0x31);
    }

    #[test]
    fn a_gap_is_a_user_property_of_mqtt_5() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let gap = |from| Some(Gap { from, to: at(60) });
        let told = Publish { gap: gap(Some(at(0))), ..publish(b"{}") };
        assert_eq!(
            bytes(Version::V5, &Outgoing::Publish(told.clone()))[58..],
            *b"\x39\x26\0\x0bcardata-gap\0\x291970-01-01T00:00:00Z/1970-01-01T00:01:00Z{}"
        );
        assert_eq!(bytes(Version::V311, &Outgoing::Publish(told))[58..], *b"{}");
        let open = Publish { gap: gap(None), ..publish(b"{}") };
        let encoded = bytes(Version::V5, &Outgoing::Publish(open));
        assert!(encoded.ends_with(b"\0\x17../1970-01-01T00:01:00Z{}"));
    }

    #[test]
    fn the_size_of_a_publish_is_what_it_takes() {
        for version in [Version::V311, Version::V5] {
            for length in [0, 60, 127, 128, 16_300, 16_400] {
                let gap = Gap { from: None, to: Timestamp::UNIX_EPOCH };
                let packet = Publish {
                    packet_id: NonZeroU16::new(1),
                    gap: Some(gap),
                    ..publish(&vec![b'x'; length])
                };
                let size = Encoder::new(version).publish_size(&packet);
                assert_eq!(
                    bytes(version, &Outgoing::Publish(packet)).len(),
                    size,
                    "{version:?} {length}"
                );
            }
        }
    }

    #[test]
    fn answers_have_the_bytes_of_the_specification() {
        let packet_id = NonZeroU16::new(10).unwrap();
        let accepted =
            Outgoing::ConnAck(Box::new(ConnAck { session_present: true, ..ConnAck::default() }));
        assert_eq!(bytes(Version::V311, &accepted), [0x20, 2, 1, 0]);
        assert_eq!(bytes(Version::V5, &accepted)[..5], [0x20, 12, 1, 0, 9]);
        let refusal = ConnectRefusal::BadUserNameOrPassword;
        let refused = Outgoing::ConnRefused { refusal, why: "no".into() };
        assert_eq!(bytes(Version::V311, &refused), [0x20, 2, 0, 4]);
        assert_eq!(bytes(Version::V5, &refused), *b"\x20\x08\0\x86\x05\x1f\0\x02no");
        let granted = vec![Ok(Qos::AtLeastOnce), Err(SubscribeRefusal::NotAuthorized)];
        let granted = Outgoing::SubAck { packet_id, granted };
        assert_eq!(bytes(Version::V311, &granted), [0x90, 4, 0, 10, 1, 0x80]);
        let why = b"only topics {gcid}/{vin} of your own vehicles can be read";
        let head = [0x90, 65, 0, 10, 60, 0x1F, 0, 57];
        assert_eq!(bytes(Version::V5, &granted), [&head[..], why, &[1, 0x87]].concat());
        let ended = Outgoing::UnsubAck { packet_id, existed: vec![true, false] };
        assert_eq!(bytes(Version::V311, &ended), [0xB0, 2, 0, 10]);
        assert_eq!(bytes(Version::V5, &ended), [0xB0, 5, 0, 10, 0, 0, 0x11]);
        assert_eq!(bytes(Version::V311, &Outgoing::PingResp), [0xD0, 0]);
        for (known, code) in [(true, &[0x62, 2, 0, 10][..]), (false, &[0x62, 3, 0, 10, 0x92])] {
            let release = Outgoing::PubRel { packet_id, known };
            assert_eq!(bytes(Version::V311, &release), [0x62, 2, 0, 10]);
            assert_eq!(bytes(Version::V5, &release), code);
        }
        let complete = Outgoing::PubComp { packet_id };
        assert_eq!(bytes(Version::V311, &complete), [0x70, 2, 0, 10]);
        assert_eq!(bytes(Version::V5, &complete), [0x70, 3, 0, 10, 0x92]);
        let refused = Outgoing::PublishRefused { packet_id, qos: Qos::AtLeastOnce };
        let head = [0x40, 50, 0, 10, 0x87, 46, 0x1F, 0, 43];
        let why = PUBLISH_REFUSED.as_bytes();
        assert_eq!(bytes(Version::V5, &refused), [&head[..], why].concat());
        let stopping = Outgoing::Disconnect(CloseReason::ServerStopping);
        assert!(bytes(Version::V311, &stopping).is_empty());
        assert_eq!(bytes(Version::V5, &stopping)[..3], [0xE0, 36, 0x8B]);
    }

    #[test]
    fn a_reason_is_left_out_where_it_is_not_wanted_or_does_not_fit() {
        let packet_id = NonZeroU16::new(10).unwrap();
        let granted = vec![Ok(Qos::AtMostOnce), Err(SubscribeRefusal::QuotaExceeded)];
        let cases: [(Outgoing, &[u8]); 4] = [
            (Outgoing::Disconnect(CloseReason::ServerStopping), &[0xE0, 2, 0x8B, 0]),
            (Outgoing::SubAck { packet_id, granted }, &[0x90, 5, 0, 10, 0, 0, 0x97]),
            (
                Outgoing::PublishRefused { packet_id, qos: Qos::AtLeastOnce },
                &[0x40, 3, 0, 10, 0x87],
            ),
            (
                Outgoing::PublishRefused { packet_id, qos: Qos::ExactlyOnce },
                &[0x50, 3, 0, 10, 0x87],
            ),
        ];
        for (packet, bare) in cases {
            let whole = bytes(Version::V5, &packet);
            let size = u32::try_from(whole.len()).unwrap();
            for (wanted, size_max, expected) in
                [(true, size, &whole[..]), (true, size - 1, bare), (false, u32::MAX, bare)]
            {
                let encoder = Encoder::new(Version::V5).with_limits(wanted, size_max);
                let mut buffer = BytesMut::new();
                assert!(encoder.encode(&packet, &mut buffer));
                assert_eq!(buffer[..], *expected, "{packet:?} in {size_max}");
            }
        }
    }

    #[test]
    fn a_suback_gives_each_reason_once() {
        let packet_id = NonZeroU16::new(10).unwrap();
        let (quota, foreign) = (SubscribeRefusal::QuotaExceeded, SubscribeRefusal::NotAuthorized);
        let granted = vec![Err(foreign), Err(quota), Ok(Qos::AtMostOnce), Err(foreign)];
        let written = bytes(Version::V5, &Outgoing::SubAck { packet_id, granted });
        let text = String::from_utf8_lossy(&written);
        assert!(text.contains(&format!("{foreign}; {quota}\u{FFFD}")), "{text}");
        let none = bytes(Version::V5, &Outgoing::SubAck { packet_id, granted: Vec::new() });
        assert_eq!(none, [0x90, 3, 0, 10, 0]);
    }
}
