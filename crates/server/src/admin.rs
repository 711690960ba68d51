//! The operator's door: `/admin/v1/*` on its own listener, opened by the bearer token in the data folder.
//!
//! Every answer is JSON, and every refusal says what was wrong and what to do about it (`docs/reference/admin.md`). What
//! changes something is done to its end, also when the operator hangs up, and leaves a line in the ledger.

mod certificates;
mod clients;
mod consents;
mod customers;
mod device_codes;
mod faults;
mod fields;
mod import;
mod keys;
mod ledger;
mod mappings;
mod passwords;
mod refusal;
mod sources;
mod vehicles;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use tower::ServiceExt as _;

use self::refusal::refusal;
use crate::api::auth::bearer;
use crate::platform::Platform;
use crate::secret;

/// Bytes that a request may have, but for imports.
const BODY_LENGTH_MAX: usize = 64 << 10;

/// Every path below `/admin/v1`, behind the operator's token, whether it exists or not.
pub fn routes() -> Router<Arc<Platform>> {
    Router::new().nest("/admin/v1", Router::new().fallback(guard))
}

/// What the operator can do; paths are below `/admin/v1`.
fn operations() -> Router<Arc<Platform>> {
    Router::new()
        .merge(customers::routes())
        .merge(vehicles::routes())
        .merge(certificates::routes())
        .merge(mappings::routes())
        .merge(clients::routes())
        .merge(consents::routes())
        .merge(sources::routes())
        .merge(keys::routes())
        .merge(ledger::routes())
        .merge(device_codes::routes())
        .merge(faults::routes())
        .layer(DefaultBodyLimit::max(BODY_LENGTH_MAX))
        .merge(import::routes())
}

async fn guard(State(platform): State<Arc<Platform>>, request: Request) -> Response {
    if !is_operator(&platform, request.headers()) {
        let mut response = refusal(
            StatusCode::UNAUTHORIZED,
            "the operator's token is missing or wrong",
            "send `Authorization: Bearer` with the token from the data folder",
        );
        let challenge = HeaderValue::from_static("Bearer");
        response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        return response;
    }
    let only_reads = [Method::GET, Method::HEAD].contains(request.method());
    let owned = platform.clone();
    let work = async move {
        let Ok(response) = operations().with_state(owned).oneshot(request).await;
        in_our_words(response)
    };
    if only_reads {
        return work.await;
    }
    platform.tasks.see_through("operator_act", work).await.unwrap_or_else(|| {
        let remedy = "see how far it got, then do the rest when the server runs again";
        refusal(StatusCode::SERVICE_UNAVAILABLE, "the server stops", remedy)
    })
}

/// The same with a body as all refusals have, where it was refused before one of us saw it.
fn in_our_words(response: Response) -> Response {
    let status = response.status();
    let is_ours = response
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    if is_ours || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let (error, remedy) = match status {
        StatusCode::NOT_FOUND => ("there is no such operation", "look at the path"),
        StatusCode::METHOD_NOT_ALLOWED => {
            ("the path has no such method", "look at the header `Allow`")
        }
        StatusCode::PAYLOAD_TOO_LARGE => ("the body is too long", "send less at a time"),
        StatusCode::BAD_REQUEST => ("the request can't be read", "look at the path and the body"),
        _ => ("the server failed", "look at the server's log, then try again"),
    };
    let mut ours = refusal(status, error, remedy);
    for (name, value) in response.headers() {
        if ![CONTENT_TYPE, CONTENT_LENGTH].contains(name) {
            ours.headers_mut().insert(name, value.clone());
        }
    }
    ours
}

fn is_operator(platform: &Platform, headers: &HeaderMap) -> bool {
    bearer(headers).is_some_and(|token| secret::equal(token, &platform.admin_token))
}

#[cfg(test)]
mod tests;
