//! MQTT 5.0.

mod authentication;
mod connack;
mod connect;
mod data;
mod disconnect;
mod operation;
mod publish;
mod subscribe;
mod unsubscribe;

use cardata_mqtt::Version;

use super::{ALL, Ended, Refused, Stage, TOPIC};

async fn stage() -> Stage {
    Stage::new(Version::V5).await
}

/// The reason codes that say why a packet is not taken, and the words that metrics have for them.
const WORDS: [(u8, &str); 6] = [
    (0x81, "malformed_packet"),
    (0x82, "protocol_error"),
    (0x87, "publish_refused"),
    (0x8F, "topic_filter_invalid"),
    (0x94, "topic_alias_invalid"),
    (0x95, "packet_too_large"),
];

fn word(code: u8) -> &'static str {
    WORDS.iter().find(|(of, _)| *of == code).map_or("another one", |(_, word)| word)
}

/// The code of the DISCONNECT that ends a good connection when this packet is sent. It comes with a reason in words.
async fn ended(stage: &Stage, first: u8, body: &[u8]) -> u8 {
    let Ended { reason, farewell } = stage.ended(first, body).await;
    let farewell = farewell.expect("a DISCONNECT is expected");
    assert_eq!(reason, word(farewell.code), "{first:#x} {body:?}");
    assert!(!farewell.reason.is_empty(), "{first:#x} {body:?}");
    farewell.code
}

/// The code of the CONNACK that refuses a CONNECT with this body. It comes with a reason in words.
async fn refused(stage: &Stage, body: &[u8]) -> u8 {
    let Refused { reason, connack } = stage.refused(body).await;
    let connack = connack.expect("a CONNACK is expected");
    assert!(reason == word(connack.code) || reason == "connect_refused", "{reason}: {body:?}");
    assert_eq!(connack.flags, 0);
    let why = crate::stream::test_peer::property(&connack.properties, 0x1F);
    assert!(why.is_some_and(|why| why.len() > 2), "{connack:?}");
    connack.code
}
