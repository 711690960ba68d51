//! The values in a scenario file, each in its range.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// From 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Default, Deserialize)]
#[serde(try_from = "f64")]
pub struct Part(f64);

impl Part {
    /// All of it.
    pub const WHOLE: Self = Self(1.0);

    /// From 0 to 1.
    pub fn get(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for Part {
    type Error = String;

    fn try_from(number: f64) -> Result<Self, String> {
        within(number, 0.0, 1.0).map(Self)
    }
}

/// From 0 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Default, Deserialize)]
#[serde(try_from = "f64")]
pub struct Percent(f64);

impl Percent {
    pub(super) const fn new(percent: f64) -> Self {
        Self(percent)
    }

    /// From 0 to 100.
    pub fn get(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for Percent {
    type Error = String;

    fn try_from(number: f64) -> Result<Self, String> {
        within(number, 0.0, 100.0).map(Self)
    }
}

/// A temperature of the air in degrees Celsius, from -40 to 50.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(try_from = "f64")]
pub struct Celsius(f64);

impl Celsius {
    /// From -40 to 50.
    pub fn get(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for Celsius {
    type Error = String;

    fn try_from(number: f64) -> Result<Self, String> {
        within(number, -40.0, 50.0).map(Self)
    }
}

fn within(number: f64, low: f64, high: f64) -> Result<f64, String> {
    let is_within = (low..=high).contains(&number);
    is_within.then_some(number).ok_or_else(|| format!("{number} is not from {low} to {high}"))
}

/// A time of day, such as `07:20`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct ClockTime {
    /// From 0 to 23.
    pub hour: u8,
    /// From 0 to 59.
    pub minute: u8,
}

impl TryFrom<String> for ClockTime {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let parts =
            text.split_once(':').filter(|(hour, minute)| hour.len() == 2 && minute.len() == 2);
        let numbers =
            parts.and_then(|(hour, minute)| Some((hour.parse().ok()?, minute.parse().ok()?)));
        match numbers {
            Some((hour @ 0..=23, minute @ 0..=59)) => Ok(Self { hour, minute }),
            _ => Err(format!("`{text}` is not a time of day, such as 07:20")),
        }
    }
}

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "everybody knows them")]
pub enum Day {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

impl Day {
    /// From 0 (Monday) to 6.
    pub(crate) fn number(self) -> i8 {
        match self {
            Self::Mon => 0,
            Self::Tue => 1,
            Self::Wed => 2,
            Self::Thu => 3,
            Self::Fri => 4,
            Self::Sat => 5,
            Self::Sun => 6,
        }
    }
}

/// A list with something in it.
pub(super) fn some<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    let list = Vec::deserialize(deserializer)?;
    if list.is_empty() { Err(D::Error::custom("there must be at least one")) } else { Ok(list) }
}

/// The name of a time zone, such as `Europe/Berlin`.
pub(super) fn time_zone<'de, D: Deserializer<'de>>(deserializer: D) -> Result<TimeZone, D::Error> {
    let name = String::deserialize(deserializer)?;
    TimeZone::get(&name).map_err(|_| {
        D::Error::custom(format!("`{name}` is not a time zone, such as Europe/Berlin"))
    })
}

/// A date with a time and without a zone, such as `2026-01-05T00:00:00`.
pub(super) fn date_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DateTime, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|_| {
        D::Error::custom(format!("`{text}` is not a date and time, such as 2026-01-05T00:00:00"))
    })
}
