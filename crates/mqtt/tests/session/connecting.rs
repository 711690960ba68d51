//! Who may send what when, and why a connection ends.

use std::num::NonZeroU16;
use std::time::{Duration, Instant};

use cardata_mqtt::packet::Outgoing;
use cardata_mqtt::session::{Limits, ProtocolError};
use cardata_mqtt::{Action, CloseReason, ConnectRefusal, Packet, Qos, Session};

use crate::world::{Done, Kind, Signal, World, all, car, connect_packet, start};

const SECOND: Duration = Duration::from_secs(1);
const MOMENT: Duration = Duration::from_millis(1);
const ID: NonZeroU16 = NonZeroU16::MIN;
const WHY: &str = "the token is not genuine";
const PUBLISH: Packet = Packet::Publish { packet_id: None, qos: Qos::AtMostOnce };
const DISCONNECT: Packet = Packet::Disconnect { session_expiry_seconds: None };

/// Every packet that is no CONNECT.
fn others() -> Vec<Packet> {
    vec![
        PUBLISH,
        Packet::PubAck(ID),
        Packet::Subscribe { packet_id: ID, filters: vec![], identifier: None },
        Packet::Unsubscribe { packet_id: ID, filters: vec![] },
        Packet::PingReq,
        DISCONNECT,
        Packet::PubRec { packet_id: ID, refused: false },
        Packet::PubRel(ID),
        Packet::PubComp(ID),
    ]
}

fn opened() -> (Session, Instant) {
    let now = start();
    (Session::new(Limits::default(), now), now)
}

/// What a session wants to have sent, and why it wants to close.
fn drain(session: &mut Session) -> (Vec<Outgoing>, Option<CloseReason>) {
    let mut sent = Vec::new();
    while let Some(action) = session.poll_action() {
        match action {
            Action::Send(packet) => sent.push(packet),
            Action::Close(reason) => {
                assert!(session.poll_action().is_none(), "closing is the last thing");
                return (sent, Some(reason));
            }
            _ => {}
        }
    }
    (sent, None)
}

fn connected() -> World {
    let mut world = World::new();
    world.connect(Kind::Persistent);
    world
}

fn closed(reason: CloseReason) -> Vec<Done> {
    vec![Done::Closed(reason)]
}

#[test]
fn the_first_packet_is_a_connect() {
    for packet in others() {
        let (mut session, now) = opened();
        assert_eq!(session.handle(packet, now), Err(ProtocolError::NotConnected));
    }
    let (mut session, now) = opened();
    session.handle(connect_packet(Kind::Clean, 30), now).unwrap();
    assert!(matches!(session.poll_action(), Some(Action::Authenticate(_))));
}

#[test]
fn nothing_may_follow_the_connect_until_the_client_is_known() {
    for packet in others() {
        let (mut session, now) = opened();
        session.handle(connect_packet(Kind::Clean, 30), now).unwrap();
        assert_eq!(session.handle(packet, now), Err(ProtocolError::NotConnected));
    }
}

#[test]
fn a_second_connect_breaks_the_protocol() {
    let (mut session, now) = opened();
    session.handle(connect_packet(Kind::Clean, 30), now).unwrap();
    let again = connect_packet(Kind::Clean, 30);
    assert_eq!(session.handle(again.clone(), now), Err(ProtocolError::SecondConnect));

    let mut world = connected();
    world.done();
    assert_eq!(world.handle(again), Err(ProtocolError::SecondConnect));
    assert_eq!(world.done(), closed(CloseReason::ProtocolError("a second CONNECT")));
}

#[test]
fn a_second_connect_that_would_be_refused_gets_no_second_connack() {
    let mut world = connected();
    world.done();
    world.refuse(ConnectRefusal::IdentifierRejected);
    assert_eq!(world.done(), closed(CloseReason::ProtocolError("a second CONNECT")));
}

#[test]
fn a_refused_client_gets_its_return_code_and_nothing_else() {
    let (mut session, now) = opened();
    session.handle(connect_packet(Kind::Clean, 30), now).unwrap();
    let refusal = ConnectRefusal::BadUserNameOrPassword;
    session.refuse(refusal, WHY.to_owned());
    let refused = vec![Outgoing::ConnRefused { refusal, why: WHY.to_owned() }];
    assert_eq!(drain(&mut session), (refused, Some(CloseReason::ConnectRefused(refusal))));
    session.refuse(refusal, WHY.to_owned());
    assert_eq!(drain(&mut session), (vec![], None));
    assert_eq!(session.into_kept(), None);
}

#[test]
fn the_connect_must_be_there_and_answered_by_the_deadline() {
    let deadline = Limits::default().connect_deadline;
    for asked in [false, true] {
        let (mut session, now) = opened();
        if asked {
            session.handle(connect_packet(Kind::Clean, 1), now + SECOND).unwrap();
        }
        assert_eq!(session.poll_timeout(), Some(now + deadline));
        session.handle_timeout(now + deadline.saturating_sub(MOMENT));
        assert_eq!(drain(&mut session).1, None);
        session.handle_timeout(now + deadline);
        assert_eq!(drain(&mut session).1, Some(CloseReason::ConnectTimeout));
        assert_eq!(session.poll_timeout(), None);
    }
}

#[test]
fn a_silent_client_is_closed_after_one_and_a_half_keep_alive_times() {
    let mut world = World::new();
    world.keep_alive_seconds = 25;
    world.connect(Kind::Persistent);
    world.done();
    for packet in [Packet::PingReq, Packet::PubAck(ID), Packet::PubComp(ID)] {
        world.pass(37 * SECOND);
        world.handle(packet).unwrap();
    }
    assert_eq!(world.done(), [Done::Sent(Outgoing::PingResp)]);
    world.pass(Duration::from_millis(37_499));
    assert!(world.is_connected());
    world.pass(MOMENT);
    assert_eq!(world.done(), closed(CloseReason::KeepAliveTimeout));
}

#[test]
fn what_is_sent_to_a_client_does_not_keep_it_alive() {
    let mut world = connected();
    world.subscribe([(all(), 0)]);
    world.pass(44 * SECOND);
    world.append(car(1), &[Signal::Soc]);
    world.settle();
    assert_eq!(world.got(), ["1"]);
    world.pass(SECOND);
    assert!(!world.is_connected());
}

#[test]
fn a_client_without_keep_alive_may_be_silent_until_its_token_expires() {
    let mut world = World::new();
    world.keep_alive_seconds = 0;
    world.connect(Kind::Persistent);
    world.done();
    world.pass(world.token_lifetime.saturating_sub(MOMENT));
    assert!(world.is_connected());
    world.pass(MOMENT);
    assert_eq!(world.done(), closed(CloseReason::TokenExpired));
}

#[test]
fn no_packet_keeps_a_connection_open_beyond_its_token() {
    let mut world = World::new();
    world.token_lifetime = 20 * SECOND;
    world.connect(Kind::Persistent);
    world.pass(19 * SECOND);
    world.handle(Packet::PingReq).unwrap();
    world.done();
    world.pass(SECOND);
    assert_eq!(world.done(), closed(CloseReason::TokenExpired));
}

#[test]
fn a_publish_is_refused_and_the_session_stays() {
    let mut world = connected();
    world.subscribe([(all(), 1)]);
    world.done();
    assert_eq!(world.handle(PUBLISH), Err(ProtocolError::PublishRefused));
    assert_eq!(world.done(), closed(CloseReason::PublishRefused));
    assert!(world.connect(Kind::Persistent));
}

#[test]
fn a_client_that_says_good_bye_hears_nothing_more() {
    let mut world = connected();
    world.done();
    world.handle(DISCONNECT).unwrap();
    assert_eq!(world.done(), closed(CloseReason::Disconnected));
}

#[test]
fn acknowledgements_that_nothing_waits_for_are_ignored() {
    let mut world = connected();
    world.done();
    world.handle(Packet::PubAck(ID)).unwrap();
    world.handle(Packet::PubComp(ID)).unwrap();
    world.handle(Packet::PubRec { packet_id: ID, refused: true }).unwrap();
    assert_eq!(world.done(), []);
    world.handle(Packet::PubRec { packet_id: ID, refused: false }).unwrap();
    let unknown = Outgoing::PubRel { packet_id: ID, known: false };
    assert_eq!(world.done(), [Done::Sent(unknown)]);
    world.handle(Packet::PubRel(ID)).unwrap();
    assert_eq!(world.done(), [Done::Sent(Outgoing::PubComp { packet_id: ID })]);
}

fn with_a_message_queued() -> World {
    let mut world = connected();
    world.subscribe([(all(), 1)]);
    world.append(car(1), &[Signal::Soc]);
    world.queue_events();
    world.done();
    world
}

#[test]
fn nothing_is_sent_after_the_right_to_see_it_ended() {
    for reason in [CloseReason::ConsentEnded, CloseReason::TokenExpired] {
        let mut world = with_a_message_queued();
        world.close(reason);
        assert_eq!(world.done(), closed(reason));
        assert_eq!(world.got(), [""; 0]);
    }
}

#[test]
fn what_is_queued_is_sent_before_other_ends() {
    for reason in [CloseReason::TakenOver, CloseReason::ServerStopping, CloseReason::Disconnected] {
        let mut world = with_a_message_queued();
        world.close(reason);
        assert_eq!(world.got(), ["1"]);
    }
}

#[test]
fn a_closed_session_wants_nothing_whatever_happens() {
    let (mut session, now) = opened();
    session.handle(connect_packet(Kind::Clean, 30), now).unwrap();
    session.close(CloseReason::ServerStopping);
    assert_eq!(drain(&mut session), (vec![], Some(CloseReason::ServerStopping)));
    session.close(CloseReason::TokenExpired);
    session.handle(Packet::PingReq, now).unwrap();
    session.handle_timeout(now + Duration::from_secs(100_000));
    session.handle_missed(|_| unreachable!("nothing is read"));
    session.handle_read(car(1), &[]);
    session.handle_congestion(true);
    session.handle_congestion(false);
    assert_eq!(drain(&mut session), (vec![], None));
}
