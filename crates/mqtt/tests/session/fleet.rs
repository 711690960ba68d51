//! Fleets: a client that reads for itself what many customers let it see, alone or with others who share.

use std::collections::BTreeMap;

use cardata_domain::{Sequence, Vin};
use cardata_mqtt::packet::Outgoing;
use cardata_mqtt::{CloseReason, Qos, Reader, SubscribeRefusal, Version};

use crate::world::{
    Done, Kind, Signal, Terms, World, all, car, gcid, only, other_gcid, subscription,
};

const EVERYTHING: &str = "+/+";
const SHARED: &str = "$share/workers/+/+";
const NEWER: Terms = Terms { version: Version::V5, ..Terms::PLAIN };

/// A fleet with a vehicle of each of two customers.
fn fleet(terms: Terms) -> World {
    let mut world = World::new();
    world.reader = Reader::Fleet;
    world.vehicles = vec![car(1), car(5)];
    world.terms = terms;
    world
}

fn connected(terms: Terms) -> World {
    let mut world = fleet(terms);
    world.connect(Kind::Persistent);
    world
}

/// The answer to a SUBSCRIBE with one filter.
fn answer(world: &mut World, filter: &str) -> Result<Qos, SubscribeRefusal> {
    world.done();
    world.subscribe([(filter, 2)]);
    let suback = world.done().into_iter().find_map(|done| match done {
        Done::Sent(Outgoing::SubAck { granted, .. }) => Some(granted),
        _ => None,
    });
    suback.unwrap()[0]
}

/// A member of a group that has `vehicles` of it.
fn member(vehicles: &[Vin], cursors: &[(Vin, u64)], qos: u8) -> World {
    let mut world = connected(NEWER);
    world.subscribe([(SHARED, qos)]);
    let cursors = cursors.iter().map(|(vin, cursor)| (*vin, Sequence(*cursor))).collect();
    world.done();
    world.share(vehicles, &cursors);
    world
}

fn moved(world: &mut World) -> Vec<(Vin, u64)> {
    let moves = world.done().into_iter().filter_map(|done| match done {
        Done::Moved(vin, cursor) => Some((vin, cursor.0)),
        _ => None,
    });
    moves.collect()
}

#[test]
fn one_filter_brings_the_vehicles_of_all_customers_each_with_its_own_topic() {
    for terms in [Terms::PLAIN, NEWER] {
        let mut world = connected(terms);
        world.subscribe([(EVERYTHING, 1)]);
        world.append(car(1), &[Signal::Soc]);
        world.append(car(5), &[Signal::Soc]);
        world.settle_all();
        // That each comes with its owner is looked at where a message is read.
        assert_eq!(world.got(), ["1", "2"]);
    }
}

#[test]
fn a_fleet_may_read_one_customer_or_one_vehicle() {
    let mut world = connected(Terms::PLAIN);
    let granted = world.subscribe([(format!("{}/+", other_gcid()), 1), (only(car(1)), 0)]);
    assert_eq!(granted, [Some(Qos::AtLeastOnce), Some(Qos::AtMostOnce)]);
    world.append(car(1), &[Signal::Soc]);
    world.append(car(5), &[Signal::Soc]);
    world.settle_all();
    assert_eq!(world.got(), ["1", "2"]);
    world.unsubscribe([only(car(1))]);
    world.append(car(1), &[Signal::Soc]);
    world.settle_all();
    assert_eq!(world.got(), [""; 0]);
}

#[test]
fn a_filter_that_names_more_than_vehicles_or_a_vehicle_of_somebody_else_is_refused() {
    let mut world = connected(NEWER);
    let swapped = format!("{}/{}", gcid(), car(5).as_str());
    for filter in ["#", "+", "+/WBY00000000000001", &only(car(2)), &swapped, "$SYS/#"] {
        let refused = Err(SubscribeRefusal::NotForFleets);
        assert_eq!(answer(&mut world, filter), refused, "{filter}");
    }
}

#[test]
fn what_a_customer_ends_goes_and_the_others_stay() {
    let mut world = connected(NEWER);
    world.subscribe([(EVERYTHING, 1)]);
    world.congest(true);
    world.append(car(1), &[Signal::Soc]);
    world.append(car(5), &[Signal::Soc]);
    world.settle();
    world.change_vehicles(&[car(5)]);
    world.congest(false);
    world.settle_all();
    assert_eq!(world.got(), ["2"]);
    let cursors = &world.stored().unwrap().cursors;
    assert_eq!(cursors.iter().map(|(vin, _)| *vin).collect::<Vec<_>>(), [car(5)]);
    // Let in again, the client sees nothing from in between.
    world.append(car(1), &[Signal::Soc]);
    world.change_vehicles(&[car(1), car(5)]);
    world.append(car(1), &[Signal::Soc]);
    world.settle_all();
    assert_eq!(world.got(), ["4"]);
}

#[test]
fn what_was_on_its_way_when_a_customer_ended_is_not_sent_again_though_the_client_is_let_in_anew() {
    // With QoS 2 the client has it already, and takes the other customer's for a duplicate.
    for (qos, again) in [(1, &["2 dup"][..]), (2, &[])] {
        let mut world = connected(NEWER);
        world.subscribe([(EVERYTHING, qos)]);
        world.append(car(1), &[Signal::Soc]);
        world.append(car(5), &[Signal::Soc]);
        world.settle();
        assert_eq!(world.got(), ["1", "2"]);
        world.change_vehicles(&[car(5)]);
        world.change_vehicles(&[car(1), car(5)]);
        world.cut();
        assert!(world.connect(Kind::Persistent));
        world.settle_all();
        assert_eq!(world.got(), again, "QoS {qos}");
        world.append(car(1), &[Signal::Soc]);
        world.settle_all();
        assert_eq!(world.got(), ["3"], "QoS {qos}");
    }
}

#[test]
fn what_was_on_its_way_when_a_customer_ended_holds_back_no_cursor_of_what_comes_later() {
    let mut world = connected(NEWER);
    world.subscribe([(EVERYTHING, 1)]);
    world.append(car(1), &[Signal::Soc]);
    world.settle();
    world.change_vehicles(&[car(5)]);
    world.change_vehicles(&[car(1), car(5)]);
    world.append(car(1), &[Signal::Soc]);
    world.settle();
    world.done();
    world.ack(1);
    assert_eq!(moved(&mut world), [(car(1), 2)]);
    world.ack(0);
    assert_eq!(moved(&mut world), []);
}

#[test]
fn a_topic_alias_does_not_outlive_a_change_of_hands() {
    let mut world = connected(Terms { topic_alias_max: 2, ..NEWER });
    world.subscribe([(EVERYTHING, 0)]);
    world.append(car(1), &[Signal::Soc]);
    world.append(car(5), &[Signal::Soc]);
    world.append(car(1), &[Signal::Soc]);
    // That an alias stands for the topic that it was made known with is looked at where a message is sent.
    world.settle_all();
    assert_eq!(world.got(), ["1", "2", "3"]);
}

#[test]
fn only_a_fleet_may_share_and_its_connack_says_so() {
    for (reader, available) in [(Reader::Fleet, true), (Reader::Customer(gcid()), false)] {
        let mut world = fleet(NEWER);
        world.reader = reader;
        world.connect(Kind::Persistent);
        let connack = world.done().into_iter().find_map(|done| match done {
            Done::Sent(Outgoing::ConnAck(connack)) => Some(connack),
            _ => None,
        });
        assert_eq!(connack.unwrap().shared_available, available);
        // [MQTT-4.8.2-3]: what is granted is respected, and QoS 2 is not granted.
        let expected = if available {
            Ok(Qos::AtLeastOnce)
        } else {
            Err(SubscribeRefusal::SharedNotSupported)
        };
        assert_eq!(answer(&mut world, SHARED), expected);
    }
}

#[test]
fn in_3_1_1_a_shared_subscription_is_a_topic_that_nothing_has() {
    let mut world = connected(Terms::PLAIN);
    assert_eq!(answer(&mut world, SHARED), Err(SubscribeRefusal::NotForFleets));
}

#[test]
fn a_session_reads_for_itself_or_shares_one_subscription() {
    let mut world = connected(NEWER);
    world.subscribe([(EVERYTHING, 1)]);
    assert_eq!(answer(&mut world, SHARED), Err(SubscribeRefusal::Mixed));
    world.unsubscribe([EVERYTHING]);
    assert_eq!(answer(&mut world, SHARED), Ok(Qos::AtLeastOnce));
    assert_eq!(answer(&mut world, EVERYTHING), Err(SubscribeRefusal::Mixed));
    assert_eq!(answer(&mut world, "$share/others/+/+"), Err(SubscribeRefusal::Mixed));
    world.unsubscribe([SHARED]);
    assert!(world.done().contains(&Done::LeftGroup));
    world.change_vehicles(&[car(1), car(5)]);
    assert_eq!(answer(&mut world, EVERYTHING), Ok(Qos::ExactlyOnce));
}

#[test]
fn a_name_that_is_too_long_to_be_kept_is_refused() {
    let mut world = connected(NEWER);
    let long = format!("$share/{}/+/+", "g".repeat(300));
    assert_eq!(answer(&mut world, &long), Err(SubscribeRefusal::QuotaExceeded));
}

#[test]
fn a_member_reads_nothing_until_it_is_told_what_is_its_own() {
    let mut world = connected(NEWER);
    world.snapshots = true;
    world.append(car(1), &[Signal::Soc]);
    world.done();
    world.set_alone(vec![]);
    world.subscribe([(SHARED, 1)]);
    let joined = Done::Joined(SHARED.to_owned());
    assert!(world.done().contains(&joined));
    world.append(car(1), &[Signal::Soc]);
    world.settle_all();
    assert_eq!(world.got(), [""; 0]);
    // Its first vehicle begins where the others got, another one with what comes.
    world.share(&[car(1), car(5)], &BTreeMap::from([(car(1), Sequence(1))]));
    assert_eq!(moved(&mut world), [(car(5), 0)]);
    world.settle();
    // No newest values come with what is shared.
    assert_eq!(world.got(), ["2"]);
}

#[test]
fn how_far_a_member_got_is_told_with_every_qos_and_kept_by_the_group() {
    for (qos, acknowledged) in [(1, [(car(1), 1)]), (0, [(car(1), 1)])] {
        let mut world = member(&[car(1)], &[], qos);
        assert_eq!(moved(&mut world), [(car(1), 0)]);
        world.append(car(1), &[Signal::Soc]);
        world.settle();
        if qos > 0 {
            assert_eq!(moved(&mut world), []);
            world.ack_all();
        }
        assert_eq!(moved(&mut world), acknowledged, "QoS {qos}");
        let stored = world.stored().unwrap();
        assert_eq!((stored.subscriptions.len(), &stored.cursors[..]), (1, &[][..]));
    }
}

#[test]
fn a_vehicle_that_moves_away_is_sent_no_more_and_its_late_acknowledgement_counts_for_nobody() {
    let mut world = member(&[car(1), car(5)], &[], 1);
    world.append(car(1), &[Signal::Soc]);
    world.settle();
    world.done();
    world.share(&[car(5)], &BTreeMap::new());
    world.append(car(1), &[Signal::Soc]);
    world.append(car(5), &[Signal::Soc]);
    world.settle_all();
    assert_eq!(world.got(), ["1", "3"]);
    assert_eq!(moved(&mut world), [(car(5), 2), (car(5), 3)]);
}

#[test]
fn a_member_that_comes_back_shares_again_and_repeats_nothing_of_its_own() {
    let mut world = member(&[car(1)], &[], 1);
    world.append(car(1), &[Signal::Soc]);
    world.settle();
    // Another member goes on with the unacknowledged message.
    world.close(CloseReason::Disconnected);
    assert_eq!(world.resting(), 0);
    world.set_alone(vec![]);
    assert!(world.connect(Kind::Persistent));
    assert!(world.done().contains(&Done::Joined(SHARED.to_owned())));
    world.settle();
    assert_eq!(world.got(), ["1"]);
    world.share(&[car(1)], &BTreeMap::from([(car(1), Sequence(1))]));
    world.append(car(1), &[Signal::Soc]);
    world.settle_all();
    assert_eq!(world.got(), ["2"]);
}

#[test]
fn a_session_that_shared_and_comes_back_with_3_1_1_has_no_subscription() {
    let mut world = member(&[car(1)], &[], 1);
    world.close(CloseReason::Disconnected);
    world.terms = Terms::PLAIN;
    assert!(world.connect(Kind::Persistent));
    assert!(!world.done().iter().any(|done| matches!(done, Done::Joined(_))));
    assert_eq!(world.stored().unwrap().subscriptions, []);
}

#[test]
fn a_customers_session_shares_nothing_whatever_was_kept_of_it() {
    let mut world = World::new();
    world.terms = NEWER;
    world.connect(Kind::Persistent);
    world.subscribe([(all(), 1)]);
    world.cut();
    world.stored_mut().subscriptions.push(subscription(&format!("$share/workers/{}", all()), 1));
    world.stored_mut().subscriptions.reverse();
    world.done();
    assert!(world.connect(Kind::Persistent));
    assert!(!world.done().iter().any(|done| matches!(done, Done::Joined(_))));
    assert_eq!(world.stored().unwrap().subscriptions, [subscription(&all(), 1)]);
}

#[test]
fn a_customer_is_not_told_of_others_by_what_a_fleet_may() {
    let mut world = World::new();
    world.connect(Kind::Persistent);
    assert_eq!(answer(&mut world, EVERYTHING), Err(SubscribeRefusal::NotAuthorized));
    assert_eq!(answer(&mut world, "+/#"), Err(SubscribeRefusal::NotAuthorized));
    assert_eq!(answer(&mut world, &all()), Ok(Qos::ExactlyOnce));
}
