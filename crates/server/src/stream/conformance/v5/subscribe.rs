//! 3.8 SUBSCRIBE, 3.9 SUBACK, 4.7 Topic names and topic filters, 4.8 Subscriptions.

use cardata_mqtt::Version;

use super::{ALL, TOPIC, ended, stage};
use crate::stream::test_peer::{ANNAS, SOC, property, report, soc, subscribe, text, unsubscribe};
use crate::stream::tests::fleet::Fleet;
use crate::test_platform::Person;

const V: Version = Version::V5;

#[tokio::test]
async fn mqtt_3_8_3_1_mqtt_3_10_3_1_topic_filters_are_utf_8() {
    let stage = stage().await;
    let mut filter = text(ALL);
    filter[2] = 0xFF;
    let subscribe = [&[0, 1, 0][..], &filter, &[0]].concat();
    assert_eq!(ended(&stage, 0x82, &subscribe).await, 0x81);
    let unsubscribe = [&[0, 1, 0][..], &filter].concat();
    assert_eq!(ended(&stage, 0xA2, &unsubscribe).await, 0x81);
}

#[tokio::test]
async fn mqtt_3_8_3_2_a_subscribe_has_a_filter_with_options() {
    let stage = stage().await;
    assert_eq!(ended(&stage, 0x82, &[0, 1, 0]).await, 0x82);
    let good = subscribe(V, 1, &[], &[("ab", 0)]);
    for length in (0..good.len()).filter(|length| *length != 3) {
        assert_eq!(ended(&stage, 0x82, &good[..length]).await, 0x81, "{length}");
    }
}

#[tokio::test]
async fn mqtt_3_8_3_4_no_local_and_a_shared_subscription_do_not_go_together() {
    let stage = stage().await;
    let shared = format!("$share/group/{ALL}");
    for (filter, options, good) in
        [(ALL, 0x04, true), (&shared, 0x00, true), (&shared, 0x04, false)]
    {
        let body = subscribe(V, 1, &[], &[(filter, options)]);
        if good {
            assert_eq!(stage.verdict(0x82, &body).await, None);
        } else {
            assert_eq!(ended(&stage, 0x82, &body).await, 0x82);
        }
    }
}

#[tokio::test]
async fn mqtt_3_8_3_5_reserved_bits_of_the_options_are_malformed() {
    let stage = stage().await;
    for options in 0..=0xFF {
        // Also when another filter is sound.
        let body = subscribe(V, 1, &[], &[(ALL, 0), (ALL, options)]);
        if options & 0xC0 != 0 {
            assert_eq!(ended(&stage, 0x82, &body).await, 0x81, "{options:#x}");
        } else if options & 0x03 == 3 || options & 0x30 == 0x30 {
            assert_eq!(ended(&stage, 0x82, &body).await, 0x82, "{options:#x}");
        } else {
            assert_eq!(stage.verdict(0x82, &body).await, None, "{options:#x}");
        }
    }
}

#[tokio::test]
async fn mqtt_3_8_4_3_4_an_identical_filter_takes_the_place_of_the_earlier_one_and_loses_nothing() {
    let stage = stage().await;
    let mut peer = stage.connected().await;
    let mut last = None;
    for (qos, number) in [(0, 1), (1, 2), (2, 3), (0, 4)] {
        assert_eq!(peer.subscribe(ALL, qos).await, qos);
        if let Some(last) = last {
            let snapshot = peer.delivery().await;
            assert_eq!((snapshot.values, snapshot.retain), (soc(last), true));
        }
        stage.report(number).await;
        let delivery = peer.delivery().await;
        assert_eq!((delivery.qos, delivery.values), (qos, soc(number.into())));
        last = Some(number.into());
    }
    // There is but one, which one UNSUBSCRIBE ends.
    assert_eq!(peer.unsubscribe(&[ALL]).await, [0]);
    stage.report(5).await;
    assert!(peer.is_quiet().await);

    peer.subscribe(ALL, 0x21).await;
    for number in 1..=20 {
        // Its answer comes somewhere between the deliveries.
        peer.send(0x82, &subscribe(V, 1, &[], &[(ALL, 0x01)])).await;
        stage.report(number).await;
    }
    let mut live = Vec::new();
    while live.len() < 20 {
        let (first, body) = peer.receive().await.unwrap();
        if first & 0xF7 == 0x32 {
            let payload = &body[2 + TOPIC.len() + 3..];
            let payload: serde_json::Value = serde_json::from_slice(payload).unwrap();
            live.push(payload["data"][SOC]["value"].as_u64().unwrap());
        }
    }
    assert_eq!(live, (1..=20).collect::<Vec<_>>());
}

#[tokio::test]
async fn mqtt_3_8_4_5_6_7_mqtt_3_9_3_1_2_each_filter_is_answered_in_its_place_as_if_it_came_alone()
{
    let stage = stage().await;
    let shared = format!("$share/group/{ALL}");
    let filters = ["#", TOPIC, &shared, &format!("{}/+", Person::Ben.gcid()), ALL];
    let mut alone = Vec::new();
    for filter in filters {
        alone.push(stage.connected().await.subscribe(filter, 2).await);
    }
    assert_eq!(alone, [0x87, 2, 0x9E, 0x87, 2]);
    let mut peer = stage.connected().await;
    assert_eq!(peer.subscribe_all(&filters.map(|filter| (filter, 2))).await, alone);
    // The same filter twice: the later one counts.
    assert_eq!(peer.subscribe_all(&[(ALL, 1), (ALL, 0)]).await, [1, 0]);
    assert_eq!(peer.unsubscribe(&[TOPIC]).await, [0]);
    stage.report(1).await;
    assert_eq!(peer.delivery().await.qos, 0);
}

#[tokio::test]
async fn mqtt_3_8_4_8_a_delivery_has_the_qos_that_was_granted() {
    let stage = stage().await;
    for qos in [0, 1, 2] {
        let mut peer = stage.connected().await;
        assert_eq!(peer.subscribe(ALL, 0x20 | qos).await, qos);
        stage.report(1).await;
        assert_eq!(peer.delivery().await.qos, qos);
    }
}

#[tokio::test]
async fn mqtt_4_7_1_1_2_mqtt_4_7_3_1_wildcards_stand_alone_in_their_level_and_the_hash_comes_last()
{
    let stage = stage().await;
    for sound in ["+", "#", "/", "a/+/b", "+/+", "/+", "a/#", "+/#", "a//b", "$SYS/#"] {
        let verdict = stage.verdict(0x82, &subscribe(V, 1, &[], &[(sound, 0)])).await;
        assert_eq!(verdict, None, "{sound}");
    }
    for unsound in ["", "a+", "+a", "a/b+", "a+/b", "a#", "#/a", "a/#/b", "##", "#+"] {
        let subscribe = subscribe(V, 1, &[], &[("a", 0), (unsound, 0)]);
        assert_eq!(ended(&stage, 0x82, &subscribe).await, 0x8F, "{unsound}");
        let unsubscribe = unsubscribe(V, 1, &[unsound]);
        assert_eq!(ended(&stage, 0xA2, &unsubscribe).await, 0x8F, "{unsound}");
    }
}

#[tokio::test]
async fn mqtt_4_7_2_1_a_wildcard_in_the_first_level_matches_nothing_at_all() {
    let stage = stage().await;
    let mut peer = stage.connected().await;
    // No topic begins with a dollar here, and none can be had that way.
    for filter in ["#", "+/monitor", "+/+", "$SYS/#"] {
        assert_eq!(peer.subscribe(filter, 0).await, 0x87, "{filter}");
    }
    stage.report(1).await;
    assert!(peer.is_quiet().await);
}

#[tokio::test]
async fn mqtt_4_7_3_4_filters_are_taken_as_they_are_written() {
    let stage = stage().await;
    let mut peer = stage.connected().await;
    let anna = Person::Anna.gcid().to_string();
    let almost = [
        format!("{}/+", anna.to_uppercase()),
        TOPIC.to_lowercase(),
        format!("/{TOPIC}"),
        format!("{TOPIC}/"),
        format!(" {TOPIC}"),
        format!("{TOPIC}\u{200B}"),
        TOPIC.replace('/', "//"),
        TOPIC.replace('/', "\u{FF0F}"),
    ];
    for filter in &almost {
        assert_eq!(peer.subscribe(filter, 0).await, 0x87, "{filter}");
    }
    assert_eq!(peer.subscribe(TOPIC, 0).await, 0);
}

#[tokio::test]
async fn mqtt_4_8_2_1_2_a_shared_subscription_has_its_form_and_is_for_fleets() {
    let stage = stage().await;
    let (mut peer, connack) = stage.accepted(&stage.connect()).await;
    assert_eq!(property(&connack.properties, 0x2A), Some(vec![0]));
    for sound in [format!("$share/group/{ALL}"), "$share/group/#".to_owned()] {
        assert_eq!(peer.subscribe(&sound, 0).await, 0x9E, "{sound}");
    }
    for unsound in
        ["$share/", "$share/group", "$share//a", "$share/group/", "$share/+/a", "$share/g#/a"]
    {
        let body = subscribe(V, 1, &[], &[(unsound, 0)]);
        assert_eq!(ended(&stage, 0x82, &body).await, 0x8F, "{unsound}");
    }
    // Without the slash, it is a filter like any other.
    assert_eq!(stage.connected().await.subscribe("$share", 0).await, 0x87);

    let fleet = Fleet::consented().await;
    let (mut peer, connack) = fleet.connected("a").await;
    assert_eq!(property(&connack.properties, 0x2A), Some(vec![1]));
    assert_eq!(peer.subscribe(&format!("$share/group/{ALL}"), 0).await, 0);
    // One that reaches beyond what a fleet reads is refused for that.
    assert_eq!(peer.subscribe("$share/group/#", 0).await, 0x87);
}

#[tokio::test]
async fn mqtt_4_8_2_3_each_member_gets_its_messages_with_the_qos_that_it_was_granted() {
    let fleet = Fleet::consented().await;
    for (wanted, granted) in [(0, 0), (1, 1), (2, 1)] {
        let (mut member, _) = fleet.connected("a").await;
        let group = format!("$share/of-{wanted}/{ALL}");
        assert_eq!(member.subscribe(&group, wanted).await, granted);
        report(&fleet.world, ANNAS, 1).await;
        let delivery = member.delivery().await;
        assert_eq!(delivery.qos, granted, "QoS {wanted}");
        if granted > 0 {
            member.ack(&delivery).await;
        }
        assert_eq!(member.unsubscribe(&[&group]).await, [0]);
        member.leave().await;
    }
}

#[tokio::test]
async fn mqtt_4_8_2_6_a_message_that_a_member_refuses_goes_to_nobody_else() {
    let fleet = Fleet::consented().await;
    let mut member = fleet.member("a").await;
    report(&fleet.world, ANNAS, 1).await;
    let refused = member.delivery().await;
    let [high, low] = refused.packet_id.unwrap().to_be_bytes();
    // "Unspecified error".
    member.send(0x40, &[high, low, 0x80]).await;
    assert!(member.is_quiet().await);
    member.leave().await;
    let mut other = fleet.member("b").await;
    report(&fleet.world, ANNAS, 2).await;
    assert_eq!(other.values().await, soc(2));
}
