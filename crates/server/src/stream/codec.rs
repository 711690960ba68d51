//! Bytes to packets: `rmqtt-codec` behind types of ours, so that it can be replaced (`docs/adr/0001`).

use bytes::BytesMut;
use cardata_mqtt::packet::{Connect, Packet, Qos};
use rmqtt_codec::error::DecodeError;
use rmqtt_codec::v3;
use thiserror::Error;
use tokio_util::codec::Decoder as _;

/// Bytes that a packet may have before the peer is known: a CONNECT with a token of 4 KiB and room to spare.
pub const OPENING_PACKET_MAX: usize = 16 * 1024;
/// Bytes that a packet may have afterwards; the largest are long SUBSCRIBEs.
pub const PACKET_MAX: usize = 64 * 1024;

/// Reads packets of one connection.
#[derive(Debug, Default)]
pub struct Decoder {
    /// Known once the CONNECT's protocol level is.
    codec: Option<v3::Codec>,
    /// Whether the CONNECT was read.
    opened: bool,
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
                Some(4) => self.codec.insert(v3::Codec::new(0)),
                Some(other) => return Err(PacketError::UnsupportedLevel(other)),
            },
        };
        let size_max = if self.opened { PACKET_MAX } else { OPENING_PACKET_MAX };
        let Some(frame) = frame(input)? else { return Ok(None) };
        if frame.remaining > size_max {
            return Err(PacketError::TooLarge);
        }
        if !frame.is_whole() {
            return Ok(None);
        }
        frame.check_reserved_bits()?;
        let decoded = codec.decode(input).map_err(|error| PacketError::from(&error))?;
        // A whole packet is always read or refused.
        let (packet, _) = decoded.ok_or(PacketError::Malformed)?;
        self.opened = true;
        packet_of(packet).map(Some)
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
            return Ok(Some(Frame { first, remaining, body: &body[..remaining.min(body.len())] }));
        }
    }
    if rest.len() < 4 { Ok(None) } else { Err(PacketError::Malformed) }
}

impl Frame<'_> {
    fn is_whole(&self) -> bool {
        self.body.len() == self.remaining
    }

    /// Refuses a SUBSCRIBE whose reserved bits are set [MQTT-3.8.3-4]; the library passes over them.
    fn check_reserved_bits(&self) -> Result<(), PacketError> {
        if self.first != SUBSCRIBE {
            return Ok(());
        }
        let mut filters = self.body.get(2..).unwrap_or_default();
        while let [high, low, rest @ ..] = filters {
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            let Some((options, others)) = rest.get(length..).and_then(<[u8]>::split_first) else {
                return Err(PacketError::Malformed);
            };
            if *options > 2 {
                return Err(PacketError::Malformed);
            }
            filters = others;
        }
        Ok(())
    }
}

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

fn packet_of(packet: v3::Packet) -> Result<Packet, PacketError> {
    let packet = match packet {
        v3::Packet::Connect(connect) => Packet::Connect(Box::new(Connect {
            client_id: connect.client_id.to_string(),
            clean_session: connect.clean_session,
            keep_alive_seconds: connect.keep_alive,
            user_name: connect.username.map(|name| name.to_string()),
            password: connect.password,
        })),
        v3::Packet::Publish(_) => Packet::Publish,
        v3::Packet::PublishAck { packet_id } => Packet::PubAck(packet_id),
        v3::Packet::PublishReceived { .. }
        | v3::Packet::PublishRelease { .. }
        | v3::Packet::PublishComplete { .. } => Packet::OtherAcknowledgement,
        v3::Packet::Subscribe { packet_id, topic_filters } if !topic_filters.is_empty() => {
            let wanted = |(filter, qos): (_, rmqtt_codec::types::QoS)| {
                Some((ToString::to_string(&filter), Qos::from_level(qos.value())?))
            };
            let filters = topic_filters
                .into_iter()
                .map(wanted)
                .collect::<Option<_>>()
                .ok_or(PacketError::Malformed)?;
            Packet::Subscribe { packet_id, filters }
        }
        v3::Packet::Unsubscribe { packet_id, topic_filters } if !topic_filters.is_empty() => {
            Packet::Unsubscribe {
                packet_id,
                filters: topic_filters.iter().map(ToString::to_string).collect(),
            }
        }
        v3::Packet::PingRequest => Packet::PingReq,
        v3::Packet::Disconnect => Packet::Disconnect,
        // Without a filter [MQTT-3.8.3-3, MQTT-3.10.3-2], or a packet that only a server sends.
        _ => return Err(PacketError::Malformed),
    };
    Ok(packet)
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
            (connect.client_id.as_str(), connect.keep_alive_seconds, connect.clean_session),
            ("abcd", 30, true)
        );
    }

    #[test]
    fn other_versions_are_recognized_and_refused() {
        assert_eq!(
            decode(b"\x10\x10\0\x04MQTT\x05\x02\0\x1e\0\0\x04abc"),
            Err(PacketError::UnsupportedLevel(5))
        );
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
