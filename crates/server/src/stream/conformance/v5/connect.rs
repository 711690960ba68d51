//! 3.1 CONNECT.

use std::time::Duration;

use cardata_mqtt::Version;
use tokio::time::Instant;

use super::{ALL, TOPIC, ended, refused, stage};
use crate::stream::test_peer::{
    Connect, Delivery, Peer, Will, id_token, property, soc, subscribe, take_properties, text,
};
use crate::test_platform::Person;

/// A Will that is as good as any.
fn will() -> Will {
    Will {
        qos: 1,
        retain: true,
        properties: vec![0x18, 0, 0, 0, 0],
        topic: "anna/is/gone".to_owned(),
        payload: "bye".to_owned(),
    }
}

/// The body of `connect` with other flags.
fn with_flags(connect: &Connect, change: impl Fn(u8) -> u8) -> Vec<u8> {
    let mut body = connect.body();
    body[7] = change(body[7]);
    body
}

#[tokio::test]
async fn mqtt_3_1_0_1_the_first_packet_is_a_connect() {
    let stage = stage().await;
    let others: [(u8, &[u8]); 8] = [
        (0x30, b"\0\x01t\0"),
        (0x40, &[0, 1]),
        (0x82, b"\0\x01\0\0\x01#\0"),
        (0xA2, b"\0\x01\0\0\x01#"),
        (0xC0, &[]),
        (0xE0, &[]),
        (0x20, &[0, 0, 0]),
        (0xF0, &[0x19, 0]),
    ];
    for (first, body) in others {
        // Nobody knows which version to answer in.
        let refused = stage.refused_as(first, body).await;
        assert_eq!((refused.reason.as_str(), refused.connack), ("protocol_error", None));
    }
}

#[tokio::test]
async fn mqtt_3_1_0_2_mqtt_3_2_0_2_a_second_connect_is_a_protocol_error() {
    let stage = stage().await;
    let connect = stage.connect();
    for second in [connect.clone(), connect.clone().client_id("other"), connect.client_id("")] {
        assert_eq!(ended(&stage, 0x10, &second.body()).await, 0x82);
    }
    assert_eq!(ended(&stage, 0x10, b"\0\x04MQTT\x09").await, 0x82);
}

#[tokio::test]
async fn mqtt_3_1_2_1_another_protocol_is_closed() {
    let stage = stage().await;
    let good = stage.connect().body();
    for name in [&b"HTTP"[..], b"mqtt", b"MQTt", b"MQT", b"MQTTT", b""] {
        let length = u16::try_from(name.len()).unwrap().to_be_bytes();
        let refused = stage.refused(&[&length, name, &good[6..]].concat()).await;
        assert_eq!((refused.reason.as_str(), refused.connack), ("malformed_packet", None));
    }
}

#[tokio::test]
async fn mqtt_3_1_2_2_another_version_is_told_so_and_closed() {
    let stage = stage().await;
    for level in [0, 1, 2, 3, 6, 0x85, 255] {
        let mut body = stage.connect().body();
        body[6] = level;
        // In the words of 3.1.1, which those who speak neither are most likely to know.
        let mut peer = Peer::open(&stage.world);
        peer.send(0x10, &body).await;
        assert_eq!(peer.receive().await, Some((0x20, vec![0, 1])), "{level}");
        assert_eq!(peer.receive().await, None);
    }
}

#[tokio::test]
async fn mqtt_3_1_2_3_the_reserved_flag_is_0() {
    let stage = stage().await;
    let connect = stage.connect();
    assert_eq!(stage.verdict(0x10, &with_flags(&connect, |flags| flags)).await, None);
    assert_eq!(refused(&stage, &with_flags(&connect, |flags| flags | 1)).await, 0x81);
}

#[tokio::test]
async fn mqtt_3_1_2_4_mqtt_3_1_4_4_mqtt_3_2_2_2_a_clean_start_discards_the_session_and_begins_another()
 {
    let stage = stage().await;
    let (mut peer, _) = stage.resumed("keeper").await;
    peer.subscribe(ALL, 1).await;
    stage.report(1).await;
    peer.delivery().await;
    drop(peer);

    let clean = stage.connect().client_id("keeper").property(0x11, &[0, 0, 1, 0]);
    let (mut peer, connack) = stage.accepted(&clean).await;
    assert_eq!((connack.flags, connack.code), (0, 0));
    stage.report(2).await;
    assert!(peer.is_quiet().await, "the subscription is gone");
    drop(peer);
    // The one that began is kept.
    assert!(stage.resumed("keeper").await.1);
}

#[tokio::test]
async fn mqtt_3_1_2_5_6_23_mqtt_3_1_4_4_mqtt_3_2_2_3_mqtt_4_1_0_1_without_a_clean_start_a_session_goes_on_or_begins()
 {
    let stage = stage().await;
    let (mut peer, present) = stage.resumed("keeper").await;
    assert!(!present, "there was none");
    peer.subscribe(ALL, 1).await;
    peer.send(0xE0, &[]).await;
    assert_eq!(peer.receive().await, None);
    stage.report(1).await;
    let (mut peer, present) = stage.resumed("keeper").await;
    assert!(present);
    assert_eq!(peer.values().await, soc(1));
}

#[tokio::test]
async fn mqtt_3_1_2_9_11_12_13_the_will_is_there_whole_or_not_at_all() {
    let stage = stage().await;
    let without = stage.connect();
    let with = Connect { will: Some(will()), ..without.clone() };
    assert_eq!(stage.verdict(0x10, &with.body()).await, None);
    // The flag, but no Will; and a Will, but no flag.
    assert_eq!(refused(&stage, &with_flags(&without, |flags| flags | 0x04)).await, 0x81);
    assert_eq!(refused(&stage, &with_flags(&with, |flags| flags & !0x3C)).await, 0x81);
    // No Will, but its QoS or Retain.
    for flag in [0x08, 0x10, 0x20] {
        let body = with_flags(&without, |flags| flags | flag);
        assert_eq!(refused(&stage, &body).await, 0x81, "{flag:#x}");
    }
    for (qos, is_good) in [(0, true), (1, true), (2, true), (3, false)] {
        let connect = Connect { will: Some(Will { qos, ..will() }), ..without.clone() };
        let verdict = stage.verdict(0x10, &connect.body()).await;
        assert_eq!(verdict, (!is_good).then(|| "malformed_packet".to_owned()), "{qos}");
    }
}

#[tokio::test]
async fn mqtt_3_1_3_9_mqtt_3_14_4_3_a_will_is_taken_and_never_published() {
    let stage = stage().await;
    let (mut bystander, _) = stage.resumed("bystander").await;
    bystander.subscribe(ALL, 0).await;
    let will = Will { topic: TOPIC.to_owned(), payload: "{}".to_owned(), ..will() };
    let connect = Connect { will: Some(will), ..stage.connect() };
    let good_bye = stage.accepted(&connect).await.0;
    good_bye.leave().await;
    let gone = stage.accepted(&connect).await.0;
    drop(gone);
    // The next connection of that client waits until the last one is over.
    stage.connected().await;
    assert!(bystander.is_quiet().await);
}

#[tokio::test]
async fn mqtt_3_1_2_16_17_18_19_user_name_and_password_are_there_as_the_flags_say() {
    let stage = stage().await;
    let connect = stage.connect();
    // One flag less than there are fields, and one field less than there are flags.
    for flag in [0x80, 0x40] {
        let body = with_flags(&connect, |flags| flags & !flag);
        assert_eq!(refused(&stage, &body).await, 0x81, "without {flag:#x}");
    }
    let user_name_only = Connect { password: None, ..connect.clone() };
    let none = Connect { user_name: None, ..user_name_only.clone() };
    for fewer in [user_name_only, none.clone()] {
        assert_eq!(refused(&stage, &with_flags(&fewer, |flags| flags | 0xC0)).await, 0x81);
    }
    // MQTT 5 permits a password without a user name; this service then does not know whose it is.
    let password_only = Connect { user_name: None, ..connect };
    assert_eq!(refused(&stage, &password_only.body()).await, 0x87);
    assert_eq!(refused(&stage, &none.body()).await, 0x86);
}

#[tokio::test]
async fn mqtt_3_1_2_22_mqtt_3_2_2_22_a_silent_client_is_disconnected_after_one_and_a_half_keep_alive_times()
 {
    let stage = stage().await;
    let connect = Connect { keep_alive: 10, ..stage.connect() };
    let (mut peer, connack) = stage.accepted(&connect).await;
    assert_eq!(property(&connack.properties, 0x13), None, "the client's own counts");
    // From here on, time passes when everybody waits for it.
    tokio::time::pause();
    for _ in 0..3 {
        tokio::time::advance(Duration::from_millis(14_900)).await;
        assert!(peer.is_quiet().await);
    }
    let silent_since = Instant::now();
    assert_eq!(peer.farewell().await.unwrap().code, 0x8D);
    let silence = silent_since.elapsed();
    assert!((15_000..15_100).contains(&silence.as_millis()), "{silence:?}");
}

#[tokio::test]
async fn mqtt_3_1_2_24_25_a_message_that_is_too_large_is_not_sent_and_counts_as_delivered() {
    let stage = stage().await;
    // As large as the message is, and one byte less.
    let mut peer = stage.connected().await;
    peer.subscribe(ALL, 1).await;
    stage.report(10).await;
    let (_, body) = peer.receive().await.unwrap();
    let size = 1 + if body.len() < 128 { 1 } else { 2 } + body.len();
    drop(peer);

    for (size_max, is_sent) in [(size, true), (size - 1, false)] {
        let size_max = u32::try_from(size_max).unwrap().to_be_bytes();
        let connect = stage.connect().client_id("keeper").clean(false);
        let limited = connect.property(0x11, &[0, 0, 1, 0]).property(0x27, &size_max);
        let (mut peer, _) = stage.accepted(&limited).await;
        peer.subscribe(ALL, 0x21).await;
        stage.report(10).await;
        if is_sent {
            let delivery = peer.delivery().await;
            peer.ack(&delivery).await;
        }
        assert!(peer.is_quiet().await);
        drop(peer);
        // Neither does it come again when there would be room.
        let (mut peer, _) = stage.resumed("keeper").await;
        assert!(peer.is_quiet().await);
    }
}

#[tokio::test]
async fn mqtt_3_1_2_24_mqtt_3_2_2_19_mqtt_3_4_2_2_mqtt_3_5_2_2_mqtt_3_9_2_1_mqtt_3_14_2_3_no_packet_is_larger_than_the_client_takes()
 {
    let stage = stage().await;
    let size = |(_, body): &(u8, Vec<u8>)| 1 + if body.len() < 128 { 1 } else { 2 } + body.len();
    let mut sent = Vec::new();
    for size_max in 1..=200_u32 {
        let limit = |connect: Connect| connect.property(0x27, &size_max.to_be_bytes());
        let wrong = Connect { password: Some("wrong".to_owned()), ..stage.connect() };
        for connect in [limit(stage.connect()), limit(wrong)] {
            let mut peer = Peer::open(&stage.world);
            peer.send(0x10, &connect.body()).await;
            for publish in [0x32, 0x34] {
                peer.send(publish, &[&text(TOPIC)[..], b"\0\x03\0{}"].concat()).await;
            }
            peer.send(0x82, &subscribe(Version::V5, 1, &[], &[("#", 0); 50])).await;
            peer.send(0xC0, b"not a PINGREQ").await;
            while let Some(packet) = peer.receive().await {
                assert!(size(&packet) <= size_max as usize, "{size_max}: {packet:?}");
                sent.push((size_max, packet));
            }
        }
    }
    // With room for it, an answer has its reason; with a byte less, it comes without.
    let of = |first, at: u32| {
        sent.iter()
            .filter(|(size_max, packet)| *size_max == at && packet.0 == first)
            .collect::<Vec<_>>()
    };
    let (good, bad) = (of(0x20, 200)[0], of(0x20, 200)[1]);
    assert_eq!((good.1.1[1], bad.1.1[1]), (0, 0x86));
    assert!(bad.1.1.len() > 10 && of(0x20, 5).iter().any(|(_, packet)| packet.1 == [0, 0x86, 0]));
    for (first, bare) in [(0x40, 3), (0x50, 3), (0x90, 2 + 1 + 50)] {
        let (_, whole) = of(first, 200)[0];
        let room = u32::try_from(size(whole)).unwrap();
        assert_eq!(of(first, room)[0].1, *whole);
        assert_eq!(of(first, room - 1)[0].1.1.len(), bare);
    }
    assert!(of(0x90, 54).is_empty());
    assert!(of(0xE0, 200)[0].1.1.len() > 10);
    assert_eq!(of(0xE0, 60).len(), 1);
}

#[tokio::test]
async fn mqtt_3_1_2_26_27_mqtt_3_3_2_8_11_topic_aliases_are_sent_up_to_the_clients_maximum() {
    let stage = stage().await;
    for maximum in [None, Some(0_u16), Some(1), Some(10)] {
        let connect = maximum.map_or(stage.connect(), |maximum| {
            stage.connect().property(0x22, &maximum.to_be_bytes())
        });
        let (mut peer, _) = stage.accepted(&connect).await;
        peer.subscribe(ALL, 0x20).await;
        for number in 0..3 {
            stage.report(number).await;
            let Delivery { topic, properties, .. } = peer.delivery().await;
            let alias = property(&properties, 0x23);
            if maximum.unwrap_or(0) == 0 {
                assert_eq!((topic.as_str(), alias), (TOPIC, None));
            } else {
                // The first message tells what it stands for.
                let expected = if number == 0 { TOPIC } else { "" };
                assert_eq!((topic.as_str(), alias), (expected, Some(vec![0, 1])));
            }
        }
    }
}

#[tokio::test]
async fn mqtt_3_1_2_28_no_response_information_is_returned() {
    let stage = stage().await;
    for wanted in [None, Some(0), Some(1)] {
        let connect =
            wanted.map_or(stage.connect(), |wanted| stage.connect().property(0x19, &[wanted]));
        let (_, connack) = stage.accepted(&connect).await;
        assert_eq!(property(&connack.properties, 0x1A), None);
    }
}

#[tokio::test]
async fn mqtt_3_1_2_29_without_problem_information_no_answer_has_a_reason() {
    let stage = stage().await;
    // Those who want reasons, or say nothing of it, get some.
    for (asked, said) in [(Some(0), false), (Some(1), true), (None, true)] {
        let connect = match asked {
            Some(asked) => stage.connect().property(0x17, &[asked]),
            None => stage.connect(),
        };
        let (mut peer, _) = stage.accepted(&connect).await;
        // Without, each answer has exactly the bytes that it must have.
        peer.send(0x82, &subscribe(Version::V5, 1, &[], &[("#", 0), (ALL, 2)])).await;
        let (first, body) = peer.receive().await.unwrap();
        assert!(first == 0x90 && body.starts_with(&[0, 1]) && body.ends_with(&[0x87, 2]));
        let why = property(&take_properties(&mut &body[2..]), 0x1F);
        assert_eq!((why.is_some(), body.len() > 5), (said, said), "{body:?}");
        peer.send(0xA2, &[&b"\0\x02\0"[..], &text("#")].concat()).await;
        assert_eq!(peer.receive().await, Some((0xB0, vec![0, 2, 0, 0x11])));
        for (publish, answer) in [(0x32, 0x40), (0x34, 0x50)] {
            peer.send(publish, &[&text(TOPIC)[..], b"\0\x03\0{}"].concat()).await;
            let (first, body) = peer.receive().await.unwrap();
            assert!(first == answer && body.starts_with(&[0, 3, 0x87]), "{body:?}");
            assert_eq!(body.len() > 3, said, "{body:?}");
        }
    }
    let (mut peer, _) = stage.accepted(&stage.connect().property(0x17, &[0])).await;
    peer.subscribe(ALL, 2).await;
    stage.report(1).await;
    let delivery = peer.delivery().await;
    assert_eq!(delivery.properties, b"");
    let id = delivery.packet_id.unwrap().to_be_bytes();
    peer.send(0x50, &id).await;
    assert_eq!(peer.receive().await, Some((0x62, id.to_vec())));
    peer.send(0x62, &[0, 9]).await;
    assert_eq!(peer.receive().await, Some((0x70, vec![0, 9, 0x92])));
}

#[tokio::test]
async fn mqtt_3_1_3_1_3_the_fields_come_in_their_order_and_the_client_identifier_is_there() {
    let stage = stage().await;
    let connect = Connect { will: Some(will()), ..stage.connect() };
    assert_eq!(stage.verdict(0x10, &connect.body()).await, None);
    // In another order, none of them is what it should be.
    let mut body = stage.connect().body()[..11].to_vec();
    for field in [&Person::Anna.gcid().to_string(), &stage.token, "peer"] {
        body.extend(text(field));
    }
    assert_eq!(refused(&stage, &body).await, 0x86);
    let nothing = with_flags(&stage.connect(), |_| 0x02)[..11].to_vec();
    assert_eq!(refused(&stage, &nothing).await, 0x81);
}

#[tokio::test]
async fn mqtt_3_1_3_2_a_session_is_known_by_its_client_identifier() {
    let stage = stage().await;
    for (client_id, present) in
        [("one", false), ("two", false), ("One", false), ("one", true), ("two", true)]
    {
        assert_eq!(stage.resumed(client_id).await.1, present, "{client_id}");
    }
    // Another customer's client of that name is another client.
    let token = id_token(&stage.world, Person::Ben).await;
    let bens = Connect::new(Version::V5, Person::Ben, &token).client_id("one").clean(false);
    assert_eq!(stage.accepted(&bens).await.1.flags, 0);
}

#[tokio::test]
async fn mqtt_3_1_3_4_11_12_client_identifier_will_topic_and_user_name_are_utf_8() {
    let stage = stage().await;
    let connect = Connect { will: Some(will()), ..stage.connect() };
    for field in ["peer", "anna/is/gone", &Person::Anna.gcid().to_string()] {
        let mut body = connect.body();
        let at = body.windows(field.len()).position(|window| window == field.as_bytes()).unwrap();
        body[at] = 0xFF;
        assert_eq!(refused(&stage, &body).await, 0x81, "{field}");
    }
}

#[tokio::test]
async fn mqtt_3_1_3_5_client_identifiers_of_up_to_23_letters_and_digits_are_allowed() {
    let stage = stage().await;
    let all = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    for start in 0..all.len() {
        let end = (start + 23).min(all.len());
        for client_id in [&all[start..=start], &all[start..end]] {
            let (_, connack) = stage.accepted(&stage.connect().client_id(client_id)).await;
            assert_eq!(property(&connack.properties, 0x12), None, "it is its own");
        }
    }
}

#[tokio::test]
async fn mqtt_3_1_3_6_7_mqtt_3_2_2_16_a_client_without_identifier_gets_one_of_its_own_and_is_told()
{
    let stage = stage().await;
    let mut assigned = Vec::new();
    for clean in [true, false, true] {
        let connect = stage.connect().client_id("").clean(clean).property(0x11, &[0, 0, 1, 0]);
        let (mut peer, connack) = stage.accepted(&connect).await;
        assert_eq!(connack.flags, 0);
        let client_id = property(&connack.properties, 0x12).expect("it is told");
        let client_id = String::from_utf8(client_id[2..].to_vec()).unwrap();
        assert!(!client_id.is_empty() && !assigned.contains(&client_id), "{client_id}");
        peer.subscribe(ALL, 1).await;
        assigned.push(client_id);
    }
    // It is as good as one that the client chose.
    for client_id in assigned {
        assert!(stage.resumed(&client_id).await.1, "{client_id}");
    }
}

#[tokio::test]
async fn mqtt_3_1_3_8_a_client_identifier_that_is_too_long_is_rejected() {
    let stage = stage().await;
    stage.accepted(&stage.connect().client_id(&"x".repeat(256))).await;
    let connect = stage.connect().client_id(&"x".repeat(257));
    assert_eq!(refused(&stage, &connect.body()).await, 0x85);
}

#[tokio::test]
async fn mqtt_3_1_4_1_a_connect_of_another_form_is_malformed() {
    let stage = stage().await;
    let good = stage.connect().body();
    for length in 0..good.len() {
        let refused = stage.refused(&good[..length]).await;
        assert_eq!(refused.reason, "malformed_packet", "{length}");
        // Without its version, there is no form to answer in.
        assert_eq!(refused.connack.map(|connack| connack.code), (length > 6).then_some(0x81));
    }
    assert_eq!(refused(&stage, &[&good[..], b"x"].concat()).await, 0x81);
    let large = Connect { password: Some("x".repeat(17_000)), ..stage.connect() };
    assert_eq!(refused(&stage, &large.body()).await, 0x95);
}

#[tokio::test]
async fn mqtt_3_1_4_1_mqtt_4_13_1_1_properties_of_a_connect_have_values_that_may_be() {
    let stage = stage().await;
    let auth_data_alone = [&[0x16][..], &text("token")].concat();
    let wrong: [&[u8]; 7] = [
        &[0x21, 0, 0],
        &[0x27, 0, 0, 0, 0],
        &[0x17, 2],
        &[0x19, 2],
        &auth_data_alone,
        &[0x17, 1, 0x17, 0],
        &[0x22, 0, 1, 0x22, 0, 1],
    ];
    for properties in wrong {
        let connect = Connect { properties: properties.to_vec(), ..stage.connect() };
        assert_eq!(refused(&stage, &connect.body()).await, 0x82, "{properties:?}");
    }
    for properties in [&[0x01, 2][..], &[0x08, 0, 1, b'#'], &[0x08, 0, 0]] {
        let will = Will { properties: properties.to_vec(), ..will() };
        let connect = Connect { will: Some(will), ..stage.connect() };
        assert_eq!(refused(&stage, &connect.body()).await, 0x82, "{properties:?}");
    }
}

#[tokio::test]
async fn mqtt_3_1_4_2_mqtt_3_2_2_6_7_mqtt_4_13_2_1_a_connect_that_is_not_allowed_is_refused_and_the_end()
 {
    let stage = stage().await;
    let (kept, _) = stage.resumed("keeper").await;
    drop(kept);
    let connect = stage.connect().client_id("keeper").clean(false);
    let wrong = Connect { password: Some("wrong".to_owned()), ..connect.clone() };
    let bens = Connect { user_name: Some(Person::Ben.gcid().to_string()), ..connect };
    // `refused` sees that there is no session, that nothing follows, and that there is a reason.
    for (connect, code) in [(wrong, 0x86), (bens, 0x87)] {
        assert_eq!(refused(&stage, &connect.body()).await, code);
    }
}

#[tokio::test]
async fn mqtt_3_1_4_3_an_older_connection_of_the_client_is_told_and_ended() {
    let stage = stage().await;
    let mut older = stage.connected().await;
    let mut newer = stage.connected().await;
    assert_eq!(older.farewell().await.unwrap().code, 0x8E);
    assert!(newer.is_quiet().await);
}

#[tokio::test]
async fn mqtt_3_1_4_5_mqtt_3_2_0_1_mqtt_3_2_2_1_a_good_connect_is_acknowledged_before_anything_else()
 {
    let stage = stage().await;
    let mut peer = Peer::open(&stage.world);
    // A client need not wait for it.
    peer.send(0x10, &stage.connect().body()).await;
    peer.send(0x82, &subscribe(Version::V5, 1, &[], &[(ALL, 0)])).await;
    peer.send(0xC0, &[]).await;
    let (first, body) = peer.receive().await.unwrap();
    assert_eq!((first, &body[..2]), (0x20, &[0, 0][..]));
    for expected in [0x90, 0xD0] {
        assert_eq!(peer.receive().await.unwrap().0, expected);
    }
    // The flags of a session that goes on have no more than their one bit either.
    drop(stage.resumed("keeper").await);
    let connect = stage.connect().client_id("keeper").clean(false);
    assert_eq!(stage.accepted(&connect).await.1.flags, 1);
}

#[tokio::test]
async fn mqtt_3_1_4_6_nothing_that_follows_a_rejected_connect_is_looked_at() {
    let stage = stage().await;
    let (mut kept, _) = stage.resumed("keeper").await;
    kept.subscribe(ALL, 1).await;
    drop(kept);
    let mut peer = Peer::open(&stage.world);
    let connect = Connect { password: Some("wrong".to_owned()), ..stage.connect() };
    peer.speak(Version::V5);
    peer.send(0x10, &connect.client_id("keeper").body()).await;
    peer.send(0x10, &stage.connect().client_id("keeper").body()).await;
    peer.send(0xC0, &[]).await;
    assert_eq!(peer.connack().await.unwrap().code, 0x86);
    assert_eq!(peer.receive().await, None);
    // The session is untouched.
    let (mut kept, present) = stage.resumed("keeper").await;
    assert!(present);
    stage.report(1).await;
    assert_eq!(kept.values().await, soc(1));
}
