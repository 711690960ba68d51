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
    let event: EventText<'_> = parse(text)?;
    let entries = entries(catalogue, event.data, text.strip_suffix(b"}}").unwrap_or_default())?;
    Ok(Event::new(vin, event.timestamp, entries)?)
}

/// Reads one entry from its fragment in braces: `{"name":{…}}`.
pub(super) fn read_entry(catalogue: &Catalogue, text: &[u8]) -> Result<Entry, TextError> {
    let entries = entries(catalogue, parse(text)?, text.strip_suffix(b"}").unwrap_or_default());
    entries?.pop().ok_or(TextError::Empty(EmptyEvent))
}

fn parse<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Result<T, TextError> {
    serde_json::from_slice(text).map_err(|error| TextError::Json(error.column()))
}

/// The entries that stand in `text`, which ends with the last of them.
fn entries(
    catalogue: &Catalogue,
    members: Members<'_>,
    text: &[u8],
) -> Result<Vec<Entry>, TextError> {
    let starts = |(name, _): &(&str, Member<'_>)| place(text, name);
    let ends: Vec<_> = members.0.iter().skip(1).map(starts).collect();
    let mut entries = Vec::with_capacity(members.0.len());
    for (index, (name, member)) in members.0.into_iter().enumerate() {
        let value = Value::from_json(member.value)?;
        let descriptor = catalogue.intern(name)?;
        let unit: Option<Box<str>> =
            member.unit.map(|unit| parse(unit.get().as_bytes())).transpose()?;
        // Up to the comma before the next name's quote.
        let end = ends.get(index).map_or(text.len(), |next| next.saturating_sub(1));
        let fragment = text.get(place(text, name)..end).filter(|text| is_fragment(text, name));
        let entry = match fragment.and_then(|fragment| std::str::from_utf8(fragment).ok()) {
            // Most of the time that reading takes would go into writing it anew.
            Some(fragment) => Entry::kept(descriptor, member.timestamp, value, unit, fragment),
            None => Entry::new(catalogue, descriptor, member.timestamp, value, unit.as_deref()),
        };
        entries.push(entry);
    }
    Ok(entries)
}

/// Where the quote before `name` is in `text`, of which `name` is a part.
fn place(text: &[u8], name: &str) -> usize {
    (name.as_ptr() as usize).wrapping_sub(text.as_ptr() as usize).wrapping_sub(1)
}

/// Whether `text` begins and ends as the fragment of the descriptor `name` does.
fn is_fragment(text: &[u8], name: &str) -> bool {
    let after = text.strip_prefix(b"\"").and_then(|text| text.strip_prefix(name.as_bytes()));
    after.is_some_and(|after| after.starts_with(b"\":{\"timestamp\":\"") && after.ends_with(b"}"))
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
    #[serde(borrow)]
    unit: Option<&'a RawValue>,
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
        for entry in event.entries() {
            let fragment = format!("{{{}}}", entry.fragment());
            assert_eq!(read_entry(&catalogue, fragment.as_bytes()).unwrap(), *entry);
        }
    }

    #[test]
    fn a_text_of_another_form_gives_the_fragments_of_ours() {
        let vin = "WBY00000000000001".parse().unwrap();
        let catalogue = Catalogue::shipped();
        let at = "2026-07-27T12:38:00Z";
        let a = format!(r#""vehicle.a":{{"timestamp":"{at}","value":1,"unit":"km"}}"#);
        let b = format!(r#""vehicle.b":{{"timestamp":"{at}","value":"x"}}"#);
        for text in [
            format!(r#"{{"timestamp":"{at}","data":{{{a},{b}}}}}"#),
            format!(r#" {{ "timestamp":"{at}", "data": {{ {a} , {b} }} }} "#),
            format!(r#"{{"data":{{{a},{b}}},"timestamp":"{at}"}}"#),
            format!(r#"{{"timestamp":"{at}","data":{{{a},{b} }}}}"#),
            format!("{{\"timestamp\":\"{at}\",\"data\":{{{a},\n{b}}}}}"),
        ] {
            let event = read(&catalogue, vin, text.as_bytes()).unwrap();
            let fragments = event.entries().iter().map(Entry::fragment);
            assert_eq!(fragments.collect::<Vec<_>>(), [&a, &b], "{text}");
        }
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
