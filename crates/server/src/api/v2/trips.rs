//! `GET /v2/vehicles/{vin}/trips`: the trips that are found in what a client may see of a vehicle.

use std::ops::ControlFlow;
use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};
use cardata_contract::rest::v2::{Trip, Trips};
use cardata_domain::trip::{self, Search};
use jiff::{SignedDuration, Timestamp};

use super::parameters::{Parameters, Range};
use super::scan::Scan;
use crate::Platform;
use crate::api::auth::Caller;
use crate::api::charging_history::check_span;
use crate::api::error::ApiError;
use crate::api::vehicles::{PathVin, require_primary};

/// How long before and after it values are looked at: for the odometer at a trip's start, and for its end.
const BEFORE: SignedDuration = SignedDuration::from_hours(1);
const BEHIND: SignedDuration = SignedDuration::from_hours(12);

/// `GET /v2/vehicles/{vin}/trips?from=…&to=…`: those that began in that time.
#[utoipa::path(
    get, path = "/v2/vehicles/{vin}/trips",
    tag = "Beyond the real service",
    summary = "Trips that began in a time",
    params(
        ("from" = String, Query, description = "In RFC 3339, inclusive, at most 45 days before `to`", format = DateTime),
        ("to" = String, Query, description = "In RFC 3339, exclusive", format = DateTime)
    ),
    responses((status = 200, body = Trips, description = "What can be found in the values that the client may see")),
    security(("token" = [])),
)]
pub(in crate::api) async fn read(
    State(platform): State<Arc<Platform>>,
    caller: Caller,
    PathVin(vin): PathVin,
    RawQuery(query): RawQuery,
) -> Result<Json<Trips>, ApiError> {
    let range = Parameters::read(query.as_deref(), &["from", "to"])?.range()?;
    check_span(range.to.duration_since(range.from))?;
    require_primary(&platform, caller, vin).await?;
    let wide = Range {
        from: range.from.checked_sub(BEFORE).unwrap_or(range.from),
        to: range.to.checked_add(BEHIND).unwrap_or(range.to),
    };
    let ids = trip::DESCRIPTORS.iter().filter_map(|name| platform.catalogue.find(name));
    let scan = Scan::since(&platform, caller, vin, wide.from, Some(ids.collect())).await?;
    let mut search = Search::default();
    let mut taken = Ok(());
    scan.each(|entries| {
        let mut in_time = entries.iter().filter(|entry| wide.contains(entry.at()));
        taken = in_time.try_for_each(|entry| search.take(entry));
        if taken.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })
    .await?;
    taken.map_err(|error| ApiError::parameter(format!("{error}; ask for less at a time")))?;
    // A simulated vehicle's time may be ahead of the server's.
    let now = platform.clock.now().max(search.newest_at().unwrap_or(Timestamp::MIN));
    let trips = search.trips().into_iter().filter(|trip| range.contains(trip.started_at));
    let trips = trips.map(|trip| Trip::new(&trip, now)).collect();
    let (distance_unit, fuel_unit) = (search.odometer_unit(), search.fuel_unit());
    caller.note_read(&platform, vin, "trips");
    Ok(Json(Trips {
        trips,
        distance_unit: distance_unit.map(str::to_owned),
        fuel_unit: fuel_unit.map(str::to_owned),
    }))
}
