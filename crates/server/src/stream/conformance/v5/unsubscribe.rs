//! 3.10 UNSUBSCRIBE, 3.11 UNSUBACK.

use cardata_mqtt::Version;

use super::{ALL, TOPIC, ended, stage};
use crate::stream::test_peer::{Delivery, soc, unsubscribe};
use crate::test_platform::Person;

#[tokio::test]
async fn mqtt_3_10_3_2_an_unsubscribe_has_a_filter() {
    let stage = stage().await;
    assert_eq!(ended(&stage, 0xA2, &[0, 1, 0]).await, 0x82);
    let good = unsubscribe(Version::V5, 1, &["ab"]);
    for length in (0..good.len()).filter(|length| *length != 3) {
        assert_eq!(ended(&stage, 0xA2, &good[..length]).await, 0x81, "{length}");
    }
}

#[tokio::test]
async fn mqtt_3_10_4_1_2_only_the_very_same_filter_ends_a_subscription() {
    let stage = stage().await;
    let mut peer = stage.connected().await;
    peer.subscribe(ALL, 0).await;
    let anna = Person::Anna.gcid();
    for other in [&format!("{anna}/#"), &format!("{anna}/+/#"), TOPIC, "#", &ALL.to_uppercase()] {
        assert_eq!(peer.unsubscribe(&[other]).await, [0x11]);
        stage.report(1).await;
        assert_eq!(peer.values().await, soc(1), "{other}");
    }
    assert_eq!(peer.unsubscribe(&[ALL]).await, [0]);
    stage.report(2).await;
    assert!(peer.is_quiet().await);
}

#[tokio::test]
async fn mqtt_3_10_4_3_what_was_begun_is_completed_after_an_unsubscribe() {
    let stage = stage().await;
    let (mut peer, _) = stage.resumed("keeper").await;
    peer.subscribe(ALL, 2).await;
    stage.report(1).await;
    stage.report(2).await;
    let (first, second) = (peer.delivery().await, peer.delivery().await);
    let id = |delivery: &Delivery| delivery.packet_id.unwrap().to_be_bytes();
    peer.send(0x50, &id(&first)).await;
    assert_eq!(peer.receive().await, Some((0x62, id(&first).to_vec())));
    assert_eq!(peer.unsubscribe(&[ALL]).await, [0]);
    stage.report(3).await;
    assert!(peer.is_quiet().await);
    // In this connection, and in the next one.
    peer.send(0x70, &id(&first)).await;
    assert!(peer.is_quiet().await);
    drop(peer);
    let (mut peer, _) = stage.resumed("keeper").await;
    assert_eq!(peer.delivery().await, Delivery { duplicate: true, ..second.clone() });
    peer.send(0x50, &id(&second)).await;
    assert_eq!(peer.receive().await, Some((0x62, id(&second).to_vec())));
    peer.send(0x70, &id(&second)).await;
    assert!(peer.is_quiet().await);
    drop(peer);
    let (mut peer, _) = stage.resumed("keeper").await;
    assert!(peer.is_quiet().await);
}

#[tokio::test]
async fn mqtt_3_10_4_5_6_mqtt_3_11_3_1_2_each_filter_is_answered_in_its_place_whether_there_or_not()
{
    let stage = stage().await;
    let mut peer = stage.connected().await;
    assert_eq!(peer.unsubscribe(&["nothing"]).await, [0x11]);
    peer.subscribe_all(&[(ALL, 0), (TOPIC, 0)]).await;
    // As if they came one by one: the second time it is gone.
    let codes = peer.unsubscribe(&["nothing", ALL, "a/+", TOPIC, ALL]).await;
    assert_eq!(codes, [0x11, 0, 0x11, 0, 0x11]);
    stage.report(1).await;
    assert!(peer.is_quiet().await);
}
