//! `/admin/v1/customers/{customer}/consents` and `/admin/v1/consents/{id}`: who may see what, and ending that.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::routing::{delete, get};
use axum::{Json, Router};
use cardata_domain::consent::{Consent, ConsentId, EndReason, State as Stands};
use cardata_domain::ledger::Actor;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::customers;
use super::refusal::Refusal;
use crate::endings::{self, Ended};
use crate::platform::Platform;

pub(super) fn routes() -> Router<Arc<Platform>> {
    Router::new()
        .route("/customers/{customer}/consents", get(list))
        .route("/consents/{id}", delete(end))
}

async fn list(
    State(platform): State<Arc<Platform>>,
    Path(customer): Path<String>,
) -> Result<Json<Value>, Refusal> {
    let customer = customers::find(&platform, &customer).await?;
    let now = platform.clock.now();
    let consents = platform.directory.consents_of(customer.gcid).await?;
    let consents: Vec<_> = consents.iter().map(|consent| describe(consent, now)).collect();
    Ok(Json(json!({"consents": consents})))
}

async fn end(
    State(platform): State<Arc<Platform>>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Refusal> {
    const UNKNOWN: Refusal = Refusal::Unknown {
        what: "consent with this id",
        remedy: "see which there are: GET /admin/v1/customers/{customer}/consents",
    };
    let id: ConsentId = id.parse().map_err(|_| UNKNOWN)?;
    let consent = platform.directory.consent(id).await?.ok_or(UNKNOWN)?;
    if let Stands::Ended { at, why } = consent.state {
        let error = format!("the consent was ended at {at} ({})", why.as_str());
        return Err(Refusal::conflict(error, "nothing is left to do"));
    }
    let (why, actor) = (EndReason::Operator, Actor::Operator);
    let ended = endings::end_consents(&platform, vec![consent], why, actor).await?;
    Ok(Json(describe_end(&ended)))
}

fn describe(consent: &Consent, now: Timestamp) -> Value {
    let (state, ended_at, why) = match consent.state {
        Stands::Ended { at, why } => ("ENDED", Some(at.to_string()), Some(why.as_str())),
        Stands::Active if consent.is_active(now) => ("ACTIVE", None, None),
        Stands::Active => ("EXPIRED", None, None),
    };
    json!({
        "consent_id": consent.id.to_string(),
        "client_id": consent.client_id.to_string(),
        "scopes": consent.scopes.to_string(),
        "purpose": consent.purpose,
        "granted_at": consent.granted_at.to_string(),
        "expires_at": consent.expires_at.map(|at| at.to_string()),
        "state": state,
        "ended_at": ended_at,
        "end_reason": why,
    })
}

/// What was ended, and how long it took until the last stream was closed.
pub(super) fn describe_end(ended: &Ended) -> Value {
    json!({
        "consents_ended": ended.consents,
        "streams_closed": ended.streams,
        "took_ms": u64::try_from(ended.took.as_millis()).unwrap_or(u64::MAX),
    })
}
