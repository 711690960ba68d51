//! `/clients`: a customer's own programs, and which client a page is about.

use askama::Template;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use cardata_domain::ClientId;
use cardata_domain::client::{self, Client, Kind, Services, State};
use cardata_domain::consent::EndReason;
use cardata_domain::ledger::{Act, Actor, Record};
use cardata_domain::token::Scope;
use cardata_store::directory::DirectoryError;

use super::page;
use super::problem::Problem;
use super::text::fill;
use super::visit::{Frame, Sent, Visit};
use crate::profile::Requests;
use crate::{endings, secret};

/// Personal clients that a customer may have at a time.
const CLIENTS_MAX: usize = 20;

#[derive(Template)]
#[template(path = "clients.html")]
struct ClientsPage {
    frame: Frame,
    notice: Option<String>,
    trouble: Option<&'static str>,
    clients: Vec<Shown>,
    connect: Connect,
    has_faults: bool,
}

/// A client, and how often it asked today.
struct Shown {
    client: Client,
    requests: String,
}

/// What a program needs to connect.
struct Connect {
    host: String,
    gcid: String,
}

#[derive(Template)]
#[template(path = "client_delete.html")]
struct DeletePage {
    frame: Frame,
    title: String,
    client: Client,
}

pub(super) async fn list(visit: Visit) -> Result<Response, Problem> {
    Ok(list_page(&visit, StatusCode::OK, None, None).await?)
}

async fn list_page(
    visit: &Visit,
    status: StatusCode,
    notice: Option<String>,
    trouble: Option<&'static str>,
) -> Result<Response, DirectoryError> {
    let mut clients = visit.platform.directory.clients_of(visit.gcid()).await?;
    clients.retain(Client::is_active);
    let clients = clients.into_iter().map(|client| Shown::new(visit, client)).collect();
    let connect =
        Connect { host: visit.platform.stream_address.clone(), gcid: visit.gcid().to_string() };
    let frame = visit.frame("clients");
    let has_faults = visit.platform.faults.is_some();
    Ok(page(status, &ClientsPage { frame, notice, trouble, clients, connect, has_faults }))
}

impl Shown {
    fn new(visit: &Visit, client: Client) -> Self {
        let (quota, t) = (&visit.platform.quota, visit.text());
        let standing = quota.standing(visit.gcid(), client.id, visit.now());
        let used = standing.used.to_string();
        let requests = match (quota.limit(), standing.max.map(|max| max.to_string())) {
            (Requests::PerCustomer(_), Some(max)) => fill(t.requests_of_all, &[&used, &max]),
            (_, Some(max)) => fill(t.requests_of, &[&used, &max]),
            (_, None) => fill(t.requests_unlimited, &[&used]),
        };
        Self { client, requests }
    }
}

/// Makes a client.
pub(super) async fn create(sent: Sent) -> Result<Response, Problem> {
    let Sent { visit, fields } = sent;
    let (directory, t) = (&visit.platform.directory, visit.text());
    let refuse = async |trouble| {
        Ok(list_page(&visit, StatusCode::UNPROCESSABLE_ENTITY, None, Some(trouble)).await?)
    };
    let Ok(name) = client::name(fields.get("name")) else { return refuse(t.bad_name).await };
    let known = directory.clients_of(visit.gcid()).await?;
    if known.iter().filter(|client| client.is_active()).count() >= CLIENTS_MAX {
        return refuse(t.clients_full).await;
    }
    let client = Client {
        id: ClientId::new(secret::uuid()),
        kind: Kind::Personal(visit.gcid()),
        name,
        purpose: String::new(),
        services: Services { api: fields.has("api"), stream: fields.has("stream") },
        secret_hash: None,
        created_at: visit.now(),
        state: State::Active,
    };
    directory.put_client(&client).await?;
    let record = Record::new(visit.now(), Actor::Customer, Act::ClientCreated)
        .of(visit.gcid())
        .with_client(client.id)
        .with("name", client.name.clone());
    directory.append_to_ledger(&[record]).await?;
    Ok(list_page(&visit, StatusCode::CREATED, Some(t.client_created.to_owned()), None).await?)
}

/// Renames a client and changes its services; what loses its service ends.
pub(super) async fn change(Path(id): Path<String>, sent: Sent) -> Result<Response, Problem> {
    let Sent { visit, fields } = sent;
    let (platform, t) = (&visit.platform, visit.text());
    let before = own(&visit, &id).await?;
    let Ok(name) = client::name(fields.get("name")) else {
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        return Ok(list_page(&visit, status, None, Some(t.bad_name)).await?);
    };
    let services = Services { api: fields.has("api"), stream: fields.has("stream") };
    let after = Client { name, services, ..before.clone() };
    platform.directory.put_client(&after).await?;
    let line =
        |act| Record::new(visit.now(), Actor::Customer, act).of(visit.gcid()).with_client(after.id);
    let mut records = Vec::new();
    if after.name != before.name {
        records.push(line(Act::ClientRenamed).with("name", after.name.clone()));
    }
    if services != before.services {
        let record = line(Act::ServicesChanged);
        records.push(record.with("api", services.api).with("stream", services.stream));
    }
    platform.directory.append_to_ledger(&records).await?;
    end_unsubscribed(&visit, &after).await?;
    Ok(list_page(&visit, StatusCode::OK, Some(t.saved.to_owned()), None).await?)
}

/// Ends consents to what the client is no longer subscribed to.
async fn end_unsubscribed(visit: &Visit, client: &Client) -> Result<(), Problem> {
    let mut consents = visit.platform.directory.consents_to(client.id).await?;
    let is_lost = |scope| match scope {
        Scope::ApiRead => !client.services.api,
        Scope::StreamingRead => !client.services.stream,
        Scope::AuthenticateUser | Scope::OpenId => false,
    };
    consents.retain(|consent| consent.scopes.iter().any(is_lost));
    let (why, actor) = (EndReason::ClientDeleted, Actor::Customer);
    endings::end_consents(&visit.platform, consents, why, actor).await?;
    Ok(())
}

/// Asks whether a client is to be deleted.
pub(super) async fn ask_delete(visit: Visit, Path(id): Path<String>) -> Result<Response, Problem> {
    let client = own(&visit, &id).await?;
    let title = fill(visit.text().client_delete_title, &[&client.name]);
    Ok(page(StatusCode::OK, &DeletePage { frame: visit.frame("clients"), title, client }))
}

pub(super) async fn delete(Path(id): Path<String>, sent: Sent) -> Result<Response, Problem> {
    let Sent { visit, .. } = sent;
    let client = own(&visit, &id).await?;
    let ended = endings::delete_client(&visit.platform, client, Actor::Customer).await?;
    let took = ended.took.as_millis().to_string();
    let notice = fill(visit.text().client_deleted, &[&took]);
    Ok(list_page(&visit, StatusCode::OK, Some(notice), None).await?)
}

/// A personal client of the customer.
async fn own(visit: &Visit, id: &str) -> Result<Client, Problem> {
    let id: ClientId = id.parse().map_err(|_| Problem::NotFound)?;
    let client = visit.platform.directory.client(id).await?.ok_or(Problem::NotFound)?;
    let is_own = client.is_active() && client.kind == Kind::Personal(visit.gcid());
    if is_own { Ok(client) } else { Err(Problem::NotFound) }
}

/// A client about which the customer may decide: a personal one, or a third party's that was let in once.
pub(super) async fn of_customer(visit: &Visit, id: &str) -> Result<Client, Problem> {
    let id: ClientId = id.parse().map_err(|_| Problem::NotFound)?;
    let client = visit.platform.directory.client(id).await?.ok_or(Problem::NotFound)?;
    let has_consent = async || {
        let consents = visit.platform.directory.consents_of(visit.gcid()).await?;
        Ok::<_, Problem>(consents.iter().any(|consent| consent.client_id == id))
    };
    let is_theirs = match client.kind {
        Kind::Personal(owner) => owner == visit.gcid(),
        Kind::ThirdParty => has_consent().await?,
        Kind::ResourceServer => false,
    };
    if is_theirs && client.is_active() { Ok(client) } else { Err(Problem::NotFound) }
}

/// Back to the list.
pub(super) fn to_list() -> Response {
    Redirect::to("/clients").into_response()
}
