//! `/sharing`: who sees what, and ending it.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use cardata_domain::ClientId;
use cardata_domain::consent::{Consent, EndReason};
use cardata_domain::container::ContainerId;
use cardata_domain::ledger::Actor;
use cardata_domain::token::Scopes;
use cardata_store::directory::{Channel, Delivery};

use super::language::{Language, date_and_time};
use super::link::meaning;
use super::page;
use super::places::precision_title;
use super::problem::Problem;
use super::text::{Text, fill};
use super::visit::{Frame, Sent, Visit};
use crate::endings::{self, EndError};

#[derive(Template)]
#[template(path = "sharing.html")]
struct SharingPage {
    frame: Frame,
    notice: Option<String>,
    clients: Vec<Seeing>,
}

/// A client, and all that it sees.
struct Seeing {
    id: String,
    name: String,
    purpose: String,
    scopes: Vec<(&'static str, &'static str)>,
    since: String,
    until: Option<String>,
    containers: Vec<Shared>,
    ticked: Vec<String>,
    ticked_count: String,
    precision: &'static str,
    hides_zones: bool,
    deliveries: Vec<Sum>,
}

struct Shared {
    id: String,
    name: String,
    purpose: String,
    values: Vec<String>,
    count: String,
}

/// What was sent over one channel.
struct Sum {
    channel: &'static str,
    first: String,
    last: String,
    messages: u64,
}

pub(super) async fn show(visit: Visit) -> Result<Response, Problem> {
    render(&visit, None).await
}

async fn render(visit: &Visit, notice: Option<String>) -> Result<Response, Problem> {
    let now = visit.now();
    let mut by_client: BTreeMap<ClientId, Vec<Consent>> = BTreeMap::new();
    for consent in visit.platform.directory.consents_of(visit.gcid()).await? {
        if consent.is_active(now) {
            by_client.entry(consent.client_id).or_default().push(consent);
        }
    }
    let deliveries = visit.platform.directory.deliveries(visit.gcid()).await?;
    let mut clients = Vec::new();
    for (id, consents) in by_client {
        clients.push(seeing(visit, id, &consents, &deliveries).await?);
    }
    clients.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(page(StatusCode::OK, &SharingPage { frame: visit.frame("sharing"), notice, clients }))
}

async fn seeing(
    visit: &Visit,
    id: ClientId,
    consents: &[Consent],
    deliveries: &[Delivery],
) -> Result<Seeing, Problem> {
    let (directory, t, gcid) = (&visit.platform.directory, visit.text(), visit.gcid());
    let client = directory.client(id).await?.ok_or(Problem::Failed)?;
    let ticked = directory.stream_configuration(gcid, id).await?;
    let settings = directory.location_settings(gcid, id).await?;
    let containers = directory.containers(gcid, id).await?;
    let shared = containers.into_iter().map(|container| Shared {
        id: container.id.as_str().to_owned(),
        name: container.name,
        purpose: container.purpose,
        count: fill(t.container_values, &[&container.descriptors.len().to_string()]),
        values: titles(visit, &container.descriptors),
    });
    let scopes: Scopes = consents.iter().flat_map(|consent| consent.scopes.iter()).collect();
    let since = consents.iter().map(|consent| consent.granted_at).min();
    // It lasts as long as the longest, and without an end if one of them has none.
    let ends: Option<Vec<_>> = consents.iter().map(|consent| consent.expires_at).collect();
    let until = ends.and_then(|ends| ends.into_iter().max());
    Ok(Seeing {
        id: id.to_string(),
        name: client.name,
        purpose: client.purpose,
        scopes: scopes.iter().map(|scope| (scope.as_str(), meaning(scope, t))).collect(),
        since: since.map(date_and_time).unwrap_or_default(),
        until: until.map(date_and_time),
        containers: shared.collect(),
        ticked_count: fill(t.container_values, &[&ticked.len().to_string()]),
        ticked: titles(visit, &ticked),
        precision: precision_title(settings.precision, t),
        hides_zones: settings.hides_zones,
        deliveries: sums(deliveries.iter().filter(|one| one.client_id == id), t),
    })
}

fn titles(visit: &Visit, names: &[String]) -> Vec<String> {
    let catalogue = &visit.platform.catalogue;
    let title = |name: &String| match catalogue.find(name).map(|id| catalogue.descriptor(id)) {
        Some(known) if visit.language == Language::German => known.title_de.to_string(),
        Some(known) => known.title.to_string(),
        None => name.clone(),
    };
    let mut titles: Vec<_> = names.iter().map(title).collect();
    titles.sort();
    titles
}

/// Over all vehicles, for each channel.
fn sums<'a>(deliveries: impl Iterator<Item = &'a Delivery>, t: &Text) -> Vec<Sum> {
    let mut by_channel: BTreeMap<Channel, Delivery> = BTreeMap::new();
    for delivery in deliveries {
        let sum = by_channel
            .entry(delivery.channel)
            .or_insert_with(|| Delivery { messages: 0, ..delivery.clone() });
        sum.first_at = sum.first_at.min(delivery.first_at);
        sum.last_at = sum.last_at.max(delivery.last_at);
        sum.messages += delivery.messages;
    }
    let shown = by_channel.into_values().map(|sum| Sum {
        channel: match sum.channel {
            Channel::Stream => t.over_stream,
            Channel::Rest => t.over_rest,
        },
        first: date_and_time(sum.first_at),
        last: date_and_time(sum.last_at),
        messages: sum.messages,
    });
    shown.collect()
}

/// Ends every consent of the customer to a client.
pub(super) async fn revoke(Path(id): Path<String>, sent: Sent) -> Result<Response, Problem> {
    let Sent { visit, .. } = sent;
    let id: ClientId = id.parse().map_err(|_| Problem::NotFound)?;
    let mut consents = visit.platform.directory.consents_of(visit.gcid()).await?;
    let now = visit.now();
    consents.retain(|consent| consent.client_id == id && consent.is_active(now));
    if consents.is_empty() {
        return Err(Problem::NotFound);
    }
    let (why, actor) = (EndReason::Customer, Actor::Customer);
    let ended = endings::end_consents(&visit.platform, consents, why, actor).await?;
    let parts = [ended.took.as_millis().to_string(), ended.streams.to_string()];
    let notice = fill(visit.text().revoked, &[&parts[0], &parts[1]]);
    render(&visit, Some(notice)).await
}

/// Ends one container.
pub(super) async fn revoke_container(
    Path(id): Path<String>,
    sent: Sent,
) -> Result<Response, Problem> {
    let Sent { visit, .. } = sent;
    let id: ContainerId = id.parse().map_err(|_| Problem::NotFound)?;
    let container = visit.platform.directory.container(id).await?;
    let container = container
        .filter(|container| container.gcid == visit.gcid() && container.is_active())
        .ok_or(Problem::NotFound)?;
    let (gcid, client_id, now) = (container.gcid, container.client_id, visit.now());
    endings::change_entitlement(&visit.platform, gcid, client_id, async move |platform| {
        let deleted = platform.directory.delete_container(container.id, now).await;
        let deleted = deleted.map_err(EndError::from)?;
        let record = endings::container_deleted(&container, Actor::Customer, now);
        Ok::<_, EndError>(((), deleted.then_some(record)))
    })
    .await?;
    let notice = visit.text().container_revoked.to_owned();
    render(&visit, Some(notice)).await
}
