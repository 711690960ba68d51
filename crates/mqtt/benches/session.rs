//! A session's step: a live event is offered, and its PUBLISH is in the connection's buffer; with QoS 1 the client's
//! PUBACK comes back, and the cursor moves.
//!
//! The payload is there already, as it is for a further client of a view, so that choosing and encoding entries are no
//! part of it. A client of each version has one subscription and one vehicle, and reads as fast as it is sent to.

use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use cardata_domain::event::Payloads;
use cardata_domain::{Catalogue, Entry, Event, Gcid, Recorded, Sequence, Value, Vin};
use cardata_mqtt::encode::Encoder;
use cardata_mqtt::packet::{Connect, Outgoing, RetainHandling, Wanted};
use cardata_mqtt::session::Limits;
use cardata_mqtt::{Action, Admission, Packet, Qos, Reader, Session, Source, Vehicles, Version};
use criterion::{BatchSize, Criterion, Throughput};
use jiff::Timestamp;

/// The bytes of a message with five entries.
const PAYLOAD_BYTES: usize = 720;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("session");
    group.throughput(Throughput::Elements(1));
    for (name, version, qos) in [
        ("MQTT 3.1.1, QoS 0", Version::V311, Qos::AtMostOnce),
        ("MQTT 3.1.1, QoS 1 and its PUBACK", Version::V311, Qos::AtLeastOnce),
        ("MQTT 5, QoS 0", Version::V5, Qos::AtMostOnce),
        ("MQTT 5, QoS 1 and its PUBACK", Version::V5, Qos::AtLeastOnce),
    ] {
        let mut client = Client::subscribed(version, qos);
        let mut journal = Vehicle::new();
        // One after the other, whatever the batch: a session takes events in their order.
        group.bench_function(name, |bencher| {
            bencher.iter_batched_ref(
                || journal.append(),
                |recorded| client.take(recorded, qos),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
    criterion.final_summary();
}

/// A session with its connection's buffer.
struct Client {
    session: Session,
    encoder: Encoder,
    output: BytesMut,
    now: Instant,
}

impl Client {
    /// A client that has subscribed to all of its customer's vehicles.
    fn subscribed(version: Version, qos: Qos) -> Self {
        let now = start();
        let mut client = Self {
            session: Session::new(Limits::default(), now),
            encoder: Encoder::new(version),
            output: BytesMut::new(),
            now,
        };
        client.handle(Packet::Connect(Box::new(connect(version))));
        client.act();
        client.session.admit(Admission {
            reader: Reader::Customer(gcid()),
            assigned_client_id: None,
            vehicles: Vehicles::of(gcid(), [vin()]),
            expires_at: now + Duration::from_hours(1),
            qos_max: Qos::ExactlyOnce,
            snapshots: false,
            keeps_sessions: true,
            kept: None,
            source: Box::new(Ready([Bytes::from(vec![b'x'; PAYLOAD_BYTES])].into())),
        });
        let wanted =
            Wanted { filter: format!("{}/+", gcid()), qos, retain_handling: RetainHandling::Never };
        client.act();
        client.handle(Packet::Subscribe {
            packet_id: NonZeroU16::MIN,
            filters: vec![wanted],
            identifier: None,
        });
        client.act();
        client
    }

    /// Takes a live event, and acknowledges what was sent of it.
    fn take(&mut self, recorded: &Arc<Recorded>, qos: Qos) {
        self.output.clear();
        self.session.handle_event(recorded);
        let sent = self.act();
        assert_eq!(sent.is_some(), qos > Qos::AtMostOnce, "only QoS 1 is to be acknowledged");
        if let Some(packet_id) = sent {
            self.handle(Packet::PubAck(packet_id));
            self.act();
        }
        assert!(self.output.len() > PAYLOAD_BYTES, "the event was sent");
    }

    fn handle(&mut self, packet: Packet) {
        self.session.handle(packet, self.now).expect("the client keeps to the protocol");
    }

    /// Carries out what the session wants; gives the packet identifier of what was sent.
    fn act(&mut self) -> Option<NonZeroU16> {
        let mut sent = None;
        while let Some(action) = self.session.poll_action() {
            if let Action::Send(packet) = action {
                self.encoder.encode(&packet, &mut self.output);
                if let Outgoing::Publish(publish) = packet {
                    sent = publish.packet_id;
                }
            }
        }
        sent
    }
}

/// A vehicle that reports one event after the other.
struct Vehicle {
    event: Event,
    newest: Sequence,
}

impl Vehicle {
    fn new() -> Self {
        let catalogue = Catalogue::shipped();
        let moving = catalogue.intern("vehicle.isMoving").expect("it is a descriptor");
        let at = Timestamp::UNIX_EPOCH;
        let entry = Entry::new(&catalogue, moving, at, Value::Boolean(true), None);
        let event = Event::new(vin(), at, vec![entry]).expect("it has an entry");
        Self { event, newest: Sequence(0) }
    }

    fn append(&mut self) -> Arc<Recorded> {
        let previous = self.newest;
        self.newest.0 += 1;
        Arc::new(Recorded::new(self.newest, previous, self.event.clone()))
    }
}

/// Shows the same finished payload of every event.
struct Ready(Payloads);

impl Source for Ready {
    fn attach(&mut self, _: Vin) -> Sequence {
        Sequence(0)
    }

    fn detach(&mut self, _: Vin) {}

    fn payloads(&self, _: Gcid, _: &Recorded) -> Payloads {
        self.0.clone()
    }

    fn payloads_of_merged(&self, _: Gcid, _: &Event) -> Payloads {
        self.0.clone()
    }

    fn note_oversized(&mut self) {}

    fn note_merged(&mut self) {}

    fn note_gap(&mut self) {}
}

fn connect(version: Version) -> Connect {
    Connect {
        version,
        client_id: "home".to_owned(),
        clean_start: true,
        keep_alive_seconds: 30,
        session_expiry_seconds: 3600,
        receive_max: NonZeroU16::MAX,
        packet_size_max: u32::MAX,
        topic_alias_max: 0,
        retained_will: false,
        problem_information: true,
        user_name: None,
        password: None,
        auth: None,
    }
}

fn gcid() -> Gcid {
    "aa111192-d570-4d3d-8835-656ee00edcd7".parse().expect("it is a GCID")
}

fn vin() -> Vin {
    "WBY00000000000001".parse().expect("it is a VIN")
}

#[expect(clippy::disallowed_methods, reason = "there is no other way to make an Instant")]
fn start() -> Instant {
    Instant::now()
}
