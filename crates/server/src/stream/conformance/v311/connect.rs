//! 3.1 CONNECT, 3.2 CONNACK.

use std::time::Duration;

use cardata_mqtt::Version;
use tokio::time::Instant;

use super::{ALL, TOPIC, dropped, refused, stage};
use crate::stream::test_peer::{Connect, Peer, Will, id_token, soc, subscribe, text};
use crate::test_platform::Person;

/// A Will that is as good as any.
fn will() -> Will {
    Will {
        qos: 1,
        retain: true,
        properties: Vec::new(),
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
        (0x30, b"\0\x01t"),
        (0x40, &[0, 1]),
        (0x82, b"\0\x01\0\x01#\0"),
        (0xA2, b"\0\x01\0\x01#"),
        (0xC0, &[]),
        (0xE0, &[]),
        (0x20, &[0, 0]),
        (0xF0, &[]),
    ];
    for (first, body) in others {
        let refused = stage.refused_as(first, body).await;
        assert_eq!(
            (refused.reason.as_str(), refused.connack),
            ("protocol_error", None),
            "{first:#x}"
        );
    }
}

#[tokio::test]
async fn mqtt_3_1_0_2_a_second_connect_ends_the_connection() {
    let stage = stage().await;
    let connect = stage.connect();
    for second in
        [connect.clone(), connect.clone().client_id("other"), connect.client_id("").clean(false)]
    {
        assert_eq!(super::closed(&stage, 0x10, &second.body()).await, "protocol_error");
    }
}

#[tokio::test]
async fn mqtt_3_1_2_1_another_protocol_is_not_gone_on_with() {
    let stage = stage().await;
    let good = stage.connect().body();
    for name in [&b"HTTP"[..], b"mqtt", b"MQTt", b"MQT", b"MQTTT", b""] {
        let length = u16::try_from(name.len()).unwrap().to_be_bytes();
        let body = [&length, name, &good[6..]].concat();
        assert_eq!(dropped(&stage, &body).await, "malformed_packet", "{name:?}");
    }
}

#[tokio::test]
async fn mqtt_3_1_2_2_another_level_gets_return_code_1() {
    let stage = stage().await;
    for level in [0, 1, 2, 3, 6, 0x84, 255] {
        let mut body = stage.connect().body();
        body[6] = level;
        assert_eq!(
            refused(&stage, &body).await,
            ("connect_refused".to_owned(), Some(1)),
            "{level}"
        );
    }
    // MQTT 3.1 has a name of its own.
    let body = [b"\0\x06MQIsdp\x03", &stage.connect().body()[7..]].concat();
    assert_eq!(refused(&stage, &body).await, ("connect_refused".to_owned(), Some(1)));
}

#[tokio::test]
async fn mqtt_3_1_2_3_the_reserved_flag_is_0() {
    let stage = stage().await;
    let connect = stage.connect();
    assert_eq!(stage.verdict(0x10, &with_flags(&connect, |flags| flags)).await, None);
    let body = with_flags(&connect, |flags| flags | 1);
    assert_eq!(dropped(&stage, &body).await, "malformed_packet");
}

#[tokio::test]
async fn mqtt_3_1_2_4_mqtt_4_1_0_1_mqtt_3_1_4_3_mqtt_3_2_2_2_3_without_clean_session_a_session_is_kept_and_goes_on()
 {
    let stage = stage().await;
    let (mut peer, present) = stage.resumed("keeper").await;
    assert!(!present, "there was none");
    peer.subscribe(ALL, 1).await;
    peer.send(0xE0, &[]).await;
    assert_eq!(peer.receive().await, None);
    let (mut peer, present) = stage.resumed("keeper").await;
    assert!(present);
    // Its subscription is still there.
    stage.report(1).await;
    assert_eq!(peer.values().await, soc(1));
}

#[tokio::test]
async fn mqtt_3_1_2_5_mqtt_4_5_0_1_what_comes_meanwhile_is_kept_for_those_who_subscribed() {
    let stage = stage().await;
    let (mut one, _) = stage.resumed("one").await;
    let (mut two, _) = stage.resumed("two").await;
    let (mut three, _) = stage.resumed("three").await;
    for peer in [&mut one, &mut two] {
        peer.subscribe(ALL, 1).await;
    }
    three.subscribe(ALL, 0).await;
    for peer in [&mut two, &mut three] {
        peer.send(0xE0, &[]).await;
        assert_eq!(peer.receive().await, None);
    }
    for number in 1..=3 {
        stage.report(number).await;
        assert_eq!(one.values().await, soc(number.into()));
    }
    let (mut two, _) = stage.resumed("two").await;
    for number in 1..=3 {
        let delivery = two.delivery().await;
        assert_eq!((delivery.values, delivery.duplicate), (soc(number), false));
    }
    // QoS 0 need not be kept, and is not.
    let (mut three, present) = stage.resumed("three").await;
    assert!(present && three.is_quiet().await);
}

#[tokio::test]
async fn mqtt_3_1_2_6_mqtt_3_2_2_1_a_clean_session_begins_anew_and_leaves_nothing() {
    let stage = stage().await;
    let (mut peer, _) = stage.resumed("keeper").await;
    peer.subscribe(ALL, 1).await;
    stage.report(1).await;
    peer.delivery().await;
    drop(peer);

    let clean = stage.connect().client_id("keeper");
    let (mut peer, connack) = stage.accepted(&clean).await;
    assert_eq!(connack.flags, 0);
    stage.report(2).await;
    assert!(peer.is_quiet().await, "the subscription is gone");
    peer.subscribe(ALL, 1).await;
    drop(peer);

    let (mut peer, present) = stage.resumed("keeper").await;
    assert!(!present, "and so is that of the clean session");
    stage.report(3).await;
    assert!(peer.is_quiet().await);
}

#[tokio::test]
async fn mqtt_3_1_2_9_11_13_15_the_will_is_there_whole_or_not_at_all() {
    let stage = stage().await;
    let without = stage.connect();
    let with = Connect { will: Some(will()), ..without.clone() };
    assert_eq!(stage.verdict(0x10, &with.body()).await, None);
    // The flag, but no Will: the user name is read as the topic, and the payload is not there.
    let body = with_flags(&without, |flags| flags | 0x04);
    assert_eq!(dropped(&stage, &body).await, "malformed_packet");
    // A Will, but no flag.
    let body = with_flags(&with, |flags| flags & !0x3C);
    assert_eq!(dropped(&stage, &body).await, "malformed_packet");
    // No Will, but its QoS or Retain.
    for flag in [0x08, 0x10, 0x20] {
        let body = with_flags(&without, |flags| flags | flag);
        assert_eq!(dropped(&stage, &body).await, "malformed_packet", "{flag:#x}");
    }
}

#[tokio::test]
async fn mqtt_3_1_2_12_mqtt_3_14_4_3_a_will_is_taken_and_never_published() {
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
async fn mqtt_3_1_2_14_a_will_is_not_of_qos_3() {
    let stage = stage().await;
    for qos in 0..=2 {
        let will = Will { qos, ..will() };
        let connect = Connect { will: Some(will), ..stage.connect() };
        assert_eq!(stage.verdict(0x10, &connect.body()).await, None, "{qos}");
    }
    let will = Will { qos: 3, ..will() };
    let connect = Connect { will: Some(will), ..stage.connect() };
    assert_eq!(dropped(&stage, &connect.body()).await, "malformed_packet");
}

#[tokio::test]
async fn mqtt_3_1_2_18_19_20_21_user_name_and_password_are_there_as_the_flags_say() {
    let stage = stage().await;
    let connect = stage.connect();
    for flag in [0x80, 0x40] {
        let with_one_less = with_flags(&connect, |flags| flags & !flag);
        assert_eq!(dropped(&stage, &with_one_less).await, "malformed_packet", "without {flag:#x}");
    }
    // The flags of both, and one of the fields, or none.
    let user_name_only = Connect { password: None, ..connect.clone() };
    let none = Connect { user_name: None, ..user_name_only.clone() };
    for fewer in [user_name_only, none] {
        let body = with_flags(&fewer, |flags| flags | 0xC0);
        assert_eq!(dropped(&stage, &body).await, "malformed_packet");
    }
}

#[tokio::test]
async fn mqtt_3_1_2_22_no_password_without_a_user_name() {
    let stage = stage().await;
    let connect = Connect { user_name: None, ..stage.connect() };
    assert_eq!(dropped(&stage, &connect.body()).await, "malformed_packet");
    // Without either it is well-formed, and refused for what is missing.
    let neither = Connect { password: None, ..connect };
    assert_eq!(refused(&stage, &neither.body()).await.1, Some(4));
}

#[tokio::test]
async fn mqtt_3_1_2_24_a_silent_client_is_disconnected_after_one_and_a_half_keep_alive_times() {
    let stage = stage().await;
    let connect = Connect { keep_alive: 10, ..stage.connect() };
    let (mut peer, _) = stage.accepted(&connect).await;
    // From here on, time passes when everybody waits for it.
    tokio::time::pause();
    for _ in 0..3 {
        tokio::time::advance(Duration::from_millis(14_900)).await;
        assert!(peer.is_quiet().await);
    }
    let silent_since = Instant::now();
    assert_eq!(peer.receive().await, None);
    let silence = silent_since.elapsed();
    assert!((15_000..15_100).contains(&silence.as_millis()), "{silence:?}");
    assert_eq!(stage.closed()["keep_alive_timeout"], 1);
}

#[tokio::test]
async fn mqtt_3_1_3_1_3_the_fields_come_in_their_order_and_the_client_identifier_is_there() {
    let stage = stage().await;
    // User name and password are found behind the Will.
    let connect = Connect { will: Some(will()), ..stage.connect() };
    assert_eq!(stage.verdict(0x10, &connect.body()).await, None);
    // In another order, none of them is what it should be.
    let head = &stage.connect().body()[..10];
    let mut body = head.to_vec();
    for field in [&Person::Anna.gcid().to_string(), &stage.token, "peer"] {
        body.extend(text(field));
    }
    assert_eq!(refused(&stage, &body).await.1, Some(4));
    // Without any field, there is no client identifier.
    let nothing = with_flags(&stage.connect(), |_| 0x02)[..10].to_vec();
    assert_eq!(dropped(&stage, &nothing).await, "malformed_packet");
}

#[tokio::test]
async fn mqtt_3_1_3_2_a_session_is_known_by_its_client_identifier() {
    let stage = stage().await;
    for (client_id, present) in
        [("one", false), ("two", false), ("One", false), ("one", true), ("two", true)]
    {
        let (_, found) = stage.resumed(client_id).await;
        assert_eq!(found, present, "{client_id}");
    }
    // Another customer's client of that name is another client.
    let token = id_token(&stage.world, Person::Ben).await;
    let bens = Connect::new(Version::V311, Person::Ben, &token).client_id("one").clean(false);
    assert_eq!(stage.accepted(&bens).await.1.flags, 0);
}

#[tokio::test]
async fn mqtt_3_1_3_4_10_11_client_identifier_will_topic_and_user_name_are_utf_8() {
    let stage = stage().await;
    let connect = Connect { will: Some(will()), ..stage.connect() };
    for field in ["peer", "anna/is/gone", &Person::Anna.gcid().to_string()] {
        let mut body = connect.body();
        let at = body.windows(field.len()).position(|window| window == field.as_bytes()).unwrap();
        body[at] = 0xFF;
        assert_eq!(dropped(&stage, &body).await, "malformed_packet", "{field}");
    }
}

#[tokio::test]
async fn mqtt_3_1_3_5_client_identifiers_of_up_to_23_letters_and_digits_are_allowed() {
    let stage = stage().await;
    let all = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    for start in 0..all.len() {
        let end = (start + 23).min(all.len());
        for client_id in [&all[start..=start], &all[start..end]] {
            stage.accepted(&stage.connect().client_id(client_id)).await;
        }
    }
}

#[tokio::test]
async fn mqtt_3_1_3_6_a_client_without_identifier_gets_one_of_its_own() {
    let stage = stage().await;
    let connect = stage.connect().client_id("");
    let (mut one, connack) = stage.accepted(&connect).await;
    assert_eq!(connack.flags, 0);
    let (mut two, _) = stage.accepted(&connect).await;
    assert!(one.is_quiet().await && two.is_quiet().await, "neither takes the other's place");
}

#[tokio::test]
async fn mqtt_3_1_3_7_8_without_identifier_the_session_is_clean() {
    let stage = stage().await;
    let connect = stage.connect().client_id("").clean(false);
    let expected = ("connect_refused".to_owned(), Some(2));
    assert_eq!(refused(&stage, &connect.body()).await, expected);
}

#[tokio::test]
async fn mqtt_3_1_3_9_a_client_identifier_that_is_too_long_is_rejected_with_code_2() {
    let stage = stage().await;
    stage.accepted(&stage.connect().client_id(&"x".repeat(256))).await;
    let connect = stage.connect().client_id(&"x".repeat(257));
    let expected = ("connect_refused".to_owned(), Some(2));
    assert_eq!(refused(&stage, &connect.body()).await, expected);
}

#[tokio::test]
async fn mqtt_3_1_4_1_mqtt_3_2_2_6_a_connect_of_another_form_gets_no_connack() {
    let stage = stage().await;
    let good = stage.connect().body();
    // However early it ends.
    for length in 0..good.len() {
        assert_eq!(dropped(&stage, &good[..length]).await, "malformed_packet", "{length}");
    }
    let more = [&good[..], b"x"].concat();
    assert_eq!(dropped(&stage, &more).await, "malformed_packet");
}

#[tokio::test]
async fn mqtt_3_1_4_2_an_older_connection_of_the_client_is_ended() {
    let stage = stage().await;
    let mut older = stage.connected().await;
    let mut newer = stage.connected().await;
    assert_eq!(older.receive().await, None);
    assert_eq!(stage.closed()["taken_over"], 1);
    assert!(newer.is_quiet().await);
}

#[tokio::test]
async fn mqtt_3_1_4_4_a_good_connect_gets_return_code_0() {
    let stage = stage().await;
    let mut peer = Peer::open(&stage.world);
    peer.send(0x10, &stage.connect().body()).await;
    assert_eq!(peer.receive().await, Some((0x20, vec![0, 0])));
}

#[tokio::test]
async fn mqtt_3_1_4_5_nothing_that_follows_a_rejected_connect_is_looked_at() {
    let stage = stage().await;
    let (mut kept, _) = stage.resumed("keeper").await;
    kept.subscribe(ALL, 1).await;
    drop(kept);
    let mut peer = Peer::open(&stage.world);
    let connect =
        Connect { password: Some("wrong".to_owned()), ..stage.connect() }.client_id("keeper");
    let second = stage.connect().client_id("keeper");
    peer.send(0x10, &connect.body()).await;
    peer.send(0x10, &second.body()).await;
    peer.send(0xA2, &[&[0, 1][..], &text(ALL)].concat()).await;
    peer.send(0xC0, &[]).await;
    assert_eq!(peer.receive().await, Some((0x20, vec![0, 4])));
    assert_eq!(peer.receive().await, None);
    // The session is untouched.
    let (mut kept, present) = stage.resumed("keeper").await;
    assert!(present);
    stage.report(1).await;
    assert_eq!(kept.values().await, soc(1));
}

#[tokio::test]
async fn mqtt_3_2_0_1_the_first_packet_from_the_server_is_a_connack() {
    let stage = stage().await;
    let mut peer = Peer::open(&stage.world);
    // A client need not wait for it.
    peer.send(0x10, &stage.connect().body()).await;
    peer.send(0x82, &subscribe(Version::V311, 1, &[], &[(ALL, 0)])).await;
    peer.send(0xC0, &[]).await;
    for expected in [0x20, 0x90, 0xD0] {
        assert_eq!(peer.receive().await.unwrap().0, expected);
    }
}

#[tokio::test]
async fn mqtt_3_2_2_4_5_a_connack_that_refuses_says_no_session_and_is_the_end() {
    let stage = stage().await;
    let (kept, _) = stage.resumed("keeper").await;
    drop(kept);
    let connect = stage.connect().client_id("keeper").clean(false);
    let wrong = Connect { password: Some("wrong".to_owned()), ..connect.clone() };
    let bens = Connect { user_name: Some(Person::Ben.gcid().to_string()), ..connect };
    for (connect, code) in [(wrong, 4), (bens, 5)] {
        // `refused` sees that nothing follows.
        let connack = stage.refused(&connect.body()).await.connack.unwrap();
        assert_eq!((connack.flags, connack.code), (0, code));
    }
}
