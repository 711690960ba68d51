//! Bytes to packets: `rmqtt-codec` behind types of ours, so that it can be replaced (`docs/adr/0001`).

use bytes::BytesMut;
use cardata_mqtt::packet::{Connect, Packet, Qos};
use rmqtt_codec::error::DecodeError;
use rmqtt_codec::v3;
use thiserror::Error;
use tokio_util::codec::Decoder as _;

/// Bytes that a packet may have before the peer is known: a CONNECT with a token of 4 KiB and room to spare.
pub const OPENING_PACKET_MAX: u32 = 16 * 1024;
/// Bytes that a packet may have afterwards; the largest are long SUBSCRIBEs.
pub const PACKET_MAX: u32 = 64 * 1024;

/// Reads packets of one connection.
#[derive(Debug, Default)]
pub struct Decoder {
    codec: Option<v3::Codec>,
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
                Some(4) => self.codec.insert(v3::Codec::new(OPENING_PACKET_MAX)),
                Some(other) => return Err(PacketError::UnsupportedLevel(other)),
            },
        };
        let Some((packet, _)) = codec.decode(input).map_err(|error| PacketError::from(&error))?
        else {
            return Ok(None);
        };
        let packet = packet_of(packet)?;
        if matches!(packet, Packet::Connect(_)) {
            codec.set_max_size(PACKET_MAX);
        }
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

/// Looks at the first bytes of a connection: the protocol level of its CONNECT (MQTT 3.1.1 §3.1.2.2), `None` when more
/// bytes are needed.
fn protocol_level(input: &[u8]) -> Result<Option<u8>, PacketError> {
    let Some((&first, rest)) = input.split_first() else { return Ok(None) };
    if first != 0x10 {
        return Err(PacketError::Malformed);
    }
    let length_bytes = match rest.iter().take(4).position(|byte| byte & 0x80 == 0) {
        Some(last) => last + 1,
        None if rest.len() < 4 => return Ok(None),
        None => return Err(PacketError::Malformed),
    };
    let body = &rest[length_bytes..];
    for (name, level_at) in [(&b"\0\x04MQTT"[..], 6), (&b"\0\x06MQIsdp"[..], 8)] {
        if body.starts_with(name) {
            return Ok(body.get(level_at).copied());
        }
        if name.starts_with(body) {
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
        assert_eq!(
            decoder.decode(&mut BytesMut::from(&b"\x90\x03\0\x01\0"[..])),
            Err(PacketError::Malformed)
        );
    }
}
