//! Which event goes out when, within one connection.

use cardata_domain::Sequence;
use cardata_domain::projection::Packing;

use crate::world::{Done, Kind, Lookup, Message, Signal, World, all, car, only};

use Signal::{Odometer, Range, Soc};

const SEQUENCES: [Sequence; 6] =
    [Sequence(0), Sequence(1), Sequence(2), Sequence(3), Sequence(4), Sequence(5)];

/// A client of all vehicles.
fn subscribed(qos: u8) -> World {
    subscribed_in(World::new(), qos)
}

fn subscribed_in(mut world: World, qos: u8) -> World {
    world.connect(Kind::Persistent);
    world.subscribe([(all(), qos)]);
    world.done();
    world
}

fn append(world: &mut World, count: usize) {
    (0..count).for_each(|_| {
        world.append(car(1), &[Soc]);
    });
}

fn reads(world: &mut World) -> usize {
    world.done().iter().filter(|done| matches!(done, Done::Read { .. })).count()
}

/// Where the first vehicle's cursor went.
fn moves(world: &mut World) -> Vec<Sequence> {
    let of_first = |done| match done {
        Done::Moved(vin, cursor) if vin == car(1) => Some(cursor),
        _ => None,
    };
    world.done().into_iter().filter_map(of_first).collect()
}

#[test]
fn a_live_event_is_delivered_without_asking_the_journal() {
    let mut world = subscribed(1);
    append(&mut world, 3);
    world.settle();
    assert_eq!(world.got(), ["1", "2", "3"]);
    assert_eq!(reads(&mut world), 0);
}

#[test]
fn a_full_window_falls_back_to_the_journal_and_catches_up_completely() {
    let mut world = subscribed(1);
    append(&mut world, 30);
    world.settle();
    assert_eq!(world.received().len(), 8);
    world.done();
    (0..3).for_each(|_| world.ack(0));
    assert_eq!(reads(&mut world), 0, "half of the window must be free");
    world.ack(0);
    assert_eq!(reads(&mut world), 1);
    world.settle_all();
    let rest: Vec<_> = world.received().iter().map(Message::number).collect();
    assert_eq!(rest, (9..=30).collect::<Vec<_>>());
    reads(&mut world);
    append(&mut world, 1);
    world.settle_all();
    assert_eq!((world.got(), reads(&mut world)), (vec!["31".to_owned()], 0), "live again");
}

#[test]
fn a_window_of_one_delivers_one_by_one() {
    let mut world = subscribed_in(World::with(Packing::Event, 1, 2), 1);
    append(&mut world, 5);
    world.settle_all();
    assert_eq!(world.got(), ["1", "2", "3", "4", "5"]);
}

#[test]
fn an_overflowing_mailbox_loses_nothing() {
    for qos in [0, 1] {
        let mut world = subscribed_in(World::with(Packing::Event, 8, 2), qos);
        append(&mut world, 6);
        world.take_events(1);
        append(&mut world, 1);
        world.settle_all();
        assert_eq!(world.got(), ["1", "2", "3", "4", "5", "6", "7"]);
    }
}

#[test]
fn an_event_that_did_not_arrive_is_noticed_at_the_next() {
    let mut world = subscribed(1);
    append(&mut world, 2);
    world.lose_event();
    world.settle_all();
    assert_eq!(world.got(), ["1", "2"]);
}

#[test]
fn an_event_that_arrives_while_the_journal_reads_it_is_delivered_once() {
    for lookup in [Lookup::AtFirst, Lookup::AtLast] {
        let mut world = subscribed_in(World::with(Packing::Event, 8, 2), 1);
        append(&mut world, 3);
        world.take_missed();
        append(&mut world, 1);
        world.take_events(1);
        world.finish_read(lookup);
        world.settle_all();
        assert_eq!(world.got(), ["1", "2", "3", "4"]);
    }
}

#[test]
fn vehicles_that_are_behind_take_turns() {
    let mut world = subscribed_in(World::with(Packing::Event, 2, 1), 1);
    for number in [1, 1, 1, 1, 1, 2, 2, 2] {
        world.append(car(number), &[Soc]);
    }
    world.settle_all();
    let order: Vec<_> =
        world.received().iter().map(|message| if message.vin == car(1) { 1 } else { 2 }).collect();
    assert_eq!(order, [1, 1, 2, 1, 2, 1, 2, 1]);
}

#[test]
fn nothing_piles_up_for_a_client_that_reads_and_acknowledges_nothing() {
    for qos in [0, 1] {
        let mut world = subscribed(qos);
        world.congest(true);
        for _ in 0..2_000 {
            append(&mut world, 1);
            world.take_events(1);
            world.finish_read(Lookup::AtLast);
        }
        let sent = world.done().iter().filter(|done| matches!(done, Done::Sent(_))).count();
        assert_eq!(sent, 0);
    }
}

#[test]
fn acknowledgements_move_the_cursor_only_without_a_gap() {
    let mut world = subscribed(1);
    append(&mut world, 3);
    world.settle();
    world.done();
    world.ack(1);
    assert_eq!(moves(&mut world), []);
    world.ack(0);
    assert_eq!(moves(&mut world), [SEQUENCES[2]]);
    world.ack(0);
    assert_eq!(moves(&mut world), [SEQUENCES[3]]);
}

#[test]
fn one_vehicles_acknowledgement_waits_for_no_other_vehicle() {
    let mut world = subscribed(1);
    world.append(car(2), &[Soc]);
    world.append(car(1), &[Soc]);
    world.settle();
    world.done();
    world.ack(1);
    assert_eq!(moves(&mut world), [SEQUENCES[2]]);
}

#[test]
fn an_acknowledgement_counts_once() {
    let mut world = subscribed_in(World::with(Packing::Event, 2, 8), 1);
    append(&mut world, 4);
    world.settle();
    let second = world.unacked()[1];
    world.ack(1);
    world.handle(cardata_mqtt::Packet::PubAck(second)).unwrap();
    world.settle();
    assert_eq!(world.got(), ["1", "2"], "the window is still full");
    world.settle_all();
    assert_eq!(world.got(), ["3", "4"]);
}

#[test]
fn of_an_event_with_several_messages_all_must_be_acknowledged() {
    let mut world = subscribed_in(World::with(Packing::Entry, 8, 8), 1);
    world.append(car(1), &[Soc, Range, Odometer]);
    world.append(car(1), &[Soc]);
    world.settle();
    assert_eq!(world.got(), ["1", "1", "1", "2"]);
    world.done();
    world.ack(0);
    world.ack(2); // The second event's.
    world.ack(1);
    assert_eq!(moves(&mut world), []);
    world.ack(0);
    assert_eq!(moves(&mut world), [SEQUENCES[2]]);
}

#[test]
fn a_window_is_exceeded_by_one_events_messages_at_the_most() {
    let mut world = subscribed_in(World::with(Packing::Entry, 2, 8), 1);
    for _ in 0..3 {
        world.append(car(1), &[Soc, Range, Odometer]);
    }
    world.settle();
    assert_eq!(world.got(), ["1", "1", "1"]);
    world.settle_all();
    assert_eq!(world.got(), ["2", "2", "2", "3", "3", "3"]);
}

#[test]
fn an_event_with_nothing_to_show_is_not_sent_and_the_cursor_moves_on() {
    let mut world = subscribed(1);
    world.entitle(&[Soc]);
    world.append(car(1), &[Range]);
    world.append(car(1), &[Range, Soc]);
    world.settle();
    let received = world.received();
    assert_eq!(received.len(), 1);
    assert_eq!(received[0].entries, [(Soc, 2)]);
    assert_eq!(moves(&mut world), [SEQUENCES[1]]);
    world.ack_all();
    assert_eq!(moves(&mut world), [SEQUENCES[2]]);
}

#[test]
fn a_revoked_entitlement_stops_backlog_and_live_events_and_the_cursor_moves_on() {
    let mut world = subscribed_in(World::with(Packing::Event, 1, 8), 1);
    append(&mut world, 3);
    world.settle();
    assert_eq!(world.got(), ["1"]);
    world.entitle(&[]);
    append(&mut world, 1);
    world.settle_all();
    assert_eq!(world.got(), [""; 0]);
    assert_eq!(moves(&mut world).last(), Some(&SEQUENCES[4]));
}

#[test]
fn a_widened_entitlement_applies_from_the_next_delivery() {
    let mut world = subscribed_in(World::with(Packing::Event, 1, 8), 1);
    world.entitle(&[Soc]);
    for _ in 0..2 {
        world.append(car(1), &[Soc, Range]);
    }
    world.settle();
    world.entitle(&[Soc, Range]);
    world.settle_all();
    let entries: Vec<_> = world.received().into_iter().map(|message| message.entries).collect();
    assert_eq!(entries, [vec![(Soc, 1)], vec![(Soc, 2), (Range, 2)]]);
}

#[test]
fn what_retention_dropped_is_passed() {
    // All that was missing, its beginning, or its end is gone, before or after the journal looked.
    for (dropped, rest) in [(3, "4"), (2, "3 4"), (4, "")] {
        for lookup in [Lookup::AtFirst, Lookup::AtLast] {
            let mut world = subscribed_in(World::with(Packing::Event, 2, 1), 1);
            append(&mut world, 1);
            world.settle_all();
            append(&mut world, 3);
            let late = lookup == Lookup::AtFirst;
            if late {
                world.take_missed();
            }
            world.sync();
            world.drop_up_to(dropped);
            world.take_missed();
            world.finish_read(lookup);
            world.settle_all();
            append(&mut world, 1);
            world.settle_all();
            let got = world.got().join(" ");
            assert!(got.ends_with(format!("{rest} 5").trim_start()), "{got}");
            assert_eq!(moves(&mut world).last(), Some(&SEQUENCES[5]));
        }
    }
}

#[test]
fn a_read_of_exactly_what_is_left_comes_to_an_end() {
    let mut world = subscribed_in(World::with(Packing::Event, 4, 1), 1);
    append(&mut world, 5);
    world.take_missed();
    world.settle_all();
    assert_eq!(world.got(), ["1", "2", "3", "4", "5"]);
}

#[test]
fn a_read_for_a_vehicle_that_is_not_read_any_more_is_dropped() {
    let mut world = subscribed_in(World::with(Packing::Event, 2, 1), 1);
    append(&mut world, 3);
    world.append(car(2), &[Soc]);
    world.append(car(2), &[Soc]);
    world.take_missed();
    world.subscribe([(only(car(2)), 1)]);
    world.unsubscribe([all()]);
    world.finish_read(Lookup::AtLast);
    world.settle_all();
    assert_eq!(world.got(), ["4", "5"], "the other vehicle gets its turn");
}

#[test]
fn a_read_that_was_under_way_before_unsubscribing_harms_no_new_subscription() {
    for lookup in [Lookup::AtFirst, Lookup::AtLast] {
        let mut world = subscribed_in(World::with(Packing::Event, 2, 1), 1);
        append(&mut world, 3);
        world.take_missed();
        world.unsubscribe([all()]);
        append(&mut world, 1);
        world.subscribe([(all(), 1)]);
        append(&mut world, 2);
        world.finish_read(lookup);
        world.settle_all();
        assert_eq!(world.got(), ["5", "6"]);
    }
}

#[test]
fn qos_0_under_congestion_gets_the_newest_value_of_each_signal() {
    let mut world = subscribed(0);
    world.append(car(1), &[Soc]);
    world.settle();
    world.congest(true);
    world.append_measured(car(1), &[Soc, Range], 100);
    world.append_measured(car(1), &[Soc], 90);
    world.append_measured(car(1), &[Odometer], 110);
    world.append_measured(car(1), &[Range], 120);
    world.settle();
    assert_eq!(world.got(), ["1"]);
    world.congest(false);
    world.settle();
    let received = world.received();
    assert_eq!(received.len(), 1);
    assert_eq!(received[0].entries, [(Soc, 2), (Odometer, 4), (Range, 5)]);
    assert_eq!(world.merged(), 4);
    world.append(car(1), &[Soc]);
    world.settle();
    assert_eq!(world.got(), ["6"]);
}

#[test]
fn of_two_values_with_the_same_time_the_later_event_has_the_newest() {
    let mut world = subscribed(0);
    world.congest(true);
    world.append_measured(car(1), &[Soc], 100);
    world.append_measured(car(1), &[Soc], 100);
    world.settle();
    world.congest(false);
    world.settle();
    assert_eq!(world.got(), ["2"]);
}

#[test]
fn merged_values_are_shown_as_the_entitlement_is_when_they_go_out() {
    let mut world = subscribed(0);
    world.congest(true);
    world.append(car(1), &[Soc, Range]);
    world.append(car(2), &[Soc]);
    world.settle();
    world.entitle(&[Range]);
    world.congest(false);
    world.settle();
    let received = world.received();
    assert_eq!(received.len(), 1);
    assert_eq!(received[0].entries, [(Range, 1)]);
}

#[test]
fn qos_0_under_congestion_gets_the_newest_values_also_after_the_mailbox_overflowed() {
    let mut world = subscribed_in(World::with(Packing::Event, 8, 1), 0);
    world.congest(true);
    append(&mut world, 1_000);
    world.settle();
    append(&mut world, 1);
    world.settle();
    world.congest(false);
    world.settle();
    assert_eq!(world.got(), ["1001"], "not the old ones first");
    assert_eq!(world.merged(), 1_001);
}

#[test]
fn merged_values_of_an_unsubscribed_vehicle_do_not_go_out() {
    let mut world = subscribed(0);
    world.congest(true);
    append(&mut world, 1);
    world.settle();
    world.unsubscribe([all()]);
    world.congest(false);
    world.settle();
    assert_eq!(world.got(), [""; 0]);
}

#[test]
fn qos_1_under_congestion_waits_and_loses_nothing() {
    let mut world = subscribed(1);
    append(&mut world, 1);
    world.settle();
    world.congest(true);
    append(&mut world, 12);
    world.settle();
    world.ack_all();
    world.settle();
    assert_eq!(world.got(), ["1"]);
    world.congest(false);
    world.settle_all();
    let rest: Vec<_> = world.received().iter().map(Message::number).collect();
    assert_eq!(rest, (2..=13).collect::<Vec<_>>());
    assert_eq!(world.merged(), 0);
}

#[test]
fn congestion_while_the_journal_reads_stops_qos_1_before_the_first_event() {
    let mut world = subscribed_in(World::with(Packing::Event, 8, 1), 1);
    append(&mut world, 3);
    world.take_missed();
    world.congest(true);
    world.finish_read(Lookup::AtLast);
    world.settle();
    assert_eq!(world.got(), [""; 0]);
    world.congest(false);
    world.settle_all();
    assert_eq!(world.got(), ["1", "2", "3"]);
}
