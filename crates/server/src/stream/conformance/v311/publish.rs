//! 3.3 PUBLISH to 3.7 PUBCOMP.

use super::{ALL, TOPIC, closed, stage};
use crate::stream::test_peer::{BENS, Delivery, report, soc, text};

#[tokio::test]
async fn mqtt_3_3_1_1_3_mqtt_4_4_0_1_mqtt_4_6_0_1_what_is_sent_again_says_so_and_keeps_identifier_and_order()
 {
    let stage = stage().await;
    let (mut peer, _) = stage.resumed("keeper").await;
    peer.subscribe(ALL, 1).await;
    let mut sent = Vec::new();
    for number in 1..=4 {
        stage.report(number).await;
        sent.push(peer.delivery().await);
    }
    assert!(sent.iter().all(|delivery| !delivery.duplicate));
    peer.ack(&sent[1]).await;
    assert!(peer.is_quiet().await, "nothing is sent again while the connection lasts");
    drop(peer);
    stage.report(5).await;

    let (mut peer, _) = stage.resumed("keeper").await;
    for earlier in [&sent[0], &sent[2], &sent[3]] {
        assert_eq!(peer.delivery().await, Delivery { duplicate: true, ..earlier.clone() });
    }
    let new = peer.delivery().await;
    assert_eq!((new.values, new.duplicate), (soc(5), false));
    assert!(peer.is_quiet().await);
}

#[tokio::test]
async fn mqtt_3_3_1_4_a_publish_is_not_of_qos_3() {
    let stage = stage().await;
    let publish = [&text(TOPIC)[..], &[0, 1], b"{}"].concat();
    for good in [0x32, 0x34] {
        assert_eq!(closed(&stage, good, &publish).await, "publish_refused");
    }
    for flags in [0x6, 0x7, 0xE, 0xF] {
        assert_eq!(closed(&stage, 0x30 | flags, &publish).await, "malformed_packet");
    }
}

#[tokio::test]
async fn mqtt_3_3_1_9_what_an_established_subscription_brings_is_not_retained() {
    let stage = stage().await;
    let mut peer = stage.connected().await;
    for qos in [0, 1] {
        peer.subscribe(ALL, qos).await;
        stage.report(1).await;
        assert!(!peer.delivery().await.retain);
    }
}

#[tokio::test]
async fn mqtt_3_3_2_1_2_mqtt_4_7_1_1_mqtt_4_7_3_1_a_topic_name_comes_first_and_has_no_wildcards() {
    let stage = stage().await;
    let mut peer = stage.connected().await;
    peer.subscribe(ALL, 0).await;
    stage.report(1).await;
    assert_eq!(peer.delivery().await.topic, TOPIC);
    // A client's PUBLISH is held to the same, though it is not taken anyhow.
    let publish = |topic: &str| [&text(topic)[..], b"{}"].concat();
    assert_eq!(closed(&stage, 0x30, &publish("a/b")).await, "publish_refused");
    for topic in ["", "#", "+", "a/#", "a/+/b", "a+"] {
        assert_eq!(closed(&stage, 0x30, &publish(topic)).await, "protocol_error", "{topic}");
    }
    for body in [&b""[..], b"\0", b"\0\x03ab", b"\0\x02\xC3\x28"] {
        assert_eq!(closed(&stage, 0x30, body).await, "malformed_packet", "{body:?}");
    }
}

#[tokio::test]
async fn mqtt_3_3_2_3_the_topic_of_a_delivery_matches_the_filter() {
    let stage = stage().await;
    let all = format!("{}/#", TOPIC.split_once('/').unwrap().0);
    for filter in [TOPIC, ALL, &all, &format!("{TOPIC}/#")] {
        let mut peer = stage.connected().await;
        assert_eq!(peer.subscribe(filter, 0).await, 0, "{filter}");
        report(&stage.world, BENS, 1).await;
        stage.report(2).await;
        let delivery = peer.delivery().await;
        assert_eq!((delivery.topic.as_str(), delivery.values), (TOPIC, soc(2)), "{filter}");
    }
}

#[tokio::test]
async fn mqtt_3_3_5_1_overlapping_subscriptions_deliver_with_the_highest_qos() {
    let stage = stage().await;
    let mut peer = stage.connected().await;
    assert_eq!(peer.subscribe_all(&[(TOPIC, 0), (ALL, 1)]).await, [0, 1]);
    stage.report(1).await;
    let delivery = peer.delivery().await;
    assert_eq!((delivery.qos, &delivery.values), (1, &soc(1)));
    peer.ack(&delivery).await;
    assert!(peer.is_quiet().await, "it comes once");
}

#[tokio::test]
async fn mqtt_3_3_5_2_a_publish_that_is_not_authorized_ends_the_connection() {
    let stage = stage().await;
    for first in [0x30, 0x31, 0x32, 0x3B, 0x34, 0x3D] {
        let packet_id: &[u8] = if first & 0x06 == 0 { &[] } else { &[0, 1] };
        let publish = [&text(TOPIC)[..], packet_id, b"{}"].concat();
        assert_eq!(closed(&stage, first, &publish).await, "publish_refused", "{first:#x}");
    }
}

#[tokio::test]
async fn mqtt_3_8_4_6_a_delivery_has_the_qos_that_was_granted() {
    let stage = stage().await;
    let mut peer = stage.connected().await;
    for qos in [0, 1, 0] {
        assert_eq!(peer.subscribe(ALL, qos).await, qos);
        stage.report(qos.into()).await;
        assert_eq!(peer.delivery().await.qos, qos);
    }
}
