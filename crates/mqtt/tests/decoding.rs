//! Packets as strangers may send them, read by this decoder and by `rmqtt-codec`, which others wrote: where both read
//! something, they must read the same, and what is taken here the other one must take as well.

use std::num::NonZeroU16;

use bytes::BytesMut;
use cardata_mqtt::decode::Decoder;
use cardata_mqtt::{Packet, Version};
use proptest::collection::vec;
use proptest::prelude::*;
use rmqtt_codec::{v3, v5};
use tokio_util::codec::Decoder as _;

/// What both decoders give of a packet, in one form.
#[derive(Debug, PartialEq)]
enum Seen {
    Connect {
        client_id: String,
        clean: bool,
        keep_alive: u16,
        user_name: Option<String>,
        password: Option<Vec<u8>>,
        limits: Option<Limits>,
    },
    Publish(Option<NonZeroU16>, u8),
    /// A kind of acknowledgement, and whether it refuses.
    Ack(u8, NonZeroU16, bool),
    /// With the QoS and the retain handling of each filter.
    Subscribe(NonZeroU16, Vec<(String, u8, u8)>, Option<u32>),
    Unsubscribe(NonZeroU16, Vec<String>),
    Disconnect(Option<u32>),
    Auth(Option<String>, Vec<u8>),
    Other,
}

/// What the properties of a CONNECT say.
#[derive(Debug, PartialEq)]
struct Limits {
    session_expiry_seconds: u32,
    receive_max: u16,
    packet_size_max: u32,
    topic_alias_max: u16,
    problem_information: bool,
    auth_method: Option<String>,
}

fn ours(packet: Packet) -> Seen {
    match packet {
        Packet::Connect(connect) => Seen::Connect {
            limits: (connect.version == Version::V5).then(|| Limits {
                session_expiry_seconds: connect.session_expiry_seconds,
                receive_max: connect.receive_max.get(),
                packet_size_max: connect.packet_size_max,
                topic_alias_max: connect.topic_alias_max,
                problem_information: connect.problem_information,
                auth_method: connect.auth.as_ref().map(|auth| auth.method.clone()),
            }),
            client_id: connect.client_id,
            clean: connect.clean_start,
            keep_alive: connect.keep_alive_seconds,
            user_name: connect.user_name,
            password: connect.password.map(|password| password.to_vec()),
        },
        Packet::Publish { packet_id, qos } => Seen::Publish(packet_id, qos.level()),
        Packet::PubAck(packet_id) => Seen::Ack(4, packet_id, false),
        Packet::PubRec { packet_id, refused } => Seen::Ack(5, packet_id, refused),
        Packet::PubRel(packet_id) => Seen::Ack(6, packet_id, false),
        Packet::PubComp(packet_id) => Seen::Ack(7, packet_id, false),
        Packet::Subscribe { packet_id, filters, identifier } => {
            let filters = filters
                .into_iter()
                .map(|wanted| (wanted.filter, wanted.qos.level(), wanted.retain_handling as u8));
            Seen::Subscribe(packet_id, filters.collect(), identifier.map(Into::into))
        }
        Packet::Unsubscribe { packet_id, filters } => Seen::Unsubscribe(packet_id, filters),
        Packet::Disconnect { session_expiry_seconds } => Seen::Disconnect(session_expiry_seconds),
        Packet::Auth(auth) => Seen::Auth(Some(auth.method), auth.data.to_vec()),
        Packet::PingReq => Seen::Other,
    }
}

fn theirs_311(packet: v3::Packet) -> Seen {
    match packet {
        v3::Packet::Connect(connect) => Seen::Connect {
            client_id: connect.client_id.to_string(),
            clean: connect.clean_session,
            keep_alive: connect.keep_alive,
            user_name: connect.username.map(|name| name.to_string()),
            password: connect.password.map(|password| password.to_vec()),
            limits: None,
        },
        v3::Packet::Publish(publish) => Seen::Publish(publish.packet_id, publish.qos.value()),
        v3::Packet::PublishAck { packet_id } => Seen::Ack(4, packet_id, false),
        v3::Packet::PublishReceived { packet_id } => Seen::Ack(5, packet_id, false),
        v3::Packet::PublishRelease { packet_id } => Seen::Ack(6, packet_id, false),
        v3::Packet::PublishComplete { packet_id } => Seen::Ack(7, packet_id, false),
        v3::Packet::Subscribe { packet_id, topic_filters } => {
            let filters =
                topic_filters.into_iter().map(|(filter, qos)| (filter.to_string(), qos.value(), 0));
            Seen::Subscribe(packet_id, filters.collect(), None)
        }
        v3::Packet::Unsubscribe { packet_id, topic_filters } => {
            Seen::Unsubscribe(packet_id, topic_filters.iter().map(ToString::to_string).collect())
        }
        v3::Packet::Disconnect => Seen::Disconnect(None),
        _ => Seen::Other,
    }
}

fn theirs_5(packet: v5::Packet) -> Seen {
    match packet {
        v5::Packet::Connect(connect) => Seen::Connect {
            client_id: connect.client_id.to_string(),
            clean: connect.clean_start,
            keep_alive: connect.keep_alive,
            user_name: connect.username.map(|name| name.to_string()),
            password: connect.password.map(|password| password.to_vec()),
            limits: Some(Limits {
                session_expiry_seconds: connect.session_expiry_interval_secs,
                receive_max: connect.receive_max.map_or(u16::MAX, Into::into),
                packet_size_max: connect.max_packet_size.map_or(u32::MAX, Into::into),
                topic_alias_max: connect.topic_alias_max,
                problem_information: connect.request_problem_info,
                auth_method: connect.auth_method.map(|method| method.to_string()),
            }),
        },
        v5::Packet::Publish(publish) => Seen::Publish(publish.packet_id, publish.qos.value()),
        v5::Packet::PublishAck(ack) => Seen::Ack(4, ack.packet_id, false),
        v5::Packet::PublishReceived(ack) => {
            Seen::Ack(5, ack.packet_id, u8::from(ack.reason_code) >= 0x80)
        }
        v5::Packet::PublishRelease(ack) => Seen::Ack(6, ack.packet_id, false),
        v5::Packet::PublishComplete(ack) => Seen::Ack(7, ack.packet_id, false),
        v5::Packet::Subscribe(wanted) => {
            let filters = wanted.topic_filters.into_iter();
            let filters = filters.map(|(filter, options)| {
                (filter.to_string(), options.qos.value(), u8::from(options.retain_handling))
            });
            Seen::Subscribe(wanted.packet_id, filters.collect(), wanted.id.map(Into::into))
        }
        v5::Packet::Unsubscribe(unwanted) => Seen::Unsubscribe(
            unwanted.packet_id,
            unwanted.topic_filters.iter().map(ToString::to_string).collect(),
        ),
        v5::Packet::Disconnect(disconnect) => {
            Seen::Disconnect(disconnect.session_expiry_interval_secs)
        }
        v5::Packet::Auth(auth) => Seen::Auth(
            auth.auth_method.map(|method| method.to_string()),
            auth.auth_data.unwrap_or_default().to_vec(),
        ),
        _ => Seen::Other,
    }
}

/// Good packets of MQTT 3.1.1 without their lengths; the first one is the CONNECT that comes before the others.
const PACKETS_311: [(u8, &[u8]); 9] = [
    (0x10, b"\0\x04MQTT\x04\xf6\0\x1e\0\x04abcd\0\x01t\0\x03bye\0\x04user\0\x04pass"),
    (0x34, b"\0\x01t\0\x07payload"),
    (0x40, b"\0\x07"),
    (0x62, b"\0\x07"),
    (0x82, b"\0\x07\0\x03a/+\x01\0\x01#\x02"),
    (0xA2, b"\0\x07\0\x03a/+\0\x01#"),
    (0xC0, b""),
    (0xE0, b""),
    (0x30, b"\0\x01tpayload"),
];

/// The same of MQTT 5.
const PACKETS_5: [(u8, &[u8]); 11] = [
    (
        0x10,
        b"\0\x04MQTT\x05\xf6\0\x1e\x23\x11\0\0\0\x64\x21\0\x05\x22\0\x07\x27\0\0\x10\0\x15\0\x01m\x16\0\x01d\x17\x01\x19\x01\x26\0\x01k\0\x01v\0\x04abcd\x07\x18\0\0\0\x05\x01\x01\0\x01t\0\x03bye\0\x04user\0\x04pass",
    ),
    (0x34, b"\0\x01t\0\x07\x0f\x01\x01\x02\0\0\0\x09\x08\0\x01r\x09\0\x01cpayload"),
    (0x40, b"\0\x07\x10\x04\x1f\0\x01w"),
    (0x50, b"\0\x07"),
    (0x62, b"\0\x07\x92"),
    (0x82, b"\0\x07\x03\x0b\x80\x01\0\x03a/+\x2d\0\x01#\x02"),
    (0xA2, b"\0\x07\x07\x26\0\x01k\0\x01v\0\x03a/+\0\x01#"),
    (0xC0, b""),
    (0xE0, b"\x04\x05\x11\0\0\0\x09"),
    (0xF0, b"\x19\x08\x15\0\x01m\x16\0\x01d"),
    (0x30, b"\0\x01t\0payload"),
];

/// A packet with some bytes exchanged, taken out or put in, and mostly with the length that it then has.
fn packet(packets: &'static [(u8, &'static [u8])]) -> impl Strategy<Value = Vec<u8>> {
    let change = (0..3_u8, any::<prop::sample::Index>(), any::<u8>());
    (prop::sample::select(packets), vec(change, 0..4), prop::bool::weighted(0.9), any::<u8>())
        .prop_map(|((first, body), changes, is_sized, length)| {
            let mut body = body.to_vec();
            for (kind, index, byte) in changes {
                let at = index.index(body.len() + 1);
                match kind {
                    0 if at < body.len() => body[at] = byte,
                    1 if at < body.len() => drop(body.remove(at)),
                    _ => body.insert(at, byte),
                }
            }
            let length = if is_sized { length_of(&body) } else { length & 0x7F };
            [&[first, length][..], &body].concat()
        })
}

fn framed((first, body): (u8, &[u8])) -> Vec<u8> {
    [&[first, length_of(body)][..], body].concat()
}

fn length_of(body: &[u8]) -> u8 {
    u8::try_from(body.len()).expect("these are short")
}

/// What is read of `bytes` here, after the CONNECT if they are none; `None` if nothing is.
fn read(connect: &[u8], bytes: &[u8]) -> Option<Seen> {
    let mut decoder = Decoder::default();
    if bytes[0] != 0x10 {
        decoder.decode(&mut BytesMut::from(connect)).expect("a good CONNECT");
    }
    decoder.decode(&mut BytesMut::from(bytes)).ok().flatten().map(ours)
}

#[test]
fn good_packets_are_read() {
    for packets in [&PACKETS_311[..], &PACKETS_5[..]] {
        for packet in packets {
            assert!(read(&framed(packets[0]), &framed(*packet)).is_some(), "{packet:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        // 5120, unless PROPTEST_CASES says otherwise.
        cases: 20 * ProptestConfig::default().cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn packets_of_3_1_1_are_read_as_another_decoder_reads_them(bytes in packet(&PACKETS_311)) {
        if let Some(seen) = read(&framed(PACKETS_311[0]), &bytes) {
            let other = v3::Codec::new(0).decode(&mut BytesMut::from(&bytes[..]));
            let (other, _) = other.expect("taken by both").expect("whole for both");
            prop_assert_eq!(seen, theirs_311(other));
        }
    }

    #[test]
    fn packets_of_5_are_read_as_another_decoder_reads_them(bytes in packet(&PACKETS_5)) {
        if let Some(seen) = read(&framed(PACKETS_5[0]), &bytes) {
            let other = v5::Codec::new(0, 0).decode(&mut BytesMut::from(&bytes[..]));
            // It refuses two things that MQTT 5 permits: a message that expires at once, and a client identifier for the
            // server to choose together with a session that may go on.
            let expires_at_once = bytes.windows(5).any(|five| five == b"\x02\0\0\0\0");
            let is_unnamed =
                matches!(&seen, Seen::Connect { client_id, clean: false, .. } if client_id.is_empty());
            let refused = other.is_err() && (expires_at_once || is_unnamed);
            if !refused {
                let (other, _) = other.expect("taken by both").expect("whole for both");
                prop_assert_eq!(seen, theirs_5(other));
            }
        }
    }

    #[test]
    fn a_packet_that_comes_in_parts_is_read_as_the_whole(
        bytes in packet(&PACKETS_5),
        cut in any::<prop::sample::Index>(),
    ) {
        let whole = read(&framed(PACKETS_5[0]), &bytes);
        let mut decoder = Decoder::default();
        if bytes[0] != 0x10 {
            decoder.decode(&mut BytesMut::from(&framed(PACKETS_5[0])[..])).unwrap();
        }
        let (first, second) = bytes.split_at(cut.index(bytes.len()));
        let mut input = BytesMut::from(first);
        let read = match decoder.decode(&mut input) {
            Ok(None) => {
                input.extend_from_slice(second);
                decoder.decode(&mut input).ok().flatten()
            }
            other => other.ok().flatten(),
        };
        prop_assert_eq!(read.map(ours), whole);
    }

    #[test]
    fn no_bytes_bring_the_decoder_down(bytes in vec(any::<u8>(), 0..64), is_known in any::<bool>()) {
        for packets in [&PACKETS_311[..], &PACKETS_5[..]] {
            let mut decoder = Decoder::default();
            if is_known {
                decoder.decode(&mut BytesMut::from(&framed(packets[0])[..])).unwrap();
            }
            let mut input = BytesMut::from(&bytes[..]);
            while let Ok(Some(_)) = decoder.decode(&mut input) {}
        }
    }
}
