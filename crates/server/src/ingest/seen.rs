//! What vehicles sent lately, so that an event which comes again is acknowledged and not kept twice: its first
//! acknowledgement may have been lost on the way.
//!
//! Two events are the same when vehicle, time and all entries are. Remembered are the last [`EACH_MAX`] events of each
//! vehicle in the last ten minutes, those from before a restart included: these are read from the journal when the
//! vehicle is met again.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{BuildHasher as _, Hash as _, Hasher as _, RandomState};
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

use cardata_domain::{Event, Sequence, Vin};
use cardata_store::Journal;
use cardata_store::journal::JournalError;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Notify, OnceCell};

/// How long an event is remembered, at least.
const REMEMBERED: SignedDuration = SignedDuration::from_mins(10);
/// Events of a vehicle that are remembered.
const EACH_MAX: usize = 512;
/// Events of all vehicles together, in each half of the memory: 32 MiB in all. When there are more in ten minutes, they
/// are remembered for a shorter time.
const ALL_MAX: usize = 2 << 20;
/// Events that are read from the journal at a time.
const PAGE: usize = 1024;

/// Remembers what came lately.
pub(crate) struct Seen {
    hasher: RandomState,
    state: Mutex<State>,
    /// Told when events are no longer under way.
    settled: Notify,
    opened_at: Timestamp,
    /// The journal's place from which on events are remembered that an earlier process took.
    recalled_after: OnceCell<Sequence>,
}

/// Stands for an event.
type Digest = (Vin, u64);

#[derive(Default)]
struct State {
    recent: Half,
    older: Half,
    /// Events that are on their way to the disk.
    under_way: HashSet<Digest>,
}

/// The memory's halves: the older one is dropped as a whole.
#[derive(Default)]
struct Half {
    since: Timestamp,
    vehicles: HashMap<Vin, VecDeque<u64>>,
    size: usize,
}

/// Events that nobody else keeps. Dropped without [`Claim::kept`], they may be kept by others.
pub(super) struct Claim<'a> {
    seen: &'a Seen,
    /// Those that are new, in their order.
    pub(super) new: Vec<Event>,
    digests: Vec<Digest>,
    /// How many were kept before.
    pub(super) repeated: usize,
    /// Others that are new, too, but are being kept by somebody else already, or stand twice among the events.
    pub(super) elsewhere: Vec<Digest>,
}

impl Seen {
    /// Remembers nothing but what the journal has from the ten minutes before `now`.
    pub(crate) fn new(now: Timestamp) -> Self {
        let recent = Half { since: now, ..Half::default() };
        Self {
            hasher: RandomState::new(),
            state: Mutex::new(State { recent, ..State::default() }),
            settled: Notify::new(),
            opened_at: now,
            recalled_after: OnceCell::new(),
        }
    }

    /// Makes sure that it is known what `vins` sent before a restart.
    ///
    /// # Errors
    /// [`JournalError`] when the journal can't be read.
    pub(super) async fn recall(
        &self,
        journal: &dyn Journal,
        vins: impl Iterator<Item = Vin>,
        now: Timestamp,
    ) -> Result<(), JournalError> {
        // Later, what an earlier process took is old.
        if now.duration_since(self.opened_at) > REMEMBERED {
            return Ok(());
        }
        let unknown: HashSet<_> = {
            let state = self.state();
            vins.filter(|vin| !state.knows(*vin)).collect()
        };
        for vin in unknown {
            let since = self.opened_at.checked_sub(REMEMBERED).unwrap_or(Timestamp::MIN);
            let mut after = *self.recalled_after.get_or_try_init(|| journal.before(since)).await?;
            let mut digests = Vec::new();
            loop {
                let page = journal.read(vin, after, PAGE).await?;
                digests.extend(page.iter().map(|recorded| self.digest(&recorded.event)));
                let Some(last) = page.last().filter(|_| page.len() == PAGE) else { break };
                after = last.sequence;
            }
            let mut state = self.state();
            // Somebody else may have been quicker.
            if !state.knows(vin) {
                state.recent.vehicles.entry(vin).or_default();
                for digest in digests {
                    state.recent.add(digest);
                }
            }
        }
        Ok(())
    }

    /// Takes those of `events` that are new. Call [`Seen::recall`] for their vehicles before.
    pub(super) fn claim(&self, events: Vec<Event>, now: Timestamp) -> Claim<'_> {
        let mut claim = Claim {
            seen: self,
            new: Vec::with_capacity(events.len()),
            digests: Vec::with_capacity(events.len()),
            repeated: 0,
            elsewhere: Vec::new(),
        };
        let mut state = self.state();
        state.age(now);
        for event in events {
            let digest = self.digest(&event);
            if state.has(digest) {
                claim.repeated += 1;
            } else if state.under_way.insert(digest) {
                claim.digests.push(digest);
                claim.new.push(event);
            } else {
                claim.elsewhere.push(digest);
            }
        }
        claim
    }

    /// Waits until an event is no longer under way; whether it was kept.
    pub(super) async fn outcome(&self, digest: Digest) -> bool {
        loop {
            let settled = self.settled.notified();
            {
                let state = self.state();
                if !state.under_way.contains(&digest) {
                    return state.has(digest);
                }
            }
            settled.await;
        }
    }

    fn digest(&self, event: &Event) -> Digest {
        let mut hasher = self.hasher.build_hasher();
        event.at().hash(&mut hasher);
        for entry in event.entries() {
            entry.fragment().hash(&mut hasher);
        }
        (event.vin(), hasher.finish())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn knows(&self, vin: Vin) -> bool {
        self.recent.vehicles.contains_key(&vin) || self.older.vehicles.contains_key(&vin)
    }

    fn has(&self, (vin, digest): Digest) -> bool {
        let has = |half: &Half| half.vehicles.get(&vin).is_some_and(|own| own.contains(&digest));
        has(&self.recent) || has(&self.older)
    }

    /// Drops what is old.
    fn age(&mut self, now: Timestamp) {
        if now.duration_since(self.recent.since) > REMEMBERED || self.recent.size >= ALL_MAX {
            self.older = mem::replace(&mut self.recent, Half { since: now, ..Half::default() });
        }
    }
}

impl Half {
    fn add(&mut self, (vin, digest): Digest) {
        let own = self.vehicles.entry(vin).or_default();
        if own.len() == EACH_MAX {
            own.pop_front();
        } else {
            self.size += 1;
        }
        own.push_back(digest);
    }
}

impl Claim<'_> {
    /// The new events are on disk.
    pub(super) fn kept(mut self) {
        let mut state = self.seen.state();
        for digest in mem::take(&mut self.digests) {
            state.under_way.remove(&digest);
            state.recent.add(digest);
        }
        drop(state);
        self.seen.settled.notify_waiters();
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        if self.digests.is_empty() {
            return;
        }
        let mut state = self.seen.state();
        for digest in &self.digests {
            state.under_way.remove(digest);
        }
        drop(state);
        self.seen.settled.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use cardata_contract::stream;
    use cardata_domain::Catalogue;
    use cardata_store::journal::MemoryJournal;

    use super::*;
    use crate::stream::router::Router;
    use crate::test_platform::START;

    fn event(vehicle: u32, number: usize) -> Event {
        let json = format!(
            r#"{{"vin":"WBY{vehicle:014}","timestamp":"2026-01-01T00:00:00Z","data":{{"vehicle.isMoving":
            {{"timestamp":"2026-01-01T00:00:00Z","value":{number}}}}}}}"#
        );
        stream::parse(json.as_bytes(), &Catalogue::shipped()).unwrap().event
    }

    /// How many of `events` are new, how many were kept before, and how many are under way.
    fn claimed(claim: &Claim<'_>) -> (usize, usize, usize) {
        (claim.new.len(), claim.repeated, claim.elsewhere.len())
    }

    #[test]
    fn an_event_is_the_same_when_vehicle_time_and_entries_are() {
        let seen = Seen::new(START);
        let first = seen.claim(vec![event(1, 1), event(1, 2), event(2, 1), event(1, 1)], START);
        assert_eq!(claimed(&first), (3, 0, 1));
        assert_eq!(claimed(&seen.claim(vec![event(1, 2), event(1, 3)], START)), (1, 0, 1));
        first.kept();
        assert_eq!(claimed(&seen.claim(vec![event(1, 2), event(1, 3)], START)), (1, 1, 0));
    }

    #[tokio::test]
    async fn whoever_sends_what_is_under_way_hears_how_it_ended() {
        let seen = Seen::new(START);
        for is_kept in [false, true] {
            let claim = seen.claim(vec![event(1, 1)], START);
            let other = seen.claim(vec![event(1, 1)], START);
            let outcome = seen.outcome(other.elsewhere[0]);
            let settle = async {
                tokio::task::yield_now().await;
                if is_kept { claim.kept() } else { drop(claim) }
            };
            assert_eq!(tokio::join!(outcome, settle).0, is_kept);
        }
    }

    #[test]
    fn an_event_is_remembered_for_ten_minutes_at_least_and_not_for_ever() {
        let seen = Seen::new(START);
        let minute = |minutes| START + SignedDuration::from_mins(minutes);
        seen.claim(vec![event(1, 1)], minute(9)).kept();
        seen.claim(vec![event(1, 2)], minute(11)).kept();
        assert_eq!(seen.claim(vec![event(1, 1)], minute(19)).repeated, 1);
        assert_eq!(seen.claim(vec![event(1, 2)], minute(21)).repeated, 1);
        assert_eq!(seen.claim(vec![event(1, 1), event(1, 2)], minute(40)).new.len(), 1);
        assert_eq!(seen.claim(vec![event(1, 1), event(1, 2)], minute(60)).new.len(), 2);
    }

    #[test]
    fn one_vehicle_that_sends_much_makes_no_other_forgotten() {
        let seen = Seen::new(START);
        seen.claim(vec![event(2, 1)], START).kept();
        seen.claim((0..=EACH_MAX).map(|number| event(1, number)).collect(), START).kept();
        let newest = vec![event(2, 1), event(1, 1), event(1, EACH_MAX)];
        assert_eq!(seen.claim(newest, START).repeated, 3);
        assert_eq!(seen.claim(vec![event(1, 0)], START).repeated, 0);
    }

    #[tokio::test]
    async fn what_came_before_a_restart_is_read_from_the_journal() {
        let journal = MemoryJournal::new(Arc::new(Router::default()));
        let before = |minutes| START - SignedDuration::from_mins(minutes);
        journal.append(vec![event(1, 0)], before(11)).await.unwrap();
        let many = (1..=2 * PAGE).map(|number| event(1, number)).collect();
        journal.append(many, before(9)).await.unwrap();
        let seen = Seen::new(START);
        let vins = || [event(1, 0).vin(), event(2, 0).vin()].into_iter();
        for _ in 0..2 {
            seen.recall(&journal, vins(), START).await.unwrap();
        }
        let again = vec![event(1, 0), event(1, 1), event(1, 2 * PAGE), event(2, 0)];
        assert_eq!(claimed(&seen.claim(again, START)), (3, 1, 0));
        assert_eq!(seen.state().recent.size, EACH_MAX);
    }
}
