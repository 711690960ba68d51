//! Bytes to packets (§2 and §3 of MQTT 3.1.1 and 5.0): what a client may send, and why anything else is refused.
//!
//! Strangers' bytes come here before any token is checked. All of them are taken through a `Reader`, which says when none
//! is left, and nothing is allocated before a packet is there whole.

mod connect;
mod properties;
mod reader;

use std::num::NonZeroU16;

use bytes::{Buf as _, Bytes, BytesMut};
use thiserror::Error;

use self::properties::Properties;
use self::reader::{Reader, VariableByteInteger};
use crate::encode::PACKET_SIZE_MAX;
use crate::packet::{Auth, Packet, Qos, RetainHandling, Version, Wanted};
use crate::reason::{CloseReason, ConnectRefusal};
use crate::topic;

/// Bytes that a packet may have before the peer is known: a CONNECT with a token of 4 KiB and room to spare.
pub const OPENING_PACKET_MAX: usize = 16 * 1024;

/// Reads packets of one connection.
#[derive(Debug, Default)]
pub struct Decoder {
    /// Known once the CONNECT's protocol level is.
    version: Option<Version>,
    /// Whether the CONNECT was read.
    opened: bool,
}

/// Why bytes are no packet that this server takes. `Display` tells it to the client, without anything that it sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PacketError {
    /// Bytes that can't be read as a packet (MQTT 5 §4.13.1).
    #[error("{0}")]
    Malformed(&'static str),
    /// A packet that can be read, but says what it may not.
    #[error("{0}")]
    ProtocolError(&'static str),
    /// Longer than allowed at this point.
    #[error("the packet is too large")]
    TooLarge,
    /// MQTT, but a version that this server doesn't speak.
    #[error("only MQTT 3.1.1 and MQTT 5.0 are spoken here")]
    UnsupportedVersion,
    /// An empty client identifier with a session that should be kept. MQTT 3.1.1 [MQTT-3.1.3-8]
    #[error("an empty client identifier needs a clean session")]
    EmptyClientId,
    /// A topic filter that could match nothing (§4.7).
    #[error("a topic filter has not the form of one")]
    TopicFilterInvalid,
    /// A topic alias, although none may be sent to this server (MQTT 5 §3.3.4).
    #[error("this server takes no topic aliases")]
    TopicAliasInvalid,
}

impl PacketError {
    /// What a CONNACK says where this is wrong with the CONNECT.
    pub(crate) fn refusal(self) -> Option<ConnectRefusal> {
        match self {
            Self::Malformed(_) => Some(ConnectRefusal::Malformed),
            Self::ProtocolError(_) => Some(ConnectRefusal::ProtocolError),
            Self::TooLarge => Some(ConnectRefusal::TooLarge),
            Self::UnsupportedVersion => Some(ConnectRefusal::UnacceptableProtocolVersion),
            Self::EmptyClientId => Some(ConnectRefusal::IdentifierRejected),
            Self::TopicFilterInvalid | Self::TopicAliasInvalid => None,
        }
    }
}

impl From<PacketError> for CloseReason {
    fn from(error: PacketError) -> Self {
        match error {
            PacketError::Malformed(why) => Self::Malformed(why),
            PacketError::ProtocolError(why) => Self::ProtocolError(why),
            PacketError::TooLarge => Self::TooLarge,
            PacketError::UnsupportedVersion => {
                Self::ConnectRefused(ConnectRefusal::UnacceptableProtocolVersion)
            }
            PacketError::EmptyClientId => Self::ConnectRefused(ConnectRefusal::IdentifierRejected),
            PacketError::TopicFilterInvalid => Self::TopicFilterInvalid,
            PacketError::TopicAliasInvalid => Self::TopicAliasInvalid,
        }
    }
}

// Kinds of packets: the upper half of the first byte (MQTT 5, table 2-1).
const CONNECT: u8 = 1;
const CONNACK: u8 = 2;
const PUBLISH: u8 = 3;
const PUBACK: u8 = 4;
const PUBREC: u8 = 5;
const PUBREL: u8 = 6;
const PUBCOMP: u8 = 7;
const SUBSCRIBE: u8 = 8;
const SUBACK: u8 = 9;
const UNSUBSCRIBE: u8 = 10;
const UNSUBACK: u8 = 11;
const PINGREQ: u8 = 12;
const PINGRESP: u8 = 13;
const DISCONNECT: u8 = 14;
const AUTH: u8 = 15;

impl Decoder {
    /// The version of the connection, once enough of its CONNECT was read.
    pub fn version(&self) -> Option<Version> {
        self.version
    }

    /// Takes the first packet from `input`; `None` when it is not there whole.
    ///
    /// # Errors
    /// [`PacketError`]: the connection can't go on.
    pub fn decode(&mut self, input: &mut BytesMut) -> Result<Option<Packet>, PacketError> {
        let Some(header) = Header::read(input)? else { return Ok(None) };
        let version = match self.version {
            Some(version) => version,
            None => match header.version(input)? {
                Some(version) => *self.version.insert(version),
                None => return Ok(None),
            },
        };
        if version == Version::V5 {
            header.remaining.check_form()?;
        }
        let size_max = if self.opened { PACKET_SIZE_MAX as usize } else { OPENING_PACKET_MAX };
        let size = header.size();
        if size > size_max {
            return Err(PacketError::TooLarge);
        }
        let Some(body) = input.get(header.length()..size) else { return Ok(None) };
        if self.opened && header.first >> 4 == CONNECT {
            return Err(PacketError::ProtocolError("a second CONNECT")); // [MQTT-3.1.0-2]
        }
        let packet = packet(version, header.first, Reader::new(body))?;
        input.advance(size);
        self.opened = true;
        Ok(Some(packet))
    }
}

/// A packet's first byte and the length of its body (MQTT 5 §2.1.1).
struct Header {
    first: u8,
    remaining: VariableByteInteger,
}

impl Header {
    fn read(input: &[u8]) -> Result<Option<Self>, PacketError> {
        let Some((&first, rest)) = input.split_first() else { return Ok(None) };
        let remaining = VariableByteInteger::read(rest)?;
        Ok(remaining.map(|remaining| Self { first, remaining }))
    }

    fn length(&self) -> usize {
        1 + self.remaining.length
    }

    fn size(&self) -> usize {
        usize::try_from(self.remaining.value).unwrap_or(usize::MAX).saturating_add(self.length())
    }

    /// The version of the CONNECT that `input` has to begin with; `None` when more bytes are needed.
    fn version(&self, input: &[u8]) -> Result<Option<Version>, PacketError> {
        if self.first >> 4 != CONNECT {
            return Err(PacketError::ProtocolError("the first packet is not a CONNECT"));
        }
        let end = self.size().min(input.len());
        connect::version(&input[self.length()..end], end == self.size())
    }
}

/// The packet with the first byte `first` and the body `body`.
fn packet(version: Version, first: u8, mut body: Reader<'_>) -> Result<Packet, PacketError> {
    let (kind, flags) = (first >> 4, first & 0x0F);
    // MQTT 5, table 2-2. [MQTT-2.1.3-1]
    let flags_are_sound = match kind {
        PUBLISH => true,
        PUBREL | SUBSCRIBE | UNSUBSCRIBE => flags == 0b0010,
        _ => flags == 0,
    };
    if !flags_are_sound {
        return Err(PacketError::Malformed("reserved bits of the first byte are set"));
    }
    let body = &mut body;
    let packet = match kind {
        CONNECT => Packet::Connect(Box::new(connect::read(version, body)?)),
        PUBLISH => publish(version, flags, body)?,
        PUBACK => Packet::PubAck(acknowledgement(version, PUBLISH_CODES, body)?.0),
        PUBREC => {
            let (packet_id, code) = acknowledgement(version, PUBLISH_CODES, body)?;
            Packet::PubRec { packet_id, refused: code >= 0x80 }
        }
        PUBREL => Packet::PubRel(acknowledgement(version, RELEASE_CODES, body)?.0),
        PUBCOMP => Packet::PubComp(acknowledgement(version, RELEASE_CODES, body)?.0),
        SUBSCRIBE => subscribe(version, body)?,
        UNSUBSCRIBE => unsubscribe(version, body)?,
        PINGREQ => Packet::PingReq,
        DISCONNECT => disconnect(version, body)?,
        AUTH if version == Version::V5 => auth(body)?,
        CONNACK | SUBACK | UNSUBACK | PINGRESP => {
            return Err(PacketError::ProtocolError("a packet that only a server sends"));
        }
        _ => return Err(PacketError::Malformed("a kind of packet that there is not")),
    };
    body.end()?;
    Ok(packet)
}

/// [MQTT-2.2.1-3]
fn packet_id(body: &mut Reader<'_>) -> Result<NonZeroU16, PacketError> {
    NonZeroU16::new(body.two_bytes()?).ok_or(PacketError::ProtocolError("the packet identifier 0"))
}

fn publish(version: Version, flags: u8, body: &mut Reader<'_>) -> Result<Packet, PacketError> {
    let level = flags >> 1 & 0b11;
    // [MQTT-3.3.1-4]
    let qos = Qos::from_level(level).ok_or(PacketError::Malformed("a PUBLISH of QoS 3"))?;
    if qos == Qos::AtMostOnce && flags & 0b1000 != 0 {
        // [MQTT-3.3.1-2]
        return Err(PacketError::Malformed("a PUBLISH of QoS 0 that says it is sent again"));
    }
    let topic = body.text()?;
    let packet_id = if qos == Qos::AtMostOnce { None } else { Some(packet_id(body)?) };
    if version == Version::V5 {
        let properties = Properties::read(body, properties::PUBLISH)?;
        if properties.topic_alias.is_some() {
            return Err(PacketError::TopicAliasInvalid);
        }
        if properties.subscription_identifier.is_some() {
            let why = "a PUBLISH from a client has a subscription identifier"; // [MQTT-3.3.4-6]
            return Err(PacketError::ProtocolError(why));
        }
    }
    if !topic::is_name(topic) {
        // [MQTT-3.3.2-2] [MQTT-4.7.3-1]
        return Err(PacketError::ProtocolError("a PUBLISH for what is no topic name"));
    }
    body.rest();
    Ok(Packet::Publish { packet_id, qos })
}

/// The reason codes of PUBACK and PUBREC (MQTT 5 §3.4.2.1, §3.5.2.1).
const PUBLISH_CODES: &[u8] = &[0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99];
/// The reason codes of PUBREL and PUBCOMP (MQTT 5 §3.6.2.1, §3.7.2.1).
const RELEASE_CODES: &[u8] = &[0x00, 0x92];
/// The reason codes of DISCONNECT (MQTT 5 §3.14.2.1). Some are meant for servers, but a good-bye is one with any of them.
const DISCONNECT_CODES: &[u8] = &[
    0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8B, 0x8C, 0x8D, 0x8E, 0x8F, 0x90, 0x93, 0x94,
    0x95, 0x96, 0x97, 0x98, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9E, 0x9F, 0xA0, 0xA1, 0xA2,
];

/// A reason code and properties, which a packet of MQTT 5 may leave out: then they are 0 and none.
fn reason<'a>(
    body: &mut Reader<'a>,
    codes: &[u8],
    allowed: properties::Allowed,
) -> Result<(u8, Properties<'a>), PacketError> {
    let code = if body.is_empty() { 0 } else { body.byte()? };
    if !codes.contains(&code) {
        return Err(PacketError::ProtocolError("a reason code that this packet does not have"));
    }
    let properties =
        if body.is_empty() { Properties::default() } else { Properties::read(body, allowed)? };
    Ok((code, properties))
}

/// What is acknowledged, and the reason code.
fn acknowledgement(
    version: Version,
    codes: &[u8],
    body: &mut Reader<'_>,
) -> Result<(NonZeroU16, u8), PacketError> {
    let packet_id = packet_id(body)?;
    let code = match version {
        Version::V311 => 0,
        Version::V5 => reason(body, codes, properties::ACKNOWLEDGEMENT)?.0,
    };
    Ok((packet_id, code))
}

fn subscribe(version: Version, body: &mut Reader<'_>) -> Result<Packet, PacketError> {
    let packet_id = packet_id(body)?;
    let identifier = match version {
        Version::V311 => None,
        Version::V5 => Properties::read(body, properties::SUBSCRIBE)?.subscription_identifier,
    };
    let mut filters = Vec::new();
    while !body.is_empty() {
        filters.push(wanted(version, body)?);
    }
    if filters.is_empty() {
        // [MQTT-3.8.3-2], in 3.1.1 [MQTT-3.8.3-3]
        return Err(PacketError::ProtocolError("a SUBSCRIBE without a topic filter"));
    }
    Ok(Packet::Subscribe { packet_id, filters, identifier })
}

fn unsubscribe(version: Version, body: &mut Reader<'_>) -> Result<Packet, PacketError> {
    let packet_id = packet_id(body)?;
    if version == Version::V5 {
        Properties::read(body, properties::UNSUBSCRIBE)?;
    }
    let mut filters = Vec::new();
    while !body.is_empty() {
        filters.push(filter(version, body)?.to_owned());
    }
    if filters.is_empty() {
        // [MQTT-3.10.3-2]
        return Err(PacketError::ProtocolError("an UNSUBSCRIBE without a topic filter"));
    }
    Ok(Packet::Unsubscribe { packet_id, filters })
}

fn filter<'a>(version: Version, body: &mut Reader<'a>) -> Result<&'a str, PacketError> {
    let text = body.text()?;
    let is_sound = match version {
        // There, `$share` is a level like any other.
        Version::V311 => topic::is_filter(text),
        Version::V5 => topic::is_filter(text) && topic::is_sound_if_shared(text),
    };
    if is_sound { Ok(text) } else { Err(PacketError::TopicFilterInvalid) }
}

/// A filter with its options: in 3.1.1 the QoS alone, and other bits are reserved (MQTT 5 §3.8.3.1).
fn wanted(version: Version, body: &mut Reader<'_>) -> Result<Wanted, PacketError> {
    const NO_LOCAL: u8 = 0x04;
    let filter = filter(version, body)?;
    let options = body.byte()?;
    let reserved = if version == Version::V311 { 0xFC } else { 0xC0 };
    if options & reserved != 0 {
        // [MQTT-3.8.3-5], in 3.1.1 [MQTT-3.8.3-4]
        return Err(PacketError::Malformed("reserved bits of subscription options are set"));
    }
    let Some(qos) = Qos::from_level(options & 0x03) else {
        return Err(PacketError::ProtocolError("a SUBSCRIBE for QoS 3"));
    };
    let retain_handling = match options >> 4 {
        0 => RetainHandling::Always,
        1 => RetainHandling::IfNew,
        2 => RetainHandling::Never,
        _ => return Err(PacketError::ProtocolError("a SUBSCRIBE with retain handling 3")),
    };
    if options & NO_LOCAL != 0 && topic::is_shared(filter) {
        // [MQTT-3.8.3-4]
        return Err(PacketError::ProtocolError("a shared subscription with the option No Local"));
    }
    Ok(Wanted { filter: filter.to_owned(), qos, retain_handling })
}

fn disconnect(version: Version, body: &mut Reader<'_>) -> Result<Packet, PacketError> {
    let session_expiry_seconds = match version {
        Version::V311 => None,
        Version::V5 => {
            let (_, properties) = reason(body, DISCONNECT_CODES, properties::DISCONNECT)?;
            properties.session_expiry_seconds
        }
    };
    Ok(Packet::Disconnect { session_expiry_seconds })
}

/// A client begins with "re-authenticate"; the others are answers to what this server never asks (MQTT 5 §4.12.1).
fn auth(body: &mut Reader<'_>) -> Result<Packet, PacketError> {
    const SUCCESS: u8 = 0x00;
    const CONTINUE: u8 = 0x18;
    const REAUTHENTICATE: u8 = 0x19;
    let (code, properties) = reason(body, &[SUCCESS, CONTINUE, REAUTHENTICATE], properties::AUTH)?;
    if code != REAUTHENTICATE {
        return Err(PacketError::ProtocolError("an AUTH that was not asked for"));
    }
    let Some(method) = properties.auth_method else {
        return Err(PacketError::ProtocolError("an AUTH without a method of authentication"));
    };
    let data = Bytes::copy_from_slice(properties.auth_data.unwrap_or_default());
    Ok(Packet::Auth(Auth { method: method.to_owned(), data }))
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::packet::Connect;

    const CONNECT_311: &[u8] = b"\x10\x10\0\x04MQTT\x04\x02\0\x1e\0\x04abcd";
    const CONNECT_5: &[u8] = b"\x10\x11\0\x04MQTT\x05\x02\0\x1e\0\0\x04abcd";

    fn decode(bytes: &[u8]) -> Result<Option<Packet>, PacketError> {
        Decoder::default().decode(&mut BytesMut::from(bytes))
    }

    fn connect(bytes: &[u8]) -> Connect {
        match decode(bytes) {
            Ok(Some(Packet::Connect(connect))) => *connect,
            other => panic!("a CONNECT is expected, not {other:?}"),
        }
    }

    /// What `bytes` are after a CONNECT.
    fn then(connect: &[u8], bytes: &[u8]) -> Result<Option<Packet>, PacketError> {
        let mut decoder = Decoder::default();
        decoder.decode(&mut BytesMut::from(connect)).unwrap();
        decoder.decode(&mut BytesMut::from(bytes))
    }

    #[test]
    fn a_connect_arrives_byte_by_byte() {
        for whole in [CONNECT_311, CONNECT_5] {
            let mut decoder = Decoder::default();
            let mut input = BytesMut::new();
            for byte in &whole[..whole.len() - 1] {
                input.extend_from_slice(&[*byte]);
                assert_eq!(decoder.decode(&mut input), Ok(None));
            }
            input.extend_from_slice(b"d");
            let Ok(Some(Packet::Connect(connect))) = decoder.decode(&mut input) else {
                panic!("a CONNECT is expected")
            };
            assert!(input.is_empty());
            assert_eq!(
                (connect.client_id.as_str(), connect.keep_alive_seconds, connect.clean_start),
                ("abcd", 30, true)
            );
        }
    }

    #[test]
    fn other_versions_are_recognized_and_refused() {
        for bytes in [
            &b"\x10\x12\0\x06MQIsdp\x03\x02\0\x1e\0\x04abcd"[..],
            b"\x10\x12\0\x06MQIsdp\x04\x02\0\x1e\0\x04abcd",
            b"\x10\x10\0\x04MQTT\x09\x02\0\x1e\0\x04abcd",
        ] {
            assert_eq!(decode(bytes), Err(PacketError::UnsupportedVersion), "{bytes:?}");
        }
    }

    #[test]
    fn a_connect_of_3_1_1_limits_nothing_and_is_kept_for_ever_or_not_at_all() {
        let clean = connect(CONNECT_311);
        assert_eq!((clean.receive_max.get(), clean.packet_size_max), (u16::MAX, u32::MAX));
        assert_eq!((clean.topic_alias_max, clean.problem_information), (0, false));
        assert_eq!(clean.session_expiry_seconds, 0);
        let kept = connect(b"\x10\x10\0\x04MQTT\x04\x00\0\x1e\0\x04abcd");
        assert_eq!(kept.session_expiry_seconds, u32::MAX);
    }

    #[test]
    fn a_connect_brings_its_properties_will_user_name_and_password() {
        let bytes = b"\x10\x40\0\x04MQTT\x05\xf4\0\x1e\x18\x11\0\0\0\x64\x21\0\x05\x22\0\x07\x27\0\0\x10\0\x15\0\x01m\x16\0\x01d\0\x04abcd\x02\x01\x01\0\x01t\0\x03bye\0\x04user\0\x04pass";
        let connect = connect(bytes);
        assert_eq!(connect.version, Version::V5);
        assert_eq!((connect.session_expiry_seconds, connect.receive_max.get()), (100, 5));
        assert_eq!((connect.topic_alias_max, connect.packet_size_max), (7, 4096));
        let auth = Auth { method: "m".into(), data: Bytes::from_static(b"d") };
        assert_eq!(connect.auth, Some(auth));
        assert!(connect.problem_information && !connect.clean_start);
        assert_eq!(connect.user_name.as_deref(), Some("user"));
        assert_eq!(connect.password.as_deref(), Some(&b"pass"[..]));
    }

    #[test]
    fn a_packet_is_refused_by_its_length_before_it_is_there() {
        assert_eq!(decode(b"\x10\xff\xff\x03\0\x04MQTT\x04"), Err(PacketError::TooLarge));
        // The whole packet counts, its first bytes included.
        let largest = PACKET_SIZE_MAX - 4;
        for (remaining, expected) in
            [(largest, Ok(None)), (largest + 1, Err(PacketError::TooLarge))]
        {
            let low = u8::try_from(remaining & 0x7F).unwrap() | 0x80;
            let middle = u8::try_from(remaining >> 7 & 0x7F).unwrap() | 0x80;
            let high = u8::try_from(remaining >> 14).unwrap();
            assert_eq!(then(CONNECT_311, &[0x82, low, middle, high]), expected);
        }
    }

    #[test]
    fn a_subscribe_brings_its_filters_and_its_identifier() {
        let wanted = |filter: &str, qos, retain_handling| Wanted {
            filter: filter.to_owned(),
            qos,
            retain_handling,
        };
        let filters = [("a", Qos::AtLeastOnce), ("b", Qos::AtMostOnce)];
        let older = Packet::Subscribe {
            packet_id: NonZeroU16::MIN,
            filters: filters.map(|(a, qos)| wanted(a, qos, RetainHandling::Always)).to_vec(),
            identifier: None,
        };
        assert_eq!(then(CONNECT_311, b"\x82\x0a\0\x01\0\x01a\x01\0\x01b\x00"), Ok(Some(older)));
        let newer = Packet::Subscribe {
            packet_id: NonZeroU16::MIN,
            filters: vec![
                wanted("a", Qos::ExactlyOnce, RetainHandling::Never),
                wanted("b", Qos::AtMostOnce, RetainHandling::IfNew),
            ],
            identifier: NonZeroU32::new(128),
        };
        assert_eq!(
            then(CONNECT_5, b"\x82\x0e\0\x01\x03\x0b\x80\x01\0\x01a\x2e\0\x01b\x1c"),
            Ok(Some(newer))
        );
    }
}
