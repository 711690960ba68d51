//! What a client may subscribe to, and what follows from it.

use cardata_mqtt::packet::Outgoing;
use cardata_mqtt::session::Limits;
use cardata_mqtt::{CloseReason, Qos};

use crate::world::{Done, Kind, Lookup, Signal, World, all, car, gcid, only, subscription};

const GRANTED: [Option<Qos>; 3] =
    [Some(Qos::AtMostOnce), Some(Qos::AtLeastOnce), Some(Qos::ExactlyOnce)];

fn connected() -> World {
    let mut world = World::new();
    world.connect(Kind::Persistent);
    world
}

#[test]
fn filters_are_granted_as_asked() {
    let mut world = connected();
    let granted = world.subscribe([(only(car(1)), 0), (only(car(2)), 1), (all(), 2)]);
    assert_eq!(granted, GRANTED);
}

#[test]
fn where_all_is_delivered_at_most_once_every_qos_is_still_granted_as_asked() {
    let mut world = World::new();
    world.qos_max = Qos::AtMostOnce;
    world.connect(Kind::Clean);
    assert_eq!(world.subscribe([(all(), 2), (only(car(1)), 1)]), [GRANTED[2], GRANTED[1]]);
    world.append(car(1), &[Signal::Soc]);
    world.settle();
    assert_eq!(world.received()[0].packet_id, None);
}

#[test]
fn a_refused_filter_of_qos_2_leaves_the_session_one_without_qos_2() {
    let mut world = World::new();
    world.limits = Limits { subscriptions_max: 1, ..world.limits };
    world.connect(Kind::Persistent);
    assert_eq!(world.subscribe([(all(), 1), (only(car(1)), 2)]), [GRANTED[1], None]);
    // After a crash, such a session goes on; one that may have begun deliveries of QoS 2 does not.
    assert!(!world.stored().unwrap().exactly_once);
    world.subscribe([(all(), 2)]);
    assert!(world.stored().unwrap().exactly_once);
}

#[test]
fn filters_beyond_the_customers_own_vehicles_are_refused() {
    let mut world = connected();
    let foreign = "bb111192-d570-4d3d-8835-656ee00edcd7";
    let beyond = [
        "#".to_owned(),
        "+/+".to_owned(),
        "$SYS/#".to_owned(),
        format!("{foreign}/+"),
        format!("{foreign}/{}", car(1).as_str()),
        only(car(9)),
        car(1).as_str().to_owned(),
    ];
    let granted = world.subscribe(beyond.map(|filter| (filter, 1)));
    assert_eq!(granted, [None; 7]);
    world.append(car(1), &[Signal::Soc]);
    world.append(car(9), &[Signal::Soc]);
    world.settle();
    assert_eq!(world.got(), [""; 0]);
}

#[test]
fn a_refused_filter_does_not_touch_the_others() {
    let mut world = connected();
    assert_eq!(world.subscribe([("#".to_owned(), 1), (all(), 1)]), [None, GRANTED[1]]);
    world.append(car(1), &[Signal::Soc]);
    world.settle();
    assert_eq!(world.got(), ["1"]);
}

#[test]
fn a_filter_too_many_is_refused_but_a_known_one_may_change() {
    let mut world = World::new();
    world.limits = Limits { subscriptions_max: 2, ..world.limits };
    world.connect(Kind::Persistent);
    let hash = format!("{}/#", gcid());
    assert_eq!(
        world.subscribe([(all(), 0), (only(car(1)), 0), (hash.clone(), 0)]),
        [GRANTED[0], GRANTED[0], None]
    );
    assert_eq!(world.subscribe([(all(), 1), (hash.clone(), 1)]), [GRANTED[1], None]);
    world.unsubscribe([all()]);
    assert_eq!(world.subscribe([(hash, 0)]), [GRANTED[0]]);
}

#[test]
fn the_suback_comes_after_the_subscription_is_stored() {
    let mut world = connected();
    world.done();
    world.subscribe([(all(), 1)]);
    let done = world.done();
    let [Done::Stored(stored), Done::Sent(Outgoing::SubAck { .. })] = &done[..] else {
        panic!("{done:?}");
    };
    assert_eq!(stored.subscriptions, [subscription(&all(), 1)]);
    assert_eq!(stored.cursors.len(), 2);
    world.unsubscribe([all()]);
    let done = world.done();
    let [Done::Stored(stored), Done::Sent(Outgoing::UnsubAck { .. })] = &done[..] else {
        panic!("{done:?}");
    };
    assert_eq!((stored.subscriptions.len(), stored.cursors.len()), (0, 0));
}

#[test]
fn a_subscription_that_can_not_be_stored_is_not_acknowledged() {
    let mut world = connected();
    world.store_fails = true;
    world.done();
    assert_eq!(world.subscribe([(all(), 1)]), []);
    let done = world.done();
    assert!(
        matches!(done[..], [Done::Stored(_), Done::Closed(CloseReason::StoreFailed)]),
        "{done:?}"
    );
}

#[test]
fn a_clean_session_stores_nothing() {
    let mut world = World::new();
    world.connect(Kind::Clean);
    world.subscribe([(all(), 1)]);
    world.append(car(1), &[Signal::Soc]);
    world.settle();
    world.ack_all();
    world.unsubscribe([all()]);
    assert!(!world.done().iter().any(|done| matches!(done, Done::Stored(_))));
    assert_eq!(world.stored(), None);
}

#[test]
fn a_subscription_begins_with_the_next_event() {
    let mut world = connected();
    world.append(car(1), &[Signal::Soc]);
    world.subscribe([(all(), 1)]);
    world.append(car(1), &[Signal::Soc]);
    world.settle();
    assert_eq!(world.got(), ["2"]);
}

#[test]
fn only_the_vehicles_of_the_filter_are_delivered() {
    let mut world = connected();
    world.subscribe([(only(car(2)), 1)]);
    world.append(car(1), &[Signal::Soc]);
    world.append(car(2), &[Signal::Soc]);
    world.settle_all();
    let received = world.received();
    assert_eq!(received.len(), 1);
    assert_eq!(received[0].vin, car(2));
}

#[test]
fn overlapping_subscriptions_give_each_event_once_with_the_highest_qos() {
    let mut world = connected();
    world.subscribe([(all(), 0), (only(car(1)), 1), (format!("{}/#", gcid()), 0)]);
    world.append(car(1), &[Signal::Soc]);
    world.append(car(2), &[Signal::Soc]);
    world.settle();
    let received = world.received();
    let with_id: Vec<_> =
        received.iter().map(|message| (message.number(), message.packet_id.is_some())).collect();
    assert_eq!(with_id, [(1, true), (2, false)]);
}

#[test]
fn of_overlapping_subscriptions_the_other_goes_on() {
    let mut world = connected();
    world.subscribe([(all(), 1), (only(car(1)), 0)]);
    world.append(car(1), &[Signal::Soc]);
    world.settle_all();
    world.unsubscribe([all()]);
    world.append(car(1), &[Signal::Soc]);
    world.append(car(2), &[Signal::Soc]);
    world.settle();
    let received = world.received();
    let with_id: Vec<_> =
        received.iter().map(|message| (message.number(), message.packet_id.is_some())).collect();
    assert_eq!(with_id, [(1, true), (2, false)]);
}

#[test]
fn unsubscribing_stops_what_waits_in_the_mailbox_and_in_the_journal() {
    let mut world = World::with(cardata_domain::projection::Packing::Event, 1, 8);
    world.connect(Kind::Persistent);
    world.subscribe([(all(), 1)]);
    for _ in 0..3 {
        world.append(car(1), &[Signal::Soc]);
    }
    world.take_events(2);
    world.receive(1);
    world.ack(0); // Asks the journal for what did not fit the window.
    world.unsubscribe([all()]);
    world.finish_read(Lookup::AtLast);
    world.take_events(1);
    world.settle();
    assert_eq!(world.got(), ["1"]);
}

#[test]
fn whoever_subscribes_again_begins_with_the_next_event() {
    let mut world = connected();
    world.subscribe([(all(), 1)]);
    world.append(car(1), &[Signal::Soc]);
    world.settle_all();
    world.unsubscribe([all()]);
    world.append(car(1), &[Signal::Soc]);
    world.subscribe([(all(), 1)]);
    world.append(car(1), &[Signal::Soc]);
    world.settle_all();
    assert_eq!(world.got(), ["1", "3"]);
}

#[test]
fn a_delivery_from_before_unsubscribing_can_still_be_acknowledged() {
    let mut world = connected();
    world.subscribe([(all(), 1)]);
    world.append(car(1), &[Signal::Soc]);
    world.settle();
    world.unsubscribe([all()]);
    world.subscribe([(all(), 1)]);
    world.append(car(1), &[Signal::Soc]);
    world.settle();
    world.ack(1);
    world.done();
    world.ack(0);
    assert_eq!(world.done(), [Done::Moved(car(1), cardata_domain::Sequence(2))]);
}

#[test]
fn from_qos_0_to_1_events_are_acknowledged_from_then_on() {
    let mut world = connected();
    world.subscribe([(all(), 0)]);
    world.append(car(1), &[Signal::Soc]);
    world.settle();
    world.subscribe([(all(), 1)]);
    assert_eq!(world.stored().unwrap().cursors.len(), 2);
    world.append(car(1), &[Signal::Soc]);
    world.settle();
    world.cut();
    world.connect(Kind::Persistent);
    world.settle_all();
    assert_eq!(world.got(), ["1", "2", "2 dup"]);
}

#[test]
fn from_qos_1_to_0_events_are_sent_once_from_then_on() {
    let mut world = connected();
    world.subscribe([(all(), 1)]);
    world.append(car(1), &[Signal::Soc]);
    world.settle();
    world.subscribe([(all(), 0)]);
    assert_eq!(world.stored().unwrap().cursors, []);
    world.append(car(1), &[Signal::Soc]);
    world.settle();
    assert_eq!(world.unacked().len(), 1, "what was sent with QoS 1 still has its packet id");
    world.cut();
    world.append(car(1), &[Signal::Soc]);
    world.connect(Kind::Persistent);
    world.append(car(1), &[Signal::Soc]);
    world.settle();
    assert_eq!(world.got(), ["1", "2", "1 dup", "4"], "what was begun with QoS 1 is completed");
}

#[test]
fn from_qos_1_to_0_a_full_window_holds_nothing_up() {
    let mut world = World::with(cardata_domain::projection::Packing::Event, 1, 8);
    world.connect(Kind::Persistent);
    world.subscribe([(all(), 1)]);
    for _ in 0..3 {
        world.append(car(1), &[Signal::Soc]);
    }
    world.settle();
    assert_eq!(world.got(), ["1"]);
    world.subscribe([(all(), 0)]);
    world.settle();
    assert_eq!(world.got(), ["2", "3"]);
}

#[test]
fn from_qos_1_to_0_and_back_only_what_was_sent_with_qos_1_comes_again() {
    let mut world = connected();
    world.subscribe([(all(), 1)]);
    world.append(car(1), &[Signal::Soc]);
    world.settle();
    world.subscribe([(all(), 0)]);
    world.append(car(1), &[Signal::Soc]);
    world.settle();
    world.subscribe([(all(), 1)]);
    world.append(car(1), &[Signal::Soc]);
    world.settle();
    assert_eq!(world.got(), ["1", "2", "3"]);
    world.cut();
    world.connect(Kind::Persistent);
    world.settle_all();
    assert_eq!(world.got(), ["1 dup", "3 dup"]);
}

#[test]
fn what_qos_0_merged_still_comes_when_the_subscription_changes_to_qos_1() {
    let mut world = connected();
    world.subscribe([(all(), 0)]);
    world.congest(true);
    world.append(car(1), &[Signal::Soc]);
    world.settle();
    world.subscribe([(all(), 1)]);
    world.append(car(1), &[Signal::Soc]);
    world.settle();
    world.congest(false);
    world.settle_all();
    let received = world.received();
    let with_id: Vec<_> =
        received.iter().map(|message| (message.number(), message.packet_id.is_some())).collect();
    assert_eq!(with_id, [(1, false), (2, true)]);
}

#[test]
fn a_vehicle_that_joins_later_is_part_of_a_subscription_to_all() {
    let mut world = connected();
    world.subscribe([(all(), 1)]);
    world.cut();
    world.append(car(3), &[Signal::Soc]);
    world.vehicles.push(car(3));
    world.connect(Kind::Persistent);
    world.append(car(3), &[Signal::Soc]);
    world.settle_all();
    assert_eq!(world.got(), ["2"], "what it sent before may be another customer's");
}

#[test]
fn a_vehicle_that_left_is_delivered_no_more() {
    let mut world = connected();
    world.subscribe([(all(), 1), (only(car(1)), 1)]);
    world.append(car(1), &[Signal::Soc]);
    world.cut();
    world.vehicles = vec![car(2)];
    world.connect(Kind::Persistent);
    world.append(car(1), &[Signal::Soc]);
    world.settle();
    assert_eq!(world.got(), [""; 0]);
    assert_eq!(world.subscribe([(only(car(1)), 1)]), [None]);
}

#[test]
fn what_changes_nothing_is_answered_and_not_stored() {
    let mut world = connected();
    world.subscribe([(all(), 1)]);
    world.done();
    world.subscribe([(all(), 1), ("#".to_owned(), 1)]);
    world.unsubscribe([only(car(1))]);
    let stored = |done: &Done| matches!(done, Done::Stored(_));
    assert!(!world.done().iter().any(stored));
    world.subscribe([(all(), 2)]);
    assert!(world.done().iter().any(stored));
}
