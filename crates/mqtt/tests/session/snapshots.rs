//! The newest values: with a subscription, and where events were lost (MQTT 5 §3.3.1.3).

use cardata_domain::projection::Packing;
use cardata_mqtt::packet::{Gap, RetainHandling};
use cardata_mqtt::{CloseReason, Qos};

use crate::world::{Done, Kind, Lookup, Message, Signal, World, all, at, car, only};
use Signal::{Odometer, Range, Soc};

/// A connected client in a world with some values, which subscriptions bring.
fn connected() -> World {
    let mut world = World::new();
    world.snapshots = true;
    world.append(car(1), &[Soc, Range]);
    world.append(car(1), &[Soc]);
    world.connect(Kind::Persistent);
    world
}

fn snapshots(world: &mut World) -> Vec<Message> {
    world.settle();
    world.received().into_iter().filter(|message| message.snapshot).collect()
}

#[test]
fn a_subscription_brings_one_retained_message_for_each_vehicle_with_values() {
    for qos in 0..=2 {
        let mut world = connected();
        world.append(car(2), &[Odometer]);
        world.subscribe([(all(), qos), (only(car(1)), 0)]);
        let [one, other] = &snapshots(&mut world)[..] else { panic!("one for each vehicle") };
        assert_eq!((one.vin, &one.entries), (car(1), &vec![(Range, 1), (Soc, 2)]));
        assert_eq!((other.vin, &other.entries), (car(2), &vec![(Odometer, 3)]));
        assert_eq!((one.retain, one.qos, one.gap), (true, Qos::AtMostOnce, None));
    }
}

#[test]
fn it_comes_after_the_suback() {
    let mut world = connected();
    world.subscribe([(all(), 1)]);
    let done = world.done();
    let suback = done.iter().position(|done| matches!(done, Done::Sent(_)));
    let asked = done.iter().position(|done| matches!(done, Done::ReadLatest(_)));
    assert!(suback.is_some() && suback < asked, "{done:?}");
}

#[test]
fn it_shows_what_the_client_may_see_when_it_is_sent() {
    let mut world = connected();
    world.subscribe([(all(), 1)]);
    world.entitle(&[Range]);
    let sent = snapshots(&mut world);
    assert_eq!(sent.iter().map(|one| one.entries.clone()).collect::<Vec<_>>(), [[(Range, 1)]]);
    world.entitle(&[Odometer]);
    world.subscribe([(all(), 1)]);
    assert_eq!(snapshots(&mut world), []);
}

#[test]
fn no_value_of_it_comes_after_a_newer_one() {
    for qos in 0..=2 {
        for lookup in [Lookup::AtFirst, Lookup::AtLast] {
            let mut world = connected();
            world.subscribe([(all(), qos)]);
            world.append(car(1), &[Soc]);
            world.take_events(1);
            world.finish_read(lookup);
            world.settle_all();
            let got = world.got();
            let last = &got[got.len() - 1];
            assert!(got[0].ends_with("snapshot retained"), "{got:?}");
            let all_in_one = qos == 0 && lookup == Lookup::AtLast;
            assert!(last == "3" || all_in_one && last.starts_with('3'), "{got:?}");
        }
    }
}

#[test]
fn it_waits_until_the_way_is_free() {
    let mut world = connected();
    world.subscribe([(all(), 0)]);
    world.congest(true);
    world.settle();
    assert_eq!(world.got(), [""; 0]);
    world.append(car(1), &[Soc]);
    world.settle();
    world.congest(false);
    world.settle_all();
    assert_eq!(world.got(), ["3 snapshot retained"], "it has what came meanwhile");
}

#[test]
fn it_is_not_sent_once_the_subscription_is_gone() {
    let mut world = connected();
    world.subscribe([(all(), 0)]);
    world.unsubscribe([all()]);
    assert_eq!(snapshots(&mut world), []);
}

#[test]
fn retain_handling_says_whether_a_subscription_brings_it() {
    let cases = [
        (RetainHandling::Always, [1, 1]),
        (RetainHandling::IfNew, [1, 0]),
        (RetainHandling::Never, [0, 0]),
    ];
    for (handling, expected) in cases {
        let mut world = connected();
        world.retain_handling = handling;
        for count in expected {
            world.subscribe([(all(), 1)]);
            assert_eq!(snapshots(&mut world).len(), count, "{handling:?}");
        }
        world.unsubscribe([all()]);
        world.subscribe([(all(), 1)]);
        assert_eq!(snapshots(&mut world).len(), expected[0], "{handling:?}");
    }
}

#[test]
fn neither_a_session_that_goes_on_nor_a_strict_profile_brings_it() {
    let mut world = connected();
    world.subscribe([(all(), 1)]);
    assert_eq!(snapshots(&mut world).len(), 1);
    world.connect(Kind::Persistent);
    assert_eq!(snapshots(&mut world), []);
    world.snapshots = false;
    world.connect(Kind::Persistent);
    world.subscribe([(all(), 1)]);
    assert_eq!(snapshots(&mut world), []);
}

/// A client that was away while retention was over for what came.
fn gap(kept: u64) -> World {
    let mut world = World::with(Packing::Event, 8, 16);
    world.connect(Kind::Persistent);
    world.subscribe([(all(), 1)]);
    for number in 1..=4 {
        if number == 2 {
            world.settle_all();
            world.close(CloseReason::Disconnected);
        }
        world.append_measured(car(1), &[Soc], number * 10);
    }
    world.received();
    world.sync();
    world.drop_up_to(4 - kept);
    world.connect(Kind::Persistent);
    world.settle_all();
    world
}

#[test]
fn a_gap_is_told_with_the_newest_values_and_the_time_of_which_events_are_missing() {
    let mut world = gap(1);
    let messages = world.received();
    assert_eq!(world.gaps(), 1);
    assert!(messages[0].snapshot && !messages[0].retain, "{:?}", messages[0]);
    assert_eq!(messages[0].gap, Some(Gap { from: Some(at(10)), to: at(40) }));
    assert_eq!(messages[1..].iter().map(ToString::to_string).collect::<Vec<_>>(), ["4"]);
}

#[test]
fn a_gap_without_an_end_is_told_up_to_the_newest_value() {
    let mut world = gap(0);
    let messages = world.received();
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0].gap, Some(Gap { from: Some(at(10)), to: at(40) }));
    world.append_measured(car(1), &[Soc], 50);
    world.settle_all();
    assert_eq!(world.got(), ["5"]);
    world.connect(Kind::Persistent);
    world.settle();
    assert_eq!((world.got(), world.gaps()), (vec![], 1), "it is told once");
}

#[test]
fn a_gap_of_which_nothing_may_be_seen_is_told_with_the_next_message() {
    let mut world = World::new();
    world.connect(Kind::Persistent);
    world.subscribe([(all(), 1)]);
    world.close(CloseReason::Disconnected);
    world.append_measured(car(1), &[Soc], 10);
    world.append_measured(car(1), &[Soc], 20);
    world.sync();
    world.drop_up_to(1);
    world.entitle(&[Range]);
    world.connect(Kind::Persistent);
    world.settle();
    world.append_measured(car(1), &[Range], 30);
    world.settle_all();
    let messages = world.received();
    assert_eq!(messages.len(), 1);
    // Nothing was ever delivered, so nothing is known of the beginning.
    assert_eq!(messages[0].gap, Some(Gap { from: None, to: at(20) }));
}

#[test]
fn nothing_is_missing_where_nothing_came() {
    let mut world = World::new();
    world.connect(Kind::Persistent);
    world.subscribe([(all(), 1)]);
    world.append(car(1), &[Soc]);
    world.settle_all();
    world.close(CloseReason::Disconnected);
    world.append(car(3), &[Soc]);
    world.sync();
    world.drop_up_to(2);
    world.connect(Kind::Persistent);
    world.append(car(1), &[Soc]);
    world.settle_all();
    assert_eq!((world.got(), world.gaps()), (vec!["1".to_owned(), "3".to_owned()], 0));
}
