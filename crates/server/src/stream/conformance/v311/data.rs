//! 1.5 Data representations, 2 Control packet format.

use cardata_mqtt::Version;

use super::{ALL, TOPIC, closed, stage};
use crate::stream::test_peer::{Connect, Peer, Will, soc, subscribe, unsubscribe};

const V: Version = Version::V311;
/// Stands for four bytes of a text.
const HOLE: &str = "HOLE";

/// A packet for each text that a client sends, with a hole in it.
fn packets_with_a_hole(connect: &Connect) -> Vec<(u8, Vec<u8>)> {
    let will = Will {
        qos: 0,
        retain: false,
        properties: Vec::new(),
        topic: HOLE.to_owned(),
        payload: "bye".to_owned(),
    };
    let user_name = Some(HOLE.to_owned());
    vec![
        (0x10, connect.clone().client_id(HOLE).body()),
        (0x10, Connect { will: Some(will), ..connect.clone() }.body()),
        (0x10, Connect { user_name, ..connect.clone() }.body()),
        (0x32, b"\0\x04HOLE\0\x01payload".to_vec()),
        (0x82, subscribe(V, 1, &[], &[("a", 0), (HOLE, 0)])),
        (0xA2, unsubscribe(V, 1, &["a", HOLE])),
    ]
}

fn filled(body: &[u8], filling: [u8; 4]) -> Vec<u8> {
    let at = body.windows(4).position(|window| window == HOLE.as_bytes()).unwrap();
    [&body[..at], &filling, &body[at + 4..]].concat()
}

#[tokio::test]
async fn mqtt_1_5_3_1_every_text_is_utf_8_without_surrogates() {
    let stage = stage().await;
    let broken = [
        *b"abc\xFF",
        *b"a\xC3bc",
        *b"abc\xC3",
        *b"ab\xC0\x80",
        *b"a\xED\xA0\x80",
        *b"\xF4\x90\x80\x80",
    ];
    for (first, body) in packets_with_a_hole(&stage.connect()) {
        for filling in [*b"abcd", *b"a\xE2\x82\xAC", *b"\xF0\x9F\x98\x80", *b"a\xED\x9F\xBF"] {
            let verdict = stage.verdict(first, &filled(&body, filling)).await;
            assert_ne!(verdict.as_deref(), Some("malformed_packet"), "{first:#x} {filling:?}");
        }
        for filling in broken {
            let verdict = stage.verdict(first, &filled(&body, filling)).await;
            assert_eq!(verdict.as_deref(), Some("malformed_packet"), "{first:#x} {filling:?}");
        }
    }
}

#[tokio::test]
async fn mqtt_1_5_3_2_mqtt_4_7_3_2_no_text_has_the_null_character() {
    let stage = stage().await;
    for (first, body) in packets_with_a_hole(&stage.connect()) {
        for filling in [*b"\0abc", *b"ab\0c", *b"abc\0"] {
            let verdict = stage.verdict(first, &filled(&body, filling)).await;
            assert_eq!(verdict.as_deref(), Some("malformed_packet"), "{first:#x} {filling:?}");
        }
    }
}

#[tokio::test]
async fn mqtt_1_5_3_3_a_byte_order_mark_is_a_character_and_stays() {
    let stage = stage().await;
    let (peer, present) = stage.resumed("keeper").await;
    assert!(!present);
    drop(peer);
    let (mut peer, present) = stage.resumed("\u{FEFF}keeper").await;
    assert!(!present, "the mark makes another client identifier");
    assert_eq!(peer.subscribe(&format!("\u{FEFF}{ALL}"), 0).await, 0x80);
    drop(peer);
    assert!(stage.resumed("\u{FEFF}keeper").await.1);
}

#[tokio::test]
async fn mqtt_2_2_2_1_2_mqtt_3_6_1_1_mqtt_3_8_1_1_mqtt_3_10_1_1_mqtt_3_14_1_1_reserved_flags_end_the_connection()
 {
    let stage = stage().await;
    let (subscribe, unsubscribe) = (subscribe(V, 1, &[], &[(ALL, 0)]), unsubscribe(V, 1, &[ALL]));
    let packets: [(u8, &[u8]); 8] = [
        (0x40, &[0, 1]),
        (0x50, &[0, 1]),
        (0x62, &[0, 1]),
        (0x70, &[0, 1]),
        (0x82, &subscribe),
        (0xA2, &unsubscribe),
        (0xC0, &[]),
        (0xE0, &[]),
    ];
    for (good, body) in packets {
        let verdict = stage.verdict(good, body).await;
        let expected = if good == 0xE0 { Some("disconnected") } else { None };
        assert_eq!(verdict.as_deref(), expected, "{good:#x}");
        for flags in (0..16).filter(|flags| *flags != good & 0x0F) {
            let first = good & 0xF0 | flags;
            assert_eq!(closed(&stage, first, body).await, "malformed_packet", "{first:#x}");
        }
    }
    // A CONNECT, which nothing comes before.
    for flags in 1..16 {
        let verdict = stage.verdict(0x10 | flags, &stage.connect().body()).await;
        assert_eq!(verdict.as_deref(), Some("malformed_packet"), "{flags:#x}");
    }
    // What the server sends has the flags of the table, too; its PUBLISHes have theirs elsewhere.
    let mut peer = Peer::open(&stage.world);
    peer.send(0x10, &stage.connect().body()).await;
    peer.send(0x82, &subscribe).await;
    peer.send(0xA2, &unsubscribe).await;
    peer.send(0xC0, &[]).await;
    for expected in [0x20, 0x90, 0xB0, 0xD0] {
        assert_eq!(peer.receive().await.unwrap().0, expected);
    }
}

#[tokio::test]
async fn mqtt_2_3_1_1_no_packet_identifier_is_0() {
    let stage = stage().await;
    let topic = crate::stream::test_peer::text(TOPIC);
    for number in [0, 1] {
        let id = [0, number];
        let packets = [
            (0x82, subscribe(V, number.into(), &[], &[(ALL, 0)]), None),
            (0xA2, unsubscribe(V, number.into(), &[ALL]), None),
            (0x32, [&topic[..], &id].concat(), Some("publish_refused")),
            (0x34, [&topic[..], &id].concat(), Some("publish_refused")),
            (0x40, id.to_vec(), None),
            (0x50, id.to_vec(), None),
            (0x62, id.to_vec(), None),
            (0x70, id.to_vec(), None),
        ];
        for (first, body, good) in packets {
            let expected = if number == 0 { Some("protocol_error") } else { good };
            assert_eq!(stage.verdict(first, &body).await.as_deref(), expected, "{first:#x}");
        }
    }
}

#[tokio::test]
async fn mqtt_2_3_1_4_mqtt_4_3_2_1_a_delivery_has_an_identifier_that_is_not_in_use() {
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
    // What is unacknowledged is neither sent again nor does it hold up others.
    assert!(peer.is_quiet().await);
}

#[tokio::test]
async fn mqtt_2_3_1_5_mqtt_3_3_1_2_mqtt_4_3_1_1_qos_0_has_no_identifier_and_is_not_sent_again() {
    let stage = stage().await;
    let mut peer = stage.connected().await;
    assert_eq!(peer.subscribe(ALL, 0).await, 0);
    stage.report(7).await;
    // After the topic comes the payload at once, which `delivery` reads.
    let delivery = peer.delivery().await;
    assert_eq!((delivery.qos, delivery.duplicate, delivery.packet_id), (0, false, None));
    assert_eq!(delivery.values, soc(7));
    // A client's is held to the same.
    let publish = [&crate::stream::test_peer::text(TOPIC)[..], b"{}"].concat();
    assert_eq!(closed(&stage, 0x30, &publish).await, "publish_refused");
    assert_eq!(closed(&stage, 0x38, &publish).await, "malformed_packet");
}

#[tokio::test]
async fn mqtt_2_3_1_7_mqtt_3_8_4_1_2_mqtt_3_10_4_4_an_answer_has_the_identifier_of_its_question() {
    let stage = stage().await;
    let mut peer = stage.connected().await;
    for packet_id in [1, 7, 255, 256, u16::MAX] {
        peer.send(0x82, &subscribe(V, packet_id, &[], &[(ALL, 1)])).await;
        assert_eq!(peer.answer(0x90, packet_id).await, [1]);
        peer.send(0xA2, &unsubscribe(V, packet_id, &[ALL])).await;
        assert_eq!(peer.answer(0xB0, packet_id).await, b"");
    }
}
