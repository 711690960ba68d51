//! A journal in memory: nothing survives the process. For tests, and as the plainest reading of the trait.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use cardata_domain::{Entry, Event, Recorded, Sequence, Vin};
use jiff::Timestamp;

use super::latest::LatestValues;
use super::{Journal, JournalError, LiveFeed, Retention, text};

/// A [`Journal`] that keeps everything in memory and calls it synced.
pub struct MemoryJournal {
    feed: Arc<dyn LiveFeed>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    newest: Sequence,
    closed: bool,
    size_bytes: u64,
    kept: VecDeque<Kept>,
    vehicles: HashMap<Vin, Vehicle>,
}

struct Kept {
    sequence: Sequence,
    vin: Vin,
    appended_at: Timestamp,
    size_bytes: u64,
}

#[derive(Default)]
struct Vehicle {
    head: Sequence,
    events: VecDeque<Arc<Recorded>>,
    latest: LatestValues,
    /// The same as it was given, until it changes.
    given: Option<Arc<[Entry]>>,
}

impl MemoryJournal {
    /// An empty journal that hands what is appended to `feed`.
    pub fn new(feed: Arc<dyn LiveFeed>) -> Self {
        Self { feed, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn append(&mut self, event: Event, now: Timestamp) -> Arc<Recorded> {
        self.newest.0 += 1;
        let size_bytes = text::size_bytes(&event);
        self.size_bytes += size_bytes;
        let (sequence, vin) = (self.newest, event.vin());
        self.kept.push_back(Kept { sequence, vin, appended_at: now, size_bytes });
        let vehicle = self.vehicles.entry(event.vin()).or_default();
        vehicle.latest.offer_all(self.newest, &event);
        vehicle.given = None;
        let recorded = Arc::new(Recorded::new(self.newest, vehicle.head, event));
        vehicle.head = self.newest;
        vehicle.events.push_back(recorded.clone());
        recorded
    }
}

#[async_trait]
impl Journal for MemoryJournal {
    async fn append(&self, events: Vec<Event>, now: Timestamp) -> Result<Sequence, JournalError> {
        let mut state = self.state();
        if state.closed {
            return Err(JournalError::Closed);
        }
        for event in events {
            let recorded = state.append(event, now);
            self.feed.publish(&recorded);
        }
        Ok(state.newest)
    }

    async fn read(
        &self,
        vin: Vin,
        after: Sequence,
        limit: usize,
    ) -> Result<Vec<Arc<Recorded>>, JournalError> {
        let state = self.state();
        let Some(vehicle) = state.vehicles.get(&vin) else { return Ok(Vec::new()) };
        let first = vehicle.events.partition_point(|event| event.sequence <= after);
        Ok(vehicle.events.range(first..).take(limit).cloned().collect())
    }

    fn head(&self, vin: Vin) -> Sequence {
        self.state().vehicles.get(&vin).map_or(Sequence(0), |vehicle| vehicle.head)
    }

    fn synced(&self) -> Sequence {
        self.state().newest
    }

    async fn before(&self, at: Timestamp) -> Result<Sequence, JournalError> {
        let state = self.state();
        let first = state.kept.partition_point(|kept| kept.appended_at < at);
        let first = state.kept.get(first).map(|kept| Sequence(kept.sequence.0 - 1));
        Ok(first.unwrap_or(state.newest))
    }

    async fn latest(&self, vin: Vin) -> Result<Arc<[Entry]>, JournalError> {
        let mut state = self.state();
        let Some(vehicle) = state.vehicles.get_mut(&vin) else { return Ok(Arc::default()) };
        Ok(vehicle.given.get_or_insert_with(|| vehicle.latest.entries()).clone())
    }

    async fn retain(&self, retention: Retention, now: Timestamp) -> Result<u64, JournalError> {
        let mut state = self.state();
        let state = &mut *state;
        let mut dropped = 0;
        while let Some(oldest) = state.kept.front() {
            let expired = now.duration_since(oldest.appended_at) > retention.age_max;
            if !expired && state.size_bytes <= retention.size_bytes_max {
                break;
            }
            state.size_bytes -= oldest.size_bytes;
            if let Some(vehicle) = state.vehicles.get_mut(&oldest.vin) {
                vehicle.events.pop_front();
            }
            state.kept.pop_front();
            dropped += 1;
        }
        Ok(dropped)
    }

    async fn forget(&self, vin: Vin) -> Result<u64, JournalError> {
        let mut state = self.state();
        let state = &mut *state;
        if state.closed {
            return Err(JournalError::Closed);
        }
        let Some(vehicle) = state.vehicles.get_mut(&vin) else { return Ok(0) };
        let forgotten = std::mem::take(&mut vehicle.events).len();
        (vehicle.latest, vehicle.given) = Default::default();
        let of_others = |kept: &Kept| kept.vin != vin;
        state.kept.retain(of_others);
        state.size_bytes = state.kept.iter().map(|kept| kept.size_bytes).sum();
        Ok(forgotten as u64)
    }

    async fn close(&self) -> Result<(), JournalError> {
        self.state().closed = true;
        Ok(())
    }
}
