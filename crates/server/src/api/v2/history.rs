//! `GET /v2/vehicles/{vin}/history`: what the values of a vehicle were, page by page, as JSON lines, CSV or Parquet.

mod form;

use std::ops::ControlFlow;
use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{CONTENT_TYPE, LINK};
use axum::http::{HeaderMap, HeaderValue, Uri};
use axum::response::{IntoResponse, Response};
use cardata_domain::Sequence;
use tokio::sync::Semaphore;

use self::form::{Form, Page};
use super::parameters::Parameters;
use super::scan::Scan;
use crate::Platform;
use crate::api::auth::Caller;
use crate::api::error::ApiError;
use crate::api::page_token::Pages;
use crate::api::vehicles::{PathVin, require_primary};

/// Values on a page, unless the client says otherwise, and at the most. A page is made in memory.
const VALUES_DEFAULT: usize = 10_000;
const VALUES_MAX: usize = 100_000;
/// Pages that are made at a time; others wait for their turn.
static TURNS: Semaphore = Semaphore::const_new(4);

/// `GET /v2/vehicles/{vin}/history?from=…&to=…[&descriptor=…][&limit=…][&format=…][&next=…]`.
#[utoipa::path(
    get, path = "/v2/vehicles/{vin}/history",
    tag = "Beyond the real service",
    summary = "What the values of a vehicle were",
    params(
        ("from" = String, Query, description = "In RFC 3339, inclusive", format = DateTime),
        ("to" = String, Query, description = "In RFC 3339, exclusive", format = DateTime),
        ("descriptor" = Option<Vec<String>>, Query, description = "Of this descriptor; may be there several times"),
        ("limit" = Option<u32>, Query, description = "Values on a page: 10000 unless told", minimum = 1, maximum = 100_000),
        ("format" = Option<String>, Query, description = "`jsonl`, `csv` or `parquet`; as `Accept` says unless told"),
        ("next" = Option<String>, Query, description = "From the `Link` of the page before")
    ),
    responses((
        status = 200, description = "In the order in which the vehicle sent them; `Link` with `rel=\"next\"` has the next page",
        content((String = "application/x-ndjson"), (String = "text/csv"), (Vec<u8> = "application/vnd.apache.parquet"))
    )),
    security(("token" = [])),
)]
pub(in crate::api) async fn read(
    State(platform): State<Arc<Platform>>,
    caller: Caller,
    PathVin(vin): PathVin,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let names = ["from", "to", "descriptor", "limit", "format", "next"];
    let parameters = Parameters::read(uri.query(), &names)?;
    let range = parameters.range()?;
    let wanted = parameters.descriptors(&platform.catalogue)?;
    let limit = parameters.number("limit", 1..=VALUES_MAX, VALUES_DEFAULT)?;
    let form = match parameters.one("format")? {
        None => Form::wanted(&headers),
        Some(name) => Form::named(name)
            .ok_or_else(|| ApiError::parameter("`format` is none of jsonl, csv and parquet"))?,
    };
    require_primary(&platform, caller, vin).await?;
    let now = platform.clock.now();
    let mut of = format!("history {} {} {limit}", range.from, range.to);
    for descriptor in parameters.all("descriptor") {
        of.extend([" ", descriptor]);
    }
    let pages = Pages { caller, vin, of: &of };
    let scan = match parameters.one("next")? {
        None => Scan::since(&platform, caller, vin, range.from, wanted).await?,
        Some(token) => {
            let after = Sequence(pages.place("next", token, now)?.cast_unsigned());
            Scan::after(&platform, caller, vin, after, wanted).await?
        }
    };
    let _turn = TURNS.acquire().await;
    let mut page = Page::new(form);
    let next = scan
        .each(|entries| {
            let in_time = || entries.iter().filter(|entry| range.contains(entry.at()));
            // An event is on one page, also when it has more values than a page should have.
            if page.len() > 0 && page.len() + in_time().count() > limit {
                return ControlFlow::Break(());
            }
            in_time().for_each(|entry| page.add(entry));
            ControlFlow::Continue(())
        })
        .await?;
    caller.note_read(&platform, vin, "history");
    let body = page.finish().map_err(|error| ApiError::internal(&error))?;
    let mut response = ([(CONTENT_TYPE, form.content_type())], body).into_response();
    if let Some(after) = next {
        let token = pages.token(after.0.cast_signed(), now);
        let link = next_link(uri.path(), uri.query(), &token);
        if let Ok(link) = HeaderValue::try_from(link) {
            response.headers_mut().insert(LINK, link);
        }
    }
    Ok(response)
}

/// The `Link` to the next page (RFC 8288).
fn next_link(path: &str, query: Option<&str>, token: &str) -> String {
    let query = query.unwrap_or_default();
    let kept = query.split('&').filter(|part| !part.is_empty() && !part.starts_with("next="));
    let mut target = format!("{path}?");
    for part in kept {
        target.extend([part, "&"]);
    }
    format!("<{target}next={token}>; rel=\"next\"")
}
