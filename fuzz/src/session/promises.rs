//! What a session promises of one connection, checked at each thing that it does.

use std::collections::{BTreeMap, BTreeSet};
use std::num::{NonZeroU16, NonZeroU32};

use bytes::BytesMut;
use cardata_domain::projection::Packing;
use cardata_domain::session::StoredSession;
use cardata_domain::{Gcid, Sequence, Vin};
use cardata_mqtt::encode::Encoder;
use cardata_mqtt::packet::{ConnAck, Connect, Outgoing, Packet, Publish, Wanted};
use cardata_mqtt::session::Limits;
use cardata_mqtt::{CloseReason, Qos, Reader, SubscribeRefusal, Version};

use super::world::{SIGNALS, Shared, number, signals};
use crate::reference;

pub(super) struct Promises {
    connect: Connect,
    limits: Limits,
    qos_max: Qos,
    snapshots: bool,
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
    /// Deliveries that the client has not acknowledged, in QoS 2 with a PUBREC.
    in_flight: BTreeMap<NonZeroU16, InFlight>,
    /// Deliveries of QoS 2 that it has received and not completed.
    releasing: BTreeSet<NonZeroU16>,
    /// Deliveries of an earlier connection, which may be sent again.
    begun: BTreeSet<NonZeroU16>,
    /// Packet identifiers that the client may still know from an earlier connection: it would take a new message with
    /// one of these for a duplicate.
    known: BTreeSet<NonZeroU16>,
    cursors: BTreeMap<Vin, Sequence>,
    /// Answers that the client may expect.
    answers: Answers,
}

struct InFlight {
    exactly_once: bool,
    size_bytes: usize,
}

#[derive(Default)]
struct Answers {
    pings: usize,
    releases: usize,
    completions: usize,
}

impl Answers {
    /// Takes one of `expected`.
    fn take(expected: &mut usize, packet: &Outgoing) {
        *expected =
            expected.checked_sub(1).unwrap_or_else(|| panic!("an answer to nothing: {packet:?}"));
    }
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
    Subscribe(NonZeroU16, Vec<Wanted>, Option<NonZeroU32>),
    Unsubscribe(NonZeroU16, Vec<String>),
}

impl Promises {
    pub(super) fn new(
        connect: &Connect,
        limits: Limits,
        qos_max: Qos,
        snapshots: bool,
        world: Shared,
    ) -> Self {
        Self {
            connect: connect.clone(),
            limits,
            qos_max,
            snapshots,
            world,
            encoder: encoder(connect),
            phase: Phase::Opening,
            congested: false,
            changed_while_congested: false,
            closing: None,
            subscriptions: BTreeMap::new(),
            asked: None,
            aliases: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            releasing: BTreeSet::new(),
            begun: BTreeSet::new(),
            known: BTreeSet::new(),
            cursors: BTreeMap::new(),
            answers: Answers::default(),
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

    /// What a client that keeps to the rules answers to the delivery that waits at `index`, in no particular order.
    pub(super) fn answer(&self, index: usize) -> Option<Packet> {
        let waiting = self.in_flight.iter().map(|(id, delivery)| {
            if delivery.exactly_once {
                Packet::PubRec { packet_id: *id, refused: false }
            } else {
                Packet::PubAck(*id)
            }
        });
        waiting.chain(self.releasing.iter().map(|id| Packet::PubComp(*id))).nth(index)
    }

    /// The vehicles that are read with QoS 1 or 2.
    pub(super) fn lasting(&self) -> Vec<Vin> {
        let own = self.world.lock().own.clone();
        own.into_iter().filter(|vin| self.qos(*vin) > Some(Qos::AtMostOnce)).collect()
    }

    fn matching(&self, vin: Vin) -> impl Iterator<Item = &Subscription> {
        let topic = format!("{}/{}", self.world.lock().owner(vin), vin.as_str());
        let matching = move |filter: &str| reference::matches(filter, &topic);
        self.subscriptions.iter().filter(move |(filter, _)| matching(filter)).map(|(_, one)| one)
    }

    fn qos(&self, vin: Vin) -> Option<Qos> {
        self.matching(vin).map(|subscription| subscription.qos.min(self.qos_max)).max()
    }

    /// Whether a filter reaches no further than the client may.
    fn is_allowed(&self, filter: &str) -> bool {
        let below = |customer: Gcid| filter.starts_with(&format!("{customer}/"));
        match self.world.lock().reader {
            Reader::Customer(own) => below(own),
            Reader::Fleet => {
                ["+/+", "+/#", "+/+/#"].contains(&filter)
                    || filter.split('/').next().is_some_and(|first| first.parse::<Gcid>().is_ok())
            }
        }
    }

    /// The client may read some vehicles no longer.
    pub(super) fn lost(&mut self, vehicles: &[Vin]) {
        self.cursors.retain(|vin, _| !vehicles.contains(vin));
    }

    pub(super) fn asked(&mut self) {
        assert_eq!(self.phase, Phase::Opening, "asked again who the client is");
        self.phase = Phase::Pending;
    }

    /// The client is let in; what was kept of its session goes on, unless identifiers of QoS 2 were lost.
    pub(super) fn admitted(&mut self, kept: Option<&StoredSession>) {
        let kept = kept.filter(|kept| kept.left.is_some() || !kept.exactly_once);
        self.phase = Phase::Admitted { session_present: kept.is_some() };
        let Some(kept) = kept else { return };
        for known in &kept.subscriptions {
            let qos = Qos::from_level(known.qos).filter(|_| self.is_allowed(&known.filter));
            let Some(qos) = qos else { continue };
            let subscription = Subscription { qos, identifier: known.identifier };
            self.subscriptions.insert(known.filter.clone(), subscription);
        }
        let Some(left) = &kept.left else { return };
        let unfinished = left.unfinished.iter().filter(|delivery| !delivery.done);
        self.begun.extend(unfinished.clone().map(|delivery| delivery.packet_id));
        let exactly_once = unfinished.filter(|delivery| delivery.exactly_once);
        self.known.extend(exactly_once.map(|delivery| delivery.packet_id));
        self.known.extend(&left.given_up);
        self.releasing.extend(&left.releasing);
        self.answers.releases = left.releasing.len();
    }

    /// The client sends `packet`.
    pub(super) fn packet(&mut self, packet: &Packet) {
        match packet {
            Packet::PubAck(id) => self.finish(*id, false),
            Packet::PubRec { packet_id, refused } => {
                self.finish(*packet_id, true);
                self.known.remove(packet_id);
                if !refused {
                    self.answers.releases += 1;
                }
            }
            Packet::PubComp(id) => {
                self.releasing.remove(id);
            }
            Packet::PubRel(_) => self.answers.completions += 1,
            Packet::Subscribe { packet_id, filters, identifier } => {
                self.asked = Some(Asked::Subscribe(*packet_id, filters.clone(), *identifier));
            }
            Packet::Unsubscribe { packet_id, filters } => {
                self.asked = Some(Asked::Unsubscribe(*packet_id, filters.clone()));
            }
            Packet::PingReq => self.answers.pings += 1,
            Packet::Connect(connect) if self.phase == Phase::Opening => {
                self.connect.clone_from(connect);
                self.encoder = encoder(connect);
            }
            _ => {}
        }
    }

    fn finish(&mut self, id: NonZeroU16, exactly_once: bool) {
        if self.in_flight.get(&id).is_some_and(|one| one.exactly_once == exactly_once) {
            self.in_flight.remove(&id);
        }
    }

    /// The session sends `packet`. Whether the client takes one of its size.
    pub(super) fn sent(&mut self, packet: &Outgoing) -> bool {
        let mut bytes = BytesMut::new();
        let fits = self.encoder.encode(packet, &mut bytes);
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
                assert!(fits, "larger than what the client takes: {publish:?}");
            }
            (Phase::Connected, Outgoing::SubAck { packet_id, granted }) => {
                self.subscribed(*packet_id, granted);
            }
            (Phase::Connected, Outgoing::UnsubAck { packet_id, existed }) => {
                self.unsubscribed(*packet_id, existed);
            }
            (Phase::Connected, Outgoing::PingResp) => {
                Answers::take(&mut self.answers.pings, packet);
            }
            (Phase::Connected, Outgoing::PubRel { packet_id, known }) => {
                Answers::take(&mut self.answers.releases, packet);
                if *known {
                    // Also of a delivery that an earlier connection began and this one gave up: the client received it,
                    // and owes a PUBCOMP. [MQTT-4.3.3-2]
                    self.releasing.insert(*packet_id);
                }
            }
            (Phase::Connected, Outgoing::PubComp { .. }) => {
                Answers::take(&mut self.answers.completions, packet);
            }
            (
                Phase::Connected,
                Outgoing::PublishRefused { .. }
                | Outgoing::AuthSuccess { .. }
                | Outgoing::Disconnect(_),
            ) => assert_eq!(self.connect.version, Version::V5, "only MQTT 5 has {packet:?}"),
            (phase, _) => panic!("sent while {phase:?}: {packet:?}"),
        }
        fits
    }

    fn check_connack(&self, connack: &ConnAck, session_present: bool) {
        assert_eq!(connack.session_present, session_present);
        // [MQTT-3.2.2-16]
        let left_to_server = self.connect.client_id.is_empty();
        assert_eq!(connack.assigned_client_id.is_some(), left_to_server);
        assert_eq!(connack.retain_available, self.snapshots);
        assert_eq!(connack.shared_available, self.world.lock().reader == Reader::Fleet);
    }

    fn published(&mut self, publish: &Publish) {
        assert!(!self.congested, "sent while the way out is full: {publish:?}");
        {
            let world = self.world.lock();
            assert!(world.own.contains(&publish.vin), "another customer's vehicle: {publish:?}");
            let hidden = signals(&publish.payload) & !world.entitled;
            assert!(hidden == 0, "shows what the client may not see: {publish:?}");
            assert_eq!(publish.customer, world.owner(publish.vin), "{publish:?}");
            let seen_after =
                world.seen_after.get(&publish.vin).filter(|_| publish.qos > Qos::AtMostOnce);
            let is_seen = seen_after.is_none_or(|after| number(&publish.payload) > *after);
            assert!(is_seen, "of a time when it might not be read: {publish:?}");
        }
        let expected = self.matching(publish.vin).filter_map(|one| one.identifier);
        let expected = expected.collect();
        let sorted = |mut identifiers: Vec<_>| {
            identifiers.sort_unstable();
            identifiers
        };
        assert_eq!(sorted(publish.identifiers.clone()), sorted(expected));
        assert!(!publish.retain || publish.snapshot && self.snapshots, "RETAIN: {publish:?}");
        self.check_alias(publish);
        self.check_qos(publish);
        if let Some(id) = publish.packet_id {
            self.begin(id, publish);
        }
    }

    fn check_qos(&self, publish: &Publish) {
        let is_lasting = publish.qos > Qos::AtMostOnce;
        assert_eq!(publish.packet_id.is_some(), is_lasting, "{publish:?}");
        assert!(is_lasting || !publish.duplicate, "DUP with QoS 0: {publish:?}");
        if publish.duplicate {
            // What was begun is completed, whatever became of its subscription. [MQTT-3.10.4-3]
            return;
        }
        let qos = self.qos(publish.vin);
        let qos = qos.unwrap_or_else(|| panic!("sent without a subscription: {publish:?}"));
        if publish.snapshot {
            assert!(!is_lasting, "a snapshot with an acknowledgement: {publish:?}");
        } else if is_lasting || !self.changed_while_congested {
            assert_eq!(publish.qos, qos, "{publish:?}");
        }
    }

    /// A delivery with a packet identifier begins, or begins again.
    fn begin(&mut self, id: NonZeroU16, publish: &Publish) {
        // The messages of one event are begun together.
        let parts = match self.world.lock().packing {
            Packing::Event => 1,
            Packing::Entry => SIGNALS,
        };
        if publish.duplicate {
            let was_begun = self.begun.remove(&id);
            assert!(was_begun || parts > 1, "DUP, but never sent before: {publish:?}");
            self.known.remove(&id);
        }
        let is_known = self.known.contains(&id) || self.releasing.contains(&id);
        assert!(!is_known, "the client takes it for a duplicate: {publish:?}");
        let size_bytes = publish.payload.len();
        let before: usize = self.in_flight.values().map(|delivery| delivery.size_bytes).sum();
        let exactly_once = publish.qos == Qos::ExactlyOnce;
        let in_use = self.in_flight.insert(id, InFlight { exactly_once, size_bytes });
        assert!(in_use.is_none(), "the packet id is in use: {publish:?}");

        let count = self.in_flight.len() + self.releasing.len();
        let max = self.limits.inflight_max.min(self.connect.receive_max.get().into());
        assert!(count < max + parts, "{count} are in flight");
        let full = before >= self.limits.inflight_bytes_max;
        assert!(!full || count == 1 || parts > 1, "{before} bytes are in flight: {publish:?}");
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
        for (Wanted { filter, qos: wanted, .. }, granted) in filters.into_iter().zip(granted) {
            let Ok(qos) = granted else { continue };
            assert!(*qos <= wanted, "`{filter}` is granted with more than was asked for");
            assert!(reference::is_valid_filter(&filter), "`{filter}` is granted");
            assert!(self.is_allowed(&filter), "`{filter}` is granted, which is not the client's");
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
    pub(super) fn kept(&self, kept: &StoredSession) {
        self.check_cursors(kept);
        let left = kept.left.as_ref().expect("a connection leaves something behind");
        let unfinished = left.unfinished.iter().map(|delivery| delivery.packet_id);
        let count = unfinished.len();
        let ids: BTreeSet<_> = unfinished.collect();
        assert_eq!(ids.len(), count, "a packet id is kept twice: {:?}", left.unfinished);
        let most = (self.limits.inflight_max + SIGNALS) * (VEHICLES + 1);
        assert!(count <= most, "{count} deliveries are kept");
        let releasing: BTreeSet<_> = left.releasing.iter().collect();
        assert_eq!(releasing.len(), left.releasing.len(), "released twice: {left:?}");
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
    Encoder::new(connect.version).with_limits(connect.problem_information, connect.packet_size_max)
}
