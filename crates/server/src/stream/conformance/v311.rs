//! MQTT 3.1.1.

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
    Stage::new(Version::V311).await
}

/// Why a good connection ends when this packet is sent; 3.1.1 closes without a word.
async fn closed(stage: &Stage, first: u8, body: &[u8]) -> String {
    let Ended { reason, farewell } = stage.ended(first, body).await;
    assert_eq!(farewell, None);
    reason
}

/// Why a connection ends when its CONNECT has this body, and the return code if there is a CONNACK.
async fn refused(stage: &Stage, body: &[u8]) -> (String, Option<u8>) {
    let Refused { reason, connack } = stage.refused(body).await;
    (reason, connack.map(|connack| connack.code))
}

/// Why a connection ends that is closed without a CONNACK when its CONNECT has this body.
async fn dropped(stage: &Stage, body: &[u8]) -> String {
    let (reason, code) = refused(stage, body).await;
    assert_eq!(code, None, "{body:?}");
    reason
}
