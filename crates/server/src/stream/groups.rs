//! Shared subscriptions (MQTT 5 §4.8.2): members of a group have a part of a fleet's vehicles each.
//!
//! Which member a vehicle goes to is drawn from both their names, so that of a member that comes or goes only its own
//! vehicles move. A vehicle that moves is let go by the one before anybody takes it, and the next one goes on where the
//! group's cursor stands: after all that was acknowledged without a gap. The cursors are the group's own. They are kept
//! like those of a session, as long as the member wants to be kept that wants it longest.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cardata_domain::session::{SessionKey, StoredSession, StoredSubscription};
use cardata_domain::{ClientId, Sequence, Vin};
use cardata_mqtt::topic::{self, Filter};
use cardata_mqtt::{Reader, Vehicles};
use cardata_store::directory::DirectoryError;
use jiff::Timestamp;

use crate::platform::Platform;
use crate::stream::connection::forget_surplus;
use crate::stream::router::{Bell, Registration};

/// The groups that have members.
#[derive(Default)]
pub struct Groups(Mutex<HashMap<SessionKey, Arc<Group>>>);

impl Groups {
    fn lock(&self) -> MutexGuard<'_, HashMap<SessionKey, Arc<Group>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn group(&self, key: &SessionKey) -> Arc<Group> {
        self.lock().entry(key.clone()).or_insert_with(|| Arc::new(Group::new(key.clone()))).clone()
    }

    fn has(&self, group: &Arc<Group>) -> bool {
        self.lock().get(&group.key).is_some_and(|known| Arc::ptr_eq(known, group))
    }

    /// Forgets how far groups got with vehicles that they may read no longer: those of `client_id`, or of all clients. A
    /// group that is being read or written waits for that.
    pub async fn leave_fleets(&self, client_id: Option<ClientId>, vehicles: &[Vin]) {
        let all: Vec<_> = self.lock().values().cloned().collect();
        let is_meant =
            |group: &&Arc<Group>| client_id.is_none_or(|client| client == group.key.client_id);
        for group in all.iter().filter(is_meant) {
            let _storing = group.storing.lock().await;
            let mut state = group.lock();
            for vin in vehicles {
                state.cursors.remove(vin);
            }
        }
    }
}

struct Group {
    /// Under which its cursors are kept; the name is the filter as clients write it.
    key: SessionKey,
    /// Held while the group is read or written whole, so that none begins where another one ends.
    storing: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// By the numbers of their connections.
    members: BTreeMap<u64, Member>,
    /// Who reads a vehicle at present, which may be another one than it belongs to.
    holders: HashMap<Vin, u64>,
    /// For each vehicle that was ever read: up to where everything was acknowledged.
    cursors: BTreeMap<Vin, Sequence>,
    /// Vehicles that were begun anew, since the right to them had ended; and when it was given again.
    renewed: HashMap<Vin, Timestamp>,
    /// Seconds that the group outlives its last member; the highest number for ever, 0 not at all.
    kept_seconds: u32,
    /// Whether it is known what was kept of it.
    is_loaded: bool,
}

struct Member {
    name: String,
    bell: Bell,
}

impl Group {
    fn new(key: SessionKey) -> Self {
        Self { key, storing: tokio::sync::Mutex::default(), state: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stored(&self) -> StoredSession {
        let state = self.lock();
        let subscription = StoredSubscription {
            filter: self.key.mqtt_client_id.clone(),
            qos: 1,
            identifier: None,
        };
        StoredSession {
            subscriptions: vec![subscription],
            expiry_seconds: Some(state.kept_seconds).filter(|seconds| *seconds < u32::MAX),
            cursors: state.cursors.iter().map(|(vin, cursor)| (*vin, *cursor)).collect(),
            ..StoredSession::default()
        }
    }

    /// Reads what was kept of the group, if nobody did yet, and notes for how long it is to be kept.
    async fn load(&self, platform: &Platform, kept_seconds: u32) -> Result<(), DirectoryError> {
        let is_loaded = self.lock().is_loaded;
        if !is_loaded {
            let known = platform.cursors.resume(&self.key);
            let now = platform.clock.now();
            let stored = platform.directory.session(&self.key, now).await?;
            let mut state = self.lock();
            if let Some(stored) = stored {
                state.kept_seconds = stored.expiry_seconds.unwrap_or(u32::MAX);
                state.cursors = known.over(stored).cursors.into_iter().collect();
            } else {
                platform.cursors.forget(&self.key);
            }
            state.is_loaded = true;
        }
        let is_longer = kept_seconds > self.lock().kept_seconds;
        if is_longer {
            self.lock().kept_seconds = kept_seconds;
        }
        if self.lock().kept_seconds > 0 && (is_longer || !is_loaded) {
            let storable =
                platform.cursors.storable(&self.key, &self.stored(), platform.journal.synced());
            let surplus = platform.directory.put_session(&self.key, &storable).await?;
            forget_surplus(platform, &surplus);
        }
        Ok(())
    }

    /// Keeps the group for the member that comes next, or ends it.
    async fn rest(&self, platform: &Platform) -> Result<(), DirectoryError> {
        if self.lock().kept_seconds == 0 {
            return Ok(());
        }
        let storable =
            platform.cursors.storable(&self.key, &self.stored(), platform.journal.synced());
        let now = platform.clock.now();
        let surplus = platform.directory.rest_session(&self.key, &storable, now).await?;
        forget_surplus(platform, &surplus);
        Ok(())
    }
}

impl State {
    /// Whose `vin` is: the member with the highest number drawn from both names (rendezvous hashing).
    fn owner(&self, vin: Vin) -> Option<u64> {
        let drawn = |member: &Member| {
            let mut hasher = DefaultHasher::new();
            (vin, &member.name).hash(&mut hasher);
            hasher.finish()
        };
        self.members.iter().max_by_key(|(_, member)| drawn(member)).map(|(number, _)| *number)
    }

    /// Tells the others that there is something to take or to let go.
    fn ring(&self, but: u64) {
        self.members
            .iter()
            .filter(|(number, _)| **number != but)
            .for_each(|(_, one)| one.bell.ring());
    }
}

/// A connection's place in a group; it is free again when this is dropped.
pub(crate) struct Membership {
    group: Arc<Group>,
    number: u64,
    filter: Option<Filter>,
}

impl Membership {
    /// Takes a place in the group of `filter`, a shared subscription as the client wrote it, for a session that is kept for
    /// `kept_seconds`.
    ///
    /// # Errors
    /// [`DirectoryError`] when what is kept of the group can't be read or written.
    pub(crate) async fn begin(
        platform: &Platform,
        registration: &Registration,
        filter: &str,
        kept_seconds: u32,
    ) -> Result<Self, DirectoryError> {
        let session = registration.key();
        let key = SessionKey { mqtt_client_id: filter.to_owned(), ..session.clone() };
        loop {
            let group = platform.groups.group(&key);
            let storing = group.storing.lock().await;
            if !platform.groups.has(&group) {
                // Its last member has just left.
                continue;
            }
            group.load(platform, kept_seconds).await?;
            let number = registration.number();
            let member = Member { name: session.mqtt_client_id.clone(), bell: registration.bell() };
            let mut state = group.lock();
            state.members.insert(number, member);
            state.ring(number);
            drop(state);
            drop(storing);
            metrics::gauge!("cardata_mqtt_group_members").increment(1);
            let filter = topic::shared(filter);
            let filter = filter.and_then(|filter| Filter::parse(filter, Reader::Fleet));
            return Ok(Self { group, number, filter });
        }
    }

    /// Takes what is this member's of `fleet` and what nobody else reads any more; and how far the others got with it.
    /// What is another's now is left out, and read by this one until [`Membership::let_go`].
    pub(crate) fn share(&self, fleet: &Vehicles) -> (Vehicles, BTreeMap<Vin, Sequence>) {
        let mut state = self.group.lock();
        let named = fleet
            .iter()
            .filter(|(vin, of)| self.filter.is_some_and(|filter| filter.matches(*of, *vin)));
        let own: Vec<_> = named
            .filter(|(vin, _)| {
                let holder = state.holders.get(vin);
                state.owner(*vin) == Some(self.number)
                    && holder.is_none_or(|holder| *holder == self.number)
            })
            .collect();
        let mut cursors = BTreeMap::new();
        for (vin, _) in &own {
            state.holders.insert(*vin, self.number);
            if let Some(cursor) = state.cursors.get(vin) {
                cursors.insert(*vin, *cursor);
            }
        }
        (Vehicles::new(own), cursors)
    }

    /// Forgets how far the group got with vehicles that it may read anew, each since the moment that is named. Once: other
    /// members look at other times. While another one still reads one as before, that is left to it.
    pub(crate) fn begin_anew(&self, renewed: &BTreeMap<Vin, Timestamp>) {
        let mut state = self.group.lock();
        for (vin, since) in renewed {
            let is_done = state.renewed.get(vin).is_some_and(|done| done >= since);
            let holder = state.holders.get(vin);
            if !is_done && holder.is_none_or(|holder| *holder == self.number) {
                state.cursors.remove(vin);
                state.renewed.insert(*vin, *since);
            }
        }
    }

    /// Notes that this member reads no vehicles but `kept` any more, and lets the others take what they wait for.
    pub(crate) fn let_go(&self, kept: &Vehicles) {
        let mut state = self.group.lock();
        let before = state.holders.len();
        state.holders.retain(|vin, holder| *holder != self.number || kept.customer(*vin).is_some());
        if state.holders.len() < before {
            state.ring(self.number);
        }
    }

    /// Notes that this member has acknowledged everything of `vin` up to `cursor`.
    pub(crate) fn advance(&self, platform: &Platform, vin: Vin, cursor: Sequence) {
        let mut state = self.group.lock();
        let known = state.cursors.entry(vin).or_insert(cursor);
        *known = cursor.max(*known);
        if state.kept_seconds > 0 {
            platform.cursors.advance(&self.group.key, vin, cursor);
        }
    }

    /// Gives the place free; with the last one, the group is laid to rest.
    pub(crate) async fn leave(self, platform: &Platform) {
        let group = self.group.clone();
        let _storing = group.storing.lock().await;
        drop(self);
        if !group.lock().members.is_empty() {
            return;
        }
        if let Err(error) = group.rest(platform).await {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "a group that ended can't be stored; it is kept as it was");
        }
        platform.groups.lock().remove(&group.key);
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        metrics::gauge!("cardata_mqtt_group_members").decrement(1);
        let mut state = self.group.lock();
        state.members.remove(&self.number);
        state.holders.retain(|_, holder| *holder != self.number);
        state.ring(self.number);
    }
}
