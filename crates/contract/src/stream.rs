//! Messages of the stream: the envelope of wire §3.1 around an event's entries.

use std::borrow::Cow;
use std::collections::HashSet;

use bytes::Bytes;
use cardata_domain::descriptor::DescriptorError;
use cardata_domain::value::ValueError;
use cardata_domain::vin::VinError;
use cardata_domain::{Catalogue, Entry, Event, Gcid, Value, Vin};
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use thiserror::Error;

/// One stream message: the envelope for `gcid` around `entries` of `event`.
///
/// `entityId` is the customer's id and `topic` the bare VIN, as in the recorded messages.
pub fn encode(event: &Event, entries: &[&Entry], gcid: Gcid) -> Bytes {
    let vin = event.vin();
    let head = format!(
        r#"{{"vin":"{0}","entityId":"{gcid}","topic":"{0}","timestamp":"{1}","data":"#,
        vin.as_str(),
        event.at()
    );
    finish(head, entries.iter().copied())
}

/// An event in the stream's own form without a customer, for the journal and for ingest; [`parse`] reads it.
pub fn to_json(event: &Event) -> Bytes {
    let head =
        format!(r#"{{"vin":"{}","timestamp":"{}","data":"#, event.vin().as_str(), event.at());
    finish(head, event.entries())
}

fn finish<'a>(head: String, entries: impl IntoIterator<Item = &'a Entry>) -> Bytes {
    let mut json = head.into_bytes();
    json.push(b'{');
    for (index, entry) in entries.into_iter().enumerate() {
        if index > 0 {
            json.push(b',');
        }
        json.extend_from_slice(entry.fragment().as_bytes());
    }
    json.extend_from_slice(b"}}");
    json.into()
}

/// An event as it was read, with what had to be left out of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed {
    /// The event of the entries that are sound.
    pub event: Event,
    /// The others, by name, with the reason.
    pub refused: Vec<(String, EntryError)>,
}

/// Why an entry is refused while the rest of its event stands.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EntryError {
    /// It is not an object with `timestamp`, `value` and, optionally, `unit`.
    #[error("an entry is an object with `timestamp`, `value` and, optionally, `unit`: {0}")]
    Shape(String),
    /// The name is no descriptor's.
    #[error(transparent)]
    Descriptor(#[from] DescriptorError),
    /// The value is of a type that no signal has.
    #[error(transparent)]
    Value(#[from] ValueError),
    /// The time is not RFC 3339.
    #[error("`timestamp` is not an RFC 3339 time")]
    Timestamp,
}

/// Why a text is no event at all.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EventError {
    /// Not JSON, or not an object with `vin`, `timestamp` and `data`.
    #[error("an event is a JSON object with `vin`, `timestamp` and `data`: {0}")]
    Shape(String),
    /// `vin` is none.
    #[error("`vin`: {0}")]
    Vin(#[from] VinError),
    /// `timestamp` is not RFC 3339.
    #[error("`timestamp` is not an RFC 3339 time")]
    Timestamp,
    /// No entry is left; says which were refused.
    #[error("`data` has no entry that can be used{}", listed(.0))]
    NoEntry(Vec<(String, EntryError)>),
}

fn listed(refused: &[(String, EntryError)]) -> String {
    let texts: Vec<_> = refused.iter().map(|(name, why)| format!("; `{name}`: {why}")).collect();
    texts.concat()
}

/// Bytes that one event may have.
pub const EVENT_LENGTH_MAX: usize = 1 << 20;

/// Reads an event in the stream's own form. `entityId`, `topic` and other keys beside `vin`, `timestamp` and `data` are
/// ignored, so that messages recorded from the real service can be read back.
///
/// Unknown descriptors of the right form are learnt by `catalogue`.
///
/// # Errors
/// [`EventError`] when nothing of it can be used. An entry that can't be used is in [`Parsed::refused`] instead.
pub fn parse(json: &[u8], catalogue: &Catalogue) -> Result<Parsed, EventError> {
    let envelope: Envelope<'_> =
        serde_json::from_slice(json).map_err(|error| EventError::Shape(error.to_string()))?;
    let vin: Vin = envelope.vin.parse()?;
    let at: Timestamp = envelope.timestamp.parse().map_err(|_| EventError::Timestamp)?;
    let mut entries = Vec::with_capacity(envelope.data.0.len());
    let mut refused = Vec::new();
    for (name, raw) in envelope.data.0 {
        match parse_entry(&name, raw, catalogue) {
            Ok(entry) => entries.push(entry),
            Err(error) => refused.push((name.into_owned(), error)),
        }
    }
    match Event::new(vin, at, entries) {
        Ok(event) => Ok(Parsed { event, refused }),
        Err(_) => Err(EventError::NoEntry(refused)),
    }
}

fn parse_entry(name: &str, raw: &RawValue, catalogue: &Catalogue) -> Result<Entry, EntryError> {
    let parts: EntryParts<'_> =
        serde_json::from_str(raw.get()).map_err(|error| EntryError::Shape(error.to_string()))?;
    let value = Value::from_json(parts.value)?;
    let at = parts.timestamp.parse().map_err(|_| EntryError::Timestamp)?;
    let descriptor = catalogue.intern(name)?;
    let unit = parts.unit.as_ref().map(|Text(unit)| &**unit);
    Ok(Entry::new(catalogue, descriptor, at, value, unit))
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    vin: Cow<'a, str>,
    #[serde(borrow)]
    timestamp: Cow<'a, str>,
    #[serde(borrow)]
    data: Members<'a>,
}

#[derive(Deserialize)]
struct EntryParts<'a> {
    #[serde(borrow)]
    timestamp: Cow<'a, str>,
    #[serde(borrow)]
    value: &'a RawValue,
    #[serde(borrow)]
    unit: Option<Text<'a>>,
}

/// A text, copied only where it has escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// An object's members in their order; a repeated name is an error, since it is unclear which one was meant.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object of entries")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                let mut names = HashSet::new();
                while let Some((Text(name), raw)) = map.next_entry::<Text<'de>, &'de RawValue>()? {
                    if !names.insert(name.clone()) {
                        return Err(serde::de::Error::custom(format!(
                            "the name `{name}` stands twice"
                        )));
                    }
                    members.push((name, raw));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORDED: &str = include_str!("../samples/stream.jsonl");

    #[test]
    fn every_recorded_message_reads_and_prints_back_the_same() {
        let catalogue = Catalogue::shipped();
        assert!(RECORDED.lines().count() >= 6);
        for line in RECORDED.lines() {
            let parsed = parse(line.as_bytes(), &catalogue).unwrap();
            assert_eq!(parsed.refused, []);
            let gcid = "aa111192-d570-4d3d-8835-656ee00edcd7".parse().unwrap();
            let entries: Vec<_> = parsed.event.entries().iter().collect();
            assert_eq!(encode(&parsed.event, &entries, gcid), line.as_bytes());
            assert_eq!(parse(&to_json(&parsed.event), &catalogue).unwrap().event, parsed.event);
        }
    }

    #[test]
    fn an_entry_that_cannot_be_used_is_named_and_the_rest_stands() {
        let json = r#"{"vin":"WBY00000000000001","timestamp":"2026-07-27T12:37:58.9Z","data":{
            "vehicle.isMoving":{"timestamp":"2026-07-27T12:37:58Z","value":true,"unit":null},
            "vehicle.a":{"timestamp":"2026-07-27T12:37:58Z","value":null},
            "vehicle.b":{"timestamp":"yesterday","value":1},
            "vehicle.c":7,
            "not a descriptor":{"timestamp":"2026-07-27T12:37:58Z","value":1}}}"#;
        let parsed = parse(json.as_bytes(), &Catalogue::shipped()).unwrap();
        assert_eq!(parsed.event.entries().len(), 1);
        assert_eq!(parsed.event.entries()[0].unit(), None);
        let names: Vec<_> = parsed.refused.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["vehicle.a", "vehicle.b", "vehicle.c", "not a descriptor"]);
    }

    #[test]
    fn what_is_no_event_is_refused_with_the_reason() {
        let catalogue = Catalogue::shipped();
        let refused = |json: &str| parse(json.as_bytes(), &catalogue).unwrap_err();
        assert!(matches!(refused("not json"), EventError::Shape(_)));
        assert!(matches!(refused(r#"{"vin":"WBY00000000000001"}"#), EventError::Shape(_)));
        assert!(matches!(
            refused(r#"{"vin":"short","timestamp":"2026-07-27T12:37:58Z","data":{}}"#),
            EventError::Vin(_)
        ));
        let stem = r#"{"vin":"WBY00000000000001","timestamp":"#;
        assert_eq!(refused(&format!(r#"{stem}"noon","data":{{}}}}"#)), EventError::Timestamp);
        assert_eq!(
            refused(&format!(r#"{stem}"2026-07-27T12:37:58Z","data":{{}}}}"#)),
            EventError::NoEntry(vec![])
        );
    }
}
