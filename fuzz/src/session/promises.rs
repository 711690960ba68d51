//! What a session promises of one connection, checked at each thing that it does.

use std::collections::{BTreeMap, BTreeSet};
use std::num::{NonZeroU16, NonZeroU32};

use bytes::BytesMut;
use cardata_domain::session::StoredSession;
use cardata_domain::{Sequence, Vin};
use cardata_mqtt::encode::Encoder;
use cardata_mqtt::packet::{ConnAck, Connect, Outgoing, Packet, Publish};
use cardata_mqtt::session::{KeptSession, Limits};
use cardata_mqtt::{CloseReason, Qos, SubscribeRefusal, Version};

use super::world::{SIGNALS, Shared, gcid, signals};
use crate::reference;

pub(super) struct Promises {
    connect: Connect,
    limits: Limits,
    qos_max: Qos,
    world: Shared,
    encoder: Encoder,
    phase: Phase,
    congested: bool,
    /// A subscription changed while the way out was full: what was merged before may still leave with QoS 0.
    changed_while_congested: bool,
    /// Why the connection is closed from outside.
    pub(super) closing: Option<CloseReason>,
    subscriptions: BTreeMap<String, Subscription>,
    /// The SUBSCRIBE or UNSUBSCRIBE that waits for its answer.
    asked: Option<Asked>,
    aliases: BTreeMap<NonZeroU16, Vin>,
    in_flight: BTreeSet<NonZeroU16>,
    cursors: BTreeMap<Vin, Sequence>,
    /// Answers that the client may expect.
    pings: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// Nothing was heard.
    Opening,
    /// Somebody finds out who the client is.
    Pending,
    /// CONNACK must come next.
    Admitted {
        session_present: bool,
    },
    Connected,
    Refused,
}

#[derive(Clone, Copy)]
struct Subscription {
    qos: Qos,
    identifier: Option<NonZeroU32>,
}

enum Asked {
    Subscribe(NonZeroU16, Vec<(String, Qos)>, Option<NonZeroU32>),
    Unsubscribe(NonZeroU16, Vec<String>),
}

impl Promises {
    pub(super) fn new(connect: &Connect, limits: Limits, qos_max: Qos, world: Shared) -> Self {
        Self {
            connect: connect.clone(),
            limits,
            qos_max,
            world,
            encoder: encoder(connect),
            phase: Phase::Opening,
            congested: false,
            changed_while_congested: false,
            closing: None,
            subscriptions: BTreeMap::new(),
            asked: None,
            aliases: BTreeMap::new(),
            in_flight: BTreeSet::new(),
            cursors: BTreeMap::new(),
            pings: 0,
        }
    }

    /// The way out is full, or free again.
    pub(super) fn congest(&mut self, congested: bool) {
        self.congested = congested;
    }

    /// Whatever waited for the way out has left.
    pub(super) fn drained(&mut self) {
        self.changed_while_congested &= self.congested;
    }

    pub(super) fn is_pending(&self) -> bool {
        self.phase == Phase::Pending
    }

    pub(super) fn was_admitted(&self) -> bool {
        matches!(self.phase, Phase::Admitted { .. } | Phase::Connected)
    }

    /// The delivery that waits at `index`, in no particular order.
    pub(super) fn nth_in_flight(&self, index: usize) -> Option<NonZeroU16> {
        self.in_flight.iter().nth(index).copied()
    }

    pub(super) fn asked(&mut self) {
        assert_eq!(self.phase, Phase::Opening, "asked again who the client is");
        self.phase = Phase::Pending;
    }

    /// The client is let in; what was kept of its session goes on.
    pub(super) fn admitted(&mut self, kept: Option<&KeptSession>) {
        self.phase = Phase::Admitted { session_present: kept.is_some() };
        for (filter, level) in kept.iter().flat_map(|kept| &kept.stored.subscriptions) {
            let Some(qos) = Qos::from_level(*level).filter(|_| is_below_own(filter)) else {
                continue;
            };
            let subscription = Subscription { qos, identifier: None };
            self.subscriptions.insert(filter.clone(), subscription);
        }
    }

    /// The client sends `packet`.
    pub(super) fn packet(&mut self, packet: &Packet) {
        match packet {
            Packet::PubAck(id) => {
                self.in_flight.remove(id);
            }
            Packet::Subscribe { packet_id, filters, identifier } => {
                self.asked = Some(Asked::Subscribe(*packet_id, filters.clone(), *identifier));
            }
            Packet::Unsubscribe { packet_id, filters } => {
                self.asked = Some(Asked::Unsubscribe(*packet_id, filters.clone()));
            }
            Packet::PingReq => self.pings += 1,
            Packet::Connect(connect) if self.phase == Phase::Opening => {
                self.connect.clone_from(connect);
                self.encoder = encoder(connect);
            }
            _ => {}
        }
    }

    /// The session sends `packet`.
    pub(super) fn sent(&mut self, packet: &Outgoing) {
        let mut bytes = BytesMut::new();
        self.encoder.encode(packet, &mut bytes);
        if let Some(reason) = self.closing {
            let silent =
                [CloseReason::ConsentEnded, CloseReason::TokenExpired, CloseReason::StoreFailed];
            let is_last = matches!(packet, Outgoing::Disconnect(_));
            assert!(is_last || !silent.contains(&reason), "sent after {reason:?}: {packet:?}");
        }
        match (self.phase, packet) {
            (Phase::Admitted { session_present }, Outgoing::ConnAck(connack)) => {
                self.phase = Phase::Connected;
                self.check_connack(connack, session_present);
            }
            (Phase::Opening | Phase::Pending, Outgoing::ConnRefused { .. }) => {
                self.phase = Phase::Refused;
            }
            (Phase::Connected, Outgoing::ConnAck(_) | Outgoing::ConnRefused { .. }) => {
                panic!("a second CONNACK: {packet:?}");
            }
            (Phase::Connected, Outgoing::Publish(publish)) => {
                self.published(publish);
                assert!(bytes.len() <= size_max(&self.connect), "{} bytes", bytes.len());
            }
            (Phase::Connected, Outgoing::SubAck { packet_id, granted }) => {
                self.subscribed(*packet_id, granted);
            }
            (Phase::Connected, Outgoing::UnsubAck { packet_id, existed }) => {
                self.unsubscribed(*packet_id, existed);
            }
            (Phase::Connected, Outgoing::PingResp) => {
                self.pings = self.pings.checked_sub(1).expect("a PINGRESP for a PINGREQ");
            }
            (
                Phase::Connected,
                Outgoing::PublishRefused { .. }
                | Outgoing::AuthSuccess { .. }
                | Outgoing::Disconnect(_),
            ) => assert_eq!(self.connect.version, Version::V5, "only MQTT 5 has {packet:?}"),
            (phase, _) => panic!("sent while {phase:?}: {packet:?}"),
        }
    }

    fn check_connack(&self, connack: &ConnAck, session_present: bool) {
        assert_eq!(connack.session_present, session_present);
        // [MQTT-3.2.2-16]
        let left_to_server = self.connect.client_id.is_empty();
        assert_eq!(connack.assigned_client_id.is_some(), left_to_server);
    }

    fn published(&mut self, publish: &Publish) {
        let topic = format!("{}/{}", gcid(), publish.vin.as_str());
        assert!(!self.congested, "sent while the way out is full: {publish:?}");
        {
            let world = self.world.lock();
            assert!(world.own.contains(&publish.vin), "another customer's vehicle: {publish:?}");
            let hidden = signals(&publish.payload) & !world.entitled;
            assert!(hidden == 0, "shows what the client may not see: {publish:?}");
        }
        let matching: Vec<_> = self
            .subscriptions
            .iter()
            .filter(|(filter, _)| reference::matches(filter, &topic))
            .map(|(_, subscription)| subscription)
            .collect();
        let qos = matching.iter().map(|subscription| subscription.qos.min(self.qos_max)).max();
        let qos = qos.unwrap_or_else(|| panic!("sent without a subscription: {publish:?}"));
        let is_lasting = publish.packet_id.is_some();
        let may_differ = self.changed_while_congested && !is_lasting;
        assert!(may_differ || is_lasting == (qos > Qos::AtMostOnce), "{qos:?}: {publish:?}");
        let expected = matching.iter().filter_map(|subscription| subscription.identifier);
        let sorted = |mut identifiers: Vec<_>| {
            identifiers.sort_unstable();
            identifiers
        };
        assert_eq!(sorted(publish.identifiers.clone()), sorted(expected.collect()));
        self.check_alias(publish);
        let Some(id) = publish.packet_id else {
            assert!(!publish.duplicate, "DUP with QoS 0: {publish:?}");
            return;
        };
        assert!(self.in_flight.insert(id), "the packet id is in use: {publish:?}");
        let max = self.limits.inflight_max.min(self.connect.receive_max.get().into());
        // The messages of one event are begun together.
        let parts = match self.world.lock().packing {
            cardata_domain::projection::Packing::Event => 1,
            cardata_domain::projection::Packing::Entry => SIGNALS,
        };
        assert!(self.in_flight.len() < max + parts, "{} are in flight", self.in_flight.len());
    }

    /// [MQTT-3.3.2-8] to [MQTT-3.3.2-11]
    fn check_alias(&mut self, publish: &Publish) {
        let Some(alias) = publish.alias else { return };
        assert!(alias.number.get() <= self.connect.topic_alias_max, "{publish:?}");
        if alias.known {
            assert_eq!(self.aliases.get(&alias.number), Some(&publish.vin), "{publish:?}");
        } else {
            let earlier = self.aliases.insert(alias.number, publish.vin);
            assert_eq!(earlier, None, "an alias is given away twice: {publish:?}");
        }
    }

    fn subscribed(&mut self, packet_id: NonZeroU16, granted: &[Result<Qos, SubscribeRefusal>]) {
        let Some(Asked::Subscribe(asked, filters, identifier)) = self.asked.take() else {
            panic!("a SUBACK that was not asked for");
        };
        assert_eq!((asked, filters.len()), (packet_id, granted.len()));
        self.changed_while_congested |= self.congested;
        for ((filter, wanted), granted) in filters.into_iter().zip(granted) {
            let Ok(qos) = granted else { continue };
            assert!(*qos <= wanted, "`{filter}` is granted with more than was asked for");
            assert!(reference::is_valid_filter(&filter), "`{filter}` is granted");
            assert!(is_below_own(&filter), "`{filter}` is granted, which is not the customer's");
            self.subscriptions.insert(filter, Subscription { qos: *qos, identifier });
        }
        assert!(self.subscriptions.len() <= self.limits.subscriptions_max + KEPT_MAX);
    }

    fn unsubscribed(&mut self, packet_id: NonZeroU16, existed: &[bool]) {
        let Some(Asked::Unsubscribe(asked, filters)) = self.asked.take() else {
            panic!("an UNSUBACK that was not asked for");
        };
        assert_eq!((asked, filters.len()), (packet_id, existed.len()));
        for filter in filters {
            self.subscriptions.remove(&filter);
        }
    }

    pub(super) fn stored(&self, stored: &StoredSession) {
        assert!(self.connect.session_expiry_seconds > 0, "stored, though nothing is to be kept");
        self.check_cursors(stored);
    }

    /// What is left of the connection.
    pub(super) fn kept(&self, kept: &KeptSession) {
        self.check_cursors(&kept.stored);
        let ids: BTreeSet<_> = kept.unacked.iter().map(|delivery| delivery.packet_id).collect();
        assert_eq!(ids.len(), kept.unacked.len(), "a packet id is kept twice: {:?}", kept.unacked);
        let most = (self.limits.inflight_max + SIGNALS) * (VEHICLES + 1);
        assert!(ids.len() <= most, "{} deliveries are kept", ids.len());
    }

    fn check_cursors(&self, stored: &StoredSession) {
        let world = self.world.lock();
        for (vin, cursor) in &stored.cursors {
            assert!(*cursor <= world.head(*vin), "{cursor:?} of {} is no event", vin.as_str());
            let told = self.cursors.get(vin).copied().unwrap_or_default();
            assert!(*cursor >= told, "the cursor of {} goes back", vin.as_str());
        }
    }

    /// Everything of `vin` was acknowledged up to `cursor`.
    pub(super) fn moved(&mut self, vin: Vin, cursor: Sequence) {
        assert!(cursor <= self.world.lock().head(vin), "{cursor:?} is no event");
        let earlier = self.cursors.insert(vin, cursor).unwrap_or_default();
        assert!(earlier < cursor, "the cursor goes from {earlier:?} to {cursor:?}");
    }
}

/// Subscriptions that an input can add to a kept session.
const KEPT_MAX: usize = 8192;
const VEHICLES: usize = 3;

fn encoder(connect: &Connect) -> Encoder {
    Encoder::new(connect.version, gcid())
        .with_limits(connect.problem_information, connect.packet_size_max)
}

fn is_below_own(filter: &str) -> bool {
    filter.starts_with(&format!("{}/", gcid()))
}

fn size_max(connect: &Connect) -> usize {
    usize::try_from(connect.packet_size_max).unwrap_or(usize::MAX)
}
