//! 3.10 UNSUBSCRIBE, 3.11 UNSUBACK.

use cardata_mqtt::Version;

use super::{ALL, TOPIC, closed, stage};
use crate::stream::test_peer::{Delivery, soc, unsubscribe};
use crate::test_platform::Person;

#[tokio::test]
async fn mqtt_3_10_3_2_an_unsubscribe_has_a_filter() {
    let stage = stage().await;
    assert_eq!(closed(&stage, 0xA2, &[0, 1]).await, "protocol_error");
    let good = unsubscribe(Version::V311, 1, &["ab"]);
    for length in 3..good.len() {
        assert_eq!(closed(&stage, 0xA2, &good[..length]).await, "malformed_packet", "{length}");
    }
}

#[tokio::test]
async fn mqtt_3_10_4_1_2_only_the_very_same_filter_ends_a_subscription() {
    let stage = stage().await;
    let mut peer = stage.connected().await;
    peer.subscribe(ALL, 0).await;
    let anna = Person::Anna.gcid();
    for other in [&format!("{anna}/#"), &format!("{anna}/+/#"), TOPIC, "#", &ALL.to_uppercase()] {
        peer.unsubscribe(&[other]).await;
        stage.report(1).await;
        assert_eq!(peer.values().await, soc(1), "{other}");
    }
    peer.unsubscribe(&[ALL]).await;
    stage.report(2).await;
    assert!(peer.is_quiet().await);
}

#[tokio::test]
async fn mqtt_3_10_4_5_6_one_unsuback_comes_for_any_number_of_filters_whether_there_or_not() {
    let stage = stage().await;
    let mut peer = stage.connected().await;
    // `unsubscribe` sees that one answer comes, and `is_quiet` that there is no other.
    peer.unsubscribe(&["nothing"]).await;
    peer.subscribe_all(&[(ALL, 0), (TOPIC, 0)]).await;
    peer.unsubscribe(&["nothing", ALL, "a/+", TOPIC]).await;
    stage.report(1).await;
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
    peer.unsubscribe(&[ALL]).await;
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
