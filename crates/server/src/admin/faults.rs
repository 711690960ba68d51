//! `/admin/v1/faults`: what goes wrong on purpose, in a sandbox.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get};
use axum::{Json, Router};
use cardata_domain::ledger::Actor;
use serde_json::{Value, json};

use super::fields::{Fields, QueryFields};
use super::refusal::Refusal;
use crate::faults::begin::{self, BeginError};
use crate::faults::kind::{ALL, Description, Manner};
use crate::faults::wish::{Said, Wish};
use crate::faults::{Fault, Faults, Kind, Narrowed, Strike};
use crate::platform::Platform;

/// How long a request for the log may wait for its first line.
const WAIT_MAX_SECONDS: u64 = 30;

pub(super) fn routes() -> Router<Arc<Platform>> {
    Router::new()
        .route("/faults", get(list).post(add).delete(end_all))
        .route("/faults/kinds", get(kinds))
        .route("/faults/log", get(log))
        .route("/faults/{id}", delete(end))
}

async fn list(State(platform): State<Arc<Platform>>) -> Result<Json<Value>, Refusal> {
    let list = faults(&platform)?.list(platform.clock.now());
    Ok(Json(json!({"faults": list.iter().map(describe).collect::<Vec<_>>()})))
}

async fn kinds() -> Json<Value> {
    Json(json!({"kinds": ALL.iter().map(describe_kind).collect::<Vec<_>>()}))
}

async fn add(State(platform): State<Arc<Platform>>, fields: Fields) -> Result<Response, Refusal> {
    faults(&platform)?;
    let wish = read(&platform, fields).await.inspect_err(|_| {
        metrics::counter!("cardata_faults_refused_total").increment(1);
    })?;
    let fault = begin::begin(&platform, wish, Actor::Operator).await.map_err(refusal)?;
    Ok((StatusCode::CREATED, Json(describe(&fault))).into_response())
}

/// What is wished for.
async fn read(platform: &Platform, mut fields: Fields) -> Result<Wish, Refusal> {
    let name = fields.required("kind")?;
    let mut trouble = None;
    let kind = Kind::parse(&name, |parameter| {
        fields.plain(parameter).unwrap_or_else(|refusal| {
            trouble = Some(refusal);
            None
        })
    });
    if let Some(trouble) = trouble {
        return Err(trouble);
    }
    let kind = kind.map_err(|error| {
        Refusal::field(error.member(), error.to_string()).or_else(
            "see which kinds there are, and what can be said of each: GET /admin/v1/faults/kinds",
        )
    })?;
    let customer = fields.customer(platform).await?;
    let narrowed = Narrowed {
        gcid: customer.map(|customer| customer.gcid),
        client_id: fields.parsed("client_id")?,
        mqtt_client_id: fields.text("mqtt_client_id")?,
        vin: fields.parsed("vin")?,
        path: fields.text("path")?,
    };
    let said = Said {
        times: number(&mut fields, "times")?,
        lasts: number(&mut fields, "for_seconds")?.map(Duration::from_secs),
        probability: number(&mut fields, "probability")?,
        seed: number(&mut fields, "seed")?,
    };
    fields.end()?;
    if let Some(client_id) = narrowed.client_id
        && platform.directory.client(client_id).await?.is_none()
    {
        return Err(Refusal::field("client_id", "names no client that is known here")
            .or_else("see which there are: GET /admin/v1/clients"));
    }
    if let Some(vin) = narrowed.vin
        && platform.directory.vehicle(vin).await?.is_none()
    {
        return Err(Refusal::field("vin", "names no vehicle that is known here")
            .or_else("see which there are: GET /admin/v1/vehicles"));
    }
    Wish::new(kind, narrowed, said).map_err(|error| Refusal::field(error.member, error.reason))
}

/// A number, or a text that says one, if it is there.
fn number<T: std::str::FromStr>(
    fields: &mut Fields,
    name: &'static str,
) -> Result<Option<T>, Refusal> {
    let Some(text) = fields.plain(name)? else { return Ok(None) };
    let wrong = |_| fields.wrong(name, "is no number that can be used here");
    text.parse().map(Some).map_err(wrong)
}

async fn end(
    State(platform): State<Arc<Platform>>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Refusal> {
    faults(&platform)?;
    let ended = match id.parse() {
        Ok(id) => begin::end(&platform, id, Actor::Operator).await.map_err(refusal)?,
        Err(_) => None,
    };
    let ended = ended.ok_or(Refusal::Unknown {
        what: "fault with this number; it may be over already",
        remedy: "see which there are: GET /admin/v1/faults",
    })?;
    Ok(Json(describe(&ended)))
}

async fn end_all(State(platform): State<Arc<Platform>>) -> Result<Json<Value>, Refusal> {
    let mut ended = Vec::new();
    for fault in faults(&platform)?.list(platform.clock.now()) {
        let fault = begin::end(&platform, fault.id, Actor::Operator).await.map_err(refusal)?;
        ended.extend(fault.as_ref().map(describe));
    }
    Ok(Json(json!({"ended": ended})))
}

async fn log(
    State(platform): State<Arc<Platform>>,
    mut query: QueryFields,
) -> Result<Json<Value>, Refusal> {
    let (since, limit) = query.page::<u64>("since")?;
    let wait = query.0.parsed::<u64>("wait")?.unwrap_or(0);
    query.0.end()?;
    if wait > WAIT_MAX_SECONDS {
        return Err(Refusal::field("wait", format!("must be 0 to {WAIT_MAX_SECONDS} seconds")));
    }
    let since = since.unwrap_or(0);
    let wait = Duration::from_secs(wait);
    let strikes = faults(&platform)?.log(since, limit as usize, wait).await;
    let next = strikes.last().map_or(since, |last| last.number);
    let strikes: Vec<_> = strikes.iter().map(describe_strike).collect();
    Ok(Json(json!({"strikes": strikes, "next": next})))
}

fn faults(platform: &Platform) -> Result<&Faults, Refusal> {
    platform.faults.as_ref().ok_or(Refusal::Unknown {
        what: "way to let things go wrong here",
        remedy: "start `cardata dev`: only a sandbox has faults on purpose",
    })
}

fn refusal(error: BeginError) -> Refusal {
    match error {
        BeginError::TooMany(_) | BeginError::NoSandbox => {
            Refusal::conflict(error.to_string(), "end others first: DELETE /admin/v1/faults")
        }
        BeginError::Certificate => {
            Refusal::conflict(error.to_string(), "look at the server's log, then try again")
        }
        BeginError::Directory(error) => error.into(),
        BeginError::End(error) => error.into(),
    }
}

fn describe(fault: &Fault) -> Value {
    let mut described = json!({
        "id": fault.id,
        "kind": fault.kind.name(),
        "begun_at": fault.begun_at.to_string(),
        "until": fault.extent.until.map(|until| until.to_string()),
        "times": fault.extent.times,
        "probability": fault.extent.chance.map(|chance| chance.probability),
        "seed": fault.extent.chance.map(|chance| chance.seed),
        "strikes": fault.strikes,
        "occasions": fault.occasions,
    });
    if let (Some(parameter), Some(told)) = (fault.kind.description().parameter, fault.kind.told()) {
        described[parameter.name] = told.into();
    }
    add_whom(&mut described, &fault.narrowed);
    described
}

fn describe_strike(strike: &Strike) -> Value {
    let mut described = json!({
        "number": strike.number,
        "at": strike.at.to_string(),
        "fault": strike.fault,
        "kind": strike.kind,
    });
    add_whom(&mut described, &strike.whom);
    described
}

fn add_whom(described: &mut Value, whom: &Narrowed) {
    described["gcid"] = whom.gcid.map(|gcid| gcid.to_string()).into();
    described["client_id"] = whom.client_id.map(|id| id.to_string()).into();
    described["mqtt_client_id"] = whom.mqtt_client_id.clone().into();
    described["vin"] = whom.vin.map(|vin| vin.as_str().to_owned()).into();
    described["path"] = whom.path.clone().into();
}

fn describe_kind(kind: &Description) -> Value {
    json!({
        "kind": kind.name,
        "what": kind.what,
        "pain": kind.pain,
        "parameter": kind.parameter.map(|parameter| json!({
            "name": parameter.name,
            "values": parameter.values,
            "default": parameter.default,
        })),
        "narrowed_by": kind.narrowings.iter().map(|one| one.member()).collect::<Vec<_>>(),
        "takes": match kind.manner {
            Manner::AtOnce => json!([]),
            Manner::Throughout => json!(["for_seconds"]),
            Manner::Occasions | Manner::Lasting => {
                json!(["times", "for_seconds", "probability", "seed"])
            }
        },
    })
}
