//! One connection's life: connect, subscribe, receive, close (§3 and §4.8 of both versions, MQTT 5 §4.12 and §4.13).
//!
//! The driver calls `handle_…` with what happened, then takes [`Session::poll_action`] until it is empty, and sleeps
//! until something happens or [`Session::poll_timeout`]. Actions must be carried out in their order.

mod connect;
mod subscribe;

use std::collections::{BTreeMap, VecDeque};
use std::num::{NonZeroU16, NonZeroU32};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cardata_domain::session::{StoredSession, StoredSubscription};
use cardata_domain::{Entry, Recorded, Sequence, Vin};
use thiserror::Error;

use crate::decode::PacketError;
use crate::delivery::{Deliveries, Source};
use crate::outlet::Outlet;
use crate::packet::{Auth, Connect, Outgoing, Packet, Qos, Version};
use crate::reader::{Reader, Vehicles};
use crate::reason::{CloseReason, ConnectRefusal, SubscribeRefusal};
use crate::topic::Filter;

/// What a session may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How long a peer may take until its CONNECT is there.
    pub connect_deadline: Duration,
    /// Deliveries that may wait for their acknowledgement, if the client does not want less.
    pub inflight_max: usize,
    /// Bytes of their payloads.
    pub inflight_bytes_max: usize,
    /// Topic filters of one session; a further one is refused in the SUBACK.
    pub subscriptions_max: usize,
    /// The longest keep-alive time, for clients that can be told (MQTT 5 §3.2.2.3.14).
    pub keep_alive_seconds_max: u16,
    /// How long a client may be silent, whatever keep-alive time it asked for.
    pub idle_max: Option<Duration>,
    /// How long a session may outlive its connection.
    pub session_expiry_seconds_max: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect_deadline: Duration::from_secs(10),
            inflight_max: 256,
            inflight_bytes_max: 1 << 20,
            subscriptions_max: 64,
            keep_alive_seconds_max: 1200,
            idle_max: None,
            session_expiry_seconds_max: 30 * 24 * 3600,
        }
    }
}

/// What the driver has to do.
#[derive(Debug)]
pub enum Action {
    /// Find out who this is, then call [`Session::admit`] or [`Session::refuse`], and handle no packet before.
    Authenticate(Box<Connect>),
    /// Find out whether this fresh token is good for the connection, then call [`Session::reauthenticated`] or
    /// [`Session::close`], and handle no packet before.
    Reauthenticate(Auth),
    /// Send a packet.
    Send(Outgoing),
    /// Make the session's subscriptions and cursors durable before anything after this is sent.
    Store(StoredSession),
    /// Everything of `vin` up to `cursor` was acknowledged; store it soon.
    MoveCursor {
        /// Whose.
        vin: Vin,
        /// Up to and with this event.
        cursor: Sequence,
    },
    /// Read at most `limit` events of `vin` after `after` and give them to [`Session::handle_read`].
    Read {
        /// Whose.
        vin: Vin,
        /// From the next one on.
        after: Sequence,
        /// How many.
        limit: usize,
    },
    /// Look up the newest value of each signal of `vin` and give them to [`Session::handle_latest`].
    ReadLatest {
        /// Whose.
        vin: Vin,
    },
    /// Share the subscription `group` with others, then call [`Session::share`], before anything after this.
    Join {
        /// The filter as the client wrote it: the same for all who share.
        group: String,
    },
    /// Share no longer, then call [`Session::change_vehicles`], before anything after this.
    LeaveGroup,
    /// Send what is queued, then close the connection.
    Close(CloseReason),
}

/// Who was let in, and what is known of the session.
pub struct Admission {
    /// Who reads.
    pub reader: Reader,
    /// The client identifier that the server chose, where the client left that to it.
    pub assigned_client_id: Option<String>,
    /// The vehicles that may be read: of which the customer is PRIMARY, or all customers who let the client in.
    pub vehicles: Vehicles,
    /// When the token's time is over.
    pub expires_at: Instant,
    /// The highest QoS of deliveries. 0 grants what is asked for and delivers with 0 (wire §2.4).
    pub qos_max: Qos,
    /// Whether a subscription brings the newest values.
    pub snapshots: bool,
    /// Whether sessions are kept beyond their connections at all.
    pub keeps_sessions: bool,
    /// The session as it was kept; `None` begins a new one.
    pub kept: Option<StoredSession>,
    /// Where events come from.
    pub source: Box<dyn Source>,
}

/// The client broke the protocol: the connection must be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{}", self.why())]
pub enum ProtocolError {
    /// The first packet was not CONNECT. [MQTT-3.1.0-1]
    NotConnected,
    /// A second CONNECT. [MQTT-3.1.0-2]
    SecondConnect,
    /// A PUBLISH; customers' clients only read.
    PublishRefused,
    /// An AUTH with another method than CONNECT, or without one there. [MQTT-4.12.1-1]
    OtherAuthMethod,
    /// A DISCONNECT that wants to keep a session which was not to be kept (MQTT 5 §3.14.2.2.2).
    SessionExpiry,
}

impl ProtocolError {
    fn why(self) -> &'static str {
        match self {
            Self::NotConnected => "the first packet is not a CONNECT",
            Self::SecondConnect => "a second CONNECT",
            Self::PublishRefused => "a PUBLISH, which this service does not take from clients",
            Self::OtherAuthMethod => {
                "an AUTH with another method of authentication than the CONNECT"
            }
            Self::SessionExpiry => {
                "a DISCONNECT that wants to keep a session which CONNECT did not"
            }
        }
    }
}

impl From<ProtocolError> for CloseReason {
    fn from(error: ProtocolError) -> Self {
        match error {
            ProtocolError::PublishRefused => Self::PublishRefused,
            error => Self::ProtocolError(error.why()),
        }
    }
}

/// The state of one connection.
pub struct Session {
    limits: Limits,
    phase: Phase,
    actions: VecDeque<Action>,
    heard_at: Instant,
}

enum Phase {
    /// Waiting for CONNECT until the deadline.
    Opening { deadline: Instant },
    /// CONNECT is there; the driver finds out who it is.
    Authenticating { connect: Box<Connect>, deadline: Instant },
    /// Open.
    Connected(Box<Connected>),
    /// Over; what the session's next connection needs, if it is persistent.
    Closed { kept: Option<StoredSession> },
}

struct Connected {
    reader: Reader,
    vehicles: Vehicles,
    version: Version,
    /// How long the session outlives the connection.
    session_expiry_seconds: u32,
    /// One and a half times what the client asked for. [MQTT-3.1.2-24]
    keep_alive: Option<Duration>,
    /// The method of authentication, where CONNECT named one; a fresh token must come with the same.
    auth_method: Option<String>,
    expires_at: Instant,
    qos_max: Qos,
    snapshots: bool,
    subscriptions: Vec<Subscription>,
    /// Whether there was ever a subscription of QoS 2.
    exactly_once: bool,
    /// Where an earlier session stood that could not go on; of use to the first SUBSCRIBE.
    cursors: Vec<(Vin, Sequence)>,
    deliveries: Deliveries,
    outlet: Outlet,
}

struct Subscription {
    text: String,
    filter: Filter,
    /// With others, of whom each has its part of the vehicles; a fleet's session then has no other subscription.
    shared: bool,
    granted: Qos,
    identifier: Option<NonZeroU32>,
}

impl Session {
    /// A connection that was just accepted.
    pub fn new(limits: Limits, now: Instant) -> Self {
        let phase = Phase::Opening { deadline: now + limits.connect_deadline };
        Self { limits, phase, actions: VecDeque::new(), heard_at: now }
    }

    /// What to do next.
    pub fn poll_action(&mut self) -> Option<Action> {
        loop {
            let Some(action) = self.actions.pop_front() else {
                // A session that waits keeps no room for what it may want some day; there are many.
                self.actions = VecDeque::new();
                if let Phase::Connected(connected) = &mut self.phase {
                    connected.deliveries.drained(&mut self.actions);
                }
                if self.actions.is_empty() {
                    return None;
                }
                continue;
            };
            match (action, &mut self.phase) {
                (Action::Send(Outgoing::Publish(publish)), Phase::Connected(connected)) => {
                    let packet_id = publish.packet_id;
                    let identifiers = connected.identifiers(publish.customer, publish.vin);
                    match connected.outlet.prepare(publish, identifiers) {
                        Some(publish) => return Some(Action::Send(Outgoing::Publish(publish))),
                        None => connected.deliveries.leave_out(packet_id, &mut self.actions),
                    }
                }
                (action, _) => return Some(action),
            }
        }
    }

    /// From now on, the client may be silent so long, whatever keep-alive time it asked for.
    pub fn limit_silence(&mut self, idle_max: Option<Duration>) {
        self.limits.idle_max = idle_max;
    }

    /// The client sent a SUBSCRIBE that its driver refuses, whatever it names: it stays as it was.
    pub fn refuse_subscribe(&mut self, packet_id: NonZeroU16, filters: usize, now: Instant) {
        if let Phase::Connected(_) = &self.phase {
            self.heard_at = now;
            let granted = vec![Err(SubscribeRefusal::NotAuthorized); filters];
            self.actions.push_back(Action::Send(Outgoing::SubAck { packet_id, granted }));
        }
    }

    /// When [`Session::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Opening { deadline } | Phase::Authenticating { deadline, .. } => Some(*deadline),
            Phase::Connected(connected) => {
                let silence = [connected.keep_alive, self.limits.idle_max];
                let silence_ends =
                    silence.into_iter().flatten().map(|longest| self.heard_at + longest).min();
                Some(silence_ends.map_or(connected.expires_at, |at| at.min(connected.expires_at)))
            }
            Phase::Closed { .. } => None,
        }
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.poll_timeout().is_none_or(|due| now < due) {
            return;
        }
        let reason = match &self.phase {
            Phase::Connected(connected) if connected.expires_at <= now => CloseReason::TokenExpired,
            Phase::Connected(connected)
                if connected.keep_alive.is_some_and(|longest| self.heard_at + longest <= now) =>
            {
                CloseReason::KeepAliveTimeout
            }
            Phase::Connected(_) => CloseReason::Idle,
            _ => CloseReason::ConnectTimeout,
        };
        self.close(reason);
    }

    /// The client sent `packet`.
    ///
    /// # Errors
    /// [`ProtocolError`]: nothing was done; call [`Session::close`].
    pub fn handle(&mut self, packet: Packet, now: Instant) -> Result<(), ProtocolError> {
        self.heard_at = now;
        match (&mut self.phase, packet) {
            (Phase::Opening { deadline }, Packet::Connect(connect)) => {
                let deadline = *deadline;
                self.phase = Phase::Authenticating { connect: connect.clone(), deadline };
                self.actions.push_back(Action::Authenticate(connect));
            }
            (Phase::Authenticating { .. } | Phase::Connected(_), Packet::Connect(_)) => {
                return Err(ProtocolError::SecondConnect);
            }
            (Phase::Opening { .. } | Phase::Authenticating { .. }, _) => {
                return Err(ProtocolError::NotConnected);
            }
            (Phase::Connected(connected), Packet::Publish { packet_id, qos }) => {
                connected.refuse_publish(packet_id, qos, &mut self.actions)?;
            }
            (Phase::Connected(connected), Packet::PubAck(id)) => {
                connected.deliveries.ack(id, &mut self.actions);
            }
            (Phase::Connected(connected), Packet::PubRec { packet_id, refused: true }) => {
                connected.deliveries.refuse(packet_id, &mut self.actions);
            }
            (Phase::Connected(connected), Packet::PubRec { packet_id, refused: false }) => {
                connected.deliveries.receive(packet_id, &mut self.actions);
            }
            (Phase::Connected(_), Packet::PubRel(packet_id)) => {
                self.actions.push_back(Action::Send(Outgoing::PubComp { packet_id }));
            }
            (Phase::Connected(connected), Packet::PubComp(packet_id)) => {
                connected.deliveries.release(packet_id, &mut self.actions);
            }
            (Phase::Connected(connected), Packet::Subscribe { packet_id, filters, identifier }) => {
                let limits = &self.limits;
                connected.subscribe(packet_id, filters, identifier, limits, &mut self.actions);
            }
            (Phase::Connected(connected), Packet::Unsubscribe { packet_id, filters }) => {
                connected.unsubscribe(packet_id, &filters, &mut self.actions);
            }
            (Phase::Connected(_), Packet::PingReq) => {
                self.actions.push_back(Action::Send(Outgoing::PingResp));
            }
            (Phase::Connected(connected), Packet::Auth(auth)) => {
                if connected.auth_method.as_ref() != Some(&auth.method) {
                    return Err(ProtocolError::OtherAuthMethod);
                }
                self.actions.push_back(Action::Reauthenticate(auth));
            }
            (Phase::Connected(connected), Packet::Disconnect { session_expiry_seconds }) => {
                if let Some(seconds) = session_expiry_seconds {
                    if connected.session_expiry_seconds == 0 && seconds > 0 {
                        return Err(ProtocolError::SessionExpiry);
                    }
                    connected.session_expiry_seconds =
                        seconds.min(self.limits.session_expiry_seconds_max);
                }
                self.close(CloseReason::Disconnected);
            }
            (Phase::Closed { .. }, _) => {}
        }
        Ok(())
    }

    /// The client is who it says: the session begins or goes on.
    ///
    /// # Panics
    /// When there was no [`Action::Authenticate`] before.
    pub fn admit(&mut self, admission: Admission) {
        let taken = std::mem::replace(&mut self.phase, Phase::Closed { kept: None });
        let Phase::Authenticating { connect, .. } = taken else {
            panic!("only a session that asked who it is can be admitted");
        };
        let connected = Connected::admit(&connect, admission, &self.limits, &mut self.actions);
        self.phase = Phase::Connected(Box::new(connected));
    }

    /// The fresh token is good until `expires_at`. What it opens now is told with [`Session::change_vehicles`]: a stream
    /// may go on for weeks, in which vehicles are bought and sold.
    pub fn reauthenticated(&mut self, expires_at: Instant) {
        if let Phase::Connected(connected) = &mut self.phase
            && let Some(method) = connected.auth_method.clone()
        {
            connected.expires_at = expires_at;
            self.actions.push_back(Action::Send(Outgoing::AuthSuccess { method }));
        }
    }

    /// `vehicles` may be read now. What is on its way of others is not sent any more.
    pub fn change_vehicles(&mut self, vehicles: Vehicles) {
        if let Phase::Connected(connected) = &mut self.phase {
            connected.change_vehicles(vehicles, &mut self.actions);
        }
    }

    /// Of a subscription that is shared, this session has `vehicles` now; of each that is new to it, `cursors` say how far
    /// the others got. Where they don't, it begins with what comes, and says from where ([`Action::MoveCursor`]).
    pub fn share(&mut self, vehicles: Vehicles, cursors: &BTreeMap<Vin, Sequence>) {
        if let Phase::Connected(connected) = &mut self.phase {
            connected.share(vehicles, cursors, &mut self.actions);
        }
    }

    /// The client is not let in. One that is in already has broken the protocol with another CONNECT, which has no answer.
    /// `why` tells its user in words.
    pub fn refuse(&mut self, refusal: ConnectRefusal, why: String) {
        if matches!(self.phase, Phase::Connected(_) | Phase::Closed { .. }) {
            self.close(ProtocolError::SecondConnect.into());
            return;
        }
        self.actions.push_back(Action::Send(Outgoing::ConnRefused { refusal, why }));
        self.close(CloseReason::ConnectRefused(refusal));
    }

    /// The client sent what is no packet, or one that may not be so. MQTT 5 has a CONNACK for a CONNECT like that.
    pub fn handle_error(&mut self, error: PacketError) {
        if let (Phase::Opening { .. }, Some(refusal)) = (&self.phase, error.refusal()) {
            let why = error.to_string();
            self.actions.push_back(Action::Send(Outgoing::ConnRefused { refusal, why }));
        }
        self.close(error.into());
    }

    /// Ends the connection. What is queued is still sent, but not to a client that may see nothing any more, and not
    /// after an [`Action::Store`] that failed.
    pub fn close(&mut self, reason: CloseReason) {
        let mut version = None;
        let kept = match std::mem::replace(&mut self.phase, Phase::Closed { kept: None }) {
            Phase::Closed { kept } => {
                self.phase = Phase::Closed { kept };
                return;
            }
            Phase::Connected(connected) => {
                version = Some(connected.version);
                connected.into_kept()
            }
            Phase::Opening { .. } | Phase::Authenticating { .. } => None,
        };
        self.phase = Phase::Closed { kept };
        if matches!(
            reason,
            CloseReason::ConsentEnded | CloseReason::TokenExpired | CloseReason::StoreFailed
        ) {
            self.actions.clear();
        }
        if version == Some(Version::V5) {
            self.actions.push_back(Action::Send(Outgoing::Disconnect(reason)));
        }
        self.actions.push_back(Action::Close(reason));
    }

    /// An event was appended to the journal.
    pub fn handle_event(&mut self, recorded: &Arc<Recorded>) {
        if let Phase::Connected(connected) = &mut self.phase {
            connected.deliveries.offer(recorded, &mut self.actions);
        }
    }

    /// Events went by unseen: `head_of` gives the number of each vehicle's newest one.
    pub fn handle_missed(&mut self, head_of: impl Fn(Vin) -> Sequence) {
        if let Phase::Connected(connected) = &mut self.phase {
            for vin in connected.deliveries.vins() {
                connected.deliveries.missed(vin, head_of(vin));
            }
            connected.deliveries.read_on(&mut self.actions);
        }
    }

    /// The journal gave `events` for an [`Action::Read`] of `vin`.
    pub fn handle_read(&mut self, vin: Vin, events: &[Arc<Recorded>]) {
        if let Phase::Connected(connected) = &mut self.phase {
            connected.deliveries.read(vin, events, &mut self.actions);
        }
    }

    /// The newest value of each signal of `vin`, for an [`Action::ReadLatest`].
    pub fn handle_latest(&mut self, vin: Vin, entries: &[Entry]) {
        if let Phase::Connected(connected) = &mut self.phase {
            connected.deliveries.latest(vin, entries, &mut self.actions);
        }
    }

    /// The way out is full, or free again.
    pub fn handle_congestion(&mut self, congested: bool) {
        if let Phase::Connected(connected) = &mut self.phase {
            connected.deliveries.set_congested(congested, &mut self.actions);
        }
    }

    /// Whether there are events in the journal that the client is still to be sent.
    pub fn is_behind(&self) -> bool {
        matches!(&self.phase, Phase::Connected(connected) if connected.deliveries.is_behind())
    }

    /// Whether the session outlives the connection.
    pub fn is_persistent(&self) -> bool {
        self.kept_seconds() > 0
    }

    /// For how long the session outlives the connection; the highest number for ever.
    pub fn kept_seconds(&self) -> u32 {
        match &self.phase {
            Phase::Connected(connected) => connected.session_expiry_seconds,
            _ => 0,
        }
    }

    /// What the session's next connection needs; `None` when nothing is kept, or the connection is not closed.
    pub fn into_kept(self) -> Option<StoredSession> {
        if let Phase::Closed { kept } = self.phase { kept } else { None }
    }
}

impl Connected {
    /// Refuses a PUBLISH: MQTT 5 has a code for it, 3.1.1 only the end of the connection.
    fn refuse_publish(
        &self,
        packet_id: Option<NonZeroU16>,
        qos: Qos,
        actions: &mut VecDeque<Action>,
    ) -> Result<(), ProtocolError> {
        match (self.version, packet_id) {
            (Version::V5, Some(packet_id)) => {
                actions.push_back(Action::Send(Outgoing::PublishRefused { packet_id, qos }));
                Ok(())
            }
            _ => Err(ProtocolError::PublishRefused),
        }
    }

    fn stored(&self) -> StoredSession {
        let subscription = |one: &Subscription| StoredSubscription {
            filter: one.text.clone(),
            qos: one.granted.level(),
            identifier: one.identifier,
        };
        // Those of a subscription that is shared are kept by all who share it.
        let mut cursors = if self.is_shared() { Vec::new() } else { self.deliveries.cursors() };
        cursors.extend(&self.cursors);
        // "For ever" is the highest number there is (MQTT 5 §3.1.2.11.2).
        let expiry_seconds =
            Some(self.session_expiry_seconds).filter(|seconds| *seconds < u32::MAX);
        StoredSession {
            subscriptions: self.subscriptions.iter().map(subscription).collect(),
            cursors,
            expiry_seconds,
            exactly_once: self.exactly_once,
            left: None,
        }
    }

    fn store_if_kept(&self, actions: &mut VecDeque<Action>) {
        if self.session_expiry_seconds > 0 {
            actions.push_back(Action::Store(self.stored()));
        }
    }

    /// What the session's next connection needs; `None` when there is none.
    fn into_kept(self) -> Option<StoredSession> {
        let stored = self.stored();
        let is_kept = self.session_expiry_seconds > 0;
        let is_shared = self.is_shared();
        is_kept.then(|| {
            let mut left = self.deliveries.into_left();
            if is_shared {
                // Others go on with what they share at once (MQTT 5 §4.8.2). What has QoS 2 was not shared.
                left.unfinished.retain(|delivery| delivery.exactly_once);
                left.complete_until.clear();
            }
            StoredSession { left: Some(left), ..stored }
        })
    }
}
