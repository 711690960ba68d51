//! `/customers/vehicles`: mappings and basic data (wire §4.4, §4.7), and who may read a vehicle at all.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::request::Parts;
use cardata_contract::error_code::ErrorCode;
use cardata_contract::rest::{BasicData, VehicleMapping};
use cardata_domain::Vin;
use cardata_domain::vehicle::{self, Vehicle};
use cardata_domain::vin::VinError;

use super::auth::Caller;
use super::error::ApiError;
use crate::Platform;

/// `GET /customers/vehicles/mappings`: a bare array, PRIMARY and SECONDARY.
#[utoipa::path(
    get, path = "/customers/vehicles/mappings", tag = "Vehicles", summary = "The vehicles of the customer",
    responses(
        (status = 200, body = [VehicleMapping], description = "All of them, also those that may not be read")
    ),
    security(("token" = [])),
)]
pub(super) async fn mappings(
    State(platform): State<Arc<Platform>>,
    caller: Caller,
) -> Result<Json<Vec<VehicleMapping>>, ApiError> {
    let mappings = platform.mappings(caller.gcid, caller.client_id).await?;
    Ok(Json(mappings.iter().map(Into::into).collect()))
}

/// `GET /customers/vehicles/{vin}/basicData`.
#[utoipa::path(
    get, path = "/customers/vehicles/{vin}/basicData",
    tag = "Vehicles",
    summary = "What was fixed when a vehicle was built",
    responses((status = 200, body = BasicData, description = "What is known")),
    security(("token" = [])),
)]
pub(super) async fn basic_data(
    State(platform): State<Arc<Platform>>,
    caller: Caller,
    PathVin(vin): PathVin,
) -> Result<Json<BasicData>, ApiError> {
    let vehicle = own(&platform, caller, vin).await?;
    caller.note_read(&platform, vin, "basicData");
    Ok(Json(vehicle.into()))
}

/// What is known of a vehicle that the caller's customer may read.
///
/// # Errors
/// As those of [`require_primary`].
pub(super) async fn own(
    platform: &Platform,
    caller: Caller,
    vin: Vin,
) -> Result<Vehicle, ApiError> {
    require_primary(platform, caller, vin).await?;
    platform.directory.vehicle(vin).await?.ok_or_else(not_yours)
}

/// Whether the caller's customer may read the vehicle.
///
/// Looks at the customer's own mappings only, so that an unknown vehicle, another customer's and a SECONDARY one get the
/// same answer after the same time.
///
/// # Errors
/// CU-104 unless the vehicle is mapped as PRIMARY.
pub(super) async fn require_primary(
    platform: &Platform,
    caller: Caller,
    vin: Vin,
) -> Result<(), ApiError> {
    let mappings = platform.mappings(caller.gcid, caller.client_id).await?;
    let primary = vehicle::primary(&mappings).any(|own| own == vin);
    if primary { Ok(()) } else { Err(not_yours()) }
}

/// The vehicles of which the caller's customer is PRIMARY; with `chosen`, these alone.
///
/// # Errors
/// CU-104 unless all that are chosen are mapped as PRIMARY.
pub(super) async fn primary(
    platform: &Platform,
    caller: Caller,
    chosen: Option<&BTreeSet<Vin>>,
) -> Result<Vec<Vin>, ApiError> {
    let mappings = platform.mappings(caller.gcid, caller.client_id).await?;
    let mut vins: Vec<_> = vehicle::primary(&mappings).collect();
    if let Some(chosen) = chosen {
        vins.retain(|vin| chosen.contains(vin));
        if vins.len() < chosen.len() {
            return Err(not_yours());
        }
    }
    Ok(vins)
}

fn not_yours() -> ApiError {
    ApiError::new(ErrorCode::Vin, "the vehicle is not mapped to the customer as PRIMARY")
}

/// The VIN in the path.
#[derive(Debug)]
pub(super) struct PathVin(pub(super) Vin);

impl FromRequestParts<Arc<Platform>> for PathVin {
    type Rejection = ApiError;

    async fn from_request_parts(
        parts: &mut Parts,
        platform: &Arc<Platform>,
    ) -> Result<Self, ApiError> {
        let text = Path::<String>::from_request_parts(parts, platform).await;
        // A path that is no UTF-8 is no VIN, either.
        let text = text.as_ref().map_or("", |Path(text)| text);
        let wrong = |error: VinError| ApiError::new(ErrorCode::VinFormat, error.to_string());
        Ok(Self(text.parse().map_err(wrong)?))
    }
}
