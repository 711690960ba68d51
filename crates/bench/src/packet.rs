//! MQTT 3.1.1, as much of it as a load generator says and hears.
//!
//! Written apart from the server's own, so that a fault there can't hide behind the same fault here.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use thiserror::Error;

/// A packet from the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Packet {
    ConnAck { session_present: bool, code: u8 },
    SubAck { codes: Bytes },
    Publish(Publish),
    PubAck,
    PingResp,
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Publish {
    pub(crate) topic: Bytes,
    pub(crate) payload: Bytes,
    /// With QoS 1 only.
    pub(crate) packet_id: Option<u16>,
    /// Whether it tells what was before, and not what has just happened.
    pub(crate) retained: bool,
}

/// The server sent what this generator asks no server for, or no MQTT at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the server sent something else than MQTT 3.1.1 (first byte {0:#04x})")]
pub struct Strange(u8);

/// Who connects.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Connect<'a> {
    pub(crate) client_id: &'a str,
    pub(crate) user_name: &'a str,
    pub(crate) password: &'a str,
    /// Whether the session ends with the connection.
    pub(crate) clean: bool,
}

/// No measurement takes as long, so nobody has to send pings.
const KEEP_ALIVE_SECONDS: u16 = 3600;

pub(crate) const PING: [u8; 2] = [0xC0, 0];
pub(crate) const DISCONNECT: [u8; 2] = [0xE0, 0];

pub(crate) fn connect(connect: Connect<'_>) -> Bytes {
    let mut body = BytesMut::new();
    body.put_slice(b"\0\x04MQTT\x04");
    let mut flags = u8::from(connect.clean) << 1;
    if !connect.user_name.is_empty() {
        flags |= 0xC0;
    }
    body.put_u8(flags);
    body.put_u16(KEEP_ALIVE_SECONDS);
    put_text(connect.client_id, &mut body);
    if !connect.user_name.is_empty() {
        put_text(connect.user_name, &mut body);
        put_text(connect.password, &mut body);
    }
    packet(0x10, &body)
}

pub(crate) fn subscribe(filter: &str, qos: u8) -> Bytes {
    let mut body = BytesMut::new();
    body.put_u16(1);
    put_text(filter, &mut body);
    body.put_u8(qos);
    packet(0x82, &body)
}

/// With QoS 1 where there is a packet id, and else with QoS 0.
pub(crate) fn publish(topic: &str, packet_id: Option<u16>, payload: &[u8]) -> Bytes {
    let mut body = BytesMut::with_capacity(topic.len() + payload.len() + 4);
    put_text(topic, &mut body);
    if let Some(packet_id) = packet_id {
        body.put_u16(packet_id);
    }
    body.put_slice(payload);
    packet(if packet_id.is_some() { 0x32 } else { 0x30 }, &body)
}

pub(crate) fn put_puback(packet_id: u16, output: &mut BytesMut) {
    output.put_slice(&[0x40, 2]);
    output.put_u16(packet_id);
}

/// Takes the first packet from `input`; `None` when it is not there whole.
pub(crate) fn take(input: &mut BytesMut) -> Result<Option<Packet>, Strange> {
    let Some((first, header, body)) = split(input)? else { return Ok(None) };
    let length = body.len();
    input.advance(header);
    let body = input.split_to(length).freeze();
    read(first, body).ok_or(Strange(first)).map(Some)
}

/// A packet's first byte, how long its header is, and its body.
type Parts<'a> = (u8, usize, &'a [u8]);

/// The first packet of `input`; `None` when it is not there whole.
pub(crate) fn split(input: &[u8]) -> Result<Option<Parts<'_>>, Strange> {
    let Some((&first, rest)) = input.split_first() else { return Ok(None) };
    let mut length = 0;
    let mut digits = 0;
    loop {
        let Some(&digit) = rest.get(digits) else { return Ok(None) };
        length |= usize::from(digit & 0x7F) << (7 * digits);
        digits += 1;
        if digit & 0x80 == 0 {
            break;
        }
        if digits == 4 {
            return Err(Strange(first));
        }
    }
    Ok(rest.get(digits..digits + length).map(|body| (first, 1 + digits, body)))
}

fn read(first: u8, mut body: Bytes) -> Option<Packet> {
    match (first, body.len()) {
        (0x20, 2) => Some(Packet::ConnAck { session_present: body[0] == 1, code: body[1] }),
        (0x90, 3..) => Some(Packet::SubAck { codes: body.split_off(2) }),
        (0x40, 2) => Some(Packet::PubAck),
        (0xD0, 0) => Some(Packet::PingResp),
        (0x30..0x40, 2..) => {
            let topic_length = usize::from(body.get_u16());
            let topic = (body.len() >= topic_length).then(|| body.split_to(topic_length))?;
            let packet_id = match first & 0x06 {
                0 => None,
                2 if body.len() >= 2 => Some(body.get_u16()),
                _ => return None,
            };
            Some(Packet::Publish(Publish {
                topic,
                payload: body,
                packet_id,
                retained: first & 1 == 1,
            }))
        }
        _ => None,
    }
}

fn packet(first: u8, body: &[u8]) -> Bytes {
    let mut packet = BytesMut::with_capacity(body.len() + 5);
    packet.put_u8(first);
    let mut length = body.len();
    loop {
        let digit = u8::try_from(length % 128).expect("seven bits fit a byte");
        length /= 128;
        packet.put_u8(if length > 0 { digit | 0x80 } else { digit });
        if length == 0 {
            break;
        }
    }
    packet.put_slice(body);
    packet.freeze()
}

fn put_text(text: &str, body: &mut BytesMut) {
    body.put_u16(u16::try_from(text.len()).expect("names and tokens are short"));
    body.put_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(bytes: &[u8]) -> Result<Option<Packet>, Strange> {
        take(&mut BytesMut::from(bytes))
    }

    #[test]
    fn packets_come_out_as_they_arrive_however_they_are_cut() {
        let mut wire = Vec::new();
        wire.extend_from_slice(&[0x20, 2, 1, 0]);
        wire.extend_from_slice(&[0x90, 3, 0, 1, 0x80]);
        wire.extend_from_slice(b"\x30\x05\0\x01tab");
        wire.extend_from_slice(&publish("topic", Some(7), &[b'x'; 300]));
        wire.extend_from_slice(&[0x40, 2, 0, 7, 0xD0, 0]);
        let message = |topic, payload, packet_id| {
            Packet::Publish(Publish {
                topic: Bytes::from_static(topic),
                payload: Bytes::from_static(payload),
                packet_id,
                retained: false,
            })
        };
        let expected = [
            Packet::ConnAck { session_present: true, code: 0 },
            Packet::SubAck { codes: Bytes::from_static(&[0x80]) },
            message(b"t", b"ab", None),
            message(b"topic", &[b'x'; 300], Some(7)),
            Packet::PubAck,
            Packet::PingResp,
        ];
        for piece in [1, 2, 3, 7, wire.len()] {
            let mut input = BytesMut::new();
            let mut packets = Vec::new();
            for bytes in wire.chunks(piece) {
                input.extend_from_slice(bytes);
                while let Some(packet) = take(&mut input).unwrap() {
                    packets.push(packet);
                }
            }
            assert_eq!(packets, expected, "in pieces of {piece}");
            assert!(input.is_empty());
        }
    }

    #[test]
    fn what_a_client_says_has_the_bytes_of_the_specification() {
        let who = Connect { client_id: "ab", user_name: "u", password: "pw", clean: true };
        assert_eq!(connect(who)[..], *b"\x10\x15\0\x04MQTT\x04\xc2\x0e\x10\0\x02ab\0\x01u\0\x02pw");
        let nameless = Connect { user_name: "", clean: false, ..who };
        assert_eq!(connect(nameless)[..], *b"\x10\x0e\0\x04MQTT\x04\0\x0e\x10\0\x02ab");
        assert_eq!(subscribe("a/+", 1)[..], *b"\x82\x08\0\x01\0\x03a/+\x01");
        assert_eq!(publish("t", Some(2), b"!")[..], *b"\x32\x06\0\x01t\0\x02!");
        assert_eq!(publish("t", None, b"!")[..], *b"\x30\x04\0\x01t!");
        let long = publish("t", Some(2), &[0; 123]);
        assert_eq!((long[..3].to_vec(), long.len()), (vec![0x32, 0x80, 1], 131));
        let mut output = BytesMut::new();
        put_puback(0x0102, &mut output);
        assert_eq!(output[..], [0x40, 2, 1, 2]);
    }

    #[test]
    fn what_no_server_should_say_is_refused() {
        for wrong in [
            &b"\x10\0"[..],
            b"\x20\x03\0\0\0",
            b"\x34\x06\0\x01t\0\x02!",
            b"\x30\x03\0\x09a",
            b"\x32\x03\0\x01t",
            b"\x30\xff\xff\xff\xff\x01",
            b"HTTP/1.1 400 Bad Request\r\n\r\n                                                                ",
        ] {
            assert_eq!(taken(wrong), Err(Strange(wrong[0])), "{wrong:?}");
        }
        assert_eq!(taken(b"\x30\xff\xff\xff"), Ok(None));
    }
}
