//! How far persistent sessions got, between an acknowledgement and the directory.
//!
//! Writing each acknowledgement at once would cost a commit each; so they are collected and written together. A cursor
//! that is stored never passes what the journal has synced: a crash can show a client an event twice, and hide none.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use cardata_domain::session::{SessionKey, StoredSession};
use cardata_domain::{ClientId, Gcid, Sequence, Vin};
use cardata_store::Directory;
use cardata_store::directory::DirectoryError;

/// Cursors that are ahead of the directory.
#[derive(Default)]
pub struct Cursors {
    ahead: Mutex<HashMap<SessionKey, Ahead>>,
}

type Ahead = BTreeMap<Vin, Cursor>;

/// How far a session got beyond what the directory has.
#[derive(Debug, Default)]
pub struct Known(BTreeMap<Vin, Sequence>);

impl Known {
    /// What the session's next connection starts from, given what the directory has `stored`.
    pub fn over(&self, mut stored: StoredSession) -> StoredSession {
        for (vin, cursor) in &mut stored.cursors {
            *cursor = self.0.get(vin).copied().unwrap_or_default().max(*cursor);
        }
        stored
    }
}

#[derive(Clone, Copy)]
struct Cursor {
    acknowledged: Sequence,
    written: Sequence,
}

impl Cursors {
    /// Notes that a session has acknowledged everything of `vin` up to `cursor`.
    pub fn advance(&self, key: &SessionKey, vin: Vin, cursor: Sequence) {
        let mut ahead = self.lock();
        // Looked up before it is inserted: the key is cloned once for each flush, not for each acknowledgement.
        if let Some(known) = ahead.get_mut(key) {
            advance(known, vin, cursor);
        } else {
            advance(ahead.entry(key.clone()).or_default(), vin, cursor);
        }
    }

    /// The form in which `session` may be stored now, given what the journal has `synced`; the rest follows with a
    /// later [`Cursors::flush`].
    pub fn storable(
        &self,
        key: &SessionKey,
        session: &StoredSession,
        synced: Sequence,
    ) -> StoredSession {
        let clamped = |(vin, cursor): &(Vin, Sequence)| (*vin, (*cursor).min(synced));
        let cursors: Vec<_> = session.cursors.iter().map(clamped).collect();
        let states = session.cursors.iter().zip(&cursors);
        let states = states.map(|((vin, acknowledged), (_, written))| {
            (*vin, Cursor { acknowledged: *acknowledged, written: *written })
        });
        // Only what is ahead: a session that waits for its client for weeks must not be remembered here.
        let known: Ahead =
            states.filter(|(_, cursor)| cursor.written < cursor.acknowledged).collect();
        let mut ahead = self.lock();
        if known.is_empty() {
            ahead.remove(key);
        } else {
            ahead.insert(key.clone(), known);
        }
        drop(ahead);
        StoredSession { cursors, ..session.clone() }
    }

    /// What is known here of a session that goes on. To be asked before the directory is: a flush in between moves
    /// cursors from here to there, and never back.
    pub fn resume(&self, key: &SessionKey) -> Known {
        let ahead = self.lock();
        let Some(known) = ahead.get(key) else { return Known::default() };
        Known(known.iter().map(|(vin, cursor)| (*vin, cursor.acknowledged)).collect())
    }

    /// Forgets a session that has ended.
    pub fn forget(&self, key: &SessionKey) {
        self.lock().remove(key);
    }

    /// Forgets how far a customer's sessions got with a vehicle that is theirs no longer.
    pub fn forget_vehicle(&self, gcid: Gcid, vin: Vin) {
        self.forget_vehicles(&[vin], |key| key.gcid == Some(gcid));
    }

    /// Forgets how far fleets got with vehicles that they may read no longer: those of `client_id`, or of all clients.
    pub fn leave_fleets(&self, client_id: Option<ClientId>, vehicles: &[Vin]) {
        let is_meant = |key: &SessionKey| client_id.is_none_or(|client| client == key.client_id);
        self.forget_vehicles(vehicles, |key| key.gcid.is_none() && is_meant(key));
    }

    fn forget_vehicles(&self, vehicles: &[Vin], is_meant: impl Fn(&SessionKey) -> bool) {
        let mut ahead = self.lock();
        for (_, known) in ahead.iter_mut().filter(|(key, _)| is_meant(key)) {
            known.retain(|vin, _| !vehicles.contains(vin));
        }
        ahead.retain(|_, known| !known.is_empty());
    }

    /// Writes what the journal's sync has caught up with.
    ///
    /// # Errors
    /// [`DirectoryError`]: nothing was written; the next call tries again.
    pub async fn flush(
        &self,
        directory: &dyn Directory,
        synced: Sequence,
    ) -> Result<(), DirectoryError> {
        let moves = self.due(synced);
        if moves.is_empty() {
            return Ok(());
        }
        directory.move_cursors(&moves).await?;
        self.written(&moves);
        Ok(())
    }

    fn due(&self, synced: Sequence) -> Vec<(SessionKey, Vec<(Vin, Sequence)>)> {
        let ahead = self.lock();
        let due_of = |state: &Ahead| {
            let writable = state
                .iter()
                .map(|(vin, cursor)| (*vin, cursor.acknowledged.min(synced), cursor.written));
            writable
                .filter(|(_, cursor, written)| cursor > written)
                .map(|(vin, cursor, _)| (vin, cursor))
                .collect()
        };
        let due = |(key, state): (&SessionKey, &Ahead)| {
            let due: Vec<_> = due_of(state);
            (!due.is_empty()).then(|| (key.clone(), due))
        };
        ahead.iter().filter_map(due).collect()
    }

    fn written(&self, moves: &[(SessionKey, Vec<(Vin, Sequence)>)]) {
        let mut ahead = self.lock();
        for (key, cursors) in moves {
            let Some(state) = ahead.get_mut(key) else { continue };
            for (vin, written) in cursors {
                if let Some(cursor) = state.get_mut(vin) {
                    cursor.written = cursor.written.max(*written);
                }
            }
            state.retain(|_, cursor| cursor.written < cursor.acknowledged);
        }
        ahead.retain(|_, state| !state.is_empty());
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<SessionKey, Ahead>> {
        self.ahead.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn advance(ahead: &mut Ahead, vin: Vin, acknowledged: Sequence) {
    let cursor = ahead.entry(vin).or_insert(Cursor { acknowledged, written: Sequence(0) });
    cursor.acknowledged = cursor.acknowledged.max(acknowledged);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> SessionKey {
        SessionKey {
            gcid: Some("aa111192-d570-4d3d-8835-656ee00edcd7".parse().unwrap()),
            client_id: "31c357a0-7a1d-4590-aa99-33b97244d048".parse().unwrap(),
            mqtt_client_id: "a".into(),
        }
    }

    fn vin() -> Vin {
        "WBY00000000000001".parse().unwrap()
    }

    #[test]
    fn a_cursor_is_written_only_up_to_what_is_synced() {
        let cursors = Cursors::default();
        cursors.advance(&key(), vin(), Sequence(10));
        assert_eq!(cursors.due(Sequence(7)), [(key(), vec![(vin(), Sequence(7))])]);
        cursors.written(&[(key(), vec![(vin(), Sequence(7))])]);
        assert_eq!(cursors.due(Sequence(7)), []);
        assert_eq!(cursors.due(Sequence(12)), [(key(), vec![(vin(), Sequence(10))])]);
        cursors.written(&[(key(), vec![(vin(), Sequence(10))])]);
        assert!(cursors.lock().is_empty());
    }

    #[test]
    fn a_session_goes_on_where_it_was_acknowledged_and_not_where_it_was_written() {
        let cursors = Cursors::default();
        let stored =
            StoredSession { cursors: vec![(vin(), Sequence(5))], ..StoredSession::default() };
        let storable = cursors.storable(&key(), &stored, Sequence(3));
        assert_eq!(storable.cursors, [(vin(), Sequence(3))]);
        assert_eq!(cursors.resume(&key()).over(storable.clone()), stored);
        cursors.forget(&key());
        assert_eq!(cursors.resume(&key()).over(storable.clone()), storable);
    }

    #[test]
    fn a_fleet_forgets_vehicles_and_a_customers_sessions_do_not() {
        let cursors = Cursors::default();
        let fleet = SessionKey { gcid: None, ..key() };
        let other = SessionKey {
            client_id: "41c357a0-7a1d-4590-aa99-33b97244d048".parse().unwrap(),
            ..fleet.clone()
        };
        for key in [&key(), &fleet, &other] {
            cursors.advance(key, vin(), Sequence(1));
        }
        let known = || [&key(), &fleet, &other].map(|key| cursors.resume(key).0.len());
        cursors.forget_vehicle("bb111192-d570-4d3d-8835-656ee00edcd7".parse().unwrap(), vin());
        cursors.leave_fleets(Some(fleet.client_id), &[vin()]);
        assert_eq!(known(), [1, 0, 1]);
        cursors.leave_fleets(None, &[vin()]);
        assert_eq!(known(), [1, 0, 0]);
    }

    #[test]
    fn nothing_is_remembered_of_a_session_that_was_stored_whole() {
        let cursors = Cursors::default();
        let stored =
            StoredSession { cursors: vec![(vin(), Sequence(5))], ..StoredSession::default() };
        cursors.advance(&key(), vin(), Sequence(5));
        assert_eq!(cursors.storable(&key(), &stored, Sequence(5)), stored);
        assert!(cursors.lock().is_empty());
    }
}
