//! 3.12 PINGREQ, 3.14 DISCONNECT.

use super::{closed, stage};

#[tokio::test]
async fn mqtt_3_12_4_1_a_pingreq_gets_a_pingresp() {
    let stage = stage().await;
    let mut peer = stage.connected().await;
    for _ in 0..3 {
        peer.send(0xC0, &[]).await;
        assert_eq!(peer.receive().await, Some((0xD0, Vec::new())));
    }
    assert_eq!(closed(&stage, 0xC0, b"x").await, "malformed_packet");
}
