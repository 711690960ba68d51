//! `GET /v2/latest`: the latest values of all of a customer's vehicles in one answer.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use cardata_contract::rest::v2::Latest;
use cardata_domain::projection::visible;

use super::parameters::Parameters;
use crate::Platform;
use crate::api::auth::Caller;
use crate::api::error::ApiError;
use crate::api::vehicles::primary;

/// `GET /v2/latest[?vin=…][&descriptor=…]`, both as often as wanted.
#[utoipa::path(
    get, path = "/v2/latest",
    tag = "Beyond the real service",
    summary = "The latest values of all vehicles",
    params(
        ("vin" = Option<Vec<String>>, Query, description = "Of this vehicle; may be there several times"),
        ("descriptor" = Option<Vec<String>>, Query, description = "Of this descriptor; may be there several times")
    ),
    responses((status = 200, body = Latest, description = "What the client may see of each vehicle")),
    security(("token" = [])),
)]
pub(in crate::api) async fn read(
    State(platform): State<Arc<Platform>>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let parameters = Parameters::read(query.as_deref(), &["vin", "descriptor"])?;
    let (vins, wanted) = (parameters.vins()?, parameters.descriptors(&platform.catalogue)?);
    let vins = primary(&platform, caller, vins.as_ref()).await?;
    let view = platform.entitlements.view(caller.gcid, caller.client_id).await?;
    let entitled = match &wanted {
        None => view.entitled.clone(),
        Some(wanted) => view.entitled.and(wanted),
    };
    let mut body = String::from("{\"vehicles\":[");
    for (number, vin) in vins.into_iter().enumerate() {
        let latest = platform.journal.latest(vin).await?;
        let mut visible = visible(&latest, &entitled, view.privacy.as_deref());
        visible.sort_by(|one, other| one.name().cmp(other.name()));
        if number > 0 {
            body.push(',');
        }
        body.extend(["{\"vin\":\"", vin.as_str(), "\",\"data\":{"]);
        for (place, entry) in visible.iter().enumerate() {
            body.extend([if place > 0 { "," } else { "" }, entry.fragment()]);
        }
        body.push_str("}}");
        caller.note_read(&platform, vin, "latest");
    }
    body.push_str("]}");
    Ok(([(CONTENT_TYPE, "application/json")], body).into_response())
}
