//! SUBSCRIBE, UNSUBSCRIBE and their answers: what a client reads, and how (§3.8 to §3.11 of both versions).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::num::{NonZeroU16, NonZeroU32};

use cardata_domain::session::LeftBehind;
use cardata_domain::{Gcid, Sequence, Vin};

use super::{Action, Connected, Limits, Subscription};
use crate::packet::{Outgoing, Qos, RetainHandling, Version, Wanted};
use crate::reader::{Reader, Vehicles};
use crate::reason::SubscribeRefusal;
use crate::topic::{self, Filter};

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
            let granted = self.grant(wanted, identifier, limits.subscriptions_max, actions);
            is_changed |= granted.as_ref().is_ok_and(|granted| granted.is_changed);
            if let Ok(granted) = &granted
                && self.snapshots
                && (handling == RetainHandling::Always
                    || handling == RetainHandling::IfNew && granted.is_new)
            {
                // What is shared brings none (MQTT 5 §3.8.4): its vehicles are told later.
                let named =
                    self.vehicles.iter().filter(|(vin, of)| granted.filter.matches(*of, *vin));
                snapshots.extend(named.map(|(vin, _)| vin));
            }
            answers.push(granted.map(|granted| granted.qos));
        }
        let cursors = std::mem::take(&mut self.cursors).into_iter().collect();
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
        actions: &mut VecDeque<Action>,
    ) -> Result<Granted, SubscribeRefusal> {
        let text = wanted.filter;
        let inner = topic::shared(&text).filter(|_| self.version == Version::V5);
        let shared = inner.is_some();
        if shared {
            self.may_share(&text)?;
        }
        let filter = Filter::parse(inner.unwrap_or(&text), self.reader);
        let filter = filter.ok_or_else(|| self.not_authorized())?;
        let mixes = |earlier: &Subscription| earlier.text != text && (shared || earlier.shared);
        if self.subscriptions.iter().any(mixes) {
            return Err(SubscribeRefusal::Mixed);
        }
        // Of what is shared, a session has only its part.
        if let Filter::Vehicle(customer, vin) = filter
            && !shared
            && self.vehicles.customer(vin) != Some(customer)
        {
            return Err(self.not_authorized());
        }
        // A message of QoS 2 may not go to another member once it was sent (MQTT 5 §4.8.2). What is granted here may, so
        // that no vehicle waits for a member that is gone.
        let wanted_qos = if shared { wanted.qos.min(Qos::AtLeastOnce) } else { wanted.qos };
        let qos = match self.qos_max {
            Qos::AtMostOnce => wanted_qos,
            highest => wanted_qos.min(highest),
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
                self.subscriptions.push(Subscription {
                    text,
                    filter,
                    shared,
                    granted: qos,
                    identifier,
                });
                true
            }
        };
        if shared && is_new {
            self.begin_to_share(actions);
        }
        self.exactly_once |= qos.min(self.qos_max) == Qos::ExactlyOnce;
        Ok(Granted { qos, filter, is_new, is_changed })
    }

    pub(super) fn unsubscribe(
        &mut self,
        packet_id: NonZeroU16,
        filters: &[String],
        actions: &mut VecDeque<Action>,
    ) {
        let shared = self.is_shared();
        // One after the other: a filter that comes twice is gone the second time.
        let ended = filters.iter().map(|filter| {
            let before = self.subscriptions.len();
            self.subscriptions.retain(|subscription| subscription.text != *filter);
            self.subscriptions.len() < before
        });
        let existed: Vec<_> = ended.collect();
        if existed.contains(&true) {
            if shared && !self.is_shared() {
                self.deliveries.share(false);
                actions.push_back(Action::LeaveGroup);
            }
            self.follow(&BTreeMap::new(), &LeftBehind::default(), actions);
            self.store_if_kept(actions);
        }
        actions.push_back(Action::Send(Outgoing::UnsubAck { packet_id, existed }));
    }

    /// The subscription that is shared; then there is no other.
    pub(super) fn shared(&self) -> Option<&Subscription> {
        self.subscriptions.first().filter(|first| first.shared)
    }

    pub(super) fn is_shared(&self) -> bool {
        self.shared().is_some()
    }

    /// Which vehicles are this session's is told when it has joined the others.
    pub(super) fn begin_to_share(&mut self, actions: &mut VecDeque<Action>) {
        let Some(group) = self.shared().map(|shared| shared.text.clone()) else { return };
        self.vehicles = Vehicles::default();
        self.deliveries.share(true);
        actions.push_back(Action::Join { group });
    }

    /// Whether the session may share `text` at all.
    fn may_share(&self, text: &str) -> Result<(), SubscribeRefusal> {
        match self.reader {
            Reader::Customer(_) => Err(SubscribeRefusal::SharedNotSupported),
            Reader::Fleet if text.len() > GROUP_LENGTH_MAX => Err(SubscribeRefusal::QuotaExceeded),
            Reader::Fleet => Ok(()),
        }
    }

    fn not_authorized(&self) -> SubscribeRefusal {
        match self.reader {
            Reader::Customer(_) => SubscribeRefusal::NotAuthorized,
            Reader::Fleet => SubscribeRefusal::NotForFleets,
        }
    }

    /// From now on, the client may read `vehicles` and no others.
    pub(super) fn change_vehicles(&mut self, vehicles: Vehicles, actions: &mut VecDeque<Action>) {
        let Some(gained) = self.replace_vehicles(vehicles) else { return };
        self.follow(&BTreeMap::new(), &LeftBehind::default(), actions);
        // Where one of thousands of customers leaves a fleet, what all others have is not stored anew: whoever takes the
        // vehicles away takes their cursors away as well.
        if self.reader != Reader::Fleet || !gained.is_empty() {
            self.store_if_kept(actions);
        }
    }

    /// From now on, the session has `vehicles` of what it shares, each from where the others got.
    pub(super) fn share(
        &mut self,
        vehicles: Vehicles,
        cursors: &BTreeMap<Vin, Sequence>,
        actions: &mut VecDeque<Action>,
    ) {
        let Some(gained) = self.replace_vehicles(vehicles) else { return };
        for vin in &gained {
            // What an earlier subscription of this session had of it is over: it goes on where the others got.
            self.deliveries.drop_vehicle(*vin);
        }
        self.follow(cursors, &LeftBehind::default(), actions);
        for vin in gained.into_iter().filter(|vin| !cursors.contains_key(vin)) {
            self.deliveries.tell_beginning(vin, actions);
        }
    }

    /// Drops what is not among `vehicles`. Gives those that are new; `None` where nothing is different.
    fn replace_vehicles(&mut self, vehicles: Vehicles) -> Option<Vec<Vin>> {
        if self.vehicles == vehicles {
            return None;
        }
        let earlier = std::mem::replace(&mut self.vehicles, vehicles);
        // One that changed hands is lost and gained.
        let without = |others: &Vehicles, all: &Vehicles| -> Vec<Vin> {
            let missing = all.iter().filter(|(vin, of)| others.customer(*vin) != Some(*of));
            missing.map(|(vin, _)| vin).collect()
        };
        for vin in without(&self.vehicles, &earlier) {
            self.deliveries.drop_vehicle(vin);
        }
        Some(without(&earlier, &self.vehicles))
    }

    /// Of the subscriptions that a message of `vin` matches (MQTT 5 §3.3.4).
    pub(super) fn identifiers(&self, customer: Gcid, vin: Vin) -> Vec<NonZeroU32> {
        let identified = |subscription: &Subscription| subscription.identifier.is_some();
        // Few clients want to be told, and this is asked for each message.
        if !self.subscriptions.iter().any(identified) {
            return Vec::new();
        }
        self.matching(customer, vin).filter_map(|subscription| subscription.identifier).collect()
    }

    fn matching(&self, customer: Gcid, vin: Vin) -> impl Iterator<Item = &Subscription> {
        let matches =
            move |subscription: &&Subscription| subscription.filter.matches(customer, vin);
        self.subscriptions.iter().filter(matches)
    }

    /// Makes the vehicles that are read those that the subscriptions name. `cursors` and `left` say where a resumed
    /// session stood.
    pub(super) fn follow(
        &mut self,
        cursors: &BTreeMap<Vin, Sequence>,
        left: &LeftBehind,
        actions: &mut VecDeque<Action>,
    ) {
        for (vin, customer) in self.vehicles.iter() {
            let Some(qos) = self.qos(customer, vin) else {
                self.deliveries.detach(vin);
                continue;
            };
            self.deliveries.attach((vin, customer), qos, cursors.get(&vin).copied(), left);
        }
        self.deliveries.read_on(actions);
    }

    /// With which QoS messages of `vin` are delivered: the highest of all matching subscriptions, so that overlapping
    /// ones give each message once.
    pub(super) fn qos(&self, customer: Gcid, vin: Vin) -> Option<Qos> {
        self.matching(customer, vin)
            .map(|subscription| subscription.granted.min(self.qos_max))
            .max()
    }
}

/// Bytes that a shared subscription may have: its name is kept.
const GROUP_LENGTH_MAX: usize = 256;
