//! An event as the JSON text that a journal keeps: `{"timestamp":…,"data":{"name":{"timestamp":…,"value":…},…}}`.
//!
//! Names, not numbers, stand in it, since numbers change from process to process.

use std::fmt;

use cardata_domain::descriptor::DescriptorError;
use cardata_domain::event::EmptyEvent;
use cardata_domain::value::ValueError;
use cardata_domain::{Catalogue, Entry, Event, Value, Vin};
use jiff::Timestamp;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use thiserror::Error;

/// Why a text is not one that [`write()`] made. The messages show no value: one may be a position.
#[derive(Debug, Error)]
pub(super) enum TextError {
    #[error("its text breaks at column {0}")]
    Json(usize),
    #[error(transparent)]
    Descriptor(#[from] DescriptorError),
    #[error(transparent)]
    Value(#[from] ValueError),
    #[error(transparent)]
    Empty(#[from] EmptyEvent),
}

/// Appends the text of `event` to `text`.
pub(super) fn write(event: &Event, text: &mut String) {
    text.push_str("{\"timestamp\":\"");
    text.push_str(&event.at().to_string());
    text.push_str("\",\"data\":{");
    for (place, entry) in event.entries().iter().enumerate() {
        if place > 0 {
            text.push(',');
        }
        text.push_str(entry.fragment());
    }
    text.push_str("}}");
}

/// How many bytes [`write()`] appends for `event`.
pub(super) fn size_bytes(event: &Event) -> u64 {
    let around = "{\"timestamp\":\"\",\"data\":{}}".len() + event.at().to_string().len();
    let entries: usize = event.entries().iter().map(|entry| entry.fragment().len()).sum();
    (around + entries + event.entries().len() - 1) as u64
}

/// Reads back what [`write()`] made of an event of `vin`.
pub(super) fn read(catalogue: &Catalogue, vin: Vin, text: &[u8]) -> Result<Event, TextError> {
    let text: EventText<'_> = parse(text)?;
    Ok(Event::new(vin, text.timestamp, entries(catalogue, text.data)?)?)
}

/// Reads one entry from its fragment in braces: `{"name":{…}}`.
pub(super) fn read_entry(catalogue: &Catalogue, text: &[u8]) -> Result<Entry, TextError> {
    entries(catalogue, parse(text)?)?.pop().ok_or(TextError::Empty(EmptyEvent))
}

fn parse<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Result<T, TextError> {
    serde_json::from_slice(text).map_err(|error| TextError::Json(error.column()))
}

fn entries(catalogue: &Catalogue, members: Members<'_>) -> Result<Vec<Entry>, TextError> {
    members
        .0
        .into_iter()
        .map(|(name, member)| {
            let value = Value::from_json(member.value)?;
            let descriptor = catalogue.intern(name)?;
            Ok(Entry::new(catalogue, descriptor, member.timestamp, value, member.unit.as_deref()))
        })
        .collect()
}

#[derive(Deserialize)]
struct EventText<'a> {
    timestamp: Timestamp,
    #[serde(borrow)]
    data: Members<'a>,
}

#[derive(Deserialize)]
struct Member<'a> {
    timestamp: Timestamp,
    #[serde(borrow)]
    value: &'a RawValue,
    unit: Option<String>,
}

/// The members of an object in the order of the text; a map would lose it.
struct Members<'a>(Vec<(&'a str, Member<'a>)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Members<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object of entries")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
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

    #[test]
    fn an_event_reads_back_as_it_was_written() {
        let catalogue = Catalogue::shipped();
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let entry = |name, time, value, unit| {
            Entry::new(&catalogue, catalogue.intern(name).unwrap(), at(time), value, unit)
        };
        let entries = vec![
            entry(
                "vehicle.zeta",
                "2026-07-27T12:37:58.123456789Z",
                Value::text("\"a\\\nä\u{1}"),
                None,
            ),
            entry(
                "vehicle.drivetrain.batteryManagement.header",
                "2026-07-27T12:37:58Z",
                Value::Number("50.1234567890".into()),
                Some("percent \"%\""),
            ),
            entry("vehicle.isMoving", "1969-01-01T00:00:00Z", Value::Boolean(false), None),
        ];
        let vin = "WBY00000000000001".parse().unwrap();
        let event = Event::new(vin, at("2026-07-27T12:38:00.5Z"), entries).unwrap();
        let mut text = String::new();
        write(&event, &mut text);
        assert_eq!(text.len() as u64, size_bytes(&event));
        assert_eq!(read(&Catalogue::shipped(), vin, text.as_bytes()).unwrap().at(), event.at());
        assert_eq!(read(&catalogue, vin, text.as_bytes()).unwrap(), event);
        let fragment = format!("{{{}}}", event.entries()[0].fragment());
        assert_eq!(read_entry(&catalogue, fragment.as_bytes()).unwrap(), event.entries()[0]);
    }

    #[test]
    fn a_broken_text_is_an_error_that_shows_no_value() {
        let vin = "WBY00000000000001".parse().unwrap();
        for text in [
            "",
            "{",
            r#"{"timestamp":"2026-07-27T12:38:00Z","data":{}}"#,
            r#"{"timestamp":"2026-07-27T12:38:00Z","data":{"vehicle.x":{"timestamp":"48.1375","value":1}}}"#,
        ] {
            let error = read(&Catalogue::shipped(), vin, text.as_bytes()).unwrap_err();
            assert!(!error.to_string().contains("48.1375"), "{error}");
        }
    }
}
