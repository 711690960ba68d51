//! What faults on purpose do to connections, and what they must not do.

use cardata_mqtt::Version;
use serde_json::{Value, json};

use super::fleet::Fleet;
use crate::profile::Profile;
use crate::stream::test_peer::{
    ANNAS, Connect, Peer, SOC, add_container, delete_container, id_token, report, soc, world,
};
use crate::test_platform::{ADMIN_TOKEN, Person, World};

/// Begins a fault as the operator; gives its number.
async fn begin(world: &World, fault: Value) -> String {
    let answer = world.call("POST", "/admin/v1/faults", ADMIN_TOKEN, fault.to_string()).await;
    assert_eq!(answer.status.as_u16(), 201, "{}", answer.body);
    answer.json()["id"].to_string()
}

async fn end(world: &World, id: &str) {
    let path = format!("/admin/v1/faults/{id}");
    assert_eq!(world.call("DELETE", &path, ADMIN_TOKEN, "").await.status.as_u16(), 200);
}

/// Anna's client with a session that lasts and QoS 1, as `version` has it; whether there was a session.
async fn lasting(world: &World, version: Version, token: &str) -> (Peer, bool) {
    let connect = Connect::new(version, Person::Anna, token).clean(false);
    let connect = match version {
        Version::V5 => connect.property(0x11, &3600_u32.to_be_bytes()),
        Version::V311 => connect,
    };
    let (mut peer, connack) = Peer::connect_with(world, &connect).await;
    assert_eq!(connack.code, 0);
    if connack.flags == 0 {
        // Without the last values (retain handling 2), where that can be said.
        let options = if version == Version::V5 { 0x21 } else { 1 };
        assert_eq!(peer.subscribe(&format!("{}/+", Person::Anna.gcid()), options).await, 1);
    }
    (peer, connack.flags == 1)
}

#[tokio::test]
async fn a_connection_that_is_cut_in_place_of_a_message_gets_it_when_it_is_back() {
    for version in [Version::V311, Version::V5] {
        let world = world(Profile::open()).await;
        add_container(&world, Person::Anna, Person::Anna.client_id(), SOC).await;
        let token = id_token(&world, Person::Anna).await;
        let (mut peer, _) = lasting(&world, version, &token).await;
        begin(&world, json!({"kind": "drop-at-message", "times": 1})).await;
        report(&world, ANNAS, 1).await;
        assert_eq!(peer.farewell().await, None, "cut without a word");
        report(&world, ANNAS, 2).await;
        let (mut peer, present) = lasting(&world, version, &token).await;
        assert!(present);
        assert_eq!([peer.values().await, peer.values().await], [soc(1), soc(2)]);
    }
}

#[tokio::test]
async fn what_changes_places_or_comes_twice_is_acknowledged_as_ever() {
    for version in [Version::V311, Version::V5] {
        let world = world(Profile::open()).await;
        add_container(&world, Person::Anna, Person::Anna.client_id(), SOC).await;
        let token = id_token(&world, Person::Anna).await;
        let (mut peer, _) = lasting(&world, version, &token).await;
        begin(&world, json!({"kind": "reorder", "times": 1})).await;
        report(&world, ANNAS, 1).await;
        report(&world, ANNAS, 2).await;
        for expected in [2, 1] {
            let delivery = peer.delivery().await;
            assert_eq!((&delivery.values, delivery.qos), (&soc(expected), 1));
            peer.ack(&delivery).await;
        }
        begin(&world, json!({"kind": "duplicate", "times": 1})).await;
        report(&world, ANNAS, 3).await;
        let (copy, message) = (peer.delivery().await, peer.delivery().await);
        assert_eq!((copy.values, copy.qos, copy.duplicate), (soc(3), 0, false));
        assert_eq!((&message.values, message.qos, message.duplicate), (&soc(3), 1, false));
        peer.ack(&message).await;
        assert!(peer.is_quiet().await);
        peer.leave().await;
        let (mut peer, present) = lasting(&world, version, &token).await;
        assert!(present && peer.is_quiet().await, "all of it was acknowledged");
    }
}

#[tokio::test]
async fn what_is_held_back_is_not_sent_once_its_container_is_gone() {
    let world = world(Profile::open()).await;
    let id = add_container(&world, Person::Anna, Person::Anna.client_id(), SOC).await;
    let token = id_token(&world, Person::Anna).await;
    let (mut peer, _) = lasting(&world, Version::V311, &token).await;
    begin(&world, json!({"kind": "delay", "seconds": 1, "times": 1})).await;
    report(&world, ANNAS, 1).await;
    assert!(peer.is_quiet().await);
    delete_container(&world, Person::Anna, id).await;
    assert_eq!(peer.receive().await, None, "the end, and no message");
    let (mut peer, present) = lasting(&world, Version::V311, &token).await;
    assert!(present && peer.is_quiet().await);
}

#[tokio::test]
async fn a_connection_that_was_struck_stays_so_until_the_fault_ends_and_loses_nothing() {
    let world = world(Profile::open()).await;
    add_container(&world, Person::Anna, Person::Anna.client_id(), SOC).await;
    let token = id_token(&world, Person::Anna).await;
    let (mut peer, _) = lasting(&world, Version::V5, &token).await;
    let stale = begin(&world, json!({"kind": "stale-stream", "times": 1})).await;
    report(&world, ANNAS, 1).await;
    assert!(peer.is_quiet().await, "a ping is answered, and nothing else comes");
    end(&world, &stale).await;
    assert_eq!(peer.values().await, soc(1));
    let frozen = begin(&world, json!({"kind": "freeze", "mqtt_client_id": "peer"})).await;
    report(&world, ANNAS, 2).await;
    peer.send(0xC0, &[]).await;
    end(&world, &frozen).await;
    let both = [peer.receive().await.unwrap().0 & 0xF0, peer.receive().await.unwrap().0 & 0xF0];
    assert!(both.contains(&0x30) && both.contains(&0xD0), "{both:?}");
}

#[tokio::test]
async fn what_is_narrowed_to_one_customer_does_not_strike_a_fleet_that_reads_others_as_well() {
    let fleet = Fleet::consented().await;
    let mut peer = fleet.reading("reader").await;
    let gcid = Person::Anna.gcid().to_string();
    for kind in ["drop-at-message", "stale-stream", "drop", "delay", "refuse-subscribe"] {
        begin(&fleet.world, json!({"kind": kind, "gcid": gcid})).await;
    }
    report(&fleet.world, ANNAS, 1).await;
    assert_eq!(peer.values().await, soc(1));
}
