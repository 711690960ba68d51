//! A world around a session: a journal, live events, a store for sessions, and a client at the other end.
//!
//! It carries out the session's actions as the server does, but each thing happens when a test says so: an event is
//! taken from the mailbox, a read of the journal comes back, the client reads what was sent. [`World::settle`] lets
//! happen all that is under way. A [`Witness`] watches each step.

mod client;
mod journal;
mod source;
mod witness;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::num::{NonZeroU16, NonZeroU32};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use cardata_domain::projection::Packing;
use cardata_domain::session::{LeftBehind, StoredSession, StoredSubscription};
use cardata_domain::{Entry, Recorded, Sequence, Vin};
use cardata_mqtt::packet::{Auth, Connect, Outgoing, Publish, RetainHandling};
use cardata_mqtt::session::Limits;
use cardata_mqtt::{
    Action, Admission, CloseReason, ConnectRefusal, Packet, Qos, Reader, Session, Vehicles, Version,
};

use self::journal::FakeJournal;
pub(crate) use self::source::{FakeSource, Message, Signal, at, gcid, other_gcid, owner};
use self::source::{Mailbox, Surroundings, entries, event};
use self::witness::Witness;

/// Whether a session outlives its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Persistent,
    Clean,
}

/// What a client's CONNECT says of how it wants to be spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) version: Version,
    /// Deliveries that it takes before it has acknowledged one (MQTT 5).
    pub(crate) receive_max: NonZeroU16,
    /// Topic aliases that it takes (MQTT 5).
    pub(crate) topic_alias_max: u16,
}

impl Terms {
    /// MQTT 3.1.1, which has no words for the rest.
    pub(crate) const PLAIN: Self =
        Self { version: Version::V311, receive_max: NonZeroU16::MAX, topic_alias_max: 0 };
}

/// What the driver did, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Done {
    Sent(Outgoing),
    Stored(StoredSession),
    Moved(Vin, Sequence),
    Read { vin: Vin, after: Sequence, limit: usize },
    ReadLatest(Vin),
    Joined(String),
    LeftGroup,
    Asked(Auth),
    Closed(CloseReason),
}

pub(crate) struct World {
    pub(crate) now: Instant,
    pub(crate) limits: Limits,
    pub(crate) qos_max: Qos,
    pub(crate) reader: Reader,
    pub(crate) vehicles: Vec<Vin>,
    pub(crate) keep_alive_seconds: u16,
    /// How the client wants to be spoken to in the connections to come.
    pub(crate) terms: Terms,
    /// What else the client's CONNECT has that a plain one has not.
    pub(crate) adjust: fn(&mut Connect),
    /// The identifier of the subscriptions to come (MQTT 5).
    pub(crate) identifier: Option<NonZeroU32>,
    pub(crate) keeps_sessions: bool,
    /// Whether subscriptions bring the newest values, and which the client wants.
    pub(crate) snapshots: bool,
    pub(crate) retain_handling: RetainHandling,
    pub(crate) token_lifetime: Duration,
    /// Whether the directory refuses to store sessions.
    pub(crate) store_fails: bool,
    surroundings: Arc<Mutex<Surroundings>>,
    sessions: Sessions,
    connection: Option<Connection>,
    witness: Witness,
    /// Events that were appended, lost ones included.
    appended: u64,
    done: Vec<Done>,
    received: Vec<Message>,
    /// What the client received in this connection and has not acknowledged, in order.
    unacked: Vec<(NonZeroU16, Qos)>,
    /// What the client received with QoS 2 and was not released; kept over connections.
    unreleased: BTreeSet<NonZeroU16>,
    next_packet_id: NonZeroU16,
}

/// The persistent session between connections.
#[derive(Default)]
struct Sessions {
    /// In the directory: what a crash leaves.
    stored: Option<StoredSession>,
    /// How far the session got, which the directory may not know yet.
    ahead: BTreeMap<Vin, Sequence>,
}

struct Connection {
    session: Session,
    kind: Kind,
    /// Sent and not yet received.
    wire: VecDeque<Outgoing>,
    read: Option<PendingRead>,
    subscriptions: BTreeMap<String, Qos>,
    /// What each topic alias stands for.
    aliases: BTreeMap<NonZeroU16, Vin>,
    topic_alias_max: u16,
    closed: Option<CloseReason>,
}

enum PendingRead {
    Events {
        vin: Vin,
        after: Sequence,
        limit: usize,
        /// What the journal had when it was asked.
        at_first: Vec<Arc<Recorded>>,
    },
    Latest {
        vin: Vin,
        at_first: Vec<Entry>,
    },
}

/// When the journal looks for what it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lookup {
    AtFirst,
    AtLast,
}

/// The test's vehicles, from 1.
pub(crate) fn car(number: usize) -> Vin {
    format!("WBY0000000000000{number}").parse().unwrap()
}

fn owned(vehicles: &[Vin]) -> Vehicles {
    Vehicles::new(vehicles.iter().map(|vin| (*vin, owner(*vin))).collect())
}

/// A subscription as it is kept.
pub(crate) fn subscription(filter: &str, qos: u8) -> StoredSubscription {
    StoredSubscription { filter: filter.to_owned(), qos, identifier: None }
}

/// The filter for one vehicle.
pub(crate) fn only(vin: Vin) -> String {
    format!("{}/{}", owner(vin), vin.as_str())
}

/// The filter for all vehicles.
pub(crate) fn all() -> String {
    format!("{}/+", gcid())
}

/// The one look at a clock; all other times are made of it.
#[expect(clippy::disallowed_methods, reason = "there is no other way to make an Instant")]
pub(crate) fn start() -> Instant {
    Instant::now()
}

pub(crate) fn connect_packet(kind: Kind, keep_alive_seconds: u16) -> Packet {
    Packet::Connect(Box::new(connect(kind, keep_alive_seconds)))
}

/// A CONNECT of MQTT 3.1.1.
fn connect(kind: Kind, keep_alive_seconds: u16) -> Connect {
    Connect {
        version: Version::V311,
        client_id: "client".into(),
        clean_start: kind == Kind::Clean,
        keep_alive_seconds,
        session_expiry_seconds: if kind == Kind::Clean { 0 } else { u32::MAX },
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

impl World {
    /// Two vehicles, all signals visible, a window of 8 deliveries and a mailbox for 16 events.
    pub(crate) fn new() -> Self {
        Self::with(Packing::Event, 8, 16)
    }

    pub(crate) fn with(packing: Packing, inflight_max: usize, mailbox_capacity: usize) -> Self {
        let entitled = BTreeSet::from(Signal::ALL);
        let witness = Witness::new(inflight_max, packing, entitled.clone());
        let surroundings = Surroundings {
            journal: FakeJournal::default(),
            mailbox: Mailbox { capacity: mailbox_capacity, ..Mailbox::default() },
            entitled,
            packing,
            merged: 0,
            oversized: 0,
            gaps: 0,
        };
        Self {
            now: start(),
            limits: Limits { inflight_max, ..Limits::default() },
            qos_max: Qos::ExactlyOnce,
            reader: Reader::Customer(gcid()),
            vehicles: vec![car(1), car(2)],
            keep_alive_seconds: 30,
            terms: Terms::PLAIN,
            adjust: |_| {},
            identifier: None,
            keeps_sessions: true,
            snapshots: false,
            retain_handling: RetainHandling::Always,
            token_lifetime: Duration::from_hours(1),
            store_fails: false,
            surroundings: Arc::new(Mutex::new(surroundings)),
            sessions: Sessions::default(),
            connection: None,
            witness,
            appended: 0,
            done: Vec::new(),
            received: Vec::new(),
            unacked: Vec::new(),
            unreleased: BTreeSet::new(),
            next_packet_id: NonZeroU16::MIN,
        }
    }

    fn surroundings(&self) -> MutexGuard<'_, Surroundings> {
        self.surroundings.lock().unwrap()
    }

    // What happens to vehicles and containers.

    /// Appends an event and gives its number: from 1, and the same as in the journal until something is lost.
    pub(crate) fn append(&mut self, vin: Vin, signals: &[Signal]) -> u64 {
        self.append_measured(vin, signals, i64::try_from(self.appended).unwrap())
    }

    /// The same with values that were measured at `second`.
    pub(crate) fn append_measured(&mut self, vin: Vin, signals: &[Signal], second: i64) -> u64 {
        self.appended += 1;
        self.surroundings().append(event(vin, self.appended, signals, second));
        self.witness.appended(vin, self.appended, signals, self.connection.is_some());
        self.appended
    }

    pub(crate) fn entitle(&mut self, signals: &[Signal]) {
        let entitled: BTreeSet<_> = signals.iter().copied().collect();
        self.surroundings().entitled.clone_from(&entitled);
        self.witness.entitled(entitled);
    }

    pub(crate) fn sync(&mut self) {
        self.surroundings().journal.sync();
    }

    pub(crate) fn drop_up_to(&mut self, sequence: u64) {
        let numbers =
            self.surroundings().journal.drop_up_to(Sequence(sequence)).iter().map(number).collect();
        self.witness.dropped(&numbers);
    }

    pub(crate) fn newest(&self) -> u64 {
        self.surroundings().journal.newest().0
    }

    /// Messages that were left out because they were too large for the client.
    pub(crate) fn oversized(&self) -> usize {
        self.surroundings().oversized
    }

    /// Times of which events may be missing.
    pub(crate) fn gaps(&self) -> usize {
        self.surroundings().gaps
    }

    /// Events that were merged into others.
    pub(crate) fn merged(&self) -> usize {
        self.surroundings().merged
    }

    // What the driver does.

    pub(crate) fn is_connected(&self) -> bool {
        self.connection.is_some()
    }

    fn session(&mut self) -> &mut Session {
        &mut self.connection.as_mut().expect("the client is connected").session
    }

    /// A fresh token was found to be good for `lifetime` from now on, and the vehicles are those of the world.
    pub(crate) fn reauthenticated(&mut self, lifetime: Duration) {
        let expires_at = self.now + lifetime;
        let vehicles = owned(&self.vehicles);
        self.with_subscriptions(|_| {});
        self.session().change_vehicles(vehicles);
        self.session().reauthenticated(expires_at);
        self.act();
    }

    /// The customer has these vehicles from now on.
    pub(crate) fn change_vehicles(&mut self, vehicles: &[Vin]) {
        self.set_vehicles(vehicles.to_vec());
        if self.is_connected() {
            self.with_subscriptions(|_| {});
            self.session().change_vehicles(owned(vehicles));
            self.act();
        }
    }

    /// Of what is shared, the session has these vehicles from now on; of some it is said how far the others got.
    pub(crate) fn share(&mut self, vehicles: &[Vin], cursors: &BTreeMap<Vin, Sequence>) {
        self.set_vehicles(vehicles.to_vec());
        self.with_subscriptions(|_| {});
        self.session().share(owned(vehicles), cursors);
        self.act();
    }

    /// What the test expects the client to be shown, while the session knows nothing of it.
    pub(crate) fn set_alone(&mut self, vehicles: Vec<Vin>) {
        self.set_vehicles(vehicles);
        self.with_subscriptions(|_| {});
    }

    fn set_vehicles(&mut self, vehicles: Vec<Vin>) {
        if vehicles != self.vehicles {
            self.vehicles = vehicles;
            self.witness.vehicles_changed();
            if self.reader == Reader::Fleet && self.is_connected() {
                // As whoever takes a vehicle away from a fleet does.
                let own = self.vehicles.clone();
                self.sessions.ahead.retain(|vin, _| own.contains(vin));
                if let Some(stored) = &mut self.sessions.stored {
                    stored.cursors.retain(|(vin, _)| own.contains(vin));
                }
            }
        }
    }

    /// Refuses the CONNECT that the driver could not read.
    pub(crate) fn refuse(&mut self, refusal: ConnectRefusal) {
        self.session().refuse(refusal, "no".to_owned());
        self.act();
    }

    /// Closes the connection in good order, if there is one: what was sent arrives.
    pub(crate) fn close(&mut self, reason: CloseReason) {
        if self.is_connected() {
            self.session().close(reason);
            self.act();
        }
    }

    /// Cuts the connection: what was sent and not received is lost.
    pub(crate) fn cut(&mut self) {
        if let Some(connection) = &mut self.connection {
            connection.wire.clear();
            self.close(CloseReason::ConnectionLost);
        }
    }

    /// Kills the process: what is not synced or stored is lost.
    pub(crate) fn crash(&mut self) {
        let lost = self.surroundings().journal.crash().iter().map(number).collect();
        if let Some(connection) = self.connection.take() {
            self.witness.disconnected(connection.kind == Kind::Persistent);
        }
        self.sessions.ahead.clear();
        // What speaks of events that are gone must not be taken for what gets their numbers.
        let newest = self.surroundings().journal.newest();
        if let Some(stored) = &mut self.sessions.stored {
            stored.left.take_if(|left| left.newest() > newest);
        }
        let forgotten = self.stored().is_none_or(|stored| stored.left.is_none());
        self.witness.crashed(&lost, forgotten);
        self.unacked.clear();
    }

    /// Lets time pass.
    pub(crate) fn pass(&mut self, time: Duration) {
        self.now += time;
        let now = self.now;
        if self.is_connected() {
            self.session().handle_timeout(now);
            self.act();
        }
    }

    /// Takes at most `count` live events from the mailbox.
    pub(crate) fn take_events(&mut self, count: usize) -> bool {
        let count = count.min(self.surroundings().mailbox.events.len());
        for _ in 0..count {
            let next = self.surroundings().mailbox.events.pop_front();
            let Some(recorded) = next else { break };
            self.session().handle_event(&recorded);
            self.act();
        }
        count > 0
    }

    /// Hands all live events to the session, and does not get to what it wants before the next thing happens.
    pub(crate) fn queue_events(&mut self) {
        let events = std::mem::take(&mut self.surroundings().mailbox.events);
        for recorded in &events {
            self.session().handle_event(recorded);
        }
    }

    /// Loses the next live event without a word.
    pub(crate) fn lose_event(&mut self) {
        self.surroundings().mailbox.events.pop_front();
    }

    /// Looks whether events found no room in the mailbox.
    pub(crate) fn take_missed(&mut self) -> bool {
        let missed = std::mem::take(&mut self.surroundings().mailbox.missed);
        if missed {
            let surroundings = self.surroundings.clone();
            let head = |vin| surroundings.lock().unwrap().journal.head(vin);
            self.session().handle_missed(head);
            self.act();
        }
        missed
    }

    /// Lets the journal's answer arrive, if it was asked.
    pub(crate) fn finish_read(&mut self, lookup: Lookup) -> bool {
        let Some(read) = self.connection.as_mut().and_then(|open| open.read.take()) else {
            return false;
        };
        match read {
            PendingRead::Events { vin, after, limit, at_first } => {
                let events = match lookup {
                    Lookup::AtFirst => at_first,
                    Lookup::AtLast => self.surroundings().journal.read(vin, after, limit),
                };
                self.session().handle_read(vin, &events);
            }
            PendingRead::Latest { vin, at_first } => {
                let entries = match lookup {
                    Lookup::AtFirst => at_first,
                    Lookup::AtLast => self.surroundings().journal.latest(vin),
                };
                self.session().handle_latest(vin, &entries);
            }
        }
        self.act();
        true
    }

    pub(crate) fn congest(&mut self, congested: bool) {
        if self.is_connected() {
            self.witness.congested(congested);
            self.session().handle_congestion(congested);
            self.act();
        }
    }

    /// Writes to the directory what the journal's sync has caught up with.
    pub(crate) fn flush(&mut self) {
        let synced = self.surroundings().journal.synced();
        let Some(stored) = &mut self.sessions.stored else { return };
        for (vin, cursor) in &mut stored.cursors {
            let ahead = self.sessions.ahead.get(vin).copied().unwrap_or_default();
            *cursor = (*cursor).max(ahead.min(synced));
        }
    }

    /// What the directory has.
    pub(crate) fn stored(&self) -> Option<&StoredSession> {
        self.sessions.stored.as_ref()
    }

    /// Changes what the directory has.
    pub(crate) fn stored_mut(&mut self) -> &mut StoredSession {
        self.sessions.stored.get_or_insert_default()
    }

    /// Deliveries that were left behind without acknowledgement.
    pub(crate) fn resting(&self) -> usize {
        self.left().unfinished.len()
    }

    /// What the last connection left behind.
    pub(crate) fn left(&self) -> LeftBehind {
        self.stored().and_then(|stored| stored.left.clone()).unwrap_or_default()
    }

    /// Lets everything happen that is under way but acknowledgements.
    pub(crate) fn settle(&mut self) {
        for _ in 0..10_000 {
            self.receive(usize::MAX);
            if !self.is_connected()
                || !(self.take_missed()
                    || self.take_events(usize::MAX)
                    || self.finish_read(Lookup::AtLast))
            {
                return;
            }
        }
        panic!("this never comes to rest");
    }

    /// The same with acknowledgements, and checks that every promise was kept.
    pub(crate) fn settle_all(&mut self) {
        loop {
            self.settle();
            if self.unacked.is_empty() {
                break;
            }
            self.ack_all();
        }
        self.witness.settled();
        self.sync();
        self.flush();
        let Some(stored) = self.sessions.stored.clone() else { return };
        for (vin, cursor) in stored.cursors {
            assert_eq!(cursor, self.surroundings().journal.head(vin), "where {vin} stands");
        }
    }

    /// What the driver did since the last call.
    pub(crate) fn done(&mut self) -> Vec<Done> {
        std::mem::take(&mut self.done)
    }

    fn act(&mut self) {
        let mut count = 0;
        while let Some(action) =
            self.connection.as_mut().and_then(|open| open.session.poll_action())
        {
            count += 1;
            let done = match action {
                Action::Authenticate(connect) => {
                    self.admit(connect.clean_start);
                    continue;
                }
                Action::Reauthenticate(auth) => Done::Asked(auth),
                Action::Send(packet) => self.send(packet),
                Action::Store(session) => self.store(session),
                Action::MoveCursor { vin, cursor } => self.move_cursor(vin, cursor),
                Action::Read { vin, after, limit } => self.read(vin, after, limit),
                Action::ReadLatest { vin } => self.read_latest(vin),
                Action::Join { group } => Done::Joined(group),
                Action::LeaveGroup => Done::LeftGroup,
                Action::Close(reason) => {
                    self.connection.as_mut().unwrap().closed = Some(reason);
                    Done::Closed(reason)
                }
            };
            self.done.push(done);
        }
        let parts = self.appended * Signal::ALL.len() as u64;
        assert!(count <= 2 * parts + 20, "{count} actions at once");
        if self.connection.as_ref().is_some_and(|open| open.closed.is_some()) {
            self.finish();
        }
    }

    fn admit(&mut self, clean: bool) {
        // A clean session must not look at what there was.
        let kept = self.resume();
        if clean || kept.is_none() {
            self.sessions = Sessions::default();
            self.witness.session_ended();
        }
        let goes_on = kept.iter().filter(|_| !clean);
        let subscription =
            |one: &StoredSubscription| (one.filter.clone(), Qos::from_level(one.qos).unwrap());
        let subscriptions: Vec<_> =
            goes_on.flat_map(|kept| kept.subscriptions.iter().map(subscription)).collect();
        self.with_subscriptions(|known| known.extend(subscriptions));
        let admission = Admission {
            reader: self.reader,
            assigned_client_id: None,
            vehicles: owned(&self.vehicles),
            expires_at: self.now + self.token_lifetime,
            qos_max: self.qos_max,
            snapshots: self.snapshots,
            keeps_sessions: self.keeps_sessions,
            kept,
            source: Box::new(FakeSource(self.surroundings.clone())),
        };
        self.session().admit(admission);
    }

    fn resume(&mut self) -> Option<StoredSession> {
        let mut stored = self.sessions.stored.clone()?;
        for (vin, cursor) in &mut stored.cursors {
            *cursor = (*cursor).max(self.sessions.ahead.get(vin).copied().unwrap_or_default());
        }
        Some(stored)
    }

    fn send(&mut self, packet: Outgoing) -> Done {
        if let Outgoing::Publish(publish) = &packet {
            self.witness.sent(&Message::read(publish));
            self.connection.as_mut().unwrap().check_alias(publish);
        }
        self.connection.as_mut().unwrap().wire.push_back(packet.clone());
        Done::Sent(packet)
    }

    fn store(&mut self, session: StoredSession) -> Done {
        assert_eq!(self.connection.as_ref().map(|open| open.kind), Some(Kind::Persistent));
        if self.store_fails {
            self.session().close(CloseReason::StoreFailed);
            return Done::Stored(session);
        }
        let synced = self.surroundings().journal.synced();
        self.sessions.ahead = session.cursors.iter().copied().collect();
        let cursors = session.cursors.iter().map(|(vin, cursor)| (*vin, (*cursor).min(synced)));
        self.sessions.stored =
            Some(StoredSession { cursors: cursors.collect(), left: None, ..session.clone() });
        Done::Stored(session)
    }

    fn move_cursor(&mut self, vin: Vin, cursor: Sequence) -> Done {
        assert!(cursor <= self.surroundings().journal.newest(), "{cursor:?} is no event");
        let open = self.connection.as_ref().unwrap();
        // What is shared is kept by all who share it.
        if open.subscriptions.keys().any(|filter| filter.starts_with("$share/")) {
            return Done::Moved(vin, cursor);
        }
        if open.session.is_persistent() {
            let ahead = self.sessions.ahead.entry(vin).or_default();
            assert!(*ahead < cursor, "the cursor of {vin} goes from {ahead:?} to {cursor:?}");
            *ahead = cursor;
        }
        self.witness.moved(vin);
        Done::Moved(vin, cursor)
    }

    fn read(&mut self, vin: Vin, after: Sequence, limit: usize) -> Done {
        assert!(limit > 0, "a read of nothing");
        let at_first = self.surroundings().journal.read(vin, after, limit);
        let open = self.connection.as_mut().unwrap();
        assert!(open.read.is_none(), "two reads at once");
        open.read = Some(PendingRead::Events { vin, after, limit, at_first });
        Done::Read { vin, after, limit }
    }

    fn read_latest(&mut self, vin: Vin) -> Done {
        let at_first = self.surroundings().journal.latest(vin);
        let open = self.connection.as_mut().unwrap();
        assert!(open.read.is_none(), "two reads at once");
        open.read = Some(PendingRead::Latest { vin, at_first });
        Done::ReadLatest(vin)
    }

    /// Leaves behind what the session's next connection needs.
    fn finish(&mut self) {
        self.receive(usize::MAX);
        let Some(connection) = self.connection.take() else { return };
        if let Some(kept) = connection.session.into_kept() {
            assert_eq!(connection.kind, Kind::Persistent, "nothing is kept of a clean session");
            self.check_left(kept.left.as_ref().expect("a connection leaves something behind"));
            for (vin, cursor) in &kept.cursors {
                let ahead = self.sessions.ahead.entry(*vin).or_default();
                *ahead = (*ahead).max(*cursor);
            }
            if let Some(stored) = &mut self.sessions.stored {
                stored.left = kept.left;
            }
        }
        self.witness.disconnected(connection.kind == Kind::Persistent);
        self.unacked.clear();
    }

    /// No more is left behind than one window, however often the client came and went without an acknowledgement.
    fn check_left(&self, left: &LeftBehind) {
        let open = left.unfinished.iter().filter(|delivery| !delivery.done);
        let ids = open.map(|delivery| delivery.packet_id);
        let ids: Vec<_> = ids.chain(left.releasing.iter().copied()).collect();
        let distinct: BTreeSet<_> = ids.iter().chain(&left.given_up).collect();
        assert_eq!(distinct.len(), ids.len() + left.given_up.len(), "used twice: {left:?}");
        let max = match self.surroundings().packing {
            Packing::Event => self.limits.inflight_max,
            // The messages of one event are begun together, and later some more of it, as more of it may be seen.
            Packing::Entry => (self.limits.inflight_max + 1) * Signal::ALL.len(),
        };
        assert!(left.unfinished.len() <= max, "more than {max}: {left:?}");
        assert!(ids.len() <= max, "more than {max} are in use: {left:?}");
    }
}

impl Connection {
    /// [MQTT-3.3.2-8] to [MQTT-3.3.2-11], of MQTT 5
    fn check_alias(&mut self, publish: &Publish) {
        let Some(alias) = publish.alias else { return };
        assert!(alias.number.get() <= self.topic_alias_max, "more than it takes: {publish:?}");
        if alias.known {
            assert_eq!(self.aliases.get(&alias.number), Some(&publish.vin), "{publish:?}");
        } else {
            self.aliases.insert(alias.number, publish.vin);
        }
    }
}

/// The number that an event carries.
fn number(recorded: &Arc<Recorded>) -> u64 {
    entries(&recorded.event)[0].1
}
