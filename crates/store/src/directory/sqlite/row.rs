//! From columns to the domain's types and back. What a column must not hold is [`Failure::Damaged`], never a panic.

use std::str::FromStr;

use cardata_domain::Vin;
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::Failure;

/// An instant as it is kept: whole microseconds since 1970.
///
/// An integer compares and sorts as the instant does, which RFC 3339 text of varying precision does not, and
/// PostgreSQL's own type has the same precision.
pub(super) fn micros(at: Timestamp) -> i64 {
    at.as_microsecond()
}

/// The instant in `column`.
pub(super) fn instant(row: &SqliteRow, column: &str) -> Result<Timestamp, Failure> {
    instant_of(row.try_get(column)?)
}

/// The instant in `column`, if there is one.
pub(super) fn instant_if_any(row: &SqliteRow, column: &str) -> Result<Option<Timestamp>, Failure> {
    row.try_get::<Option<i64>, _>(column)?.map(instant_of).transpose()
}

fn instant_of(micros: i64) -> Result<Timestamp, Failure> {
    Timestamp::from_microsecond(micros)
        .map_err(|_| Failure::damaged("number of microseconds since 1970", &micros.to_string()))
}

/// What the text in `column` says; `expected` names it should it say nothing of the kind.
pub(super) fn parsed<T: FromStr>(
    row: &SqliteRow,
    column: &str,
    expected: &'static str,
) -> Result<T, Failure> {
    let text: &str = row.try_get(column)?;
    text.parse().map_err(|_| Failure::damaged(expected, text))
}

/// The same, if there is a text.
pub(super) fn parsed_if_any<T: FromStr>(
    row: &SqliteRow,
    column: &str,
    expected: &'static str,
) -> Result<Option<T>, Failure> {
    let text: Option<&str> = row.try_get(column)?;
    text.map(|text| text.parse().map_err(|_| Failure::damaged(expected, text))).transpose()
}

/// The VIN in the column of that name.
pub(super) fn vin(row: &SqliteRow) -> Result<Vin, Failure> {
    let text: &str = row.try_get("vin")?;
    text.parse().map_err(|_| Failure::damaged_private("VIN", text))
}

/// What the JSON in `column` says; `expected` names it should it say nothing of the kind.
pub(super) fn from_json<T: DeserializeOwned>(
    row: &SqliteRow,
    column: &str,
    expected: &'static str,
) -> Result<T, Failure> {
    let text: &str = row.try_get(column)?;
    serde_json::from_str(text).map_err(|_| Failure::damaged_private(expected, text))
}

/// `value` as the JSON that is kept.
pub(super) fn to_json(value: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string(value).map_err(|error| Failure::Store(error.into()))
}
