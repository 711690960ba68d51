//! Puts a vehicle's entries into the order of their own times, before they become sessions.

use serde::{Deserialize, Serialize};

use super::Session;
use super::machine::Machine;
use super::signal::{MINUTE_MS, Signal, Signals, minute};
use crate::event::Event;

/// Samples that wait for others that may come late. A simulated car fills this in about an hour and a half of driving and
/// charging; one that reports rarely has many hours. Counted instead of timed, so that one entry from the future does not
/// make all that follow late.
pub const WAITING_MAX: usize = 256;

/// Finds the charging sessions of one vehicle.
///
/// Entries may come late, twice and in any order, as long as no more than [`WAITING_MAX`] later ones came before; older
/// ones are left out. What comes out depends neither on how events are cut into calls, nor on whether the detector was
/// stored and read again in between.
///
/// Its stored form is kept in directories. Who changes it also writes a migration that settles the sessions found so far:
/// a form that can't be read is taken for none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detector {
    /// By time and signal.
    waiting: Vec<Sample>,
    /// The newest that waits no longer: nothing up to it is taken any more.
    passed: Option<(i64, Signal)>,
    machine: Machine,
}

/// One fact at one instant. Stored short, since each waiting one is written with each step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Stored", from = "Stored")]
struct Sample {
    at_ms: i64,
    signal: Signal,
    number: i64,
    /// When its event was sent: of two for the same instant, the one sent later holds.
    sent_ms: i64,
}

/// When, what, how much, and how much later it was sent.
type Stored = (i64, Signal, i64, i64);

impl From<Sample> for Stored {
    fn from(Sample { at_ms, signal, number, sent_ms }: Sample) -> Self {
        (at_ms, signal, number, sent_ms - at_ms)
    }
}

impl From<Stored> for Sample {
    fn from((at_ms, signal, number, later_ms): Stored) -> Self {
        Self { at_ms, signal, number, sent_ms: at_ms.saturating_add(later_ms) }
    }
}

impl Sample {
    fn key(&self) -> (i64, Signal) {
        (self.at_ms, self.signal)
    }

    /// What decides between two that stand for the same.
    fn rank(&self) -> (i64, i64, i64) {
        (self.at_ms, self.sent_ms, self.number)
    }
}

impl Detector {
    /// Takes an event; how many of its entries came too late to count, or came again long after they did.
    pub fn observe(&mut self, event: &Event, signals: &Signals) -> u64 {
        let mut late = 0;
        for entry in event.entries() {
            let Some((signal, number)) = signals.read(entry) else { continue };
            let at_ms = entry.at().as_millisecond();
            let sample = Sample { at_ms, signal, number, sent_ms: event.at().as_millisecond() };
            if self.passed.is_some_and(|passed| sample.key() <= passed) {
                late += 1;
                continue;
            }
            self.put(sample);
        }
        let too_many = self.waiting.len().saturating_sub(WAITING_MAX);
        for sample in self.waiting.drain(..too_many) {
            self.passed = Some(sample.key());
            self.machine.step(sample.at_ms, sample.signal, sample.number);
        }
        late
    }

    /// The sessions that no entry can change any more, oldest first; each once.
    pub fn take_settled(&mut self) -> Vec<Session> {
        self.machine.take_done()
    }

    /// The other sessions as far as they are known, oldest first. The last one may be running.
    pub fn unsettled(&self) -> Vec<Session> {
        let mut machine = self.machine.clone();
        for sample in &self.waiting {
            machine.step(sample.at_ms, sample.signal, sample.number);
        }
        let mut sessions = machine.take_done();
        sessions.extend(machine.present());
        sessions
    }

    /// Puts a sample in its place, unless one that stands for the same and holds is there.
    fn put(&mut self, sample: Sample) {
        let same = self.same_as(sample);
        if same.clone().any(|index| self.waiting[index].rank() >= sample.rank()) {
            return;
        }
        self.waiting.drain(same);
        let place = self.waiting.partition_point(|other| other.key() < sample.key());
        self.waiting.insert(place, sample);
    }

    /// Those that stand for the same as `sample`: at most one, at its place.
    fn same_as(&self, sample: Sample) -> std::ops::Range<usize> {
        let (from_ms, until_ms) = if sample.signal.is_kept_by_minute() {
            let begin_ms = minute(sample.at_ms) * MINUTE_MS;
            (begin_ms, begin_ms + MINUTE_MS)
        } else {
            (sample.at_ms, sample.at_ms + 1)
        };
        let first = self.waiting.partition_point(|other| other.at_ms < from_ms);
        let near = self.waiting[first..].iter().take_while(|other| other.at_ms < until_ms);
        let mut near = near.enumerate().filter(|(_, other)| other.signal == sample.signal);
        near.next().map_or(0..0, |(index, _)| first + index..first + index + 1)
    }
}
