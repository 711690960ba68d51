//! QoS 2: each message once, over disconnects and restarts (§4.3.3).

use std::num::NonZeroU16;

use cardata_domain::Sequence;
use cardata_mqtt::packet::Outgoing;
use cardata_mqtt::{CloseReason, Packet, Qos};

use crate::world::{Done, Kind, Lookup, Signal, World, all, car};

/// A client that reads all vehicles with QoS 2.
fn subscribed() -> World {
    subscribed_in(World::new())
}

fn subscribed_in(mut world: World) -> World {
    world.connect(Kind::Persistent);
    world.subscribe([(all(), 2)]);
    world.done();
    world
}

fn append(world: &mut World, count: u64) {
    for _ in 0..count {
        world.append(car(1), &[Signal::Soc]);
    }
}

fn id(number: u16) -> NonZeroU16 {
    NonZeroU16::new(number).unwrap()
}

fn receive(world: &mut World, number: u16, refused: bool) {
    world.handle(Packet::PubRec { packet_id: id(number), refused }).unwrap();
}

fn release(number: u16) -> Done {
    Done::Sent(Outgoing::PubRel { packet_id: id(number), known: true })
}

fn moved(number: u64) -> Done {
    Done::Moved(car(1), Sequence(number))
}

#[test]
fn a_pubrec_is_answered_with_a_pubrel_and_makes_the_message_the_clients() {
    let mut world = subscribed();
    append(&mut world, 2);
    world.settle();
    let messages = world.received();
    assert!(messages.iter().all(|message| message.qos == Qos::ExactlyOnce && !message.duplicate));
    world.done();
    receive(&mut world, 1, false);
    assert_eq!(world.done(), [release(1), moved(1)]);
    receive(&mut world, 1, false);
    assert_eq!(world.done(), [release(1)], "once more, but nothing is acknowledged anew");
    world.handle(Packet::PubComp(id(1))).unwrap();
    assert_eq!(world.done(), []);
}

/// MQTT 5 §4.9: up to its PUBCOMP, a message counts.
#[test]
fn the_window_has_room_again_with_the_pubcomp() {
    let mut world = subscribed_in(World::with(cardata_domain::projection::Packing::Event, 1, 8));
    append(&mut world, 2);
    world.settle();
    world.ack(0);
    assert!(!world.finish_read(Lookup::AtLast), "no room after the PUBREC");
    // The client answers the PUBREL as it reads it.
    world.receive(1);
    assert!(world.finish_read(Lookup::AtLast));
    world.settle();
    assert_eq!(world.got(), ["1", "2"]);
}

#[test]
fn a_message_that_is_refused_is_done_with() {
    let mut world = subscribed();
    append(&mut world, 1);
    world.settle();
    world.done();
    receive(&mut world, 1, true);
    assert_eq!(world.done(), [moved(1)]);
    world.connect(Kind::Persistent);
    world.settle();
    assert_eq!(world.got(), ["1"]);
}

/// [MQTT-4.4.0-1]
#[test]
fn a_reconnect_repeats_what_has_no_pubrec_and_releases_what_has() {
    for restarts in [false, true] {
        let mut world = subscribed();
        append(&mut world, 3);
        world.settle();
        assert_eq!(world.got(), ["1", "2", "3"]);
        world.ack(0);
        world.cut();
        if restarts {
            world.sync();
            world.flush();
            world.crash();
        }
        assert!(world.connect(Kind::Persistent));
        let sent = world.done();
        let released = sent.iter().position(|done| *done == release(1)).expect("a PUBREL");
        let published = |done: &Done| matches!(done, Done::Sent(Outgoing::Publish(_)));
        assert!(!sent[..released].iter().any(published), "the PUBREL comes first");
        world.settle();
        assert_eq!(world.got(), [""; 0], "the client knows what comes with DUP");
        assert_eq!(world.unacked(), [id(2), id(3)]);
        append(&mut world, 1);
        world.settle_all();
        assert_eq!(world.got(), ["4"]);
    }
}

#[test]
fn a_packet_id_whose_message_is_hidden_is_not_given_to_another() {
    let mut world = subscribed();
    append(&mut world, 1);
    world.settle();
    world.cut();
    world.entitle(&[Signal::Range]);
    world.connect(Kind::Persistent);
    world.settle();
    world.entitle(&[Signal::Soc]);
    world.connect(Kind::Persistent);
    assert_eq!(world.left().given_up, []);
    append(&mut world, 2);
    world.settle();
    assert_eq!(world.unacked(), [id(2), id(3)]);
    assert_eq!(world.got(), ["1", "2", "3"]);
    world.cut();
    assert_eq!(world.left().given_up, [id(1)]);
}

/// What the client waits for can't be known any more: it must forget it, and gets all again.
#[test]
fn a_crash_ends_the_session_and_loses_nothing() {
    let mut world = subscribed();
    append(&mut world, 2);
    world.settle();
    assert_eq!(world.got(), ["1", "2"]);
    world.sync();
    world.crash();
    append(&mut world, 1);
    assert!(!world.connect(Kind::Persistent), "and the client subscribes anew");
    world.settle_all();
    assert_eq!(world.got(), ["1", "2", "3"]);
    world.close(CloseReason::Disconnected);
    assert!(world.connect(Kind::Persistent));
}

#[test]
fn a_crash_does_not_end_a_session_without_qos_2() {
    let mut world = World::new();
    world.connect(Kind::Persistent);
    world.subscribe([(all(), 1)]);
    world.crash();
    assert!(world.connect(Kind::Persistent));
}
