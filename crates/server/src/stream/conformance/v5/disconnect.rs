//! 3.12 PINGREQ, 3.14 DISCONNECT.

use super::{ALL, ended, stage};
use crate::stream::test_peer::{Peer, property, take_properties};

#[tokio::test]
async fn mqtt_3_12_4_1_a_pingreq_gets_a_pingresp() {
    let stage = stage().await;
    let mut peer = stage.connected().await;
    for _ in 0..3 {
        peer.send(0xC0, &[]).await;
        assert_eq!(peer.receive().await, Some((0xD0, Vec::new())));
    }
    assert_eq!(ended(&stage, 0xC0, b"x").await, 0x81);
}

#[tokio::test]
async fn mqtt_3_14_0_1_no_disconnect_comes_before_a_connack_that_accepts() {
    let stage = stage().await;
    let good = stage.connect().body();
    // Refused, malformed, against the protocol, too large for an answer, and stopped.
    let mut wrong = good.clone();
    wrong[7] |= 1;
    let tiny = stage.connect().property(0x27, &[0, 0, 0, 4]).body();
    for body in [&wrong[..], &good[..50], &tiny] {
        let mut peer = Peer::open(&stage.world);
        peer.send(0x10, body).await;
        while let Some((first, _)) = peer.receive().await {
            assert_eq!(first, 0x20);
        }
    }
    let mut silent = Peer::open(&stage.world);
    stage.world.platform.tasks.drain(std::time::Duration::from_secs(10)).await;
    assert_eq!(silent.receive().await, None);
}

#[tokio::test]
async fn mqtt_3_14_2_1_a_good_bye_has_a_code_that_it_may_have() {
    let stage = stage().await;
    let good = [0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99];
    for code in good {
        let ended = stage.ended(0xE0, &[code]).await;
        assert_eq!((ended.reason.as_str(), ended.farewell), ("disconnected", None), "{code:#x}");
    }
    for code in [0x01, 0x02, 0x03, 0x10, 0x18, 0x84, 0x85, 0x91, 0xA3, 0xFF] {
        assert_eq!(ended(&stage, 0xE0, &[code]).await, 0x82, "{code:#x}");
    }
    // The server's own come from the same table: see `ended` in all these tests, and the end of a token's time.
    let mut peer = stage.connected().await;
    stage.world.platform.tasks.drain(std::time::Duration::from_secs(10)).await;
    assert_eq!(peer.farewell().await.unwrap().code, 0x8B);
}

#[tokio::test]
async fn mqtt_3_14_2_2_only_a_client_says_how_long_its_session_is_kept() {
    let stage = stage().await;
    let mut peer = stage.connected().await;
    peer.send(0x00, &[]).await;
    let (first, body) = peer.receive().await.unwrap();
    assert_eq!(first, 0xE0);
    assert_eq!(property(&take_properties(&mut &body[1..]), 0x11), None);
    // A client may change it, but not from nothing.
    for (connected_with, present) in [(100_u32, true), (0, false)] {
        let connect =
            stage.connect().client_id("keeper").property(0x11, &connected_with.to_be_bytes());
        let (mut peer, _) = stage.accepted(&connect).await;
        peer.subscribe(ALL, 1).await;
        let body = [&[0, 5, 0x11][..], &50_u32.to_be_bytes()].concat();
        let ended = stage.ended_on(&mut peer, 0xE0, &body).await;
        assert_eq!(ended.farewell.map(|farewell| farewell.code), (!present).then_some(0x82));
        let (peer, found) = stage.resumed("keeper").await;
        assert_eq!(found, present);
        drop(peer);
        stage.accepted(&stage.connect().client_id("keeper")).await;
    }
}

#[tokio::test]
async fn mqtt_3_14_4_1_2_mqtt_4_13_2_1_a_disconnect_is_the_last_word_and_the_end() {
    let stage = stage().await;
    let mut peer = stage.connected().await;
    peer.subscribe(ALL, 0).await;
    // What follows is neither read nor answered; `farewell` sees that the connection is closed at once.
    peer.send_bytes(&[0x00, 0x00, 0xC0, 0x00, 0xC0, 0x00]).await;
    stage.report(1).await;
    let mut code = None;
    while let Some((first, body)) = peer.receive().await {
        assert_eq!(code, None, "nothing comes after a DISCONNECT");
        if first == 0xE0 {
            code = Some(body[0]);
        }
    }
    assert_eq!(code, Some(0x81));
}
