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
    peer.leave().await;
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
async fn mqtt_4_3_3_1_mqtt_2_3_1_6_qos_2_is_released_when_it_was_received_and_not_published_again()
{
    let stage = stage().await;
    let (mut peer, _) = stage.resumed("keeper").await;
    assert_eq!(peer.subscribe(ALL, 2).await, 2);
    stage.report(1).await;
    let delivery = peer.delivery().await;
    assert_eq!((delivery.qos, delivery.duplicate), (2, false));
    let id = delivery.packet_id.unwrap().to_be_bytes();
    // Without PUBREC, the PUBLISH comes again.
    drop(peer);
    let (mut peer, _) = stage.resumed("keeper").await;
    assert_eq!(peer.delivery().await, Delivery { duplicate: true, ..delivery.clone() });
    peer.send(0x50, &id).await;
    assert_eq!(peer.receive().await, Some((0x62, id.to_vec())));
    // Without PUBCOMP, the PUBREL comes again, and the PUBLISH no more.
    drop(peer);
    let (mut peer, _) = stage.resumed("keeper").await;
    assert_eq!(peer.receive().await, Some((0x62, id.to_vec())));
    stage.report(2).await;
    let next = peer.delivery().await;
    assert_eq!(next.values, soc(2));
    assert_ne!(next.packet_id, delivery.packet_id, "it is still in use");
    peer.send(0x70, &id).await;
    assert!(peer.is_quiet().await);
    drop(peer);
    let (mut peer, _) = stage.resumed("keeper").await;
    assert_eq!(peer.delivery().await, Delivery { duplicate: true, ..next });
    assert!(peer.is_quiet().await, "what is complete does not come again");
}

#[tokio::test]
async fn mqtt_4_4_0_1_mqtt_4_6_0_4_releases_come_in_the_order_of_their_receipts() {
    let stage = stage().await;
    let (mut peer, _) = stage.resumed("keeper").await;
    peer.subscribe(ALL, 2).await;
    let mut ids = Vec::new();
    for number in 1..=4 {
        stage.report(number).await;
        ids.push(peer.delivery().await.packet_id.unwrap().to_be_bytes());
    }
    let received = [ids[2], ids[0], ids[1]];
    let all: Vec<u8> = received.iter().flat_map(|id| [0x50, 2, id[0], id[1]]).collect();
    peer.send_bytes(&all).await;
    for id in received {
        assert_eq!(peer.receive().await, Some((0x62, id.to_vec())));
    }
    drop(peer);
    let (mut peer, _) = stage.resumed("keeper").await;
    let mut again = Vec::new();
    for _ in 0..4 {
        let (first, body) = peer.receive().await.unwrap();
        again.push((first, if first == 0x62 { body } else { Vec::new() }));
    }
    let expected = received.map(|id| (0x62, id.to_vec())).into_iter().chain([(0x3C, Vec::new())]);
    assert_eq!(again, expected.collect::<Vec<_>>());
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
async fn mqtt_3_3_1_6_8_9_mqtt_3_1_2_7_a_new_subscription_brings_the_last_values_as_retained_and_later_ones_are_not()
 {
    let stage = stage().await;
    stage.report(1).await;
    stage.report(2).await;
    // They outlive the sessions that read them.
    for _ in 0..2 {
        let mut peer = stage.connected().await;
        assert_eq!(peer.subscribe(ALL, 1).await, 1);
        let snapshot = peer.delivery().await;
        assert_eq!((snapshot.topic.as_str(), snapshot.values), (TOPIC, soc(2)));
        assert!(snapshot.retain && !snapshot.duplicate);
        stage.report(2).await;
        let live = peer.delivery().await;
        assert_eq!((live.values, live.retain), (soc(2), false));
        peer.send(0xE0, &[]).await;
        assert_eq!(peer.receive().await, None);
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
    for qos in [0, 1, 2] {
        let mut peer = stage.connected().await;
        assert_eq!(peer.subscribe(ALL, qos).await, qos);
        if qos > 0 {
            assert!(peer.delivery().await.retain);
        }
        stage.report(1).await;
        assert_eq!(peer.delivery().await.qos, qos);
    }
}
