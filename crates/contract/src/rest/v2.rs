//! Bodies of what the real service does not have (wire §4.13).

use std::collections::BTreeMap;

use cardata_domain::privacy::Position;
use cardata_domain::trip::{self, STOP_MAX};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{milliseconds, milliseconds_or_null};

/// The body of `GET /v2/vehicles/{vin}/trips`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Trips {
    /// In order. A trip that goes on is the last.
    pub trips: Vec<Trip>,
    /// The unit of distances and mileages, as the vehicle sends it.
    pub distance_unit: Option<String>,
    /// The unit of fuel, as the vehicle sends it.
    pub fuel_unit: Option<String>,
}

/// One trip. What the client may not see, or the vehicle did not send, is null.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Trip {
    /// When the vehicle moved first, with milliseconds and `Z`.
    #[serde(with = "milliseconds")]
    #[schema(value_type = String, format = DateTime)]
    pub start_time: Timestamp,
    /// When it had stopped; null while the trip goes on, as far as is known.
    #[serde(with = "milliseconds_or_null")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub end_time: Option<Timestamp>,
    /// By the odometer.
    pub distance: Option<f64>,
    /// The odometer at the start.
    pub start_mileage: Option<f64>,
    /// The odometer at the end.
    pub end_mileage: Option<f64>,
    /// State of charge in percent at the start.
    pub start_soc: Option<f64>,
    /// State of charge in percent at the end.
    pub end_soc: Option<f64>,
    /// Fuel left at the start.
    pub start_fuel: Option<f64>,
    /// Fuel left at the end.
    pub end_fuel: Option<f64>,
    /// Where it began.
    pub start_location: Option<Location>,
    /// Where it ended.
    pub end_location: Option<Location>,
}

/// A place, in degrees.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Location {
    /// North of the equator.
    pub latitude: f64,
    /// East of Greenwich.
    pub longitude: f64,
}

impl From<Position> for Location {
    fn from(Position { latitude, longitude }: Position) -> Self {
        Self { latitude, longitude }
    }
}

impl Trip {
    /// `trip` as it stands at `now`.
    pub fn new(trip: &trip::Trip, now: Timestamp) -> Self {
        let goes_on = now.duration_since(trip.ended_at) < STOP_MAX;
        Self {
            start_time: trip.started_at,
            end_time: (!goes_on).then_some(trip.ended_at),
            distance: trip.distance().map(in_thousandths),
            start_mileage: trip.odometer.start,
            end_mileage: trip.odometer.end,
            start_soc: trip.charge_percent.start,
            end_soc: trip.charge_percent.end,
            start_fuel: trip.fuel.start,
            end_fuel: trip.fuel.end,
            start_location: trip.position.start.map(Location::from),
            end_location: trip.position.end.map(Location::from),
        }
    }
}

/// The difference of two odometers has digits that neither had.
fn in_thousandths(distance: f64) -> f64 {
    (distance * 1000.0).round() / 1000.0
}

/// The body of `GET /v2/latest`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Latest {
    /// Those of which the customer is PRIMARY, or that were asked for.
    pub vehicles: Vec<LatestOfVehicle>,
}

/// A vehicle's latest values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LatestOfVehicle {
    /// Whose.
    pub vin: String,
    /// By descriptor, as on the stream (wire §3.1).
    pub data: BTreeMap<String, LatestEntry>,
}

/// A value with its own time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LatestEntry {
    /// When it was taken, in RFC 3339.
    #[schema(value_type = String, format = DateTime)]
    pub timestamp: Timestamp,
    /// A number, a text, or true or false.
    #[schema(value_type = Object)]
    pub value: serde_json::Value,
    /// Missing where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
}
