//! `/customers/vehicles/{vin}/locationBasedChargingSettings` (wire §4.12): the places where a vehicle charges, and how it is
//! set to charge there.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use cardata_contract::error_code::{ErrorBody, ErrorCode};
use cardata_contract::rest::charging::{ChargingSettings, PlaceSettings, ReportedSettings};
use cardata_domain::Vin;
use cardata_domain::charging::{Place, Session, places};
use cardata_store::directory::CHARGING_SESSIONS_MAX;
use jiff::Timestamp;
use serde::Deserialize;

use super::auth::Caller;
use super::error::ApiError;
use super::page_token::Pages;
use super::vehicles::{PathVin, require_primary};
use crate::Platform;
use crate::charging;

/// Places on a page.
const PAGE: usize = 10;

/// The part of the address behind the question mark.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Parameters {
    next_token: Option<String>,
}

/// `GET /customers/vehicles/{vin}/locationBasedChargingSettings`.
#[utoipa::path(
    get, path = "/customers/vehicles/{vin}/locationBasedChargingSettings",
    tag = "Vehicles",
    summary = "The places where a vehicle charges",
    params(
        ("nextToken" = Option<String>, Query, description = "`nextToken` of the page before")
    ),
    responses(
        (status = 200, body = ChargingSettings, description = "At most ten places, the one of the last charge first"),
        (status = 404, body = ErrorBody, description = "CU-127: there is none that the client may know of")
    ),
    security(("token" = [])),
)]
pub(super) async fn read(
    State(platform): State<Arc<Platform>>,
    caller: Caller,
    PathVin(vin): PathVin,
    parameters: Result<Query<Parameters>, QueryRejection>,
) -> Result<Json<ChargingSettings>, ApiError> {
    let Query(Parameters { next_token }) =
        parameters.map_err(|rejection| ApiError::parameter(rejection.body_text()))?;
    require_primary(&platform, caller, vin).await?;
    let now = platform.clock.now();
    let pages = Pages { caller, vin, of: "locationBasedChargingSettings" };
    let before = match next_token.as_deref() {
        Some(token) => pages.before(token, now)?,
        None => Timestamp::MAX,
    };
    let all = known_places(&platform, caller, vin).await?;
    let newest = all.first().ok_or_else(|| {
        let note = "the vehicle charged nowhere that this client may know of";
        ApiError::new(ErrorCode::NoChargingSettings, note)
    })?;
    let rest: Vec<&Place> = all.iter().filter(|place| place.last_visit_at < before).collect();
    let shown = &rest[..rest.len().min(PAGE)];
    let last = shown.last().filter(|_| rest.len() > PAGE);
    let next_token = last.map(|place| pages.token(place.last_visit_at.as_millisecond(), now));
    let named = format!("{}_{}", vin.as_str(), caller.gcid);
    let mut data: Vec<_> =
        shown.iter().map(|place| PlaceSettings::new(place, named.clone())).collect();
    if let Some(first) = data.first_mut().filter(|first| first.last_visit == newest.last_visit_at) {
        (first.reported, first.last_updated) = reported(&platform, vin, first.last_updated).await?;
    }
    caller.note_read(&platform, vin, "locationBasedChargingSettings");
    Ok(Json(ChargingSettings { next_token, data }))
}

/// The places of all sessions that are kept, as exactly as the client may know them. They are put together from what is
/// shown: to tell apart what the customer made one would tell more than that.
async fn known_places(
    platform: &Platform,
    caller: Caller,
    vin: Vin,
) -> Result<Vec<Place>, ApiError> {
    let privacy = platform.entitlements.privacy(caller.gcid, caller.client_id).await?;
    let (from, before) = (Timestamp::UNIX_EPOCH, Timestamp::MAX);
    let sessions = charging::sessions(platform, vin, from, before, CHARGING_SESSIONS_MAX).await?;
    let charge = |session: &Session| {
        Some((session.started_at, charging::shown_position(session, privacy.as_ref())?))
    };
    Ok(places(sessions.iter().filter_map(charge)))
}

const MODES: [&str; 2] = [
    "vehicle.drivetrain.electricEngine.charging.profile.mode",
    "vehicle.drivetrain.electricEngine.charging.chargingMode",
];
const PREFERENCES: [&str; 2] = [
    "vehicle.powertrain.electric.battery.charging.preferenceSmartCharging",
    "vehicle.drivetrain.electricEngine.charging.profile.preference",
];
const LIMIT_FLAG: &str = "vehicle.powertrain.electric.battery.charging.acLimit.isActive";
const LIMIT: &str = "vehicle.powertrain.electric.battery.charging.acLimit.selected";
const ACOUSTIC_LIMIT: &str = "vehicle.powertrain.electric.battery.charging.acousticLimit";
const FLAP_LOCK: &str = "vehicle.body.flap.isLocked";
const PLUG: &str = "vehicle.drivetrain.electricEngine.charging.method";

/// What the vehicle reports of its settings, and when it did last; `visited_at` when it never did.
async fn reported(
    platform: &Platform,
    vin: Vin,
    visited_at: Timestamp,
) -> Result<(ReportedSettings, Timestamp), ApiError> {
    let latest = platform.journal.latest(vin).await?;
    let mut updated_at = visited_at;
    let mut text = |names: &[&str]| {
        let entry =
            names.iter().find_map(|name| latest.iter().find(|entry| entry.name() == *name))?;
        updated_at = updated_at.max(entry.at());
        Some(entry.value().as_plain().to_owned())
    };
    let settings = ReportedSettings {
        charging_mode: text(&MODES),
        optimized_charging_preference: text(&PREFERENCES),
        ac_current_limit_flag: text(&[LIMIT_FLAG]),
        ac_current_limit: text(&[LIMIT])
            .and_then(|ampere| ampere.parse().ok())
            .filter(|ampere: &f64| ampere.is_finite()),
        acoustic_limit: text(&[ACOUSTIC_LIMIT]),
        flap_lock: text(&[FLAP_LOCK]),
        charging_plug: text(&[PLUG]),
    };
    Ok((settings, updated_at))
}

#[cfg(test)]
mod tests {
    use cardata_domain::Catalogue;

    use super::*;

    #[test]
    fn every_setting_is_a_listed_descriptor() {
        let catalogue = Catalogue::shipped();
        let one = [LIMIT_FLAG, LIMIT, ACOUSTIC_LIMIT, FLAP_LOCK, PLUG];
        for name in one.iter().chain(&MODES).chain(&PREFERENCES) {
            assert!(catalogue.find(name).is_some(), "{name}");
        }
    }
}
