//! 3.2 CONNACK.

use cardata_mqtt::Version;

use super::{ALL, refused, stage};
use crate::profile::Profile;
use crate::stream::conformance::Stage;
use crate::stream::test_peer::{Connect, Will, property, text};
use crate::test_platform::Person;

#[tokio::test]
async fn mqtt_3_2_2_8_a_connack_has_a_code_of_the_specification() {
    let stage = stage().await;
    let good = stage.connect();
    let other_method = good.clone().property(0x15, &text("SCRAM-SHA-1"));
    let wrong = Connect { password: Some("wrong".to_owned()), ..good.clone() };
    let none = Connect { password: None, ..good.clone() };
    let bens = Connect { user_name: Some(Person::Ben.gcid().to_string()), ..good.clone() };
    let long = good.clone().client_id(&"x".repeat(300));
    for (connect, code) in
        [(other_method, 0x8C), (wrong, 0x86), (none, 0x86), (bens, 0x87), (long, 0x85)]
    {
        assert_eq!(refused(&stage, &connect.body()).await, code);
    }
    stage.world.pass(3600);
    assert_eq!(refused(&stage, &good.body()).await, 0x86, "the token expired");
}

#[tokio::test]
async fn mqtt_3_2_2_9_10_any_qos_is_supported_and_granted() {
    for profile in [Profile::open(), Profile::bmw()] {
        let stage = Stage::with(Version::V5, profile).await;
        for qos in 0..=2 {
            let (mut peer, connack) = stage.accepted(&stage.connect()).await;
            assert_eq!(property(&connack.properties, 0x24), None, "no Maximum QoS");
            assert_eq!(peer.subscribe(ALL, qos).await, qos);
        }
    }
}

#[tokio::test]
async fn mqtt_3_2_2_12_a_will_of_any_qos_is_taken() {
    let stage = stage().await;
    for qos in 0..=2 {
        let will = Some(will(qos, false));
        stage.accepted(&Connect { will, ..stage.connect() }).await;
    }
}

#[tokio::test]
async fn mqtt_3_2_2_13_where_nothing_is_retained_a_retained_will_is_refused() {
    for (profile, is_available) in [(Profile::open(), true), (Profile::bmw(), false)] {
        let stage = Stage::with(Version::V5, profile).await;
        let (_, connack) = stage.accepted(&stage.connect()).await;
        let available = property(&connack.properties, 0x25);
        assert_eq!(available, (!is_available).then(|| vec![0]));
        let connect = |retain| Connect { will: Some(will(0, retain)), ..stage.connect() };
        stage.accepted(&connect(false)).await;
        if is_available {
            stage.accepted(&connect(true)).await;
        } else {
            assert_eq!(refused(&stage, &connect(true).body()).await, 0x9A);
            // MQTT 3.1.1 has no words for it.
            let older = Connect { version: Version::V311, ..connect(true) };
            assert_eq!(stage.accepted(&older).await.1.code, 0);
        }
    }
}

fn will(qos: u8, retain: bool) -> Will {
    let (topic, payload) = ("anna/is/gone".to_owned(), "bye".to_owned());
    Will { qos, retain, properties: Vec::new(), topic, payload }
}

#[tokio::test]
async fn mqtt_3_2_2_20_mqtt_3_14_2_4_no_connack_or_disconnect_has_user_properties() {
    let stage = stage().await;
    let (mut peer, connack) = stage.accepted(&stage.connect()).await;
    assert_eq!(property(&connack.properties, 0x26), None);
    let wrong = Connect { password: Some("wrong".to_owned()), ..stage.connect() };
    let refused = stage.refused(&wrong.body()).await.connack.unwrap();
    assert_eq!(property(&refused.properties, 0x26), None);
    peer.send(0x00, &[]).await;
    let (first, body) = peer.receive().await.unwrap();
    assert_eq!((first, property(&body[2..], 0x26)), (0xE0, None));
}

#[tokio::test]
async fn mqtt_3_2_2_21_a_client_without_a_limit_is_told_the_servers() {
    let stage = stage().await;
    for (wanted, told) in [(0, Some(1200_u16)), (1201, Some(1200)), (1200, None), (1, None)] {
        let connect = Connect { keep_alive: wanted, ..stage.connect() };
        let (_, connack) = stage.accepted(&connect).await;
        let told = told.map(|seconds| seconds.to_be_bytes().to_vec());
        assert_eq!(property(&connack.properties, 0x13), told, "{wanted}");
    }
}
