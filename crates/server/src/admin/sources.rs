//! `/admin/v1/sources`: the programs that may report events over HTTPS. A source's key opens ingest and nothing else.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get};
use axum::{Json, Router};
use cardata_domain::Vin;
use cardata_domain::ledger::{Act, Actor, Record};
use cardata_store::directory::Source;
use serde_json::{Value, json};

use super::fields::Fields;
use super::refusal::Refusal;
use crate::platform::Platform;
use crate::secret;

/// Characters that a name may have.
const NAME_LENGTH_MAX: usize = 100;
/// Vehicles that a source may be limited to; one that reports for more reports for a fleet.
const VINS_MAX: usize = 1000;

pub(super) fn routes() -> Router<Arc<Platform>> {
    Router::new().route("/sources", get(list).post(add)).route("/sources/{name}", delete(remove))
}

async fn list(State(platform): State<Arc<Platform>>) -> Result<Json<Value>, Refusal> {
    let sources: Vec<_> = platform.directory.sources().await?.iter().map(describe).collect();
    Ok(Json(json!({"sources": sources})))
}

async fn add(
    State(platform): State<Arc<Platform>>,
    mut fields: Fields,
) -> Result<Response, Refusal> {
    let name = fields.required("name")?.trim().to_owned();
    if name.is_empty()
        || name.chars().count() > NAME_LENGTH_MAX
        || name.chars().any(|char| char.is_control() || char == '/')
    {
        let reason = format!("must have 1 to {NAME_LENGTH_MAX} characters, no slash among them");
        return Err(Refusal::field("name", reason));
    }
    let vins = match fields.texts("vins")? {
        None => None,
        Some(texts) if texts.len() > VINS_MAX => {
            return Err(Refusal::field("vins", format!("has more than {VINS_MAX} vehicles")));
        }
        Some(texts) => Some(known(&platform, &texts).await?),
    };
    fields.end()?;
    let key = secret::token();
    let source =
        Source { name, key_hash: secret::hash(&key), vins, created_at: platform.clock.now() };
    if !platform.directory.add_source(&source).await? {
        return Err(Refusal::conflict(
            "there is a source of this `name`",
            "remove it first, or choose another name: its key is not shown again",
        ));
    }
    let mut record = Record::new(source.created_at, Actor::Operator, Act::SourceAdded)
        .with("name", source.name.clone());
    let mut answer = describe(&source);
    if source.vins.is_some() {
        record = record.with("vins", answer["vins"].clone());
    }
    platform.directory.append_to_ledger(&[record]).await?;
    answer["key"] = key.into();
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

async fn remove(
    State(platform): State<Arc<Platform>>,
    Path(name): Path<String>,
) -> Result<Json<Value>, Refusal> {
    if !platform.directory.remove_source(&name).await? {
        return Err(Refusal::Unknown {
            what: "source of this name",
            remedy: "see which there are: GET /admin/v1/sources",
        });
    }
    let record = Record::new(platform.clock.now(), Actor::Operator, Act::SourceRemoved)
        .with("name", name.clone());
    platform.directory.append_to_ledger(&[record]).await?;
    Ok(Json(json!({"name": name, "removed": true})))
}

/// The vehicles that `texts` name, all of them known.
async fn known(platform: &Platform, texts: &[String]) -> Result<Vec<Vin>, Refusal> {
    let mut vins = Vec::with_capacity(texts.len());
    for text in texts {
        let vin: Vin = text
            .parse()
            .map_err(|error| Refusal::field("vins", format!("has one that is none: {error}")))?;
        if platform.directory.vehicle(vin).await?.is_none() {
            let reason = format!("names {}, which is not known here", vin.as_str());
            return Err(Refusal::field("vins", reason)
                .or_else("add the vehicle first: POST /admin/v1/vehicles"));
        }
        vins.push(vin);
    }
    Ok(vins)
}

fn describe(source: &Source) -> Value {
    let vins: Option<Vec<_>> =
        source.vins.as_ref().map(|vins| vins.iter().map(Vin::as_str).collect());
    json!({"name": source.name, "vins": vins, "created_at": source.created_at.to_string()})
}
