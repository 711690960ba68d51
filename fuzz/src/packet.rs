//! Packets: what strangers send is decoded or refused, the same in whatever pieces it comes; what is sent to them says
//! to another decoder what was meant.

use std::num::NonZeroU32;

use arbitrary::{Result, Unstructured};
use bytes::BytesMut;
use cardata_mqtt::decode::{Decoder, OPENING_PACKET_MAX, PacketError};
use cardata_mqtt::encode::{Encoder, PACKET_SIZE_MAX};
use cardata_mqtt::packet::{ConnAck, Connect, Gap, Outgoing, Packet, Publish, TopicAlias};
use cardata_mqtt::{CloseReason, ConnectRefusal, Qos, SubscribeRefusal, Version};
use jiff::Timestamp;
use rmqtt_codec::{v3, v5};
use tokio_util::codec::Decoder as _;

use crate::reference;

/// What the first byte of an input says: what follows is sent by a peer that has not said anything yet, or by one whose
/// CONNECT was read; or it decides about packets to the client. The next two bytes are the sizes of the pieces.
pub(crate) const OPENING: u8 = 0;
pub(crate) const AFTER_V311: u8 = 1;
pub(crate) const AFTER_V5: u8 = 2;
pub(crate) const OUTGOING: u8 = 3;

const GCID: &str = "aa111192-d570-4d3d-8835-656ee00edcd7";
const VIN: &str = "WBY00000000000001";
pub(crate) const CONNECT_V311: &[u8] = b"\x10\x10\0\x04MQTT\x04\x02\0\x1e\0\x04abcd";
pub(crate) const CONNECT_V5: &[u8] = b"\x10\x11\0\x04MQTT\x05\x02\0\x1e\0\0\x04abcd";

/// Decodes the bytes of a client, or encodes and decodes a packet to one.
///
/// # Panics
/// Where a promise is broken.
pub fn check(input: &[u8]) {
    let Some((first, rest)) = input.split_first() else { return };
    if *first == OUTGOING {
        // An input that ends early decides nothing.
        let _ = check_outgoing(&mut Unstructured::new(rest));
        return;
    }
    let [one, other, stream @ ..] = rest else { return };
    let before = match *first {
        AFTER_V311 => CONNECT_V311,
        AFTER_V5 => CONNECT_V5,
        _ => &[],
    };
    let whole = decode(before, [stream]);
    let pieces = Pieces { stream, sizes: [*one, *other] };
    let piecemeal = decode(before, pieces);
    assert_eq!(whole, piecemeal, "what was read depends on the pieces");
}

struct Pieces<'a> {
    stream: &'a [u8],
    sizes: [u8; 2],
}

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        self.sizes.swap(0, 1);
        let size = usize::from(self.sizes[0]).max(1).min(self.stream.len());
        let piece = self.stream.split_off(..size)?;
        (!piece.is_empty()).then_some(piece)
    }
}

/// What the bytes of one connection decode to, up to the first error.
fn decode<'a>(
    before: &[u8],
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Vec<std::result::Result<Packet, PacketError>> {
    let mut decoder = Decoder::default();
    let mut input = BytesMut::from(before);
    let mut version = None;
    if !before.is_empty() {
        let opened = decoder.decode(&mut input).ok().flatten();
        version = Some(opened.and_then(version_of).expect("a CONNECT"));
    }
    let mut outcomes = Vec::new();
    for piece in pieces {
        input.extend_from_slice(piece);
        loop {
            let there = input.clone();
            let outcome = decoder.decode(&mut input);
            let taken = &there[..there.len() - input.len()];
            match outcome {
                Ok(None) => {
                    assert_eq!(there, input, "half a packet was taken");
                    break;
                }
                Ok(Some(packet)) => {
                    let connected = version;
                    version = version.or_else(|| version_of(packet.clone()));
                    check_packet(&packet, connected, taken);
                    outcomes.push(Ok(packet));
                }
                Err(error) => {
                    check_refusal(error, version, &there);
                    outcomes.push(Err(error));
                    return outcomes;
                }
            }
        }
        let limit = if version.is_some() { PACKET_SIZE_MAX as usize } else { OPENING_PACKET_MAX };
        assert!(input.len() < limit, "{} bytes wait for the rest of a packet", input.len());
    }
    outcomes
}

fn version_of(packet: Packet) -> Option<Version> {
    if let Packet::Connect(connect) = packet { Some(connect.version) } else { None }
}

fn check_packet(packet: &Packet, connected: Option<Version>, bytes: &[u8]) {
    let version = match (connected, packet) {
        (Some(version), _) => version,
        (None, Packet::Connect(connect)) => connect.version,
        (None, _) => panic!("read before CONNECT: {packet:?}"),
    };
    let is_sound = reference::is_sound(version, bytes);
    assert!(is_sound, "malformed, but read as {packet:?}: {bytes:02x?}");
    let limit = if connected.is_some() { PACKET_SIZE_MAX as usize } else { OPENING_PACKET_MAX };
    assert!(bytes.len() <= limit, "{} bytes were taken as a packet", bytes.len());
    if let Packet::Connect(connect) = packet {
        check_connect(connect);
    }
}

fn check_connect(connect: &Connect) {
    if connect.version == Version::V311 {
        let kept = if connect.clean_start { 0 } else { u32::MAX };
        assert_eq!(connect.session_expiry_seconds, kept);
        assert_eq!(connect.auth, None);
    }
    let printed = format!("{connect:?}");
    let secret = connect.password.as_deref().unwrap_or_default();
    let secret = std::str::from_utf8(secret).unwrap_or_default();
    // Short ones stand in any text by chance.
    assert!(secret.len() < 8 || !printed.contains(secret), "`Debug` shows the password");
}

/// A sound packet is read, unless it is too large, may not come now, or this server does not speak its version.
fn check_refusal(error: PacketError, version: Option<Version>, there: &[u8]) {
    let is_known = matches!(
        error,
        PacketError::TooLarge | PacketError::UnsupportedVersion | PacketError::EmptyClientId
    );
    let Some(packet) = first_packet(there).filter(|_| !is_known) else { return };
    if version.is_none() == (packet[0] == 0x10) {
        let versions = version.map_or(vec![Version::V311, Version::V5], |version| vec![version]);
        let is_sound = versions.iter().any(|version| reference::is_sound(*version, packet));
        assert!(!is_sound, "sound, but refused as {error}: {packet:02x?}");
    }
}

/// The first packet of `bytes`, if it is there whole.
fn first_packet(bytes: &[u8]) -> Option<&[u8]> {
    let mut remaining = 0;
    for (index, byte) in bytes.iter().skip(1).take(4).enumerate() {
        remaining |= usize::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            return bytes.get(..index + 2 + remaining);
        }
    }
    None
}

/// Encodes a packet to the client, and reads it with the library's decoder for clients.
fn check_outgoing(input: &mut Unstructured<'_>) -> Result<()> {
    let version = if input.arbitrary()? { Version::V311 } else { Version::V5 };
    let problem_information = input.arbitrary()?;
    let packet_size_max =
        if input.arbitrary()? { u32::MAX } else { input.int_in_range(1..=200)? };
    let encoder = Encoder::new(version).with_limits(problem_information, packet_size_max);
    let packet = outgoing(input, version)?;

    let mut bytes = BytesMut::from(&b"before"[..]);
    let fits = encoder.encode(&packet, &mut bytes);
    let mut bytes = bytes.split_off(6);
    if !fits {
        // [MQTT-3.1.2-24]
        assert!(bytes.is_empty(), "half of a packet that is too large was written");
        encoder.with_limits(problem_information, u32::MAX).encode(&packet, &mut bytes);
        assert!(bytes.len() > packet_size_max as usize, "left out though it fits: {packet:?}");
        return Ok(());
    }
    if let Outgoing::Publish(publish) = &packet {
        assert_eq!(encoder.publish_size(publish), bytes.len(), "the size of {packet:?}");
    }
    if bytes.is_empty() {
        let is_silent = match &packet {
            Outgoing::Disconnect(reason) => {
                version == Version::V311 || reason.disconnect().is_none()
            }
            Outgoing::PublishRefused { .. } | Outgoing::AuthSuccess { .. } => {
                version == Version::V311
            }
            Outgoing::ConnRefused { refusal, .. } => {
                version == Version::V311 && refusal.return_code().is_none()
            }
            _ => false,
        };
        assert!(is_silent, "nothing was written for {packet:?}");
        return Ok(());
    }
    let written = bytes.clone();
    match version {
        Version::V311 => {
            let decoded = v3::Codec::new(0).decode(&mut bytes);
            let Ok(Some((decoded, _))) = decoded else {
                panic!("{packet:?} is unreadable: {written:02x?}: {decoded:?}")
            };
            check_same_v311(&packet, decoded);
        }
        Version::V5 => {
            let decoded = v5::Codec::new(0, 0).decode(&mut bytes);
            let Ok(Some((decoded, _))) = decoded else {
                panic!("{packet:?} is unreadable: {written:02x?}: {decoded:?}")
            };
            check_same_v5(&packet, &decoded, problem_information);
        }
    }
    assert!(bytes.is_empty(), "{} bytes are left of {packet:?}", bytes.len());
    Ok(())
}

fn outgoing(input: &mut Unstructured<'_>, version: Version) -> Result<Outgoing> {
    Ok(match input.int_in_range(0..=10_u8)? {
        0 => Outgoing::Publish(publish(input, version)?),
        1 => Outgoing::ConnAck(Box::new(ConnAck {
            session_present: input.arbitrary()?,
            assigned_client_id: input.arbitrary()?,
            session_expiry_seconds: input.arbitrary()?,
            keep_alive_seconds: input.arbitrary()?,
            shared_available: input.arbitrary()?,
            retain_available: input.arbitrary()?,
            auth_method: input.arbitrary()?,
        })),
        2 => Outgoing::ConnRefused { refusal: *input.choose(&REFUSALS)?, why: input.arbitrary()? },
        3 => {
            let answer = |input: &mut Unstructured<'_>| {
                Ok(match input.int_in_range(0..=7_u8)? {
                    0 => Err(SubscribeRefusal::NotAuthorized),
                    1 => Err(SubscribeRefusal::QuotaExceeded),
                    2 => Err(SubscribeRefusal::SharedNotSupported),
                    3 => Err(SubscribeRefusal::NotForFleets),
                    4 => Err(SubscribeRefusal::Mixed),
                    level => Ok(Qos::from_level(level - 5).expect("0 to 2")),
                })
            };
            let count = input.int_in_range(1..=300)?;
            let granted = (0..count).map(|_| answer(input)).collect::<Result<_>>()?;
            Outgoing::SubAck { packet_id: input.arbitrary()?, granted }
        }
        4 => {
            let existed = (0..input.int_in_range(1..=300)?).map(|_| input.arbitrary());
            Outgoing::UnsubAck {
                existed: existed.collect::<Result<_>>()?,
                packet_id: input.arbitrary()?,
            }
        }
        5 => Outgoing::PingResp,
        6 => {
            let qos = *input.choose(&[Qos::AtLeastOnce, Qos::ExactlyOnce])?;
            Outgoing::PublishRefused { packet_id: input.arbitrary()?, qos }
        }
        7 => Outgoing::AuthSuccess { method: input.arbitrary()? },
        8 => Outgoing::PubRel { packet_id: input.arbitrary()?, known: input.arbitrary()? },
        9 => Outgoing::PubComp { packet_id: input.arbitrary()? },
        _ => Outgoing::Disconnect(*input.choose(&REASONS)?),
    })
}

fn publish(input: &mut Unstructured<'_>, version: Version) -> Result<Publish> {
    // The session gives neither aliases nor identifiers to 3.1.1.
    let is_v5 = version == Version::V5;
    let alias = if is_v5 && input.arbitrary()? {
        Some(TopicAlias { number: input.arbitrary()?, known: input.arbitrary()? })
    } else {
        None
    };
    let identifier = |input: &mut Unstructured<'_>| {
        let number = input.int_in_range(1..=268_435_455_u32)?;
        Ok(NonZeroU32::new(number).expect("not 0"))
    };
    let count = if is_v5 { input.int_in_range(0..=70)? } else { 0 };
    let identifiers = (0..count).map(|_| identifier(input)).collect::<Result<_>>()?;
    let qos = Qos::from_level(input.int_in_range(0..=2)?).expect("0 to 2");
    let is_lasting = qos > Qos::AtMostOnce;
    let packet_id = if is_lasting { Some(input.arbitrary()?) } else { None };
    // [MQTT-3.3.1-2]
    let duplicate = is_lasting && input.arbitrary()?;
    let gap = if input.arbitrary()? { Some(gap(input)?) } else { None };
    let retain = input.arbitrary()?;
    let payload = vec![b'x'; input.int_in_range(0..=20_000)?].into();
    let message = Publish::new(VIN.parse().expect("a VIN"), GCID.parse().expect("a GCID"), payload);
    Ok(Publish { qos, packet_id, duplicate, retain, gap, alias, identifiers, ..message })
}

fn gap(input: &mut Unstructured<'_>) -> Result<Gap> {
    // From the year 1 to 9999.
    let second = |input: &mut Unstructured<'_>| {
        let second = input.int_in_range(-62_135_596_800..=253_402_200_000)?;
        Ok(Timestamp::from_second(second).expect("in range"))
    };
    let from = if input.arbitrary()? { Some(second(input)?) } else { None };
    Ok(Gap { from, to: second(input)? })
}

const REFUSALS: [ConnectRefusal; 11] = [
    ConnectRefusal::ConnectionRateExceeded,
    ConnectRefusal::UnacceptableProtocolVersion,
    ConnectRefusal::IdentifierRejected,
    ConnectRefusal::ServerUnavailable,
    ConnectRefusal::BadUserNameOrPassword,
    ConnectRefusal::NotAuthorized,
    ConnectRefusal::BadAuthenticationMethod,
    ConnectRefusal::Malformed,
    ConnectRefusal::ProtocolError,
    ConnectRefusal::TooLarge,
    ConnectRefusal::RetainNotSupported,
];

pub(crate) const REASONS: [CloseReason; 21] = [
    CloseReason::Disconnected,
    CloseReason::ConnectionLost,
    CloseReason::ConnectTimeout,
    CloseReason::KeepAliveTimeout,
    CloseReason::ConnectRefused(ConnectRefusal::NotAuthorized),
    CloseReason::ProtocolError("a second CONNECT"),
    CloseReason::Malformed("the packet ends too early"),
    CloseReason::TopicFilterInvalid,
    CloseReason::TopicAliasInvalid,
    CloseReason::TooLarge,
    CloseReason::AnswerTooLarge,
    CloseReason::PublishRefused,
    CloseReason::TokenExpired,
    CloseReason::Reauthentication,
    CloseReason::TakenOver,
    CloseReason::Evicted,
    CloseReason::ConsentEnded,
    CloseReason::WriteTimeout,
    CloseReason::StoreFailed,
    CloseReason::ServerStopping,
    CloseReason::Idle,
];

fn check_same_v311(sent: &Outgoing, read: v3::Packet) {
    let is_same = match (sent, read) {
        (Outgoing::Publish(publish), v3::Packet::Publish(read)) => {
            read.topic == TOPIC && same_message(publish, &read)
        }
        (Outgoing::ConnAck(connack), v3::Packet::ConnectAck(read)) => {
            read.session_present == connack.session_present && u8::from(read.return_code) == 0
        }
        (Outgoing::ConnRefused { refusal, .. }, v3::Packet::ConnectAck(read)) => {
            !read.session_present && Some(u8::from(read.return_code)) == refusal.return_code()
        }
        (
            Outgoing::SubAck { packet_id, granted },
            v3::Packet::SubscribeAck { packet_id: read_id, status },
        ) => {
            let expected = granted.iter().map(|granted| match granted {
                Ok(qos) => Some(qos.level()),
                Err(_) => None,
            });
            let status = status.iter().map(|code| match code {
                v3::SubscribeReturnCode::Success(qos) => Some(qos.value()),
                v3::SubscribeReturnCode::Failure => None,
            });
            *packet_id == read_id && expected.eq(status)
        }
        (
            Outgoing::UnsubAck { packet_id, .. },
            v3::Packet::UnsubscribeAck { packet_id: read_id },
        ) => *packet_id == read_id,
        (Outgoing::PingResp, v3::Packet::PingResponse) => true,
        (Outgoing::PubRel { packet_id, .. }, v3::Packet::PublishRelease { packet_id: read_id })
        | (Outgoing::PubComp { packet_id }, v3::Packet::PublishComplete { packet_id: read_id }) => {
            *packet_id == read_id
        }
        _ => false,
    };
    assert!(is_same, "{sent:?} is read as something else");
}

fn check_same_v5(sent: &Outgoing, read: &v5::Packet, problem_information: bool) {
    let is_same = match (sent, read) {
        (Outgoing::Publish(publish), v5::Packet::Publish(read)) => {
            let properties = read.properties.clone().unwrap_or_default();
            let topic = if publish.alias.is_some_and(|alias| alias.known) { "" } else { TOPIC };
            read.topic == topic
                && same_message(publish, read)
                && properties.topic_alias == publish.alias.map(|alias| alias.number)
                && properties.subscription_ids == publish.identifiers
                && same_gap(publish.gap, &properties.user_properties)
        }
        (Outgoing::ConnAck(connack), v5::Packet::ConnectAck(read)) => {
            read.session_present == connack.session_present
                && u8::from(read.reason_code) == 0
                && read.assigned_client_id.as_deref() == connack.assigned_client_id.as_deref()
                && read.session_expiry_interval_secs == connack.session_expiry_seconds
                && read.auth_method.as_deref() == connack.auth_method.as_deref()
                && read.server_keepalive_sec == connack.keep_alive_seconds
                && read.shared_subscription_available == connack.shared_available
                && read.retain_available == connack.retain_available
                && read.max_packet_size == Some(PACKET_SIZE_MAX)
        }
        (Outgoing::ConnRefused { refusal, why }, v5::Packet::ConnectAck(read)) => {
            // [MQTT-3.2.2-6]
            !read.session_present
                && u8::from(read.reason_code) == refusal.reason_code()
                && read.reason_string.as_ref().is_none_or(|text| **text == *why)
        }
        (Outgoing::SubAck { packet_id, granted }, v5::Packet::SubscribeAck(read)) => {
            let code = |granted: &std::result::Result<Qos, SubscribeRefusal>| match granted {
                Ok(qos) => qos.level(),
                Err(refusal) => refusal.reason_code(),
            };
            let status = read.status.iter().map(|code| u8::from(*code));
            *packet_id == read.packet_id
                && granted.iter().map(code).eq(status)
                && (read.reason_string.is_none() || granted.iter().any(std::result::Result::is_err))
        }
        (Outgoing::UnsubAck { packet_id, existed }, v5::Packet::UnsubscribeAck(read)) => {
            let status = read.status.iter().map(|code| u8::from(*code) == 0);
            *packet_id == read.packet_id && existed.iter().copied().eq(status)
        }
        (Outgoing::PingResp, v5::Packet::PingResponse) => true,
        (Outgoing::PubRel { packet_id, known }, v5::Packet::PublishRelease(read)) => {
            *packet_id == read.packet_id && (u8::from(read.reason_code) == 0) == *known
        }
        // Nothing that it could complete is ever known.
        (Outgoing::PubComp { packet_id }, v5::Packet::PublishComplete(read)) => {
            *packet_id == read.packet_id && u8::from(read.reason_code) == 0x92
        }
        (Outgoing::PublishRefused { packet_id, qos }, v5::Packet::PublishAck(read)) => {
            *qos == Qos::AtLeastOnce
                && *packet_id == read.packet_id
                && u8::from(read.reason_code) == 0x87
        }
        (Outgoing::PublishRefused { packet_id, qos }, v5::Packet::PublishReceived(read)) => {
            *qos == Qos::ExactlyOnce
                && *packet_id == read.packet_id
                && u8::from(read.reason_code) == 0x87
        }
        (Outgoing::AuthSuccess { method }, v5::Packet::Auth(read)) => {
            read.auth_method.as_deref() == Some(method) && u8::from(read.reason_code) == 0
        }
        (Outgoing::Disconnect(reason), v5::Packet::Disconnect(read)) => {
            let (code, why) = reason.disconnect().expect("only a reason is sent");
            u8::from(read.reason_code) == code
                && read.reason_string.as_ref().is_none_or(|text| **text == *why)
                && (problem_information || read.reason_string.is_none())
        }
        _ => false,
    };
    assert!(is_same, "{sent:?} is read as {read:?}");
}

const TOPIC: &str = "aa111192-d570-4d3d-8835-656ee00edcd7/WBY00000000000001";

fn same_message(sent: &Publish, read: &rmqtt_codec::types::Publish) -> bool {
    read.payload == sent.payload
        && read.packet_id == sent.packet_id
        && read.dup == sent.duplicate
        && read.qos.value() == sent.qos.level()
        && read.retain == sent.retain
}

fn same_gap(sent: Option<Gap>, read: &v5::UserProperties) -> bool {
    match (sent, read.as_slice()) {
        (None, []) => true,
        (Some(sent), [(name, value)]) => *name == "cardata-gap" && **value == sent.to_string(),
        _ => false,
    }
}
