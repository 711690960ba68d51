//! `/customers/vehicles/{vin}/smartMaintenanceTyreDiagnosis` (wire §4.10): what the latest values tell of the tyres.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use cardata_contract::tyres::TyreDiagnosis;

use super::auth::Caller;
use super::error::ApiError;
use super::vehicles::{PathVin, require_primary};
use crate::Platform;

/// `GET /customers/vehicles/{vin}/smartMaintenanceTyreDiagnosis`.
#[utoipa::path(
    get, path = "/customers/vehicles/{vin}/smartMaintenanceTyreDiagnosis",
    tag = "Vehicles",
    summary = "The state of the tyres",
    responses((status = 200, body = TyreDiagnosis, description = "What is known")),
    security(("token" = [])),
)]
pub(super) async fn read(
    State(platform): State<Arc<Platform>>,
    caller: Caller,
    PathVin(vin): PathVin,
) -> Result<Json<TyreDiagnosis>, ApiError> {
    require_primary(&platform, caller, vin).await?;
    let latest = platform.journal.latest(vin).await?;
    caller.note_read(&platform, vin, "smartMaintenanceTyreDiagnosis");
    Ok(Json(TyreDiagnosis::new(&latest, &platform.catalogue)))
}
