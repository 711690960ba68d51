//! CONNECT and CONNACK: how a session begins or goes on (§3.1, §3.2 and §4.4 of both versions).

use std::collections::VecDeque;
use std::time::Duration;

use cardata_domain::session::StoredSession;

use super::{Action, Admission, Connected, Limits, Subscription};
use crate::delivery::Deliveries;
use crate::inflight::WindowLimits;
use crate::outlet::Outlet;
use crate::packet::{ConnAck, Connect, Outgoing, Qos, Version};
use crate::reader::Reader;
use crate::topic::{self, Filter};

impl Connected {
    /// Lets the sender of `connect` in: answers, and goes on with what was kept of its session.
    pub(super) fn admit(
        connect: &Connect,
        admission: Admission,
        limits: &Limits,
        actions: &mut VecDeque<Action>,
    ) -> Self {
        let Admission { reader, assigned_client_id, vehicles, expires_at, .. } = admission;
        let Admission { qos_max, snapshots, keeps_sessions, kept, source, .. } = admission;
        let wanted = connect.session_expiry_seconds;
        let session_expiry_seconds =
            if keeps_sessions { wanted.min(limits.session_expiry_seconds_max) } else { 0 };
        let keep_alive_seconds = keep_alive_seconds(connect, limits);
        let auth_method = connect.auth.as_ref().map(|auth| auth.method.clone());

        let mut kept = kept.filter(|_| !connect.clean_start);
        let is_broken = kept.as_ref().is_some_and(lacks_state);
        let cursors = kept.take_if(|_| is_broken).map(|kept| kept.cursors).unwrap_or_default();
        actions.push_back(Action::Send(Outgoing::ConnAck(Box::new(ConnAck {
            session_present: kept.is_some(),
            assigned_client_id,
            session_expiry_seconds: Some(session_expiry_seconds).filter(|told| *told != wanted),
            keep_alive_seconds: Some(keep_alive_seconds)
                .filter(|told| *told != connect.keep_alive_seconds),
            shared_available: reader == Reader::Fleet,
            retain_available: snapshots,
            auth_method: auth_method.clone(),
        }))));
        let kept = kept.unwrap_or_default();

        let seconds = u32::from(keep_alive_seconds);
        let window = WindowLimits {
            deliveries_max: limits.inflight_max.min(connect.receive_max.get().into()),
            bytes_max: limits.inflight_bytes_max,
        };
        let mut connected = Self {
            reader,
            vehicles,
            version: connect.version,
            session_expiry_seconds,
            keep_alive: (seconds > 0).then(|| Duration::from_secs(1) * seconds * 3 / 2),
            auth_method,
            expires_at,
            qos_max,
            snapshots,
            subscriptions: subscriptions(&kept, reader, connect.version),
            exactly_once: kept.exactly_once,
            cursors,
            deliveries: Deliveries::new(source, window),
            outlet: Outlet::new(connect),
        };
        connected.begin_to_share(actions);
        connected.resume(&kept, actions);
        // Also for a new session: from now on its name is taken, and a restart finds it.
        connected.store_if_kept(actions);
        connected
    }

    fn resume(&mut self, kept: &StoredSession, actions: &mut VecDeque<Action>) {
        let mut left = kept.left.clone().unwrap_or_default();
        // Each of a fleet's thousands of vehicles is looked for.
        left.complete_until.sort_unstable_by_key(|(vin, _)| *vin);
        self.deliveries.resume(&left, actions);
        let cursors = kept.cursors.iter().copied().collect();
        self.follow(&cursors, &left, actions);
        let mut begun: Vec<_> = left.unfinished.iter().map(|delivery| delivery.vin).collect();
        begun.sort_unstable();
        begun.dedup();
        for vin in begun {
            match self.vehicles.customer(vin) {
                None => self.deliveries.give_up(vin, &left),
                Some(customer) if self.qos(customer, vin).is_none() => {
                    self.deliveries.complete((vin, customer), &left);
                }
                Some(_) => {}
            }
        }
        self.deliveries.read_on(actions);
    }
}

/// Whether the session can't go on as it was: its client waits for the second half of deliveries of QoS 2 that a crash
/// has made unknown, and would take new messages with their packet identifiers for duplicates. The client is told that
/// there is no session, so that it forgets them, too. What it missed comes with its next SUBSCRIBE.
fn lacks_state(kept: &StoredSession) -> bool {
    kept.left.is_none() && kept.exactly_once
}

/// What the client asked for, or the longest time where it asked for more or for none and can be told
/// [MQTT-3.1.2-21]. Others are taken at their word.
fn keep_alive_seconds(connect: &Connect, limits: &Limits) -> u16 {
    match (connect.version, connect.keep_alive_seconds) {
        (Version::V5, 0) => limits.keep_alive_seconds_max,
        (Version::V5, wanted) => wanted.min(limits.keep_alive_seconds_max),
        (Version::V311, wanted) => wanted,
    }
}

fn subscriptions(kept: &StoredSession, reader: Reader, version: Version) -> Vec<Subscription> {
    let subscriptions = kept.subscriptions.iter().filter_map(|one| {
        // A client that comes back with 3.1.1 has no words for what it shared, and a customer's shares nothing.
        let may_share = version == Version::V5 && reader == Reader::Fleet;
        let shared = topic::shared(&one.filter).filter(|_| may_share);
        let filter = Filter::parse(shared.unwrap_or(&one.filter), reader)?;
        let (granted, identifier) = (Qos::from_level(one.qos)?, one.identifier);
        let (text, shared) = (one.filter.clone(), shared.is_some());
        Some(Subscription { text, filter, shared, granted, identifier })
    });
    subscriptions.collect()
}
