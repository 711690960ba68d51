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
    /// The newest event that was sent since the last crash.
    sent_last: BTreeMap<Vin, u64>,
    /// The newest event of which something due was received.
    received_last: BTreeMap<Vin, u64>,
    /// What this connection sent and the client has not acknowledged; `false` when its subscription is gone.
    unacked: BTreeMap<NonZeroU16, (Message, bool)>,
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
            sent_last: BTreeMap::new(),
            received_last: BTreeMap::new(),
            unacked: BTreeMap::new(),
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
            self.resting.retain(|_, message| message.vin != vin);
            let of_vin = |(message, _): &&mut (Message, bool)| message.vin == vin;
            self.unacked.values_mut().filter(of_vin).for_each(|(_, lasting)| *lasting = false);
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
        for (id, (message, lasting)) in std::mem::take(&mut self.unacked) {
            if lasting {
                self.resting.insert(id, message);
            }
        }
        if !persistent {
            self.session_ended();
        }
    }

    pub(crate) fn session_ended(&mut self) {
        self.qos.clear();
        self.due.clear();
        self.resting.clear();
    }

    /// The process crashed; the journal lost the events with these numbers.
    pub(crate) fn crashed(&mut self, lost: &BTreeSet<u64>) {
        self.lost(lost);
        self.resting.clear();
        self.sent.clear();
        self.sent_last.clear();
        self.acked.clear();
    }

    pub(crate) fn sent(&mut self, message: &Message) {
        assert!(!self.congested, "sent while the way out is full: {message:?}");
        let visible = |(signal, _): &(Signal, u64)| self.entitled.contains(signal);
        assert!(message.entries.iter().all(visible), "shows too much: {message:?}");
        let qos = self.qos.get(&message.vin).copied();
        assert!(qos.is_some(), "sent without a subscription: {message:?}");
        if message.duplicate {
            self.sent_again(message);
        } else {
            self.sent_first(message);
        }
        if let Some(id) = message.packet_id {
            assert!(qos > Some(Qos::AtMostOnce), "a packet id with QoS 0: {message:?}");
            let in_use = self.unacked.insert(id, (message.clone(), true));
            assert!(in_use.is_none(), "{id} is in use for {in_use:?}: {message:?}");
            let content = (message.vin, message.entries.clone());
            let again = !self.changed && self.acked.contains(&content);
            assert!(!again, "acknowledged and sent again: {message:?}");
        }
        let parts = if self.packing == Packing::Entry { Signal::ALL.len() } else { 1 };
        assert!(self.unacked.len() < self.inflight_max + parts, "too much is on its way");
        self.sent.extend(named(message));
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
        assert!(self.sent.iter().any(before), "DUP, but never sent before: {message:?}");
        let earlier = self.resting.remove(&id);
        if !self.changed {
            let earlier = earlier.expect("DUP goes with the packet id of before");
            let content = |of: &Message| (of.vin, of.entries.clone());
            assert_eq!(content(&earlier), content(message), "both have the packet id {id}");
        }
    }

    pub(crate) fn received(&mut self, message: &Message) {
        for (vin, number, signal) in named(message) {
            if self.due.remove(&(vin, number, signal)) {
                let last = self.received_last.entry(vin).or_insert(0);
                assert!(number >= *last, "received after {last}: {message:?}");
                *last = number;
            }
            if self.fresh.get(&(vin, signal)).is_some_and(|newest| *newest <= number) {
                self.fresh.remove(&(vin, signal));
            }
        }
    }

    /// The session told how far `vin` was acknowledged.
    pub(crate) fn moved(&self, vin: Vin) {
        assert!(self.qos.get(&vin) > Some(&Qos::AtMostOnce), "a cursor without QoS 1");
    }

    pub(crate) fn acked(&mut self, id: NonZeroU16) {
        if let Some((message, _)) = self.unacked.remove(&id) {
            self.acked.push((message.vin, message.entries));
        }
    }

    /// Everything had time to arrive.
    pub(crate) fn settled(&self) {
        assert!(self.due.is_empty(), "never received: {:?}", self.due);
        assert!(self.fresh.is_empty(), "newest values that never came: {:?}", self.fresh);
        assert!(self.unacked.is_empty(), "never acknowledged: {:?}", self.unacked);
    }
}

fn named(message: &Message) -> impl Iterator<Item = Named> {
    message.entries.iter().map(|(signal, number)| (message.vin, *number, *signal))
}
