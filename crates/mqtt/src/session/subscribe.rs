//! SUBSCRIBE, UNSUBSCRIBE and their answers: what a client reads, and how (§3.8 to §3.11 of both versions).

use std::collections::{BTreeSet, VecDeque};
use std::num::{NonZeroU16, NonZeroU32};

use cardata_domain::session::LeftBehind;
use cardata_domain::{Sequence, Vin};

use super::{Action, Connected, Limits, Subscription};
use crate::packet::{Outgoing, Qos, RetainHandling, Version, Wanted};
use crate::reason::SubscribeRefusal;
use crate::topic::Filter;

/// What became of a filter that was granted.
struct Granted {
    qos: Qos,
    filter: Filter,
    is_new: bool,
    /// Whether there is something to store.
    is_changed: bool,
}

impl Connected {
    pub(super) fn subscribe(
        &mut self,
        packet_id: NonZeroU16,
        filters: Vec<Wanted>,
        identifier: Option<NonZeroU32>,
        limits: &Limits,
        actions: &mut VecDeque<Action>,
    ) {
        let mut snapshots = BTreeSet::new();
        let mut is_changed = !self.cursors.is_empty();
        let mut answers = Vec::with_capacity(filters.len());
        for wanted in filters {
            let handling = wanted.retain_handling;
            let granted = self.grant(wanted, identifier, limits.subscriptions_max);
            is_changed |= granted.as_ref().is_ok_and(|granted| granted.is_changed);
            if let Ok(granted) = &granted
                && self.snapshots
                && (handling == RetainHandling::Always
                    || handling == RetainHandling::IfNew && granted.is_new)
            {
                let named = self.vehicles.iter().filter(|vin| granted.filter.matches(**vin));
                snapshots.extend(named.copied());
            }
            answers.push(granted.map(|granted| granted.qos));
        }
        let cursors = std::mem::take(&mut self.cursors);
        if is_changed {
            self.follow(&cursors, &LeftBehind::default(), actions);
            self.store_if_kept(actions);
        }
        actions.push_back(Action::Send(Outgoing::SubAck { packet_id, granted: answers }));
        // One for each vehicle, however many filters name it.
        for vin in snapshots {
            self.deliveries.send_snapshot(vin);
        }
        self.deliveries.read_on(actions);
    }

    fn grant(
        &mut self,
        wanted: Wanted,
        identifier: Option<NonZeroU32>,
        subscriptions_max: usize,
    ) -> Result<Granted, SubscribeRefusal> {
        let text = wanted.filter;
        if self.version == Version::V5 && text.starts_with("$share/") {
            return Err(SubscribeRefusal::SharedNotSupported);
        }
        let filter = Filter::parse(&text, self.gcid).ok_or(SubscribeRefusal::NotAuthorized)?;
        if let Filter::Vehicle(vin) = filter
            && !self.vehicles.contains(&vin)
        {
            return Err(SubscribeRefusal::NotAuthorized);
        }
        let qos = match self.qos_max {
            Qos::AtMostOnce => wanted.qos,
            highest => wanted.qos.min(highest),
        };
        let full = self.subscriptions.len() >= subscriptions_max;
        let known = self.subscriptions.iter_mut().find(|earlier| earlier.text == text);
        let is_new = known.is_none();
        let is_changed = match known {
            Some(earlier) => {
                let before = (earlier.granted, earlier.identifier);
                (earlier.granted, earlier.identifier) = (qos, identifier);
                before != (qos, identifier)
            }
            None if full => return Err(SubscribeRefusal::QuotaExceeded),
            None => {
                self.subscriptions.push(Subscription { text, filter, granted: qos, identifier });
                true
            }
        };
        self.exactly_once |= qos.min(self.qos_max) == Qos::ExactlyOnce;
        Ok(Granted { qos, filter, is_new, is_changed })
    }

    pub(super) fn unsubscribe(
        &mut self,
        packet_id: NonZeroU16,
        filters: &[String],
        actions: &mut VecDeque<Action>,
    ) {
        // One after the other: a filter that comes twice is gone the second time.
        let ended = filters.iter().map(|filter| {
            let before = self.subscriptions.len();
            self.subscriptions.retain(|subscription| subscription.text != *filter);
            self.subscriptions.len() < before
        });
        let existed: Vec<_> = ended.collect();
        if existed.contains(&true) {
            self.follow(&[], &LeftBehind::default(), actions);
            self.store_if_kept(actions);
        }
        actions.push_back(Action::Send(Outgoing::UnsubAck { packet_id, existed }));
    }

    /// From now on, the customer may read `vehicles` and no others.
    pub(super) fn change_vehicles(&mut self, vehicles: Vec<Vin>, actions: &mut VecDeque<Action>) {
        if self.vehicles == vehicles {
            return;
        }
        let earlier = std::mem::replace(&mut self.vehicles, vehicles);
        for vin in earlier.into_iter().filter(|vin| !self.vehicles.contains(vin)) {
            self.deliveries.drop_vehicle(vin);
        }
        self.follow(&[], &LeftBehind::default(), actions);
        self.store_if_kept(actions);
    }

    /// Of the subscriptions that a message of `vin` matches (MQTT 5 §3.3.4).
    pub(super) fn identifiers(&self, vin: Vin) -> Vec<NonZeroU32> {
        let matching =
            self.subscriptions.iter().filter(|subscription| subscription.filter.matches(vin));
        matching.filter_map(|subscription| subscription.identifier).collect()
    }

    /// Makes the vehicles that are read those that the subscriptions name. `cursors` and `left` say where a resumed
    /// session stood.
    pub(super) fn follow(
        &mut self,
        cursors: &[(Vin, Sequence)],
        left: &LeftBehind,
        actions: &mut VecDeque<Action>,
    ) {
        for vin in self.vehicles.clone() {
            let Some(qos) = self.qos(vin) else {
                self.deliveries.detach(vin);
                continue;
            };
            let cursor = cursors.iter().find(|(of, _)| *of == vin).map(|(_, cursor)| *cursor);
            self.deliveries.attach(vin, qos, cursor, left);
        }
        self.deliveries.read_on(actions);
    }

    /// With which QoS messages of `vin` are delivered: the highest of all matching subscriptions, so that overlapping
    /// ones give each message once.
    pub(super) fn qos(&self, vin: Vin) -> Option<Qos> {
        let matching =
            self.subscriptions.iter().filter(|subscription| subscription.filter.matches(vin));
        matching.map(|subscription| subscription.granted.min(self.qos_max)).max()
    }
}
