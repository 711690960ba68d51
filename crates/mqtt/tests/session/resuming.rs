//! What a session's next connection goes on with.

use cardata_domain::projection::Packing;
use cardata_domain::{Sequence, Vin};
use cardata_mqtt::CloseReason;

use crate::world::{Done, Kind, Lookup, Message, Signal, World, all, car, subscription};

use Signal::{Odometer, Range, Soc};

/// A client of all vehicles with QoS 1.
fn subscribed() -> World {
    subscribed_in(World::new())
}

fn subscribed_in(mut world: World) -> World {
    world.connect(Kind::Persistent);
    world.subscribe([(all(), 1)]);
    world
}

fn append(world: &mut World, count: usize) {
    (0..count).for_each(|_| {
        world.append(car(1), &[Soc]);
    });
}

fn ids(messages: &[Message]) -> Vec<u16> {
    messages.iter().map(|message| message.packet_id.unwrap().get()).collect()
}

fn cursor(world: &World, vin: Vin) -> Option<u64> {
    let stored = world.stored()?;
    stored.cursors.iter().find(|(of, _)| *of == vin).map(|(_, Sequence(cursor))| *cursor)
}

#[test]
fn connack_says_whether_an_earlier_session_goes_on() {
    let mut world = World::new();
    assert!(!world.connect(Kind::Persistent));
    assert!(world.connect(Kind::Persistent), "also without a subscription");
    world.cut();
    assert!(world.connect(Kind::Persistent));
    assert!(!world.connect(Kind::Clean));
    assert!(!world.connect(Kind::Persistent));
    world.crash();
    assert!(world.connect(Kind::Persistent));
}

#[test]
fn a_clean_session_drops_everything_of_before() {
    let mut world = subscribed();
    append(&mut world, 2);
    world.settle();
    world.cut();
    world.received();
    world.connect(Kind::Clean);
    append(&mut world, 1);
    world.settle();
    world.cut();
    world.connect(Kind::Persistent);
    append(&mut world, 1);
    world.settle();
    assert_eq!(world.got(), [""; 0]);
}

#[test]
fn a_clean_session_leaves_nothing() {
    let mut world = World::new();
    world.connect(Kind::Clean);
    world.subscribe([(all(), 1)]);
    append(&mut world, 2);
    world.settle();
    world.received();
    world.cut();
    assert!(!world.connect(Kind::Persistent));
    world.settle();
    assert_eq!(world.got(), [""; 0]);
}

#[test]
fn what_came_while_the_client_was_away_is_delivered() {
    let mut world = subscribed();
    append(&mut world, 1);
    world.settle_all();
    world.cut();
    append(&mut world, 20);
    world.connect(Kind::Persistent);
    world.settle_all();
    let got: Vec<_> = world.received().iter().map(Message::number).collect();
    assert_eq!(got, (1..=21).collect::<Vec<_>>());
}

#[test]
fn qos_0_gets_nothing_of_the_time_it_was_away() {
    let mut world = World::new();
    world.connect(Kind::Persistent);
    world.subscribe([(all(), 0)]);
    world.cut();
    append(&mut world, 1);
    world.connect(Kind::Persistent);
    append(&mut world, 1);
    world.settle();
    assert_eq!(world.got(), ["2"]);
}

#[test]
fn unacknowledged_deliveries_come_again_first_with_dup_and_their_packet_ids() {
    let mut world = subscribed();
    append(&mut world, 5);
    world.settle();
    (0..2).for_each(|_| world.ack(0));
    let first = world.received();
    world.cut();
    append(&mut world, 1);
    world.connect(Kind::Persistent);
    append(&mut world, 1);
    world.settle();
    let again = world.received();
    let texts: Vec<_> = again.iter().map(ToString::to_string).collect();
    assert_eq!(texts, ["3 dup", "4 dup", "5 dup", "6", "7"]);
    assert_eq!(ids(&again)[..3], ids(&first)[2..]);
    world.settle_all();
}

#[test]
fn what_was_lost_on_its_way_comes_again_with_dup() {
    let mut world = subscribed();
    append(&mut world, 2);
    world.take_events(2);
    world.receive(1);
    world.ack(0);
    world.cut();
    world.connect(Kind::Persistent);
    world.settle_all();
    assert_eq!(world.got(), ["1", "2 dup"]);
}

#[test]
fn a_takeover_goes_on_like_any_other_connection() {
    let mut world = subscribed();
    append(&mut world, 2);
    world.settle();
    world.ack(0);
    world.received();
    assert!(world.connect(Kind::Persistent));
    world.settle_all();
    assert_eq!(world.got(), ["2 dup"]);
}

#[test]
fn what_was_acknowledged_out_of_order_does_not_come_again_however_often_one_reconnects() {
    let mut world = subscribed();
    append(&mut world, 4);
    world.settle();
    world.ack(1);
    world.ack(2);
    world.received();
    for _ in 0..3 {
        world.connect(Kind::Persistent);
        world.settle();
        assert_eq!(world.got(), ["1 dup", "3 dup"]);
    }
    world.settle_all();
    append(&mut world, 1);
    world.settle_all();
    assert_eq!(world.got(), ["5"]);
}

#[test]
fn acknowledged_deliveries_take_their_place_again_and_give_it_back() {
    let mut world = subscribed_in(World::with(Packing::Event, 2, 4));
    append(&mut world, 4);
    world.settle();
    world.ack(1);
    world.connect(Kind::Persistent);
    world.settle_all();
    assert_eq!(world.got(), ["1", "2", "1 dup", "3", "4"]);
}

#[test]
fn a_catch_up_that_is_cut_short_goes_on_with_dup_and_the_same_packet_ids() {
    let mut world = subscribed();
    append(&mut world, 8);
    world.settle();
    let first = world.received();
    world.cut();
    for _ in 0..2 {
        world.connect(Kind::Persistent);
        world.cut(); // Before the journal answered.
    }
    world.connect(Kind::Persistent);
    world.finish_read(Lookup::AtLast);
    world.receive(1);
    world.ack(0);
    world.cut();
    let second = world.received();
    world.connect(Kind::Persistent);
    world.settle();
    let third = world.received();
    assert!(second.iter().chain(&third).all(|message| message.duplicate));
    assert_eq!([ids(&second), ids(&third)].concat(), ids(&first));
    world.settle_all();
}

#[test]
fn a_live_event_of_another_vehicle_comes_after_what_is_sent_again_and_takes_none_of_its_packet_ids()
{
    let mut world = subscribed();
    append(&mut world, 2);
    world.settle();
    let earlier = ids(&world.received());
    world.connect(Kind::Persistent);
    world.append(car(2), &[Soc]);
    world.take_events(1);
    world.settle();
    let again = world.received();
    let (live, again): (Vec<_>, Vec<_>) =
        again.into_iter().partition(|message| message.vin == car(2));
    assert_eq!(ids(&again), earlier);
    assert!(live.len() == 1 && !earlier.contains(&ids(&live)[0]));
    world.settle_all();
}

#[test]
fn a_late_acknowledgement_before_its_delivery_came_again_changes_nothing() {
    let mut world = subscribed();
    append(&mut world, 1);
    world.settle();
    let id = world.received()[0].packet_id.unwrap();
    world.connect(Kind::Persistent);
    world.handle(cardata_mqtt::Packet::PubAck(id)).unwrap();
    world.settle_all();
    assert_eq!(world.got(), ["1 dup"]);
}

#[test]
fn of_an_event_acknowledged_in_part_the_other_part_comes_again() {
    let mut world = subscribed_in(World::with(Packing::Entry, 8, 8));
    world.append(car(1), &[Soc, Range, Odometer]);
    world.settle();
    let first = world.received();
    for (acked, left) in [(0, vec![Range, Odometer]), (1, vec![Range])] {
        world.ack(acked);
        world.connect(Kind::Persistent);
        world.settle();
        let again = world.received();
        let signals: Vec<_> = again.iter().map(|message| message.entries[0].0).collect();
        assert_eq!(signals, left);
        assert_eq!(ids(&again)[0], ids(&first)[1]);
        assert!(again.iter().all(|message| message.duplicate));
    }
    world.settle_all();
}

#[test]
fn messages_of_an_event_keep_their_identity_when_the_entitlement_changes() {
    let mut world = subscribed_in(World::with(Packing::Entry, 8, 8));
    world.entitle(&[Soc, Range]);
    world.append(car(1), &[Soc, Range, Odometer]);
    world.settle();
    let first = world.received();
    world.ack(0);
    world.entitle(&[Range, Odometer]);
    world.connect(Kind::Persistent);
    world.settle();
    let again = world.received();
    let signals: Vec<_> = again.iter().map(|message| message.entries[0].0).collect();
    assert_eq!(signals, [Range, Odometer], "Range was not acknowledged; Soc's place is not its");
    assert_eq!(ids(&again)[0], ids(&first)[1]);
    world.settle_all();
}

#[test]
fn a_message_keeps_its_identity_when_less_of_it_may_be_seen() {
    let mut world = subscribed();
    for _ in 0..2 {
        world.append(car(1), &[Soc, Range]);
    }
    world.settle();
    let first = world.received();
    world.ack(1);
    world.entitle(&[Soc]);
    world.connect(Kind::Persistent);
    world.settle();
    let again = world.received();
    assert_eq!(again.len(), 1);
    assert_eq!(again[0].entries, [(Soc, 1)]);
    assert_eq!(ids(&again)[0], ids(&first)[0]);
    world.settle_all();
}

#[test]
fn an_entry_that_was_alone_and_is_not_any_more_still_arrives() {
    let mut world = subscribed_in(World::with(Packing::Entry, 8, 8));
    world.append(car(1), &[Soc, Range]);
    world.take_events(1);
    for entitled in [&[Range][..], &[Soc, Range]] {
        world.entitle(entitled);
        world.cut();
        world.connect(Kind::Persistent);
        world.finish_read(Lookup::AtLast);
    }
    world.settle_all();
    let signals: Vec<_> = world.received().iter().map(|message| message.entries[0].0).collect();
    assert_eq!(signals, [Soc, Range]);
}

#[test]
fn what_may_not_be_seen_any_more_does_not_come_again() {
    let mut world = subscribed();
    append(&mut world, 1);
    world.append(car(1), &[Range]);
    world.settle();
    world.received();
    world.cut();
    world.entitle(&[Range]);
    append(&mut world, 1);
    world.connect(Kind::Persistent);
    world.settle_all();
    assert_eq!(world.got(), ["2 dup"]);
}

#[test]
fn an_event_that_was_passed_stays_passed_when_it_may_be_seen_later() {
    let mut world = subscribed();
    world.entitle(&[Soc]);
    append(&mut world, 1);
    world.append(car(1), &[Range]);
    append(&mut world, 1);
    world.settle();
    world.received();
    world.entitle(&[Soc, Range]);
    world.connect(Kind::Persistent);
    world.settle_all();
    assert_eq!(world.got(), ["1 dup", "3 dup"], "2 would come after 3");
}

#[test]
fn an_event_that_was_hidden_for_a_connection_does_not_come_again_without_dup() {
    let mut world = subscribed();
    world.append(car(1), &[Soc, Range]);
    world.append(car(1), &[Range]);
    world.settle();
    for entitled in [&[Soc][..], &[Soc, Range]] {
        world.received();
        world.entitle(entitled);
        world.connect(Kind::Persistent);
        world.settle();
    }
    assert_eq!(world.got(), ["1 dup"]);
    world.settle_all();
}

#[test]
fn what_retention_dropped_while_the_client_was_away_is_passed() {
    for dropped in [1, 2, 3, 4] {
        let mut world = subscribed();
        append(&mut world, 3);
        world.settle();
        world.received();
        world.cut();
        append(&mut world, 1);
        world.sync();
        world.drop_up_to(dropped);
        world.connect(Kind::Persistent);
        world.settle_all();
        append(&mut world, 1);
        world.settle_all();
        let kept = ["1 dup", "2 dup", "3 dup", "4", "5"];
        let got = world.got();
        assert_eq!(got[0], "4 snapshot after a gap");
        assert_eq!(got[1..], kept[usize::try_from(dropped).unwrap()..]);
        assert_eq!(world.gaps(), 1);
        assert_eq!(cursor(&world, car(1)), Some(5));
    }
}

#[test]
fn a_cursor_beyond_the_head_skips_nothing() {
    let mut world = subscribed();
    append(&mut world, 1);
    world.settle_all();
    world.cut();
    world.stored_mut().cursors = vec![(car(1), Sequence(100)), (car(2), Sequence(100))];
    world.connect(Kind::Persistent);
    append(&mut world, 1);
    world.append(car(2), &[Soc]);
    world.settle_all();
    assert_eq!(world.got(), ["1", "2", "3"]);
}

#[test]
fn after_a_crash_a_session_goes_on_from_what_was_stored() {
    let mut world = subscribed();
    append(&mut world, 2);
    world.settle_all();
    world.flush();
    append(&mut world, 2);
    world.settle();
    world.ack(0);
    world.sync();
    world.received();
    world.crash();
    assert!(world.connect(Kind::Persistent));
    world.settle_all();
    assert_eq!(world.got(), ["3", "4"], "twice, since the server can't know");
}

#[test]
fn after_a_crash_events_with_numbers_given_anew_are_delivered() {
    let mut world = subscribed();
    append(&mut world, 2);
    world.settle();
    world.sync();
    append(&mut world, 2);
    world.settle();
    world.ack_all();
    world.flush();
    assert_eq!(cursor(&world, car(1)), Some(2), "not beyond what is synced");
    world.received();
    world.crash();
    append(&mut world, 2);
    world.connect(Kind::Persistent);
    world.settle_all();
    assert_eq!(world.got(), ["5", "6"]);
}

#[test]
fn a_subscription_is_stored_no_further_than_what_is_synced() {
    let mut world = World::new();
    append(&mut world, 2);
    world.connect(Kind::Persistent);
    world.subscribe([(all(), 1)]);
    assert_eq!(cursor(&world, car(1)), Some(0));
    world.sync();
    world.flush();
    assert_eq!(cursor(&world, car(1)), Some(2));
}

#[test]
fn a_subscription_to_qos_0_completes_what_was_begun_with_qos_1() {
    let mut world = subscribed();
    append(&mut world, 2);
    world.settle();
    world.received();
    world.cut();
    append(&mut world, 1);
    world.connect(Kind::Persistent);
    world.subscribe([(all(), 0)]);
    world.settle();
    assert_eq!(world.got(), ["1 dup", "2 dup", "3"]);
    world.connect(Kind::Persistent);
    append(&mut world, 1);
    world.settle();
    assert_eq!(world.got(), ["1 dup", "2 dup", "4"]);
    world.ack_all();
    world.connect(Kind::Persistent);
    world.settle();
    assert_eq!(world.got(), [""; 0]);
}

/// [MQTT-3.10.4-3]
#[test]
fn what_was_begun_is_completed_after_an_unsubscribe() {
    for reconnects in [1, 3] {
        let mut world = subscribed();
        append(&mut world, 2);
        world.settle();
        world.received();
        world.unsubscribe([all()]);
        world.append(car(1), &[Soc]);
        for _ in 0..reconnects {
            world.connect(Kind::Persistent);
            world.append(car(1), &[Soc]);
            world.settle();
            assert_eq!(world.got(), ["1 dup", "2 dup"]);
        }
        world.settle_all();
        world.connect(Kind::Persistent);
        world.settle();
        assert_eq!((world.got(), world.resting()), (vec![], 0));
    }
}

#[test]
fn a_new_subscription_begins_after_what_is_completed_of_an_old_one() {
    let mut world = subscribed();
    append(&mut world, 2);
    world.settle();
    world.received();
    world.connect(Kind::Persistent);
    world.unsubscribe([all()]);
    append(&mut world, 1);
    world.subscribe([(all(), 1)]);
    append(&mut world, 1);
    world.settle_all();
    assert_eq!(world.got(), ["1 dup", "2 dup", "4"]);
}

#[test]
fn what_retention_dropped_leaves_nothing_behind() {
    let mut world = subscribed();
    append(&mut world, 2);
    world.settle();
    world.connect(Kind::Persistent);
    world.sync();
    world.drop_up_to(2);
    world.settle();
    world.cut();
    assert_eq!(world.resting(), 0);
}

#[test]
fn a_cursor_from_a_time_with_qos_1_gives_qos_0_no_backlog() {
    let mut world = World::new();
    append(&mut world, 2);
    let stored = world.stored_mut();
    stored.subscriptions = vec![subscription(&all(), 0)];
    stored.cursors = vec![(car(1), Sequence(1))];
    world.connect(Kind::Persistent);
    append(&mut world, 1);
    world.settle();
    assert_eq!(world.got(), ["3"]);
}

#[test]
fn a_filter_that_is_not_understood_any_more_is_left_out() {
    let mut world = World::new();
    world.stored_mut().subscriptions = vec![subscription("#", 1), subscription(&all(), 1)];
    assert!(world.connect(Kind::Persistent));
    let stored: Vec<_> = world.stored().unwrap().subscriptions.clone();
    assert_eq!(stored, [subscription(&all(), 1)]);
}

#[test]
fn every_end_of_a_connection_keeps_the_session() {
    let ends = [
        CloseReason::Disconnected,
        CloseReason::ConnectionLost,
        CloseReason::KeepAliveTimeout,
        CloseReason::ProtocolError("a second CONNECT"),
        CloseReason::TokenExpired,
        CloseReason::ConsentEnded,
        CloseReason::Evicted,
        CloseReason::ServerStopping,
    ];
    for end in ends {
        let mut world = subscribed();
        append(&mut world, 1);
        world.settle();
        world.close(end);
        assert_eq!(world.done().last(), Some(&Done::Closed(end)));
        append(&mut world, 1);
        assert!(world.connect(Kind::Persistent));
        world.settle_all();
        assert_eq!(world.got(), ["1", "1 dup", "2"], "{end}");
    }
}
