//! 4 Operational behavior.

use super::{ALL, closed, stage};
use crate::stream::test_peer::{Peer, soc};

#[tokio::test]
async fn mqtt_4_1_0_2_a_session_lasts_as_long_as_its_connection() {
    let stage = stage().await;
    let mut peer = stage.connected().await;
    peer.subscribe(ALL, 1).await;
    for number in 1..=300 {
        stage.report(number).await;
        let delivery = peer.delivery().await;
        assert_eq!(delivery.values, soc(number.into()));
        peer.ack(&delivery).await;
    }
}

#[tokio::test]
async fn mqtt_4_6_0_5_6_messages_of_a_topic_come_in_the_order_in_which_they_arrived() {
    let stage = stage().await;
    let (mut one, mut two) = (stage.resumed("one").await.0, stage.resumed("two").await.0);
    one.subscribe(ALL, 0).await;
    two.subscribe(ALL, 1).await;
    for number in 0..100 {
        stage.report(number).await;
    }
    for number in 0..100 {
        assert_eq!(one.values().await, soc(number));
        let delivery = two.delivery().await;
        assert_eq!(delivery.values, soc(number));
        two.ack(&delivery).await;
    }
}

#[tokio::test]
async fn mqtt_4_8_0_1_a_violation_ends_the_connection_on_which_it_came_and_no_other() {
    let stage = stage().await;
    let (mut bystander, _) = stage.resumed("bystander").await;
    bystander.subscribe(ALL, 0).await;
    let violations: [(u8, &[u8]); 7] = [
        (0x20, &[0, 0]),
        (0x90, &[0, 1, 0]),
        (0xB0, &[0, 1]),
        (0xD0, &[]),
        (0x10, b"\0\x04MQTT\x04\x02\0\x1e\0\x04abcd"),
        (0x00, &[]),
        (0xF0, &[]),
    ];
    for (first, body) in violations {
        let expected =
            if matches!(first, 0x00 | 0xF0) { "malformed_packet" } else { "protocol_error" };
        assert_eq!(closed(&stage, first, body).await, expected, "{first:#x}");
        stage.report(1).await;
        assert_eq!(bystander.values().await, soc(1), "{first:#x}");
    }
}

#[tokio::test]
async fn mqtt_4_8_0_1_lengths_that_can_not_be_are_violations() {
    let stage = stage().await;
    // A length of five bytes, then more than may come.
    for bytes in [&b"\xC0\x80\x80\x80\x80\x01"[..], b"\x82\x80\x80\x04"] {
        let mut peer: Peer = stage.connected().await;
        let before = stage.closed();
        peer.send_bytes(bytes).await;
        assert_eq!(peer.receive().await, None);
        let expected = if bytes[0] == 0xC0 { "malformed_packet" } else { "packet_too_large" };
        assert_eq!(stage.closed_since(&before), expected);
    }
}
