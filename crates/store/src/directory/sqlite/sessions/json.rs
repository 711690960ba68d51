//! The parts of a session that are kept as JSON, since nothing is ever looked up by them.

use std::num::{NonZeroU16, NonZeroU32};

use cardata_domain::Vin;
use cardata_domain::event::Sequence;
use cardata_domain::session::{LeftBehind, StoredSubscription, Unfinished};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::super::Failure;
use super::super::row::{from_json, to_json};

/// Topic filter, quality of service, subscription identifier.
type Subscription = (String, u8, Option<NonZeroU32>);

pub(super) fn of_subscriptions(subscriptions: &[StoredSubscription]) -> Result<String, Failure> {
    let of_one = |one: &StoredSubscription| (one.filter.clone(), one.qos, one.identifier);
    to_json(&subscriptions.iter().map(of_one).collect::<Vec<Subscription>>())
}

pub(super) fn subscriptions(row: &SqliteRow) -> Result<Vec<StoredSubscription>, Failure> {
    let kept: Vec<Subscription> = from_json(row, "subscriptions", "list of subscriptions")?;
    let subscription = |(filter, qos, identifier)| StoredSubscription { filter, qos, identifier };
    Ok(kept.into_iter().map(subscription).collect())
}

#[derive(Serialize, Deserialize)]
struct Left {
    unfinished: Vec<Delivery>,
    releasing: Vec<NonZeroU16>,
    given_up: Vec<NonZeroU16>,
    /// Vehicles with microseconds since 1970.
    complete_until: Vec<(String, i64)>,
}

/// With short names: a session has up to some hundred of these.
#[derive(Serialize, Deserialize)]
struct Delivery {
    id: NonZeroU16,
    vin: String,
    /// Its sequence number.
    seq: u64,
    /// Microseconds since 1970.
    at: i64,
    part: u64,
    /// 1 or 2.
    qos: u8,
    done: bool,
}

pub(super) fn of_left_behind(left: &LeftBehind) -> Result<String, Failure> {
    let delivery = |one: &Unfinished| Delivery {
        id: one.packet_id,
        vin: one.vin.as_str().to_owned(),
        seq: one.sequence.0,
        at: one.at.as_microsecond(),
        part: one.part,
        qos: if one.exactly_once { 2 } else { 1 },
        done: one.done,
    };
    let until = |(vin, at): &(Vin, Timestamp)| (vin.as_str().to_owned(), at.as_microsecond());
    to_json(&Left {
        unfinished: left.unfinished.iter().map(delivery).collect(),
        releasing: left.releasing.clone(),
        given_up: left.given_up.clone(),
        complete_until: left.complete_until.iter().map(until).collect(),
    })
}

pub(super) fn left_behind(row: &SqliteRow) -> Result<Option<LeftBehind>, Failure> {
    if row.try_get::<Option<&str>, _>("left_behind")?.is_none() {
        return Ok(None);
    }
    let left: Left = from_json(row, "left_behind", "list of deliveries")?;
    let delivery = |one: Delivery| {
        Ok(Unfinished {
            packet_id: one.id,
            vin: vin(&one.vin)?,
            sequence: Sequence(one.seq),
            at: at(one.at)?,
            part: one.part,
            exactly_once: one.qos == 2,
            done: one.done,
        })
    };
    let until = |(of, micros): (String, i64)| Ok((vin(&of)?, at(micros)?));
    Ok(Some(LeftBehind {
        unfinished: left.unfinished.into_iter().map(delivery).collect::<Result<_, Failure>>()?,
        releasing: left.releasing,
        given_up: left.given_up,
        complete_until: left
            .complete_until
            .into_iter()
            .map(until)
            .collect::<Result<_, Failure>>()?,
    }))
}

fn vin(text: &str) -> Result<Vin, Failure> {
    text.parse().map_err(|_| Failure::damaged_private("VIN", text))
}

fn at(micros: i64) -> Result<Timestamp, Failure> {
    Timestamp::from_microsecond(micros)
        .map_err(|_| Failure::damaged("number of microseconds since 1970", &micros.to_string()))
}
