//! 3.3 PUBLISH to 3.7 PUBCOMP.

use cardata_mqtt::Version;

use super::{ALL, TOPIC, ended, stage};
use crate::stream::test_peer::{
    BENS, Delivery, all_properties, packet, property, put_properties, report, soc, subscribe, text,
};
use crate::test_platform::Person;

/// The body of a PUBLISH from a client; it has no packet identifier with QoS 0.
fn publish(topic: &str, packet_id: Option<u16>, properties: &[u8]) -> Vec<u8> {
    let mut body = text(topic);
    body.extend(packet_id.map(u16::to_be_bytes).iter().flatten());
    put_properties(properties, &mut body);
    body.extend(b"{}");
    body
}

/// What a PUBACK or PUBREC has that refuses a message.
fn refusal(packet_id: u16) -> Vec<u8> {
    let why = [&[0x1F][..], &text("this service takes no messages from clients")].concat();
    let mut body = [&packet_id.to_be_bytes()[..], &[0x87]].concat();
    put_properties(&why, &mut body);
    body
}

#[tokio::test]
async fn mqtt_3_3_1_1_3_mqtt_4_4_0_1_mqtt_4_6_0_5_what_is_sent_again_says_so_and_keeps_identifier_and_order()
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
async fn mqtt_3_3_1_4_a_publish_is_not_of_qos_3() {
    let stage = stage().await;
    for flags in [0x6, 0x7, 0xE, 0xF] {
        assert_eq!(ended(&stage, 0x30 | flags, &publish(TOPIC, Some(1), &[])).await, 0x81);
    }
}

#[tokio::test]
async fn mqtt_3_3_1_9_10_11_mqtt_3_8_4_4_the_last_values_come_as_retain_handling_says() {
    let stage = stage().await;
    stage.report(7).await;
    let mut peer = stage.connected().await;
    // By retain handling: whether they come for a new subscription, and for one that is there.
    for (handling, for_new, for_known) in [(0, true, true), (1, true, false), (2, false, false)] {
        for expected in [for_new, for_known] {
            assert_eq!(peer.subscribe(ALL, handling << 4).await, 0);
            if expected {
                let snapshot = peer.delivery().await;
                assert_eq!((snapshot.values, snapshot.retain), (soc(7), true), "{handling}");
            }
            assert!(peer.is_quiet().await, "{handling}");
        }
        peer.unsubscribe(&[ALL]).await;
    }
}

#[tokio::test]
async fn mqtt_3_3_1_12_13_messages_of_vehicles_are_not_retained_ones_and_are_forwarded_so() {
    let stage = stage().await;
    let mut peer = stage.connected().await;
    for retain_as_published in [0x00, 0x08] {
        assert_eq!(peer.subscribe(ALL, 0x20 | retain_as_published).await, 0);
        stage.report(1).await;
        assert!(!peer.delivery().await.retain);
    }
}

#[tokio::test]
async fn mqtt_3_3_2_1_2_mqtt_4_7_0_1_mqtt_4_7_3_1_a_topic_name_comes_first_and_has_no_wildcards() {
    let stage = stage().await;
    let mut peer = stage.connected().await;
    peer.subscribe(ALL, 0).await;
    stage.report(1).await;
    assert_eq!(peer.delivery().await.topic, TOPIC);
    // A client's PUBLISH is held to the same, though it is not taken anyhow.
    assert_eq!(ended(&stage, 0x30, &publish("a/b", None, &[])).await, 0x87);
    for topic in ["", "#", "+", "a/#", "a/+/b", "a+"] {
        assert_eq!(ended(&stage, 0x30, &publish(topic, None, &[])).await, 0x82, "{topic}");
    }
    for body in [&b""[..], b"\0", b"\0\x03ab", b"\0\x02\xC3\x28\0", b"\0\x01a"] {
        assert_eq!(ended(&stage, 0x30, body).await, 0x81, "{body:?}");
    }
}

#[tokio::test]
async fn mqtt_3_3_2_3_the_topic_of_a_delivery_matches_the_filter() {
    let stage = stage().await;
    let anna = Person::Anna.gcid();
    for filter in [TOPIC, ALL, &format!("{anna}/#"), &format!("{TOPIC}/#")] {
        let mut peer = stage.connected().await;
        assert_eq!(peer.subscribe(filter, 0x20).await, 0, "{filter}");
        report(&stage.world, BENS, 1).await;
        stage.report(2).await;
        let delivery = peer.delivery().await;
        assert_eq!((delivery.topic.as_str(), delivery.values), (TOPIC, soc(2)), "{filter}");
    }
}

#[tokio::test]
async fn mqtt_3_3_2_7_a_topic_alias_does_not_outlive_its_connection() {
    let stage = stage().await;
    let connect = stage.connect().property(0x11, &[0, 0, 1, 0]).property(0x22, &[0, 5]);
    let connect = connect.client_id("keeper").clean(false);
    for number in 1..=2 {
        let (mut peer, _) = stage.accepted(&connect).await;
        peer.subscribe(ALL, 0x20).await;
        // Both times, the first message says what the alias stands for.
        for topic in [TOPIC, ""] {
            stage.report(number).await;
            let delivery = peer.delivery().await;
            assert_eq!(delivery.topic, topic);
            assert_eq!(property(&delivery.properties, 0x23), Some(vec![0, 1]));
        }
    }
}

#[tokio::test]
async fn mqtt_3_3_2_9_12_the_server_takes_no_topic_aliases_and_says_so() {
    let stage = stage().await;
    let (_, connack) = stage.accepted(&stage.connect()).await;
    assert_eq!(property(&connack.properties, 0x22), None, "no Topic Alias Maximum");
    for (topic, alias) in [("a/b", 0), ("a/b", 1), ("", 1), ("a/b", 255)] {
        let body = publish(topic, Some(1), &[0x23, 0, alias]);
        assert_eq!(ended(&stage, 0x32, &body).await, 0x94, "{topic} {alias}");
    }
}

#[tokio::test]
async fn mqtt_3_3_2_13_14_19_response_topic_and_content_type_have_their_form() {
    let stage = stage().await;
    let with = |identifier: u8, value: &[u8]| {
        let length = u16::try_from(value.len()).unwrap().to_be_bytes();
        publish("a/b", None, &[&[identifier][..], &length, value].concat())
    };
    assert_eq!(ended(&stage, 0x30, &with(0x08, b"a/b")).await, 0x87);
    for topic in [&b"#"[..], b"+", b"a/#", b""] {
        assert_eq!(ended(&stage, 0x30, &with(0x08, topic)).await, 0x82);
    }
    assert_eq!(ended(&stage, 0x30, &with(0x08, b"a\xFF")).await, 0x81);
    assert_eq!(ended(&stage, 0x30, &with(0x03, b"text/plain")).await, 0x87);
    assert_eq!(ended(&stage, 0x30, &with(0x03, b"text\xFF")).await, 0x81);
}

#[tokio::test]
async fn mqtt_3_3_4_1_mqtt_3_4_2_1_3_mqtt_3_5_2_1_3_mqtt_4_3_3_9_a_publish_is_answered_as_its_qos_says()
 {
    let stage = stage().await;
    let mut peer = stage.connected().await;
    // Not authorized, with a reason string and no user property. The identifier is free again at once.
    for _ in 0..2 {
        for (message, answer) in [(0x32, 0x40), (0x34, 0x50)] {
            peer.send(message, &publish(TOPIC, Some(7), &[])).await;
            assert_eq!(peer.receive().await, Some((answer, refusal(7))));
        }
    }
    // QoS 0 has no answer but the end.
    assert_eq!(
        stage.ended_on(&mut peer, 0x30, &publish(TOPIC, None, &[])).await.farewell.unwrap().code,
        0x87
    );
}

#[tokio::test]
async fn mqtt_3_3_4_1_as_many_messages_as_a_client_likes_are_refused_in_order() {
    const MESSAGES: u16 = 500;
    let stage = stage().await;
    let (mut peer, connack) = stage.accepted(&stage.connect()).await;
    // Receive Maximum: 65,535 is what holds without one (§3.2.2.3.3).
    assert_eq!(property(&connack.properties, 0x21), None);
    let of_number =
        |number: u16| if number.is_multiple_of(2) { (0x32, 0x40) } else { (0x34, 0x50) };
    let messages = (1..=MESSAGES)
        .flat_map(|number| packet(of_number(number).0, &publish(TOPIC, Some(number), &[])));
    peer.send_bytes(&messages.collect::<Vec<_>>()).await;
    for number in 1..=MESSAGES {
        assert_eq!(peer.receive().await, Some((of_number(number).1, refusal(number))));
    }
    assert!(peer.is_quiet().await);
}

#[tokio::test]
async fn mqtt_3_3_4_2_overlapping_subscriptions_deliver_with_the_highest_qos() {
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
async fn mqtt_3_3_4_3_4_a_delivery_has_the_identifiers_of_all_subscriptions_that_match() {
    let stage = stage().await;
    let mut peer = stage.connected().await;
    let hash = format!("{}/#", Person::Anna.gcid());
    for (packet_id, identifier, filter) in
        [(1, &[0x0B, 0x01][..], ALL), (2, &[0x0B, 0xFF, 0xFF, 0xFF, 0x7F], TOPIC), (3, &[], &hash)]
    {
        let body = subscribe(Version::V5, packet_id, identifier, &[(filter, 0)]);
        peer.send(0x82, &body).await;
        assert_eq!(peer.answer(0x90, packet_id).await, [0]);
    }
    stage.report(1).await;
    let delivery = peer.delivery().await;
    let identifiers = all_properties(&delivery.properties, 0x0B);
    assert_eq!(identifiers, [vec![0x01], vec![0xFF, 0xFF, 0xFF, 0x7F]]);
    assert!(peer.is_quiet().await, "one copy is sent");
    // A new one takes an old one's place.
    peer.send(0x82, &subscribe(Version::V5, 4, &[0x0B, 9], &[(ALL, 0x20)])).await;
    assert_eq!(peer.answer(0x90, 4).await, [0]);
    stage.report(2).await;
    let identifiers = all_properties(&peer.delivery().await.properties, 0x0B);
    assert_eq!(identifiers, [vec![9], vec![0xFF, 0xFF, 0xFF, 0x7F]]);
}

#[tokio::test]
async fn mqtt_3_3_4_6_a_publish_from_a_client_has_no_subscription_identifier() {
    let stage = stage().await;
    assert_eq!(ended(&stage, 0x30, &publish(TOPIC, None, &[0x0B, 1])).await, 0x82);
}

#[tokio::test]
async fn mqtt_3_3_4_9_10_mqtt_4_9_0_1_2_3_no_more_is_sent_than_the_receive_maximum_but_all_else_is_answered()
 {
    let stage = stage().await;
    for qos in [1, 2] {
        let connect = stage.connect().property(0x21, &[0, 4]);
        let (mut peer, _) = stage.accepted(&connect).await;
        peer.subscribe(ALL, 0x20 | qos).await;
        for number in 1..=8 {
            stage.report(number).await;
        }
        let mut waiting = Vec::new();
        for number in 1..=4 {
            let delivery = peer.delivery().await;
            assert_eq!(delivery.values, soc(number));
            waiting.push(delivery.packet_id.unwrap().to_be_bytes());
        }
        assert!(peer.is_quiet().await, "four are under way, and a PINGREQ is answered");
        assert_eq!(peer.subscribe("#", 0).await, 0x87);
        assert_eq!(peer.unsubscribe(&["#"]).await, [0x11]);
        // Those that are complete make room for others; those that were only received, for none.
        if qos == 2 {
            for id in &waiting[..2] {
                peer.send(0x50, id).await;
                assert_eq!(peer.receive().await, Some((0x62, id.to_vec())));
            }
            assert!(peer.is_quiet().await);
        }
        for id in &waiting[..2] {
            peer.send(if qos == 1 { 0x40 } else { 0x70 }, id).await;
        }
        assert_eq!([peer.values().await, peer.values().await], [soc(5), soc(6)]);
        assert!(peer.is_quiet().await);
        // Those that the client refuses make room as well.
        for id in &waiting[2..] {
            let refusal = [&id[..], &[0x97]].concat();
            peer.send(if qos == 1 { 0x40 } else { 0x50 }, &refusal).await;
        }
        assert_eq!([peer.values().await, peer.values().await], [soc(7), soc(8)]);
        assert!(peer.is_quiet().await);
    }
}

#[tokio::test]
async fn mqtt_3_6_2_1_2_3_mqtt_3_7_2_1_2_3_mqtt_2_2_1_5_mqtt_4_3_3_11_releases_and_completions_have_identifier_and_code()
 {
    let stage = stage().await;
    let mut peer = stage.connected().await;
    peer.subscribe(ALL, 2).await;
    stage.report(1).await;
    let id = peer.delivery().await.packet_id.unwrap().to_be_bytes();
    peer.send(0x50, &id).await;
    assert_eq!(peer.receive().await, Some((0x62, id.to_vec())), "success needs no code");
    peer.send(0x70, &id).await;
    // What is not known is said to be so, without reason string or user property.
    peer.send(0x50, &[0x12, 0x34]).await;
    assert_eq!(peer.receive().await, Some((0x62, vec![0x12, 0x34, 0x92])));
    peer.send(0x62, &[0x12, 0x34]).await;
    assert_eq!(peer.receive().await, Some((0x70, vec![0x12, 0x34, 0x92])));
    assert!(peer.is_quiet().await);
}

#[tokio::test]
async fn mqtt_3_4_2_1_mqtt_3_5_2_1_mqtt_3_6_2_1_mqtt_3_7_2_1_an_acknowledgement_has_a_code_that_it_may_have()
 {
    let stage = stage().await;
    let published = [0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99];
    let released = [0x00, 0x92];
    for (first, good) in
        [(0x40, &published[..]), (0x50, &published), (0x62, &released), (0x70, &released)]
    {
        let mut peer = stage.connected().await;
        for code in good {
            peer.send(first, &[0, 1, *code]).await;
        }
        peer.send(0xC0, &[]).await;
        while peer.receive().await.expect("the connection lasts").0 != 0xD0 {}
        for code in (0..=0xFF_u8).filter(|code| !good.contains(code)) {
            assert_eq!(ended(&stage, first, &[0, 1, code]).await, 0x82, "{first:#x} {code:#x}");
        }
    }
}

#[tokio::test]
async fn mqtt_4_3_3_1_2_3_4_5_6_qos_2_is_released_when_it_was_received_and_not_published_again() {
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
    assert_ne!(next.packet_id, delivery.packet_id, "it is still in use");
    peer.send(0x70, &id).await;
    assert!(peer.is_quiet().await);
    drop(peer);
    let (mut peer, _) = stage.resumed("keeper").await;
    assert_eq!(peer.delivery().await, Delivery { duplicate: true, ..next });
    assert!(peer.is_quiet().await, "what is complete does not come again");
}

#[tokio::test]
async fn mqtt_4_4_0_2_mqtt_4_3_3_4_what_a_client_refuses_is_not_sent_again_nor_released() {
    let stage = stage().await;
    for (qos, first) in [(1, 0x40), (2, 0x50)] {
        let (mut peer, _) = stage.resumed("keeper").await;
        peer.subscribe(ALL, 0x20 | qos).await;
        stage.report(1).await;
        let refused = peer.delivery().await;
        let id = refused.packet_id.unwrap().to_be_bytes();
        peer.send(first, &[&id[..], &[0x80]].concat()).await;
        assert!(peer.is_quiet().await, "no PUBREL follows");
        drop(peer);
        let (mut peer, _) = stage.resumed("keeper").await;
        assert!(peer.is_quiet().await);
    }
}
