//! 3.15 AUTH, 4.12 Enhanced authentication.

use super::{ended, refused, stage};
use crate::stream::conformance::Stage;
use crate::stream::test_peer::{
    ConnAck, Connect, Peer, id_token, property, put_properties, take_properties, text,
};
use crate::test_platform::{Person, SCOPES};

const METHOD: &str = "cardata-token";

/// Lets Anna's client in with a token in its authentication data.
async fn connected(stage: &Stage) -> (Peer, ConnAck) {
    let connect = Connect { password: None, ..stage.connect() };
    let connect = connect.property(0x15, &text(METHOD)).property(0x16, &text(&stage.token));
    stage.accepted(&connect).await
}

/// The body of an AUTH.
fn auth(code: u8, method: &str, token: &str) -> Vec<u8> {
    let mut body = vec![code];
    let properties = [&[0x15][..], &text(method), &[0x16], &text(token)].concat();
    put_properties(&properties, &mut body);
    body
}

#[tokio::test]
async fn mqtt_3_15_2_1_2_3_mqtt_4_12_0_5_mqtt_4_12_1_1_a_client_may_authenticate_anew_with_the_same_method()
 {
    let stage = stage().await;
    let (mut peer, connack) = connected(&stage).await;
    assert_eq!(property(&connack.properties, 0x15), Some(text(METHOD)));
    peer.send(0xF0, &auth(0x19, METHOD, &stage.token)).await;
    let (first, body) = peer.receive().await.unwrap();
    assert_eq!((first, body[0]), (0xF0, 0));
    // The method and nothing else: no reason string, no user property.
    let properties = take_properties(&mut &body[1..]);
    assert_eq!(properties, [&[0x15][..], &text(METHOD)].concat());
    assert!(peer.is_quiet().await);
    let ended = stage.ended_on(&mut peer, 0xF0, &auth(0x19, "SCRAM", &stage.token)).await;
    assert_eq!(ended.farewell.unwrap().code, 0x82);
}

#[tokio::test]
async fn mqtt_3_15_2_1_an_auth_has_a_code_that_a_client_may_send() {
    let stage = stage().await;
    for code in (0..=0xFF).filter(|code| *code != 0x19) {
        let (mut peer, _) = connected(&stage).await;
        let ended = stage.ended_on(&mut peer, 0xF0, &auth(code, METHOD, &stage.token)).await;
        assert_eq!(ended.farewell.unwrap().code, 0x82, "{code:#x}");
    }
    for body in [&[][..], &[0x19], &[0x19, 0]] {
        let (mut peer, _) = connected(&stage).await;
        let ended = stage.ended_on(&mut peer, 0xF0, body).await;
        assert_eq!(ended.farewell.unwrap().code, 0x82, "{body:?}");
    }
}

#[tokio::test]
async fn mqtt_4_12_0_1_4_another_method_or_a_bad_token_is_refused() {
    let stage = stage().await;
    let without = Connect { password: None, ..stage.connect() };
    for method in ["SCRAM-SHA-1", "", "CARDATA-TOKEN"] {
        let connect = without.clone().property(0x15, &text(method));
        let connect = connect.property(0x16, &text(&stage.token));
        assert_eq!(refused(&stage, &connect.body()).await, 0x8C, "{method}");
    }
    let bad = without.property(0x15, &text(METHOD)).property(0x16, &text("wrong"));
    assert_eq!(refused(&stage, &bad.body()).await, 0x86);
}

#[tokio::test]
async fn mqtt_4_12_0_6_7_without_a_method_there_is_no_auth() {
    let stage = stage().await;
    let (mut peer, connack) = stage.accepted(&stage.connect()).await;
    assert_eq!(property(&connack.properties, 0x15), None);
    assert!(peer.is_quiet().await);
    assert_eq!(ended(&stage, 0xF0, &auth(0x19, METHOD, &stage.token)).await, 0x82);
}

#[tokio::test]
async fn mqtt_4_12_1_2_a_token_that_is_not_good_for_the_connection_ends_it() {
    let stage = stage().await;
    let bens = id_token(&stage.world, Person::Ben).await;
    let scopeless = stage
        .world
        .log_in(Person::Anna.client_id(), Person::Anna, SCOPES.split(' ').next().unwrap())
        .await;
    for token in ["wrong", "", &bens, &scopeless.access_token] {
        let (mut peer, _) = connected(&stage).await;
        let ended = stage.ended_on(&mut peer, 0xF0, &auth(0x19, METHOD, token)).await;
        assert_eq!(ended.reason, "reauthentication_failed");
        let farewell = ended.farewell.unwrap();
        assert!(farewell.code == 0x87 && farewell.reason.contains("token"), "{farewell:?}");
    }
}
