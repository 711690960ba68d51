//! 4 Operational behavior.

use cardata_mqtt::Version;

use super::{ALL, TOPIC, ended, stage};
use crate::stream::test_peer::{Peer, soc, subscribe, text};

#[tokio::test]
async fn mqtt_4_1_0_2_a_session_ends_when_its_time_is_over() {
    let stage = stage().await;
    let connect = stage.connect().client_id("keeper").clean(false);
    let connect = |seconds: u32| connect.clone().property(0x11, &seconds.to_be_bytes());
    let left = async |seconds| {
        let (mut peer, connack) = stage.accepted(&connect(seconds)).await;
        peer.subscribe(ALL, 1).await;
        peer.send(0xE0, &[]).await;
        assert_eq!(peer.receive().await, None);
        connack.flags == 1
    };
    assert!(!left(100).await);
    stage.world.pass(99);
    assert!(left(100).await);
    stage.world.pass(100);
    assert!(!left(0).await, "its time is over");
    assert!(!left(100).await, "with 0 it ends with the connection");
}

#[tokio::test]
async fn mqtt_4_5_0_1_an_event_reaches_all_who_subscribed_and_those_who_were_away() {
    let stage = stage().await;
    let (mut one, _) = stage.resumed("one").await;
    let (mut two, _) = stage.resumed("two").await;
    for peer in [&mut one, &mut two] {
        peer.subscribe(ALL, 1).await;
    }
    two.send(0xE0, &[]).await;
    assert_eq!(two.receive().await, None);
    for number in 1..=3 {
        stage.report(number).await;
        assert_eq!(one.values().await, soc(number.into()));
    }
    let (mut two, _) = stage.resumed("two").await;
    for number in 1..=3 {
        assert_eq!(two.values().await, soc(number));
    }
}

#[tokio::test]
async fn mqtt_4_6_0_5_6_messages_of_a_topic_come_in_the_order_in_which_they_arrived() {
    let stage = stage().await;
    let mut peers = Vec::new();
    for qos in 0..=2 {
        let (mut peer, _) = stage.resumed(&qos.to_string()).await;
        peer.subscribe(ALL, qos).await;
        peers.push(peer);
    }
    for number in 0..100 {
        stage.report(number).await;
    }
    for peer in &mut peers {
        for number in 0..100 {
            assert_eq!(peer.values().await, soc(number));
        }
    }
}

#[tokio::test]
async fn mqtt_4_13_1_1_an_error_ends_the_connection_on_which_it_came_and_no_other() {
    let stage = stage().await;
    let (mut bystander, _) = stage.resumed("bystander").await;
    bystander.subscribe(ALL, 0).await;
    let mut publish = text(TOPIC);
    publish.extend([0, 0]);
    let errors: [(u8, &[u8], u8); 8] = [
        (0x00, &[], 0x81),
        (0x20, &[0, 0, 0], 0x82),
        (0x90, &[0, 1, 0, 0], 0x82),
        (0xB0, &[0, 1, 0, 0], 0x82),
        (0xD0, &[], 0x82),
        (0xC0, &[0], 0x81),
        (0x40, &[0], 0x81),
        (0x30, &publish, 0x87),
    ];
    for (first, body, code) in errors {
        assert_eq!(ended(&stage, first, body).await, code, "{first:#x}");
        stage.report(1).await;
        assert_eq!(bystander.values().await, soc(1), "{first:#x}");
    }
    let identifier_0 = subscribe(Version::V5, 1, &[0x0B, 0], &[(ALL, 0)]);
    assert_eq!(ended(&stage, 0x82, &identifier_0).await, 0x82);
}

#[tokio::test]
async fn mqtt_4_13_1_1_lengths_that_can_not_be_end_the_connection() {
    let stage = stage().await;
    // A length of five bytes, and one of more than CONNACK allows.
    for (bytes, code) in [(&b"\xC0\x80\x80\x80\x80\x01"[..], 0x81), (b"\x82\x80\x80\x04", 0x95)] {
        let mut peer: Peer = stage.connected().await;
        peer.send_bytes(bytes).await;
        assert_eq!(peer.farewell().await.unwrap().code, code);
    }
}
