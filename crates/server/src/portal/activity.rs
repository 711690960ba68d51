//! `/activity`: what happened to the account and the data.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use askama::Template;
use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use axum::http::StatusCode;
use axum::response::Response;
use cardata_domain::consent::EndReason;
use cardata_domain::ledger::{Act, Actor, Record};
use cardata_store::directory::LedgerQuery;
use serde::Deserialize;

use super::language::date_and_time;
use super::page;
use super::places::precision_title;
use super::problem::Problem;
use super::text::{Text, fill};
use super::visit::{Frame, Visit};

/// Lines on a page.
const PAGE: u32 = 50;

#[derive(Template)]
#[template(path = "activity.html")]
struct ActivityPage {
    frame: Frame,
    lines: Vec<Line>,
    is_newest: bool,
    older: Option<u64>,
}

struct Line {
    at: String,
    who: String,
    what: &'static str,
    more: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct ActivityQuery {
    before: Option<u64>,
}

pub(super) async fn show(
    visit: Visit,
    query: Result<Query<ActivityQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let before = query.ok().and_then(|Query(query)| query.before);
    let query = LedgerQuery { gcid: Some(visit.gcid()), before, limit: PAGE, on_consent: false };
    let records = visit.platform.directory.ledger(query).await?;
    let full = records.len() >= PAGE as usize;
    let older = records.last().map(|(number, _)| *number).filter(|_| full);
    let mut names = HashMap::new();
    for id in records.iter().filter_map(|(_, record)| record.client_id) {
        if let Entry::Vacant(place) = names.entry(id) {
            let client = visit.platform.directory.client(id).await?;
            place.insert(client.map_or_else(|| id.to_string(), |client| client.name));
        }
    }
    let t = visit.text();
    let line = |(_, record): &(u64, Record)| {
        let client = record.client_id.and_then(|id| names.get(&id));
        Line {
            at: date_and_time(record.at),
            who: match (record.actor, client) {
                (Actor::Client, Some(client)) => client.clone(),
                (actor, _) => actor_title(actor, t).to_owned(),
            },
            what: act_title(record.act, t),
            more: more(record, client.filter(|_| record.actor != Actor::Client), t),
        }
    };
    let template = ActivityPage {
        frame: visit.frame("activity"),
        lines: records.iter().map(line).collect(),
        is_newest: before.is_none(),
        older,
    };
    Ok(page(StatusCode::OK, &template))
}

/// What stands beside the act: the client, what was done to, and how long an ending took.
fn more(record: &Record, client: Option<&String>, t: &Text) -> String {
    let mut parts: Vec<String> = client.cloned().into_iter().collect();
    for name in ["name", "vin", "endpoint", "precision", "why", "kind"] {
        let value = record.detail.get(name).and_then(|value| value.as_str());
        let words = value.map(|value| in_words(name, value, t)).unwrap_or_default();
        if !words.is_empty() && !parts.iter().any(|part| part == words) {
            parts.push(words.to_owned());
        }
    }
    if let Some(times) = record.detail.get("times").and_then(serde_json::Value::as_u64) {
        parts.push(format!("{times}×"));
    }
    for (name, text) in [("streams_closed", t.streams_closed), ("took_ms", t.took)] {
        if let Some(number) = record.detail.get(name).and_then(serde_json::Value::as_u64) {
            parts.push(fill(text, &[&number.to_string()]));
        }
    }
    parts.join(" · ")
}

/// A detail for people: what the ledger has a word of its own for is said in theirs, and nothing twice.
fn in_words<'a>(name: &str, value: &'a str, t: &'a Text) -> &'a str {
    match name {
        "precision" => value.parse().map_or(value, |precision| precision_title(precision, t)),
        "why" => match value.parse() {
            // Who it was stands there already.
            Ok(EndReason::Customer | EndReason::Operator | EndReason::Client) => "",
            Ok(EndReason::TokenReuse) => t.why_token_reuse,
            Ok(EndReason::Expired) => t.why_expired,
            Ok(EndReason::ClientDeleted) => t.why_client_deleted,
            Ok(EndReason::PasswordChanged) => t.why_password_changed,
            Err(_) => value,
        },
        _ => value,
    }
}

fn actor_title(actor: Actor, t: &Text) -> &'static str {
    match actor {
        Actor::Customer => t.actor_customer,
        Actor::Client => t.actor_client,
        Actor::Operator => t.actor_operator,
        Actor::Service => t.actor_service,
    }
}

fn act_title(act: Act, t: &Text) -> &'static str {
    match act {
        Act::ConsentGranted => t.act_consent_granted,
        Act::ConsentRefused => t.act_consent_refused,
        Act::ConsentEnded => t.act_consent_ended,
        Act::ContainerAdded => t.act_container_added,
        Act::ContainerDeleted => t.act_container_deleted,
        Act::StreamConfigured => t.act_stream_configured,
        Act::PrivacyChanged => t.act_privacy_changed,
        Act::ZoneAdded => t.act_zone_added,
        Act::ZoneRemoved => t.act_zone_removed,
        Act::LoggedIn => t.act_logged_in,
        Act::LogInRefused => t.act_log_in_refused,
        Act::LoggedOut => t.act_logged_out,
        Act::PasswordChanged => t.act_password_changed,
        Act::ClientCreated => t.act_client_created,
        Act::ClientRenamed => t.act_client_renamed,
        Act::ServicesChanged => t.act_services_changed,
        Act::SecretRenewed => t.act_secret_renewed,
        Act::ClientDeleted => t.act_client_deleted,
        Act::DataRead => t.act_data_read,
        Act::DataExported => t.act_data_exported,
        Act::CustomerAdded => t.act_customer_added,
        Act::CustomerDeleted => t.act_customer_deleted,
        Act::VehicleAdded => t.act_vehicle_added,
        Act::VehicleChanged => t.act_vehicle_changed,
        Act::CertificateIssued => t.act_certificate_issued,
        Act::CertificatesRevoked => t.act_certificates_revoked,
        Act::SourceAdded => t.act_source_added,
        Act::SourceRemoved => t.act_source_removed,
        Act::MappingChanged => t.act_mapping_changed,
        Act::MappingEnded => t.act_mapping_ended,
        Act::KeyRotated => t.act_key_rotated,
        Act::KeyRetired => t.act_key_retired,
        Act::FaultBegun => t.act_fault_begun,
        Act::FaultEnded => t.act_fault_ended,
    }
}
