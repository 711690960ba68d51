//! What a client that means harm must not reach.

use std::num::NonZeroU16;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use cardata_domain::event::Payloads;
use cardata_domain::session::StoredSession;
use cardata_domain::{Catalogue, Entry, Event, Gcid, Recorded, Sequence, Value, Vin};
use cardata_mqtt::encode::Encoder;
use cardata_mqtt::packet::{RetainHandling, Wanted};
use cardata_mqtt::session::Limits;
use cardata_mqtt::{
    Action, Admission, CloseReason, Packet, Qos, Reader, Session, Source, Vehicles, Version,
};
use jiff::Timestamp;

use crate::world::{Kind, all, connect_packet, gcid, start};

/// All vehicles stand at the same head, and each event has a payload of this size.
struct Fleet {
    head: Sequence,
    payload: Bytes,
}

impl Source for Fleet {
    fn attach(&mut self, _: Vin) -> Sequence {
        self.head
    }

    fn detach(&mut self, _: Vin) {}

    fn payloads(&self, _: Gcid, _: &Recorded) -> Payloads {
        [self.payload.clone()].into()
    }

    fn payloads_of_merged(&self, _: Gcid, _: &Event) -> Payloads {
        [self.payload.clone()].into()
    }

    fn note_oversized(&mut self) {}

    fn note_merged(&mut self) {}

    fn note_gap(&mut self) {}
}

fn vehicle(number: usize) -> Vin {
    format!("WBY{number:014}").parse().unwrap()
}

fn event(vin: Vin, sequence: u64, previous: u64) -> Arc<Recorded> {
    static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(Catalogue::shipped);
    let soc = CATALOGUE.intern("vehicle.soc").unwrap();
    let entry = Entry::new(&CATALOGUE, soc, Timestamp::UNIX_EPOCH, Value::integer(1), None);
    let event = Event::new(vin, Timestamp::UNIX_EPOCH, vec![entry]).unwrap();
    Arc::new(Recorded::new(Sequence(sequence), Sequence(previous), event))
}

fn session(
    kind: Kind,
    vehicles: Vec<Vin>,
    kept: Option<StoredSession>,
    head: u64,
    payload_bytes: usize,
) -> Session {
    let mut session = Session::new(Limits::default(), start());
    session.handle(connect_packet(kind, 30), start()).unwrap();
    session.admit(Admission {
        reader: Reader::Customer(gcid()),
        assigned_client_id: None,
        vehicles: Vehicles::of(gcid(), vehicles),
        expires_at: start() + Duration::from_hours(1),
        qos_max: Qos::ExactlyOnce,
        snapshots: false,
        keeps_sessions: true,
        kept,
        source: Box::new(Fleet { head: Sequence(head), payload: vec![b'x'; payload_bytes].into() }),
    });
    session
}

fn subscribe(session: &mut Session, qos: Qos) {
    let filters = vec![Wanted { filter: all(), qos, retain_handling: RetainHandling::Never }];
    let packet = Packet::Subscribe { packet_id: NonZeroU16::MIN, filters, identifier: None };
    session.handle(packet, start()).unwrap();
}

fn drain(session: &mut Session) {
    while session.poll_action().is_some() {}
}

/// Bytes that the driver puts into its buffer while the client reads nothing.
fn bytes_at_once(session: &mut Session) -> usize {
    let encoder = Encoder::new(Version::V311);
    let mut buffer = BytesMut::new();
    while let Some(action) = session.poll_action() {
        if let Action::Send(packet) = action {
            encoder.encode(&packet, &mut buffer);
        }
        // As the driver does.
        if buffer.len() >= 64 * 1024 {
            session.handle_congestion(true);
        }
    }
    buffer.len()
}

/// The limits of the session and its driver, and some events of the size of these tests.
const BYTES_MAX: usize = 3 << 20;

/// With each connection, a client with many vehicles that never acknowledges would come to own a window more.
#[test]
fn what_many_connections_did_not_acknowledge_is_a_window_and_no_more() {
    let vehicles: Vec<_> = (0..20).map(vehicle).collect();
    let mut kept = None;
    let mut sequence = 0;
    for vin in &vehicles {
        let mut session = session(Kind::Persistent, vehicles.clone(), kept.take(), sequence, 1);
        if sequence == 0 {
            subscribe(&mut session, Qos::AtLeastOnce);
        }
        drain(&mut session);
        // They arrive before the journal's first answer does; of this vehicle, nothing was missed.
        let mut previous = 0;
        for _ in 0..256 {
            sequence += 1;
            session.handle_event(&event(*vin, sequence, previous));
            previous = sequence;
        }
        drain(&mut session);
        session.close(CloseReason::ConnectionLost);
        kept = session.into_kept();
    }
    let unfinished = kept.unwrap().left.unwrap().unfinished.len();
    assert_eq!(unfinished, Limits::default().inflight_max);
}

#[test]
fn what_one_answer_of_the_journal_puts_on_the_way_is_bounded() {
    for qos in [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce] {
        let mut session = session(Kind::Clean, vec![vehicle(1)], None, 0, 1 << 20);
        subscribe(&mut session, qos);
        drain(&mut session);
        session.handle_missed(|_| Sequence(256));
        drain(&mut session);
        let read: Vec<_> = (1..=256).map(|number| event(vehicle(1), number, number - 1)).collect();
        session.handle_read(vehicle(1), &read);
        let bytes = bytes_at_once(&mut session);
        assert!(bytes <= BYTES_MAX, "{qos:?}: {bytes} bytes at once");
    }
}

#[test]
fn what_live_events_put_on_the_way_is_bounded() {
    for qos in [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce] {
        let mut session = session(Kind::Clean, vec![vehicle(1)], None, 0, 1 << 20);
        subscribe(&mut session, qos);
        drain(&mut session);
        // As many as the driver takes before it carries out what the session wants.
        (1..=64).for_each(|number| session.handle_event(&event(vehicle(1), number, number - 1)));
        let bytes = bytes_at_once(&mut session);
        assert!(bytes <= BYTES_MAX, "{qos:?}: {bytes} bytes at once");
    }
}

#[test]
fn what_was_merged_of_a_fleet_does_not_leave_all_at_once() {
    let vehicles: Vec<_> = (0..1000).map(vehicle).collect();
    let mut session = session(Kind::Clean, vehicles.clone(), None, 0, 30_000);
    subscribe(&mut session, Qos::AtMostOnce);
    drain(&mut session);
    session.handle_congestion(true);
    for (number, vin) in (1..).zip(&vehicles) {
        session.handle_event(&event(*vin, number, 0));
    }
    let mut bytes = 0;
    for _ in 0..1000 {
        session.handle_congestion(false);
        let at_once = bytes_at_once(&mut session);
        assert!(at_once <= 4 * 64 * 1024, "{at_once} bytes at once");
        bytes += at_once;
    }
    assert!(bytes > 1000 * 30_000, "all of it comes in the end, not {bytes} bytes");
}
