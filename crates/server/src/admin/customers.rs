//! `/admin/v1/customers`: who there is, who comes, who goes, and new passwords.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use cardata_domain::Gcid;
use cardata_domain::consent::{self, EndReason};
use cardata_domain::customer::{self, Customer};
use cardata_domain::ledger::{Act, Actor, Record};
use cardata_domain::vehicle::MappingType;
use cardata_store::directory::Additions;
use serde_json::{Value, json};

use super::fields::{Fields, QueryFields, next, page};
use super::mappings;
use super::passwords::Password;
use super::refusal::Refusal;
use crate::endings;
use crate::platform::Platform;
use crate::secret;

pub(super) fn routes() -> Router<Arc<Platform>> {
    Router::new()
        .route("/customers", get(list).post(add))
        .route("/customers/{customer}", get(show).delete(delete))
        .route("/customers/{customer}/password", post(set_password))
}

/// The customer whom `name`, a GCID or an e-mail address, stands for.
pub(super) async fn find(platform: &Platform, name: &str) -> Result<Customer, Refusal> {
    let found = match name.parse::<Gcid>() {
        Ok(gcid) => platform.directory.customer(gcid).await?,
        Err(_) => platform.directory.customer_by_email(name).await?,
    };
    found.ok_or(Refusal::Unknown {
        what: "customer with this GCID or e-mail address",
        remedy: "see who there is: GET /admin/v1/customers",
    })
}

async fn list(
    State(platform): State<Arc<Platform>>,
    mut query: QueryFields,
) -> Result<Json<Value>, Refusal> {
    let (after, limit) = query.page("after")?;
    query.0.end()?;
    let customers = platform.directory.customers_after(after, limit).await?;
    let next = next(&customers, limit, |customer| customer.gcid.to_string());
    Ok(Json(page("customers", customers.iter().map(describe).collect(), next)))
}

async fn add(
    State(platform): State<Arc<Platform>>,
    mut fields: Fields,
) -> Result<Response, Refusal> {
    let email = fields.required("email")?;
    let given = fields.text("password")?;
    let gcid = fields.parsed::<Gcid>("gcid")?;
    fields.end()?;
    let email = customer::email(&email)
        .map_err(|error| Refusal::field("email", format!("can't be used: {error}")))?;
    let password = Password::given_or_new(given)?;
    if platform.directory.customer_by_email(&email).await?.is_some() {
        return Err(Refusal::conflict(
            "`email` is another customer's",
            "give each customer an address of their own",
        ));
    }
    let gcid = gcid.unwrap_or_else(|| Gcid::new(secret::uuid()));
    if platform.directory.customer(gcid).await?.is_some() {
        return Err(Refusal::conflict("`gcid` is another customer's", "send another, or none"));
    }
    let now = platform.clock.now();
    let password_hash = password.hash().await?;
    let customer = Customer { gcid, email, password_hash, created_at: now };
    let record = Record::new(now, Actor::Operator, Act::CustomerAdded).of(gcid);
    let mut answer = describe(&customer);
    let additions =
        Additions { customers: vec![customer], records: vec![record], ..Additions::default() };
    platform.directory.add(&additions).await?;
    if let Some(text) = password.to_tell() {
        answer["password"] = text.into();
    }
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

async fn show(
    State(platform): State<Arc<Platform>>,
    Path(name): Path<String>,
) -> Result<Json<Value>, Refusal> {
    let customer = find(&platform, &name).await?;
    let directory = &platform.directory;
    let mappings = directory.mappings(customer.gcid).await?;
    let of_type = |wanted| mappings.iter().filter(|one| one.mapping_type == wanted).count();
    let clients = directory.clients_of(customer.gcid).await?;
    let consents = directory.consents_of(customer.gcid).await?;
    let now = platform.clock.now();
    let active = consents.iter().filter(|consent| consent.is_active(now)).count();
    let mut answer = describe(&customer);
    answer["counts"] = json!({
        "vehicles_primary": of_type(MappingType::Primary),
        "vehicles_secondary": of_type(MappingType::Secondary),
        "clients": clients.iter().filter(|client| client.is_active()).count(),
        "consents_active": active,
        "consents_ended": consents.len() - active,
    });
    answer["mappings"] = mappings.iter().map(mappings::of_customer).collect();
    Ok(Json(answer))
}

async fn set_password(
    State(platform): State<Arc<Platform>>,
    Path(name): Path<String>,
    mut fields: Fields,
) -> Result<Json<Value>, Refusal> {
    let given = fields.text("password")?;
    let keep_clients = fields.flag("keep_clients")?.unwrap_or(false);
    fields.end()?;
    let Customer { gcid, .. } = find(&platform, &name).await?;
    let password = Password::given_or_new(given)?;
    let hash = password.hash().await?;
    if !platform.directory.set_password(gcid, &hash).await? {
        find(&platform, &name).await?;
    }
    platform.visitors.log_out_everywhere(gcid, None);
    let consents =
        if keep_clients { Vec::new() } else { platform.directory.consents_of(gcid).await? };
    let open =
        consents.into_iter().filter(|consent| consent.state == consent::State::Active).collect();
    let (why, actor) = (EndReason::PasswordChanged, Actor::Operator);
    let ended = endings::end_consents(&platform, open, why, actor).await?;
    let record = Record::new(platform.clock.now(), actor, Act::PasswordChanged)
        .of(gcid)
        .with("consents_ended", ended.consents);
    platform.directory.append_to_ledger(&[record]).await?;
    let mut answer = super::consents::describe_end(&ended);
    answer["gcid"] = gcid.to_string().into();
    if let Some(text) = password.to_tell() {
        answer["password"] = text.into();
    }
    Ok(Json(answer))
}

async fn delete(
    State(platform): State<Arc<Platform>>,
    Path(name): Path<String>,
    mut query: QueryFields,
) -> Result<Json<Value>, Refusal> {
    let confirm = query.0.text("confirm")?;
    query.0.end()?;
    let Customer { gcid, .. } = find(&platform, &name).await?;
    let gcid_text = gcid.to_string();
    if confirm.as_deref() != Some(gcid_text.as_str()) {
        return Err(Refusal::field("confirm", "must be the customer's GCID")
            .or_else("nothing brings a deleted customer back: add ?confirm= with the GCID"));
    }
    endings::delete_customer(&platform, gcid, Actor::Operator).await?;
    Ok(Json(json!({"gcid": gcid_text, "deleted": true})))
}

fn describe(customer: &Customer) -> Value {
    json!({
        "gcid": customer.gcid.to_string(),
        "email": customer.email,
        "created_at": customer.created_at.to_string(),
    })
}
