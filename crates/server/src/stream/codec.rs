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
                frame.check_reserved_bits(Version::V311)?;
                let decoded = codec.decode(input).map_err(|error| PacketError::from(&error))?;
                packet_of_v311(decoded.ok_or(PacketError::Malformed)?.0)?
            }
            Codec::V5(codec) => {
                frame.check_reserved_bits(Version::V5)?;
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

    /// Refuses a SUBSCRIBE whose reserved bits are set [MQTT-3.8.3-4] [MQTT-3.8.3-5]; the library passes over them.
    fn check_reserved_bits(&self, version: Version) -> Result<(), PacketError> {
        if self.first != SUBSCRIBE {
            return Ok(());
        }
        let mut filters = self.body.get(2..).unwrap_or_default();
        if version == Version::V5 {
            filters = after_properties(filters).ok_or(PacketError::Malformed)?;
        }
        while let [high, low, rest @ ..] = filters {
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            let Some((options, others)) = rest.get(length..).and_then(<[u8]>::split_first) else {
                return Err(PacketError::Malformed);
            };
            let is_sound = match version {
                Version::V311 => *options <= 2,
                // QoS 3 and retain handling 3 are reserved, too.
                Version::V5 => options & 0xC0 == 0 && options & 0x03 != 3 && options & 0x30 != 0x30,
            };
            if !is_sound {
                return Err(PacketError::Malformed);
            }
            filters = others;
        }
        Ok(())
    }
}

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
const SUBSCRIBE: u8 = 0x82;

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
            unsubscribe(packet_id, &topic_filters)?
        }
        v3::Packet::PingRequest => Packet::PingReq,
        v3::Packet::Disconnect => Packet::Disconnect { session_expiry_seconds: None },
        // Only a server sends these.
        v3::Packet::ConnectAck(_)
        | v3::Packet::SubscribeAck { .. }
        | v3::Packet::UnsubscribeAck { .. }
        | v3::Packet::PingResponse => return Err(PacketError::Malformed),
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
            unsubscribe(unwanted.packet_id, &unwanted.topic_filters)?
        }
        v5::Packet::PingRequest => Packet::PingReq,
        v5::Packet::Disconnect(disconnect) => {
            Packet::Disconnect { session_expiry_seconds: disconnect.session_expiry_interval_secs }
        }
        v5::Packet::Auth(auth) if auth.reason_code == v5::AuthReasonCode::ReAuth => {
            let method = auth.auth_method.ok_or(PacketError::Malformed)?.to_string();
            Packet::Auth(Auth { method, data: auth.auth_data.unwrap_or_default() })
        }
        // An answer to what the server never asks, or a packet that only a server sends.
        v5::Packet::Auth(_)
        | v5::Packet::ConnectAck(_)
        | v5::Packet::SubscribeAck(_)
        | v5::Packet::UnsubscribeAck(_)
        | v5::Packet::PingResponse => return Err(PacketError::Malformed),
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

/// A SUBSCRIBE needs a filter. [MQTT-3.8.3-3]
fn subscribe(
    packet_id: NonZeroU16,
    filters: impl IntoIterator<Item = (impl ToString, QoS, RetainHandling)>,
    identifier: Option<NonZeroU32>,
) -> Result<Packet, PacketError> {
    let wanted = filters.into_iter().map(|(filter, qos, retain_handling)| {
        Ok(Wanted { filter: filter.to_string(), qos: qos_of(qos)?, retain_handling })
    });
    let filters: Vec<_> = wanted.collect::<Result<_, PacketError>>()?;
    if filters.is_empty() {
        return Err(PacketError::Malformed);
    }
    Ok(Packet::Subscribe { packet_id, filters, identifier })
}

/// An UNSUBSCRIBE needs a filter. [MQTT-3.10.3-2]
fn unsubscribe(packet_id: NonZeroU16, filters: &[impl ToString]) -> Result<Packet, PacketError> {
    if filters.is_empty() {
        return Err(PacketError::Malformed);
    }
    Ok(Packet::Unsubscribe {
        packet_id,
        filters: filters.iter().map(ToString::to_string).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONNECT: &[u8] = b"\x10\x10\0\x04MQTT\x04\x02\0\x1e\0\x04abcd";

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
    fn reserved_bits_of_a_subscribe_of_mqtt_5_are_refused() {
        let mut decoder = Decoder::default();
        let connect = b"\x10\x11\0\x04MQTT\x05\x02\0\x1e\0\0\x04abcd";
        decoder.decode(&mut BytesMut::from(&connect[..])).unwrap();
        let mut subscribe = |options: u8| {
            let packet = [&b"\x82\x09\0\x01\x02\x0b\x05\0\x01a"[..], &[options]].concat();
            decoder.decode(&mut BytesMut::from(&packet[..]))
        };
        for reserved in [0x40, 0x80, 0x03, 0x30] {
            assert_eq!(subscribe(reserved), Err(PacketError::Malformed), "{reserved:#x}");
        }
        let expected = Packet::Subscribe {
            packet_id: NonZeroU16::MIN,
            filters: vec![Wanted {
                filter: "a".to_owned(),
                qos: Qos::AtLeastOnce,
                retain_handling: RetainHandling::Never,
            }],
            identifier: NonZeroU32::new(5),
        };
        assert_eq!(subscribe(0x2D), Ok(Some(expected)));
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
        let mut decoder = Decoder::default();
        let mut input = BytesMut::from(CONNECT);
        decoder.decode(&mut input).unwrap();
        assert_eq!(
            decoder.decode(&mut BytesMut::from(&b"\x82\x02\0\x01"[..])),
            Err(PacketError::Malformed)
        );
        for reserved in [0x80, 0x40, 0x10, 0x04, 0x03] {
            let subscribe = [&b"\x82\x06\0\x01\0\x01a"[..], &[reserved]].concat();
            assert_eq!(
                decoder.decode(&mut BytesMut::from(&subscribe[..])),
                Err(PacketError::Malformed)
            );
        }
        assert_eq!(
            decoder.decode(&mut BytesMut::from(&b"\x90\x03\0\x01\0"[..])),
            Err(PacketError::Malformed)
        );
    }
}
