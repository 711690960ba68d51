//! Bytes to packets: `rmqtt-codec` behind types of ours, so that it can be replaced (`docs/adr/0001`).

use std::num::{NonZeroU16, NonZeroU32};

use bytes::BytesMut;
use cardata_mqtt::encode::PACKET_SIZE_MAX;
use cardata_mqtt::packet::{Auth, Connect, Packet, Qos, RetainHandling, Version, Wanted};
use rmqtt_codec::error::DecodeError;
use rmqtt_codec::types::QoS;
use rmqtt_codec::{v3, v5};
use thiserror::Error;
use tokio_util::codec::Decoder as _;

use super::form;

/// Bytes that a packet may have before the peer is known: a CONNECT with a token of 4 KiB and room to spare.
pub const OPENING_PACKET_MAX: usize = 16 * 1024;

/// Reads packets of one connection.
#[derive(Debug, Default)]
pub struct Decoder {
    /// Known once the CONNECT's protocol level is.
    codec: Option<Codec>,
    /// Whether the CONNECT was read.
    opened: bool,
}

#[derive(Debug)]
enum Codec {
    V311(v3::Codec),
    V5(v5::Codec),
}

/// Why bytes are no packet that this server takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PacketError {
    /// Not MQTT, or against its form.
    #[error("malformed packet")]
    Malformed,
    /// Well-formed, but against the protocol: a packet of servers, a property that comes twice, a value out of range.
    #[error("a packet or value that a client may not send")]
    Forbidden,
    /// Longer than allowed at this point.
    #[error("packet too large")]
    TooLarge,
    /// MQTT, but a version that this server doesn't speak.
    #[error("unsupported protocol level {0}")]
    UnsupportedLevel(u8),
    /// An empty client identifier with a session that should be kept. [MQTT-3.1.3-8]
    #[error("an empty client identifier needs a clean session")]
    EmptyClientId,
}

impl Decoder {
    /// Takes the first packet from `input`; `None` when it is not there whole.
    ///
    /// # Errors
    /// [`PacketError`]: the connection can't go on.
    pub fn decode(&mut self, input: &mut BytesMut) -> Result<Option<Packet>, PacketError> {
        let codec = match &mut self.codec {
            Some(codec) => codec,
            None => match protocol_level(input)? {
                None => return Ok(None),
                Some(4) => self.codec.insert(Codec::V311(v3::Codec::new(0))),
                Some(5) => self.codec.insert(Codec::V5(v5::Codec::new(0, 0))),
                Some(other) => return Err(PacketError::UnsupportedLevel(other)),
            },
        };
        let size_max = if self.opened { PACKET_SIZE_MAX as usize } else { OPENING_PACKET_MAX };
        let Some(frame) = frame(input)? else { return Ok(None) };
        if frame.remaining > size_max {
            return Err(PacketError::TooLarge);
        }
        if !frame.is_whole() {
            return Ok(None);
        }
        // A whole packet is always read or refused.
        let packet = match codec {
            Codec::V311(codec) => {
                frame.check(Version::V311)?;
                let decoded = codec.decode(input).map_err(|error| PacketError::from(&error))?;
                packet_of_v311(decoded.ok_or(PacketError::Malformed)?.0)?
            }
            Codec::V5(codec) => {
                frame.check(Version::V5)?;
                if let Some(flags) = frame.flags_without_client_id() {
                    // The library refuses to choose an identifier for a session that goes on. There is none to go on
                    // with under an identifier that is yet to be chosen, so a clean start says the same.
                    input[flags] |= CLEAN_START;
                }
                let decoded = codec.decode(input).map_err(|error| PacketError::from(&error))?;
                packet_of_v5(decoded.ok_or(PacketError::Malformed)?.0)?
            }
        };
        self.opened = true;
        Ok(Some(packet))
    }
}

impl From<&DecodeError> for PacketError {
    fn from(error: &DecodeError) -> Self {
        match error {
            DecodeError::MaxSizeExceeded { .. } => Self::TooLarge,
            DecodeError::InvalidClientId => Self::EmptyClientId,
            _ => Self::Malformed,
        }
    }
}

/// A packet's first byte and as much of its body as is there.
struct Frame<'a> {
    first: u8,
    /// Bytes before the body.
    header_length: usize,
    /// The length that the body will have.
    remaining: usize,
    body: &'a [u8],
}

/// Looks at the first packet of `input`; `None` when not even its length is there.
fn frame(input: &[u8]) -> Result<Option<Frame<'_>>, PacketError> {
    let Some((&first, rest)) = input.split_first() else { return Ok(None) };
    let mut remaining = 0;
    for (index, byte) in rest.iter().take(4).enumerate() {
        remaining |= usize::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            let body = &rest[index + 1..];
            let body = &body[..remaining.min(body.len())];
            return Ok(Some(Frame { first, header_length: index + 2, remaining, body }));
        }
    }
    if rest.len() < 4 { Ok(None) } else { Err(PacketError::Malformed) }
}

impl Frame<'_> {
    fn is_whole(&self) -> bool {
        self.body.len() == self.remaining
    }

    /// Where the flags are in a CONNECT of MQTT 5 that leaves the client identifier to the server.
    fn flags_without_client_id(&self) -> Option<usize> {
        let after_keep_alive = self.body.get(10..).filter(|_| self.first == CONNECT)?;
        let empty = after_properties(after_keep_alive)?.starts_with(&[0, 0]);
        empty.then_some(self.header_length + 7)
    }

    /// Checks what the library does not.
    fn check(&self, version: Version) -> Result<(), PacketError> {
        // [MQTT-1.5.5-1]: 3.1.1 does not ask for a length of as few bytes as possible.
        if version == Version::V5
            && self.header_length > 2
            && self.remaining < SMALLEST[self.header_length - 2]
        {
            return Err(PacketError::Malformed);
        }
        form::check(version, self.first, self.body)
    }
}

/// The smallest lengths that need one byte, two, three and four (MQTT 5 §1.5.5).
const SMALLEST: [usize; 4] = [0, 0x80, 0x4000, 0x20_0000];

/// What follows the properties that `body` begins with (MQTT 5 §2.2.2).
fn after_properties(body: &[u8]) -> Option<&[u8]> {
    let last = body.iter().take(4).position(|byte| byte & 0x80 == 0)?;
    let bits = body[..=last].iter().enumerate();
    let length =
        bits.fold(0, |length, (index, byte)| length | usize::from(byte & 0x7F) << (7 * index));
    body.get(last + 1 + length..)
}

/// In the flags of a CONNECT (MQTT 5 §3.1.2.4).
const CLEAN_START: u8 = 0x02;
const CONNECT: u8 = 0x10;

/// Looks at the first bytes of a connection: the protocol level of its CONNECT (MQTT 3.1.1 §3.1.2.2), `None` when more
/// bytes are needed.
fn protocol_level(input: &[u8]) -> Result<Option<u8>, PacketError> {
    if input.first().is_some_and(|first| *first != CONNECT) {
        return Err(PacketError::Malformed);
    }
    let Some(frame) = frame(input)? else { return Ok(None) };
    for (name, level_at) in [(&b"\0\x04MQTT"[..], 6), (&b"\0\x06MQIsdp"[..], 8)] {
        if frame.body.starts_with(name) && frame.body.len() > level_at {
            return Ok(Some(frame.body[level_at]));
        }
        if !frame.is_whole() && (name.starts_with(frame.body) || frame.body == name) {
            return Ok(None);
        }
    }
    Err(PacketError::Malformed)
}

fn packet_of_v311(packet: v3::Packet) -> Result<Packet, PacketError> {
    let packet = match packet {
        v3::Packet::Connect(connect) => Packet::Connect(Box::new(Connect {
            version: Version::V311,
            client_id: connect.client_id.to_string(),
            clean_start: connect.clean_session,
            keep_alive_seconds: connect.keep_alive,
            // Kept for ever or not at all: 3.1.1 knows nothing in between.
            session_expiry_seconds: if connect.clean_session { 0 } else { u32::MAX },
            receive_max: NonZeroU16::MAX,
            packet_size_max: u32::MAX,
            topic_alias_max: 0,
            problem_information: false,
            user_name: connect.username.map(|name| name.to_string()),
            password: connect.password,
            auth: None,
        })),
        v3::Packet::Publish(publish) => published(publish.packet_id, publish.qos)?,
        v3::Packet::PublishAck { packet_id } => Packet::PubAck(packet_id),
        v3::Packet::PublishReceived { packet_id } => Packet::PubRec { packet_id, refused: false },
        v3::Packet::PublishRelease { packet_id } => Packet::PubRel(packet_id),
        v3::Packet::PublishComplete { packet_id } => Packet::PubComp(packet_id),
        v3::Packet::Subscribe { packet_id, topic_filters } => {
            let filters = topic_filters.into_iter();
            let wanted = filters.map(|(filter, qos)| (filter, qos, RetainHandling::Always));
            subscribe(packet_id, wanted, None)?
        }
        v3::Packet::Unsubscribe { packet_id, topic_filters } => {
            unsubscribe(packet_id, &topic_filters)
        }
        v3::Packet::PingRequest => Packet::PingReq,
        v3::Packet::Disconnect => Packet::Disconnect { session_expiry_seconds: None },
        // Only a server sends these.
        v3::Packet::ConnectAck(_)
        | v3::Packet::SubscribeAck { .. }
        | v3::Packet::UnsubscribeAck { .. }
        | v3::Packet::PingResponse => return Err(PacketError::Forbidden),
    };
    Ok(packet)
}

fn packet_of_v5(packet: v5::Packet) -> Result<Packet, PacketError> {
    let packet = match packet {
        v5::Packet::Connect(connect) => {
            let data = connect.auth_data.unwrap_or_default();
            Packet::Connect(Box::new(Connect {
                version: Version::V5,
                client_id: connect.client_id.to_string(),
                clean_start: connect.clean_start,
                keep_alive_seconds: connect.keep_alive,
                session_expiry_seconds: connect.session_expiry_interval_secs,
                receive_max: connect.receive_max.unwrap_or(NonZeroU16::MAX),
                packet_size_max: connect.max_packet_size.map_or(u32::MAX, NonZeroU32::get),
                topic_alias_max: connect.topic_alias_max,
                problem_information: connect.request_problem_info,
                user_name: connect.username.map(|name| name.to_string()),
                password: connect.password,
                auth: connect.auth_method.map(|method| Auth { method: method.to_string(), data }),
            }))
        }
        v5::Packet::Publish(publish) => published(publish.packet_id, publish.qos)?,
        v5::Packet::PublishAck(ack) => Packet::PubAck(ack.packet_id),
        v5::Packet::PublishReceived(ack) => {
            Packet::PubRec { packet_id: ack.packet_id, refused: u8::from(ack.reason_code) >= 0x80 }
        }
        v5::Packet::PublishRelease(ack) => Packet::PubRel(ack.packet_id),
        v5::Packet::PublishComplete(ack) => Packet::PubComp(ack.packet_id),
        v5::Packet::Subscribe(wanted) => {
            let filters = wanted.topic_filters.into_iter();
            subscribe(
                wanted.packet_id,
                filters.map(|(text, options)| {
                    (text, options.qos, retain_handling(options.retain_handling))
                }),
                wanted.id,
            )?
        }
        v5::Packet::Unsubscribe(unwanted) => {
            unsubscribe(unwanted.packet_id, &unwanted.topic_filters)
        }
        v5::Packet::PingRequest => Packet::PingReq,
        v5::Packet::Disconnect(disconnect) => {
            Packet::Disconnect { session_expiry_seconds: disconnect.session_expiry_interval_secs }
        }
        v5::Packet::Auth(auth) if auth.reason_code == v5::AuthReasonCode::ReAuth => {
            let method = auth.auth_method.ok_or(PacketError::Forbidden)?.to_string();
            Packet::Auth(Auth { method, data: auth.auth_data.unwrap_or_default() })
        }
        // An answer to what the server never asks, or a packet that only a server sends.
        v5::Packet::Auth(_)
        | v5::Packet::ConnectAck(_)
        | v5::Packet::SubscribeAck(_)
        | v5::Packet::UnsubscribeAck(_)
        | v5::Packet::PingResponse => return Err(PacketError::Forbidden),
    };
    Ok(packet)
}

fn published(packet_id: Option<NonZeroU16>, qos: QoS) -> Result<Packet, PacketError> {
    Ok(Packet::Publish { packet_id, qos: qos_of(qos)? })
}

fn qos_of(qos: QoS) -> Result<Qos, PacketError> {
    Qos::from_level(qos.value()).ok_or(PacketError::Malformed)
}

fn retain_handling(handling: v5::RetainHandling) -> RetainHandling {
    match handling {
        v5::RetainHandling::AtSubscribe => RetainHandling::Always,
        v5::RetainHandling::AtSubscribeNew => RetainHandling::IfNew,
        v5::RetainHandling::NoAtSubscribe => RetainHandling::Never,
    }
}

fn subscribe(
    packet_id: NonZeroU16,
    filters: impl IntoIterator<Item = (impl ToString, QoS, RetainHandling)>,
    identifier: Option<NonZeroU32>,
) -> Result<Packet, PacketError> {
    let wanted = filters.into_iter().map(|(filter, qos, retain_handling)| {
        Ok(Wanted { filter: filter.to_string(), qos: qos_of(qos)?, retain_handling })
    });
    let filters = wanted.collect::<Result<_, PacketError>>()?;
    Ok(Packet::Subscribe { packet_id, filters, identifier })
}

fn unsubscribe(packet_id: NonZeroU16, filters: &[impl ToString]) -> Packet {
    let filters = filters.iter().map(ToString::to_string).collect();
    Packet::Unsubscribe { packet_id, filters }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONNECT: &[u8] = b"\x10\x10\0\x04MQTT\x04\x02\0\x1e\0\x04abcd";
    const CONNECT_V5: &[u8] = b"\x10\x11\0\x04MQTT\x05\x02\0\x1e\0\0\x04abcd";

    fn decode(bytes: &[u8]) -> Result<Option<Packet>, PacketError> {
        Decoder::default().decode(&mut BytesMut::from(bytes))
    }

    #[test]
    fn a_connect_arrives_byte_by_byte() {
        let mut decoder = Decoder::default();
        let mut input = BytesMut::new();
        for byte in &CONNECT[..CONNECT.len() - 1] {
            input.extend_from_slice(&[*byte]);
            assert_eq!(decoder.decode(&mut input), Ok(None));
        }
        input.extend_from_slice(b"d");
        let Ok(Some(Packet::Connect(connect))) = decoder.decode(&mut input) else {
            panic!("a CONNECT is expected")
        };
        assert_eq!(
            (connect.client_id.as_str(), connect.keep_alive_seconds, connect.clean_start),
            ("abcd", 30, true)
        );
    }

    #[test]
    fn other_versions_are_recognized_and_refused() {
        assert_eq!(
            decode(b"\x10\x12\0\x06MQIsdp\x03\x02\0\x1e\0\x04abcd"),
            Err(PacketError::UnsupportedLevel(3))
        );
        assert_eq!(
            decode(b"\x10\x10\0\x04MQTT\x09\x02\0\x1e\0\x04abcd"),
            Err(PacketError::UnsupportedLevel(9))
        );
    }

    #[test]
    fn a_connect_of_mqtt_5_brings_its_properties() {
        let connect = b"\x10\x29\0\x04MQTT\x05\0\0\x1e\x18\x11\0\0\0\x64\x21\0\x05\x22\0\x07\x27\0\0\x10\0\x15\0\x01m\x16\0\x01d\0\x04abcd";
        let Ok(Some(Packet::Connect(connect))) = decode(connect) else {
            panic!("a CONNECT is expected")
        };
        assert_eq!(connect.version, Version::V5);
        assert_eq!((connect.session_expiry_seconds, connect.receive_max.get()), (100, 5));
        assert_eq!((connect.topic_alias_max, connect.packet_size_max), (7, 4096));
        let auth = Auth { method: "m".into(), data: bytes::Bytes::from_static(b"d") };
        assert_eq!(connect.auth, Some(auth));
        assert!(connect.problem_information && !connect.clean_start);
    }

    #[test]
    fn mqtt_5_may_leave_the_client_identifier_to_the_server() {
        let connect = b"\x10\x12\0\x04MQTT\x05\0\0\x1e\x05\x11\0\0\0\x64\0\0";
        let Ok(Some(Packet::Connect(connect))) = decode(connect) else {
            panic!("a CONNECT is expected")
        };
        assert_eq!((connect.client_id.as_str(), connect.session_expiry_seconds), ("", 100));
    }

    #[test]
    fn a_subscribe_of_mqtt_5_brings_its_options_and_identifier() {
        let expected = Packet::Subscribe {
            packet_id: NonZeroU16::MIN,
            filters: vec![Wanted {
                filter: "a".to_owned(),
                qos: Qos::AtLeastOnce,
                retain_handling: RetainHandling::Never,
            }],
            identifier: NonZeroU32::new(5),
        };
        let subscribe = b"\x82\x09\0\x01\x02\x0b\x05\0\x01a\x2d";
        assert_eq!(after(CONNECT_V5, subscribe), Ok(Some(expected)));
    }

    /// What comes of `packet` when `connect` was read.
    fn after(connect: &[u8], packet: &[u8]) -> Result<Option<Packet>, PacketError> {
        let mut decoder = Decoder::default();
        decoder.decode(&mut BytesMut::from(connect)).unwrap();
        decoder.decode(&mut BytesMut::from(packet))
    }

    fn framed(first: u8, body: &[u8]) -> Vec<u8> {
        [&[first, u8::try_from(body.len()).unwrap()][..], body].concat()
    }

    #[test]
    fn what_breaks_the_form_is_refused_in_either_version() {
        let wrong: [(u8, &[u8]); 15] = [
            // MQTT 5 §2.1.1 to §2.1.3: types and flags that are reserved.
            (0x00, b""),
            (0x60, b"\0\x01"),
            (0x80, b"\0\x01\0\0\x01a\x01"),
            (0x83, b"\0\x01\0\0\x01a\x01"),
            (0xA0, b"\0\x01\0\0\x01a"),
            (0xC1, b""),
            (0xE2, b""),
            // QoS 3, and DUP with QoS 0. [MQTT-3.3.1-2] [MQTT-3.3.1-4]
            (0x36, b"\0\x01t\0\x01\0x"),
            (0x38, b"\0\x01t\0x"),
            // [MQTT-2.2.1-3]
            (0x40, b"\0\0"),
            (0x82, b"\0\0\0\0\x01a\x01"),
            // More than the packet has, or less.
            (0xC0, b"\0"),
            (0x40, b"\0\x01\0\0\0"),
            (0x62, b"\0"),
            (0x82, b"\0\x01\0\0\x09a\x01"),
        ];
        for connect in [CONNECT, CONNECT_V5] {
            for (first, body) in wrong {
                let outcome = after(connect, &framed(first, body));
                assert_eq!(outcome, Err(PacketError::Malformed), "{first:#x} {body:?}");
            }
            for first in [0x20, 0x90, 0xB0, 0xD0] {
                let outcome = after(connect, &framed(first, b"\0\x01\0"));
                assert_eq!(outcome, Err(PacketError::Forbidden), "{first:#x}");
            }
        }
    }

    #[test]
    fn what_breaks_the_form_of_mqtt_3_1_1_is_refused() {
        let wrong: [(u8, &[u8]); 9] = [
            // [MQTT-1.5.3-1] [MQTT-1.5.3-2]
            (0x82, b"\0\x01\0\x03\xed\xa0\x80\0"),
            (0x82, b"\0\x01\0\x01\0\0"),
            // [MQTT-3-8.3-4]
            (0x82, b"\0\x01\0\x01a\x03"),
            (0x82, b"\0\x01\0\x01a\x41"),
            // [MQTT-4.7.3-1]
            (0x82, b"\0\x01\0\0\0"),
            (0xA2, b"\0\x01\0\0"),
            // [MQTT-3.3.2-2]
            (0x30, b"\0\x03a/+x"),
            (0xE0, b"\0"),
            (0xF0, b""),
        ];
        for (first, body) in wrong {
            let outcome = after(CONNECT, &framed(first, body));
            assert_eq!(outcome, Err(PacketError::Malformed), "{first:#x} {body:?}");
        }
        for (first, body) in [(0x82, b"\0\x01"), (0xA2, b"\0\x01")] {
            assert_eq!(after(CONNECT, &framed(first, body)), Err(PacketError::Forbidden));
        }
    }

    #[test]
    fn what_breaks_the_form_of_mqtt_5_is_refused() {
        let malformed: [(u8, &[u8]); 16] = [
            // [MQTT-1.5.4-1] [MQTT-1.5.4-2]
            (0x82, b"\0\x01\0\0\x03\xed\xa0\x80\0"),
            (0x82, b"\0\x01\x07\x26\0\x01k\0\x01\0\0\x01a\0"),
            // [MQTT-1.5.5-1]
            (0x82, b"\0\x01\x80\0\0\x01a\0"),
            (0x82, b"\0\x01\x03\x0b\x81\0\0\x01a\0"),
            // [MQTT-3.8.3-5]
            (0x82, b"\0\x01\0\0\x01a\x40"),
            (0x82, b"\0\x01\0\0\x01a\x80"),
            (0x82, b"\0\x01\0\0\x01a\x03"),
            (0x82, b"\0\x01\0\0\0\0"),
            (0xA2, b"\0\x01\0\0\0"),
            // §2.2.2.2: a property of another packet, or of none.
            (0x82, b"\0\x01\x05\x11\0\0\0\x01\0\x01a\0"),
            (0x82, b"\0\x01\x02\x7f\0\0\x01a\0"),
            // [MQTT-3.3.4-6]
            (0x30, b"\0\x01t\x02\x0b\x01"),
            // §3.4.2.1, §3.6.2.1, §3.14.2.1, §3.15.2.1: reason codes of other packets, or of servers.
            (0x40, b"\0\x01\x92"),
            (0x62, b"\0\x01\x10"),
            (0xE0, b"\x8b"),
            (0xF0, b"\x01"),
        ];
        for (first, body) in malformed {
            let outcome = after(CONNECT_V5, &framed(first, body));
            assert_eq!(outcome, Err(PacketError::Malformed), "{first:#x} {body:?}");
        }
        let forbidden: [(u8, &[u8]); 9] = [
            // No filter. [MQTT-3.8.3-2] [MQTT-3.10.3-2]
            (0x82, b"\0\x01\0"),
            (0xA2, b"\0\x01\0"),
            // §3.8.3.1: retain handling 3; no local on a shared subscription. [MQTT-3.8.3-4]
            (0x82, b"\0\x01\0\0\x01a\x30"),
            (0x82, b"\0\x01\0\0\x0a$share/a/b\x04"),
            // §3.8.2.1.2: identifier 0; two of them.
            (0x82, b"\0\x01\x02\x0b\0\0\x01a\0"),
            (0x82, b"\0\x01\x04\x0b\x01\x0b\x02\0\x01a\0"),
            // §3.3.2.3.4: topic alias 0.
            (0x30, b"\0\x01t\x03\x23\0\0"),
            // §3.15.2.2.3: data of no method; a fresh token without one.
            (0xF0, b"\x19\x04\x16\0\x01x"),
            (0xF0, b"\x19"),
        ];
        for (first, body) in forbidden {
            let outcome = after(CONNECT_V5, &framed(first, body));
            assert_eq!(outcome, Err(PacketError::Forbidden), "{first:#x} {body:?}");
        }
        // [MQTT-1.5.5-1] holds for the packet's own length, too.
        assert_eq!(after(CONNECT_V5, b"\xc0\x80\0"), Err(PacketError::Malformed));
        assert_eq!(after(CONNECT, b"\xc0\x80\0"), Ok(Some(Packet::PingReq)));
    }

    #[test]
    fn what_breaks_the_form_of_a_connect_is_refused() {
        let connect = |level: u8, flags: u8, rest: &[u8]| {
            decode(&framed(0x10, &[b"\0\x04MQTT", &[level, flags, 0, 30][..], rest].concat()))
        };
        let malformed: [(u8, u8, &[u8]); 14] = [
            // [MQTT-3.1.2-3]
            (4, 0x03, b"\0\x01a"),
            (5, 0x03, b"\0\0\x01a"),
            // Will flags without a will, and QoS 3. [MQTT-3.1.2-11] to [MQTT-3.1.2-15]
            (4, 0x0A, b"\0\x01a"),
            (5, 0x0A, b"\0\0\x01a"),
            (5, 0x22, b"\0\0\x01a"),
            (4, 0x1E, b"\0\x01a\0\x01t\0\x01m"),
            // A password without a user name. [MQTT-3.1.2-22]
            (4, 0x42, b"\0\x01a\0\x01p"),
            // [MQTT-1.5.3-2] [MQTT-1.5.4-2]
            (4, 0x02, b"\0\x01\0"),
            (5, 0x02, b"\0\0\x01\0"),
            (4, 0x82, b"\0\x01a\0\x01\0"),
            (5, 0x02, b"\x04\x15\0\x01\0\0\x01a"),
            // [MQTT-3.1.3-11], and what follows the end.
            (5, 0x06, b"\0\0\x01a\0\0\x01\0\0\x01m"),
            (4, 0x02, b"\0\x01amore"),
            (5, 0x02, b"\0\0\x01amore"),
        ];
        for (level, flags, rest) in malformed {
            let outcome = connect(level, flags, rest);
            assert_eq!(outcome, Err(PacketError::Malformed), "{level} {flags:#x} {rest:?}");
        }
        let forbidden: [&[u8]; 6] = [
            // §3.1.2.11: twice; receive maximum and packet size 0; a flag that is none; data of no method.
            b"\x06\x21\0\x05\x21\0\x05\0\x01a",
            b"\x03\x21\0\0\0\x01a",
            b"\x05\x27\0\0\0\0\0\x01a",
            b"\x02\x17\x02\0\x01a",
            b"\x02\x19\x02\0\x01a",
            b"\x04\x16\0\x01x\0\x01a",
        ];
        for rest in forbidden {
            assert_eq!(connect(5, 0x02, rest), Err(PacketError::Forbidden), "{rest:?}");
        }
        // MQTT 5 allows a password without a user name.
        assert!(matches!(connect(5, 0x42, b"\0\0\x01a\0\x01p"), Ok(Some(_))));
    }

    #[test]
    fn what_is_no_packet_is_refused() {
        for bytes in [
            &b"\x10\0"[..],
            &b"\x10\x04\0\x04MQ"[..],
            &b"\x10\x06\0\x04MQTT"[..],
            &b"GET / HTTP/1.1\r\n"[..],
            b"\x10\xff\xff\xff\xff\x01",
            b"\x10\x04\0\x04HTTP",
            b"\xc0\0",
        ] {
            assert_eq!(decode(bytes), Err(PacketError::Malformed), "{bytes:?}");
        }
        assert_eq!(decode(b"\x10\xff\xff\x03\0\x04MQTT\x04\x02\0\x1e"), Err(PacketError::TooLarge));
        assert_eq!(decode(b"\x10\x0c\0\x04MQTT\x04\0\0\x1e\0\0"), Err(PacketError::EmptyClientId));
    }
}
