//! `/customers/vehicles/{vin}/chargingHistory` (wire §4.11): the charging sessions that were found in the journal.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use cardata_contract::rest::charging::{ChargingHistory, ChargingSession};
use cardata_domain::Vin;
use cardata_domain::charging::Session;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use super::auth::Caller;
use super::error::ApiError;
use super::page_token::Pages;
use super::vehicles::{PathVin, require_primary};
use crate::Platform;
use crate::charging;

/// Sessions on a page.
const PAGE: usize = 10;
/// Sessions that are read for a page: one more than it shows, to know whether there is another page.
const READ: u32 = 11;
/// The longest time that may be asked for.
const SPAN_MAX: SignedDuration = SignedDuration::from_hours(45 * 24);
/// Characters that an instant may have.
const INSTANT_LENGTH_MAX: usize = 40;

/// The part of the address behind the question mark.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Parameters {
    from: Option<String>,
    to: Option<String>,
    next_token: Option<String>,
}

/// `GET /customers/vehicles/{vin}/chargingHistory?from=…&to=…`.
#[utoipa::path(
    get, path = "/customers/vehicles/{vin}/chargingHistory",
    tag = "Vehicles",
    summary = "Charging sessions, the newest first",
    params(
        ("from" = String, Query, description = "Sessions that began then or later; in RFC 3339, at most 45 days before `to`", format = DateTime),
        ("to" = String, Query, description = "Sessions that began before; in RFC 3339", format = DateTime),
        ("nextToken" = Option<String>, Query, description = "`next_token` of the page before")
    ),
    responses((status = 200, body = ChargingHistory, description = "At most ten sessions")),
    security(("token" = [])),
)]
pub(super) async fn read(
    State(platform): State<Arc<Platform>>,
    caller: Caller,
    PathVin(vin): PathVin,
    parameters: Result<Query<Parameters>, QueryRejection>,
) -> Result<Json<ChargingHistory>, ApiError> {
    let Query(Parameters { from, to, next_token }) =
        parameters.map_err(|rejection| ApiError::parameter(rejection.body_text()))?;
    let (from, to) = (instant("from", from.as_deref())?, instant("to", to.as_deref())?);
    check_range(from, to)?;
    require_primary(&platform, caller, vin).await?;
    let now = platform.clock.now();
    let of = format!("chargingHistory {from} {to}");
    let pages = Pages { caller, vin, of: &of };
    let before = match next_token.as_deref() {
        Some(token) => pages.before(token, now)?,
        None => to,
    };
    let mut sessions = charging::sessions(&platform, vin, from, before, READ).await?;
    let has_more = sessions.len() > PAGE;
    sessions.truncate(PAGE);
    let last = sessions.last().filter(|_| has_more);
    let next_token = last.map(|session| pages.token(session.started_at.as_millisecond(), now));
    let data = show(&platform, caller, vin, &sessions).await?;
    caller.note_read(&platform, vin, "chargingHistory");
    Ok(Json(ChargingHistory { data, next_token }))
}

/// `sessions` as the client may know them: places as exactly as the customer allows.
async fn show(
    platform: &Platform,
    caller: Caller,
    vin: Vin,
    sessions: &[Session],
) -> Result<Vec<ChargingSession>, ApiError> {
    let privacy = platform.entitlements.privacy(caller.gcid, caller.client_id).await?;
    let vehicle = platform.directory.vehicle(vin).await?;
    let country = vehicle.map_or_else(String::new, |vehicle| vehicle.build.country_code);
    let time_zone = charging::time_zone(&country);
    let one = |session: &Session| {
        let position = charging::shown_position(session, privacy.as_ref());
        ChargingSession::new(session, position, time_zone)
    };
    Ok(sessions.iter().map(one).collect())
}

fn instant(name: &str, text: Option<&str>) -> Result<Timestamp, ApiError> {
    let text =
        text.ok_or_else(|| ApiError::parameter(format!("the parameter `{name}` is missing")))?;
    // Seconds since 1970, which would read as a year, are none.
    let read = if text.len() <= INSTANT_LENGTH_MAX && text.contains(['T', 't']) {
        text.parse::<Timestamp>().ok()
    } else {
        None
    };
    read.ok_or_else(|| {
        ApiError::parameter(format!(
            "`{name}` is no instant as in ISO 8601 with its offset, such as 2026-03-01T08:00:00.000Z"
        ))
    })
}

fn check_range(from: Timestamp, to: Timestamp) -> Result<(), ApiError> {
    let span = to.duration_since(from);
    if span.is_negative() {
        return Err(ApiError::parameter("`from` is later than `to`"));
    }
    check_span(span)
}

/// Whether `span`, from `from` to `to`, may be asked for at a time.
///
/// # Errors
/// CU-401 when it is too long.
pub(super) fn check_span(span: SignedDuration) -> Result<(), ApiError> {
    if span <= SPAN_MAX {
        return Ok(());
    }
    let note = "from `from` to `to` are more than 45 days; ask for less at a time";
    Err(ApiError::parameter(note))
}
