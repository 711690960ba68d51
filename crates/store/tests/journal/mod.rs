//! Events to append, and what a journal must say of them.

use std::collections::HashMap;
use std::sync::Arc;

use cardata_domain::{Catalogue, DescriptorId, Entry, Event, Recorded, Sequence, Value, Vin};
use jiff::{SignedDuration, Timestamp};

/// The descriptors of [`Samples::event`].
pub(crate) const SIGNALS: [&str; 3] =
    ["vehicle.drivetrain.batteryManagement.header", "vehicle.isMoving", "vehicle.unlisted.signal"];

/// Makes events with numbers of one catalogue.
pub(crate) struct Samples {
    pub(crate) catalogue: Arc<Catalogue>,
}

impl Samples {
    pub(crate) fn new() -> Self {
        Self { catalogue: Arc::new(Catalogue::shipped()) }
    }

    /// An event with one entry, whose value is `number` and whose time is `second`.
    pub(crate) fn event(&self, vin: Vin, signal: &str, second: i64, number: i64) -> Event {
        let descriptor = self.catalogue.intern(signal).unwrap();
        let value = Value::integer(number);
        let entry = Entry::new(&self.catalogue, descriptor, at(second), value, Some("km"));
        Event::new(vin, at(second), vec![entry]).unwrap()
    }

    /// `count` events of `vin`, one each second.
    pub(crate) fn events(&self, vin: Vin, count: i64) -> Vec<Event> {
        (1..=count).map(|number| self.event(vin, SIGNALS[0], number, number)).collect()
    }
}

/// `second` seconds into the tests' day.
pub(crate) fn at(second: i64) -> Timestamp {
    "2026-07-27T00:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(second)
}

pub(crate) fn vin(number: u32) -> Vin {
    format!("WBY{number:014}").parse().unwrap()
}

/// The numbers of `events`.
pub(crate) fn sequences(events: &[Arc<Recorded>]) -> Vec<u64> {
    events.iter().map(|recorded| recorded.sequence.0).collect()
}

/// A generator of numbers that repeats itself from run to run.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `limit`.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// What a journal must say, kept as plainly as can be: a list.
#[derive(Default)]
pub(crate) struct Model {
    /// Each event with its number and the number before it, and when it was appended; dropped ones are gone.
    kept: Vec<(u64, u64, Event, i64)>,
    newest: u64,
    heads: HashMap<Vin, u64>,
    latest: HashMap<(Vin, DescriptorId), (u64, Entry)>,
}

impl Model {
    pub(crate) fn append(&mut self, events: &[Event], second: i64) -> Sequence {
        for event in events {
            self.newest += 1;
            let previous = self.heads.insert(event.vin(), self.newest).unwrap_or(0);
            self.kept.push((self.newest, previous, event.clone(), second));
            for entry in event.entries() {
                let latest = self
                    .latest
                    .entry((event.vin(), entry.descriptor()))
                    .or_insert((self.newest, entry.clone()));
                if entry.at() >= latest.1.at() {
                    *latest = (self.newest, entry.clone());
                }
            }
        }
        Sequence(self.newest)
    }

    pub(crate) fn retain_since(&mut self, second: i64) -> u64 {
        let before = self.kept.len();
        self.kept.retain(|(_, _, _, appended)| *appended >= second);
        (before - self.kept.len()) as u64
    }

    pub(crate) fn forget(&mut self, vin: Vin) -> u64 {
        let before = self.kept.len();
        self.kept.retain(|(_, _, event, _)| event.vin() != vin);
        self.latest.retain(|(of, _), _| *of != vin);
        (before - self.kept.len()) as u64
    }

    pub(crate) fn head(&self, vin: Vin) -> Sequence {
        Sequence(self.heads.get(&vin).copied().unwrap_or(0))
    }

    /// Whether `read` is what reading after `after` must give.
    pub(crate) fn check_read(
        &self,
        vin: Vin,
        after: Sequence,
        limit: usize,
        read: &[Arc<Recorded>],
    ) {
        let expected = self
            .kept
            .iter()
            .filter(|(sequence, _, event, _)| event.vin() == vin && *sequence > after.0)
            .take(limit);
        let expected: Vec<_> =
            expected.map(|(sequence, previous, event, _)| (*sequence, *previous, event)).collect();
        let read: Vec<_> = read
            .iter()
            .map(|recorded| (recorded.sequence.0, recorded.previous.0, &recorded.event))
            .collect();
        assert_eq!(read, expected, "reading {limit} after {}", after.0);
    }

    pub(crate) fn check_latest(&self, vin: Vin, latest: &[Entry]) {
        let of_vin = self.latest.iter().filter(|((of, _), _)| *of == vin);
        let mut expected: Vec<_> = of_vin.map(|(_, (_, entry))| entry.clone()).collect();
        expected.sort_by_key(Entry::descriptor);
        assert_eq!(latest, expected);
    }
}
