//! What MQTT 5 adds.

use std::num::{NonZeroU16, NonZeroU32};
use std::time::Duration;

use bytes::Bytes;
use cardata_mqtt::packet::{Auth, Connect, Outgoing, Publish, RetainHandling, TopicAlias, Wanted};
use cardata_mqtt::session::ProtocolError;
use cardata_mqtt::{CloseReason, Packet, Qos, SubscribeRefusal, Version};

use crate::world::{Done, Kind, Signal, World, all, car, only};

const ID: NonZeroU16 = NonZeroU16::MIN;
const METHOD: &str = "cardata-token";

fn world(adjust: fn(&mut Connect)) -> World {
    let mut world = World::new();
    world.adjust = adjust;
    world
}

fn plain(connect: &mut Connect) {
    connect.version = Version::V5;
}

fn auth(method: &str) -> Auth {
    Auth { method: method.to_owned(), data: Bytes::from_static(b"fresh") }
}

/// The messages that were handed over since the last look.
fn published(world: &mut World) -> Vec<Publish> {
    let publish = |done| match done {
        Done::Sent(Outgoing::Publish(publish)) => Some(publish),
        _ => None,
    };
    world.done().into_iter().filter_map(publish).collect()
}

#[test]
fn a_session_is_kept_as_long_as_connect_says() {
    let mut world = world(|connect| {
        plain(connect);
        connect.session_expiry_seconds = 100;
    });
    world.connect(Kind::Persistent);
    assert_eq!(world.stored().unwrap().expiry_seconds, Some(100));
    world.cut();
    assert!(world.connect(Kind::Persistent));
}

#[test]
fn a_clean_start_begins_anew_and_is_kept_all_the_same() {
    let mut world = world(|connect| {
        plain(connect);
        connect.session_expiry_seconds = 100;
    });
    world.connect(Kind::Persistent);
    world.subscribe([(all(), 1)]);
    world.cut();
    world.adjust = |connect| {
        plain(connect);
        connect.clean_start = true;
        connect.session_expiry_seconds = 100;
    };
    assert!(!world.connect(Kind::Persistent));
    assert_eq!(world.stored().unwrap().subscriptions, []);
}

#[test]
fn a_disconnect_may_shorten_what_is_kept_and_not_begin_to_keep() {
    let disconnect = |seconds| Packet::Disconnect { session_expiry_seconds: Some(seconds) };
    let mut kept = world(|connect| {
        plain(connect);
        connect.session_expiry_seconds = 100;
    });
    kept.connect(Kind::Persistent);
    kept.handle(disconnect(0)).unwrap();
    assert!(!kept.is_connected());

    let mut clean = world(plain);
    clean.connect(Kind::Clean);
    assert_eq!(clean.handle(disconnect(100)), Err(ProtocolError::SessionExpiry));
}

#[test]
fn where_no_session_is_kept_a_client_that_wants_one_is_told() {
    let mut world = world(|connect| {
        plain(connect);
        connect.session_expiry_seconds = 100;
    });
    world.keeps_sessions = false;
    world.connect(Kind::Persistent);
    let done = world.done();
    let [Done::Sent(Outgoing::ConnAck(connack))] = &done[..] else { panic!("{done:?}") };
    assert_eq!(connack.session_expiry_seconds, Some(0));
}

#[test]
fn no_more_deliveries_wait_than_the_client_takes() {
    let mut world = world(|connect| {
        plain(connect);
        connect.receive_max = NonZeroU16::new(2).unwrap();
    });
    world.connect(Kind::Persistent);
    world.subscribe([(all(), 1)]);
    for _ in 0..5 {
        world.append(car(1), &[Signal::ALL[0]]);
    }
    world.settle();
    assert_eq!(published(&mut world).len(), 2);
    world.receive(2);
    world.ack_all();
    world.settle();
    assert_eq!(published(&mut world).len(), 2);
}

#[test]
fn a_message_that_is_too_large_for_the_client_is_left_out_and_counts_as_delivered() {
    let mut world = world(|connect| {
        plain(connect);
        connect.packet_size_max = 20;
    });
    world.connect(Kind::Persistent);
    world.subscribe([(all(), 1)]);
    world.done();
    world.append(car(1), &[Signal::ALL[0]]);
    world.settle();
    let done = world.done();
    assert!(done.iter().any(|done| matches!(done, Done::Moved(..))), "{done:?}");
    assert!(!done.iter().any(|done| matches!(done, Done::Sent(_))), "{done:?}");
    assert_eq!(world.oversized(), 1);
}

#[test]
fn a_topic_is_named_once_for_each_alias_that_the_client_takes() {
    let mut world = world(|connect| {
        plain(connect);
        connect.topic_alias_max = 1;
    });
    world.connect(Kind::Clean);
    world.subscribe([(all(), 0)]);
    for vin in [car(1), car(1), car(2)] {
        world.append(vin, &[Signal::ALL[0]]);
    }
    world.settle();
    let alias = |known| Some(TopicAlias { number: ID, known });
    let aliases: Vec<_> = published(&mut world).iter().map(|publish| publish.alias).collect();
    assert_eq!(aliases, [alias(false), alias(true), None]);
}

#[test]
fn a_message_carries_the_identifiers_of_all_subscriptions_that_match() {
    let mut world = world(plain);
    world.connect(Kind::Clean);
    world.identifier = NonZeroU32::new(1);
    world.subscribe([(all(), 0)]);
    world.identifier = NonZeroU32::new(2);
    world.subscribe([(only(car(1)), 0)]);
    for vin in [car(1), car(2)] {
        world.append(vin, &[Signal::ALL[0]]);
    }
    world.settle();
    let numbers =
        |publish: &Publish| publish.identifiers.iter().map(|one| one.get()).collect::<Vec<_>>();
    let identifiers: Vec<_> = published(&mut world).iter().map(numbers).collect();
    assert_eq!(identifiers, [vec![1, 2], vec![1]]);
}

#[test]
fn the_server_says_why_it_ends_a_connection() {
    let mut newer = world(plain);
    newer.connect(Kind::Clean);
    newer.done();
    newer.close(CloseReason::ServerStopping);
    let last_words = Done::Sent(Outgoing::Disconnect(CloseReason::ServerStopping));
    assert_eq!(newer.done(), [last_words, Done::Closed(CloseReason::ServerStopping)]);

    let mut older = World::new();
    older.connect(Kind::Clean);
    older.done();
    older.close(CloseReason::ServerStopping);
    assert_eq!(older.done(), [Done::Closed(CloseReason::ServerStopping)]);
}

#[test]
fn a_publish_is_refused_with_a_code_where_there_is_an_answer_to_put_it_in() {
    let mut world = world(plain);
    world.connect(Kind::Clean);
    world.done();
    for qos in [Qos::AtLeastOnce, Qos::ExactlyOnce] {
        world.handle(Packet::Publish { packet_id: Some(ID), qos }).unwrap();
        assert_eq!(world.done(), [Done::Sent(Outgoing::PublishRefused { packet_id: ID, qos })]);
    }
    let unanswered = Packet::Publish { packet_id: None, qos: Qos::AtMostOnce };
    assert_eq!(world.handle(unanswered), Err(ProtocolError::PublishRefused));
}

#[test]
fn a_shared_subscription_is_refused_as_such() {
    let mut world = world(plain);
    world.connect(Kind::Clean);
    world.done();
    let filter = format!("$share/group/{}", all());
    let filters =
        vec![Wanted { filter, qos: Qos::AtMostOnce, retain_handling: RetainHandling::Always }];
    world.handle(Packet::Subscribe { packet_id: ID, filters, identifier: None }).unwrap();
    let granted = vec![Err(SubscribeRefusal::SharedNotSupported)];
    assert_eq!(world.done(), [Done::Sent(Outgoing::SubAck { packet_id: ID, granted })]);
}

#[test]
fn a_fresh_token_keeps_the_stream_open_past_the_old_ones_end() {
    let mut world = world(|connect| {
        plain(connect);
        connect.keep_alive_seconds = 0;
        connect.auth = Some(auth(METHOD));
    });
    world.limits.keep_alive_seconds_max = u16::MAX;
    world.connect(Kind::Clean);
    world.done();
    world.handle(Packet::Auth(auth(METHOD))).unwrap();
    assert_eq!(world.done(), [Done::Asked(auth(METHOD))]);
    let lifetime = world.token_lifetime;
    let nearly = lifetime.checked_sub(Duration::from_secs(1)).unwrap();
    world.pass(nearly);
    world.reauthenticated(lifetime);
    assert_eq!(world.done(), [Done::Sent(Outgoing::AuthSuccess { method: METHOD.to_owned() })]);
    world.pass(nearly);
    assert!(world.is_connected());
    world.pass(Duration::from_secs(1));
    assert!(!world.is_connected());
}

#[test]
fn a_fresh_token_comes_with_the_method_of_the_connect() {
    let mut without = world(plain);
    without.connect(Kind::Clean);
    assert_eq!(without.handle(Packet::Auth(auth(METHOD))), Err(ProtocolError::OtherAuthMethod));

    let mut with = world(|connect| {
        plain(connect);
        connect.auth = Some(auth(METHOD));
    });
    with.connect(Kind::Clean);
    assert_eq!(with.handle(Packet::Auth(auth("SCRAM"))), Err(ProtocolError::OtherAuthMethod));
}

/// A stream that goes on for weeks must not show a car that was sold in between.
#[test]
fn with_a_fresh_token_the_vehicles_are_those_of_now() {
    let mut world = world(|connect| {
        plain(connect);
        connect.auth = Some(auth(METHOD));
    });
    world.vehicles = vec![car(1), car(2)];
    world.connect(Kind::Persistent);
    world.subscribe([(all(), 1)]);
    world.append(car(1), &[Signal::Soc]);
    world.settle();
    assert_eq!(world.got(), ["1"]);
    world.handle(Packet::Auth(auth(METHOD))).unwrap();
    world.vehicles = vec![car(2), car(3)];
    let lifetime = world.token_lifetime;
    world.reauthenticated(lifetime);
    for number in 1..=3 {
        world.append(car(number), &[Signal::Soc]);
    }
    world.settle();
    assert_eq!(world.got(), ["3", "4"]);
}
