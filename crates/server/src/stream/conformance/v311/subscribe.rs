//! 3.8 SUBSCRIBE, 3.9 SUBACK.

use cardata_mqtt::Version;

use super::{ALL, TOPIC, closed, stage};
use crate::stream::test_peer::{BENS, Peer, SOC, soc, subscribe, text};
use crate::test_platform::Person;

const V: Version = Version::V311;

#[tokio::test]
async fn mqtt_3_8_3_1_mqtt_3_10_3_1_topic_filters_are_utf_8() {
    let stage = stage().await;
    let mut filter = text(ALL);
    filter[2] = 0xFF;
    let subscribe = [&[0, 1][..], &filter, &[0]].concat();
    assert_eq!(closed(&stage, 0x82, &subscribe).await, "malformed_packet");
    let unsubscribe = [&[0, 1][..], &filter].concat();
    assert_eq!(closed(&stage, 0xA2, &unsubscribe).await, "malformed_packet");
}

#[tokio::test]
async fn mqtt_3_8_3_2_wildcards_are_supported_below_the_own_customer_and_rejected_beyond() {
    let stage = stage().await;
    let mut peer = stage.connected().await;
    let (anna, ben) = (Person::Anna.gcid(), Person::Ben.gcid());
    for filter in [format!("{anna}/+"), format!("{anna}/#"), format!("{anna}/+/#")] {
        assert_eq!(peer.subscribe(&filter, 0).await, 0, "{filter}");
    }
    for filter in ["#", "+/+", "+/#", &format!("{ben}/+"), &format!("+/{BENS}")] {
        assert_eq!(peer.subscribe(filter, 0).await, 0x80, "{filter}");
    }
}

#[tokio::test]
async fn mqtt_3_8_3_3_a_subscribe_has_a_filter() {
    let stage = stage().await;
    assert_eq!(closed(&stage, 0x82, &[0, 1]).await, "protocol_error");
    // One that is cut short is no filter.
    for length in 3..subscribe(V, 1, &[], &[("ab", 0)]).len() {
        let body = &subscribe(V, 1, &[], &[("ab", 0)])[..length];
        assert_eq!(closed(&stage, 0x82, body).await, "malformed_packet", "{length}");
    }
}

#[tokio::test]
async fn mqtt_3_8_3_4_reserved_bits_and_qos_3_end_the_connection() {
    let stage = stage().await;
    for qos in 0..=2 {
        assert_eq!(stage.connected().await.subscribe(ALL, qos).await, qos);
    }
    // Also when another filter is sound.
    for reserved in [0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0x81] {
        let body = subscribe(V, 1, &[], &[(ALL, 0), (ALL, reserved)]);
        assert_eq!(closed(&stage, 0x82, &body).await, "malformed_packet", "{reserved:#x}");
    }
    let body = subscribe(V, 1, &[], &[(ALL, 3)]);
    assert_eq!(closed(&stage, 0x82, &body).await, "protocol_error");
}

#[tokio::test]
async fn mqtt_3_8_4_3_an_identical_filter_takes_the_place_of_the_earlier_one() {
    let stage = stage().await;
    let mut peer = stage.connected().await;
    let mut last = None;
    for (qos, number) in [(0, 1), (1, 2), (2, 3), (0, 4)] {
        assert_eq!(peer.subscribe(ALL, qos).await, qos);
        // The last values come again.
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
    peer.unsubscribe(&[ALL]).await;
    stage.report(5).await;
    assert!(peer.is_quiet().await);
}

#[tokio::test]
async fn mqtt_3_8_4_3_replacing_a_subscription_interrupts_nothing() {
    let stage = stage().await;
    let mut peer = stage.connected().await;
    peer.subscribe(ALL, 1).await;
    for number in 1..=20 {
        // Its answer comes somewhere between the deliveries.
        peer.send(0x82, &subscribe(V, 1, &[], &[(ALL, 1)])).await;
        stage.report(number).await;
    }
    let mut live = Vec::new();
    while live.len() < 20 {
        let (first, body) = peer.receive().await.unwrap();
        if first & 0xF7 == 0x32 {
            let payload: serde_json::Value =
                serde_json::from_slice(&body[2 + TOPIC.len() + 2..]).unwrap();
            live.push(payload["data"][SOC]["value"].as_u64().unwrap());
        }
    }
    assert_eq!(live, (1..=20).collect::<Vec<_>>());
}

#[tokio::test]
async fn mqtt_3_8_4_4_5_mqtt_3_9_3_1_2_each_filter_is_answered_in_its_place_as_if_it_came_alone() {
    let stage = stage().await;
    let filters = ["#", TOPIC, &format!("{}/+", Person::Ben.gcid()), ALL];
    let mut alone = Vec::new();
    for filter in filters {
        alone.push(stage.connected().await.subscribe(filter, 1).await);
    }
    assert_eq!(alone, [0x80, 1, 0x80, 1]);
    let mut peer = stage.connected().await;
    assert_eq!(peer.subscribe_all(&filters.map(|filter| (filter, 1))).await, alone);
    // The same filter twice: the later one counts.
    assert_eq!(peer.subscribe_all(&[(ALL, 1), (ALL, 0)]).await, [1, 0]);
    peer.unsubscribe(&[TOPIC]).await;
    stage.report(1).await;
    assert_eq!(peer.delivery().await.qos, 0);
}

#[tokio::test]
async fn mqtt_4_7_1_2_3_mqtt_4_7_3_1_wildcards_stand_alone_in_their_level_and_the_hash_comes_last()
{
    let stage = stage().await;
    for sound in ["+", "#", "/", "a/+/b", "+/+", "/+", "a/#", "+/#", "a//b", "$SYS/#"] {
        let verdict = stage.verdict(0x82, &subscribe(V, 1, &[], &[(sound, 0)])).await;
        assert_eq!(verdict, None, "{sound}");
    }
    for unsound in ["", "a+", "+a", "a/b+", "a+/b", "a#", "#/a", "a/#/b", "##", "#+"] {
        let subscribe = subscribe(V, 1, &[], &[("a", 0), (unsound, 0)]);
        assert_eq!(closed(&stage, 0x82, &subscribe).await, "topic_filter_invalid", "{unsound}");
        let unsubscribe = [&[0, 1][..], &text(unsound)].concat();
        assert_eq!(closed(&stage, 0xA2, &unsubscribe).await, "topic_filter_invalid", "{unsound}");
    }
}

#[tokio::test]
async fn mqtt_4_7_2_1_a_wildcard_in_the_first_level_matches_nothing_at_all() {
    let stage = stage().await;
    let mut peer: Peer = stage.connected().await;
    // No topic begins with a dollar here, and none can be had that way.
    for filter in ["#", "+/monitor", "+/+", "$SYS/#"] {
        assert_eq!(peer.subscribe(filter, 0).await, 0x80, "{filter}");
    }
    stage.report(1).await;
    assert!(peer.is_quiet().await);
}

#[tokio::test]
async fn mqtt_4_7_3_4_filters_are_taken_as_they_are_written() {
    let stage = stage().await;
    let mut peer = stage.connected().await;
    let (anna, topic) = (Person::Anna.gcid().to_string(), TOPIC);
    let almost = [
        format!("{}/+", anna.to_uppercase()),
        topic.to_lowercase(),
        format!("/{topic}"),
        format!("{topic}/"),
        format!(" {topic}"),
        format!("{topic}\u{200B}"),
        topic.replace('/', "//"),
        topic.replace('/', "\u{FF0F}"),
    ];
    for filter in &almost {
        assert_eq!(peer.subscribe(filter, 0).await, 0x80, "{filter}");
    }
    assert_eq!(peer.subscribe(topic, 0).await, 0);
}
