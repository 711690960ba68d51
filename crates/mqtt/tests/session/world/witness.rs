//! The promises of delivery, checked at each step of a test.
//!
//! The witness knows what was appended, who may see it and what the client got; it knows nothing of how the session
//! works. It panics where a promise is broken.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU16;

use cardata_domain::Vin;
use cardata_domain::projection::Packing;
use cardata_mqtt::Qos;

use super::source::{Message, Signal};

/// An entry: whose, of which event, which signal.
type Named = (Vin, u64, Signal);

pub(crate) struct Witness {
    inflight_max: usize,
    packing: Packing,
    entitled: BTreeSet<Signal>,
    congested: bool,
    /// How each vehicle that is subscribed to is delivered.
    qos: BTreeMap<Vin, Qos>,
    /// What a client with QoS 1 must get, since it was visible ever since it was appended.
    due: BTreeSet<Named>,
    /// The newest value of each signal that a connected client with QoS 0 must get.
    fresh: BTreeMap<(Vin, Signal), u64>,
    /// What was sent since the last crash.
    sent: BTreeSet<Named>,
    /// The same of all times.
    ever_sent: BTreeSet<Named>,
    /// The newest event that was sent since the last crash.
    sent_last: BTreeMap<Vin, u64>,
    /// The newest event of which something due was received.
    received_last: BTreeMap<Vin, u64>,
    /// What this connection sent and the client has not acknowledged.
    unacked: BTreeMap<NonZeroU16, Message>,
    /// What the client acknowledged with a PUBREC and was not released.
    unreleased: BTreeSet<NonZeroU16>,
    /// What the client got with QoS 2 since the last crash.
    got_once: BTreeSet<Named>,
    /// The same of earlier connections, as far as it was not sent again.
    resting: BTreeMap<NonZeroU16, Message>,
    /// What was acknowledged since the last crash.
    acked: Vec<(Vin, Vec<(Signal, u64)>)>,
    /// Entitlement or retention changed, so that an earlier delivery may never be sent again, or look different.
    changed: bool,
}

impl Witness {
    pub(crate) fn new(inflight_max: usize, packing: Packing, entitled: BTreeSet<Signal>) -> Self {
        Self {
            inflight_max,
            packing,
            entitled,
            congested: false,
            qos: BTreeMap::new(),
            due: BTreeSet::new(),
            fresh: BTreeMap::new(),
            sent: BTreeSet::new(),
            ever_sent: BTreeSet::new(),
            sent_last: BTreeMap::new(),
            received_last: BTreeMap::new(),
            unacked: BTreeMap::new(),
            unreleased: BTreeSet::new(),
            got_once: BTreeSet::new(),
            resting: BTreeMap::new(),
            acked: Vec::new(),
            changed: false,
        }
    }

    /// An event was appended while a client was `connected` or not.
    pub(crate) fn appended(&mut self, vin: Vin, number: u64, signals: &[Signal], connected: bool) {
        let visible = signals.iter().filter(|signal| self.entitled.contains(signal));
        match self.qos.get(&vin) {
            None => {}
            Some(Qos::AtMostOnce) if !connected => {}
            Some(Qos::AtMostOnce) => {
                self.fresh.extend(visible.map(|signal| ((vin, *signal), number)));
            }
            Some(_) => self.due.extend(visible.map(|signal| (vin, number, *signal))),
        }
    }

    /// A connection begins, in which so many deliveries may be on their way.
    pub(crate) fn connected(&mut self, inflight_max: usize) {
        self.inflight_max = inflight_max;
    }

    /// The customer has other vehicles: what was begun of those that are gone is not sent again.
    pub(crate) fn vehicles_changed(&mut self) {
        self.changed = true;
    }

    pub(crate) fn congested(&mut self, congested: bool) {
        self.congested = congested;
    }

    pub(crate) fn entitled(&mut self, entitled: BTreeSet<Signal>) {
        self.due.retain(|(_, _, signal)| entitled.contains(signal));
        self.fresh.retain(|(_, signal), _| entitled.contains(signal));
        self.entitled = entitled;
        self.changed = true;
    }

    /// Events with these numbers are past their retention.
    pub(crate) fn dropped(&mut self, numbers: &BTreeSet<u64>) {
        self.lost(numbers);
        self.changed = true;
    }

    fn lost(&mut self, numbers: &BTreeSet<u64>) {
        self.due.retain(|(_, number, _)| !numbers.contains(number));
        self.fresh.retain(|_, number| !numbers.contains(number));
    }

    /// Messages of `vin` are delivered with `qos` from now on.
    pub(crate) fn followed(&mut self, vin: Vin, qos: Option<Qos>) {
        if qos.is_none() {
            self.fresh.retain(|(of, _), _| *of != vin);
        }
        if qos.is_none_or(|qos| qos == Qos::AtMostOnce) {
            self.due.retain(|(of, _, _)| *of != vin);
        }
        match qos {
            Some(qos) => self.qos.insert(vin, qos),
            None => self.qos.remove(&vin),
        };
    }

    /// The connection is gone; the session stays if it is `persistent`.
    pub(crate) fn disconnected(&mut self, persistent: bool) {
        self.fresh.clear();
        self.congested = false;
        self.resting.append(&mut self.unacked);
        if !persistent {
            self.session_ended();
        }
    }

    pub(crate) fn session_ended(&mut self) {
        self.qos.clear();
        self.due.clear();
        self.resting.clear();
        self.unreleased.clear();
    }

    /// The process crashed; the journal lost the events with these numbers. What the session had on its way is
    /// `forgotten`, or was stored.
    pub(crate) fn crashed(&mut self, lost: &BTreeSet<u64>, forgotten: bool) {
        self.lost(lost);
        if forgotten {
            self.resting.clear();
            self.unreleased.clear();
        }
        self.got_once.clear();
        self.sent.clear();
        self.sent_last.clear();
        self.acked.clear();
    }

    pub(crate) fn sent(&mut self, message: &Message) {
        assert!(!self.congested, "sent while the way out is full: {message:?}");
        let visible = |(signal, _): &(Signal, u64)| self.entitled.contains(signal);
        assert!(message.entries.iter().all(visible), "shows too much: {message:?}");
        let qos = self.qos.get(&message.vin).copied();
        // What an earlier connection has begun is completed, whatever became of its subscription [MQTT-3.10.4-3].
        assert!(qos.is_some() || message.duplicate, "sent without a subscription: {message:?}");
        assert_eq!(message.packet_id.is_some(), message.qos > Qos::AtMostOnce, "{message:?}");
        if message.snapshot {
            assert_eq!((message.qos, message.duplicate), (Qos::AtMostOnce, false), "{message:?}");
            return;
        }
        if message.duplicate {
            self.sent_again(message);
        } else {
            assert!(Some(message.qos) <= qos, "with more than was granted: {message:?}");
            self.sent_first(message);
        }
        if let Some(id) = message.packet_id {
            let in_use = self.unacked.insert(id, message.clone());
            assert!(in_use.is_none(), "{id} is in use for {in_use:?}: {message:?}");
            assert!(!self.unreleased.contains(&id), "{id} was not released: {message:?}");
            let content = (message.vin, message.entries.clone());
            let again = !self.changed && self.acked.contains(&content);
            assert!(!again, "acknowledged and sent again: {message:?}");
        }
        let parts = if self.packing == Packing::Entry { Signal::ALL.len() } else { 1 };
        // One of QoS 2 takes its place until it was released (MQTT 5 §4.9).
        let on_its_way = self.unacked.len() + self.unreleased.len();
        let is_counted = message.packet_id.is_some();
        assert!(!is_counted || on_its_way < self.inflight_max + parts, "too much is on its way");
        self.sent.extend(named(message));
        self.ever_sent.extend(named(message));
    }

    fn sent_first(&mut self, message: &Message) {
        let last = self.sent_last.entry(message.vin).or_insert(0);
        for (signal, number) in &message.entries {
            let later = number > last || (self.packing == Packing::Entry && number == last);
            assert!(later, "out of order after {last}, or twice without DUP: {message:?}");
            let twice = self.sent.contains(&(message.vin, *number, *signal));
            assert!(!twice, "sent twice without DUP: {message:?}");
        }
        *last = message.number();
        if let Some(earlier) = message.packet_id.and_then(|id| self.resting.remove(&id)) {
            assert!(self.changed, "the packet id of {earlier:?} is given to {message:?}");
        }
    }

    fn sent_again(&mut self, message: &Message) {
        let id = message.packet_id.expect("QoS 0 has no DUP [MQTT-3.3.1-2]");
        let number = message.number();
        let before = |(vin, sent, _): &Named| (*vin, *sent) == (message.vin, number);
        assert!(self.ever_sent.iter().any(before), "DUP, but never sent before: {message:?}");
        let earlier = self.resting.remove(&id);
        if !self.changed {
            let earlier = earlier.expect("DUP goes with the packet id of before");
            let content = |of: &Message| (of.vin, of.entries.clone(), of.qos);
            assert_eq!(content(&earlier), content(message), "both have the packet id {id}");
        }
    }

    pub(crate) fn received(&mut self, message: &Message) {
        for (vin, number, signal) in named(message) {
            if self.fresh.get(&(vin, signal)).is_some_and(|newest| *newest <= number) {
                self.fresh.remove(&(vin, signal));
            }
        }
        if message.snapshot {
            return;
        }
        if message.qos == Qos::ExactlyOnce {
            for entry in named(message) {
                let first = self.got_once.insert(entry);
                assert!(first || self.changed, "received twice with QoS 2: {message:?}");
            }
        }
        for (vin, number, signal) in named(message) {
            if self.due.remove(&(vin, number, signal)) {
                let last = self.received_last.entry(vin).or_insert(0);
                assert!(number >= *last, "received after {last}: {message:?}");
                *last = number;
            }
        }
    }

    /// The session told how far `vin` was acknowledged.
    pub(crate) fn moved(&self, vin: Vin) {
        assert!(self.qos.get(&vin) > Some(&Qos::AtMostOnce), "a cursor without QoS 1");
    }

    pub(crate) fn acked(&mut self, id: NonZeroU16) {
        if let Some(message) = self.unacked.remove(&id) {
            if message.qos == Qos::ExactlyOnce {
                self.unreleased.insert(id);
            }
            self.acked.push((message.vin, message.entries));
        }
    }

    /// The client refused a delivery: it does not come again, and its packet identifier is free.
    pub(crate) fn refused(&mut self, id: NonZeroU16) {
        if let Some(message) = self.unacked.remove(&id) {
            self.acked.push((message.vin, message.entries));
        }
    }

    /// The client got a PUBREL.
    pub(crate) fn released(&mut self, id: NonZeroU16) {
        self.unreleased.remove(&id);
    }

    /// Everything had time to arrive.
    pub(crate) fn settled(&self) {
        assert!(self.due.is_empty(), "never received: {:?}", self.due);
        assert!(self.fresh.is_empty(), "newest values that never came: {:?}", self.fresh);
        assert!(self.unacked.is_empty(), "never acknowledged: {:?}", self.unacked);
        assert!(self.unreleased.is_empty(), "never released: {:?}", self.unreleased);
    }
}

fn named(message: &Message) -> impl Iterator<Item = Named> {
    message.entries.iter().map(|(signal, number)| (message.vin, *number, *signal))
}
