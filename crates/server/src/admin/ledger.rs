//! `/admin/v1/ledger` and `/admin/v1/customers/{customer}/ledger`: what happened, by page and as JSON lines.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use cardata_domain::ledger::{Act, Actor, Record};
use cardata_store::directory::{DirectoryError, LedgerQuery};
use futures_util::stream::try_unfold;

use super::customers;
use super::fields::{QueryFields, next, page};
use super::refusal::Refusal;
use crate::platform::Platform;
use crate::portal::export::line;

/// Lines that are read at a time for an export.
const EXPORT_STEP: u32 = 1000;

pub(super) fn routes() -> Router<Arc<Platform>> {
    Router::new().route("/ledger", get(all)).route("/customers/{customer}/ledger", get(of_customer))
}

async fn all(
    State(platform): State<Arc<Platform>>,
    mut query: QueryFields,
) -> Result<Response, Refusal> {
    let on_consent = query.flag("consents")?;
    let format = query.0.text("format")?;
    let (before, limit) = query.page("before")?;
    query.0.end()?;
    let query = LedgerQuery { gcid: None, on_consent, before, limit };
    match format.as_deref() {
        Some("jsonl") => export(platform, query).await,
        None | Some("json") => {
            let lines = platform.directory.ledger(query).await?;
            let next = next(&lines, limit, |(number, _)| number.to_string());
            let lines = lines.iter().map(|(number, record)| line(*number, record)).collect();
            Ok(Json(page("lines", lines, next)).into_response())
        }
        Some(_) => Err(Refusal::field("format", "must be `json` or `jsonl`")),
    }
}

async fn of_customer(
    State(platform): State<Arc<Platform>>,
    Path(customer): Path<String>,
    mut query: QueryFields,
) -> Result<Response, Refusal> {
    let on_consent = query.flag("consents")?;
    query.0.end()?;
    let customer = customers::find(&platform, &customer).await?;
    let query = LedgerQuery { gcid: Some(customer.gcid), on_consent, ..LedgerQuery::default() };
    export(platform, query).await
}

/// All lines that `query` asks for, the newest first; the first of them says that they were exported, unless only those on
/// consents are wanted.
async fn export(platform: Arc<Platform>, query: LedgerQuery) -> Result<Response, Refusal> {
    let what = if query.on_consent { "record of consents" } else { "ledger" };
    let record = Record::new(platform.clock.now(), Actor::Operator, Act::DataExported);
    let record = Record { gcid: query.gcid, ..record }.with("what", what);
    platform.directory.append_to_ledger(&[record]).await?;
    let first = LedgerQuery { limit: EXPORT_STEP, ..query };
    let lines = try_unfold(Some(first), move |query| {
        let platform = platform.clone();
        async move {
            let Some(query) = query else { return Ok(None) };
            let lines = platform.directory.ledger(query).await?;
            let rest = lines.last().filter(|_| lines.len() >= EXPORT_STEP as usize);
            let rest = rest.map(|(number, _)| LedgerQuery { before: Some(*number), ..query });
            let mut text = String::new();
            for (number, record) in &lines {
                text.push_str(&line(*number, record).to_string());
                text.push('\n');
            }
            Ok::<_, DirectoryError>(Some((Bytes::from(text), rest)))
        }
    });
    let headers = [(CONTENT_TYPE, "application/jsonl"), (CACHE_CONTROL, "no-store")];
    Ok((headers, Body::from_stream(lines)).into_response())
}
