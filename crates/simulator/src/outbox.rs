//! What a vehicle has to send until it is sent: at once, late, again, or all in a burst.

use cardata_domain::{Entry, Event, Vin};
use jiff::{SignedDuration, Timestamp};
use rand::RngExt;

use crate::car::Chance;

/// How messages get lost on their way for a while.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Ways {
    /// The part of the messages that come late, by half a minute to ten minutes.
    pub(crate) late: f64,
    /// The part of the messages that come again, once or twice within 21 seconds.
    pub(crate) repeated: f64,
    /// Whether latitude and longitude come apart.
    pub(crate) apart: bool,
    /// Whether they are held back and sent in bursts.
    pub(crate) bursts: bool,
}

/// Holds messages until they are due.
#[derive(Debug)]
pub(crate) struct Outbox {
    vin: Vin,
    pub(crate) ways: Ways,
    /// In the order in which they were written.
    waiting: Vec<Event>,
    burst_at: Timestamp,
    burst_count: i64,
}

/// How far apart the messages of a burst are.
const BURST_STEP: SignedDuration = SignedDuration::from_millis(7);

impl Outbox {
    pub(crate) fn new(vin: Vin, ways: Ways) -> Self {
        Self { vin, ways, waiting: Vec::new(), burst_at: Timestamp::MIN, burst_count: 0 }
    }

    /// Sends `entries`, written `now`, as one message.
    pub(crate) fn put(&mut self, entries: Vec<Entry>, now: Timestamp, chance: &mut Chance) {
        if entries.is_empty() {
            return;
        }
        let mut at = now;
        if self.ways.bursts {
            if now >= self.burst_at {
                self.burst_at = later(now, chance.random_range(60..=180));
                self.burst_count = 0;
            }
            // A burst takes less than a second, however much is in it.
            let step = (BURST_STEP * i32::try_from(self.burst_count).unwrap_or(i32::MAX))
                .min(SignedDuration::from_millis(990));
            at = self.burst_at.checked_add(step).unwrap_or(self.burst_at);
            self.burst_count += 1;
        }
        if self.ways.late > 0.0 && chance.random_bool(self.ways.late) {
            at = later(at, chance.random_range(30..=600));
        }
        if self.ways.repeated > 0.0 && chance.random_bool(self.ways.repeated) {
            for _ in 0..chance.random_range(1..=2) {
                let again_at = later(at, chance.random_range(3..=21));
                self.write(entries.clone(), again_at);
            }
        }
        self.write(entries, at);
    }

    fn write(&mut self, entries: Vec<Entry>, at: Timestamp) {
        self.waiting.extend(self.event(entries, at));
    }

    /// A message of `entries`; `None` where there are none.
    pub(crate) fn event(&self, entries: Vec<Entry>, at: Timestamp) -> Option<Event> {
        Event::new(self.vin, at, entries).ok()
    }

    /// Takes what is due by `now`, in the order of time.
    pub(crate) fn take(&mut self, now: Timestamp) -> Vec<Event> {
        let mut due: Vec<_> = self.waiting.extract_if(.., |event| event.at() <= now).collect();
        due.sort_by_key(Event::at);
        if self.waiting.is_empty() {
            // A parked vehicle keeps nothing.
            self.waiting = Vec::new();
        }
        due
    }
}

fn later(at: Timestamp, seconds: i64) -> Timestamp {
    at.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(at)
}
