//! What the client does.

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroU16;
use std::time::Duration;

use bytes::Bytes;
use cardata_domain::Vin;
use cardata_mqtt::packet::{Auth, Connect, Outgoing, Wanted};
use cardata_mqtt::session::ProtocolError;
use cardata_mqtt::{CloseReason, Packet, Qos, Session, Version};

use super::{Connection, Done, Kind, Message, Terms, World, car, connect, owner};

impl Terms {
    fn write(self, connect: &mut Connect) {
        connect.version = self.version;
        connect.receive_max = self.receive_max;
        connect.topic_alias_max = self.topic_alias_max;
        connect.auth = (self.version == Version::V5).then(auth);
    }
}

fn auth() -> Auth {
    Auth { method: "token".to_owned(), data: Bytes::from_static(b"fresh") }
}

impl World {
    /// Connects, and says whether an earlier session goes on. An open connection is taken over.
    pub(crate) fn connect(&mut self, kind: Kind) -> bool {
        self.close(CloseReason::TakenOver);
        self.connection = Some(Connection {
            session: Session::new(self.limits, self.now),
            kind,
            wire: VecDeque::new(),
            read: None,
            subscriptions: BTreeMap::new(),
            aliases: BTreeMap::new(),
            topic_alias_max: 0,
            closed: None,
        });
        self.unacked.clear();
        self.done.clear();
        let before = self.stored().map(|stored| stored.subscriptions.clone());
        let mut connect = connect(kind, self.keep_alive_seconds);
        self.terms.write(&mut connect);
        (self.adjust)(&mut connect);
        self.witness.connected(self.limits.inflight_max.min(connect.receive_max.get().into()));
        self.connection.as_mut().unwrap().topic_alias_max = connect.topic_alias_max;
        let goes_on = !connect.clean_start;
        self.handle(Packet::Connect(Box::new(connect))).unwrap();
        let Some(Done::Sent(Outgoing::ConnAck(connack))) = self.done.first() else {
            panic!("CONNACK is the first packet, not {:?}", self.done);
        };
        let present = connack.session_present;
        if !present {
            self.unreleased.clear();
        }
        if !present
            && goes_on
            && let Some(before) = before
        {
            // What every client does: without a session, it subscribes anew.
            let filters = before.into_iter().map(|one| (one.filter, one.qos));
            self.subscribe_beside(&BTreeMap::new(), filters);
        }
        present
    }

    /// Sends a fresh token, which is good for `lifetime`; the customer has these vehicles now.
    pub(crate) fn reauthenticate(&mut self, vehicles: Vec<Vin>, lifetime: Duration) {
        self.handle(Packet::Auth(auth())).unwrap();
        assert_eq!(self.done.last(), Some(&Done::Asked(auth())));
        self.set_vehicles(vehicles);
        self.reauthenticated(lifetime);
        let method = auth().method;
        assert!(self.done.contains(&Done::Sent(Outgoing::AuthSuccess { method })));
    }

    fn is_open(&self) -> bool {
        self.connection.as_ref().is_some_and(|open| open.closed.is_none())
    }

    /// Subscribes and gives the answer to each filter.
    pub(crate) fn subscribe<T: Into<String>>(
        &mut self,
        filters: impl IntoIterator<Item = (T, u8)>,
    ) -> Vec<Option<Qos>> {
        let before = self.connection.as_ref().map(|open| open.subscriptions.clone());
        self.subscribe_beside(&before.unwrap_or_default(), filters)
    }

    /// The same, where the session has these subscriptions already.
    fn subscribe_beside<T: Into<String>>(
        &mut self,
        before: &BTreeMap<String, Qos>,
        filters: impl IntoIterator<Item = (T, u8)>,
    ) -> Vec<Option<Qos>> {
        let filters: Vec<(String, Qos)> = filters
            .into_iter()
            .map(|(filter, qos)| (filter.into(), Qos::from_level(qos).unwrap()))
            .collect();
        let packet_id = self.packet_id();
        // The witness may know before the session does: nothing is appended in between.
        self.with_subscriptions(|subscriptions| subscriptions.extend(filters.clone()));
        let identifier = self.identifier;
        let wanted = filters.clone().into_iter().map(|(filter, qos)| Wanted {
            filter,
            qos,
            retain_handling: self.retain_handling,
        });
        let packet = Packet::Subscribe { packet_id, filters: wanted.collect(), identifier };
        self.handle(packet).unwrap();
        let answer = self.done.iter().rev().find_map(|done| match done {
            Done::Sent(Outgoing::SubAck { packet_id: of, granted }) if *of == packet_id => {
                Some(granted.iter().map(|granted| granted.ok()).collect::<Vec<_>>())
            }
            _ => None,
        });
        let granted = answer.unwrap_or_default();
        let refused = filters
            .iter()
            .zip(&granted)
            .filter(|(_, granted)| granted.is_none())
            .map(|(f, _)| &f.0);
        let refused: Vec<_> = refused.cloned().collect();
        // A refusal leaves an earlier subscription to the same filter as it is.
        self.with_subscriptions(|subscriptions| {
            subscriptions.retain(|f, _| !refused.contains(f));
            let known = refused.iter().filter_map(|f| Some((f.clone(), *before.get(f)?)));
            subscriptions.extend(known);
        });
        granted
    }

    pub(crate) fn unsubscribe<T: Into<String>>(&mut self, filters: impl IntoIterator<Item = T>) {
        let filters: Vec<String> = filters.into_iter().map(Into::into).collect();
        let packet_id = self.packet_id();
        self.with_subscriptions(|subscriptions| subscriptions.retain(|f, _| !filters.contains(f)));
        self.handle(Packet::Unsubscribe { packet_id, filters }).unwrap();
        let answered = |done: &Done| matches!(done, Done::Sent(Outgoing::UnsubAck { packet_id: of, .. }) if *of == packet_id);
        assert!(self.done.iter().any(answered));
    }

    fn packet_id(&mut self) -> NonZeroU16 {
        let id = self.next_packet_id;
        self.next_packet_id = id.checked_add(1).unwrap_or(NonZeroU16::MIN);
        id
    }

    pub(super) fn with_subscriptions(&mut self, change: impl FnOnce(&mut BTreeMap<String, Qos>)) {
        let Some(connection) = &mut self.connection else { return };
        change(&mut connection.subscriptions);
        let subscriptions = &connection.subscriptions;
        for vin in (1..=9).map(car) {
            let matching = subscriptions
                .iter()
                .filter(|(filter, _)| self.vehicles.contains(&vin) && names(filter, vin));
            self.witness.followed(vin, matching.map(|(_, qos)| (*qos).min(self.qos_max)).max());
        }
    }

    /// Reads at most `count` messages of what was sent, and the answers before them.
    pub(crate) fn receive(&mut self, count: usize) {
        let Some(connection) = &mut self.connection else { return };
        let (mut messages, mut released) = (0, Vec::new());
        while messages < count
            && let Some(packet) = connection.wire.pop_front()
        {
            let publish = match packet {
                Outgoing::Publish(publish) => publish,
                Outgoing::PubRel { packet_id, .. } => {
                    released.push(packet_id);
                    continue;
                }
                _ => continue,
            };
            messages += 1;
            let message = Message::read(&publish);
            self.unacked.extend(message.packet_id.map(|id| (id, message.qos)));
            // With QoS 2, one that came before is acknowledged and no more [MQTT-4.3.3-2].
            if message.qos == Qos::ExactlyOnce
                && !self.unreleased.insert(message.packet_id.unwrap())
            {
                continue;
            }
            self.witness.received(&message);
            self.received.push(message);
        }
        for id in released {
            self.unreleased.remove(&id);
            // The answer to it may come after the end.
            if self.is_open() {
                self.witness.released(id);
                self.handle(Packet::PubComp(id)).unwrap();
            }
        }
    }

    /// What the client received since the last call.
    pub(crate) fn received(&mut self) -> Vec<Message> {
        std::mem::take(&mut self.received)
    }

    /// The same in short.
    pub(crate) fn got(&mut self) -> Vec<String> {
        self.received().iter().map(ToString::to_string).collect()
    }

    /// What the client received with QoS 1 or 2 and has not acknowledged, in order.
    pub(crate) fn unacked(&self) -> Vec<NonZeroU16> {
        self.unacked.iter().map(|(id, _)| *id).collect()
    }

    /// Acknowledges the delivery at `index` of [`World::unacked`].
    pub(crate) fn ack(&mut self, index: usize) {
        let (id, qos) = self.unacked.remove(index);
        self.witness.acked(id);
        let packet = match qos {
            Qos::ExactlyOnce => Packet::PubRec { packet_id: id, refused: false },
            _ => Packet::PubAck(id),
        };
        self.handle(packet).unwrap();
    }

    /// Refuses a delivery of QoS 2, and acknowledges one of QoS 1 (MQTT 5 §3.4.2.1: that is the end of it, too).
    pub(crate) fn refuse_message(&mut self, index: usize) {
        let (id, qos) = self.unacked.remove(index);
        self.witness.refused(id);
        if qos == Qos::ExactlyOnce {
            self.unreleased.remove(&id);
            self.handle(Packet::PubRec { packet_id: id, refused: true }).unwrap();
        } else {
            self.handle(Packet::PubAck(id)).unwrap();
        }
    }

    pub(crate) fn ack_all(&mut self) {
        while !self.unacked.is_empty() {
            self.ack(0);
        }
    }

    /// Hands a packet to the session; a protocol error closes the connection.
    pub(crate) fn handle(&mut self, packet: Packet) -> Result<(), ProtocolError> {
        let now = self.now;
        let session = self.session();
        let outcome = session.handle(packet, now);
        if let Err(error) = outcome {
            session.close(error.into());
        }
        self.act();
        outcome
    }
}

/// Whether `filter` names `vin`, by its owner and by its number.
fn names(filter: &str, vin: Vin) -> bool {
    let (first, rest) = filter.split_once('/').unwrap_or((filter, ""));
    // What is shared names what the session was told.
    if first == "$share" {
        return rest.ends_with("/+/+");
    }
    let of_owner = first == "+" || first == owner(vin).to_string();
    of_owner && (rest == "+" || rest == "#" || rest == vin.as_str())
}
