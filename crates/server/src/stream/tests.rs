//! The listener's connections over a pipe: real bytes, real stores, no socket.

mod catching_up;
mod faults;
pub(crate) mod fleet;
mod hostile;

use std::sync::Arc;
use std::time::Duration;

use cardata_contract::stream::parse;
use cardata_domain::consent::{ConsentId, EndReason};
use cardata_domain::ledger::Actor;
use cardata_domain::session::{SessionKey, StoredSession};
use cardata_domain::{Sequence, Vin};
use cardata_mqtt::Version;
use metrics_exporter_prometheus::PrometheusBuilder;

use super::connection;
use super::test_peer::{
    ANNAS, BENS, Connect, Delivery, ODOMETER, Packet, Peer, SHARED, SOC, add_container,
    delete_container, id_token, odometer, put_properties, put_text, report, soc, text, world,
};
use crate::attempts;
use crate::endings;
use crate::profile::{Connections, Profile};
use crate::test_platform::{LIMITS, Person, SCOPES, START, World, third_party};

/// The session that `person`'s own client has under this MQTT client identifier.
fn session_key(person: Person, mqtt_client_id: &str) -> SessionKey {
    SessionKey {
        gcid: Some(person.gcid()),
        client_id: person.client_id(),
        mqtt_client_id: mqtt_client_id.into(),
    }
}

#[tokio::test]
async fn a_connect_gets_the_return_code_of_its_reason() {
    let world = world(Profile::open()).await;
    let anna = Person::Anna.gcid().to_string();
    let tokens = world.log_in(Person::Anna.client_id(), Person::Anna, SCOPES).await;
    let scopeless =
        world.log_in(Person::Anna.client_id(), Person::Anna, "openid cardata:api:read").await;
    let bens = id_token(&world, Person::Ben).await;
    let unsigned = format!("{}.", tokens.id_token.rsplit_once('.').unwrap().0);
    let cases = [
        ("an id token", anna.as_str(), tokens.id_token.as_str(), 0),
        ("an access token", &anna, &tokens.access_token, 0),
        (
            "a user name that goes on after the GCID",
            &format!("{anna}/anna@example.com"),
            &tokens.id_token,
            0,
        ),
        ("garbage", &anna, "garbage", 4),
        ("no token", &anna, "", 4),
        ("a token without its signature", &anna, &unsigned, 4),
        ("a refresh token", &anna, &tokens.refresh_token, 4),
        ("no streaming scope", &anna, &scopeless.id_token, 5),
        ("another customer's token", &anna, &bens, 5),
        ("no user name", "", &tokens.id_token, 5),
    ];
    for (what, user, token, expected) in cases {
        let (mut peer, code, present) = Peer::connect(&world, user, token, "", true).await;
        assert_eq!((code, present), (expected, false), "{what}");
        if code > 0 {
            assert_eq!(peer.receive().await, None, "{what}: the server closes after a refusal");
        }
    }
    world.pass(3600);
    let (_, code, _) = Peer::connect(&world, &anna, &tokens.id_token, "", true).await;
    assert_eq!(code, 4, "expired");
}

#[tokio::test]
async fn other_protocol_versions_are_refused_in_their_own_words() {
    let world = world(Profile::open()).await;
    let refused: [(&[u8], Packet); 2] = [
        (b"\0\x06MQIsdp\x03\x02\0\x1e\0\x04abcd", (0x20, vec![0, 1])),
        (b"\0\x04MQTT\x04\0\0\x1e\0\0", (0x20, vec![0, 2])),
    ];
    for (connect, answer) in refused {
        let mut peer = Peer::open(&world);
        peer.send(0x10, connect).await;
        assert_eq!(peer.receive().await, Some(answer));
        assert_eq!(peer.receive().await, None);
    }
}

#[tokio::test]
async fn an_address_that_connects_too_often_is_told_to_wait_whatever_its_token_and_others_are_let_in()
 {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let world = world(Profile::open()).await;
    let token = id_token(&world, Person::Anna).await;
    let connect = async |address, token: &str| {
        let connect = Connect::new(Version::V311, Person::Anna, token);
        Peer::open_from(&world, address).introduce(&connect).await.unwrap().code
    };
    let (here, there) = ([192, 0, 2, 1], [192, 0, 2, 2]);
    for _ in 0..LIMITS.connects_per_minute {
        assert_eq!(connect(here, "garbage").await, 4);
    }
    assert_eq!([connect(here, "garbage").await, connect(here, &token).await], [3, 3]);
    assert_eq!(connect(there, &token).await, 0);
    let mut peer = Peer::open_from(&world, here);
    let connack = peer.introduce(&Connect::new(Version::V5, Person::Anna, &token)).await.unwrap();
    assert_eq!(connack.code, 0x97);
    assert!(String::from_utf8_lossy(&connack.properties).contains("wait a minute"));
    let metrics = recorder.handle().render();
    assert!(metrics.contains("mqtt_rate_limited_total{at=\"connect\"} 3"), "{metrics}");
    assert_eq!(peer.receive().await, None);
    world.pass(60);
    assert_eq!(connect(here, &token).await, 0);
}

#[tokio::test]
async fn each_client_sees_its_own_containers_of_its_own_customer_and_nothing_else() {
    let world = world(Profile::open()).await;
    add_container(&world, Person::Anna, Person::Anna.client_id(), SOC).await;
    add_container(&world, Person::Anna, third_party(), ODOMETER).await;
    add_container(&world, Person::Ben, Person::Ben.client_id(), SOC).await;
    let third = world.log_in(third_party(), Person::Anna, SCOPES).await.id_token;
    let (anna, ben) = (id_token(&world, Person::Anna).await, id_token(&world, Person::Ben).await);
    let (mut annas, _) = Peer::connected(&world, Person::Anna, &anna, "same id", true).await;
    let (mut thirds, _) = Peer::connected(&world, Person::Anna, &third, "same id", true).await;
    let (mut bens, _) = Peer::connected(&world, Person::Ben, &ben, "same id", true).await;
    for (peer, person) in
        [(&mut annas, Person::Anna), (&mut thirds, Person::Anna), (&mut bens, Person::Ben)]
    {
        assert_eq!(peer.subscribe(&format!("{}/+", person.gcid()), 0).await, 0);
    }

    report(&world, ANNAS, 1).await;
    report(&world, SHARED, 2).await;
    report(&world, BENS, 3).await;
    let first = annas.delivery().await;
    assert_eq!((first.topic, first.values), (format!("{}/{ANNAS}", Person::Anna.gcid()), soc(1)));
    assert_eq!(thirds.values().await, odometer(1));
    assert_eq!([bens.values().await, bens.values().await], [soc(2), soc(3)]);
    for peer in [&mut annas, &mut thirds, &mut bens] {
        assert!(peer.is_quiet().await);
    }
}

#[tokio::test]
async fn filters_beyond_the_own_vehicles_are_refused_one_by_one() {
    let world = world(Profile::open()).await;
    let token = id_token(&world, Person::Anna).await;
    let (mut peer, _) = Peer::connected(&world, Person::Anna, &token, "", true).await;
    let (anna, ben) = (Person::Anna.gcid(), Person::Ben.gcid());
    let refused = [
        "#".to_owned(),
        "+/+".to_owned(),
        ANNAS.to_owned(),
        format!("{ben}/+"),
        format!("{ben}/{BENS}"),
        format!("{anna}/{BENS}"),
        format!("{anna}/{SHARED}"),
        format!("{anna}/WBY00000000000009"),
    ];
    for filter in refused {
        assert_eq!(peer.subscribe(&filter, 1).await, 0x80, "{filter}");
    }
    assert_eq!(peer.subscribe(&format!("{anna}/{ANNAS}"), 2).await, 2);
    assert!(peer.is_quiet().await);
}

#[tokio::test]
async fn a_change_of_containers_takes_effect_from_the_next_event_on() {
    let world = world(Profile::open()).await;
    let token = id_token(&world, Person::Anna).await;
    let (mut peer, _) = Peer::connected(&world, Person::Anna, &token, "", true).await;
    peer.subscribe(&format!("{}/#", Person::Anna.gcid()), 1).await;
    report(&world, ANNAS, 1).await;
    assert!(peer.is_quiet().await);

    let charge = add_container(&world, Person::Anna, Person::Anna.client_id(), SOC).await;
    report(&world, ANNAS, 2).await;
    assert_eq!(peer.values().await, soc(2));

    add_container(&world, Person::Anna, Person::Anna.client_id(), ODOMETER).await;
    delete_container(&world, Person::Anna, charge).await;
    report(&world, ANNAS, 3).await;
    assert_eq!(peer.values().await, odometer(3));
}

#[tokio::test]
async fn a_persistent_session_gets_what_it_missed_and_first_what_it_did_not_acknowledge() {
    let world = world(Profile::open()).await;
    add_container(&world, Person::Anna, Person::Anna.client_id(), SOC).await;
    let token = id_token(&world, Person::Anna).await;
    let (mut peer, present) = Peer::connected(&world, Person::Anna, &token, "keeper", false).await;
    assert!(!present);
    peer.subscribe(&format!("{}/+", Person::Anna.gcid()), 1).await;
    for number in 1..=3 {
        report(&world, ANNAS, number).await;
    }
    let first = peer.delivery().await;
    let second = peer.delivery().await;
    assert_eq!((&first.values, &second.values), (&soc(1), &soc(2)));
    assert_eq!(peer.values().await, soc(3));
    peer.ack(&first).await;
    // The answer to a PINGREQ shows that the server has read what came before.
    assert!(peer.is_quiet().await);
    drop(peer);
    report(&world, ANNAS, 4).await;

    let (mut peer, present) = Peer::connected(&world, Person::Anna, &token, "keeper", false).await;
    assert!(present);
    let again = peer.delivery().await;
    assert_eq!(again, Delivery { duplicate: true, ..second });
    assert_eq!((peer.values().await, peer.values().await), (soc(3), soc(4)));
    drop(peer);

    // A clean session ends it. [MQTT-3.1.2-6]
    let (peer, present) = Peer::connected(&world, Person::Anna, &token, "keeper", true).await;
    assert!(!present);
    drop(peer);
    let (mut peer, present) = Peer::connected(&world, Person::Anna, &token, "keeper", false).await;
    assert!(!present);
    report(&world, ANNAS, 5).await;
    assert!(peer.is_quiet().await);
}

#[tokio::test]
async fn the_same_session_is_taken_over_and_loses_nothing() {
    let world = world(Profile::open()).await;
    add_container(&world, Person::Anna, Person::Anna.client_id(), SOC).await;
    let token = id_token(&world, Person::Anna).await;
    let (mut first, _) = Peer::connected(&world, Person::Anna, &token, "keeper", false).await;
    first.subscribe(&format!("{}/+", Person::Anna.gcid()), 1).await;
    report(&world, ANNAS, 1).await;
    let unacknowledged = first.delivery().await;
    let (mut second, present) =
        Peer::connected(&world, Person::Anna, &token, "keeper", false).await;
    assert!(present);
    assert_eq!(first.receive().await, None);
    assert_eq!(second.delivery().await, Delivery { duplicate: true, ..unacknowledged });
}

#[tokio::test]
async fn a_peer_that_stopped_reading_does_not_keep_its_successor_waiting() {
    let world = world(Profile::open()).await;
    add_container(&world, Person::Anna, Person::Anna.client_id(), SOC).await;
    let token = id_token(&world, Person::Anna).await;
    let (mut stuck, _) = Peer::connected(&world, Person::Anna, &token, "laptop", true).await;
    stuck.subscribe(&format!("{}/+", Person::Anna.gcid()), 0).await;
    // More than the pipe and the server's buffer hold.
    for number in 0..1000 {
        report(&world, ANNAS, number).await;
    }
    let (mut next, _) = Peer::connected(&world, Person::Anna, &token, "laptop", true).await;
    assert!(next.is_quiet().await);
}

#[tokio::test]
async fn acknowledged_cursors_reach_the_directory() {
    let world = world(Profile::open()).await;
    add_container(&world, Person::Anna, Person::Anna.client_id(), SOC).await;
    let token = id_token(&world, Person::Anna).await;
    let (mut peer, _) = Peer::connected(&world, Person::Anna, &token, "keeper", false).await;
    peer.subscribe(&format!("{}/+", Person::Anna.gcid()), 1).await;
    report(&world, ANNAS, 1).await;
    let delivery = peer.delivery().await;
    peer.ack(&delivery).await;
    assert!(peer.is_quiet().await);
    let platform = &world.platform;
    platform.cursors.flush(&*platform.directory, platform.journal.synced()).await.unwrap();
    let key = session_key(Person::Anna, "keeper");
    let stored = platform.directory.session(&key, START).await.unwrap().unwrap();
    let vin: Vin = ANNAS.parse().unwrap();
    assert_eq!(stored.cursors, [(vin, platform.journal.head(vin))]);
}

#[tokio::test]
async fn what_a_client_may_not_send_ends_its_connection_and_no_other() {
    let world = world(Profile::open()).await;
    let token = id_token(&world, Person::Anna).await;
    let (mut bystander, _) = Peer::connected(&world, Person::Anna, &token, "bystander", true).await;
    let publish = format!("\0\x36{}/{ANNAS}{{}}", Person::Anna.gcid());
    let offences: [(u8, &[u8]); 5] = [
        (0x30, publish.as_bytes()),
        (0x10, b"\0\x04MQTT\x04\x02\0\x1e\0\x04abcd"),
        (0x82, b"\0\x01"),
        (0x20, b"\0\0"),
        (0xF0, b""),
    ];
    for (first, body) in offences {
        let (mut peer, _) = Peer::connected(&world, Person::Anna, &token, "offender", true).await;
        peer.send(first, body).await;
        assert_eq!(peer.receive().await, None, "{first:#x}");
    }
    let mut stranger = Peer::open(&world);
    stranger.send(0x82, b"\0\x01\0\x01#\0").await;
    assert_eq!(stranger.receive().await, None, "SUBSCRIBE before CONNECT");
    assert!(bystander.is_quiet().await);
}

#[tokio::test]
async fn an_ended_consent_ends_the_stream_and_the_session_does_not_come_back_with_it() {
    let world = world(Profile::open()).await;
    let token = id_token(&world, Person::Anna).await;
    let (mut peer, _) = Peer::connected(&world, Person::Anna, &token, "keeper", false).await;
    let platform: &Arc<_> = &world.platform;
    let consent: ConsentId =
        crate::gcdm::verify::id_token(platform, &token).await.unwrap().consent_id;
    let consent = platform.directory.consent(consent).await.unwrap().unwrap();
    let (why, actor) = (EndReason::Customer, Actor::Customer);
    let ending = endings::end_consents(platform, vec![consent], why, actor);
    // The peer reads meanwhile, as real ones do.
    let (ended, last) = tokio::join!(ending, peer.receive());
    assert_eq!((ended.unwrap().streams, last), (1, None));
    let key = SessionKey {
        gcid: Some(Person::Anna.gcid()),
        client_id: Person::Anna.client_id(),
        mqtt_client_id: "keeper".into(),
    };
    assert_eq!(
        platform.directory.session(&key, START).await.unwrap(),
        None,
        "its backlog ends, too"
    );
    let (_, code, _) =
        Peer::connect(&world, &Person::Anna.gcid().to_string(), &token, "keeper", false).await;
    assert_eq!(code, 4);
}

#[tokio::test]
async fn a_connection_ends_when_its_token_does() {
    let world = world(Profile::open()).await;
    let token = id_token(&world, Person::Anna).await;
    world.pass(3599);
    let (mut peer, _) = Peer::connected(&world, Person::Anna, &token, "", true).await;
    assert_eq!(peer.receive().await, None);
}

#[tokio::test]
async fn one_connection_for_each_customer_evicts_the_first_one() {
    for version in [Version::V311, Version::V5] {
        let recorder = PrometheusBuilder::new().build_recorder();
        let _recording = metrics::set_default_local_recorder(&recorder);
        let world = world(Profile::bmw()).await;
        let token = id_token(&world, Person::Anna).await;
        let connect = Connect::new(version, Person::Anna, &token);
        let (mut first, _) = Peer::connect_with(&world, &connect.clone().client_id("one")).await;
        let (mut second, connack) =
            Peer::connect_with(&world, &connect.clone().client_id("other")).await;
        assert_eq!(connack.code, 0);
        let told = first.farewell().await.map(|farewell| (farewell.code, farewell.reason));
        let reason = "another connection took this one's place".to_owned();
        // 3.1.1 has no words for it.
        assert_eq!(told, (version == Version::V5).then_some((0x8E, reason)));
        assert!(second.is_quiet().await);
        let metrics = recorder.handle().render();
        assert!(metrics.contains("cardata_mqtt_closed_total{reason=\"evicted\"} 1"), "{metrics}");
    }
}

#[tokio::test]
async fn one_connection_for_each_customer_refuses_the_second_one_if_it_is_to() {
    for (version, refusal) in [(Version::V311, 5), (Version::V5, 0x87)] {
        let recorder = PrometheusBuilder::new().build_recorder();
        let _recording = metrics::set_default_local_recorder(&recorder);
        let refusing = Profile { connections: Connections::OnePerCustomerRefuse, ..Profile::bmw() };
        let world = world(refusing).await;
        let token = id_token(&world, Person::Anna).await;
        let connect = Connect::new(version, Person::Anna, &token);
        let (mut first, _) = Peer::connect_with(&world, &connect.clone().client_id("one")).await;
        let (mut second, connack) =
            Peer::connect_with(&world, &connect.clone().client_id("other")).await;
        assert_eq!(connack.code, refusal);
        let why = String::from_utf8_lossy(&connack.properties);
        assert_eq!(why.contains("end one of them first"), version == Version::V5, "{why}");
        assert_eq!(second.receive().await, None);
        assert!(first.is_quiet().await);
        let metrics = recorder.handle().render();
        let counted = "cardata_mqtt_connects_total{outcome=\"refused\",code=\"5\"} 1";
        assert!(metrics.contains(counted), "{metrics}");
        assert!(!metrics.contains("evicted"), "{metrics}");

        // The same session is no second one, and a place is free once its connection is gone.
        let (again, connack) = Peer::connect_with(&world, &connect.clone().client_id("one")).await;
        assert_eq!(connack.code, 0);
        drop(first);
        again.leave().await;
        let (_, connack) = Peer::connect_with(&world, &connect.client_id("other")).await;
        assert_eq!(connack.code, 0);
    }
}

#[tokio::test]
async fn of_too_many_sessions_those_renewed_longest_ago_end_and_are_counted_and_forgotten() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let world = world(Profile { sessions_per_client: 2, ..Profile::open() }).await;
    add_container(&world, Person::Anna, Person::Anna.client_id(), SOC).await;
    let token = id_token(&world, Person::Anna).await;
    let platform = &world.platform;
    let vin: Vin = ANNAS.parse().unwrap();
    let is_kept = async |id| {
        let key = session_key(Person::Anna, id);
        platform.directory.session(&key, START).await.unwrap().is_some()
    };
    let surplus = || {
        let metrics = recorder.handle().render();
        let line = metrics.lines().find(|line| line.starts_with("cardata_mqtt_sessions_surplus"));
        line.map(|line| line.rsplit_once(' ').unwrap().1.to_owned())
    };
    // How far a session got that the directory does not know yet.
    let ahead = |id| {
        let nothing = StoredSession { cursors: vec![(vin, Sequence(0))], ..<_>::default() };
        platform.cursors.resume(&session_key(Person::Anna, id)).over(nothing).cursors[0].1
    };

    let (mut first, _) = Peer::connected(&world, Person::Anna, &token, "first", false).await;
    first.subscribe(&format!("{}/+", Person::Anna.gcid()), 1).await;
    report(&world, ANNAS, 1).await;
    let delivery = first.delivery().await;
    first.ack(&delivery).await;
    assert!(first.is_quiet().await);
    assert_eq!(ahead("first"), platform.journal.head(vin));

    let (second, _) = Peer::connected(&world, Person::Anna, &token, "second", false).await;
    second.leave().await;
    assert_eq!(surplus(), None);
    let (mut third, _) = Peer::connected(&world, Person::Anna, &token, "third", false).await;
    assert!(third.is_quiet().await);
    assert_eq!(surplus(), Some("1".to_owned()));
    assert!(!is_kept("first").await && is_kept("second").await && is_kept("third").await);
    assert_eq!(ahead("first"), Sequence(0));

    // Its connection goes on, and at its end the session takes the place of another one.
    report(&world, ANNAS, 2).await;
    let delivery = first.delivery().await;
    assert_eq!(delivery.values, soc(2));
    first.ack(&delivery).await;
    first.leave().await;
    assert_eq!(surplus(), Some("2".to_owned()));
    assert!(is_kept("first").await && !is_kept("second").await && is_kept("third").await);
    let (mut first, present) = Peer::connected(&world, Person::Anna, &token, "first", false).await;
    assert!(present);
    assert!(first.is_quiet().await, "nothing comes again");
}

#[tokio::test]
async fn the_strict_profile_sends_one_signal_a_message_with_qos_0_and_keeps_no_backlog() {
    let world = world(Profile::bmw()).await;
    for descriptor in [SOC, ODOMETER] {
        add_container(&world, Person::Anna, Person::Anna.client_id(), descriptor).await;
    }
    let token = id_token(&world, Person::Anna).await;
    let (mut peer, _) = Peer::connected(&world, Person::Anna, &token, "keeper", false).await;
    assert_eq!(peer.subscribe(&format!("{}/+", Person::Anna.gcid()), 1).await, 1);
    report(&world, ANNAS, 1).await;
    let deliveries = [peer.delivery().await, peer.delivery().await];
    assert_eq!(deliveries.each_ref().map(|delivery| delivery.packet_id), [None, None]);
    assert_eq!(deliveries.map(|delivery| delivery.values), [soc(1), odometer(1)]);
    drop(peer);
    report(&world, ANNAS, 2).await;
    let (mut peer, present) = Peer::connected(&world, Person::Anna, &token, "keeper", false).await;
    assert!(!present);
    assert!(peer.is_quiet().await);
}

#[tokio::test]
async fn a_stopping_server_ends_its_connections_and_keeps_what_they_acknowledged() {
    let world = world(Profile::open()).await;
    add_container(&world, Person::Anna, Person::Anna.client_id(), SOC).await;
    let token = id_token(&world, Person::Anna).await;
    let (mut peer, _) = Peer::connected(&world, Person::Anna, &token, "keeper", false).await;
    assert_eq!(peer.subscribe(&format!("{}/+", Person::Anna.gcid()), 1).await, 1);
    let vin: Vin = ANNAS.parse().unwrap();
    let platform = &world.platform;
    report(&world, ANNAS, 1).await;
    let acknowledged = platform.journal.head(vin);
    report(&world, ANNAS, 2).await;
    let first = peer.delivery().await;
    let second = peer.delivery().await;
    peer.ack(&first).await;
    assert!(peer.is_quiet().await);

    platform.tasks.drain(Duration::from_secs(10)).await;
    assert_eq!(peer.receive().await, None);
    assert_eq!(platform.router.connections(), 0);
    let key = session_key(Person::Anna, "keeper");
    let stored = platform.directory.session(&key, START).await.unwrap().unwrap();
    assert!(acknowledged < platform.journal.head(vin));
    assert_eq!(stored.cursors, [(vin, acknowledged)]);
    let unfinished = stored.left.unwrap().unfinished;
    let unfinished: Vec<_> = unfinished.iter().map(|delivery| delivery.packet_id.get()).collect();
    assert_eq!(unfinished, [second.packet_id.unwrap()]);
}

/// A CONNECT of MQTT 5: client identifier, password, session expiry, and what AUTH carries. Gives the CONNACK's body.
async fn connect_5(
    world: &World,
    id: &str,
    token: &str,
    expiry: u32,
    auth: Option<&str>,
) -> (Peer, Vec<u8>) {
    let mut connect = Connect::new(Version::V5, Person::Anna, token)
        .client_id(id)
        .clean(false)
        .property(0x11, &expiry.to_be_bytes());
    if let Some(token) = auth {
        connect = connect.property(0x15, &text("cardata-token")).property(0x16, &text(token));
    }
    let (peer, connack) = Peer::connect_with(world, &connect).await;
    (peer, [&[connack.flags, connack.code][..], &connack.properties].concat())
}

fn auth_properties(method: &str, token: &str) -> Vec<u8> {
    [&[0x15][..], &text(method), &[0x16], &text(token)].concat()
}

#[tokio::test]
async fn mqtt_5_says_why_it_refuses_and_what_it_has_not() {
    let world = world(Profile::open()).await;
    let token = id_token(&world, Person::Anna).await;
    let (_peer, connack) = connect_5(&world, "", &token, 0, None).await;
    assert_eq!(connack[..2], [0, 0]);
    let text = String::from_utf8_lossy(&connack);
    assert!(text.contains("assigned-"), "the chosen client identifier is told");

    let (mut peer, connack) = connect_5(&world, "a", "garbage", 0, None).await;
    assert_eq!(connack[..2], [0, 0x86]);
    assert!(String::from_utf8_lossy(&connack).contains("not genuine"));
    assert_eq!(peer.receive().await, None);
}

#[tokio::test]
async fn mqtt_5_streams_and_says_why_it_ends() {
    let world = world(Profile::open()).await;
    add_container(&world, Person::Anna, Person::Anna.client_id(), SOC).await;
    let token = id_token(&world, Person::Anna).await;
    let (mut peer, _) = connect_5(&world, "a", &token, 0, None).await;
    let mut body = b"\0\x01\0".to_vec();
    put_text(&format!("{}/+", Person::Anna.gcid()), &mut body);
    body.push(1);
    put_text(&format!("{}/+", Person::Ben.gcid()), &mut body);
    body.push(1);
    peer.send(0x82, &body).await;
    let (first, body) = peer.receive().await.unwrap();
    assert!(first == 0x90 && body.ends_with(&[1, 0x87]), "{body:?}");
    let why = String::from_utf8_lossy(&body);
    assert!(why.contains("of your own vehicles"), "{why}");
    report(&world, ANNAS, 7).await;
    let (first, body) = peer.receive().await.unwrap();
    assert_eq!((first, &body[56..59]), (0x32, &[0, 1, 0][..]), "QoS 1, packet id 1, no properties");
    let payload: serde_json::Value = serde_json::from_slice(&body[59..]).unwrap();
    assert_eq!(payload["data"][SOC]["value"], 7);

    let consent = crate::gcdm::verify::id_token(&world.platform, &token).await.unwrap().consent_id;
    world.platform.directory.end_consent(consent, START, EndReason::Customer).await.unwrap();
    assert_eq!(world.platform.router.close_consent(consent).len(), 1);
    let (first, body) = peer.receive().await.unwrap();
    assert_eq!((first, body[0]), (0xE0, 0x87));
    assert_eq!(peer.receive().await, None);
}

#[tokio::test]
async fn mqtt_5_takes_a_fresh_token_without_a_gap_and_refuses_a_strangers() {
    let world = world(Profile::open()).await;
    let client = Person::Anna.client_id();
    let tokens = world.log_in(client, Person::Anna, SCOPES).await;
    let refresh = async |token: &str| {
        let client_id = client.to_string();
        let form = [
            ("client_id", client_id.as_str()),
            ("grant_type", "refresh_token"),
            ("refresh_token", token),
        ];
        world.post_form("/gcdm/oauth/token", &form).await.tokens()
    };
    let (mut peer, connack) = connect_5(&world, "a", "", 0, Some(&tokens.id_token)).await;
    assert_eq!(connack[..2], [0, 0]);
    world.pass(3000);
    let fresh = refresh(&tokens.refresh_token).await;
    let reauthenticate = |token: &str| {
        let mut body = vec![0x19];
        put_properties(&auth_properties("cardata-token", token), &mut body);
        body
    };
    peer.send(0xF0, &reauthenticate(&fresh.id_token)).await;
    let (first, body) = peer.receive().await.unwrap();
    assert_eq!((first, body[0]), (0xF0, 0));
    assert!(peer.is_quiet().await);

    let strangers = id_token(&world, Person::Ben).await;
    peer.send(0xF0, &reauthenticate(&strangers)).await;
    let (first, body) = peer.receive().await.unwrap();
    assert_eq!((first, body[0]), (0xE0, 0x87));
    assert_eq!(peer.receive().await, None);
}

#[tokio::test]
async fn mqtt_5_keeps_a_session_as_long_as_it_was_asked_to() {
    let world = world(Profile::open()).await;
    let token = id_token(&world, Person::Anna).await;
    let present = async |expiry| {
        let (mut peer, connack) = connect_5(&world, "keeper", &token, expiry, None).await;
        assert_eq!(connack[1], 0);
        peer.send(0xE0, &[]).await;
        assert_eq!(peer.receive().await, None);
        connack[0]
    };
    assert_eq!(present(100).await, 0);
    world.pass(99);
    assert_eq!(present(100).await, 1);
    world.pass(100);
    assert_eq!(present(100).await, 0);
    // With no expiry, the session ends with the connection.
    assert_eq!(present(0).await, 1);
    assert_eq!(present(100).await, 0);
}

#[tokio::test]
async fn a_connection_that_waits_takes_little_room() {
    let world = world(Profile::open()).await;
    let (_, stream) = tokio::io::duplex(64);
    let platform = world.platform.clone();
    let from = attempts::Peer::new([192, 0, 2, 1].into());
    let serving = connection::serve(platform.clone(), stream, from, platform.tasks.stopping());
    // Each connection has this as long as it is open, whatever it does; what is rare and large belongs into a box.
    let size = size_of_val(&serving);
    assert!(size <= 2048, "{size}");
}

/// A vehicle reports the numbers up to `count` as its state of charge, all in one go.
async fn report_many(world: &World, vin: &str, count: u32) {
    let at = "2026-07-27T12:37:58Z";
    let events = (1..=count).map(|number| {
        let json = format!(
            r#"{{"vin":"{vin}","timestamp":"{at}","data":{{"{SOC}":{{"timestamp":"{at}","value":{number}}}}}}}"#
        );
        parse(json.as_bytes(), &world.platform.catalogue).unwrap().event
    });
    world.platform.journal.append(events.collect(), START).await.unwrap();
}

#[tokio::test]
async fn events_that_come_all_at_once_go_out_one_by_one_also_where_they_do_not_fit_the_mailbox() {
    for count in [64, 65, 66, 300] {
        let world = world(Profile::open()).await;
        add_container(&world, Person::Anna, Person::Anna.client_id(), SOC).await;
        let token = id_token(&world, Person::Anna).await;
        let (mut peer, _) = Peer::connected(&world, Person::Anna, &token, "", true).await;
        peer.subscribe(&format!("{}/+", Person::Anna.gcid()), 1).await;
        report_many(&world, ANNAS, count).await;
        for number in 1..=count {
            let delivery = peer.delivery().await;
            assert_eq!(delivery.values, soc(number.into()));
            peer.ack(&delivery).await;
        }
        assert!(peer.is_quiet().await);
    }
}
