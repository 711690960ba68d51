//! A vehicle's message, and its place in the journal.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use jiff::Timestamp;
use thiserror::Error;

use crate::catalogue::Catalogue;
use crate::descriptor::{DescriptorId, DescriptorSet};
use crate::projection::View;
use crate::value::{Value, json_string};
use crate::vin::Vin;

/// One descriptor's value with its unit and the time of the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    descriptor: DescriptorId,
    at: Timestamp,
    value: Value,
    unit: Option<Box<str>>,
    fragment: Box<str>,
}

impl Entry {
    /// An entry for `descriptor` (a number of `catalogue`), whose value held `at`.
    pub fn new(
        catalogue: &Catalogue,
        descriptor: DescriptorId,
        at: Timestamp,
        value: Value,
        unit: Option<&str>,
    ) -> Self {
        let fragment = fragment(&catalogue.descriptor(descriptor).name, at, &value, unit);
        Self { descriptor, at, value, unit: unit.map(Into::into), fragment }
    }

    /// An entry whose [`Entry::fragment`] was kept, so that it needs not be made again. The caller vouches that it is
    /// that of the other parameters.
    pub fn kept(
        descriptor: DescriptorId,
        at: Timestamp,
        value: Value,
        unit: Option<Box<str>>,
        fragment: &str,
    ) -> Self {
        Self { descriptor, at, value, unit, fragment: fragment.into() }
    }

    /// The same with another value.
    #[must_use]
    pub fn with_value(&self, value: Value) -> Self {
        let fragment = fragment(self.name(), self.at, &value, self.unit.as_deref());
        Self { value, fragment, unit: self.unit.clone(), ..*self }
    }

    /// Which signal.
    pub fn descriptor(&self) -> DescriptorId {
        self.descriptor
    }

    /// The descriptor's name.
    ///
    /// # Panics
    /// Never: a fragment begins with the name in quotes.
    pub fn name(&self) -> &str {
        self.fragment.split('"').nth(1).expect("a fragment begins with a name")
    }

    /// The time of the value as the vehicle gave it; nothing on the way restamps it.
    pub fn at(&self) -> Timestamp {
        self.at
    }

    /// The value.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// The unit, where there is one.
    pub fn unit(&self) -> Option<&str> {
        self.unit.as_deref()
    }

    /// The finished member of a stream message's `data`: `"name":{"timestamp":…,"value":…,"unit":…}` (wire §3.1).
    pub fn fragment(&self) -> &str {
        &self.fragment
    }
}

/// Characters of a time to the nanosecond.
const TIMESTAMP_LENGTH_MAX: usize = "2026-07-27T12:37:58.123456789Z".len();

fn fragment(name: &str, at: Timestamp, value: &Value, unit: Option<&str>) -> Box<str> {
    let value = value.to_json();
    let around = r#""":{"timestamp":"","value":,"unit":""}"#.len() + TIMESTAMP_LENGTH_MAX;
    let length = around + name.len() + value.len() + unit.map_or(0, str::len);
    let mut text = String::with_capacity(length);
    text.push('"');
    text.push_str(name);
    text.push_str("\":{\"timestamp\":\"");
    write!(text, "{at}").expect("writing to a string cannot fail");
    text.push_str("\",\"value\":");
    text.push_str(&value);
    if let Some(unit) = unit {
        text.push_str(",\"unit\":");
        text.push_str(&json_string(unit));
    }
    text.push('}');
    text.into()
}

/// A vehicle's message: its VIN, its time, and at least one entry; no descriptor twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    vin: Vin,
    at: Timestamp,
    entries: Vec<Entry>,
}

/// An event needs an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("an event has at least one entry")]
pub struct EmptyEvent;

impl Event {
    /// An event of `entries`; of two entries for one descriptor the later in the list stays.
    ///
    /// # Errors
    /// [`EmptyEvent`] when there is no entry.
    pub fn new(vin: Vin, at: Timestamp, entries: Vec<Entry>) -> Result<Self, EmptyEvent> {
        if entries.len() == 1 {
            return Ok(Self { vin, at, entries });
        }
        let mut kept: Vec<Entry> = Vec::with_capacity(entries.len());
        let mut seen = DescriptorSet::new();
        for entry in entries {
            if seen.contains(entry.descriptor) {
                kept.retain(|earlier| earlier.descriptor != entry.descriptor);
            }
            seen.insert(entry.descriptor);
            kept.push(entry);
        }
        if kept.is_empty() { Err(EmptyEvent) } else { Ok(Self { vin, at, entries: kept }) }
    }

    /// The latest values of `vin` as an event, the oldest first, of the newest one's time; `None` where there are none.
    pub fn of_latest(vin: Vin, latest: &[Entry]) -> Option<Self> {
        let mut latest = latest.to_vec();
        latest.sort_by_key(Entry::at);
        let newest = latest.last()?.at();
        Self::new(vin, newest, latest).ok()
    }

    /// Whose.
    pub fn vin(&self) -> Vin {
        self.vin
    }

    /// When the vehicle sent it.
    pub fn at(&self) -> Timestamp {
        self.at
    }

    /// At least one, no descriptor twice.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }
}

/// An event's number in the journal; it grows for each VIN. The first event has 1; 0 stands before all events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Sequence(pub u64);

/// An event with its place in the journal, shared by all who read it.
///
/// It remembers what was encoded of it for a [`View`], so that a thousand clients with the same view cost one
/// encoding.
#[derive(Debug)]
pub struct Recorded {
    /// Its number.
    pub sequence: Sequence,
    /// The number of the same vehicle's event before it, or one that a reader is known to have passed: a reader that
    /// stands at this number or later has missed nothing in between.
    pub previous: Sequence,
    /// The event itself.
    pub event: Event,
    encoded: Mutex<Vec<(View, Payloads)>>,
}

/// The finished payloads of one event for one view, in the order in which they are sent; empty when nothing is visible.
pub type Payloads = Arc<[Bytes]>;

/// How many encodings an event remembers; with more different views, the rest is made again each time.
const ENCODED_MAX: usize = 64;

impl Recorded {
    /// `event` at its place.
    pub fn new(sequence: Sequence, previous: Sequence, event: Event) -> Self {
        Self { sequence, previous, event, encoded: Mutex::default() }
    }

    /// What `view` shows of the event, encoded by `encode` unless it was already.
    ///
    /// `encode` gets the visible entries of one message, at least one; it is called once for each message.
    pub fn payloads(
        &self,
        view: &View,
        encode: impl FnMut(&Event, &[&Entry]) -> Bytes,
    ) -> Payloads {
        let mut encoded = self.encoded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, payloads)) = encoded.iter().find(|(known, _)| known == view) {
            return payloads.clone();
        }
        let payloads = view.payloads(&self.event, encode);
        if encoded.len() < ENCODED_MAX {
            encoded.push((view.clone(), payloads.clone()));
        }
        payloads
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(catalogue: &Catalogue, name: &str, value: Value, unit: Option<&str>) -> Entry {
        let at = "2026-07-27T12:37:58Z".parse().unwrap();
        Entry::new(catalogue, catalogue.intern(name).unwrap(), at, value, unit)
    }

    #[test]
    fn a_fragment_has_no_unit_where_there_is_none() {
        let catalogue = Catalogue::shipped();
        let header = entry(
            &catalogue,
            "vehicle.drivetrain.batteryManagement.header",
            Value::integer(67),
            Some("percent"),
        );
        assert_eq!(
            header.fragment(),
            r#""vehicle.drivetrain.batteryManagement.header":{"timestamp":"2026-07-27T12:37:58Z","value":67,"unit":"percent"}"#
        );
        let moving = entry(&catalogue, "vehicle.isMoving", Value::Boolean(true), None);
        assert_eq!(
            moving.fragment(),
            r#""vehicle.isMoving":{"timestamp":"2026-07-27T12:37:58Z","value":true}"#
        );
    }

    #[test]
    fn an_event_names_no_descriptor_twice_and_is_never_empty() {
        let catalogue = Catalogue::shipped();
        let vin = "WBY00000000000001".parse().unwrap();
        let twice = [1, 2].map(|soc| {
            entry(
                &catalogue,
                "vehicle.drivetrain.batteryManagement.header",
                Value::integer(soc),
                None,
            )
        });
        let event = Event::new(vin, Timestamp::UNIX_EPOCH, twice.to_vec()).unwrap();
        assert_eq!(event.entries().len(), 1);
        assert_eq!(event.entries()[0].value(), &Value::integer(2));
        assert_eq!(Event::new(vin, Timestamp::UNIX_EPOCH, Vec::new()), Err(EmptyEvent));
    }
}
