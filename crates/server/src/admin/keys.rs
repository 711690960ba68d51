//! `/admin/v1/keys`: the keys that sign id tokens.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use cardata_domain::ledger::{Act, Actor, Record};
use serde_json::{Value, json};

use super::fields::Fields;
use super::refusal::Refusal;
use crate::gcdm::keys::{KeyInfo, RetireError};
use crate::platform::Platform;

pub(super) fn routes() -> Router<Arc<Platform>> {
    Router::new()
        .route("/keys", get(list))
        .route("/keys/rotate", post(rotate))
        .route("/keys/{kid}", delete(remove))
}

async fn list(State(platform): State<Arc<Platform>>) -> Json<Value> {
    let keys: Vec<_> = platform.keys.list().iter().map(describe).collect();
    Json(json!({"keys": keys}))
}

async fn rotate(
    State(platform): State<Arc<Platform>>,
    fields: Fields,
) -> Result<Response, Refusal> {
    fields.end()?;
    let now = platform.clock.now();
    let kid = platform.keys.rotate(&*platform.directory, now).await?;
    note(&platform, Act::KeyRotated, &kid).await?;
    let key = platform.keys.list().into_iter().find(|key| key.kid == kid);
    // Another rotation, and then a removal, can hardly have come in between.
    let answer = key.as_ref().map_or_else(|| json!({"kid": kid}), describe);
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

async fn remove(
    State(platform): State<Arc<Platform>>,
    Path(kid): Path<String>,
) -> Result<Json<Value>, Refusal> {
    let now = platform.clock.now();
    platform.keys.retire(&*platform.directory, &kid, now).await.map_err(|error| match error {
        RetireError::Unknown(_) => Refusal::Unknown {
            what: "signing key of this name",
            remedy: "see which there are: GET /admin/v1/keys",
        },
        RetireError::Signs(_) => {
            Refusal::conflict(error.to_string(), "make a new key first: POST /admin/v1/keys/rotate")
        }
        RetireError::InUse { .. } => Refusal::conflict(error.to_string(), "try again then"),
        RetireError::Directory(error) => error.into(),
    })?;
    note(&platform, Act::KeyRetired, &kid).await?;
    Ok(Json(json!({"kid": kid, "removed": true})))
}

async fn note(platform: &Platform, act: Act, kid: &str) -> Result<(), Refusal> {
    let record = Record::new(platform.clock.now(), Actor::Operator, act).with("kid", kid);
    Ok(platform.directory.append_to_ledger(&[record]).await?)
}

fn describe(key: &KeyInfo) -> Value {
    json!({"kid": key.kid, "created_at": key.created_at.to_string(), "signs": key.signs})
}
