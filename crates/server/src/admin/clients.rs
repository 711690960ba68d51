//! `/admin/v1/clients`: the programs that customers let in, and those of the operator.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use cardata_domain::ClientId;
use cardata_domain::client::{self, Client, Kind, Services, State as Stands};
use cardata_domain::consent::EndReason;
use cardata_domain::ledger::{Act, Actor, Record};
use cardata_domain::token::Scope;
use serde_json::{Value, json};

use super::consents::describe_end;
use super::fields::{Fields, QueryFields, next, page};
use super::refusal::Refusal;
use crate::endings;
use crate::platform::Platform;
use crate::profile::Requests;
use crate::secret;

/// Characters that a purpose may have; customers read it when they consent.
const PURPOSE_LENGTH_MAX: usize = 500;

pub(super) fn routes() -> Router<Arc<Platform>> {
    Router::new()
        .route("/clients", get(list).post(register))
        .route("/clients/{id}", get(show).patch(change).delete(delete))
        .route("/clients/{id}/secret", post(renew_secret))
}

async fn find(platform: &Platform, id: &str) -> Result<Client, Refusal> {
    let found = match id.parse() {
        Ok(id) => platform.directory.client(id).await?,
        Err(_) => None,
    };
    found.ok_or(Refusal::Unknown {
        what: "client with this id",
        remedy: "see which there are: GET /admin/v1/clients",
    })
}

/// The same, if it can still be used.
async fn find_active(platform: &Platform, id: &str) -> Result<Client, Refusal> {
    let client = find(platform, id).await?;
    if client.is_active() {
        return Ok(client);
    }
    Err(Refusal::conflict("the client was deleted", "register another: POST /admin/v1/clients"))
}

async fn list(
    State(platform): State<Arc<Platform>>,
    mut query: QueryFields,
) -> Result<Json<Value>, Refusal> {
    let (after, limit) = query.page("after")?;
    query.0.end()?;
    let clients = platform.directory.clients_after(after, limit).await?;
    let next = next(&clients, limit, |client| client.id.to_string());
    Ok(Json(page(
        "clients",
        clients.iter().map(|client| describe(client, &platform)).collect(),
        next,
    )))
}

async fn show(
    State(platform): State<Arc<Platform>>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Refusal> {
    let client = find(&platform, &id).await?;
    Ok(Json(describe(&client, &platform)))
}

async fn register(
    State(platform): State<Arc<Platform>>,
    mut fields: Fields,
) -> Result<Response, Refusal> {
    let name = name(&fields.required("name")?)?;
    let owner = fields.customer(&platform).await?;
    let asked = fields.text("kind")?;
    let purpose = purpose(&fields.text("purpose")?.unwrap_or_default())?;
    let services = services(&mut fields)?;
    let confidential = fields.flag("confidential")?;
    fields.end()?;
    let owner = owner.map(|customer| customer.gcid);
    let kind = match (asked.as_deref(), owner) {
        (None | Some("PERSONAL"), Some(owner)) => Kind::Personal(owner),
        (None | Some("THIRD_PARTY"), None) => Kind::ThirdParty,
        (Some("RESOURCE_SERVER"), None) => Kind::ResourceServer,
        (Some("PERSONAL"), None) => {
            return Err(Refusal::field("email", "is missing: a PERSONAL client has an owner")
                .or_else("name the owner, or register a THIRD_PARTY client"));
        }
        (Some("THIRD_PARTY" | "RESOURCE_SERVER"), Some(_)) => {
            return Err(Refusal::field("kind", "has no owner")
                .or_else("leave `email` and `gcid` out, or register a PERSONAL client"));
        }
        (Some(_), _) => {
            let reason = "must be PERSONAL, THIRD_PARTY or RESOURCE_SERVER";
            return Err(Refusal::field("kind", reason));
        }
    };
    let is_for_data = kind != Kind::ResourceServer;
    if !is_for_data && services != (None, None) {
        return Err(Refusal::field("services", "don't go with a RESOURCE_SERVER: it sees no data"));
    }
    if !is_for_data && confidential == Some(false) {
        return Err(Refusal::field("confidential", "must be true for a RESOURCE_SERVER"));
    }
    let is_confidential = confidential.unwrap_or(!is_for_data);
    let secret = is_confidential.then(secret::token);
    let now = platform.clock.now();
    let client = Client {
        id: ClientId::new(secret::uuid()),
        kind,
        name,
        purpose,
        services: Services {
            api: services.0.unwrap_or(is_for_data),
            stream: services.1.unwrap_or(is_for_data),
        },
        secret_hash: secret.as_deref().map(|secret| secret::hash(secret).0),
        created_at: now,
        state: Stands::Active,
    };
    platform.directory.put_client(&client).await?;
    let record = about(&client, Act::ClientCreated, &platform).with("name", client.name.clone());
    platform.directory.append_to_ledger(&[record]).await?;
    let mut answer = describe(&client, &platform);
    if let Some(secret) = secret {
        answer["client_secret"] = secret.into();
    }
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

async fn change(
    State(platform): State<Arc<Platform>>,
    Path(id): Path<String>,
    mut fields: Fields,
) -> Result<Json<Value>, Refusal> {
    let before = find_active(&platform, &id).await?;
    let mut client = before.clone();
    if let Some(text) = fields.text("name")? {
        client.name = name(&text)?;
    }
    if let Some(text) = fields.text("purpose")? {
        client.purpose = purpose(&text)?;
    }
    let (api, stream) = services(&mut fields)?;
    fields.end()?;
    if client.kind == Kind::ResourceServer && (api, stream) != (None, None) {
        return Err(Refusal::field("services", "don't go with a RESOURCE_SERVER: it sees no data"));
    }
    client.services.api = api.unwrap_or(client.services.api);
    client.services.stream = stream.unwrap_or(client.services.stream);
    let mut records = Vec::new();
    if (&client.name, &client.purpose) != (&before.name, &before.purpose) {
        let record = about(&client, Act::ClientRenamed, &platform);
        records
            .push(record.with("name", client.name.clone()).with("purpose", client.purpose.clone()));
    }
    if client.services != before.services {
        let Services { api, stream } = client.services;
        let record = about(&client, Act::ServicesChanged, &platform);
        records.push(record.with("api", api).with("stream", stream));
    }
    // First the client, so that no consent to what it lost is given meanwhile.
    if client != before {
        platform.directory.put_client(&client).await?;
        platform.directory.append_to_ledger(&records).await?;
    }
    if !client.services.stream {
        endings::close_fleet(&platform, client.id).await;
    }
    // Also those that an earlier attempt left.
    let Services { api: has_api, stream: has_stream } = client.services;
    let mut uncovered = Vec::new();
    if (api, stream) != (None, None) {
        uncovered = platform.directory.consents_to(client.id).await?;
        uncovered.retain(|consent| {
            let needs = |scope| consent.scopes.contains(scope);
            needs(Scope::ApiRead) && !has_api || needs(Scope::StreamingRead) && !has_stream
        });
    }
    let (why, actor) = (EndReason::ClientDeleted, Actor::Operator);
    let ended = endings::end_consents(&platform, uncovered, why, actor).await?;
    let mut answer = describe(&client, &platform);
    answer["ended"] = describe_end(&ended);
    Ok(Json(answer))
}

async fn renew_secret(
    State(platform): State<Arc<Platform>>,
    Path(id): Path<String>,
    fields: Fields,
) -> Result<Json<Value>, Refusal> {
    fields.end()?;
    let mut client = find_active(&platform, &id).await?;
    let secret = secret::token();
    client.secret_hash = Some(secret::hash(&secret).0);
    platform.directory.put_client(&client).await?;
    // Whoever got tokens with the old secret may have stolen it.
    endings::end_own_tokens(&platform, client.id).await?;
    let record = about(&client, Act::SecretRenewed, &platform);
    platform.directory.append_to_ledger(&[record]).await?;
    let mut answer = describe(&client, &platform);
    answer["client_secret"] = secret.into();
    Ok(Json(answer))
}

async fn delete(
    State(platform): State<Arc<Platform>>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Refusal> {
    let client = find(&platform, &id).await?;
    // One that was deleted and still has consents was not deleted to the end.
    if !client.is_active() && platform.directory.consents_to(client.id).await?.is_empty() {
        return Err(Refusal::conflict("the client was deleted before", "nothing is left to do"));
    }
    let ended = endings::delete_client(&platform, client, Actor::Operator).await?;
    Ok(Json(describe_end(&ended)))
}

fn name(text: &str) -> Result<String, Refusal> {
    client::name(text).map_err(|error| {
        Refusal::field("name", format!("can't be used: {error}"))
            .or_else("customers see the name when they approve; send a short one")
    })
}

fn purpose(text: &str) -> Result<String, Refusal> {
    let purpose = text.trim();
    if purpose.chars().count() > PURPOSE_LENGTH_MAX || purpose.chars().any(char::is_control) {
        let reason =
            format!("has more than {PURPOSE_LENGTH_MAX} characters, or control characters");
        return Err(Refusal::field("purpose", reason));
    }
    Ok(purpose.to_owned())
}

/// Whether the API and the stream are wanted, where that is said.
fn services(fields: &mut Fields) -> Result<(Option<bool>, Option<bool>), Refusal> {
    let Some(mut services) = fields.object("services")? else { return Ok((None, None)) };
    let wanted = (services.flag("api")?, services.flag("stream")?);
    services.end()?;
    Ok(wanted)
}

/// A line about `client`, in the account of its owner if it has one.
fn about(client: &Client, act: Act, platform: &Platform) -> Record {
    let record = Record::new(platform.clock.now(), Actor::Operator, act).with_client(client.id);
    match client.kind {
        Kind::Personal(owner) => record.of(owner),
        Kind::ThirdParty | Kind::ResourceServer => record,
    }
}

fn describe(client: &Client, platform: &Platform) -> Value {
    let (kind, owner) = match client.kind {
        Kind::Personal(owner) => ("PERSONAL", Some(owner.to_string())),
        Kind::ThirdParty => ("THIRD_PARTY", None),
        Kind::ResourceServer => ("RESOURCE_SERVER", None),
    };
    let deleted_at = match client.state {
        Stands::Active => None,
        Stands::Deleted { at } => Some(at.to_string()),
    };
    json!({
        "client_id": client.id.to_string(),
        "kind": kind,
        "gcid": owner,
        "name": client.name,
        "purpose": client.purpose,
        "services": {"api": client.services.api, "stream": client.services.stream},
        "confidential": client.secret_hash.is_some(),
        "requests": requests(client, platform),
        "created_at": client.created_at.to_string(),
        "deleted_at": deleted_at,
    })
}

/// How many REST requests of today counted, of all customers who let the client in together, and how many there may be.
fn requests(client: &Client, platform: &Platform) -> Value {
    let (limit, per) = match platform.quota.limit() {
        Requests::Unlimited => (None, None),
        Requests::PerClient(max) => (Some(max), Some("CLIENT_AND_CUSTOMER")),
        Requests::PerCustomer(max) => (Some(max), Some("CUSTOMER")),
    };
    json!({
        "today": platform.quota.used_by(client.id, platform.clock.now()),
        "limit": limit,
        "limit_per": per,
    })
}
