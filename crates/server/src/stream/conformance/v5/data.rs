//! 1.5 Data representation, 2 MQTT control packet format.

use cardata_mqtt::Version;

use super::{ALL, TOPIC, ended, refused, stage};
use crate::stream::test_peer::{
    Connect, Peer, Will, put_properties, soc, subscribe, text, unsubscribe,
};

const V: Version = Version::V5;
/// Stands for four bytes of a text.
const HOLE: &str = "HOLE";

/// Properties that hold nothing but texts, each with a hole in it.
fn texts(identifiers: &[u8]) -> Vec<Vec<u8>> {
    let pairs = [[text(HOLE), text("value")], [text("name"), text(HOLE)]];
    let pairs = pairs.iter().map(|pair| [&[0x26][..], &pair.concat()].concat());
    let alone = identifiers.iter().map(|identifier| [&[*identifier][..], &text(HOLE)].concat());
    pairs.chain(alone).collect()
}

/// A body with these properties between `before` and `after`.
fn body(before: &[u8], properties: &[u8], after: &[u8]) -> Vec<u8> {
    let mut body = before.to_vec();
    put_properties(properties, &mut body);
    [&body[..], after].concat()
}

/// A packet for each text that a client sends, with a hole in it.
fn packets_with_a_hole(connect: &Connect) -> Vec<(u8, Vec<u8>)> {
    let will = |topic: &str, properties: Vec<u8>| {
        let (topic, payload) = (topic.to_owned(), "bye".to_owned());
        let will = Will { qos: 0, retain: false, properties, topic, payload };
        Connect { will: Some(will), ..connect.clone() }
    };
    let user_name = Some(HOLE.to_owned());
    let mut packets = vec![
        (0x10, connect.clone().client_id(HOLE).body()),
        (0x10, Connect { user_name, ..connect.clone() }.body()),
        (0x10, will(HOLE, Vec::new()).body()),
        (0x32, body(b"\0\x04HOLE\0\x01", &[], b"payload")),
        (0x82, subscribe(V, 1, &[], &[("a", 0), (HOLE, 0)])),
        (0xA2, unsubscribe(V, 1, &["a", HOLE])),
    ];
    for properties in texts(&[0x15]) {
        packets.push((0x10, Connect { properties, ..connect.clone() }.body()));
    }
    packets.extend(texts(&[0x03, 0x08]).into_iter().map(|hole| (0x10, will("a", hole).body())));
    for hole in texts(&[0x03, 0x08]) {
        packets.push((0x32, body(b"\0\x01a\0\x01", &hole, b"payload")));
    }
    for (first, identifiers, before, after) in [
        (0x40, &[0x1F][..], &b"\0\x01\0"[..], &b""[..]),
        (0x50, &[0x1F], b"\0\x01\0", b""),
        (0x62, &[0x1F], b"\0\x01\0", b""),
        (0x70, &[0x1F], b"\0\x01\0", b""),
        (0x82, &[], b"\0\x01", b"\0\x01a\0"),
        (0xA2, &[], b"\0\x01", b"\0\x01a"),
        (0xE0, &[0x1F, 0x1C], b"\0", b""),
        (0xF0, &[0x15, 0x1F], b"\x19", b""),
    ] {
        let holes = texts(identifiers).into_iter();
        packets.extend(holes.map(|hole| (first, body(before, &hole, after))));
    }
    packets
}

fn filled(body: &[u8], filling: [u8; 4]) -> Vec<u8> {
    let at = body.windows(4).position(|window| window == HOLE.as_bytes()).unwrap();
    [&body[..at], &filling, &body[at + 4..]].concat()
}

/// Each text of each packet, filled with something that no text may have, makes it malformed.
async fn is_malformed_everywhere(fillings: &[[u8; 4]]) {
    let stage = stage().await;
    for (first, body) in packets_with_a_hole(&stage.connect()) {
        for filling in fillings {
            let body = filled(&body, *filling);
            let code = match first {
                0x10 => refused(&stage, &body).await,
                _ => ended(&stage, first, &body).await,
            };
            assert_eq!(code, 0x81, "{first:#x} {filling:?} {body:?}");
        }
    }
}

#[tokio::test]
async fn mqtt_1_5_4_1_mqtt_1_5_7_1_every_text_is_utf_8_without_surrogates() {
    let stage = stage().await;
    for (first, body) in packets_with_a_hole(&stage.connect()) {
        for filling in [*b"abcd", *b"a\xE2\x82\xAC", *b"\xF0\x9F\x98\x80", *b"a\xED\x9F\xBF"] {
            let verdict = stage.verdict(first, &filled(&body, filling)).await;
            assert_ne!(verdict.as_deref(), Some("malformed_packet"), "{first:#x} {body:?}");
        }
    }
    is_malformed_everywhere(&[*b"abc\xFF", *b"abc\xC3", *b"ab\xC0\x80", *b"a\xED\xA0\x80"]).await;
}

#[tokio::test]
async fn mqtt_1_5_4_2_mqtt_1_5_7_1_mqtt_4_7_3_2_no_text_has_the_null_character() {
    is_malformed_everywhere(&[*b"\0abc", *b"abc\0"]).await;
}

#[tokio::test]
async fn mqtt_1_5_4_3_a_byte_order_mark_is_a_character_and_stays() {
    let stage = stage().await;
    assert!(!stage.resumed("keeper").await.1);
    let (mut peer, present) = stage.resumed("\u{FEFF}keeper").await;
    assert!(!present, "the mark makes another client identifier");
    assert_eq!(peer.subscribe(&format!("\u{FEFF}{ALL}"), 0).await, 0x87);
    drop(peer);
    assert!(stage.resumed("\u{FEFF}keeper").await.1);
}

#[tokio::test]
async fn mqtt_1_5_5_1_a_length_has_its_shortest_form() {
    let stage = stage().await;
    // The remaining length, the length of properties, and a property's value: each in one byte more than it needs.
    let good = stage.connect().body();
    let length = u8::try_from(good.len() & 0x7F).unwrap() | 0x80;
    let high = u8::try_from(good.len() >> 7).unwrap();
    for (lengths, expected) in [(&[length, high][..], 0), (&[length, high | 0x80, 0], 0x81)] {
        let mut peer = Peer::open(&stage.world);
        peer.speak(V);
        peer.send_bytes(&[&[0x10][..], lengths, &good].concat()).await;
        assert_eq!(peer.connack().await.unwrap().code, expected);
    }
    let properties = [&good[..10], b"\x80\0", &good[11..]].concat();
    assert_eq!(refused(&stage, &properties).await, 0x81);
    for (identifier, good) in
        [(&b"\x7F"[..], true), (b"\xFF\0", false), (b"\x80\x01", true), (b"\x80\x81\0", false)]
    {
        let properties = [&[0x0B][..], identifier].concat();
        let verdict = stage.verdict(0x82, &subscribe(V, 1, &properties, &[(ALL, 0)])).await;
        assert_eq!(verdict.is_none(), good, "{identifier:?}");
        assert!(good || verdict.as_deref() == Some("malformed_packet"));
    }
    // What the server writes: a remaining length of more than 127 in two bytes, one of less in one.
    let mut peer = stage.connected().await;
    let filters = vec![(ALL, 0); 200];
    peer.send(0x82, &subscribe(V, 1, &[], &filters)).await;
    let answer = peer.receive_bytes(2 + 203 + 1).await;
    assert_eq!(answer[..3], [0x90, 0xCB, 0x01]);
}

#[tokio::test]
async fn mqtt_2_1_3_1_mqtt_3_6_1_1_mqtt_3_8_1_1_mqtt_3_10_1_1_mqtt_3_14_1_1_mqtt_3_15_1_1_reserved_flags_are_malformed()
 {
    let stage = stage().await;
    let (subscribe, unsubscribe) = (subscribe(V, 1, &[], &[(ALL, 0)]), unsubscribe(V, 1, &[ALL]));
    let auth = body(b"\x19", &[&[0x15][..], &text("cardata-token")].concat(), b"");
    let packets: [(u8, &[u8]); 9] = [
        (0x40, &[0, 1]),
        (0x50, &[0, 1]),
        (0x62, &[0, 1]),
        (0x70, &[0, 1]),
        (0x82, &subscribe),
        (0xA2, &unsubscribe),
        (0xC0, &[]),
        (0xE0, &[]),
        (0xF0, &auth),
    ];
    for (good, body) in packets {
        let verdict = stage.verdict(good, body).await;
        assert_ne!(verdict.as_deref(), Some("malformed_packet"), "{good:#x}");
        for flags in (0..16).filter(|flags| *flags != good & 0x0F) {
            assert_eq!(
                ended(&stage, good & 0xF0 | flags, body).await,
                0x81,
                "{good:#x} {flags:#x}"
            );
        }
    }
    for flags in 1..16 {
        let refused = stage.refused_as(0x10 | flags, &stage.connect().body()).await;
        assert_eq!(refused.connack.unwrap().code, 0x81, "{flags:#x}");
    }
    // What the server sends has the flags of the table, too; its PUBLISHes have theirs elsewhere.
    let mut peer = Peer::open(&stage.world);
    peer.send(0x10, &stage.connect().body()).await;
    peer.send(0x82, &subscribe).await;
    peer.send(0xA2, &unsubscribe).await;
    peer.send(0xC0, &[]).await;
    peer.send(0x00, &[]).await;
    for expected in [0x20, 0x90, 0xB0, 0xD0, 0xE0] {
        assert_eq!(peer.receive().await.unwrap().0, expected);
    }
}

#[tokio::test]
async fn mqtt_2_2_1_2_mqtt_3_3_1_2_mqtt_4_3_1_1_qos_0_has_no_identifier_and_is_not_sent_again() {
    let stage = stage().await;
    let mut peer = stage.connected().await;
    assert_eq!(peer.subscribe(ALL, 0).await, 0);
    stage.report(7).await;
    // After the topic come properties and payload at once, which `delivery` reads.
    let delivery = peer.delivery().await;
    assert_eq!((delivery.qos, delivery.duplicate, delivery.packet_id), (0, false, None));
    assert_eq!(delivery.values, soc(7));
    // A client's is held to the same.
    let publish = body(&text(TOPIC), &[], b"{}");
    assert_eq!(ended(&stage, 0x30, &publish).await, 0x87);
    assert_eq!(ended(&stage, 0x38, &publish).await, 0x81);
}

#[tokio::test]
async fn mqtt_2_2_1_3_no_packet_identifier_is_0() {
    let stage = stage().await;
    let publish = |packet_id: u8| body(&[&text(TOPIC)[..], &[0, packet_id]].concat(), &[], b"{}");
    for number in [0, 1] {
        let id = [0, number];
        let packets = [
            (0x82, subscribe(V, number.into(), &[], &[(ALL, 0)])),
            (0xA2, unsubscribe(V, number.into(), &[ALL])),
            (0x32, publish(number)),
            (0x34, publish(number)),
            (0x40, id.to_vec()),
            (0x50, id.to_vec()),
            (0x62, id.to_vec()),
            (0x70, id.to_vec()),
        ];
        for (first, body) in packets {
            if number == 0 {
                assert_eq!(ended(&stage, first, &body).await, 0x82, "{first:#x}");
            } else {
                assert_eq!(stage.verdict(first, &body).await, None, "{first:#x}");
            }
        }
    }
}

#[tokio::test]
async fn mqtt_2_2_1_4_mqtt_4_3_2_1_2_3_a_delivery_has_an_identifier_that_is_not_in_use() {
    let stage = stage().await;
    let mut peer = stage.connected().await;
    assert_eq!(peer.subscribe(ALL, 1).await, 1);
    let mut unacknowledged = Vec::new();
    for number in 0..5 {
        stage.report(number).await;
        let delivery = peer.delivery().await;
        assert_eq!((delivery.qos, delivery.duplicate), (1, false));
        let packet_id = delivery.packet_id.unwrap();
        assert!(packet_id > 0 && !unacknowledged.contains(&packet_id), "{packet_id}");
        // Every second one stays unacknowledged.
        if number % 2 == 0 {
            unacknowledged.push(packet_id);
        } else {
            peer.ack(&delivery).await;
        }
    }
    assert!(peer.is_quiet().await);
}

#[tokio::test]
async fn mqtt_2_2_1_6_mqtt_3_8_4_1_2_mqtt_3_10_4_4_5_an_answer_has_the_identifier_of_its_question()
{
    let stage = stage().await;
    let mut peer = stage.connected().await;
    for packet_id in [1, 7, 255, 256, u16::MAX] {
        peer.send(0x82, &subscribe(V, packet_id, &[], &[(ALL, 1)])).await;
        assert_eq!(peer.answer(0x90, packet_id).await, [1]);
        for code in [0, 0x11] {
            peer.send(0xA2, &unsubscribe(V, packet_id, &[ALL])).await;
            assert_eq!(peer.answer(0xB0, packet_id).await, [code]);
        }
    }
}

#[tokio::test]
async fn mqtt_2_2_2_1_mqtt_3_9_2_2_mqtt_3_11_2_1_2_no_properties_are_a_length_of_0() {
    let stage = stage().await;
    let mut peer = stage.connected().await;
    peer.send(0x82, &subscribe(V, 1, &[], &[(ALL, 1)])).await;
    assert_eq!(peer.receive().await, Some((0x90, vec![0, 1, 0, 1])));
    stage.report(1).await;
    let (first, body) = peer.receive().await.unwrap();
    assert_eq!((first, &body[2 + TOPIC.len()..][..4]), (0x32, &b"\0\x01\0{"[..]));
    peer.send(0xA2, &unsubscribe(V, 2, &[ALL, ALL])).await;
    assert_eq!(peer.receive().await.map(|(_, body)| body[..3].to_vec()), Some(vec![0, 2, 0]));
    // A client has to write it as well where other fields follow.
    let good = stage.connect().body();
    assert_eq!(refused(&stage, &[&good[..10], &good[11..]].concat()).await, 0x81);
}

#[tokio::test]
async fn mqtt_4_13_1_1_a_property_stands_where_it_may_and_once() {
    let stage = stage().await;
    // By identifier: a value, and the packets in which it may stand.
    let topic = text("t");
    let pair = [text("n"), text("v")].concat();
    let properties: [(u8, &[u8], &[&str]); 20] = [
        (0x01, &[1], &["PUBLISH", "Will"]),
        (0x02, &[0, 0, 0, 9], &["PUBLISH", "Will"]),
        (0x03, &topic, &["PUBLISH", "Will"]),
        (0x08, &topic, &["PUBLISH", "Will"]),
        (0x09, &topic, &["PUBLISH", "Will"]),
        (0x0B, &[9], &["SUBSCRIBE", "PUBLISH"]),
        (0x11, &[0, 0, 0, 0], &["CONNECT", "DISCONNECT"]),
        (0x15, &topic, &["CONNECT", "AUTH"]),
        (0x17, &[1], &["CONNECT"]),
        (0x18, &[0, 0, 0, 9], &["Will"]),
        (0x19, &[1], &["CONNECT"]),
        (0x1C, &topic, &["DISCONNECT"]),
        (0x1F, &topic, &["PUBACK", "PUBREC", "PUBREL", "PUBCOMP", "DISCONNECT", "AUTH"]),
        (0x21, &[0, 9], &["CONNECT"]),
        (0x22, &[0, 9], &["CONNECT"]),
        (0x27, &[0, 0, 9, 9], &["CONNECT"]),
        (0x12, &topic, &[]),
        (0x24, &[1], &[]),
        (0x2A, &[1], &[]),
        (0x7F, &[1], &[]),
    ];
    let connect = stage.connect();
    for (identifier, value, places) in properties {
        let property = [&[identifier][..], value].concat();
        for (place, first, packet) in packets_with_properties(&connect, &property) {
            let verdict = stage.verdict(first, &packet).await;
            let is_taken = verdict.as_deref() != Some("malformed_packet");
            assert_eq!(is_taken, places.contains(&place), "{identifier:#x} in {place}");
        }
        for (place, first, packet) in packets_with_properties(&connect, &property.repeat(2)) {
            if places.contains(&place) {
                let verdict = stage.verdict(first, &packet).await;
                assert_eq!(
                    verdict.as_deref(),
                    Some("protocol_error"),
                    "{identifier:#x} in {place}"
                );
            }
        }
    }
    // A user property may stand anywhere, and any number of times.
    let property = [&[0x26][..], &pair].concat().repeat(3);
    for (place, first, packet) in packets_with_properties(&connect, &property) {
        let verdict = stage.verdict(first, &packet).await;
        assert_ne!(verdict.as_deref(), Some("malformed_packet"), "{place}");
    }
}

/// A packet of each kind that has properties, with these.
fn packets_with_properties(
    connect: &Connect,
    properties: &[u8],
) -> Vec<(&'static str, u8, Vec<u8>)> {
    let will = Will {
        qos: 0,
        retain: false,
        properties: properties.to_vec(),
        topic: "t".to_owned(),
        payload: "bye".to_owned(),
    };
    let with_properties = Connect { properties: properties.to_vec(), ..connect.clone() };
    vec![
        ("CONNECT", 0x10, with_properties.body()),
        ("Will", 0x10, Connect { will: Some(will), ..connect.clone() }.body()),
        ("PUBLISH", 0x32, body(b"\0\x01t\0\x01", properties, b"{}")),
        ("PUBACK", 0x40, body(b"\0\x01\0", properties, b"")),
        ("PUBREC", 0x50, body(b"\0\x01\0", properties, b"")),
        ("PUBREL", 0x62, body(b"\0\x01\0", properties, b"")),
        ("PUBCOMP", 0x70, body(b"\0\x01\0", properties, b"")),
        ("SUBSCRIBE", 0x82, body(b"\0\x01", properties, b"\0\x01a\0")),
        ("UNSUBSCRIBE", 0xA2, body(b"\0\x01", properties, b"\0\x01a")),
        ("DISCONNECT", 0xE0, body(b"\0", properties, b"")),
        ("AUTH", 0xF0, body(b"\x19", properties, b"")),
    ]
}
