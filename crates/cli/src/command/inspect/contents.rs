//! Sums up a recording in one reading.

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use anyhow::Context as _;
use cardata_contract::stream::parse;
use cardata_domain::{Catalogue, Entry, Event, Value, Vin};
use cardata_simulator::recording::stream::{Damage, Header, Part};
use cardata_simulator::recording::timeline::Start;
use cardata_simulator::recording::{Form as TextForm, Layout, Player, Row, RowError};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Serialize, Serializer};

use super::curve::Curve;
use crate::command::recordings::{Form, LINE_LENGTH_MAX, Line, Recording};

/// An event that a recording tells of.
pub(super) struct Heard<'a> {
    /// The recording's vehicle; `None` where it names none.
    pub(super) vin: Option<Vin>,
    /// When it was received; for forms that don't tell, its own time.
    pub(super) at: Timestamp,
    /// Whether it told what was known before.
    pub(super) retained: bool,
    pub(super) event: &'a Event,
}

/// What gave no event.
#[derive(Debug, Default, Serialize)]
pub(super) struct Unusable {
    pub(super) count: u64,
    /// The first reason.
    pub(super) first: Option<String>,
}

impl Unusable {
    fn add(&mut self, place: &str, number: u64, why: impl std::fmt::Display) {
        self.count += 1;
        self.first.get_or_insert_with(|| format!("{place} {number}: {why}"));
    }
}

/// Reads all of a recording.
pub(super) fn listen(
    recording: &Recording,
    mut hear: impl FnMut(Heard<'_>),
) -> anyhow::Result<Unusable> {
    let mut unusable = Unusable::default();
    let catalogue = Arc::new(Catalogue::shipped());
    match &recording.form {
        Form::Stream(_) => {
            let mut reader = recording.stream()?;
            let mut number = 0;
            while let Some(part) = reader.next_part().with_context(|| recording.unreadable())? {
                let Part::Message(message) = part else { continue };
                number += 1;
                match parse(&message.payload, &catalogue) {
                    Ok(parsed) => hear(Heard {
                        vin: Some(parsed.event.vin()),
                        at: message.received_at,
                        retained: message.retain,
                        event: &parsed.event,
                    }),
                    Err(error) => unusable.add("message", number, error),
                }
            }
        }
        Form::Lines(layout) if layout.form() == TextForm::JsonLines => {
            for_lines(recording, layout, |number, line| match line {
                Ok(line) => match parse(line, &catalogue) {
                    Ok(parsed) => hear(Heard {
                        vin: Some(parsed.event.vin()),
                        at: parsed.event.at(),
                        retained: false,
                        event: &parsed.event,
                    }),
                    Err(error) => unusable.add("line", number, error),
                },
                Err(error) => unusable.add("line", number, error),
            })?;
        }
        Form::Lines(layout) => {
            let start = Start::Recorded { otherwise: Timestamp::UNIX_EPOCH };
            let nobody = NOBODY.parse().expect("it has the form of a VIN");
            let mut player = Player::new(catalogue, nobody, start, TimeZone::UTC, 0.0);
            player.open(layout);
            let mut row = |row: Row| {
                hear(Heard { vin: None, at: row.event.at(), retained: false, event: &row.event });
            };
            for_lines(recording, layout, |number, line| {
                match line.and_then(|line| player.line(number, line)) {
                    Ok(before) => before.into_iter().for_each(&mut row),
                    Err(error) => unusable.add("line", number, error),
                }
            })?;
            player.close().into_iter().for_each(row);
        }
    }
    Ok(unusable)
}

/// The vehicle of rows that name none.
const NOBODY: &str = "00000000000000000";

/// Hands over each line below the header.
fn for_lines(
    recording: &Recording,
    layout: &Layout,
    mut take: impl FnMut(u64, Result<&[u8], RowError>),
) -> anyhow::Result<()> {
    let mut lines = recording.lines(LINE_LENGTH_MAX)?;
    let mut header_is_due = layout.has_header();
    while let Some((number, line)) = lines.next().with_context(|| recording.unreadable())? {
        match line {
            Line::TooLong => take(number, Err(RowError::TooLong(LINE_LENGTH_MAX))),
            Line::Whole(text) if text.trim_ascii().is_empty() => {}
            Line::Whole(_) if header_is_due => header_is_due = false,
            Line::Whole(text) => take(number, Ok(text)),
        }
    }
    Ok(())
}

/// What is in a recording.
#[derive(Debug, Serialize)]
pub(super) struct Contents {
    pub(super) file: String,
    pub(super) form: String,
    pub(super) size_bytes: u64,
    /// What a recorded stream says of itself.
    pub(super) recorded: Option<Header>,
    /// Whether it has its end; only recorded streams can tell.
    pub(super) is_whole: Option<bool>,
    pub(super) damage: Vec<Lost>,
    pub(super) messages: u64,
    pub(super) retained: u64,
    pub(super) unusable: Unusable,
    /// The first and the last time; those of a recording without dates begin with 1970.
    pub(super) first_at: Option<Timestamp>,
    pub(super) last_at: Option<Timestamp>,
    pub(super) has_dates: bool,
    pub(super) vehicles: Vec<Vehicle>,
}

/// A part of the file that can't be read.
#[derive(Debug, Serialize)]
pub(super) struct Lost {
    pub(super) block: u64,
    pub(super) at_byte: u64,
    pub(super) bytes: u64,
    pub(super) why: String,
}

impl From<&Damage> for Lost {
    fn from(damage: &Damage) -> Self {
        let Damage { block, at, length, fault } = *damage;
        Self { block, at_byte: at, bytes: length, why: fault.to_string() }
    }
}

/// One vehicle's part of a recording.
#[derive(Debug, Serialize)]
pub(super) struct Vehicle {
    #[serde(serialize_with = "whole")]
    pub(super) vin: NamedVin,
    pub(super) messages: u64,
    pub(super) first_at: Timestamp,
    pub(super) last_at: Timestamp,
    pub(super) descriptors: BTreeMap<String, Signal>,
}

/// `None` where the recording names none.
type NamedVin = Option<Vin>;

/// A VIN prints redacted; whoever has the file needs all of it to play the vehicle.
fn whole<S: Serializer>(vin: &NamedVin, serializer: S) -> Result<S::Ok, S::Error> {
    vin.as_ref().map(Vin::as_str).serialize(serializer)
}

/// What one descriptor of a vehicle said.
#[derive(Debug, Serialize)]
pub(super) struct Signal {
    pub(super) count: u64,
    pub(super) unit: Option<String>,
    pub(super) first: serde_json::Value,
    pub(super) last: serde_json::Value,
    /// The smallest and the largest number, where it is one.
    pub(super) min: Option<serde_json::Value>,
    pub(super) max: Option<serde_json::Value>,
    /// How often a value differed from the one before.
    pub(super) changes: u64,
    /// How many values it had, up to [`DISTINCT_MAX`].
    pub(super) distinct: usize,
    #[serde(skip)]
    seen: HashSet<u64>,
    #[serde(skip)]
    latest: Option<Value>,
    #[serde(skip)]
    range: Option<(f64, f64)>,
    #[serde(skip)]
    pub(super) curve: Curve,
}

/// Values that are told apart.
const DISTINCT_MAX: usize = 1000;
/// Descriptors that are told apart, for a file that has as many as it can.
const DESCRIPTORS_MAX: usize = 10_000;

impl Contents {
    /// Reads all of it.
    pub(super) fn of(recording: &Recording) -> anyhow::Result<Self> {
        let (stream, form) = match &recording.form {
            Form::Stream(stream) => (Some(stream), "recorded stream".to_owned()),
            Form::Lines(layout) => (None, layout.form().to_string()),
        };
        let has_dates = match &recording.form {
            Form::Lines(layout) => {
                !matches!(layout.form(), TextForm::BmwI3 | TextForm::BmwI3Charging)
            }
            Form::Stream(_) => true,
        };
        let mut contents = Self {
            file: recording.path.display().to_string(),
            form,
            size_bytes: recording.length,
            recorded: stream.map(|stream| stream.header.clone()),
            is_whole: stream.map(|stream| stream.is_whole),
            damage: stream.map_or_else(Vec::new, |one| one.damage.iter().map(Lost::from).collect()),
            messages: 0,
            retained: 0,
            unusable: Unusable::default(),
            first_at: None,
            last_at: None,
            has_dates,
            vehicles: Vec::new(),
        };
        contents.unusable = listen(recording, |heard| contents.hear(&heard))?;
        Ok(contents)
    }

    fn hear(&mut self, heard: &Heard<'_>) {
        self.messages += 1;
        self.retained += u64::from(heard.retained);
        self.first_at = Some(self.first_at.map_or(heard.at, |first| first.min(heard.at)));
        self.last_at = self.last_at.max(Some(heard.at));
        let number = self.vehicles.iter().position(|vehicle| vehicle.vin == heard.vin);
        let number = number.unwrap_or_else(|| {
            self.vehicles.push(Vehicle {
                vin: heard.vin,
                messages: 0,
                first_at: heard.at,
                last_at: heard.at,
                descriptors: BTreeMap::new(),
            });
            self.vehicles.len() - 1
        });
        let vehicle = &mut self.vehicles[number];
        vehicle.messages += 1;
        vehicle.first_at = vehicle.first_at.min(heard.at);
        vehicle.last_at = vehicle.last_at.max(heard.at);
        for entry in heard.event.entries() {
            let known = vehicle.descriptors.len();
            match vehicle.descriptors.get_mut(entry.name()) {
                Some(signal) => signal.add(entry, heard.at),
                None if known < DESCRIPTORS_MAX => {
                    let mut signal = Signal::new(entry, vehicle.first_at);
                    signal.add(entry, heard.at);
                    vehicle.descriptors.insert(entry.name().to_owned(), signal);
                }
                None => {}
            }
        }
    }
}

impl Signal {
    fn new(entry: &Entry, begin: Timestamp) -> Self {
        let first = json(entry.value());
        Self {
            count: 0,
            unit: entry.unit().map(str::to_owned),
            last: first.clone(),
            first,
            min: None,
            max: None,
            changes: 0,
            distinct: 0,
            seen: HashSet::new(),
            latest: None,
            range: None,
            curve: Curve::new(begin),
        }
    }

    fn add(&mut self, entry: &Entry, at: Timestamp) {
        let value = entry.value();
        self.count += 1;
        if self.latest.as_ref() != Some(value) {
            self.changes += u64::from(self.latest.is_some());
            if self.seen.len() < DISTINCT_MAX && self.seen.insert(hash(value)) {
                self.distinct += 1;
            }
            self.last = json(value);
            self.latest = Some(value.clone());
        }
        let Value::Number(digits) = value else { return };
        let Some(number) = digits.parse::<f64>().ok().filter(|number| number.is_finite()) else {
            return;
        };
        self.curve.add(at, number);
        let (min, max) = self.range.unwrap_or((f64::INFINITY, f64::NEG_INFINITY));
        if number < min {
            self.min = Some(json(value));
        }
        if number > max {
            self.max = Some(json(value));
        }
        self.range = Some((min.min(number), max.max(number)));
    }
}

/// What tells a value from others, in little memory.
fn hash(value: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// The value as JSON; a number that JSON's usual readers can't hold, as a text.
fn json(value: &Value) -> serde_json::Value {
    let text = value.to_json();
    serde_json::from_str(&text).unwrap_or_else(|_| text.into())
}
