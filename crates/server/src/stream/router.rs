//! Who reads which vehicle, and which connections are open.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

use cardata_domain::consent::ConsentId;
use cardata_domain::session::SessionKey;
use cardata_domain::{ClientId, Gcid, Recorded, Vin};
use cardata_mqtt::CloseReason;
use cardata_store::journal::LiveFeed;
use tokio::sync::{Notify, Semaphore, oneshot};

use crate::profile::Connections;

/// Live events that one connection has not looked at yet. When it is full, the connection reads the journal instead.
pub const MAILBOX_MAX: usize = 256;
/// The same for a fleet's connection, to which thousands of vehicles may report at once.
pub const FLEET_MAILBOX_MAX: usize = 4096;
/// Places that an empty mailbox keeps.
const MAILBOX_KEPT: usize = 8;

/// Hands live events to the connections that read their vehicle, and keeps one connection for each session.
#[derive(Default)]
pub struct Router {
    readers: RwLock<HashMap<Vin, Vec<Arc<Mailbox>>>>,
    connections: Mutex<Connected>,
    opened_total: AtomicU64,
}

/// The open connections, found by session and by whose they are.
#[derive(Default)]
struct Connected {
    by_session: HashMap<SessionKey, Arc<Connection>>,
    /// Those of each client of a customer by their numbers, so that the first one is the oldest.
    /// Those of fleets, which are no customer's, come under `None`.
    by_client: HashMap<Option<Gcid>, HashMap<ClientId, ByNumber>>,
}

type ByNumber = BTreeMap<u64, Arc<Connection>>;

/// Where a connection's live events arrive. Most connections wait most of the time, so it is small while it is empty.
pub struct Mailbox {
    arrived: Mutex<Arrived>,
    told: Notify,
    /// Events that find room.
    capacity: usize,
}

#[derive(Default)]
struct Arrived {
    events: VecDeque<Arc<Recorded>>,
    /// Whether an event found no room.
    missed: bool,
}

/// The connection's end of a [`Mailbox`].
pub struct Arrivals(Arc<Mailbox>);

/// What a mailbox has for its connection.
#[derive(Debug)]
pub enum Arrival {
    /// An event; those of one vehicle come in order.
    Event(Arc<Recorded>),
    /// Events found no room, since this was told last.
    Missed,
}

impl Mailbox {
    fn put(&self, event: &Arc<Recorded>) {
        let mut arrived = self.lock();
        if arrived.events.len() < self.capacity {
            arrived.events.push_back(event.clone());
        } else {
            arrived.missed = true;
        }
        drop(arrived);
        self.told.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Arrived> {
        self.arrived.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Arrivals {
    /// Waits for the next arrival. Nothing is lost when this is dropped half-way.
    pub async fn next(&self) -> Arrival {
        loop {
            if let Some(arrival) = self.try_next() {
                return arrival;
            }
            self.0.told.notified().await;
        }
    }

    /// What is there already.
    pub fn try_next(&self) -> Option<Arrival> {
        let mut arrived = self.0.lock();
        if std::mem::take(&mut arrived.missed) {
            return Some(Arrival::Missed);
        }
        let event = arrived.events.pop_front();
        if arrived.events.is_empty() && arrived.events.capacity() > MAILBOX_KEPT {
            arrived.events = VecDeque::new();
        }
        event.map(Arrival::Event)
    }
}

/// An open connection, as others see it.
struct Connection {
    key: SessionKey,
    /// None for a fleet's, which rests on the client's own token.
    consent_id: Option<ConsentId>,
    /// Grows from connection to connection.
    number: u64,
    /// Why it has to close, once somebody wants that.
    close: OnceLock<CloseReason>,
    /// Closed with that.
    closing: Semaphore,
    /// Who waits until the connection has looked anew at which vehicles it may read.
    looking: Mutex<Vec<oneshot::Sender<()>>>,
    /// Told when somebody does.
    look: Notify,
    /// Closed when the connection has left nothing behind that its successor would miss.
    gone: Semaphore,
}

/// A place among the open connections; it is free again when this is dropped.
pub struct Registration {
    router: Arc<Router>,
    connection: Arc<Connection>,
}

/// The profile allows no further connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the customer has as many connections as the profile allows")]
pub struct Occupied;

impl LiveFeed for Router {
    fn publish(&self, event: &Arc<Recorded>) {
        let readers = self.readers.read().unwrap_or_else(PoisonError::into_inner);
        for mailbox in readers.get(&event.event.vin()).into_iter().flatten() {
            mailbox.put(event);
        }
    }
}

impl Router {
    /// A new mailbox with room for so many events that reads nothing yet.
    pub fn mailbox(capacity: usize) -> (Arc<Mailbox>, Arrivals) {
        let mailbox = Mailbox { arrived: Mutex::default(), told: Notify::new(), capacity };
        let mailbox = Arc::new(mailbox);
        (mailbox.clone(), Arrivals(mailbox))
    }

    /// From now on, events of `vin` arrive in `mailbox`.
    pub fn attach(&self, vin: Vin, mailbox: &Arc<Mailbox>) {
        let mut readers = self.readers.write().unwrap_or_else(PoisonError::into_inner);
        let mailboxes = readers.entry(vin).or_default();
        if !mailboxes.iter().any(|known| Arc::ptr_eq(known, mailbox)) {
            mailboxes.push(mailbox.clone());
        }
    }

    /// Events of `vin` no longer arrive in `mailbox`.
    pub fn detach(&self, vin: Vin, mailbox: &Arc<Mailbox>) {
        let mut readers = self.readers.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(mailboxes) = readers.get_mut(&vin) {
            mailboxes.retain(|known| !Arc::ptr_eq(known, mailbox));
            if mailboxes.is_empty() {
                readers.remove(&vin);
            }
        }
    }

    /// Takes a place for a connection of the session `key`. An open connection of the same session is taken over
    /// [MQTT-3.1.4-2]: this waits until it is gone. Others give way, or refuse, as `limit` says.
    ///
    /// # Errors
    /// [`Occupied`] when `limit` refuses a further connection.
    pub async fn register(
        self: &Arc<Self>,
        key: SessionKey,
        consent_id: Option<ConsentId>,
        limit: Connections,
    ) -> Result<Registration, Occupied> {
        loop {
            let earlier = match self.try_register(&key, consent_id, limit)? {
                Place::Taken(registration) => return Ok(registration),
                Place::HeldBy(earlier) => earlier,
            };
            earlier.close(CloseReason::TakenOver);
            closed(&earlier.gone).await;
        }
    }

    fn try_register(
        self: &Arc<Self>,
        key: &SessionKey,
        consent_id: Option<ConsentId>,
        limit: Connections,
    ) -> Result<Place, Occupied> {
        let mut connections = self.lock();
        if let Some(earlier) = connections.by_session.get(key) {
            return Ok(Place::HeldBy(earlier.clone()));
        }
        match limit {
            Connections::PerClient(max) => {
                let rivals = connections.of_client(key.gcid, key.client_id);
                let surplus = (rivals.len() + 1).saturating_sub(max);
                rivals.take(surplus).for_each(|oldest| oldest.close(CloseReason::Evicted));
            }
            Connections::OnePerCustomerEvict => {
                let rivals = connections.of_customer(key.gcid);
                rivals.for_each(|other| other.close(CloseReason::Evicted));
            }
            Connections::OnePerCustomerRefuse => {
                if connections.of_customer(key.gcid).next().is_some() {
                    return Err(Occupied);
                }
            }
        }
        let connection = Arc::new(Connection {
            key: key.clone(),
            consent_id,
            number: self.opened_total.fetch_add(1, Ordering::Relaxed),
            close: OnceLock::new(),
            closing: Semaphore::new(0),
            looking: Mutex::default(),
            look: Notify::new(),
            gone: Semaphore::new(0),
        });
        connections.insert(connection.clone());
        Ok(Place::Taken(Registration { router: self.clone(), connection }))
    }

    /// Closes every connection that rests on a consent which was ended.
    pub fn close_consent(&self, consent: ConsentId) -> Closing {
        let connections = self.lock();
        let all = connections.by_session.values();
        let resting = all.filter(|connection| connection.consent_id == Some(consent));
        let closing = Closing(resting.cloned().collect());
        closing.0.iter().for_each(|connection| connection.close(CloseReason::ConsentEnded));
        closing
    }

    /// Tells every connection of a customer to look anew at which vehicles are theirs.
    pub fn look_anew(&self, gcid: Gcid) -> Looking {
        let connections = self.lock();
        let of_customer = connections.of_customer(Some(gcid));
        Looking(of_customer.map(|connection| connection.look_anew()).collect())
    }

    /// Tells every connection of these clients' fleets to look anew at which vehicles they may read.
    pub fn fleets_look_anew(&self, clients: &[ClientId]) -> Looking {
        let connections = self.lock();
        let of_fleets = clients.iter().flat_map(|client| connections.of_client(None, *client));
        Looking(of_fleets.map(|connection| connection.look_anew()).collect())
    }

    /// The clients with fleets that are connected.
    pub fn fleets(&self) -> Vec<ClientId> {
        let connections = self.lock();
        connections.by_client.get(&None).into_iter().flat_map(HashMap::keys).copied().collect()
    }

    /// Closes every connection of a client's fleet.
    pub fn close_fleet(&self, client_id: ClientId, reason: CloseReason) -> Closing {
        let connections = self.lock();
        let closing = Closing(connections.of_client(None, client_id).cloned().collect());
        closing.0.iter().for_each(|connection| connection.close(reason));
        closing
    }

    /// Closes every connection of a customer that can't be told otherwise.
    pub fn close_customer(&self, gcid: Gcid) {
        let connections = self.lock();
        connections
            .of_customer(Some(gcid))
            .for_each(|connection| connection.close(CloseReason::StoreFailed));
    }

    /// Closes every connection of a client at a customer, and of its fleet, whose entitlement can't be read: showing
    /// nothing would move their cursors past what they are due.
    pub fn close_client(&self, gcid: Gcid, client_id: ClientId) {
        let connections = self.lock();
        for of in [Some(gcid), None] {
            for connection in connections.of_client(of, client_id) {
                connection.close(CloseReason::StoreFailed);
            }
        }
    }

    /// Closes every connection of a client at a customer, since one of its tokens was ended and nobody remembers which
    /// connection came with it. Those with another token that is good come back with that.
    pub fn ask_for_tokens(&self, gcid: Gcid, client_id: ClientId) {
        for connection in self.lock().of_client(Some(gcid), client_id) {
            connection.close(CloseReason::TokenExpired);
        }
    }

    /// Tells every connection to look anew at what it is.
    pub fn all_look_anew(&self) -> Looking {
        let connections = self.lock();
        Looking(connections.by_session.values().map(|connection| connection.look_anew()).collect())
    }

    /// Closes every connection whose session `is_meant`.
    pub fn close_those(
        &self,
        reason: CloseReason,
        is_meant: impl Fn(&SessionKey) -> bool,
    ) -> Closing {
        let connections = self.lock();
        let all = connections.by_session.values();
        let closing = Closing(all.filter(|one| is_meant(&one.key)).cloned().collect());
        closing.0.iter().for_each(|connection| connection.close(reason));
        closing
    }

    /// How many connections are open.
    pub fn connections(&self) -> usize {
        self.lock().by_session.len()
    }

    fn lock(&self) -> MutexGuard<'_, Connected> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Place {
    Taken(Registration),
    HeldBy(Arc<Connection>),
}

impl Connected {
    fn insert(&mut self, connection: Arc<Connection>) {
        let SessionKey { gcid, client_id, .. } = connection.key;
        let of_customer = self.by_client.entry(gcid).or_default();
        let of_client = of_customer.entry(client_id).or_default();
        of_client.insert(connection.number, connection.clone());
        self.by_session.insert(connection.key.clone(), connection);
    }

    fn remove(&mut self, connection: &Connection) {
        let SessionKey { gcid, client_id, .. } = connection.key;
        self.by_session.remove(&connection.key);
        let Some(of_customer) = self.by_client.get_mut(&gcid) else { return };
        if let Some(of_client) = of_customer.get_mut(&client_id) {
            of_client.remove(&connection.number);
            if of_client.is_empty() {
                of_customer.remove(&client_id);
            }
        }
        if of_customer.is_empty() {
            self.by_client.remove(&gcid);
        }
    }

    /// The connections of a client at a customer, the oldest first.
    fn of_client(
        &self,
        gcid: Option<Gcid>,
        client_id: ClientId,
    ) -> impl ExactSizeIterator<Item = &Arc<Connection>> {
        static NONE: ByNumber = BTreeMap::new();
        let of_customer = self.by_client.get(&gcid);
        of_customer.and_then(|clients| clients.get(&client_id)).unwrap_or(&NONE).values()
    }

    fn of_customer(&self, gcid: Option<Gcid>) -> impl Iterator<Item = &Arc<Connection>> {
        self.by_client.get(&gcid).into_iter().flat_map(HashMap::values).flat_map(BTreeMap::values)
    }
}

/// Connections that were told to close.
#[must_use]
pub struct Closing(Vec<Arc<Connection>>);

impl Closing {
    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Waits until all of them are gone.
    pub async fn done(self) {
        for connection in self.0 {
            closed(&connection.gone).await;
        }
    }
}

/// Connections that were told to look anew.
#[must_use]
pub struct Looking(Vec<oneshot::Receiver<()>>);

impl Looking {
    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Waits until all of them have looked, or are gone.
    pub async fn done(self) {
        for looking in self.0 {
            // An error says that it is gone.
            let _ = looking.await;
        }
    }
}

impl Connection {
    fn look_anew(&self) -> oneshot::Receiver<()> {
        let (done, looking) = oneshot::channel();
        self.lock_looking().push(done);
        self.look.notify_one();
        looking
    }

    fn lock_looking(&self) -> MutexGuard<'_, Vec<oneshot::Sender<()>>> {
        self.looking.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first reason stays.
    fn close(&self, reason: CloseReason) {
        if self.close.set(reason).is_ok() {
            self.closing.close();
        }
    }
}

/// Tells a connection to look anew at which vehicles it may read.
pub struct Bell(Arc<Connection>);

impl Bell {
    /// Does that; nobody waits for it.
    pub fn ring(&self) {
        drop(self.0.look_anew());
    }
}

/// Waits until `semaphore` is closed, which is all that happens to those here: a signal that takes less memory than a
/// channel, and there are two for each connection.
async fn closed(semaphore: &Semaphore) {
    let _ = semaphore.acquire().await;
}

impl Registration {
    /// Waits until somebody else wants the connection closed, and says why.
    pub async fn wanted_closed(&self) -> CloseReason {
        loop {
            if let Some(reason) = self.close_reason() {
                return reason;
            }
            closed(&self.connection.closing).await;
        }
    }

    /// Why somebody else wants the connection closed, if somebody does.
    pub fn close_reason(&self) -> Option<CloseReason> {
        self.connection.close.get().copied()
    }

    /// Waits until somebody wants the connection to look anew at which vehicles it may read. Whoever wants it
    /// waits until what this gives is dropped.
    pub async fn wanted_to_look(&self) -> Vec<oneshot::Sender<()>> {
        loop {
            self.connection.look.notified().await;
            let waiting = std::mem::take(&mut *self.connection.lock_looking());
            if !waiting.is_empty() {
                return waiting;
            }
        }
    }

    /// Which session.
    pub fn key(&self) -> &SessionKey {
        &self.connection.key
    }

    /// Tells the connection, as often as whoever has this wants, to look anew.
    pub fn bell(&self) -> Bell {
        Bell(self.connection.clone())
    }

    /// The consent that the connection rests on; a fleet's rests on none.
    pub fn consent_id(&self) -> Option<ConsentId> {
        self.connection.consent_id
    }

    /// A number for logs, unique while the server runs.
    pub fn number(&self) -> u64 {
        self.connection.number
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.router.lock().remove(&self.connection);
        self.connection.gone.close();
        self.connection.lock_looking().clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(client: u128, mqtt: &str) -> SessionKey {
        SessionKey {
            gcid: Some("aa111192-d570-4d3d-8835-656ee00edcd7".parse().unwrap()),
            client_id: ClientId::new(uuid::Uuid::from_u128(client)),
            mqtt_client_id: mqtt.into(),
        }
    }

    async fn register(
        router: &Arc<Router>,
        key: SessionKey,
        limit: Connections,
    ) -> Result<Registration, Occupied> {
        router.register(key, Some(ConsentId::new(uuid::Uuid::nil())), limit).await
    }

    fn reason(registration: &Registration) -> Option<CloseReason> {
        registration.close_reason()
    }

    #[tokio::test]
    async fn a_second_connection_of_a_session_waits_until_the_first_is_gone() {
        let router = Arc::new(Router::default());
        let first = register(&router, key(1, "a"), Connections::PerClient(5)).await.unwrap();
        let mut second = Box::pin(register(&router, key(1, "a"), Connections::PerClient(5)));
        let waiting = std::future::poll_fn(|context| {
            std::task::Poll::Ready(second.as_mut().poll(context).is_pending())
        });
        assert!(waiting.await);
        assert_eq!(reason(&first), Some(CloseReason::TakenOver));
        drop(first);
        assert_eq!(reason(&second.await.unwrap()), None);
        assert_eq!(router.connections(), 0);
    }

    #[tokio::test]
    async fn the_oldest_connection_of_a_client_gives_way() {
        let router = Arc::new(Router::default());
        let limit = Connections::PerClient(2);
        let first = register(&router, key(1, "a"), limit).await.unwrap();
        let second = register(&router, key(1, "b"), limit).await.unwrap();
        let other_client = register(&router, key(2, "a"), limit).await.unwrap();
        let third = register(&router, key(1, "c"), limit).await.unwrap();
        assert_eq!(reason(&first), Some(CloseReason::Evicted));
        assert_eq!([&second, &other_client, &third].map(reason), [None; 3]);
        drop([first, second, other_client, third]);
        assert!(router.lock().by_client.is_empty());
    }

    #[tokio::test]
    async fn one_connection_for_each_customer_evicts_or_refuses() {
        let router = Arc::new(Router::default());
        let first = register(&router, key(1, "a"), Connections::OnePerCustomerEvict).await.unwrap();
        let second =
            register(&router, key(2, "b"), Connections::OnePerCustomerEvict).await.unwrap();
        assert_eq!((reason(&first), reason(&second)), (Some(CloseReason::Evicted), None));
        drop(first);
        assert_eq!(
            register(&router, key(3, "c"), Connections::OnePerCustomerRefuse).await.err(),
            Some(Occupied)
        );
    }

    #[tokio::test]
    async fn an_ended_consent_closes_its_connections() {
        let router = Arc::new(Router::default());
        let first = register(&router, key(1, "a"), Connections::PerClient(5)).await.unwrap();
        assert!(router.close_consent(ConsentId::new(uuid::Uuid::from_u128(9))).is_empty());
        assert_eq!(reason(&first), None);
        let closing = router.close_consent(ConsentId::new(uuid::Uuid::nil()));
        assert_eq!(reason(&first), Some(CloseReason::ConsentEnded));
        assert_eq!(closing.len(), 1);
        drop(first);
        closing.done().await;
    }

    #[tokio::test]
    async fn whoever_wants_a_connection_to_look_anew_waits_until_it_did_or_is_gone() {
        let router = Arc::new(Router::default());
        let first = register(&router, key(1, "a"), Connections::PerClient(5)).await.unwrap();
        let second = register(&router, key(1, "b"), Connections::PerClient(5)).await.unwrap();
        let looking = router.look_anew(first.key().gcid.unwrap());
        assert_eq!(looking.len(), 2);
        drop(first.wanted_to_look().await);
        drop(second);
        looking.done().await;
    }

    #[tokio::test]
    async fn a_fleet_is_nobody_elses_connections() {
        let router = Arc::new(Router::default());
        let limit = Connections::PerClient(1);
        let of_customer = register(&router, key(1, "a"), limit).await.unwrap();
        let fleet = SessionKey { gcid: None, ..key(1, "a") };
        let fleet = router.register(fleet, None, limit).await.unwrap();
        let other = SessionKey { gcid: None, ..key(2, "a") };
        let other = router.register(other, None, limit).await.unwrap();
        assert_eq!([&of_customer, &fleet, &other].map(reason), [None; 3]);
        let client = fleet.key().client_id;
        assert_eq!(router.fleets_look_anew(&[client]).len(), 1);
        drop(fleet.wanted_to_look().await);
        assert!(router.fleets().contains(&client));
        assert_eq!(router.close_fleet(client, CloseReason::TokenExpired).len(), 1);
        let reasons = [None, Some(CloseReason::TokenExpired), None];
        assert_eq!([&of_customer, &fleet, &other].map(reason), reasons);
        router.close_client(of_customer.key().gcid.unwrap(), other.key().client_id);
        let failed = Some(CloseReason::StoreFailed);
        assert_eq!([&of_customer, &other].map(reason), [None, failed]);
    }

    #[tokio::test]
    async fn a_client_is_closed_without_its_neighbours() {
        let router = Arc::new(Router::default());
        let limit = Connections::PerClient(5);
        let [one, other] = [key(1, "a"), key(2, "a")];
        let client = (one.gcid, one.client_id);
        let first = register(&router, one, limit).await.unwrap();
        let second = register(&router, other, limit).await.unwrap();
        router.close_client(client.0.unwrap(), client.1);
        assert_eq!([&first, &second].map(reason), [Some(CloseReason::StoreFailed), None]);
    }
}
