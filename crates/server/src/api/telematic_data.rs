//! `/customers/vehicles/{vin}/telematicData` (wire §4.6): the latest values of what a container names.

use std::borrow::Cow;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use cardata_contract::error_code::ErrorCode;
use cardata_contract::rest::TelematicData;
use serde::Deserialize;

use super::auth::Caller;
use super::containers::{own_active, parse_id, refuse_deprecated};
use super::error::ApiError;
use super::vehicles::{PathVin, require_primary};
use crate::Platform;

/// The part of the address behind the question mark.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Parameters {
    container_id: Option<String>,
}

/// `GET /customers/vehicles/{vin}/telematicData?containerId=…`.
#[utoipa::path(
    get, path = "/customers/vehicles/{vin}/telematicData",
    tag = "Vehicles",
    summary = "The latest values of what a container names",
    params(
        ("containerId" = String, Query, description = "An ACTIVE container of the client", pattern = "^[A-Z0-9]{13}$")
    ),
    responses((status = 200, body = TelematicData, description = "Each descriptor of the container")),
    security(("token" = [])),
)]
pub(super) async fn read(
    State(platform): State<Arc<Platform>>,
    caller: Caller,
    PathVin(vin): PathVin,
    parameters: Result<Query<Parameters>, QueryRejection>,
) -> Result<Json<TelematicData>, ApiError> {
    let Query(Parameters { container_id }) =
        parameters.map_err(|rejection| ApiError::bad_request(rejection.body_text()))?;
    let id = match container_id.as_deref() {
        None => return Err(ApiError::bad_request("the parameter `containerId` is missing")),
        // Production answers an empty one as one without permission, not as one of wrong form.
        Some("") => None,
        Some(text) => Some(parse_id(text)?),
    };
    require_primary(&platform, caller, vin).await?;
    let Some(id) = id else {
        return Err(ApiError::new(ErrorCode::Container, "the parameter `containerId` is empty"));
    };
    let container = own_active(&platform, caller, id).await?;
    refuse_deprecated(&platform, caller, &container.descriptors)?;
    let latest = platform.journal.latest(vin).await?;
    let latest = match platform.entitlements.privacy(caller.gcid, caller.client_id).await? {
        Some(privacy) => {
            let shown = privacy.apply(latest.iter().collect(), &latest);
            shown.into_iter().map(Cow::into_owned).collect()
        }
        None => latest,
    };
    caller.note_read(&platform, vin, "telematicData");
    Ok(Json(TelematicData::new(&container.descriptors, &latest, &platform.catalogue)))
}
